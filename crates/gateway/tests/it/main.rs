//! The gateway in process: real listener, real store, real HTTP client, the simulated provider behind it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod assembled;
mod attempts;
mod calls;
mod cases;
mod endpoints;
mod harness;
mod overruns;
mod refusals;
mod repeats;
mod streams;
mod vectors;
