//! Credentials of agents.

use axum::{Json, extract::State};
use control::{AdminError, KeyOrder};
use http::StatusCode;
use model::{KeyId, TenantName, Timestamp};
use serde::Deserialize;

use crate::{
    caller::Caller,
    input::{Body, Parameters, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

pub(crate) async fn list(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<wire::Keys>, Problem> {
    let keys = shared.control.keys(&actor).await?;
    Ok(Json(wire::Keys { keys }))
}

/// Issues a credential. Its text is in this answer and nowhere else, ever.
pub(crate) async fn issue(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(new): Body<wire::NewKey>,
) -> Result<(StatusCode, Json<wire::IssuedKey>), Problem> {
    let order = KeyOrder {
        tenant: new.tenant.clone(),
        agent: new.agent.clone(),
        label: new.label,
        tier: new.tier,
        user: new.user,
        upstreams: new.upstreams,
        models: new.models,
        expires: new.expires.as_deref().map(instant).transpose()?,
    };
    let issued = shared.control.issue_key(&actor, order).await?;
    let shown = wire::IssuedKey {
        tenant: new.tenant,
        id: issued.id,
        agent: new.agent,
        expires: new.expires,
        key: issued.credential.into(),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// What a revocation says besides whose credential it is about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
    #[serde(default)]
    note: String,
}

/// Revokes a credential. Repeating it is harmless.
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(id): Segment<KeyId>,
    Parameters(Revocation { tenant, note }): Parameters<Revocation>,
) -> Result<StatusCode, Problem> {
    shared.control.revoke_key(&actor, tenant, id, note).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn instant(text: &str) -> Result<Timestamp, AdminError> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        AdminError::Invalid(format!(
            "{text:?} is not an instant as RFC 3339 writes it, such as \"2027-01-31T12:00:00Z\""
        ))
    })?;
    Ok(Timestamp::from_unix_micros(at.as_microsecond()))
}
