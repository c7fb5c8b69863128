//! Where entries are streamed to, and how that goes.

use axum::{Json, extract::State};

use crate::{caller::Caller, listener::Shared, problem::Problem, wire};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Sinks>, Problem> {
    let sinks = shared.control.sinks(&actor)?;
    Ok(Json(wire::Sinks { sinks }))
}
