//! Faults that tests order: what happens to the tiles' file at the worst moment.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use crate::{StoreError, db::faults::Fate};

/// What becomes of the next transactions, in order; later ones work.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<VecDeque<Fate>>>);

impl Faults {
    pub(super) fn order(&self, fate: Fate) {
        self.0.lock().unwrap().push_back(fate);
    }

    pub(super) fn before_commit(&self) -> Result<Fate, StoreError> {
        match self.0.lock().unwrap().pop_front().unwrap_or(Fate::Works) {
            Fate::Fails => Err(ordered()),
            fate => Ok(fate),
        }
    }

    pub(super) fn after_commit(fate: Fate) -> Result<(), StoreError> {
        match fate {
            Fate::FailsButLands => Err(ordered()),
            _ => Ok(()),
        }
    }
}

fn ordered() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::Error::other("a fault that a test ordered")))
}
