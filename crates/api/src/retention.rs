//! How long entries are kept, and legal holds.

use axum::{Json, extract::State};
use control::LegalHoldReport;
use http::StatusCode;

use crate::{
    caller::Caller,
    input::{Body, Parameters, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

/// Lets go what is old, or says what that would be.
pub(crate) async fn expire(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(order): Body<wire::Expire>,
) -> Result<Json<wire::Expired>, Problem> {
    let wire::Expire { tenant, dry_run } = order;
    let logs = shared.control.expire(&actor, tenant.as_ref(), dry_run).await?;
    Ok(Json(wire::Expired { dry_run, logs }))
}

pub(crate) async fn holds(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(query): Parameters<wire::LegalHoldsOf>,
) -> Result<Json<wire::LegalHolds>, Problem> {
    let holds = shared.control.legal_holds(&actor, query.tenant.as_ref()).await?;
    Ok(Json(wire::LegalHolds { holds }))
}

/// Sets one and answers with it.
pub(crate) async fn set(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(order): Body<wire::LegalHoldOrder>,
) -> Result<(StatusCode, Json<LegalHoldReport>), Problem> {
    let wire::LegalHoldOrder { tenant, name, note } = order;
    let hold = shared.control.set_legal_hold(&actor, tenant, name, note).await?;
    Ok((StatusCode::CREATED, Json(hold)))
}

/// Lifts one and answers with what it was.
pub(crate) async fn lift(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<String>,
    Body(order): Body<wire::LegalHoldLift>,
) -> Result<Json<LegalHoldReport>, Problem> {
    let wire::LegalHoldLift { tenant, note } = order;
    Ok(Json(shared.control.lift_legal_hold(&actor, tenant, &name, note).await?))
}
