//! The gateway in process: real listener, real store, real HTTP client, the simulated provider behind it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod admission;
mod attempts;
mod calls;
mod endpoints;
mod harness;
mod refusals;
mod streams;
mod transport;
