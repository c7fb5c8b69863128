//! Entries from bytes: the part of verifying that needs nothing of the entries before, so that threads share it.

use std::thread;

use entry::{Entry, EntryError};
use tlog::{Hash, Stored, leaf_hash};

/// What the bytes of one entry are.
#[derive(Debug)]
pub struct Read {
    /// The entry, or why it is none; nothing of one that was let go.
    pub entry: Option<Result<Entry, EntryError>>,
    /// The leaf of the tree.
    pub leaf: Hash,
    /// How many bytes it has.
    pub length: usize,
}

impl Read {
    /// Reads and hashes the bytes of one entry.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            entry: Some(Entry::decode(bytes)),
            leaf: leaf_hash(bytes),
            length: bytes.len(),
        }
    }

    /// The same of an entry that may have been let go.
    pub fn stored(stored: &Stored<&[u8]>) -> Self {
        match stored {
            Stored::Kept(bytes) => Self::of(bytes),
            Stored::Gone(leaf) => Self {
                entry: None,
                leaf: *leaf,
                length: 32,
            },
        }
    }

    /// Reads and hashes many, on as many threads as there are processors.
    pub fn all(entries: &[Stored<&[u8]>]) -> Vec<Self> {
        let share = entries.len().div_ceil(workers()).max(64);
        let mut parts = entries.chunks(share);
        let Some(first) = parts.next() else {
            return Vec::new();
        };
        thread::scope(|scope| {
            let read = |part: &[Stored<&[u8]>]| part.iter().map(Self::stored).collect::<Vec<_>>();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
            let mut all = read(first);
            for other in others {
                match other.join() {
                    Ok(read) => all.extend(read),
                    // Nothing there panics; if it did, so must this.
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    }
}

/// How many threads read entries.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
