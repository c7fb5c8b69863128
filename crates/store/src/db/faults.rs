//! Faults that tests order: what a disk does at the worst moment.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use sqlx::{Executor as _, SqliteConnection};

use crate::StoreError;

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    appends: VecDeque<Fate>,
    landed: bool,
    full: bool,
}

impl Faults {
    /// Says what becomes of the next appends, one after the other; later ones work.
    pub(crate) fn appends(&self, fates: &[Fate]) {
        self.orders().appends.extend(fates);
    }

    /// How many orders have not met their append.
    pub(crate) fn left(&self) -> usize {
        self.orders().appends.len()
    }

    /// From now on the database cannot grow, or can again.
    pub(crate) fn disk_full(&self, full: bool) {
        self.orders().full = full;
    }

    pub(super) async fn before_append(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        self.limit(connection).await?;
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

    pub(super) fn after_append(&self) -> Result<(), StoreError> {
        let landed = std::mem::take(&mut self.orders().landed);
        if landed { Err(ordered()) } else { Ok(()) }
    }

    /// Sets the size that the database may have. A limit below its present size means its present size.
    pub(super) async fn limit(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let full = self.orders().full;
        let limit = if full {
            "PRAGMA max_page_count = 1"
        } else {
            "PRAGMA max_page_count = 1073741823"
        };
        connection.execute(limit).await?;
        Ok(())
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap()
    }
}

fn ordered() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::Error::other("a fault that a test ordered")))
}
