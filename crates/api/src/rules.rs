//! Rate limits and circuit breakers.

use axum::{Json, extract::State};
use control::{BreakerReport, Reset};

use crate::{caller::Caller, input::Body, listener::Shared, problem::Problem, wire};

pub(crate) async fn limits(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Limits>, Problem> {
    let limits = shared.control.rate_limits(&actor).await?;
    Ok(Json(wire::Limits { limits }))
}

pub(crate) async fn breakers(
    State(shared): State<Shared>,
    Caller(actor): Caller,
) -> Result<Json<wire::Breakers>, Problem> {
    let breakers = shared.control.breakers(&actor).await?;
    Ok(Json(wire::Breakers { breakers }))
}

/// Closes one breaker and answers with how it stood.
pub(crate) async fn reset(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(reset): Body<wire::ResetBreaker>,
) -> Result<Json<BreakerReport>, Problem> {
    let reset = Reset {
        tenant: reset.tenant,
        breaker: reset.breaker,
        of: reset.of,
        note: reset.note,
    };
    Ok(Json(shared.control.reset_breaker(&actor, reset).await?))
}
