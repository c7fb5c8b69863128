//! Cedar behind our own types: compile, validate, decide. Pure.
//!
//! A [`Bundle`] is one immutable set of policies with the entities and agents they speak about. [`Bundle::compile`]
//! takes texts and gives either a bundle in which every policy has an `@id` and passed strict validation against our
//! schema, or every problem of every file with its line. [`Bundle::decide`] answers one [`Question`] with a
//! [`Permit`], which nothing else can make, or a [`Denial`]. Nothing is allowed unless a policy permits it, and a
//! `forbid` that cannot be evaluated denies.
//!
//! The policy language, its schema and its evaluator are those of [Cedar](https://docs.cedarpolicy.com); its types stay
//! inside this crate.

mod action;
mod annotations;
mod bundle;
mod change;
mod compiled;
mod coverage;
mod decide;
mod decision;
mod entities;
mod evaluate;
mod explain;
mod index;
mod lint;
mod literals;
mod memo;
mod mentions;
mod names;
mod parse;
mod peeking;
mod problem;
mod project;
mod pseudonyms;
mod query;
mod question;
mod record;
mod recorded;
mod schema;
mod search;
mod shape;
mod store;
mod validate;
mod verdict;
mod vocabulary;
mod words;

pub use action::{Action, UnknownAction};
pub use annotations::{Annotations, Obligation, Reasons};
pub use bundle::{AgentFacts, Bundle, Sources, ToolsRead};
pub use coverage::{ClauseCoverage, Coverage, PolicyCoverage, Share};
pub use decision::{Decision, Denial, DenialKind, Permit};
pub use explain::{
    Applies, Asked, Breadth, Clause, Condition, Effect, Explained, Explanation, Mismatch, Part, Read, Truth,
};
pub use names::{from_cedar_name, from_cedar_type, to_cedar_name, to_cedar_type};
pub use problem::{Problem, Source};
pub use query::{Party, Properties, Query};
pub use question::{Question, Resource};
pub use record::{EntityChange, EntityName, EntityRecord};
pub use recorded::Recorded;
pub use search::{ActionSearch, Found, Page, ResourceSearch, SubjectSearch};
pub use verdict::{Code, Outcome, Verdict};

#[cfg(test)]
mod tests;
