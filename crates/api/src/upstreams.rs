//! Upstreams in effect. Their credentials are never told.

use axum::{Json, extract::State};

use crate::{caller::Caller, listener::Shared, problem::Problem, wire};

pub(crate) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
) -> Result<Json<wire::Upstreams>, Problem> {
    let upstreams = shared.control.upstreams(&actor)?;
    Ok(Json(wire::Upstreams { upstreams }))
}
