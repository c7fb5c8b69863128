//! The committer: one task, one transaction at a time.
//!
//! `command.rs` says what can be asked of it, `run.rs` gathers, writes and stops, `build.rs` turns commands into entries
//! and entries into answers, `shard.rs` is one tenant's log while it grows, `recovery.rs` gets going again after a failed
//! write, `budgets.rs` is what budgets say to requests, `decisions.rs` what enforcement points are answered, `entities.rs` what is
//! stored for policies to read, `allowances.rs` what calls may spend while writes fail, `boots.rs` what starts and stops
//! record, `heart.rs` the heartbeats of quiet logs, `restoring.rs` accepts older copies while no server runs,
//! `telling.rs` what operators are told, `health.rs` says whether it can record, `retention.rs` lets go what is old,
//! `wall.rs` what time it is, and `room.rs` whether the disk has room.

mod allowances;
mod boots;
mod budgets;
mod build;
mod command;
mod decisions;
mod entities;
mod handle;
mod health;
mod heart;
mod recovery;
mod restoring;
mod retention;
mod room;
mod run;
mod shard;
mod stats;
mod telling;
mod wall;

pub use command::{
    Ask, BalanceQuery, Balances, ChangeError, Changed, DECISIONS_WAITING, DecideError, Denied, EditOrder, HoldAnswer,
    HoldRequest, Person, Recording, Replayed, Rules, RulesQuery, Unavailable, View,
};
pub use handle::{Handle, Head, Heads, Health};
pub use restoring::{Kept, Restoring};
pub use run::{Committer, Config};
pub use stats::{BreakerDeed, Stats, Threshold};

#[cfg(test)]
mod tests;
