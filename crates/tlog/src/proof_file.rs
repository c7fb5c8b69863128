//! Proofs as files (<https://c2sp.org/tlog-proof>): that an entry is in a log, in one text that is checked offline.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>              (may be absent)
//! index <n>
//! <hash>                      (from the leaf's sibling up to the root's child)
//! ...
//!
//! <checkpoint>
//! ```
//!
//! The format proves a leaf's hash. Our files carry the entry itself as `extra`, so that one file is enough; nothing signs
//! `extra`, but an entry that hashes to the proved leaf is the one that was logged.

use std::fmt;

use data_encoding::BASE64;

use crate::{
    Hash, HashError,
    checkpoint::{Checkpoint, CheckpointError},
    hash::base64,
    leaf_hash,
    note::{MAX_NOTE_BYTES, Note, NoteError, VerifierKey},
    proof::{ProofError, verify_inclusion},
};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The most bytes of `extra`: as many as an entry can have.
pub const MAX_EXTRA: usize = 65_535;
/// The most hashes: a tree of 2^63 leaves has no longer way.
const MAX_HASHES: usize = 63;
/// The longest file: `extra` in base64, the hashes, a few words, and a checkpoint.
pub const MAX_BYTES: usize = MAX_EXTRA.div_ceil(3) * 4 + MAX_HASHES * 45 + 256 + MAX_NOTE_BYTES;

/// The proof that an entry is in a log. Displayed as it is stored; what was parsed is displayed as the very same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// What the maker put beside the proof, signed by nobody. In the files of a Bailiwick: the entry.
    pub extra: Option<Vec<u8>>,
    /// The index of the entry.
    pub index: u64,
    /// The inclusion proof.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint. Believed by [`verify`](Self::verify) only.
    pub checkpoint: Note,
}

/// Why a text is not a proof, or proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// The text is longer than [`MAX_BYTES`].
    #[error("a proof has at most {MAX_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// The first line is another one.
    #[error("a proof begins with the line {HEADER}")]
    Header,
    /// `extra` is not base64, or too long.
    #[error("the line `extra` is not standard base64 of at most {MAX_EXTRA} bytes")]
    Extra,
    /// There is no line with an index, or it is not a decimal number without leading zeros.
    #[error("a proof has a line `index` with the entry's number in decimal")]
    Index,
    /// No empty line comes before the checkpoint.
    #[error("a proof has an empty line between its hashes and its checkpoint")]
    NoCheckpoint,
    /// There are more hashes than a tree can have levels.
    #[error("a proof has at most {MAX_HASHES} hashes")]
    TooManyHashes,
    /// A line, counted from 1 after the index, is not a hash.
    #[error("hash {number}: {source}")]
    Hash {
        /// Which one.
        number: usize,
        /// Why.
        source: HashError,
    },
    /// The checkpoint is not a note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint is not to be believed.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The proof carries no entry, and none was given.
    #[error("the proof does not carry the entry: it has to be given beside it")]
    NoEntry,
    /// The entry is not in the log.
    #[error("the entry is not the one that was logged there: {0}")]
    Proof(#[from] ProofError),
}

impl ProofFile {
    /// Reads a proof, believing nothing.
    pub fn parse(text: &str) -> Result<Self, ProofFileError> {
        if text.len() > MAX_BYTES {
            return Err(ProofFileError::TooLong(text.len()));
        }
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let mut rest = rest.ok_or(ProofFileError::Header)?;
        let mut extra = None;
        if let Some(tail) = rest.strip_prefix("extra ") {
            let (line, tail) = tail.split_once('\n').ok_or(ProofFileError::Extra)?;
            let bytes = base64(line).map_err(|_| ProofFileError::Extra)?;
            if bytes.len() > MAX_EXTRA {
                return Err(ProofFileError::Extra);
            }
            extra = Some(bytes);
            rest = tail;
        }
        let (index, mut rest) = rest
            .strip_prefix("index ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or(ProofFileError::Index)?;
        let parsed: u64 = index.parse().map_err(|_| ProofFileError::Index)?;
        if parsed.to_string() != index {
            return Err(ProofFileError::Index);
        }
        let mut hashes = Vec::new();
        loop {
            let (line, tail) = rest.split_once('\n').ok_or(ProofFileError::NoCheckpoint)?;
            rest = tail;
            if line.is_empty() {
                break;
            }
            if hashes.len() == MAX_HASHES {
                return Err(ProofFileError::TooManyHashes);
            }
            let number = hashes.len() + 1;
            let hash = line.parse().map_err(|source| ProofFileError::Hash { number, source })?;
            hashes.push(hash);
        }
        Ok(Self {
            extra,
            index: parsed,
            hashes,
            checkpoint: Note::parse(rest)?,
        })
    }

    /// Checks everything: a known key of the log signed the checkpoint, and `entry`, or else the entry that the file
    /// carries, stands at the index in the tree that was signed. The checkpoint that is to be believed.
    pub fn verify(&self, entry: Option<&[u8]>, known: &[VerifierKey]) -> Result<Checkpoint, ProofFileError> {
        let checkpoint = Checkpoint::open(&self.checkpoint.to_string(), known)?;
        let entry = entry.or(self.extra.as_deref()).ok_or(ProofFileError::NoEntry)?;
        let leaf = leaf_hash(entry);
        verify_inclusion(self.index, checkpoint.size, leaf, &self.hashes, checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode_display(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests;
