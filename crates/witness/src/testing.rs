//! A log to be witnessed, for tests.

use tlog::{
    CompactRange, Hash,
    checkpoint::{Checkpoint, Origin},
    leaf_hash,
    note::{Note, SigningKey},
    proof,
};

use crate::{AddCheckpoint, KnownLog};

const ORIGIN: &str = "log.example/audit";
const LEAVES: u64 = 300;

pub(crate) struct World {
    leaves: Vec<Hash>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::forked_at(LEAVES)
    }

    /// The same log, but that from an entry on it has others.
    pub(crate) fn forked_at(fork: u64) -> Self {
        let leaf = |index: u64| leaf_hash(&[index.to_be_bytes(), u64::from(index >= fork).to_be_bytes()].concat());
        Self {
            leaves: (0..LEAVES).map(leaf).collect(),
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::new(ORIGIN).unwrap()
    }

    pub(crate) fn key(&self, name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, &[seed; 32]).unwrap()
    }

    pub(crate) fn log(&self) -> KnownLog {
        KnownLog::new(self.origin(), vec![self.key(ORIGIN, 1).verifier().clone()]).unwrap()
    }

    fn first(&self, size: u64) -> &[Hash] {
        &self.leaves[..usize::try_from(size).unwrap()]
    }

    pub(crate) fn checkpoint(&self, size: u64) -> Checkpoint {
        let tree: CompactRange = self.first(size).iter().copied().collect();
        Checkpoint {
            origin: self.origin(),
            size,
            root: tree.root(),
        }
    }

    pub(crate) fn note(&self, size: u64) -> Note {
        self.checkpoint(size).sign(&self.key(ORIGIN, 1)).unwrap()
    }

    pub(crate) fn proof(&self, old: u64, new: u64) -> Vec<Hash> {
        proof::consistency(self.first(new), old).unwrap()
    }

    pub(crate) fn request(&self, old: u64, new: u64) -> AddCheckpoint {
        self.request_with(old, new, self.proof(old, new))
    }

    pub(crate) fn request_with(&self, old: u64, new: u64, proof: Vec<Hash>) -> AddCheckpoint {
        AddCheckpoint::new(old, proof, self.note(new)).unwrap()
    }

    pub(crate) fn signed_by(&self, keys: &[&SigningKey], old: u64, new: u64) -> AddCheckpoint {
        let (first, further) = keys.split_first().unwrap();
        let note = self
            .checkpoint(new)
            .sign_by_all(first, further.iter().copied())
            .unwrap();
        AddCheckpoint::new(old, self.proof(old, new), note).unwrap()
    }
}

pub(crate) fn flip(hash: Hash) -> Hash {
    let mut bytes = hash.0;
    bytes[7] ^= 1;
    Hash(bytes)
}
