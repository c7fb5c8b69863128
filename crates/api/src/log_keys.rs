//! The keys that sign the logs' checkpoints.

use axum::{Json, extract::State};
use control::LogKeyReport;
use http::StatusCode;

use crate::{
    caller::Caller,
    input::{Body, Parameters, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

pub(crate) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(query): Parameters<wire::LogKeysOf>,
) -> Result<Json<wire::LogKeys>, Problem> {
    let keys = shared.control.log_keys(&actor, query.tenant.as_ref()).await?;
    Ok(Json(wire::LogKeys { keys }))
}

/// Adds a key and answers with it: from now on every checkpoint of the log is signed by it too.
pub(crate) async fn rotate(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(order): Body<wire::LogKeyOrder>,
) -> Result<(StatusCode, Json<LogKeyReport>), Problem> {
    let key = shared.control.rotate_log_key(&actor, order.tenant).await?;
    Ok((StatusCode::CREATED, Json(key)))
}

/// Has a key sign no more and answers with what it was.
pub(crate) async fn retire(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(id): Segment<String>,
    Body(order): Body<wire::LogKeyOrder>,
) -> Result<Json<LogKeyReport>, Problem> {
    Ok(Json(shared.control.retire_log_key(&actor, order.tenant, &id).await?))
}
