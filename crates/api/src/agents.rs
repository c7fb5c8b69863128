//! Agents in effect. They are declared in files and change by a reload.

use axum::{Json, extract::State};

use crate::{caller::Caller, listener::Shared, problem::Problem, wire};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Agents>, Problem> {
    let agents = shared.control.agents(&actor).await?;
    Ok(Json(wire::Agents { agents }))
}
