//! Going on from an older copy of the logs, while no server runs.

use std::sync::Arc;

use entry::{Event, Evidence};
use model::{TenantName, Timestamp};

use super::{
    handle::Head,
    run::{Committer, Config, Ways, corrupt},
};
use crate::{Clock, DataDir, Reader, Store, StoreError};

/// The logs of a data directory that no server runs on, for as long as the value lives: read whole, and found to fit
/// together.
#[derive(Debug)]
pub struct Restoring<C> {
    committer: Committer<Arc<C>>,
    /// Nobody uses them; without them the committer would take itself for abandoned.
    _ways: Ways,
}

/// A log as it is stored.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How long it is, and its root.
    pub head: Head,
    /// What it says of itself.
    pub evidence: Evidence,
}

impl<C: Clock> Restoring<C> {
    /// Opens the logs and folds each of them.
    ///
    /// # Errors
    /// When the database cannot be read, or what is stored does not fit together.
    pub async fn open(dir: &DataDir, clock: C, random: fn() -> [u8; 10]) -> Result<Self, StoreError> {
        let config = Config {
            node: String::new(),
            version: String::new(),
            open_holds: 1,
            reserve: 0,
            spool: None,
            heartbeat: None,
            random,
        };
        let (mut committer, ways) = Committer::idle(Store::open(dir).await?, clock, config);
        committer.refold().await?;
        // What is written now belongs to the last start.
        committer.boot = committer
            .shards
            .values()
            .map(|shard| shard.state.boot)
            .max()
            .unwrap_or(0);
        Ok(Self { committer, _ways: ways })
    }

    /// The reading side.
    pub fn reader(&self) -> &Reader {
        self.committer.store.reader()
    }

    /// A log as it is stored, an empty one where there is none.
    pub fn kept(&mut self, tenant: &TenantName) -> Kept {
        let shard = self.committer.shard(tenant);
        Kept {
            head: shard.head(),
            evidence: shard.state.evidence.clone(),
        }
    }

    /// Appends an event to each of these logs: to all or to none, durable when this returns. After an error nobody knows
    /// which, and the logs have to be opened anew.
    ///
    /// # Errors
    /// When an event does not follow from its log, or cannot be written.
    pub async fn append(&mut self, events: Vec<(TenantName, Event)>) -> Result<(), StoreError> {
        let now: Timestamp = self.committer.wall.read();
        for (tenant, event) in events {
            let shard = self.committer.shard(&tenant);
            let index = shard.state.size;
            shard
                .push(event, now)
                .map_err(|source| corrupt(tenant.clone(), index, source))?;
        }
        self.committer.write().await
    }

    /// Keeps the last signed checkpoint of a tenant.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn save_checkpoint(&mut self, tenant: &TenantName, size: u64, note: &str) -> Result<(), StoreError> {
        self.committer.store.save_checkpoint(tenant, size, note).await
    }

    /// Closes the database.
    ///
    /// # Errors
    /// When its write-ahead log cannot be folded into it; it is read at the next start then.
    pub async fn close(self) -> Result<(), StoreError> {
        self.committer.store.close().await
    }
}
