//! Checkpoints: the signed statements of how long each log is and what its root is. Who signs them, where they are remembered
//! apart from the database, and which witnesses vouch for them before they are published.
//!
//! In the order of a first reading: `signer.rs` and `signer/steps.rs` (how a checkpoint is made), `signer/keyring.rs` (which
//! keys sign), `published.rs`, `witnesses.rs` and `witnessing.rs` (who is asked to cosign, and what follows).

mod error;
mod published;
mod signer;
mod witnesses;
mod witnessing;

pub use error::SigningError;
pub use published::{Checkpoints, Published};
pub use signer::{Durable, GuardFile, KeyFiles, Keyring, Signer, Signing, expect_key, log_keys};
pub use witnesses::{AskWitness, Asked, WitnessAnswer, WitnessSpec, Witnesses};
pub use witnessing::{Server, Vouched, begin, cosigned_file};
