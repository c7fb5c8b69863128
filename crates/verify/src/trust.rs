//! What whoever checks knows before: keys, what leads from them to newer ones, and witnesses.
//!
//! Who knew an old key of a log goes on to a new one by the entry that adds it, where that entry stands in a tree that the old
//! key signed. A whole log has its entries; for what was handed over alone, a proof of that entry is such a handover.

use entry::{Entry, Event};
use serde::Serialize;
use tlog::{cosignature::Quorum, note::VerifierKey, proof_file::ProofFile};

use crate::{checkpoints::Witnessed, proof::logged, report::NotProven};

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
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// All of them.
    pub(crate) keys: Vec<VerifierKey>,
    /// Those of them that proofs added.
    pub(crate) added: Vec<AddedKey>,
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
        let mut added = Vec::new();
        let mut left: Vec<_> = self.handovers.iter().zip(1..).collect();
        while !left.is_empty() {
            let mut waiting = Vec::new();
            let mut why = None;
            for (text, number) in left.iter().copied() {
                match handover(text, &keys) {
                    Ok((key, by)) => {
                        keys.push(key);
                        added.push(by);
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
        Ok(Known { keys, added })
    }
}

impl Known {
    /// What is not proven where a key is believed because another one is.
    pub(crate) fn not_proven(&self) -> Option<NotProven> {
        (!self.added.is_empty()).then(|| {
            NotProven::new(
                "handovers",
                "that nobody but the log's server had an older key when it signed for the newer one: who has a key that leaked \
                 can add another",
            )
        })
    }
}

/// The witnesses that cosigned, if enough did, where that is asked for.
pub(crate) fn asked(
    quorum: Option<&Quorum>,
    met: impl FnOnce(&Quorum) -> Result<Vec<Witnessed>, String>,
) -> Result<Vec<Witnessed>, String> {
    quorum.map_or_else(|| Ok(Vec::new()), met)
}

/// The key that an entry adds beside one of these, where one of these has signed the tree in which it stands.
fn handover(text: &str, known: &[VerifierKey]) -> Result<(VerifierKey, AddedKey), String> {
    let file = ProofFile::parse(text).map_err(|error| error.to_string())?;
    let checkpoint = file.verify(None, known).map_err(|error| error.to_string())?;
    let bytes = file.extra.as_deref().unwrap_or_default();
    let entry = Entry::decode(bytes).map_err(|error| error.to_string())?;
    logged(&entry, &file, &checkpoint)?;
    let Event::SigningKeyAdded { key, beside, .. } = &entry.event else {
        return Err(format!(
            "entry {} is of the kind {}: it adds no key. `bailiwick audit prove --handover KEY` proves the entry that does",
            entry.index,
            entry.event.kind()
        ));
    };
    if !known.iter().any(|known| known.to_string() == *beside) {
        return Err(format!(
            "entry {} adds its key beside one that is not known, {beside}",
            entry.index
        ));
    }
    let added = AddedKey {
        entry: entry.index,
        key: key.clone(),
    };
    let key = key.parse::<VerifierKey>();
    Ok((key.map_err(|error| error.to_string())?, added))
}
