//! Faults that tests order: what a disk does at the worst moment.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, Weak, mpsc},
};

use sqlx::{Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::watch;

use crate::{StoreError, spool};

/// What becomes of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    /// It fails, and nothing is stored.
    Fails,
    /// It fails, and is stored all the same.
    FailsButLands,
}

/// Orders to a store that is out of reach, in the committer's task.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    orders: Arc<Mutex<Orders>>,
    /// Whether an append waits, as if for the disk.
    stalled: watch::Sender<bool>,
    /// Whether an append that is stored and not answered yet is answered now.
    answered: watch::Sender<bool>,
    /// What becomes of writes of the spool.
    pub(crate) spool: spool::Faults,
    /// Alive as long as the store or a connection of it.
    store: Weak<()>,
}

#[derive(Debug, Default)]
struct Orders {
    appends: VecDeque<Fate>,
    landed: bool,
    unanswered: bool,
    full: bool,
    read_only: bool,
    free: Option<u64>,
    refusals: u32,
    hang: Option<mpsc::Receiver<()>>,
}

impl Faults {
    /// Makes them for a store with these options.
    pub(super) fn attach(options: SqliteConnectOptions) -> (Self, SqliteConnectOptions) {
        // Of all that can be given to a connection, a collation is kept longest: until it is closed.
        let alive = Arc::new(());
        let store = Arc::downgrade(&alive);
        let options = options.collation("alive", move |left, right| {
            let _ = &alive;
            left.cmp(right)
        });
        let orders = Arc::default();
        let (stalled, answered) = (watch::Sender::new(false), watch::Sender::new(false));
        let spool = spool::Faults::default();
        (
            Self {
                orders,
                stalled,
                answered,
                spool,
                store,
            },
            options,
        )
    }

    /// Whether the store or a connection of it is still there: a connection's thread outlives its owner.
    pub(crate) fn store_is_open(&self) -> bool {
        self.store.strong_count() > 0
    }

    /// Says what becomes of the next appends, one after the other; later ones work.
    pub(crate) fn appends(&self, fates: &[Fate]) {
        self.orders().appends.extend(fates);
    }

    /// Takes back what was said of appends that have not come.
    pub(crate) fn appends_work(&self) {
        self.orders().appends.clear();
    }

    /// How many orders have not met their append.
    pub(crate) fn left(&self) -> usize {
        self.orders().appends.len()
    }

    /// From now on the database cannot grow, or can again.
    pub(crate) fn disk_full(&self, full: bool) {
        self.orders().full = full;
    }

    /// From now on the database cannot be written to, or can again.
    pub(crate) fn read_only(&self, read_only: bool) {
        self.orders().read_only = read_only;
    }

    /// What the next entries owe is refused, so many times.
    pub(crate) fn refuse_owed(&self, times: u32) {
        self.orders().refusals = times;
    }

    /// Whether what an entry owes is refused now.
    pub(crate) fn refuses(&self) -> bool {
        let mut orders = self.orders();
        let refuses = orders.refusals > 0;
        orders.refusals = orders.refusals.saturating_sub(1);
        refuses
    }

    /// From now on so many bytes of the disk are free; `None` for as many as really are.
    pub(crate) fn set_free(&self, free: Option<u64>) {
        self.orders().free = free;
    }

    /// The next look at how much is free does not return, and keeps its thread, until the sender is gone.
    pub(crate) fn hang(&self) -> mpsc::Sender<()> {
        let (sender, receiver) = mpsc::channel();
        self.orders().hang = Some(receiver);
        sender
    }

    pub(super) fn free(&self) -> Option<u64> {
        let hang = self.orders().hang.take();
        if let Some(hang) = hang {
            let _ = hang.recv();
        }
        self.orders().free
    }

    /// From now on appends do not end, or do again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// The next append is stored, and its answer is kept back.
    pub(crate) fn keep_answer(&self) {
        self.orders().unanswered = true;
    }

    /// Lets the answer through that was kept back.
    pub(crate) fn answer(&self) {
        self.answered.send_replace(true);
    }

    pub(super) async fn before_probe(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        // The sender is part of this value, so it cannot be gone.
        let _ = self.stalled.subscribe().wait_for(|stalled| !stalled).await;
        self.limit(connection).await
    }

    pub(super) async fn before_append(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        self.before_probe(connection).await?;
        let mut orders = self.orders();
        match orders.appends.pop_front() {
            None | Some(Fate::Works) => Ok(()),
            Some(Fate::Fails) => Err(ordered()),
            Some(Fate::FailsButLands) => {
                orders.landed = true;
                Ok(())
            }
        }
    }

    pub(super) async fn after_append(&self) -> Result<(), StoreError> {
        let unanswered = std::mem::take(&mut self.orders().unanswered);
        if unanswered {
            let _ = self.answered.subscribe().wait_for(|answered| *answered).await;
        }
        let landed = std::mem::take(&mut self.orders().landed);
        if landed { Err(ordered()) } else { Ok(()) }
    }

    /// Sets the size that the database may have. A limit below its present size means its present size.
    async fn limit(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let (full, read_only) = {
            let orders = self.orders();
            (orders.full, orders.read_only)
        };
        let limit = if full {
            "PRAGMA max_page_count = 1"
        } else {
            "PRAGMA max_page_count = 1073741823"
        };
        connection.execute(limit).await?;
        let writable = if read_only {
            "PRAGMA query_only = ON"
        } else {
            "PRAGMA query_only = OFF"
        };
        connection.execute(writable).await?;
        Ok(())
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap()
    }
}

fn ordered() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::Error::other("a fault that a test ordered")))
}
