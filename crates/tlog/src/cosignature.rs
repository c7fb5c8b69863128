//! Cosignatures (<https://c2sp.org/tlog-cosignature>): what a witness signs under a checkpoint.
//!
//! With one a witness says that, at a time, this was the largest tree it had seen of the log, and that it goes on from all
//! that it had seen before. A log that shows different histories to different people cannot have both cosigned by the same
//! witness; so whoever asks for the word of several, which somebody else runs, need not believe the log's operator.
//!
//! Only Ed25519 cosignatures (type 0x04) are made and verified. Those of ML-DSA-44 (type 0x06) are read and kept as signatures
//! by unknown keys.

use std::{collections::BTreeSet, fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::note::{KeyError, KeyId, Note, NoteError, Signature, Vkey, is_name};

/// The signature type of Ed25519 cosignatures in the C2SP registry.
const COSIGNATURE_TYPE: u8 = 0x04;
/// What is signed begins with this line, so that no cosignature is a signature of anything else.
const HEADER: &str = "cosignature/v1\n";
/// The latest time that can be signed, in seconds since 1970.
const MAX_TIME: u64 = i64::MAX.unsigned_abs();

/// A witness's public key. Parsed from and displayed as a `vkey` of type 0x04.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignerKey {
    name: String,
    id: KeyId,
    public: [u8; 32],
}

/// A witness's private key. The only copy held is AWS-LC's; `Debug` shows the name and the id.
pub struct CosigningKey {
    cosigner: CosignerKey,
    pair: Ed25519KeyPair,
}

/// A witness's word, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosignature<'k> {
    /// Whose.
    pub cosigner: &'k CosignerKey,
    /// When the witness gave it by its own clock, in seconds since 1970.
    pub time: u64,
}

/// How many of which witnesses are enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    known: Vec<CosignerKey>,
    needed: usize,
}

/// Why there is no quorum.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuorumError {
    /// The same key is named twice, perhaps under two names: it would count as two witnesses.
    #[error("the keys of {0} and {1} are the same: one witness counts once")]
    SameKey(String, String),
    /// More cosignatures are asked for than there are witnesses.
    #[error("{needed} cosignatures are asked for, and {known} witnesses are known")]
    TooMany {
        /// How many are asked for.
        needed: usize,
        /// How many witnesses are known.
        known: usize,
    },
    /// Too few of the known witnesses have cosigned.
    #[error("{found} of {needed} cosignatures are there")]
    Missing {
        /// How many known witnesses have cosigned.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The note is malformed, or a known witness's cosignature does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl CosignerKey {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            id: KeyId::of(name, COSIGNATURE_TYPE, &public),
            public,
        })
    }

    /// Name of the witness.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether a signature claims to be by this key.
    pub fn made(&self, signature: &Signature) -> bool {
        signature.name() == self.name && signature.id() == self.id
    }

    /// When this key cosigned the body of a note, if it is its signature and holds.
    fn time_of(&self, body: &str, signature: &Signature) -> Option<u64> {
        let (time, bytes) = signature.bytes().split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        if time > MAX_TIME {
            return None;
        }
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        key.verify(message(body, time).as_bytes(), bytes).ok()?;
        Some(time)
    }
}

impl CosigningKey {
    /// The key of this name with this Ed25519 seed. The message does not hold the witness's name, so a seed must not be used
    /// under two names.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Crypto)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Crypto)?;
        let cosigner = CosignerKey::new(name, public)?;
        Ok(Self { cosigner, pair })
    }

    /// The public key.
    pub fn cosigner(&self) -> &CosignerKey {
        &self.cosigner
    }

    /// Cosigns the body of a checkpoint at a time in seconds since 1970. Whoever calls this answers for the witness's one
    /// promise: that the checkpoint goes on from every other one of the log that it has ever cosigned.
    pub fn cosign(&self, body: &str, time: u64) -> Result<Signature, KeyError> {
        let time = time.min(MAX_TIME);
        let signed = self.pair.try_sign(message(body, time).as_bytes());
        let signed = signed.map_err(|_| KeyError::Crypto)?;
        let bytes = [&time.to_be_bytes(), signed.as_ref()].concat();
        Ok(Signature::new(&self.cosigner.name, self.cosigner.id, bytes))
    }
}

/// The cosignatures of a note by known witnesses, in the order of the note; each witness once, with its latest time.
///
/// Signatures by unknown keys are passed over. One by a known key that does not hold is an error even when others do:
/// someone altered the note.
pub fn cosignatures<'k>(note: &Note, known: &'k [CosignerKey]) -> Result<Vec<Cosignature<'k>>, NoteError> {
    let mut found: Vec<Cosignature<'k>> = Vec::new();
    for signature in note.signatures() {
        let Some(cosigner) = known.iter().find(|key| key.made(signature)) else {
            continue;
        };
        let Some(time) = cosigner.time_of(note.body(), signature) else {
            return Err(NoteError::BadSignature {
                name: cosigner.name.clone(),
                id: cosigner.id,
            });
        };
        // The same public key under two names is one witness.
        match found.iter_mut().find(|other| other.cosigner.public == cosigner.public) {
            Some(earlier) => earlier.time = earlier.time.max(time),
            None => found.push(Cosignature { cosigner, time }),
        }
    }
    Ok(found)
}

impl Quorum {
    /// `needed` of the witnesses with these keys.
    pub fn new(known: Vec<CosignerKey>, needed: usize) -> Result<Self, QuorumError> {
        for (index, key) in known.iter().enumerate() {
            if let Some(other) = known.iter().take(index).find(|other| other.public == key.public) {
                return Err(QuorumError::SameKey(other.name.clone(), key.name.clone()));
            }
        }
        match known.len() {
            count if needed > count => Err(QuorumError::TooMany { needed, known: count }),
            _ => Ok(Self { known, needed }),
        }
    }

    /// The witnesses.
    pub fn known(&self) -> &[CosignerKey] {
        &self.known
    }

    /// How many of them are enough.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// The cosignatures of a note, if there are enough.
    pub fn met(&self, note: &Note) -> Result<Vec<Cosignature<'_>>, QuorumError> {
        let found = cosignatures(note, &self.known)?;
        match found.len() {
            count if count < self.needed => Err(QuorumError::Missing {
                found: count,
                needed: self.needed,
            }),
            _ => Ok(found),
        }
    }

    /// The witnesses that have not cosigned a note.
    pub fn absent<'q>(&'q self, note: &Note) -> Result<Vec<&'q CosignerKey>, NoteError> {
        let there = cosignatures(note, &self.known)?;
        let there: BTreeSet<_> = there.iter().map(|found| found.cosigner.public).collect();
        Ok(self.known.iter().filter(|key| !there.contains(&key.public)).collect())
    }
}

/// What is signed.
fn message(body: &str, time: u64) -> String {
    format!("{HEADER}time {time}\n{body}")
}

impl FromStr for CosignerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let vkey = Vkey::parse(text)?;
        if vkey.kind != COSIGNATURE_TYPE {
            return Err(KeyError::CosignerType(vkey.kind));
        }
        let key = Self::new(vkey.name, vkey.public.try_into().map_err(|_| KeyError::Format)?)?;
        key.id.stands(vkey.stated)?;
        Ok(key)
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Vkey::write(f, &self.name, self.id, COSIGNATURE_TYPE, &self.public)
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosigningKey({} {})", self.cosigner.name, self.cosigner.id)
    }
}

#[cfg(test)]
mod tests;
