//! What an outsider can check of a log, with nothing of the server: proofs, checkpoints, and whole exported logs.
//!
//! - [`verify_log`]: an exported log in a directory, every byte of it.
//! - [`Fold`] and [`Read`]: the same for whoever has the entries from elsewhere, as `bailiwick audit verify` from a database.
//!
//! Each report says what does not hold and where ([`Trouble`]), and what it does not prove ([`NotProven`]).

mod export;
mod files;
mod fold;
mod pipeline;
mod prices;
mod read;
mod report;

pub use export::{LogReport, Trust, verify_log};
pub use fold::{Fold, Found, Misfit};
pub use prices::Costs;
pub use read::Read;
pub use report::{NotProven, Trouble, about_entries, rfc3339};
