//! Raising, lowering, pausing, resuming and topping up.

use std::collections::BTreeMap;

use ledger::{BudgetSpec, Edit, Label};
use model::{BudgetName, TenantName};
use store::{EditOrder, Person};

use super::{reason, text::amount};
use crate::{
    Actor, AdminError, Control, Permission,
    privacy::{KEY_EPOCH, written},
    report::BudgetPage,
};

/// What is to change of a budget. Amounts are text with the budget's unit: `8 USD`, `2M tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetChange {
    /// Another limit than the declared one, from now on.
    Limit(String),
    /// The declared limit again.
    DeclaredLimit,
    /// Nothing is granted until it is resumed.
    Pause,
    /// Granting goes on.
    Resume,
    /// More for the window that runs.
    TopUp {
        /// How much more.
        amount: String,
        /// Which pot, by label, where the budget keeps several apart. A user is named as credentials are issued to them, or
        /// as `pseudonym:` and the pseudonym.
        of: BTreeMap<String, String>,
    },
}

impl BudgetChange {
    fn kind(&self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::DeclaredLimit => "declared_limit",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::TopUp { .. } => "top_up",
        }
    }
}

/// A change of a budget while traffic flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetEdit {
    /// In whose log.
    pub tenant: TenantName,
    /// The budget.
    pub budget: String,
    /// What is to change.
    pub change: BudgetChange,
    /// Why.
    pub note: String,
}

impl Control {
    /// Changes a budget while traffic flows: when this returns, no hold is granted that the change forbids. Returns how the
    /// budget stands then.
    pub async fn edit_budget(&self, actor: &Actor, edit: BudgetEdit) -> Result<BudgetPage, AdminError> {
        Self::require(actor, Permission::Operate)?;
        let BudgetEdit {
            tenant,
            budget,
            change,
            note,
        } = edit;
        let note = reason(note)?;
        let by = actor.clone();
        let whose = tenant.clone();
        let changing = self.alone(move |control| async move {
            let name = control.known_budget(&tenant, &budget).await?;
            let kind = change.kind();
            let order = control.order(&tenant, &name, change).await?;
            control.carry_out(&by, &tenant, &name, order, note, kind).await?;
            Ok(name)
        });
        // What stands then is read when requests go on: they wait for the change to be published.
        let name = changing.await?;
        self.page_of(actor, &whose, &name).await
    }

    /// Carries out an order. Only while nobody else changes anything.
    pub(super) async fn carry_out(
        &self,
        by: &Actor,
        tenant: &TenantName,
        budget: &BudgetName,
        order: EditOrder,
        note: String,
        kind: &'static str,
    ) -> Result<(), AdminError> {
        let (tenant, budget) = (tenant.clone(), budget.clone());
        let committer = self.committer();
        let edited = committer.edit_budget(tenant.clone(), budget.clone(), order, note, by.name.clone());
        edited.await?;
        self.metrics().budget_edited(&tenant, kind);
        tracing::info!(%tenant, %budget, by = %by.name, change = kind, "a budget was changed");
        Ok(())
    }

    async fn order(
        &self,
        tenant: &TenantName,
        name: &BudgetName,
        change: BudgetChange,
    ) -> Result<EditOrder, AdminError> {
        let plain = |edit| Ok(EditOrder::Plain(edit));
        let (text, of) = match change {
            BudgetChange::DeclaredLimit => return plain(Edit::DeclaredLimit {}),
            BudgetChange::Pause => return plain(Edit::Paused {}),
            BudgetChange::Resume => return plain(Edit::Resumed {}),
            BudgetChange::Limit(limit) => (limit, None),
            BudgetChange::TopUp { amount, of } => (amount, Some(of)),
        };
        let found = self.balances_of(tenant, name, 1).await?;
        let Some(spec) = found.balances.into_iter().next().map(|balance| balance.spec) else {
            return Err(AdminError::Conflict(format!("budget {name} was removed meanwhile")));
        };
        let amount = amount(&text, spec.unit).map_err(AdminError::Invalid)?;
        match of {
            None => plain(Edit::Limit { limit: amount }),
            Some(of) => {
                let of = self.pot(tenant, &spec, of).await?;
                Ok(EditOrder::TopUp { amount, of })
            }
        }
    }

    /// The values of the labels that a budget keeps apart, in their order. Persons are remembered outside the log.
    async fn pot(
        &self,
        tenant: &TenantName,
        spec: &BudgetSpec,
        mut of: BTreeMap<String, String>,
    ) -> Result<Vec<String>, AdminError> {
        let mut values = Vec::with_capacity(spec.each.len());
        for label in &spec.each {
            let value = of.remove(label.as_str()).filter(|value| is_value(value));
            let value = value.ok_or_else(|| wrong_pot(spec))?;
            values.push(match label {
                Label::User => match written(&value) {
                    Some(pseudonym) => pseudonym.map_err(AdminError::Invalid)?.to_owned(),
                    None => self.user(tenant, value).await?,
                },
                _ => value,
            });
        }
        if of.is_empty() {
            Ok(values)
        } else {
            Err(wrong_pot(spec))
        }
    }

    async fn user(&self, tenant: &TenantName, identity: String) -> Result<String, AdminError> {
        let pseudonym = self.privacy().pseudonym(tenant, &identity);
        let person = Person {
            pseudonym: pseudonym.clone(),
            key_epoch: KEY_EPOCH,
            identity,
        };
        self.committer().remember(tenant.clone(), vec![person]).await?;
        Ok(pseudonym.0)
    }
}

/// Whether a request could have it.
pub(super) fn is_value(value: &str) -> bool {
    (1..=super::form::VALUE_MAX).contains(&value.chars().count()) && !value.chars().any(char::is_control)
}

fn wrong_pot(spec: &BudgetSpec) -> AdminError {
    let name = &spec.name;
    let labels: Vec<String> = spec.each.iter().map(|label| format!("{label}=VALUE")).collect();
    AdminError::Invalid(match labels.as_slice() {
        [] => format!("budget {name} keeps no pots apart: top it up without saying of whom"),
        labels => format!(
            "budget {name} keeps pots apart: say which one as {}",
            labels.join(" and ")
        ),
    })
}
