//! Heartbeats: an entry in each log that had none for a while, so that a silence is not taken for quiet.
//!
//! Thousands of logs may be quiet at once. Only so many get their heartbeat at a time, those first that have waited
//! longest, and what entries promise is as much longer as that can take.

use std::{collections::BTreeMap, time::Duration};

use entry::Event;
use model::{TenantName, Timestamp};

use super::run::{Committer, EXPIRY_TICK};
use crate::Clock;

/// How many logs get a heartbeat at a time: each is a row, a signature and the sync of a guard file.
pub(super) const AT_ONCE: usize = 20;

/// When each log had its last entry.
#[derive(Debug)]
pub(super) struct Heart {
    /// After how long a log without an entry gets a heartbeat; `None` for never.
    every: Option<Duration>,
    /// When heartbeats were last looked for, by the steady clock.
    looked: Duration,
    /// When each log had its last entry, by the steady clock.
    last: BTreeMap<TenantName, Duration>,
}

impl Heart {
    pub(super) fn new(every: Option<Duration>, now: Duration) -> Self {
        Self {
            every,
            looked: now,
            last: BTreeMap::new(),
        }
    }

    /// After how many seconds each of so many logs has a heartbeat at the latest.
    pub(super) fn promise(&self, logs: usize) -> Option<u32> {
        // The first of them wait for no other.
        let rounds = u32::try_from(logs.saturating_sub(1) / AT_ONCE).unwrap_or(u32::MAX);
        let every = self.every?.saturating_add(EXPIRY_TICK.saturating_mul(rounds));
        Some(u32::try_from(every.as_secs()).unwrap_or(u32::MAX))
    }

    /// These logs got an entry.
    pub(super) fn wrote<'a>(&mut self, tenants: impl Iterator<Item = &'a TenantName>, now: Duration) {
        if self.every.is_none() {
            return;
        }
        for tenant in tenants {
            match self.last.get_mut(tenant) {
                Some(last) => *last = now,
                None => drop(self.last.insert(tenant.clone(), now)),
            }
        }
    }

    /// The logs that are to get a heartbeat now, at most [`AT_ONCE`], those that have waited longest.
    fn due(&mut self, now: Duration) -> Vec<TenantName> {
        let Some(every) = self.every else { return Vec::new() };
        if now.saturating_sub(self.looked) < EXPIRY_TICK {
            return Vec::new();
        }
        self.looked = now;
        let quiet = self.last.iter().filter(|(_, at)| now.saturating_sub(**at) >= every);
        let mut quiet: Vec<_> = quiet.map(|(tenant, at)| (*at, tenant.clone())).collect();
        quiet.sort_unstable();
        quiet.truncate(AT_ONCE);
        quiet.into_iter().map(|(_, tenant)| tenant).collect()
    }
}

impl<C: Clock> Committer<C> {
    /// Says in the logs that are quiet that the server is there, now and then.
    pub(super) fn build_heartbeats(&mut self, now: Timestamp) {
        if self.stopping.is_some() {
            return;
        }
        let due = self.heart.due(self.wall.elapsed());
        let Some(every_s) = self.heart.promise(self.shards.len()) else {
            return;
        };
        let boot = self.boot;
        for tenant in due {
            // An entry that waits for this write is as good.
            let quiet = self.shards.get_mut(&tenant).filter(|shard| !shard.is_waiting());
            let pushed = quiet.map(|shard| shard.push(Event::Heartbeat { boot, every_s }, now));
            if let Some(Err(error)) = pushed {
                tracing::error!(%tenant, %error, "a heartbeat cannot be recorded");
            }
        }
    }
}
