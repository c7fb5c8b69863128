//! The reserve of free disk: what is kept for the ends of calls in flight and for denials.

use std::time::Duration;

use crate::StoreError;

/// How often it is looked how much is free.
const LOOK: Duration = Duration::from_secs(1);

/// How much of the disk is left, and whether that is enough to begin something.
#[derive(Debug)]
pub(super) struct Room {
    /// Below so many free bytes no hold is given. Zero never looks.
    reserve: u64,
    /// When it was last looked, by the steady clock.
    looked: Option<Duration>,
    trouble: Option<String>,
}

impl Room {
    pub(super) fn new(reserve: u64) -> Self {
        Self {
            reserve,
            looked: None,
            trouble: None,
        }
    }

    /// Looks how much is free, if that is due.
    pub(super) fn look(&mut self, elapsed: Duration, free: impl FnOnce() -> Result<u64, StoreError>) {
        let recently = |at| elapsed.saturating_sub(at) < LOOK;
        if self.reserve == 0 || self.looked.is_some_and(recently) {
            return;
        }
        self.looked = Some(elapsed);
        let trouble = match free() {
            Ok(free) if free >= self.reserve => None,
            Ok(free) => Some(format!(
                "the disk of the data directory has {} MiB left, less than the reserve of {} MiB ([audit] reserve) that is \
                 kept for calls in flight and denials: make room; work resumes by itself",
                free >> 20,
                self.reserve >> 20
            )),
            // Whether the directory can be used is found out by the next write.
            Err(error) => return tracing::debug!(%error, "it cannot be seen how much disk is free"),
        };
        match (&self.trouble, &trouble) {
            (None, Some(trouble)) => tracing::error!("{trouble}; no call is let through until then"),
            (Some(_), None) => tracing::info!("the disk has room again"),
            _ => {}
        }
        self.trouble = trouble;
    }

    /// Why nothing is to be admitted, if so; as of the last look.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}
