//! The real binary, run as a user would, in front of the simulated provider.
//!
//! A test builds a [`harness::World`], starts it, and asks it things. When the world is dropped, the server is stopped the
//! way an operator would, and the evidence it leaves is checked: the log verifies, and no hold is open.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod admins;
mod authzen;
mod boots;
mod budgets;
mod check;
mod cost;
mod crash;
mod demo;
mod errors;
mod fail_open;
mod first_steps;
mod harness;
mod keys;
mod log_keys;
#[cfg(target_os = "linux")]
mod memory;
mod overruns;
mod policies;
mod public_log;
mod replays;
mod restored;
mod retention;
mod rollback;
mod searching;
mod serving;
mod sinks;
mod storage;
mod tls;
mod verifying;
mod witnesses;
