//! What a log asks a witness.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use tlog::{
    Hash, HashError,
    checkpoint::{Checkpoint, CheckpointError, Origin},
    note::{Note, NoteError},
};

/// Where checkpoints are sent, below a witness's address.
pub const ADD_CHECKPOINT_PATH: &str = "/add-checkpoint";

/// The most hashes of a proof: no tree is higher.
pub const MAX_PROOF: usize = 63;

/// The longest request, in bytes: room for a checkpoint with the largest proof and some thirty post-quantum signatures.
pub const MAX_REQUEST_BYTES: usize = 128 * 1024;

/// "Cosign this checkpoint, which goes on from the one of size `old` that you have cosigned". Displayed as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of what the witness cosigned last, as far as the log knows; 0 if it never did.
    pub old: u64,
    /// That the new tree goes on from the old one; empty if that was empty.
    pub proof: Vec<Hash>,
    note: Note,
    checkpoint: Checkpoint,
}

/// Why a text is not such a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// It is longer than [`MAX_REQUEST_BYTES`].
    #[error("a request has at most {MAX_REQUEST_BYTES} bytes")]
    TooLong,
    /// No empty line sets the checkpoint apart.
    #[error("a request has an empty line before its checkpoint")]
    NoCheckpoint,
    /// The first line does not say the old size.
    #[error("a request begins with `old ` and the size of the old tree in decimal digits")]
    Old,
    /// There are more hashes than [`MAX_PROOF`].
    #[error("a consistency proof has at most {MAX_PROOF} hashes")]
    TooManyHashes,
    /// A line of the proof, counted from 1, is not a hash.
    #[error("line {0} of the consistency proof: {1}")]
    Hash(usize, #[source] HashError),
    /// What should be a checkpoint is not a signed note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// What should be a checkpoint is not one.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
}

impl AddCheckpoint {
    /// Asks for a cosignature of a signed checkpoint.
    ///
    /// # Errors
    /// When the note is not a checkpoint.
    pub fn new(old: u64, proof: Vec<Hash>, note: Note) -> Result<Self, RequestError> {
        if proof.len() > MAX_PROOF {
            return Err(RequestError::TooManyHashes);
        }
        let checkpoint = Checkpoint::parse(note.body())?;
        Ok(Self {
            old,
            proof,
            note,
            checkpoint,
        })
    }

    /// The checkpoint as it is signed. It is believed by nobody yet.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What the checkpoint says. It is believed by nobody yet.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl FromStr for AddCheckpoint {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        if text.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong);
        }
        // The first empty line: that of the note comes behind it.
        let (head, note) = text.split_once("\n\n").ok_or(RequestError::NoCheckpoint)?;
        let (old, proof) = head
            .split_once('\n')
            .map_or((head, None), |(old, rest)| (old, Some(rest)));
        let old = old.strip_prefix("old ").and_then(size).ok_or(RequestError::Old)?;
        let lines = proof.into_iter().flat_map(|proof| proof.split('\n'));
        let mut proof = Vec::new();
        for (line, number) in lines.zip(1..) {
            if number > MAX_PROOF {
                return Err(RequestError::TooManyHashes);
            }
            proof.push(line.parse().map_err(|error| RequestError::Hash(number, error))?);
        }
        Self::new(old, proof, Note::parse(note)?)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

/// Of all the spellings a number has, only the one that is written.
pub(crate) fn size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

/// SHA-256 of a log's name in lower-case hexadecimal digits: how the log is called where names may have any form.
pub(crate) fn origin_hash(origin: &Origin) -> String {
    HEXLOWER.encode(digest(&SHA256, origin.as_str().as_bytes()).as_ref())
}

/// Where the last cosigned checkpoint of a log is found, below a witness's address.
pub fn checkpoint_path(origin: &Origin) -> String {
    format!("/{}/checkpoint", origin_hash(origin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::World;

    #[test]
    fn malformed_requests() {
        let world = World::new();
        let good = world.request(3, 5).to_string();
        assert_eq!(good.parse(), Ok(world.request(3, 5)));
        let hash = world.proof(3, 5).first().unwrap().to_string();
        let note = world.note(5).to_string();
        let parse = |text: &str| text.parse::<AddCheckpoint>().map(drop);
        for (text, expected) in [
            (String::new(), RequestError::NoCheckpoint),
            ("old 0\n".to_owned(), RequestError::NoCheckpoint),
            (
                format!("old 0\n{note}"),
                RequestError::Hash(1, tlog::HashError::Length(0)),
            ),
            (format!("\n\n{note}"), RequestError::Old),
            (format!("old\n\n{note}"), RequestError::Old),
            (format!("old 00\n\n{note}"), RequestError::Old),
            (format!("old +1\n\n{note}"), RequestError::Old),
            (format!("old -1\n\n{note}"), RequestError::Old),
            (format!("old  1\n\n{note}"), RequestError::Old),
            (format!("old 1 \n\n{note}"), RequestError::Old),
            (format!("old 1\r\n\n{note}"), RequestError::Old),
            (format!("Old 1\n\n{note}"), RequestError::Old),
            (format!("old 18446744073709551616\n\n{note}"), RequestError::Old),
            (
                format!("old 1\n{}\n{note}", format!("{hash}\n").repeat(64)),
                RequestError::TooManyHashes,
            ),
            (
                format!("old 1\n{hash}\nAAAA\n\n{note}"),
                RequestError::Hash(2, tlog::HashError::Length(3)),
            ),
            (
                "old 1\n\nnothing\n".to_owned(),
                RequestError::Note(NoteError::NoSignatures),
            ),
            (
                "old 1\n\nnothing\n\n— a AAAAAAA=\n".to_owned(),
                RequestError::Checkpoint(CheckpointError::Lines),
            ),
            (
                format!("{good}{}", "x".repeat(MAX_REQUEST_BYTES)),
                RequestError::TooLong,
            ),
        ] {
            let found = parse(&text);
            // A body that has lost its empty line is one line short; which line that is told of does not matter.
            match expected {
                RequestError::Hash(_, HashError::Length(0)) => assert!(found.is_err(), "{text:?}"),
                expected => assert_eq!(found, Err(expected), "{text:?}"),
            }
        }
        assert!(parse(&format!("old 1\n{}\n{note}", format!("{hash}\n").repeat(63))).is_ok());
    }

    #[test]
    fn a_log_is_found_under_the_hash_of_its_name() {
        // printf %s 'log.example/audit' | sha256sum
        let path = "/cbd6947f91d08f4fc904bb0987574379ac5e35b4aad20e968c683c236868c40a/checkpoint";
        assert_eq!(checkpoint_path(&Origin::new("log.example/audit").unwrap()), path);
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_or_refused(
            old in "(old )?[0-9+]{0,21}",
            proof in "((47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=|[A-Za-z+/=]{0,50})\n){0,3}",
            note in "(a\n1\n47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a AAAAAAA=\n|(\\PC|\n){0,80})",
        ) {
            let text = format!("{old}\n{proof}\n{note}");
            if let Ok(request) = text.parse::<AddCheckpoint>() {
                prop_assert_eq!(request.to_string(), text);
            }
        }
    }
}
