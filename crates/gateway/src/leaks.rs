//! The operator's credential in what an upstream answers. Some servers quote the credential they were sent, in the text of
//! an error or among the headers they saw; no caller may learn it that way.

use control::UpstreamSpec;
use http::HeaderMap;
use memchr::memmem;
use secrecy::{ExposeSecret as _, zeroize::Zeroizing};

/// A shorter credential is a placeholder for servers that want any (`EMPTY`, `ollama`): such words stand in honest
/// answers, and nobody can use one.
const SECRET_MIN: usize = 16;

/// What may be nobody's but the operator's.
fn secret(upstream: &UpstreamSpec) -> Option<&[u8]> {
    let secret = upstream.credential.as_ref()?.expose_secret().as_bytes();
    (secret.len() >= SECRET_MIN).then_some(secret)
}

/// Whether bytes quote the credential of an upstream. One that comes in two parts is seen by a [`Watch`].
pub(crate) fn quotes(upstream: &UpstreamSpec, bytes: &[u8]) -> bool {
    secret(upstream).is_some_and(|secret| memmem::find(bytes, secret).is_some())
}

/// Looks for the credential in a body that passes in pieces, and holds none of them back for it: the piece to refuse is
/// the one with which half of the credential would have been delivered, and the other half is as good as none of it.
#[derive(Default)]
pub(crate) struct Watch {
    /// How much of the credential's beginning the pieces so far end with.
    begun: usize,
}

impl Watch {
    /// Whether the next piece quotes the credential, with those before it, or ends with half of it or more.
    pub(crate) fn quotes(&mut self, upstream: &UpstreamSpec, piece: &[u8]) -> bool {
        let Some(secret) = secret(upstream) else {
            return false;
        };
        if memmem::find(piece, secret).is_some() {
            return true;
        }
        // What the pieces before end with is the credential's own beginning, so only how much of it need be known.
        let begun = secret.get(..self.begun).unwrap_or_default();
        let edge = piece.get(..piece.len().min(secret.len())).unwrap_or_default();
        let joined = Zeroizing::new([begun, edge].concat());
        if memmem::find(&joined, secret).is_some() {
            return true;
        }
        let end = match piece.len() > secret.len() {
            true => piece,
            false => &joined,
        };
        let longest = (1..secret.len()).rev();
        self.begun = longest
            .filter_map(|length| secret.get(..length))
            .find(|beginning| end.ends_with(beginning))
            .map_or(0, <[u8]>::len);
        self.begun >= secret.len().div_ceil(2)
    }
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

    fn upstream(credential: Option<&str>) -> UpstreamSpec {
        UpstreamSpec {
            credential: credential.map(|text| text.to_owned().into()),
            ..UpstreamSpec::new(UpstreamName::new("a").unwrap(), Dialect::OpenAi, "http://127.0.0.1")
        }
    }

    /// How many pieces pass.
    fn passing(upstream: &UpstreamSpec, pieces: &[&[u8]]) -> usize {
        let mut watch = Watch::default();
        let refused = pieces.iter().position(|piece| watch.quotes(upstream, piece));
        refused.unwrap_or(pieces.len())
    }

    #[test]
    fn a_secret_in_pieces_is_found() {
        // Its beginning stands in it once more, so a beginning that leads nowhere may be the middle of the real one.
        const SECRET: &str = "sk-sk-0123456789sk-sk-0";
        let text = format!(
            "sk-sk-sk- {} not sk-sk-012 this one: \"sk-sk-{SECRET}\".",
            "x".repeat(40)
        );
        let at = text.find(SECRET).unwrap();
        let upstream = upstream(Some(SECRET));
        let bytes = text.as_bytes();
        let most = SECRET.len().div_ceil(2) - 1;
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                let passed: usize = pieces[..passing(&upstream, &pieces)]
                    .iter()
                    .map(|piece| piece.len())
                    .sum();
                assert!(passed <= at + most, "cut at {first} and {second}");
            }
        }
        for size in 1..bytes.len() {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let passed = passing(&upstream, &pieces) * size;
            assert!(passed <= at + most, "pieces of {size}");
            assert!(passed + size > at, "pieces of {size} before the secret pass");
        }
    }

    #[test]
    fn what_only_begins_like_a_secret_passes() {
        let pieces = [
            &b"sk-01234"[..],
            b"",
            b"4567sk-0",
            b"1",
            b"23sk",
            b"-01234x",
            b"89abcdef",
        ];
        for credential in [Some("sk-0123456789abcdef"), Some("sk-01"), Some(""), None] {
            assert_eq!(passing(&upstream(credential), &pieces), pieces.len(), "{credential:?}");
        }
    }

    #[test]
    fn secrets_are_found_and_placeholders_are_not() {
        for (credential, text, expected) in [
            (Some("sk-0123456789abcdef"), "key sk-0123456789abcdef.", true),
            (Some("sk-0123456789abcdef"), "key sk-0123456789abcde", false),
            (Some("ollama"), "ollama says", false),
            (Some(""), "anything", false),
            (None, "anything", false),
        ] {
            let upstream = upstream(credential);
            assert_eq!(quotes(&upstream, text.as_bytes()), expected, "{credential:?} in {text}");
            let mut headers = HeaderMap::new();
            headers.append("x-a", text.parse().unwrap());
            headers.append("x-a", "other".parse().unwrap());
            scrub(&upstream, &mut headers);
            assert_eq!(headers.len(), if expected { 1 } else { 2 });
        }
    }
}
