//! The gateway in process: real listener, real store, real HTTP client, the simulated provider behind it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod assembled;
mod attempts;
mod bad_clients;
mod bad_input;
mod bad_upstreams;
mod budgets;
mod calls;
mod cases;
mod endpoints;
mod harness;
mod overruns;
mod raw;
mod raw_upstream;
mod refusals;
mod repeats;
mod rules;
mod streams;
mod templates;
mod transport;
mod vectors;
