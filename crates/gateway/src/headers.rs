//! Which headers pass, and which credential they carry.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of one connection only (RFC 9110, section 7.6.1), and those that hyper writes itself.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

/// Request headers that name a credential, a person, an account or a place. The agent's own credential must not reach the
/// provider, and nobody downstream may believe an identity that a caller wrote itself. Which of the provider's accounts
/// pays (`openai-organization`, `openai-project`) is the operator's choice, made with the upstream's credential.
const IDENTITY: [&str; 19] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-amz-security-token",
    "cookie",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-user",
    "x-user-id",
    "x-tenant",
    "x-tenant-id",
    "x-agent-id",
    "openai-organization",
    "openai-project",
    "from",
];

/// Headers by which some servers take a request for one of another method or path: it would be another than the one that
/// was governed.
const OTHER_REQUEST: [&str; 5] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Request headers that are written here, or say what is true of the caller's connection only. An `Idempotency-Key` is an
/// agent's own, while a provider knows only the operator's account: it would take two agents' keys for one, and a fallback
/// for the call before it.
const OURS: [&str; 5] = [
    "host",
    "accept-encoding",
    "expect",
    "content-encoding",
    "idempotency-key",
];

/// Response headers that speak of the provider's address or the operator's account there. A caller would take them for
/// words on the gateway: where else it can be reached (RFC 7838), how (RFC 6797), whom to report to.
const PROVIDERS: [&str; 12] = [
    "set-cookie",
    "set-cookie2",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
    "public-key-pins",
    "public-key-pins-report-only",
    "nel",
    "report-to",
    "reporting-endpoints",
    "openai-organization",
    "openai-project",
];

/// The prefixes of more headers that name who asks.
const IDENTITY_PREFIXES: [&str; 3] = ["x-forwarded-", "x-auth-", "bailiwick-"];

/// The run an agent names.
pub const RUN: &str = "bailiwick-run";
/// The task type an agent names.
pub const TASK: &str = "bailiwick-task";

/// Credentials that differ: which of them is meant is not ours to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// The credential a request presents: a bearer credential, or Anthropic's header, or Azure's. The same one may be in all.
///
/// # Errors
/// Two that differ.
pub fn credential(headers: &HeaderMap) -> Result<Option<&str>, Ambiguous> {
    let text = |name: HeaderName| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let bearers = text(header::AUTHORIZATION).filter_map(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    let keys = ["x-api-key", "api-key"].map(HeaderName::from_static);
    let keys = keys.into_iter().flat_map(text).map(str::trim);
    let mut presented = bearers.chain(keys).filter(|text| !text.is_empty());
    let first = presented.next();
    if presented.any(|other| Some(other) != first) {
        return Err(Ambiguous);
    }
    Ok(first)
}

/// The content type, if there is one. Of two, an upstream may believe the other: a form's boundary stands in it.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, String> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err("The header content-type is given twice.".to_owned());
    }
    Ok(first.and_then(|value| value.to_str().ok()))
}

/// A run or task type: short, printable, or refused.
///
/// # Errors
/// What the header takes, for the caller.
pub fn label(headers: &HeaderMap, name: &str) -> Result<Option<String>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("The header {name} is given twice."));
    }
    let text = value.to_str().ok().filter(|text| {
        (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    });
    match text {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(format!("The header {name} takes 1 to 128 printable ASCII characters.")),
    }
}

