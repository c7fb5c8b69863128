//! Which checkpoints are to be believed: those that a known key signed, or one that the log added beside a known key.
//!
//! Who knows an old key of a log can go on to a new one: the entry that adds it stands in a tree that the old key signed. So
//! what an entry says of keys counts where a checkpoint that is believed already is over it, and no sooner.

use tlog::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{Note, NoteError, VerifierKey},
};

use crate::{
    checkpoints::{Witnessed, witnessed},
    fold::Signer,
    trust::{AddedKey, Known, Trust, asked},
};

/// What is believed once the entries were looked at.
#[derive(Debug)]
pub(super) struct Believed {
    /// The keys that the log adds to the known ones.
    pub(super) keys_added: Vec<AddedKey>,
    /// The sizes of the earlier checkpoints that the log goes on from.
    pub(super) goes_on_from: Vec<u64>,
    /// Which checkpoints are not to be believed.
    pub(super) troubles: Vec<String>,
}

/// A checkpoint that was read, and is not believed yet.
#[derive(Debug)]
pub(super) struct Signed {
    text: String,
    pub(super) checkpoint: Checkpoint,
}

/// The checkpoint of a log, and earlier ones.
#[derive(Debug)]
pub(super) struct Signatures<'a> {
    known: &'a [VerifierKey],
    checkpoint: Signed,
    since: Vec<Signed>,
    /// How many of these were named by whoever asks. The others came with the log: they count where a known key signed them,
    /// and mean nothing otherwise.
    named: usize,
    pub(super) witnesses: Vec<Witnessed>,
}

impl Signed {
    fn read(text: String) -> Result<Self, String> {
        let note = Note::parse(&text).map_err(|error| error.to_string())?;
        let checkpoint = Checkpoint::parse(note.body()).map_err(|error| error.to_string())?;
        Ok(Self { text, checkpoint })
    }

