//! What stands at the gate: paths, headers, credentials, names.

use aws_lc_rs::digest::{SHA256, digest};
use control::{ADMIN_PREFIX, AGENT_PREFIX, recognise};
use data_encoding::BASE32_DNSSEC;
use gateway::headers::{RUN, TASK, credential, label, to_caller, to_upstream};
use gateway::route::{RESERVED, Route, route};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use llm::{Dialect, Endpoint, EndpointError, MAX_NAME_BYTES};
use model::{ActionId, AdminName, AgentName, BudgetName, Digest, KeyId, MAX_NAME, TenantName, UpstreamName};

use crate::{assert_plain, must};

/// A path: it names an upstream or not, and what is accepted has one spelling only.
pub fn routes(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    let found = route(path);
    assert_eq!(route(path), found);
    let Route::Upstream { name, rest } = found else {
        return;
    };
    assert_eq!(path.strip_prefix('/').unwrap_or(path), format!("{name}{rest}"));
    assert!(
        !name.is_empty() && !name.contains('/') && !RESERVED.contains(&name),
        "{name:?}"
    );
    assert!(rest.is_empty() || rest.starts_with('/'), "{rest:?}");
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for method in ["GET", "POST", "get", "PUT", ""] {
            let found = Endpoint::find(dialect, method, rest);
            assert_eq!(Endpoint::find(dialect, method, rest), found);
            match found {
                Ok(target) => {
                    let endpoint = target.endpoint;
                    assert_eq!((endpoint.dialect(), endpoint.method()), (dialect, method));
                    let written = endpoint.path().replace("{id}", target.id.unwrap_or_default());
                    assert_eq!(written, rest, "another spelling of {}", endpoint.path());
                    assert_eq!(target.id.is_some(), endpoint.path().contains('{'));
                    one_spelling(rest);
                }
                Err(EndpointError::Method { allowed }) => {
                    assert!(allowed != method && Endpoint::find(dialect, allowed, rest).is_ok());
                }
                Err(EndpointError::Unknown { path, known }) => {
                    let listed = known.contains(&rest) && !rest.contains('{');
                    assert!(path == rest && !listed);
                }
            }
        }
    }
}

/// Nothing in an accepted path may mean another one to somebody: no dot or empty segments, nothing escaped, no
/// backslash, no query.
fn one_spelling(path: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._:-".contains(&byte);
    assert!(path.bytes().all(plain), "{path:?}");
    let segments = path.strip_prefix('/').unwrap_or_default().split('/');
    for segment in segments {
        assert!(
            !matches!(segment, "" | "." | ".."),
            "{path:?} has the segment {segment:?}"
        );
        assert!(segment.len() <= MAX_NAME_BYTES);
    }
}

/// Headers, one a line: which credential they carry, and which of them pass in either direction.
pub fn headers(data: &[u8]) {
    let mut map = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    if let Ok(Some(credential)) = credential(&map) {
        assert!(
            !credential.is_empty() && credential.trim() == credential,
            "{credential:?}"
        );
    }
    for name in [RUN, TASK] {
        match label(&map, name) {
            Ok(None) => assert!(!map.contains_key(name)),
            Ok(Some(text)) => {
                let plain = |c: char| c.is_ascii_graphic() || c == ' ';
                assert!((1..=128).contains(&text.len()) && text.chars().all(plain), "{text:?}");
            }
            Err(message) => assert_plain(&message),
        }
    }
    let dropped: Vec<Vec<u8>> = map
        .get_all(header::CONNECTION)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    let declared = |name: &HeaderName| dropped.iter().any(|drop| drop == name.as_str().as_bytes());
    check_upstream(&map, &declared);
    let back = to_caller(&map);
    for name in back.keys() {
        let ours = name.as_str().starts_with("bailiwick-") || name == header::SET_COOKIE;
        assert!(
            !ours && !is_hop_by_hop(name) && !declared(name),
            "{name} reaches the caller"
        );
    }
}

