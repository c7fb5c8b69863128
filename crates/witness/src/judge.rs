//! The rules of the protocol, as a function of what a witness knows.

use tlog::{
    checkpoint::{Checkpoint, Origin},
    empty_root,
    note::{Signature, VerifierKey},
    proof::verify_extension,
};

use crate::{AddCheckpoint, Refusal};

/// A log that a witness cosigns for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    origin: Origin,
    keys: Vec<VerifierKey>,
}

/// Why a log cannot be cosigned for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// There is no key.
    #[error("the log {0} has no key: ask its operator for its vkey")]
    NoKey(Origin),
    /// A key has another name than its log.
    #[error("the key {key} is not of the log {origin}: a log's key bears its name")]
    OtherName {
        /// The log.
        origin: Origin,
        /// The name of the key.
        key: String,
    },
}

impl KnownLog {
    /// A log and the keys of which each may sign for it.
    pub fn new(origin: Origin, keys: Vec<VerifierKey>) -> Result<Self, LogError> {
        match keys.iter().find(|key| key.name() != origin.as_str()) {
            _ if keys.is_empty() => Err(LogError::NoKey(origin)),
            Some(key) => Err(LogError::OtherName {
                key: key.name().to_owned(),
                origin,
            }),
            None => Ok(Self { origin, keys }),
        }
    }

    /// Its name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a signature claims to be by one of its keys.
    pub(crate) fn claims(&self, signature: &Signature) -> bool {
        let made = |key: &VerifierKey| key.name() == signature.name() && key.id() == signature.id();
        self.keys.iter().any(made)
    }
}

