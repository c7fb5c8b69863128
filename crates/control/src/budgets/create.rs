//! Budgets that administrators create beside the files.

use entry::{Declared, Event};
use ledger::{BudgetSpec, check_overlap};
use model::{BudgetName, TenantName};
use store::View;

use super::{form::BudgetForm, reason};
use crate::{
    Actor, AdminError, Control, Permission,
    load::{fits, is_of_api, logged},
    report::BudgetPage,
};

/// A budget that an administrator creates, or new terms for one that was created so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBudget {
    /// In whose log.
    pub tenant: TenantName,
    /// Its name.
    pub name: String,
    /// What it is to say.
    pub form: BudgetForm,
    /// Why.
    pub note: String,
}

/// A budget that an administrator deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRemoval {
    /// In whose log.
    pub tenant: TenantName,
    /// The budget.
    pub name: String,
    /// Why.
    pub note: String,
}

impl Control {
    /// Creates a budget, or gives one that was created so new terms: spending stays, unless something else is counted from
    /// now on. A reload does not touch it. One that files declare is not replaced. Returns whether it is new, and how it
    /// stands.
    pub async fn put_budget(&self, actor: &Actor, new: NewBudget) -> Result<(bool, BudgetPage), AdminError> {
        Self::require(actor, Permission::Operate)?;
        let NewBudget {
            tenant,
            name,
            form,
            note,
        } = new;
        let note = reason(note)?;
        let name = BudgetName::new(&name).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let budget = form.read(name.clone()).map_err(AdminError::Invalid)?;
        self.known_tenant(&tenant)?;
        let by = actor.clone();
        let (whose, what) = (tenant.clone(), name.clone());
        let creating = self.alone(move |control| async move {
            let view = control.committer().view(tenant.clone()).await?;
            let known = view.budgets.iter().any(|spec| spec.name == name);
            if known && !is_of_api(&view, &name) {
                return Err(AdminError::Conflict(format!(
                    "budget {name} is declared in files, which say what it is: change it there, or `bailiwick budget set-limit \
                     {name}` for the time being"
                )));
            }
            let (select, persons) = logged(&tenant, budget.select.unwrap_or_default(), control.privacy());
            let budget = BudgetSpec {
                select: Some(select),
                ..budget
            };
            check_room(&view, &budget)?;
            control.committer().remember(tenant.clone(), persons).await?;
            let created = Event::BudgetLoaded {
                budget,
                declared: Declared::Api,
                note,
                by: by.name.clone(),
            };
            control.committer().change(tenant.clone(), vec![created]).await?;
            let kind = if known { "replaced" } else { "created" };
            control.metrics().budget_edited(&tenant, kind);
            Ok(!known)
        });
        let is_new = creating.await?;
        Ok((is_new, self.page_of(actor, &whose, &what).await?))
    }

    /// Deletes a budget that an administrator created: it selects nothing any more. What was spent stays in the log.
    pub async fn delete_budget(&self, actor: &Actor, removal: BudgetRemoval) -> Result<(), AdminError> {
        Self::require(actor, Permission::Operate)?;
        let BudgetRemoval { tenant, name, note } = removal;
        let by = actor.name.clone();
        self.alone(move |control| async move {
            let name = control.known_budget(&tenant, &name).await?;
            let note = reason(note)?;
            let view = control.committer().view(tenant.clone()).await?;
            if !is_of_api(&view, &name) {
                return Err(AdminError::Conflict(format!(
                    "budget {name} is declared in files: remove it there and run `bailiwick apply`"
                )));
            }
            let removed = Event::BudgetRemoved { budget: name, note, by };
            control.committer().change(tenant.clone(), vec![removed]).await?;
            control.metrics().budget_edited(&tenant, "deleted");
            Ok(())
        })
        .await
    }
}

/// Whether a budget fits into an entry, and beside the others into a hold.
fn check_room(view: &View, budget: &BudgetSpec) -> Result<(), AdminError> {
    if !fits(budget) {
        let message = "the budget selects by too many values for one entry: write what they begin with and `*`";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    let others = view
        .budgets
        .iter()
        .map(|spec| &**spec)
        .filter(|spec| spec.name != budget.name);
    let all: Vec<_> = others.chain([budget]).collect();
    // Each agent has one of its own besides.
    check_overlap(1, &all).map_err(|error| AdminError::Conflict(error.to_string()))
}
