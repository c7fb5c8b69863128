//! What must hold of any input, whoever sent it: one function a fuzz target.
//!
//! A target takes bytes and panics when something that was promised does not hold of them; no panic is the least of it.
//! `cargo xtask fuzz` drives the targets with coverage (`fuzz/` holds only the ways in), and this crate's tests replay
//! every file of `fuzz/corpus` and `fuzz/findings` through the same functions on every run: a finding that is committed
//! is a test. Inputs are what a person would recognise: a body, a stream, a file. Where a target needs more than that,
//! such as a content type, it stands in the first line.
//!
//! Everything here is deterministic: where a stream is cut into pieces is worked out from its own bytes.

#![expect(clippy::panic, reason = "a panic is how a target tells of a finding")]

mod assemble;
mod authzen;
mod calls;
mod cut;
mod files;
mod gate;
mod json;
mod log;
mod prices;
mod published;
mod replies;
mod steps;
mod streams;

pub use assemble::assemble;
pub use authzen::authzen;
pub use calls::{call_form, call_json};
pub use files::{config_manifest, config_settings, policy_entities, policy_rules, policy_schema};
pub use gate::{credentials, headers, names, routes};
pub use json::json;
pub use log::{entries, log_fold, notes, proofs, snapshot};
pub use prices::{amounts, catalogue, price_bond};
pub use published::published;
pub use replies::reply;
pub use steps::step;
pub use streams::{sse, stream, stream_memory};

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the binary in `fuzz/`, and of its directories of inputs.
    pub name: &'static str,
    /// Looks at one input; panics if something does not hold.
    pub run: fn(&[u8]),
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    target("amounts", amounts),
    target("assemble", assemble),
    target("authzen", authzen),
    target("call_form", call_form),
    target("call_json", call_json),
    target("catalogue", catalogue),
    target("config_manifest", config_manifest),
    target("config_settings", config_settings),
    target("credentials", credentials),
    target("entries", entries),
    target("headers", headers),
    target("json", json),
    target("log_fold", log_fold),
    target("names", names),
    target("notes", notes),
    target("policy_entities", policy_entities),
    target("policy_rules", policy_rules),
    target("policy_schema", policy_schema),
    target("price_bond", price_bond),
    target("proofs", proofs),
    target("published", published),
    target("reply", reply),
    target("routes", routes),
    target("snapshot", snapshot),
    target("sse", sse),
    target("step", step),
    target("stream", stream),
    target("stream_memory", stream_memory),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// The value, or a panic that says what was promised.
fn must<T, E: std::fmt::Debug>(result: Result<T, E>, promise: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{promise}: {error:?}"),
    }
}

/// Texts that people read on a terminal: not empty, bounded, and nothing in them that could move a cursor.
fn assert_plain(text: &str) {
    assert!(!text.is_empty(), "an empty message");
    assert!(text.len() <= 8 << 10, "a message of {} bytes", text.len());
    let bad = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "a control character in {text:?}");
}
