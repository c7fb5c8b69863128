//! The Ed25519 keys that sign notes and check them.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

use super::is_name;
use crate::{
    Hash,
    hash::{base64, sha256},
};

/// The signature type of plain Ed25519 in the C2SP registry.
const ED25519_TYPE: u8 = 0x01;

/// Tells apart the keys of one name: the first four bytes of the hash of name, type and public key. Too short to stand
/// for the key itself. Displayed as 8 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 4]);

/// A public key that notes are checked with. Parsed from and displayed as a `vkey`:
/// `<name>+<key id>+<base64 of type and key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    public: [u8; 32],
}

/// A private key that signs notes. The only copy held is AWS-LC's, which wipes its memory when freed; `Debug` shows the
/// name and the id.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

/// Why a key cannot be read or used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The name, given here, is not one.
    #[error("a key name is not empty and has no spaces, control characters or '+', unlike {0:?}")]
    Name(String),
    /// The text is not a verifier key.
    #[error("a verifier key is <name>+<8 lower-case hexadecimal digits>+<base64>")]
    Format,
    /// The key is of the signature type given here, not the one supported: plain Ed25519.
    #[error("the verifier key has type {0:#04x}, not Ed25519 (0x01)")]
    Type(u8),
    /// The key is of the signature type given here, and not a witness's: Ed25519 cosignatures.
    #[error("the verifier key has type {0:#04x}, not that of a witness's Ed25519 key (0x04){help}", help = witness_help(*.0))]
    CosignerType(u8),
    /// The text is not a key's id.
    #[error("a key's id is 8 lower-case hexadecimal digits")]
    IdFormat,
    /// The id in the text is not the id of the key: name or key were altered or mistyped.
    #[error("the verifier key says its id is {stated}, but it is {actual}")]
    Id {
        /// The id in the text.
        stated: KeyId,
        /// The id of the key.
        actual: KeyId,
    },
    /// The cryptographic library refused a private key or failed to sign.
    #[error("the cryptographic library failed to use the private key")]
    Crypto,
}

/// What is said of the types that are likely to be met in the place of a witness's.
fn witness_help(kind: u8) -> &'static str {
    match kind {
        ED25519_TYPE => ": it is the key of a log",
        0x06 => ": cosignatures of ML-DSA-44 are not verified; ask the witness for its Ed25519 key",
        _ => "",
    }
}

impl VerifierKey {
    /// The key of this name with this Ed25519 public key.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            id: KeyId::of(name, ED25519_TYPE, &public),
            public,
        })
    }

    /// Name of the key: who signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key: which of the name's keys it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether this key made the Ed25519 signature (RFC 8032) of the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(message, signature)
            .is_ok()
    }
}

impl SigningKey {
    /// The key of this name with this Ed25519 seed (RFC 8032: the private key). The same seed gives the same key.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Crypto)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Crypto)?;
        let verifier = VerifierKey::new(name, public)?;
        Ok(Self { verifier, pair })
    }

    /// The public key, to be handed to those who check.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The Ed25519 signature of a message.
    pub(super) fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.try_sign(message).map_err(|_| KeyError::Crypto)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl KeyId {
    /// The id of a public key with this name and of this signature type.
    pub(crate) fn of(name: &str, kind: u8, public: &[u8]) -> Self {
        let Hash([a, b, c, d, ..]) = sha256(&[name.as_bytes(), b"\n", &[kind], public]);
        Self([a, b, c, d])
    }

    /// Refuses a key whose text states another id.
    pub(crate) fn stands(self, stated: Self) -> Result<(), KeyError> {
        match self == stated {
            true => Ok(()),
            false => Err(KeyError::Id { stated, actual: self }),
        }
    }
}

/// The parts of a `vkey`, nothing of which is checked but its form.
pub(crate) struct Vkey<'t> {
    pub(crate) name: &'t str,
    pub(crate) stated: KeyId,
    pub(crate) kind: u8,
    pub(crate) public: Vec<u8>,
}

impl<'t> Vkey<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, KeyError> {
        // Names have no '+', base64 may.
        let (name, rest) = text.split_once('+').ok_or(KeyError::Format)?;
        let (id, key) = rest.split_once('+').ok_or(KeyError::Format)?;
        let stated = id.parse().map_err(|_| KeyError::Format)?;
        let key = base64(key).map_err(|_| KeyError::Format)?;
        let (kind, public) = key.split_first().ok_or(KeyError::Format)?;
        Ok(Self {
            name,
            stated,
            kind: *kind,
            public: public.to_vec(),
        })
    }

    /// Writes one.
    pub(crate) fn write(f: &mut fmt::Formatter<'_>, name: &str, id: KeyId, kind: u8, public: &[u8]) -> fmt::Result {
        let key = [&[kind], public].concat();
        write!(f, "{name}+{id}+{}", BASE64.encode_display(&key))
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let id = bytes.and_then(|bytes| bytes.try_into().ok());
        id.map(Self).ok_or(KeyError::IdFormat)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let vkey = Vkey::parse(text)?;
        if vkey.kind != ED25519_TYPE {
            return Err(KeyError::Type(vkey.kind));
        }
        let key = Self::new(vkey.name, vkey.public.try_into().map_err(|_| KeyError::Format)?)?;
        key.id.stands(vkey.stated)?;
        Ok(key)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Vkey::write(f, &self.name, self.id, ED25519_TYPE, &self.public)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.verifier.name, self.verifier.id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
