//! Budgets: what is left of them, and what administrators change of them.

use axum::{Json, extract::State};
use control::{Actor, AdminError, BUDGETS_PAGE, BudgetChange, BudgetEdit, BudgetQuery, BudgetRemoval, NewBudget};
use http::StatusCode;
use model::{BudgetName, TenantName};
use serde::Deserialize;

use crate::{
    caller::Caller,
    input::{Body, Parameters, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

/// Which budgets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    tenant: Option<TenantName>,
    name: Option<BudgetName>,
    /// As the page before gave it in `next`.
    after: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(which): Parameters<Which>,
) -> Result<Json<wire::Budgets>, Problem> {
    let query = BudgetQuery {
        tenant: which.tenant,
        name: which.name,
        after: which.after.as_deref().map(after).transpose()?,
        limit: which.limit.unwrap_or(BUDGETS_PAGE),
    };
    Ok(Json(shared.control.budgets(&actor, query).await?))
}

fn after(text: &str) -> Result<(TenantName, BudgetName), AdminError> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(tenant, name)| Some((TenantName::new(tenant).ok()?, BudgetName::new(name).ok()?)));
    parts.ok_or_else(|| {
        AdminError::Invalid("`after` is what the page before gave in `next`, such as \"default/team-data\"".to_owned())
    })
}

/// Whose budget.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Parameters(Whose { tenant }): Parameters<Whose>,
) -> Result<Json<wire::Budgets>, Problem> {
    Ok(Json(shared.control.budget(&actor, tenant, &name).await?))
}

/// Creates a budget, or gives one that was created so new terms.
pub(crate) async fn put(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Body(new): Body<wire::PutBudget>,
) -> Result<(StatusCode, Json<wire::Budgets>), Problem> {
    let (tenant, form, note) = new.parts();
    let new = NewBudget {
        tenant,
        name,
        form,
        note,
    };
    let (created, budget) = shared.control.put_budget(&actor, new).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(budget)))
}

/// What a removal says besides which budget it is about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
    #[serde(default)]
    note: String,
}

pub(crate) async fn delete(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Parameters(Removal { tenant, note }): Parameters<Removal>,
) -> Result<StatusCode, Problem> {
    let removal = BudgetRemoval { tenant, name, note };
    shared.control.delete_budget(&actor, removal).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn limit(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Body(wire::BudgetLimit { tenant, limit, note }): Body<wire::BudgetLimit>,
) -> Result<Json<wire::Budgets>, Problem> {
    let change = limit.map_or(BudgetChange::DeclaredLimit, BudgetChange::Limit);
    edit(&shared, &actor, tenant, name, change, note).await
}

pub(crate) async fn pause(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Body(wire::Reason { tenant, note }): Body<wire::Reason>,
) -> Result<Json<wire::Budgets>, Problem> {
    edit(&shared, &actor, tenant, name, BudgetChange::Pause, note).await
}

pub(crate) async fn resume(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Body(wire::Reason { tenant, note }): Body<wire::Reason>,
) -> Result<Json<wire::Budgets>, Problem> {
    edit(&shared, &actor, tenant, name, BudgetChange::Resume, note).await
}

pub(crate) async fn top_up(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Body(more): Body<wire::TopUp>,
) -> Result<Json<wire::Budgets>, Problem> {
    let change = BudgetChange::TopUp {
        amount: more.amount,
        of: more.of,
    };
    edit(&shared, &actor, more.tenant, name, change, more.note).await
}

async fn edit(
    shared: &Shared,
    actor: &Actor,
    tenant: TenantName,
    budget: String,
    change: BudgetChange,
    note: String,
) -> Result<Json<wire::Budgets>, Problem> {
    let edit = BudgetEdit {
        tenant,
        budget,
        change,
        note,
    };
    Ok(Json(shared.control.edit_budget(actor, edit).await?))
}
