//! Starts and stops in every log, and how long all logs were then.
//!
//! All that a start records is one write, and so is all that a stop records: `started` or `stopped` in every log, and in
//! the server's own log `heads`, which name what is in that write too. So nothing can come between them, and what a crash
//! leaves is all of it or nothing.

use entry::{Event, HEADS_MAX, LogHead};
use model::{Digest, TenantName, Timestamp};

use super::{
    run::{Committer, corrupt},
    shard::Shard,
};
use crate::{Clock, StoreError};

impl<C: Clock> Committer<C> {
    /// Says in every log that the server started. The server's own log numbers the starts.
    pub(super) fn build_starts(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let system = TenantName::system();
        let boot = self.shard(&system).state.boot + 1;
        self.boot = boot;
        let started = self.started();
        for (tenant, shard) in &mut self.shards {
            let index = shard.state.size;
            shard
                .push(started.clone(), now)
                .map_err(|source| corrupt(tenant.clone(), index, source))?;
        }
        Ok(())
    }

    /// What this start says of itself.
    fn started(&self) -> Event {
        Event::Started {
            node: self.config.node.clone(),
            boot: self.boot,
            version: self.config.version.clone(),
            heartbeat_s: self.heart.promise(self.shards.len()),
        }
    }

    /// A tenant's log, begun with this start if there is none. A log that gets no other entry is let go of before it is
    /// written.
    pub(super) fn shard_to_change(&mut self, tenant: &TenantName, now: Timestamp) -> &mut Shard {
        let started = (!self.shards.contains_key(tenant)).then(|| self.started());
        let shard = self.shard(tenant);
        if let Some(started) = started {
            let begun = shard.push(started, now);
            drop(begun.inspect_err(|error| tracing::error!(%tenant, %error, "a log cannot be begun with its start")));
        }
        shard
    }

    /// Lets go of logs that were begun for a change that was refused.
    pub(super) fn forget_empty(&mut self) {
        self.shards.retain(|_, shard| !shard.is_only_begun());
    }

    /// Says in the server's own log how long all others are, as they stand now with what is to be written.
    pub(super) fn build_heads(&mut self, now: Timestamp) {
        let (system, boot) = (TenantName::system(), self.boot);
        let others = self.shards.iter().filter(|(tenant, _)| **tenant != system);
        let heads: Vec<LogHead> = others
            .filter(|(_, shard)| shard.state.size > 0)
            .map(|(tenant, shard)| {
                let head = shard.head();
                LogHead {
                    tenant: tenant.clone(),
                    size: head.size,
                    root: Digest(head.root.0),
                }
            })
            .collect();
        let log = self.shard(&system);
        for heads in heads.chunks(HEADS_MAX) {
            let heads = heads.to_vec();
            if let Err(error) = log.push(Event::Heads { boot, heads }, now) {
                tracing::error!(%error, "how long the logs are cannot be recorded");
            }
        }
    }

    /// Says in every log that the server stops, unless that is its last entry already: it may have landed with a write that
    /// failed. The server's own log comes last, with the heads of all others, which are final then. Where an answer was
    /// recorded behind a stop, it is said again.
    pub(super) fn build_stops(&mut self, now: Timestamp) {
        let Some(stopping) = &self.stopping else { return };
        let (system, why) = (TenantName::system(), stopping.why.clone());
        let stopped = Event::Stopped {
            node: self.config.node.clone(),
            boot: self.boot,
            why,
        };
        let told = |tenant: &TenantName, shard: &mut Shard| {
            let pushed = shard.push(stopped.clone(), now);
            drop(pushed.inspect_err(|error| tracing::error!(%tenant, %error, "the stop cannot be recorded")));
        };
        let mut moved = false;
        let others = self.shards.iter_mut().filter(|(tenant, _)| **tenant != system);
        for (tenant, shard) in others.filter(|(_, shard)| !shard.stopped && shard.state.size > 0) {
            told(tenant, shard);
            moved = true;
        }
        if moved || !self.shard(&system).stopped {
            self.build_heads(now);
            told(&system, self.shard(&system));
        }
    }
}

impl Shard {
    /// Whether there is something to be written.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_count > 0
    }

    /// Whether nothing is in this log but that it was begun, and nothing is written.
    pub(super) fn is_only_begun(&self) -> bool {
        let nothing = self.state.size == 0 || (self.state.size, self.waiting_count) == (1, 1) && self.state.boot > 0;
        nothing && self.state.tenant != TenantName::system()
    }
}
