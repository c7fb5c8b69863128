//! A sans-I/O codec of the [AuthZEN Authorization API 1.0](https://openid.net/specs/authorization-api-1_0.html): what policy
//! enforcement points ask, and what they are answered. Pure.
//!
//! `json.rs` reads JSON as I-JSON (RFC 7493) within bounds, `request.rs` makes requests of it, `batch.rs` the requests with
//! many questions, `search.rs` searches and their pages, `canonical.rs` has a text that is the same for requests that are
//! the same, `answer.rs` writes answers, `metadata.rs` what a decision point says of itself.
//!
//! Whole objects replace defaults (section 7.1.1 and openid/authzen#231), unknown members are ignored everywhere, and
//! nothing is required that the text does not require.

mod answer;
mod batch;
mod canonical;
mod json;
mod metadata;
mod request;
mod search;

pub use answer::{Answer, Decision, Found, Obligation, Page, Reasons, error_body};
pub use batch::{Evaluations, Semantic};
pub use json::MAX_DEPTH;
pub use metadata::{Metadata, WELL_KNOWN};
pub use request::{Action, Entity, Evaluation, Invalid, NAME_BYTES, Properties};
pub use search::{PageRequest, Search, Target};

#[cfg(test)]
mod tests;
