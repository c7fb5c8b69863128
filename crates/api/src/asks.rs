//! Attempts that wait for an administrator.

use axum::{Json, extract::State};
use control::{AskReport, AskTopUp};
use model::{ActionId, TenantName};
use serde::Deserialize;

use crate::{
    caller::Caller,
    input::{Body, Parameters, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

/// Whose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    tenant: Option<TenantName>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(Whose { tenant }): Parameters<Whose>,
) -> Result<Json<wire::Asks>, Problem> {
    let asks = shared.control.asks(&actor, tenant.as_ref()).await?;
    Ok(Json(wire::Asks { asks }))
}

/// Refuses what waits and answers with what it was.
pub(crate) async fn refuse(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(action): Segment<ActionId>,
    Body(wire::Reason { tenant, note }): Body<wire::Reason>,
) -> Result<Json<AskReport>, Problem> {
    Ok(Json(shared.control.refuse_ask(&actor, tenant, action, note).await?))
}

/// Tops up the budget that it waits for.
pub(crate) async fn top_up(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(action): Segment<ActionId>,
    Body(more): Body<wire::AskTopUp>,
) -> Result<Json<wire::AskToppedUp>, Problem> {
    let order = AskTopUp {
        tenant: more.tenant,
        action,
        amount: more.amount,
        note: more.note,
    };
    let (ask, added) = shared.control.top_up_ask(&actor, order).await?;
    Ok(Json(wire::AskToppedUp { ask, added }))
}
