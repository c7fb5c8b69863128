//! The operator's credential in what an upstream answers. Some servers quote the credential they were sent, in the text of
//! an error or among the headers they saw; no caller may learn it that way.

use control::UpstreamSpec;
use http::HeaderMap;
use memchr::memmem;
use secrecy::ExposeSecret as _;

/// A shorter credential is a placeholder for servers that want any (`EMPTY`, `ollama`): such words stand in honest
/// answers, and nobody can use one.
const SECRET_MIN: usize = 16;

/// Whether bytes quote the credential of an upstream. One that comes in two parts is not seen.
pub(crate) fn quotes(upstream: &UpstreamSpec, bytes: &[u8]) -> bool {
    let secret = upstream
        .credential
        .as_ref()
        .map(|secret| secret.expose_secret().as_bytes());
    secret.is_some_and(|secret| secret.len() >= SECRET_MIN && memmem::find(bytes, secret).is_some())
}

/// Takes out the headers that quote it.
pub(crate) fn scrub(upstream: &UpstreamSpec, headers: &mut HeaderMap) {
    // Nearly always there is none.
    if !headers.values().any(|value| quotes(upstream, value.as_bytes())) {
        return;
    }
    let kept = headers.iter().filter(|(_, value)| !quotes(upstream, value.as_bytes()));
    *headers = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
}

#[cfg(test)]
mod tests {
    use llm::Dialect;
    use model::UpstreamName;

    use super::*;

    #[test]
    fn secrets_are_found_and_placeholders_are_not() {
        for (credential, text, expected) in [
            (Some("sk-0123456789abcdef"), "key sk-0123456789abcdef.", true),
            (Some("sk-0123456789abcdef"), "key sk-0123456789abcde", false),
            (Some("ollama"), "ollama says", false),
            (Some(""), "anything", false),
            (None, "anything", false),
        ] {
            let upstream = UpstreamSpec {
                credential: credential.map(|text| text.to_owned().into()),
                ..UpstreamSpec::new(UpstreamName::new("a").unwrap(), Dialect::OpenAi, "http://127.0.0.1")
            };
            assert_eq!(quotes(&upstream, text.as_bytes()), expected, "{credential:?} in {text}");
            let mut headers = HeaderMap::new();
            headers.append("x-a", text.parse().unwrap());
            headers.append("x-a", "other".parse().unwrap());
            scrub(&upstream, &mut headers);
            assert_eq!(headers.len(), if expected { 1 } else { 2 });
        }
    }
}
