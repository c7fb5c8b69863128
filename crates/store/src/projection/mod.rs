//! What was booked, by minute and labels, and what entries can be found by: a projection of the logs for cost reports and
//! for searching.
//!
//! A follower reads the committed batches behind a cursor and keeps sums in a file of its own, which can be deleted at any
//! time: it is made again from the logs. `labels.rs`, `sums.rs` and `search/` say what is kept, `fold.rs` what an entry does to it,
//! `file.rs` how it is stored, `follow.rs` is the task, and `query.rs` answers questions.
//!
//! What an attempt cost counts at the time of its *intent*, which is when its budgets were charged, so that reports and
//! budgets agree.

#[cfg(test)]
mod faults;
mod file;
mod fold;
mod follow;
mod labels;
mod query;
mod rebuild;
mod search;
mod sums;

pub use follow::{Progress, Projection};
pub use labels::{CostLabel, MAX_NAMES, OTHERS};
pub use query::{CostAnswer, CostError, CostGroup, CostQuestion, MAX_GROUPS};
pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use search::{
    Facts, Field, Position, SEARCH_LIMIT_MAX, STATUSES, SearchAnswer, SearchError, SearchQuestion, decision, follows,
    status, words,
};
pub use sums::{CostSums, CostTokens, MAX_CALL_TOKENS};

#[cfg(test)]
mod tests;
