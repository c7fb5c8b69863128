//! The committer as others see it: questions that wait for an answer, never for each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use entry::Event;
use model::{TenantName, Timestamp};
use tlog::Hash;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

use super::{
    command::{ChangeError, Changed, Command, Denied, HoldAnswer, HoldRequest, Person, Replayed, Unavailable, View},
    stats::Stats,
};
use crate::{StoreError, hold::End};

/// A committed tree head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The control epoch.
    pub epoch: u64,
    /// The tenant's time.
    pub time: Timestamp,
}

/// The committed head of each tenant.
pub type Heads = BTreeMap<TenantName, Head>;

/// Whether the store can record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it cannot; `None` when all is well.
    pub trouble: Option<String>,
}

/// A way to reach the committer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) ends: mpsc::Sender<End>,
    pub(super) heads: watch::Receiver<Heads>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) epochs: watch::Receiver<u64>,
    pub(super) stats: Arc<Stats>,
    pub(super) boot: u64,
}

impl Handle {
    /// Asks for a hold: durable when this returns [`HoldAnswer::Held`].
    pub async fn hold(&self, request: HoldRequest) -> HoldAnswer {
        // The place for the end is taken first, so that ending a hold can neither wait nor fail.
        let slot = match self.ends.clone().try_reserve_owned() {
            Ok(slot) => slot,
            Err(TrySendError::Full(_)) => return HoldAnswer::Overloaded,
            Err(TrySendError::Closed(_)) => return HoldAnswer::Unavailable,
        };
        let (answer, answered) = oneshot::channel();
        if self
            .commands
            .send(Command::Hold(Box::new(request), slot, answer))
            .await
            .is_err()
        {
            return HoldAnswer::Unavailable;
        }
        answered.await.unwrap_or(HoldAnswer::Unavailable)
    }

    /// Records a denial. Returns the entry's index once it is durable.
    pub async fn deny(&self, denied: Denied) -> Result<u64, Unavailable> {
        self.ask(|answer| Command::Deny(Box::new(denied), answer))
            .await
            .and_then(|answer| answer)
    }

    /// Records that a reply is delivered again. Returns the entry's index once it is durable.
    pub async fn replay(&self, replayed: Replayed) -> Result<u64, Unavailable> {
        self.ask(|answer| Command::Replay(Box::new(replayed), answer))
            .await
            .and_then(|answer| answer)
    }

    /// Records a change: all of the events, or none.
    pub async fn change(&self, tenant: TenantName, events: Vec<Event>) -> Result<Changed, ChangeError> {
        self.ask(|answer| Command::Change(tenant, events, answer)).await?
    }

    /// Reads a tenant's state as of the last commit.
    pub async fn view(&self, tenant: TenantName) -> Result<View, Unavailable> {
        self.ask(|answer| Command::View(tenant, answer)).await?
    }

    /// Keeps who is behind pseudonyms, outside the log.
    pub async fn remember(&self, tenant: TenantName, persons: Vec<Person>) -> Result<(), StoreError> {
        self.ask(|answer| Command::Remember(tenant, persons, answer))
            .await
            .map_err(|_| closed())?
    }

    /// Keeps the last signed checkpoint of a tenant.
    pub async fn save_checkpoint(&self, tenant: TenantName, size: u64, note: String) -> Result<(), StoreError> {
        self.ask(|answer| Command::Checkpoint(tenant, size, note, answer))
            .await
            .map_err(|_| closed())?
    }

    /// Writes what is left and records the stop. Holds that end later are booked at the next start; nothing but
    /// checkpoints is kept any more.
    pub async fn stop(&self, why: &str) {
        // An error means that it stopped before.
        let _ = self.ask(|answer| Command::Stop(why.to_owned(), answer)).await;
    }

    /// Closes the database, once the stop is recorded.
    pub async fn close(&self) {
        // An error means that it was closed before.
        let _ = self.ask(Command::Close).await;
    }

    /// The committed heads, as they move.
    pub fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.clone()
    }

    /// A tenant's time as of its last commit: it never goes back, whatever is done to the wall clock.
    pub fn time(&self, tenant: &TenantName) -> Option<Timestamp> {
        self.heads.borrow().get(tenant).map(|head| head.time)
    }

    /// Whether the store can record, as it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// The sum of all tenants' control epochs, as it grows: something that decisions depend on was committed, by whomever.
    /// The heads say whose.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.clone()
    }

    /// Counters for metrics.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The how many-th start of the data directory this is.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Holds that have not ended, as of the last commit.
    pub fn open_holds(&self) -> u64 {
        self.stats.open_holds.load(Relaxed)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Unavailable)?;
        answered.await.map_err(|_| Unavailable)
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}
