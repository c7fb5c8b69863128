//! `/_fake/`: the record of the calls over HTTP, for tests in another process. These requests are not calls.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header::CONTENT_TYPE};
use serde::Serialize;

use crate::{body::Body, calls::Calls, conn::Conn, headers};

/// Where the paths of this module begin.
pub(crate) const PREFIX: &str = "/_fake/";

/// Answers a request under [`PREFIX`].
pub(crate) async fn answer(calls: &Calls, method: &Method, uri: &Uri, conn: Arc<Conn>) -> Response<Body> {
    let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        (&Method::GET, "calls") => json(&calls.after(parameter(uri, "after").unwrap_or(0))),
        (&Method::GET, "count") => {
            if let Some(n) = parameter(uri, "received") {
                calls.wait_for(n).await;
            }
            if let Some(n) = parameter(uri, "finished") {
                calls.wait_finished(n).await;
            }
            json(&calls.count())
        }
        (&Method::POST, "reset") => {
            calls.reset();
            json(&calls.count())
        }
        (&Method::GET, path) => {
            let number = path.strip_prefix("body/").and_then(|number| number.parse().ok());
            match number
                .and_then(|number| calls.call(number))
                .filter(|call| !call.trimmed)
            {
                Some(call) => (
                    StatusCode::OK,
                    HeaderValue::from_static("application/octet-stream"),
                    call.body,
                ),
                None => nothing(),
            }
        }
        _ => nothing(),
    };
    let mut response = Response::new(Body::plain(body, conn));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn json<T: Serialize>(value: &T) -> (StatusCode, HeaderValue, Bytes) {
    match serde_json::to_vec(value) {
        Ok(text) => (StatusCode::OK, headers::JSON, Bytes::from(text)),
        Err(_) => nothing(),
    }
}

fn nothing() -> (StatusCode, HeaderValue, Bytes) {
    (
        StatusCode::NOT_FOUND,
        headers::JSON,
        Bytes::from_static(b"{\"error\":\"not found\"}"),
    )
}

/// A number in the query.
fn parameter(uri: &Uri, name: &str) -> Option<u64> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .find_map(|(_, value)| value.parse().ok())
}
