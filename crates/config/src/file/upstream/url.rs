//! `base_url`: where requests go, and where they must not go by mistake.
//!
//! Messages never repeat a URL: it may hold a credential.

use http::Uri;

use super::host;
use crate::{node::Placed, problem::Findings};

const MAX_URL: usize = 255;

/// What is wrong, and what to do about it.
type Wrong = (&'static str, &'static str);

/// A base URL without the slash at its end.
pub(super) fn check(url: &Placed<String>, private: bool, findings: &mut Findings) -> Option<String> {
    match check_url(&url.value, private) {
        Ok(()) => Some(url.value.trim_end_matches('/').to_owned()),
        Err((message, help)) => {
            findings.add_with_help(url.mark, message, help);
            None
        }
    }
}

fn check_url(text: &str, private: bool) -> Result<(), Wrong> {
    let example = "write a base URL such as \"https://api.openai.com\"";
    let wrong = |message| Err((message, example));
    if text.contains(['{', '}']) {
        return Err((
            "the base URL has a variable ({...})",
            "scheme, host and port are always the same; write what differs into `path`, below the base URL",
        ));
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("the base URL is not a URL");
    };
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err((
            "the base URL holds credentials (user:password@...)",
            "put the key into `api_key`, by reference",
        ));
    }
    let host = uri.host().unwrap_or_default();
    let port = authority.strip_prefix(host).unwrap_or_default();
    match uri.scheme_str() {
        _ if text.len() > MAX_URL => wrong("the base URL is longer than 255 characters"),
        Some("http" | "https") if host.is_empty() => wrong("the base URL has no host"),
        Some("http" | "https") if !port.is_empty() && uri.port_u16().is_none() => {
            wrong("the base URL has a port that is not a number up to 65535")
        }
        Some("http" | "https") if uri.query().is_some() => Err((
            "the base URL has a query (?...)",
            "write what every request should have in its query into `query`",
        )),
        // `Uri` leaves a fragment out.
        Some("http" | "https") if text.contains('#') => wrong("the base URL has a fragment (#...)"),
        Some("http" | "https") if is_odd(uri.path()) => Err((
            "the base URL has a path that servers read differently",
            "leave out dot segments, empty segments, `;`, backslashes and percent-encoding",
        )),
        Some("http" | "https") => host::check(host, private),
        _ => wrong("the base URL does not start with https:// or http://"),
    }
}

/// Whether a path has what one server resolves and another does not.
fn is_odd(path: &str) -> bool {
    let inner = path.trim_matches('/');
    let segments = || inner.split('/');
    !inner.is_empty()
        && segments().any(|segment| matches!(segment, "" | "." | "..") || segment.contains(['%', ';', '\\']))
}