    /// Whether one of these keys signed it; an error if one is said to have, and has not.
    fn is_by(&self, keys: &[VerifierKey]) -> Result<bool, String> {
        match Checkpoint::open(&self.text, keys) {
            Ok(_) => Ok(true),
            Err(CheckpointError::Note(NoteError::UnknownSigners) | CheckpointError::Signer(_)) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl<'a> Signatures<'a> {
    /// Reads the checkpoint of a log and the earlier ones, and says what is wrong with them in any case. Where no known key
    /// signed it, the handovers that came with the log may lead to the key that did.
    pub(super) fn read(
        text: String,
        trust: &Trust,
        known: &'a Known,
        handovers: impl FnOnce() -> Vec<String>,
    ) -> Result<Self, String> {
        let wrong = |error: String| format!("the checkpoint is not to be believed: {error}");
        let checkpoint = Signed::read(text).map_err(wrong)?;
        let mut since = Vec::new();
        for (text, number) in trust.since.iter().zip(1..) {
            let old = Signed::read(text.clone());
            let old = old.map_err(|error| format!("earlier checkpoint {number} is not to be believed: {error}"))?;
            if old.checkpoint.origin != checkpoint.checkpoint.origin {
                let other = &old.checkpoint.origin;
                return Err(format!("earlier checkpoint {number} is of another log, {other}"));
            }
            since.push(old);
        }
        let named = since.len();
        let Known {
            keys,
            handovers: proofs,
        } = known;
        let by_known = checkpoint.is_by(keys).map_err(wrong)?;
        let of_this = |old: &Signed| {
            let (old, now) = (&old.checkpoint, &checkpoint.checkpoint);
            old.origin == now.origin && old.size <= now.size
        };
        // What led to a key is held against the log as well.
        let mut more: Vec<String> = proofs.iter().map(|proof| proof.note.clone()).collect();
        if !by_known {
            more.extend(handovers());
        }
        since.extend(
            more.into_iter()
                .filter_map(|text| Signed::read(text).ok())
                .filter(of_this),
        );
        let mut leads = by_known;
        for (old, number) in since.iter().zip(1..) {
            let by_known = old.is_by(keys);
            leads |= match by_known {
                Ok(by_known) => by_known,
                Err(_) if number > named => false,
                Err(error) => return Err(format!("earlier checkpoint {number} is not to be believed: {error}")),
            };
        }
        if !leads {
            return Err(wrong(NoteError::UnknownSigners.to_string()));
        }
        let witnesses = asked(trust.quorum.as_ref(), |quorum| witnessed(&checkpoint.text, quorum));
        Ok(Self {
            known: keys,
            witnesses: witnesses.map_err(wrong)?,
            checkpoint,
            since,
            named,
        })
    }

    pub(super) fn checkpoint(&self) -> &Signed {
        &self.checkpoint
    }

    pub(super) fn since(&self) -> &[Signed] {
        &self.since
    }

    /// What is believed, given what the log's entries say, whether they are those of the checkpoint, and of which earlier
    /// ones. Another one of the same size may be of another history, so these are numbers and not sizes.
    pub(super) fn verify(&self, said: &[(u64, Signer)], signed: bool, met: &[usize]) -> Believed {
        let mut keys = self.known.to_vec();
        let mut added = Vec::new();
        let earlier: Vec<&Signed> = met.iter().filter_map(|number| self.since.get(*number)).collect();
        let borne_out: Vec<&Signed> = earlier
            .iter()
            .copied()
            .chain(signed.then_some(&self.checkpoint))
            .collect();
        loop {
            let believed = borne_out.iter().filter(|signed| signed.is_by(&keys) == Ok(true));
            let reach = believed.map(|signed| signed.checkpoint.size).max().unwrap_or(0);
            let fresh = said.iter().find_map(|(entry, signer)| match signer {
                Signer::Added { key, beside } if *entry < reach && !knows(&keys, key) && knows(&keys, beside) => {
                    Some((*entry, key.parse::<VerifierKey>().ok()?))
                }
                _ => None,
            });
            let Some((entry, key)) = fresh else { break };
            let text = key.to_string();
            added.push(AddedKey { entry, key: text });
            keys.push(key);
        }
        let mut troubles = Vec::new();
        let unknown = "no known key signed it, nor one that the log added beside a known one";
        for (old, number) in self.since.iter().take(self.named).zip(1..) {
            if old.is_by(&keys) != Ok(true) {
                troubles.push(format!("earlier checkpoint {number} is not to be believed: {unknown}"));
            }
        }
        let retired = said.iter().filter_map(|(entry, signer)| match signer {
            Signer::Retired(key) if *entry < self.checkpoint.checkpoint.size => Some((*entry, key)),
            _ => None,
        });
        let retired: Vec<(u64, &String)> = retired.collect();
        let is_retired = |key: &VerifierKey| retired.iter().any(|(_, text)| **text == key.to_string());
        let (gone, active): (Vec<_>, Vec<_>) = keys.iter().cloned().partition(is_retired);
        match (self.checkpoint.is_by(&active), self.checkpoint.is_by(&gone)) {
            (Ok(true), _) => {}
            (_, Ok(true)) => troubles.push(format!(
                "the checkpoint is signed by a key that signs no more since entry {}",
                retired.iter().map(|(entry, _)| *entry).max().unwrap_or(0)
            )),
            _ => troubles.push(format!("the checkpoint is not to be believed: {unknown}")),
        }
        let believed = earlier.iter().filter(|old| old.is_by(&keys) == Ok(true));
        let mut goes_on_from: Vec<u64> = believed.map(|old| old.checkpoint.size).collect();
        goes_on_from.dedup();
        // Where these are not the entries that were signed, nothing that they add is worth to be known.
        if !signed {
            added.clear();
        }
        Believed {
            keys_added: added,
            goes_on_from,
            troubles,
        }
    }
}

fn knows(keys: &[VerifierKey], text: &str) -> bool {
    keys.iter().any(|key| key.to_string() == text)
}
