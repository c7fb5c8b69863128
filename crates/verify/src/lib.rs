//! What an outsider can check of a log, with nothing of the server: proofs, checkpoints, and whole exported logs.
//!
//! - [`verify_proof`], [`verify_checkpoint`], [`verify_consistency`]: single files that somebody was handed.
//! - [`verify_log`]: an exported log in a directory, every byte of it.
//! - [`Fold`] and [`Read`]: the same for whoever has the entries from elsewhere, as `bailiwick audit verify` from a database.
//!
//! Each report says what does not hold and where ([`Trouble`]), and what it does not prove ([`NotProven`]).

mod checkpoints;
mod export;
mod files;
mod fold;
mod pipeline;
mod presence;
mod prices;
mod proof;
mod read;
mod report;
mod restores;
mod trust;
mod vouched;

pub use checkpoints::{CheckpointReport, ConsistencyReport, Way, Witnessed, verify_checkpoint, verify_consistency};
pub use export::{LogReport, verify_log, verify_log_beside};
pub use fold::{Fold, Found, Misfit};
pub use presence::{Presence, Silence};
pub use prices::Costs;
pub use proof::{ProofReport, verify_proof};
pub use read::Read;
pub use report::{NotProven, Trouble, about_entries};
pub use restores::Restore;
pub use trust::{AddedKey, Trust};
pub use vouched::{Fork, Unwitnessed, Vouched};
