//! The gateway in process: real listener, real store, real HTTP client, the simulated provider behind it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod admission;
mod bad_upstreams;
mod calls;
mod endpoints;
mod harness;
mod raw;
mod refusals;
mod streams;
