//! The committer: one task, one transaction at a time.
//!
//! `command.rs` says what can be asked of it, `shard.rs` turns commands into entries against one tenant's state,
//! `run.rs` gathers, writes and answers.

mod command;
mod handle;
mod run;
mod shard;
mod stats;

pub use command::{Ask, ChangeError, Changed, Denied, HoldAnswer, HoldRequest, Person, Unavailable, View};
pub use handle::{Handle, Head, Heads, Health};
pub use run::{Committer, Config};
pub use stats::Stats;

#[cfg(test)]
mod tests;
