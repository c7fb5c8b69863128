//! What holds for every request.

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    listener::Shared,
    problem::{Kind, Problem},
};

/// How long a request may take in all, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request may take for which the log is read from its beginning.
pub const LONG_REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
/// The paths of those.
const LONG: [&str; 2] = ["/api/v1/policy/replays", "/api/v1/simulations"];

/// Nothing here is a page, is embedded, is cached unless it says so, or is any other origin's business.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Refuses requests for other hosts, bounds the time of all others, and puts the headers on every answer.
pub(crate) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = if shared.is_local() && !names_local_host(&request) {
        let detail = format!(
            "this listener answers only as {}, 127.0.0.1, [::1] or localhost",
            shared.addr
        );
        Problem::new(Kind::WrongHost, detail).into_response()
    } else {
        let most = match LONG.contains(&request.uri().path()) {
            true => LONG_REQUEST_TIMEOUT,
            false => REQUEST_TIMEOUT,
        };
        let answered = tokio::time::timeout(most, next.run(request)).await;
        answered.unwrap_or_else(|_| {
            let seconds = most.as_secs();
            Problem::new(Kind::Timeout, format!("a request may take {seconds} s")).into_response()
        })
    };
    add_headers(response.headers_mut());
    response
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        // What may be kept says so itself.
        headers.entry(name).or_insert(value);
    }
}

/// Whether the request is for a loopback address or name. A browser that was led here by a name of somebody else's says
/// that name: in `Host`, or in `:authority` with HTTP/2, which has no `Host` as a rule (RFC 9113, section 8.3.1). Where
/// both are there, neither may say otherwise.
fn names_local_host(request: &Request) -> bool {
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_local_host = |host: &HeaderValue| host.to_str().is_ok_and(is_local);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_local_host(host) && target.is_none_or(is_local),
        (None, _) => target.is_some_and(is_local),
        (Some(_), Some(_)) => false,
    }
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal,
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_local() {
        for (host, local) in [
            ("127.0.0.1:7401", true),
            ("127.0.0.1", true),
            ("127.1.2.3:80", true),
            ("localhost:7401", true),
            ("LocalHost", true),
            ("[::1]:7401", true),
            ("[::ffff:127.0.0.1]:7401", true),
            ("localhost.", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:7401", false),
            ("evil.example:7401", false),
            ("[fe80::1]", false),
            ("0.0.0.0:7401", false),
            ("192.168.1.4", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
