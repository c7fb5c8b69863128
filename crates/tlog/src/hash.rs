//! The 32-byte hash and the three ways RFC 6962, section 2.1, makes one.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::{BASE64, DecodeError, DecodeKind};

/// Keeps leaves and nodes apart: without it, the two hashes under a node could be passed off as a leaf.
const LEAF_PREFIX: u8 = 0x00;
const NODE_PREFIX: u8 = 0x01;

/// A SHA-256 hash of a leaf, a node or a whole tree. Displayed and parsed as standard base64 with padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// Why bytes or a text are not a hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HashError {
    /// The number of bytes, given here, is not 32.
    #[error("a hash has 32 bytes, not {0}")]
    Length(usize),
    /// The text is not standard base64 with padding.
    #[error("a hash is written in standard base64")]
    Base64(#[from] DecodeError),
}

impl Hash {
    /// Takes exactly 32 bytes. Any other length is refused here, so that no two short values ever compare as equal.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, HashError> {
        bytes.try_into().map(Self).map_err(|_| HashError::Length(bytes.len()))
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::from_slice(&base64(text)?)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Reads standard base64 with padding in the one spelling that is written. The library also takes texts that were put
/// one behind the other, each with its own padding, which are another spelling of bytes that have one already.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    match text.trim_end_matches('=').find('=') {
        Some(position) => Err(DecodeError {
            position,
            kind: DecodeKind::Padding,
        }),
        None => BASE64.decode(text.as_bytes()),
    }
}

/// The hash of one leaf: `SHA-256(0x00 || leaf)`.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[LEAF_PREFIX], leaf])
}

/// The hash of the node over two subtrees: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[NODE_PREFIX], &left.0, &right.0])
}

/// The root of the tree without leaves: `SHA-256("")`.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// SHA-256 over the parts one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    #[expect(clippy::expect_used, reason = "a SHA-256 digest has 32 bytes")]
    Hash::from_slice(context.finish().as_ref()).expect("32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn text_round_trips() {
        assert_eq!(empty_root().to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(empty_root()));
        assert_eq!(format!("{:?}", empty_root()), format!("Hash({EMPTY})"));
    }

    #[test]
    fn only_32_bytes_are_a_hash() {
        for length in (0..100).filter(|length| *length != 32) {
            let bytes = vec![0; length];
            assert_eq!(Hash::from_slice(&bytes), Err(HashError::Length(length)));
            assert_eq!(BASE64.encode(&bytes).parse::<Hash>(), Err(HashError::Length(length)));
        }
    }

    #[test]
    fn other_spellings_of_a_hash_are_refused() {
        for text in [
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",    // no padding
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",   // a stray bit after the last byte
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",   // the URL alphabet
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", // a newline
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85", // hexadecimal
            "4w==sMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZkbeFK4VQ==", // the first byte as a text of its own
        ] {
            assert!(matches!(text.parse::<Hash>(), Err(HashError::Base64(_))), "{text:?}");
        }
    }
}
