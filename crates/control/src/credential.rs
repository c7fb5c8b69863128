//! Credentials: how they are written, checked for slips, and recognised without being kept.
//!
//! The text is a prefix, 32 random bytes and a checksum of 4 bytes, in lower-case base32 (RFC 4648 "extended hex"
//! alphabet, no padding): it survives a double click, a shell and a log scanner's pattern. What is kept is the SHA-256
//! of the 32 bytes. They are random, so nothing slower is needed, and a look-up by hash gives no timing to learn from.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE32_DNSSEC;
use model::Digest;
use secrecy::SecretString;
use zeroize::Zeroizing;

/// The prefix of an agent's credential.
pub const AGENT_PREFIX: &str = "bwk_";
/// The prefix of an enforcement point's credential.
pub const PEP_PREFIX: &str = "bwp_";
/// The prefix of an administrator's credential.
pub const ADMIN_PREFIX: &str = "bwa_";

const SECRET: usize = 32;
const CHECKSUM: usize = 4;

/// A freshly made credential: the text is shown once.
#[derive(Debug)]
pub(crate) struct NewCredential {
    /// The text to hand out.
    pub(crate) text: SecretString,
    /// What is kept.
    pub(crate) verifier: Digest,
}

/// Makes a credential from 32 random bytes.
pub(crate) fn make(prefix: &str, random: Zeroizing<[u8; SECRET]>) -> NewCredential {
    let mut bytes = Zeroizing::new(random.to_vec());
    bytes.extend_from_slice(&checksum(prefix, random.as_slice()));
    let text = SecretString::from(format!("{prefix}{}", BASE32_DNSSEC.encode(&bytes)));
    NewCredential {
        text,
        verifier: verifier(random.as_slice()),
    }
}

/// What the store knows a credential by, or `None` if the text cannot be one of ours: wrong prefix, length or checksum.
pub fn recognise(prefix: &str, text: &str) -> Option<Digest> {
    let encoded = text.strip_prefix(prefix)?;
    // Bounds the work for hostile input before decoding.
    if encoded.len() != BASE32_DNSSEC.encode_len(SECRET + CHECKSUM) {
        return None;
    }
    let bytes = Zeroizing::new(BASE32_DNSSEC.decode(encoded.as_bytes()).ok()?);
    let (secret, sum) = bytes.split_at_checked(SECRET)?;
    (checksum(prefix, secret) == sum).then(|| verifier(secret))
}

fn verifier(secret: &[u8]) -> Digest {
    let hash = digest(&SHA256, secret);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Digest(bytes)
}

/// The checksum finds slips of the hand before the store is asked; it protects nothing.
fn checksum(prefix: &str, secret: &[u8]) -> [u8; CHECKSUM] {
    let hash = digest(&SHA256, &[prefix.as_bytes(), secret].concat());
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_credential_is_recognised_and_a_slip_is_not() {
        let new = make(AGENT_PREFIX, Zeroizing::new([7; 32]));
        let text = new.text.expose_secret();
        assert_eq!(text.len(), 62);
        assert_eq!(recognise(AGENT_PREFIX, text), Some(new.verifier));
        assert_eq!(recognise(ADMIN_PREFIX, text), None);
        for at in 0..text.len() {
            let mut slip = text.to_owned().into_bytes();
            slip[at] = if slip[at] == b'a' { b'b' } else { b'a' };
            assert_ne!(
                recognise(AGENT_PREFIX, &String::from_utf8(slip).unwrap()),
                Some(new.verifier),
                "at {at}"
            );
        }
        for junk in ["", "bwk_", "sk-abc", &format!("{text}0"), &"é".repeat(40)] {
            assert_eq!(recognise(AGENT_PREFIX, junk), None, "{junk}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let new = make(AGENT_PREFIX, Zeroizing::new([7; 32]));
        let encoded = new.text.expose_secret().trim_start_matches(AGENT_PREFIX).to_owned();
        assert!(!format!("{new:?}").contains(&encoded));
    }
}
