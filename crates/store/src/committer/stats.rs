//! Numbers about the committer, for metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Commits.
    pub batches: AtomicU64,
    /// Entries.
    pub entries: AtomicU64,
    /// Time spent in commits, microseconds.
    pub commit_us: AtomicU64,
    /// Failed commits.
    pub failures: AtomicU64,
    /// Holds not ended.
    pub open_holds: AtomicU64,
    /// Calls let through on allowances while nothing could be recorded.
    pub spooled: AtomicU64,
    /// Writes of the spool that failed.
    pub spool_failures: AtomicU64,
    /// Times at which the disk had not finished a write in time.
    pub stalls: AtomicU64,
}

impl Stats {
    pub(crate) fn committed(&self, entries: u64, took: Duration) {
        self.batches.fetch_add(1, Relaxed);
        self.entries.fetch_add(entries, Relaxed);
        self.commit_us
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn open(&self, holds: usize) {
        self.open_holds.store(u64::try_from(holds).unwrap_or(u64::MAX), Relaxed);
    }
}
