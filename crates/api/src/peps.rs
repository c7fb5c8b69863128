//! Enforcement points and their credentials.

use axum::{Json, extract::State};
use control::PepKeyOrder;
use http::StatusCode;

use crate::{caller::Caller, input::Body, keys::instant, listener::Shared, problem::Problem, wire};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Peps>, Problem> {
    let peps = shared.control.peps(&actor).await?;
    Ok(Json(wire::Peps { peps }))
}

pub(crate) async fn keys(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::PepKeys>, Problem> {
    let keys = shared.control.pep_keys(&actor).await?;
    Ok(Json(wire::PepKeys { keys }))
}

/// Issues a credential. Its text is in this answer and nowhere else, ever.
pub(crate) async fn issue(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(new): Body<wire::NewPepKey>,
) -> Result<(StatusCode, Json<wire::IssuedPepKey>), Problem> {
    let order = PepKeyOrder {
        tenant: new.tenant.clone(),
        pep: new.pep.clone(),
        label: new.label,
        expires: new.expires.as_deref().map(instant).transpose()?,
    };
    let issued = shared.control.issue_pep_key(&actor, order).await?;
    let shown = wire::IssuedPepKey {
        tenant: new.tenant,
        id: issued.id,
        pep: new.pep,
        expires: new.expires,
        key: issued.credential.into(),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}
