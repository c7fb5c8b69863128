//! Rate limits, circuit breakers, and what proposed budgets would stop.

use axum::{Json, extract::State};
use control::{BreakerReport, Proposal, Reset, SimulationReport};
use model::Timestamp;

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

/// Puts recorded usage to proposed budgets.
pub(crate) async fn simulate(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(proposed): Body<wire::SimulateBudgets>,
) -> Result<Json<SimulationReport>, Problem> {
    let proposal = Proposal {
        tenant: proposed.tenant,
        since: Timestamp::from_unix_micros(proposed.since_us),
        until: Timestamp::from_unix_micros(proposed.until_us),
        budgets: proposed.budgets,
    };
    Ok(Json(shared.control.simulate(&actor, proposal).await?))
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
