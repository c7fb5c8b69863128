//! What runs beside a server ask: does it live, can it work, how much does it do.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header, request::Parts};

use crate::{
    caller::Caller,
    listener::Shared,
    problem::{Kind, Problem},
    wire,
};

/// The process lives.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The store can record, so calls can be let through.
pub(crate) async fn readyz(State(shared): State<Shared>) -> Result<Json<wire::Ready>, Problem> {
    let health = shared.control.health();
    let trouble = health.borrow().trouble.clone();
    match trouble {
        Some(trouble) => Err(Problem::new(Kind::Unavailable, trouble)),
        None => Ok(Json(wire::Ready { ready: true })),
    }
}

/// The numbers, in the text format that Prometheus and OpenMetrics collectors read.
pub(crate) async fn metrics(State(shared): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    if !shared.is_local() {
        let mut parts = parts;
        authenticated(&mut parts, &shared).await?;
    }
    let mut headers = HeaderMap::new();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    Ok((headers, shared.control.render_metrics()).into_response())
}

async fn authenticated(parts: &mut Parts, shared: &Shared) -> Result<Caller, Problem> {
    use axum::extract::FromRequestParts as _;
    Caller::from_request_parts(parts, shared).await
}
