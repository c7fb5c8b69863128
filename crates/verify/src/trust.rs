//! What whoever checks knows before: keys, what leads from them to newer ones, and witnesses.
//!
//! Who knew an old key of a log goes on to a new one by the entry that adds it, where that entry stands in a tree that the old
//! key signed. A whole log has its entries; for what was handed over alone, a proof of that entry is such a handover.

use entry::{Entry, Event};
use serde::Serialize;
use tlog::{
    checkpoint::{Checkpoint, CheckpointError},
    cosignature::Quorum,
    note::{NoteError, VerifierKey},
    proof_file::ProofFile,
};

use crate::{checkpoints::Witnessed, proof::logged};

/// What is known of a log before anything of it is looked at.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The log's keys.
    pub keys: Vec<VerifierKey>,
    /// Texts of proofs, each of an entry by which the log added a key: a key that a known one leads to is known too.
    pub handovers: Vec<String>,
    /// How many of which witnesses must have cosigned its checkpoint, if any.
    pub quorum: Option<Quorum>,
    /// Texts of earlier checkpoints of a whole log: it must go on from each. Where its key was exchanged since, one that a
    /// known key signed leads to the new one; so do those in `handover/` of the log's directory.
    pub since: Vec<String>,
}

/// A key that a log added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddedKey {
    /// The entry that says so.
    pub entry: u64,
    /// The key, as C2SP writes verifier keys.
    pub key: String,
}

/// The keys that are believed.
#[derive(Debug)]
pub(crate) struct Known {
    /// All of them.
    pub(crate) keys: Vec<VerifierKey>,
    /// What led to some of them.
    pub(crate) handovers: Vec<Handover>,
}

/// A proof that leads to a key.
#[derive(Debug)]
pub(crate) struct Handover {
    key: VerifierKey,
    added: AddedKey,
    /// What a known key signed, as text: the log has to bear it out.
    pub(crate) note: String,
    /// What it says.
    pub(crate) checkpoint: Checkpoint,
}

impl Trust {
    /// Only these keys are known.
    pub fn in_keys(keys: impl IntoIterator<Item = VerifierKey>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The keys that are believed: those that are named, and those that the proofs lead to from them, in whatever order.
    ///
    /// # Errors
    /// A proof leads nowhere.
    pub(crate) fn known(&self) -> Result<Known, String> {
        let mut keys = self.keys.clone();
        let mut handovers = Vec::new();
        let mut left: Vec<_> = self.handovers.iter().zip(1..).collect();
        while !left.is_empty() {
            let mut waiting = Vec::new();
            let mut why = None;
            for (text, number) in left.iter().copied() {
                match Handover::read(text, &keys) {
                    Ok(handover) => {
                        keys.push(handover.key.clone());
                        handovers.push(handover);
                    }
                    Err(error) => {
                        why.get_or_insert_with(|| format!("handover {number} is not to be believed: {error}"));
                        waiting.push((text, number));
                    }
                }
            }
            // Each round leads on, or is the last one.
            if let Some(why) = why.filter(|_| waiting.len() == left.len()) {
                return Err(why);
            }
            left = waiting;
        }
        Ok(Known { keys, handovers })
    }
}

impl Known {
    /// The keys that were added to those that were named.
    pub(crate) fn added(&self) -> Vec<AddedKey> {
        self.handovers.iter().map(|handover| handover.added.clone()).collect()
    }

    /// Refuses a checkpoint that a handover contradicts: both are signed, and they are of two histories.
    pub(crate) fn bear_out(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let forked = |signed: &Checkpoint| {
            signed.origin == checkpoint.origin && signed.size == checkpoint.size && signed.root != checkpoint.root
        };
        match self.handovers.iter().any(|handover| forked(&handover.checkpoint)) {
            true => Err(format!(
                "it and a handover are both over {} entries and have different roots: the log shows two histories. Keep \
                 both, signed as they are: they prove it",
                checkpoint.size
            )),
            false => Ok(()),
        }
    }
}

/// Why a checkpoint is not believed, and what to do where a key was exchanged.
pub(crate) fn unbelievable(error: &CheckpointError) -> String {
    match error {
        CheckpointError::Note(NoteError::UnknownSigners) => format!(
            "{error}; where the log's key was exchanged since, --handover leads from the key that you know to the one that signs"
        ),
        error => error.to_string(),
    }
}

/// The witnesses that cosigned, if enough did, where that is asked for.
pub(crate) fn asked(
    quorum: Option<&Quorum>,
    met: impl FnOnce(&Quorum) -> Result<Vec<Witnessed>, String>,
) -> Result<Vec<Witnessed>, String> {
    quorum.map_or_else(|| Ok(Vec::new()), met)
}

impl Handover {
    /// The key that an entry adds beside one of these, where one of these has signed the tree in which it stands.
    fn read(text: &str, known: &[VerifierKey]) -> Result<Self, String> {
        let file = ProofFile::parse(text).map_err(|error| error.to_string())?;
        let checkpoint = file.verify(None, known).map_err(|error| error.to_string())?;
        let bytes = file.extra.as_deref().unwrap_or_default();
        let entry = Entry::decode(bytes).map_err(|error| error.to_string())?;
        logged(&entry, &file, &checkpoint)?;
        let (index, name) = (entry.index, checkpoint.origin.as_str());
        let Event::SigningKeyAdded { key, beside, .. } = entry.event else {
            return Err(format!(
                "entry {index} is of the kind {}: it adds no key. `bailiwick audit prove --handover KEY` proves the entry that \
                 does",
                entry.event.kind()
            ));
        };
        let by = known.iter().find(|known| known.to_string() == beside);
        let by = by.ok_or_else(|| format!("entry {index} adds its key beside one that is not known, {beside}"))?;
        let added = AddedKey {
            entry: index,
            key: key.clone(),
        };
        let key = key.parse::<VerifierKey>().map_err(|error| error.to_string())?;
        // A log speaks for itself, whatever keys of others are known.
        if key.name() != name || by.name() != name {
            return Err(format!("entry {index} of {name} adds a key of another log, {key}"));
        }
        Ok(Self {
            key,
            added,
            note: file.checkpoint.to_string(),
            checkpoint,
        })
    }
}