/// How long an upstream asks to be left alone (RFC 9110, section 10.2.3), where it says so in seconds, or in milliseconds
/// as OpenAI's does. A date is not heeded: clocks differ.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    number("retry-after-ms")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// The headers to send upstream: everything but hop-by-hop and identity headers, and the upstream's own in place of any
/// of the same name.
pub fn to_upstream(from: &HeaderMap, own: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(from.len() + 1 + own.len());
    let dropped = connection_names(from);
    for (name, value) in from {
        let text = &*folded(name);
        let identity = IDENTITY.contains(&text)
            || OTHER_REQUEST.contains(&text)
            || IDENTITY_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
        let replaced = OURS.contains(&text) || own.iter().any(|(own, _)| folded(own) == text);
        if !identity && !replaced && !HOP_BY_HOP.contains(&text) && !is_named(&dropped, name) {
            headers.append(name.clone(), value.clone());
        }
    }
    // The reply has to be read for its usage, so it must not come compressed.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, mut value) in own {
        // Most are credentials; whatever they are, they are not the caller's to see.
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

/// The headers to give the caller: everything but hop-by-hop headers and what is the provider's and the operator's.
pub fn to_caller(from: &HeaderMap) -> HeaderMap {
    let dropped = connection_names(from);
    let mut headers = HeaderMap::with_capacity(from.len() + 6);
    for (name, value) in from {
        let text = name.as_str();
        let withheld = PROVIDERS.contains(&text) || text.starts_with("bailiwick-");
        if !withheld && !HOP_BY_HOP.contains(&text) && !is_named(&dropped, name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// A name as servers see it that hand headers on as CGI variables (RFC 3875, section 4.1.18): there `_` and `-` are one.
fn folded(name: &HeaderName) -> Cow<'_, str> {
    let text = name.as_str();
    if text.contains('_') {
        Cow::Owned(text.replace('_', "-"))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_named(names: &[Vec<u8>], name: &HeaderName) -> bool {
    names.iter().any(|named| named == name.as_str().as_bytes())
}

/// The header names that a `Connection` header declares to be of this connection only. As bytes: beside one that is no
/// text the others still count.
fn connection_names(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let values = headers.get_all(header::CONNECTION).into_iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn credentials_are_found_where_sdks_put_them() {
        for (headers, expected) in [
            (map(&[("authorization", "Bearer bwk_1")]), Ok(Some("bwk_1"))),
            (map(&[("authorization", "bearer  bwk_1 ")]), Ok(Some("bwk_1"))),
            (map(&[("x-api-key", "bwk_2")]), Ok(Some("bwk_2"))),
            (
                map(&[("authorization", "Bearer bwk_1"), ("x-api-key", "bwk_1")]),
                Ok(Some("bwk_1")),
            ),
            (
                map(&[("authorization", "Bearer bwk_1"), ("x-api-key", "bwk_2")]),
                Err(Ambiguous),
            ),
            (map(&[("api-key", "bwk_3")]), Ok(Some("bwk_3"))),
            (map(&[("x-api-key", "bwk_2"), ("api-key", "bwk_3")]), Err(Ambiguous)),
            (
                map(&[("authorization", "Basic abc"), ("x-api-key", "bwk_2")]),
                Ok(Some("bwk_2")),
            ),
            (map(&[("authorization", "Basic abc")]), Ok(None)),
            (map(&[("authorization", "Bearer ")]), Ok(None)),
            (map(&[]), Ok(None)),
        ] {
            assert_eq!(credential(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn identity_and_connection_headers_stay_here() {
        let from = map(&[
            ("host", "gateway"),
            ("authorization", "Bearer bwk_1"),
            ("x-api-key", "bwk_1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("bailiwick-run", "r1"),
            ("openai-organization", "org-1"),
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("accept-encoding", "gzip"),
            ("anthropic-version", "2023-06-01"),
            ("api-key", "bwk_1"),
            ("x-team", "theirs"),
            ("x-stainless-lang", "python"),
            ("content-type", "application/json"),
        ]);
        let credential = (header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-up"));
        let team = (HeaderName::from_static("x-team"), HeaderValue::from_static("ours"));
        let to = to_upstream(&from, vec![credential, team]);
        let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept-encoding",
                "anthropic-version",
                "authorization",
                "content-type",
                "x-stainless-lang",
                "x-team"
            ]
        );
        assert_eq!(
            (&to["authorization"], &to["x-team"]),
            (&"Bearer sk-up".parse().unwrap(), &"ours".parse().unwrap())
        );
        assert_eq!(to["accept-encoding"], "identity");
        assert!(!format!("{to:?}").contains("sk-up"), "a sensitive value is not printed");
    }

    #[test]
    fn no_spelling_of_a_withheld_header_passes() {
        let own = || vec![(HeaderName::from_static("x-team"), HeaderValue::from_static("ours"))];
        for name in [
            "authorization",
            "x_api_key",
            "x-goog-api-key",
            "ocp-apim-subscription-key",
            "ocp_apim-subscription_key",
            "x-amz-security-token",
            "x_forwarded_for",
            "x_auth_user",
            "bailiwick_run",
            "openai_organization",
            "x_http_method_override",
            "transfer_encoding",
            "idempotency-key",
            "idempotency_key",
            "x_team",
        ] {
            let to = to_upstream(&map(&[(name, "1"), ("x_other", "2")]), own());
            let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["accept-encoding", "x-team", "x_other"], "{name}");
            assert_eq!(to["x-team"], "ours");
        }
    }

    #[test]
    fn callers_get_nothing_of_the_providers_address_and_account() {
        for name in PROVIDERS.into_iter().chain(["bailiwick-decision", "connection"]) {
            let to = to_caller(&map(&[(name, "1"), ("openai-processing-ms", "2")]));
            let names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["openai-processing-ms"], "{name}");
        }
    }

    #[test]
    fn connection_headers_are_dropped_beside_one_that_is_no_text() {
        let mut from = map(&[("x-private", "1"), ("x-public", "2")]);
        let odd = HeaderValue::from_bytes(b"x-private, \xff").unwrap();
        from.insert(header::CONNECTION, odd);
        for passed in [to_upstream(&from, Vec::new()), to_caller(&from)] {
            assert!(!passed.contains_key("x-private") && passed.contains_key("x-public"));
        }
    }

    #[test]
    fn labels_are_short_and_printable() {
        assert_eq!(
            label(&map(&[("bailiwick-run", "nightly 7")]), RUN),
            Ok(Some("nightly 7".to_owned()))
        );
        assert_eq!(label(&map(&[]), RUN), Ok(None));
        assert!(label(&map(&[("bailiwick-run", "")]), RUN).is_err());
        let mut long = HeaderMap::new();
        long.insert(RUN, HeaderValue::from_str(&"x".repeat(129)).unwrap());
        assert!(label(&long, RUN).is_err());
    }
}
