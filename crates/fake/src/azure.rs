//! Azure OpenAI's paths: the same endpoints below `/openai`, with the key in `api-key`, and in the first style with the
//! deployment in the path and a version in the query. As there, another key, version or path is refused.
//!
//! <https://learn.microsoft.com/azure/ai-services/openai/reference>

use http::{HeaderValue, request::Parts};

use crate::refusal::{Dialect, Refusal};

/// What stands before all of them.
const MOUNT: &str = "/openai/";

/// The endpoints that a deployment has.
const OF_DEPLOYMENTS: [&str; 8] = [
    "chat/completions",
    "completions",
    "embeddings",
    "images/generations",
    "images/edits",
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
];

/// The path of OpenAI's that a path of Azure's stands for. `None` if it is not Azure's.
pub(crate) fn path_of(path: &str) -> Option<Result<String, ()>> {
    let rest = path.strip_prefix(MOUNT)?;
    if let Some(rest) = rest.strip_prefix("v1/") {
        return Some(Ok(format!("/v1/{rest}")));
    }
    Some(match rest.strip_prefix("deployments/") {
        Some(rest) => match rest.split_once('/') {
            Some((deployment, operation)) if !deployment.is_empty() && OF_DEPLOYMENTS.contains(&operation) => {
                Ok(format!("/v1/{operation}"))
            }
            _ => Err(()),
        },
        None if rest == "responses" || rest == "models" || rest.starts_with("models/") => Ok(format!("/v1/{rest}")),
        None => Err(()),
    })
}

/// Refuses a request in Azure's paths that comes without what Azure wants.
pub(crate) fn refuse(parts: &Parts) -> Result<(), Refusal> {
    let Some(rest) = parts.uri.path().strip_prefix(MOUNT) else {
        return Ok(());
    };
    let key = parts.headers.get("api-key").map(HeaderValue::as_bytes);
    if key.is_none_or(<[u8]>::is_empty) {
        return Err(Refusal::unauthorized_at_azure());
    }
    let query = parts.uri.query().unwrap_or_default();
    let mut versions = query.split('&').filter_map(|pair| pair.strip_prefix("api-version="));
    let versions = (versions.next(), versions.next());
    let fits = match rest.starts_with("v1/") {
        true => matches!(versions, (None | Some("preview" | "v1" | "latest"), None)),
        false => matches!(versions, (Some(version), None) if is_dated(version)),
    };
    let path = parts.uri.path();
    if fits {
        return Ok(());
    }
    Err(Refusal::no_path(Dialect::OpenAi, parts.method.as_str(), path))
}

/// `2024-10-21` or `2024-10-01-preview`.
fn is_dated(version: &str) -> bool {
    let date = version.strip_suffix("-preview").unwrap_or(version);
    let fits = |(at, byte): (usize, u8)| {
        if at == 4 || at == 7 {
            byte == b'-'
        } else {
            byte.is_ascii_digit()
        }
    };
    date.len() == 10 && date.bytes().enumerate().all(fits)
}