fn check_upstream(map: &HeaderMap, declared: &dyn Fn(&HeaderName) -> bool) {
    let ours = || {
        (
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer of-the-upstream"),
        )
    };
    for credential in [None, Some(ours())] {
        let sent = to_upstream(map, credential.clone().into_iter().collect());
        for name in sent.keys().filter(|name| **name != header::ACCEPT_ENCODING) {
            let text = name.as_str();
            let identity = matches!(
                text,
                "authorization" | "x-api-key" | "api-key" | "cookie" | "forwarded" | "via" | "from" | "host"
            );
            let identity = identity
                || ["x-forwarded-", "x-auth-", "bailiwick-"]
                    .iter()
                    .any(|p| text.starts_with(p));
            let is_ours = credential.as_ref().is_some_and(|(ours, _)| ours == name);
            assert!(is_ours || !identity, "{name} reaches the upstream");
            assert!(
                is_ours || !is_hop_by_hop(name) && !declared(name),
                "{name} reaches the upstream"
            );
        }
        let values = |name: HeaderName| sent.get_all(name).into_iter().cloned().collect::<Vec<_>>();
        let expected: Vec<_> = credential.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values(header::AUTHORIZATION), expected);
        assert_eq!(values(header::ACCEPT_ENCODING), ["identity"]);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "content-length"
    )
}

/// A credential: what is recognised has the right checksum, and what is made of the first 32 bytes is recognised until a
/// slip of the hand, which is the rest of the bytes.
pub fn credentials(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for prefix in [AGENT_PREFIX, ADMIN_PREFIX] {
        if let Some(verifier) = recognise(prefix, &text) {
            let encoded = text.strip_prefix(prefix).unwrap_or_default().to_ascii_lowercase();
            let bytes = must(BASE32_DNSSEC.decode(encoded.as_bytes()), "what is recognised decodes");
            let (secret, _) = bytes.split_at(32);
            assert_eq!(
                written(prefix, secret),
                format!("{prefix}{encoded}"),
                "the checksum is wrong"
            );
            assert_eq!(verifier, sha256(secret));
        }
        let Some((secret, slips)) = data.split_at_checked(32) else {
            continue;
        };
        let mut made = written(prefix, secret).into_bytes();
        assert_eq!(recognise(prefix, &String::from_utf8_lossy(&made)), Some(sha256(secret)));
        let other = if prefix == AGENT_PREFIX {
            ADMIN_PREFIX
        } else {
            AGENT_PREFIX
        };
        assert_eq!(recognise(other, &String::from_utf8_lossy(&made)), None);
        if let [at, byte, ..] = slips {
            let at = usize::from(*at) % made.len();
            let same = made.get_mut(at).is_none_or(|slot| {
                let same = slot.eq_ignore_ascii_case(byte) && at >= prefix.len() || slot == byte;
                *slot = *byte;
                same
            });
            let found = recognise(prefix, &String::from_utf8_lossy(&made));
            assert_eq!(found.is_some(), same, "a slip at {at}");
        }
    }
}

/// How a credential is written, a second time.
fn written(prefix: &str, secret: &[u8]) -> String {
    let sum = digest(&SHA256, &[prefix.as_bytes(), secret].concat());
    let sum = sum.as_ref().get(..4).unwrap_or_default();
    format!("{prefix}{}", BASE32_DNSSEC.encode(&[secret, sum].concat()))
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest(hash)
}

/// Names and ids: what is accepted is plain, short, and written again as it was.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let all = [
        TenantName::new(text).map(|name| name.to_string()),
        AgentName::new(text).map(|name| name.to_string()),
        UpstreamName::new(text).map(|name| name.to_string()),
        BudgetName::new(text).map(|name| name.to_string()),
        AdminName::new(text).map(|name| name.to_string()),
        KeyId::new(text).map(|name| name.to_string()),
    ];
    for name in all {
        match name {
            Ok(name) => {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
                assert_eq!(name, text);
                assert!(
                    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain),
                    "{name:?}"
                );
                assert!(!name.starts_with(['-', '.']), "{name:?} in a path");
            }
            Err(error) => assert_plain(&error.to_string()),
        }
    }
    if let Ok(id) = text.parse::<ActionId>() {
        assert_eq!(ActionId::from_bytes(*id.as_bytes()), id);
        assert_eq!(id.to_string().parse(), Ok(id), "an id is read as it is written");
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
    }
}
