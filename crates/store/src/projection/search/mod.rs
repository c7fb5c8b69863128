//! Search: each entry can be found by what it says.
//!
//! `field.rs` and `facts.rs` say what that is, `terms.rs` how it is written into the index, `question.rs` what can be asked, and
//! `read.rs` reads the index, never for long at once.

mod facts;
mod field;
mod question;
mod read;
mod terms;

pub use facts::{Facts, follows};
pub use field::{Field, STATUSES, decision, status};
pub use question::{Position, SEARCH_LIMIT_MAX, SearchAnswer, SearchError, SearchQuestion};
pub use terms::words;
pub(super) use terms::{Inheritance, terms};
