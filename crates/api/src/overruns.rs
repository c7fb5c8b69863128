//! Models that are held at their maximum because a provider billed past a hold.

use axum::{Json, extract::State};
use control::{Acceptance, OverrunReport};

use crate::{caller::Caller, input::Body, listener::Shared, problem::Problem, wire};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Overruns>, Problem> {
    let overruns = shared.control.overruns(&actor).await?;
    Ok(Json(wire::Overruns { overruns }))
}

/// Accepts the overruns of one model and answers with what was accepted.
pub(crate) async fn accept(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(accepted): Body<wire::AcceptOverrun>,
) -> Result<Json<OverrunReport>, Problem> {
    let accepted = Acceptance {
        tenant: accepted.tenant,
        upstream: accepted.upstream,
        model: accepted.model,
        note: accepted.note,
    };
    Ok(Json(shared.control.accept_overrun(&actor, accepted).await?))
}
