//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): a log's signed word that it had this size and this root.
//!
//! Stricter than the specification in three ways, all of which our logs meet: an origin is always a valid key name,
//! extension lines are refused, and a checkpoint is signed by the key that bears the name of its origin. So a key
//! trusted for one log, or for cosigning, cannot speak for another log.

use std::{fmt, str::FromStr};

use crate::{
    Hash, HashError,
    note::{Note, NoteError, SigningKey, VerifierKey, is_name},
};

/// The name of a log, and of the key that signs its checkpoints: by convention a URL without scheme, such as
/// `bailiwick.example/audit`. Not empty; without spaces, control characters and `+`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// A log's size and root: the body of the note that says so. Displayed as that body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// Leaves in the log.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// Why a text is not a checkpoint, or a checkpoint is not to be believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// The origin, given here, is not one.
    #[error("an origin is not empty and has no spaces, control characters or '+', unlike {0:?}")]
    Origin(String),
    /// The body is not three lines.
    #[error("a checkpoint is three lines: origin, size and root")]
    Lines,
    /// The size, given here, is not a number of leaves in decimal digits without leading zeros.
    #[error("{0:?} is not the size of a log")]
    Size(String),
    /// The root is not a hash.
    #[error("the root of the checkpoint is not a hash")]
    Root(#[source] HashError),
    /// The note is malformed or its signatures do not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The checkpoint of this log is not signed by its key, only by others.
    #[error("a checkpoint of {0} is signed by the key of that name")]
    Signer(Origin),
}

impl Origin {
    /// Checks and takes a name.
    pub fn new(text: impl Into<String>) -> Result<Self, CheckpointError> {
        let text = text.into();
        if is_name(&text) {
            Ok(Self(text))
        } else {
            Err(CheckpointError::Origin(text))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Checkpoint {
    /// Reads the body of a note, believing nothing. Every checkpoint has one body only.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        let lines = body.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let (origin, rest) = lines.split_once('\n').ok_or(CheckpointError::Lines)?;
        let (size, root) = rest.split_once('\n').ok_or(CheckpointError::Lines)?;
        if root.contains('\n') {
            return Err(CheckpointError::Lines);
        }
        Ok(Self {
            origin: Origin::new(origin)?,
            size: parse_size(size)?,
            root: root.parse().map_err(CheckpointError::Root)?,
        })
    }

    /// Signs the checkpoint with the key that bears the name of its origin.
    ///
    /// Whoever calls this answers for the log's one promise: that every checkpoint it ever signed is consistent with
    /// this one.
    pub fn sign(&self, key: &SigningKey) -> Result<Note, CheckpointError> {
        if key.verifier().name() != self.origin.as_str() {
            return Err(CheckpointError::Signer(self.origin.clone()));
        }
        Ok(key.sign(self.to_string())?)
    }

    /// Signs the checkpoint with all keys that the log has at the time: more than one while a key is being exchanged, so
    /// that whoever knows one of them believes it.
    pub fn sign_by_all<'k>(
        &self,
        first: &SigningKey,
        further: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Note, CheckpointError> {
        further.into_iter().try_fold(self.sign(first)?, |note, key| {
            let signed = self.sign(key)?;
            Ok(note.with(signed.signatures().iter().cloned())?)
        })
    }

    /// Reads a signed checkpoint and believes it if a known key that bears the name of its origin signed it.
    pub fn open(text: &str, known: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(text)?;
        let signers = note.verify(known)?;
        let checkpoint = Self::parse(note.body())?;
        if signers.iter().any(|key| key.name() == checkpoint.origin.as_str()) {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Signer(checkpoint.origin))
        }
    }
}

/// Of all the spellings a number has, only the one that is displayed.
fn parse_size(text: &str) -> Result<u64, CheckpointError> {
    match text.parse::<u64>() {
        Ok(size) if size.to_string() == text => Ok(size),
        _ => Err(CheckpointError::Size(text.to_owned())),
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root } = self;
        write!(f, "{origin}\n{size}\n{root}\n")
    }
}

impl FromStr for Origin {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        Self::new(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

#[cfg(test)]
mod tests;
