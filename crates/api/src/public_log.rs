//! The logs in the format that mirrors, auditors and witnesses read (<https://c2sp.org/tlog-tiles>).
//!
//! Whoever may read the audit trail may read them; everybody, where `[audit] public_log` says so.

use axum::{
    extract::{FromRequestParts as _, State},
    response::{IntoResponse as _, Response},
};
use control::Actor;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use model::TenantName;
use tlog::{bundle::Resource, leaf_hash};

use crate::{
    caller::Caller,
    listener::Shared,
    problem::{Kind, Problem},
};

/// The checkpoint and the tiles below `/log/<tenant>/`.
pub(crate) async fn piece(State(shared): State<Shared>, mut parts: Parts) -> Result<Response, Problem> {
    let caller = caller(&shared, &mut parts).await?;
    // The path as it was sent: each piece has one spelling, so that a cache has each once.
    let (tenant, piece) = split(parts.uri.path()).ok_or_else(absent)?;
    let piece = piece.parse::<Resource>().map_err(|_| absent())?;
    let bytes = shared.control.log_piece(caller.as_ref(), &tenant, piece).await?;
    let kind = match piece {
        Resource::Checkpoint => NOTE,
        Resource::Tile(_) | Resource::Entries(_) => "application/octet-stream",
    };
    let moves = matches!(piece, Resource::Checkpoint);
    Ok(answer(&parts, bytes, kind, caching(moves, caller.is_none())))
}

/// `/log/<tenant>/handover/<key>`: the checkpoint that an older key signed beside this one.
pub(crate) async fn handover(State(shared): State<Shared>, mut parts: Parts) -> Result<Response, Problem> {
    let caller = caller(&shared, &mut parts).await?;
    let (tenant, piece) = split(parts.uri.path()).ok_or_else(absent)?;
    let key = piece.strip_prefix("handover/").ok_or_else(absent)?;
    let note = shared.control.log_handover(caller.as_ref(), &tenant, key).await?;
    Ok(answer(&parts, note, NOTE, caching(false, caller.is_none())))
}

/// What kind of text a signed note is.
const NOTE: &str = "text/plain; charset=utf-8";

/// Who asks; nobody where the logs are for everybody.
async fn caller(shared: &Shared, parts: &mut Parts) -> Result<Option<Actor>, Problem> {
    match shared.control.has_public_log() {
        true => Ok(None),
        false => Ok(Some(Caller::from_request_parts(parts, shared).await?.0)),
    }
}

fn answer(parts: &Parts, bytes: Vec<u8>, kind: &'static str, caching: HeaderValue) -> Response {
    let mut headers = HeaderMap::new();
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&leaf_hash(&bytes).0));
    let known = is_known(&parts.headers, &tag);
    headers.insert(header::CACHE_CONTROL, caching);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    (headers, bytes).into_response()
}

/// Whose log, and what of it.
fn split(path: &str) -> Option<(TenantName, &str)> {
    let (tenant, piece) = path.strip_prefix("/log/")?.split_once('/')?;
    Some((TenantName::new(tenant).ok()?, piece))
}

fn absent() -> Problem {
    let detail = "a log has /log/<tenant>/checkpoint, /log/<tenant>/tile/<level>/<index>[.p/<width>] and \
                  /log/<tenant>/tile/entries/<index>[.p/<width>], with the index in groups of three digits, and \
                  /log/<tenant>/handover/<key id> where keys were exchanged";
    Problem::new(Kind::NotFound, detail)
}

/// Only the checkpoint moves. A cache that many share may keep the rest only if that is for everybody.
fn caching(moves: bool, public: bool) -> HeaderValue {
    HeaderValue::from_static(match (moves, public) {
        (true, true) => "public, max-age=2",
        (true, false) => "private, max-age=2",
        (false, true) => "public, max-age=31536000, immutable",
        (false, false) => "private, max-age=31536000, immutable",
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
