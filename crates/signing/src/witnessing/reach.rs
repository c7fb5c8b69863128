//! Which witnesses cannot be reached. One that is away is away for all logs, so what one of them found out holds for all.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::wait;

/// Those that could not be reached when they were asked last, by their place among the witnesses.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<BTreeMap<usize, Missed>>);

#[derive(Clone, Copy, Debug)]
struct Missed {
    /// When that was found out last.
    at: Instant,
    /// How often in a row.
    failures: u32,
    /// Not to be asked before.
    again: Instant,
}

impl Reach {
    /// Until when a witness is spared.
    pub(super) fn again(&self, index: usize) -> Option<Instant> {
        self.lock().get(&index).map(|missed| missed.again)
    }

    /// It has signed.
    pub(super) fn reached(&self, index: usize) {
        self.lock().remove(&index);
    }

    /// It was asked at a time and did not answer. Until when it is spared: what several logs find out at once counts once.
    pub(super) fn missed(&self, index: usize, asked: Instant) -> Instant {
        let now = Instant::now();
        let mut all = self.lock();
        let before = all.get(&index).copied();
        if let Some(known) = before.filter(|known| asked <= known.at && known.again > now) {
            return known.again;
        }
        let failures = before.map_or(0, |missed| missed.failures);
        let again = now + wait(failures);
        let missed = Missed {
            at: now,
            failures: failures.saturating_add(1),
            again,
        };
        all.insert(index, missed);
        again
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Missed>> {
        // Each change is one insertion or removal: whoever panicked while holding it left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
