//! Administrators.

use axum::{Json, extract::State};
use http::StatusCode;
use model::AdminName;

use crate::{
    caller::Caller,
    input::{Body, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Admins>, Problem> {
    let admins = shared.control.admins(&actor)?;
    Ok(Json(wire::Admins { admins }))
}

/// Adds an administrator, or gives one another role and a new credential. Its text is in this answer and nowhere else.
pub(crate) async fn add(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(new): Body<wire::NewAdmin>,
) -> Result<(StatusCode, Json<wire::IssuedAdmin>), Problem> {
    let issued = shared.control.add_admin(&actor, new.name, new.role).await?;
    let shown = wire::IssuedAdmin {
        name: issued.name,
        role: new.role,
        key: issued.credential.into(),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

pub(crate) async fn remove(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(name): Segment<AdminName>,
) -> Result<StatusCode, Problem> {
    shared.control.remove_admin(&actor, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
