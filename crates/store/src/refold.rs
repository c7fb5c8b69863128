//! A stored log on its way into its state: from its first entry, or, where entries are gone, from the snapshot behind them.

use entry::{Entry, EntryError, Event, Remains, State, snapshot};
use model::TenantName;
use tlog::{CompactRange, Stored};

use crate::{Batch, BatchError};

/// The state before an entry, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The `snapshot_taken` entry.
    pub index: u64,
    /// What [`entry::snapshot::encode`] gave.
    pub bytes: Vec<u8>,
}

/// Takes the batches of a log one after the other and checks all of it: order, ledger, tree, and that nothing is gone that
/// was not let go.
#[derive(Debug)]
pub struct Refold {
    /// What follows from the entries so far. While [`Refold::is_skipping`], nothing does.
    pub state: State,
    /// The tree over the entries so far.
    pub range: CompactRange,
    remains: Remains,
    snapshot: Option<Snapshot>,
    /// The snapshot that comes, while entries are passed over that nothing can be concluded from.
    ahead: Option<Snapshot>,
}

impl Refold {
    /// Begins with the first entry. The snapshot is used where an entry before it is gone; it is that of the last `expired`
    /// entry, or a later one.
    pub fn new(tenant: TenantName, snapshot: Option<Snapshot>) -> Self {
        Self {
            state: State::new(tenant),
            range: CompactRange::new(),
            remains: Remains::default(),
            snapshot,
            ahead: None,
        }
    }

    /// Whether entries are being passed over.
    pub fn is_skipping(&self) -> bool {
        self.ahead.is_some()
    }

    /// Takes the next batch, and hands on each entry that is there.
    ///
    /// # Errors
    /// Why it cannot be the next.
    pub fn take(&mut self, batch: &Batch, mut each: impl FnMut(&Entry, &[u8])) -> Result<(), BatchError> {
        batch.check_place(self.range.size())?;
        for stored in batch.entries()? {
            let index = self.range.size();
            match stored {
                Stored::Gone(_) => self.gone(index)?,
                Stored::Kept(bytes) => {
                    let at = |source| BatchError::Entry { index, source };
                    let entry = Entry::decode(bytes).map_err(at)?;
                    self.kept(&entry, index)?;
                    each(&entry, bytes);
                }
            }
            self.range.append(stored.leaf());
        }
        match self.is_skipping() {
            true => batch.check_tree(&self.range),
            false => batch.check_head(&self.state, &self.range),
        }
    }

    fn gone(&mut self, index: u64) -> Result<(), BatchError> {
        self.remains.gone(index);
        if !self.is_skipping() {
            let ahead = self.snapshot.take().filter(|snapshot| index < snapshot.index);
            self.ahead = Some(ahead.ok_or(BatchError::NoSnapshot(index))?);
        }
        Ok(())
    }

    fn kept(&mut self, entry: &Entry, index: u64) -> Result<(), BatchError> {
        let at = |source| BatchError::Entry { index, source };
        self.remains.kept(&entry.event, index);
        if let Some(snapshot) = self.ahead.take_if(|snapshot| snapshot.index == index) {
            self.state = restore(&snapshot, entry, &self.state.tenant)?;
        }
        if !self.is_skipping() {
            return self.state.apply(entry).map_err(at);
        }
        // Nothing more can be known of it than that it is of this place.
        if entry.tenant != self.state.tenant {
            let (expected, found) = (self.state.tenant.clone(), entry.tenant.clone());
            return Err(at(EntryError::Tenant { expected, found }));
        }
        if entry.index != index {
            let (expected, found) = (index, entry.index);
            return Err(at(EntryError::Index { expected, found }));
        }
        Ok(())
    }

    /// The log ends here. Gives its state, its tree, and the first entry that was let go and is there all the same.
    ///
    /// # Errors
    /// Something is gone that was not let go.
    pub fn finish(self) -> Result<(State, CompactRange, Option<u64>), BatchError> {
        if let Some(snapshot) = self.ahead {
            return Err(BatchError::NoSnapshot(snapshot.index));
        }
        let left = self.remains.check(&self.state.evidence)?;
        Ok((self.state, self.range, left))
    }
}

/// The state of a snapshot, if it is the one that the entry says was written down.
fn restore(kept: &Snapshot, entry: &Entry, tenant: &TenantName) -> Result<State, BatchError> {
    let wrong = |why: &str| BatchError::Snapshot {
        index: kept.index,
        why: why.to_owned(),
    };
    let Event::SnapshotTaken { digest } = &entry.event else {
        return Err(wrong("belongs to an entry that names none"));
    };
    if *digest != snapshot::digest(&kept.bytes) {
        return Err(wrong("is not the one that was written down: its digest is another"));
    }
    let state = snapshot::decode(&kept.bytes).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    match state.size == kept.index && state.tenant == *tenant {
        true => Ok(state),
        false => Err(wrong("is of another place")),
    }
}
