//! What is written of a state and read back is that state, whatever it was made of.

use ::model::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Ledger, LedgerParts};

/// The same, as a snapshot would give it back.
pub(crate) fn again<T: Serialize + DeserializeOwned>(state: &T) -> T {
    let written = serde_json::to_vec(state).unwrap();
    serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)))
}

pub(crate) fn ledger_again(ledger: &Ledger, now: Timestamp) -> Ledger {
    let written = serde_json::to_vec(ledger).unwrap();
    let parts: LedgerParts = serde_json::from_slice(&written).unwrap();
    let read = parts.at(now);
    read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)))
}
