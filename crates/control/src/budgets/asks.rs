//! Attempts that wait for an administrator: who waits, and what they are answered.

use entry::{Ask, AskRefused, Closed, Event, Over};
use ledger::Amount;
use model::{ActionId, TenantName};
use store::{EditOrder, View};

use super::{read::People, reason, text::amount};
use crate::{Actor, AdminError, Control, Permission, report::AskReport};

/// An attempt that waits is to get what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskTopUp {
    /// In whose log.
    pub tenant: TenantName,
    /// The action that waits.
    pub action: ActionId,
    /// By how much its budget is topped up, with the unit; exactly what is missing if `None`.
    pub amount: Option<String>,
    /// Why.
    pub note: String,
}

impl Control {
    /// The attempts that wait for an administrator, the oldest first; those of one tenant, if one is named.
    pub async fn asks(&self, actor: &Actor, tenant: Option<&TenantName>) -> Result<Vec<AskReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut people = People::default();
        let mut reports = Vec::new();
        let tenants = self.tenants().into_iter();
        for name in tenants.filter(|name| tenant.is_none_or(|wanted| wanted == name)) {
            let view = self.committer().view(name).await?;
            for ask in &view.asks {
                reports.push(self.ask_report(actor, &view, ask, &mut people).await?);
            }
        }
        reports.sort_by(|a, b| (&a.since, &a.action).cmp(&(&b.since, &b.action)));
        Ok(reports)
    }

    /// Refuses an attempt that waits: its caller is told so at once, with the reason.
    pub async fn refuse_ask(
        &self,
        actor: &Actor,
        tenant: TenantName,
        action: ActionId,
        note: String,
    ) -> Result<AskReport, AdminError> {
        Self::require(actor, Permission::Answer)?;
        let note = reason(note)?;
        let by = actor.clone();
        self.alone(move |control| async move {
            let view = control.committer().view(tenant.clone()).await?;
            let ask = waiting(&view, action)?;
            let refused = Event::AskRefused(AskRefused {
                action,
                attempt: ask.asked.attempt,
                note,
                by: by.name.clone(),
            });
            control.committer().change(tenant.clone(), vec![refused]).await?;
            control.metrics().ask_answered(&tenant, "refused");
            control.ask_report(&by, &view, ask, &mut People::default()).await
        })
        .await
    }

    /// Tops up the budget that an attempt waits for. Who may answer and not change budgets may give what is missing, and no
    /// more. The top-up is the pot's: whatever asks first may take it. Returns the attempt, and by how much.
    pub async fn top_up_ask(&self, actor: &Actor, order: AskTopUp) -> Result<(AskReport, String), AdminError> {
        Self::require(actor, Permission::Answer)?;
        let AskTopUp {
            tenant,
            action,
            amount: wanted,
            note,
        } = order;
        let note = reason(note)?;
        let by = actor.clone();
        self.alone(move |control| async move {
            let view = control.committer().view(tenant.clone()).await?;
            let ask = waiting(&view, action)?;
            let over = &ask.asked.over;
            still_counted(&view, over)?;
            let missing = control.missing(&tenant, ask).await?;
            let added = match wanted {
                Some(text) => amount(&text, over.unit).map_err(AdminError::Invalid)?,
                None => missing,
            };
            if added < missing {
                return Err(AdminError::Invalid(format!(
                    "{} is less than the {} that are missing, so it would go on waiting",
                    over.unit.show(added),
                    over.unit.show(missing)
                )));
            }
            if added > missing && !Permission::Operate.granted_to(by.role) {
                return Err(AdminError::Invalid(format!(
                    "{} is more than what is missing, {}, and the role {} may give no more than that: leave the amount \
                     out, or ask an operator",
                    over.unit.show(added),
                    over.unit.show(missing),
                    by.role.as_str()
                )));
            }
            let order = EditOrder::TopUp {
                amount: added,
                of: over.of.clone(),
            };
            control
                .carry_out(&by, &tenant, &over.budget, order, note, "top_up")
                .await?;
            control.metrics().ask_answered(&tenant, "topped_up");
            let report = control.ask_report(&by, &view, ask, &mut People::default()).await?;
            Ok((report, over.unit.show(added)))
        })
        .await
    }

    /// What its budget lacks now for an attempt that waits.
    async fn missing(&self, tenant: &TenantName, ask: &Ask) -> Result<Amount, AdminError> {
        let over = &ask.asked.over;
        let name = &over.budget;
        let paused = || {
            AdminError::Conflict(format!(
                "budget {name} is paused, and no top-up changes that: `bailiwick budget resume {name}`, or refuse"
            ))
        };
        if over.closed == Some(Closed::Crowded) {
            return Err(AdminError::Conflict(format!(
                "budget {name} keeps as many pots apart as it can, and no top-up changes that: refuse, and keep fewer apart"
            )));
        }
        let (limit, used) = match self.balance_of(tenant, name, &over.of).await? {
            Some(balance) if balance.paused => return Err(paused()),
            Some(balance) => (balance.limit, balance.used()),
            None if over.closed == Some(Closed::Paused) => return Err(paused()),
            None => (over.limit, over.spent.saturating_add(over.held)),
        };
        let missing = used.saturating_add(over.asked).saturating_sub(limit);
        if missing > Amount::ZERO {
            return Ok(missing);
        }
        Err(AdminError::Conflict(format!(
            "budget {name} has room for action {} by now: it goes on by itself",
            ask.asked.action.id
        )))
    }

    async fn ask_report(
        &self,
        actor: &Actor,
        view: &View,
        ask: &Ask,
        people: &mut People,
    ) -> Result<AskReport, AdminError> {
        let over = &ask.asked.over;
        let spec = view.budgets.iter().find(|spec| spec.name == over.budget);
        let labels = spec.into_iter().flat_map(|spec| &spec.each);
        let of = labels
            .zip(&over.of)
            .map(|(label, value)| (label.to_string(), value.clone()));
        let mut of = of.collect();
        // Who may not answer for a person's budget is not told who it is.
        if Permission::Answer.granted_to(actor.role) {
            people.name(self, &view.tenant, &mut of).await?;
        }
        Ok(AskReport::of(&view.tenant, ask, of))
    }
}

/// Whether a budget still counts what an attempt that waits was told it lacks. It is put to the budget anew as soon as that
/// counts something else, and then says by how much it does not fit.
fn still_counted(view: &View, over: &Over) -> Result<(), AdminError> {
    let spec = view.budgets.iter().find(|spec| spec.name == over.budget);
    if spec.is_some_and(|spec| spec.unit == over.unit && spec.each.len() == over.of.len()) {
        return Ok(());
    }
    Err(AdminError::Conflict(format!(
        "budget {} does not count any more what this call was to wait for: it is decided anew, so look again with \
         `bailiwick approval list`",
        over.budget
    )))
}

/// The attempt of an action that waits and was not answered.
fn waiting(view: &View, action: ActionId) -> Result<&Ask, AdminError> {
    let ask = view.asks.iter().find(|ask| ask.asked.action.id == action);
    let ask = ask.ok_or(AdminError::NotWaiting(action))?;
    match &ask.refused {
        None => Ok(ask),
        Some((by, _)) => Err(AdminError::Conflict(format!(
            "{by} has refused action {action} already"
        ))),
    }
}

#[cfg(test)]
mod tests;
