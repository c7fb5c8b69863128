//! Search: each entry can be found by what it says.
//!
//! `facts.rs` says what that is, `terms.rs` how it is written into the index, `question.rs` what can be asked, and
//! `read.rs` reads the index, never for long at once.

mod facts;
mod question;
mod read;
mod terms;

pub use facts::{Facts, Field, STATUSES, decision, follows, status};
pub use question::{Position, SEARCH_LIMIT_MAX, SearchAnswer, SearchError, SearchQuestion};
pub use terms::words;
pub(super) use terms::{Inheritance, terms};
