//! Budgets, and what is left of them.

use axum::{Json, extract::State};

use crate::{caller::Caller, listener::Shared, problem::Problem, wire};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Budgets>, Problem> {
    let budgets = shared.control.budgets(&actor, None).await?;
    Ok(Json(wire::Budgets { budgets }))
}
