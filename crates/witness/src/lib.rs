//! The C2SP witness protocol (<https://c2sp.org/tlog-witness>): somebody else remembers how far a log had come, and
//! cosigns only what goes on from there.
//!
//! - [`AddCheckpoint`]: what a log asks a witness; written and read.
//! - [`Answer`]: what a witness answers; written and read.
//! - [`judge`]: the rules, as a function of what the witness knows.
//! - [`State`]: what a witness has cosigned, on disk before anybody hears of it.
//! - [`Witness`]: the three together, one request of a log at a time.
//! - [`Server`]: the same over HTTP.
//!
//! It knows nothing of entries or tenants: a witness sees checkpoints and proofs only.

mod answer;
mod judge;
mod request;
mod server;
mod state;
#[cfg(test)]
mod testing;
mod witness;

pub use answer::{Answer, Refusal, SIZE_TYPE};
pub use judge::{KnownLog, LogError, judge};
pub use request::{ADD_CHECKPOINT_PATH, AddCheckpoint, MAX_PROOF, MAX_REQUEST_BYTES, RequestError, checkpoint_path};
pub use server::Server;
pub use state::{State, StateError};
pub use witness::Witness;
