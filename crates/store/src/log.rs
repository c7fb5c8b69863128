//! A batch: the bytes of consecutive entries and the head after them.

mod back;

use entry::{EntryError, GoneError, State};
use model::{BatchId, Timestamp};
use tlog::{CompactRange, Hash, RangeError, Stored, bundle, kept};

pub(crate) use back::Back;

/// What one commit appended to one tenant's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The index of the first entry.
    pub first_index: u64,
    /// How many entries.
    pub count: u64,
    /// The commit.
    pub id: BatchId,
    /// Which start of the server wrote it.
    pub boot: u64,
    /// The control epoch after it.
    pub epoch: u64,
    /// The tenant's time after it.
    pub time: Timestamp,
    /// The root after it.
    pub root: Hash,
    /// The compact range after it, as bytes; empty where [none is kept](keeps_range).
    pub range: Vec<u8>,
    /// The entries, each behind its length as a big-endian `u16`; of one that was let go, a length of 0 and its leaf hash
    /// ([`tlog::kept`]).
    pub entries: Vec<u8>,
}

/// How many entries there are at most from one stored compact range to the next.
const RANGE_EVERY: u64 = if cfg!(test) { 4 } else { 16 };

/// Whether a batch keeps the compact range after it: it has up to 2 KB, and is made again from that of some entries before.
/// Programs before this rule kept all of them.
pub(crate) fn keeps_range(first_index: u64, count: u64) -> bool {
    first_index / RANGE_EVERY != first_index.saturating_add(count) / RANGE_EVERY
}

/// Why a stored batch does not follow from the log before it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatchError {
    /// A batch is missing, or there twice.
    #[error("entry {expected} should come next, but the next stored batch starts with entry {found}")]
    Gap {
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A stored value has another length than such values have.
    #[error("the batch of entry {first_index} has an unreadable {column}")]
    Column {
        /// The first entry of the batch.
        first_index: u64,
        /// Which value.
        column: &'static str,
    },
    /// The bytes do not divide into the said number of entries.
    #[error("the batch of entry {0} does not divide into its entries")]
    Framing(u64),
    /// An entry does not follow from the ones before it.
    #[error("entry {index}: {source}")]
    Entry {
        /// The first entry that does not fit.
        index: u64,
        /// Why.
        source: EntryError,
    },
    /// What follows from the last entry is missing: both are written at once.
    #[error("something follows from entry {0}, such as an overrun or a threshold, and its batch ends without it")]
    Owed(u64),
    /// The root is not that of the entries.
    #[error("the tree head after entry {0} is not that of the entries up to it: an entry of this batch was changed")]
    Root(u64),
    /// The compact range is not that of the entries.
    #[error("the stored compact range after entry {index} does not fit: {source}")]
    Range {
        /// The last entry of the batch.
        index: u64,
        /// Why.
        source: RangeError,
    },
    /// The head says another epoch or time than its entries.
    #[error("the head after entry {0} says another epoch or time than the entries up to it")]
    Head(u64),
    /// Fewer entries are stored than were acknowledged.
    #[error(
        "{stored} entries are stored, but {known} were acknowledged: an older copy was put in the place of the database"
    )]
    Older {
        /// How many were acknowledged.
        known: u64,
        /// How many are stored.
        stored: u64,
    },
    /// Other entries are gone than were let go.
    #[error(transparent)]
    Gone(#[from] GoneError),
    /// Entries are gone, and the state behind them is not kept.
    #[error("entry {0} is gone, and so is the snapshot from which the rest could be replayed")]
    NoSnapshot(u64),
    /// The state that is kept is not the one that was written down.
    #[error("the snapshot of entry {index} {why}")]
    Snapshot {
        /// Its entry.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The entries are not those that were acknowledged.
    #[error("the first {0} entries that are stored are not those that were acknowledged: this is another history")]
    OtherHistory(u64),
}

impl Batch {
    /// The entries, in order.
    pub fn entries(&self) -> Result<Vec<Stored<&[u8]>>, BatchError> {
        kept::split(&self.entries)
            .ok()
            .filter(|entries| u64::try_from(entries.len()) == Ok(self.count) && self.count > 0)
            .ok_or(BatchError::Framing(self.first_index))
    }

    /// The entries that are there, with their indexes.
    pub fn kept(&self) -> Result<impl Iterator<Item = (u64, &[u8])>, BatchError> {
        let entries = (self.first_index..).zip(self.entries()?);
        Ok(entries.filter_map(|(index, entry)| match entry {
            Stored::Kept(bytes) => Some((index, bytes)),
            Stored::Gone(_) => None,
        }))
    }

    /// Takes the batch as the next of a log from which nothing was let go.
    #[cfg(test)]
    pub(crate) fn fold(
        &self,
        state: &mut State,
        range: &mut CompactRange,
        mut each: impl FnMut(&entry::Entry, &[u8]),
    ) -> Result<(), BatchError> {
        self.check_place(state.size)?;
        for stored in self.entries()? {
            let index = state.size;
            let bytes = stored.bytes().ok_or(GoneError::NotLetGo(index))?;
            let at = |source| BatchError::Entry { index, source };
            let entry = entry::Entry::decode(bytes).map_err(at)?;
            state.apply(&entry).map_err(at)?;
            range.append(stored.leaf());
            each(&entry, bytes);
        }
        self.check_head(state, range)
    }

    /// Checks that the batch comes next, where so many entries were before.
    pub fn check_place(&self, size: u64) -> Result<(), BatchError> {
        if self.first_index == size {
            return Ok(());
        }
        Err(BatchError::Gap {
            expected: size,
            found: self.first_index,
        })
    }

    /// Checks what the batch says of the log after it, given the log after it.
    pub fn check_head(&self, state: &State, range: &CompactRange) -> Result<(), BatchError> {
        let last = state.size.saturating_sub(1);
        if !state.owed.is_empty() {
            return Err(BatchError::Owed(last));
        }
        self.check_tree(range)?;
        if (self.epoch, self.time) != (state.epoch, state.time) {
            return Err(BatchError::Head(last));
        }
        Ok(())
    }

    /// Checks what the batch says of the tree after it.
    pub fn check_tree(&self, range: &CompactRange) -> Result<(), BatchError> {
        let last = range.size().saturating_sub(1);
        if range.root() != self.root {
            return Err(BatchError::Root(last));
        }
        if self.range.is_empty() && !keeps_range(self.first_index, self.count) {
            return Ok(());
        }
        let stored = CompactRange::from_bytes(range.size(), &self.range)
            .map_err(|source| BatchError::Range { index: last, source })?;
        match stored == *range {
            true => Ok(()),
            false => Err(BatchError::Root(last)),
        }
    }
}

/// Puts an entry's bytes behind those before it. `false` if it is too long for the format.
pub(crate) fn push(entries: &mut Vec<u8>, bytes: &[u8]) -> bool {
    bundle::push(entries, bytes).is_ok()
}

/// The parts of bytes that are each behind their length; `None` if these do not divide.
pub(crate) fn split(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    bundle::split(bytes).ok()
}