/// Whether a checkpoint is to be cosigned: by a witness to which `log` is known under the checkpoint's origin, and that
/// has cosigned `seen` of it last, or nothing. Where there is no refusal, what was asked about is what was seen from then
/// on.
///
/// The order is that of the specification: what is malformed was refused before; then unknown logs, then signatures,
/// then sizes, then the proof. Nobody but the log learns what was cosigned last.
pub fn judge(log: Option<&KnownLog>, seen: Option<&Checkpoint>, request: &AddCheckpoint) -> Result<(), Refusal> {
    let new = request.checkpoint();
    let Some(log) = log.filter(|log| log.origin == new.origin) else {
        return Err(Refusal::UnknownLog(new.origin.to_string()));
    };
    // Every known key bears the log's name, so whoever signed may speak for it.
    request.note().verify(&log.keys).map_err(Refusal::Unsigned)?;
    if request.old > new.size {
        return Err(Refusal::Backwards {
            old: request.old,
            new: new.size,
        });
    }
    let (old_size, old_root) = seen.map_or((0, empty_root()), |seen| (seen.size, seen.root));
    if request.old != old_size {
        return Err(Refusal::OtherSize(old_size));
    }
    if new.size == old_size && new.root != old_root {
        return Err(Refusal::Forked(old_size));
    }
    let proved = verify_extension(old_size, new.size, old_root, new.root, &request.proof);
    proved.map_err(|error| Refusal::Unproved {
        old: old_size,
        new: new.size,
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use tlog::note::NoteError;

    use super::*;
    use crate::testing::{World, flip};

    /// Every answer, by what is asked and what was seen.
    #[test]
    fn every_answer() {
        let world = World::new();
        let fork = World::forked_at(4);
        let log = world.log();
        let ask = |seen: Option<u64>, request: &AddCheckpoint| {
            let seen = seen.map(|size| world.checkpoint(size));
            judge(Some(&log), seen.as_ref(), request)
        };
        let unproved = |old, new| move |found: &Refusal| matches!(found, Refusal::Unproved { old: o, new: n, .. } if (*o, *n) == (old, new));

        // What is cosigned: from nothing, onwards, and the same again.
        for (seen, old, new) in [
            (None, 0, 1),
            (None, 0, 9),
            (None, 0, 0),
            (Some(0), 0, 9),
            (Some(1), 1, 2),
            (Some(5), 5, 9),
        ] {
            assert_eq!(ask(seen, &world.request(old, new)), Ok(()), "{seen:?} {old} {new}");
        }
        assert_eq!(ask(Some(5), &world.request(5, 5)), Ok(()));

        // Sizes.
        assert_eq!(
            ask(None, &world.request_with(9, 5, vec![])),
            Err(Refusal::Backwards { old: 9, new: 5 })
        );
        assert_eq!(ask(None, &world.request(3, 5)), Err(Refusal::OtherSize(0)));
        assert_eq!(ask(Some(5), &world.request(3, 5)), Err(Refusal::OtherSize(5)));
        assert_eq!(ask(Some(5), &world.request(0, 5)), Err(Refusal::OtherSize(5)));
        assert_eq!(
            ask(Some(5), &world.request(3, 4)),
            Err(Refusal::OtherSize(5)),
            "an older one is not taken"
        );
        assert_eq!(
            ask(Some(5), &world.request_with(5, 4, vec![])),
            Err(Refusal::Backwards { old: 5, new: 4 })
        );

        // Proofs.
        let proof = world.proof(3, 5);
        let mut longer = proof.clone();
        longer.push(longer[0]);
        let flipped: Vec<_> = proof.iter().map(|hash| flip(*hash)).collect();
        for wrong in [vec![], proof[1..].to_vec(), longer, flipped, world.proof(2, 5)] {
            let found = ask(Some(3), &world.request_with(3, 5, wrong)).unwrap_err();
            assert!(unproved(3, 5)(&found), "{found:?}");
        }
        let padded = ask(None, &world.request_with(0, 5, proof.clone())).unwrap_err();
        assert!(unproved(0, 5)(&padded), "from nothing the proof is empty: {padded:?}");
        let padded = ask(Some(5), &world.request_with(5, 5, proof)).unwrap_err();
        assert!(unproved(5, 5)(&padded), "{padded:?}");

        // Forks: at the same size, and behind a size that both had.
        assert_eq!(ask(Some(5), &fork.request(5, 5)), Err(Refusal::Forked(5)));
        let found = ask(Some(5), &fork.request(5, 9)).unwrap_err();
        assert!(unproved(5, 9)(&found), "{found:?}");
        assert_eq!(
            ask(Some(3), &fork.request(3, 9)),
            Ok(()),
            "before the fork there is one history"
        );
    }

    #[test]
    fn who_has_signed_is_asked_before_anything_is_told() {
        let world = World::new();
        let log = world.log();
        let seen = world.checkpoint(5);
        let other = KnownLog::new(
            Origin::new("other.example").unwrap(),
            vec![world.key("other.example", 9).verifier().clone()],
        );
        let request = world.request(3, 5);
        let unknown = Err(Refusal::UnknownLog(world.origin().to_string()));
        assert_eq!(judge(None, None, &request), unknown);
        assert_eq!(judge(other.as_ref().ok(), None, &request), unknown);
        // Not by the log: the size that was cosigned is not told.
        let stranger = world.signed_by(&[&world.key(world.origin().as_str(), 9)], 3, 5);
        assert_eq!(
            judge(Some(&log), Some(&seen), &stranger),
            Err(Refusal::Unsigned(NoteError::UnknownSigners))
        );
        let altered: AddCheckpoint = world
            .request(3, 5)
            .to_string()
            .replace("\n5\n", "\n6\n")
            .parse()
            .unwrap();
        let found = judge(Some(&log), Some(&seen), &altered);
        assert!(
            matches!(found, Err(Refusal::Unsigned(NoteError::BadSignature { .. }))),
            "{found:?}"
        );
        // While a key is exchanged both sign; either is enough.
        let (old, new) = (
            world.key(world.origin().as_str(), 1),
            world.key(world.origin().as_str(), 2),
        );
        let both = world.signed_by(&[&old, &new], 5, 6);
        for key in [&old, &new] {
            let log = KnownLog::new(world.origin(), vec![key.verifier().clone()]).unwrap();
            assert_eq!(judge(Some(&log), Some(&seen), &both), Ok(()));
        }
    }

    #[test]
    fn a_log_has_keys_of_its_name() {
        let world = World::new();
        let key = world.key("other.example", 1).verifier().clone();
        assert_eq!(
            KnownLog::new(world.origin(), vec![]),
            Err(LogError::NoKey(world.origin()))
        );
        let error = KnownLog::new(world.origin(), vec![key]).unwrap_err();
        assert!(error.to_string().contains("other.example"), "{error}");
    }
}
