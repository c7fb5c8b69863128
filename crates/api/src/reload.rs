//! Reading the declarations again.

use axum::{Json, extract::State};
use control::LoadReport;

use crate::{caller::Caller, listener::Shared, problem::Problem};

/// Puts all of what is declared now in effect, or leaves everything as it was and says what is wrong.
pub(crate) async fn reload(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<LoadReport>, Problem> {
    let report = shared.control.reload(&actor).await?;
    Ok(Json(report))
}
