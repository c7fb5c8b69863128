//! What proposed budgets would stop.

use axum::{Json, extract::State};
use control::{AdminError, Proposal, SimulationReport};
use jiff::Zoned;
use model::Timestamp;

use crate::{caller::Caller, cost::time, input::Body, listener::Shared, problem::Problem, wire};

/// Puts recorded usage to proposed budgets.
pub(crate) async fn simulate(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(proposed): Body<wire::SimulateBudgets>,
) -> Result<Json<SimulationReport>, Problem> {
    let proposal = proposal(proposed, &jiff::Timestamp::now())?;
    Ok(Json(shared.control.simulate(&actor, proposal).await?))
}

fn proposal(proposed: wire::SimulateBudgets, now: &jiff::Timestamp) -> Result<Proposal, AdminError> {
    let now: Zoned = now.to_zoned(time::zone(&proposed.zone)?);
    let until = match &proposed.until {
        Some(until) => time::instant("until", until, &now)?,
        None => Timestamp::from_unix_micros(now.timestamp().as_microsecond()),
    };
    Ok(Proposal {
        tenant: proposed.tenant,
        since: time::instant("since", &proposed.since, &now)?,
        until,
        budgets: proposed.budgets,
    })
}
