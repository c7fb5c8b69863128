//! Faults that tests order: what happens to the projection's file at the worst moment.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use crate::{StoreError, db::faults::Fate};

/// What becomes of the next transactions, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    fates: VecDeque<Fate>,
    landed: bool,
}

impl Faults {
    pub(super) fn order(&self, fate: Fate) {
        self.0.lock().unwrap().fates.push_back(fate);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap().fates.clear();
    }

    pub(super) fn before_commit(&self) -> Result<(), StoreError> {
        let mut orders = self.0.lock().unwrap();
        match orders.fates.pop_front() {
            None | Some(Fate::Works) => Ok(()),
            Some(Fate::Fails) => Err(ordered()),
            Some(Fate::FailsButLands) => {
                orders.landed = true;
                Ok(())
            }
        }
    }

    pub(super) fn after_commit(&self) -> Result<(), StoreError> {
        match std::mem::take(&mut self.0.lock().unwrap().landed) {
            true => Err(ordered()),
            false => Ok(()),
        }
    }
}

fn ordered() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::Error::other("a fault that a test ordered")))
}
