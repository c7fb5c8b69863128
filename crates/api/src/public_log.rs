//! The logs in the format that mirrors, auditors and witnesses read (<https://c2sp.org/tlog-tiles>).
//!
//! Whoever may read the audit trail may read them; everybody, where `[audit] public_log` says so.

use axum::{
    extract::{FromRequestParts as _, State},
    response::{IntoResponse as _, Response},
};
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use model::TenantName;
use tlog::{bundle::Resource, leaf_hash};

use crate::{
    caller::Caller,
    listener::Shared,
    problem::{Kind, Problem},
};

/// Everything below `/log/<tenant>/`.
pub(crate) async fn piece(State(shared): State<Shared>, mut parts: Parts) -> Result<Response, Problem> {
    let control = &shared.control;
    let caller = match control.has_public_log() {
        true => None,
        false => Some(Caller::from_request_parts(&mut parts, &shared).await?.0),
    };
    // The path as it was sent: each piece has one spelling, so that a cache has each once.
    let (tenant, piece) = read(parts.uri.path()).ok_or_else(absent)?;
    let bytes = control.log_piece(caller.as_ref(), &tenant, piece).await?;
    let mut headers = HeaderMap::new();
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&leaf_hash(&bytes).0));
    let known = is_known(&parts.headers, &tag);
    headers.insert(header::CACHE_CONTROL, caching(piece, caller.is_none()));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    if known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let kind = match piece {
        Resource::Checkpoint => "text/plain; charset=utf-8",
        Resource::Tile(_) | Resource::Entries(_) => "application/octet-stream",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok((headers, bytes).into_response())
}

fn read(path: &str) -> Option<(TenantName, Resource)> {
    let (tenant, piece) = path.strip_prefix("/log/")?.split_once('/')?;
    Some((TenantName::new(tenant).ok()?, piece.parse().ok()?))
}

fn absent() -> Problem {
    let detail = "a log has /log/<tenant>/checkpoint, /log/<tenant>/tile/<level>/<index>[.p/<width>] and \
                  /log/<tenant>/tile/entries/<index>[.p/<width>], with the index in groups of three digits";
    Problem::new(Kind::NotFound, detail)
}

/// Tiles and entries never change. A cache that many share may keep them only if they are for everybody.
fn caching(piece: Resource, public: bool) -> HeaderValue {
    HeaderValue::from_static(match (piece, public) {
        (Resource::Checkpoint, true) => "public, max-age=2",
        (Resource::Checkpoint, false) => "private, max-age=2",
        (_, true) => "public, max-age=31536000, immutable",
        (_, false) => "private, max-age=31536000, immutable",
    })
}

/// Whether the caller says that it has this already (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tags.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}
