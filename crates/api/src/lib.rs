//! The administration listener: what people and their programs ask of a running server.
//!
//! [`control`] decides, records and answers; everything here is spelling: JSON in, one call, JSON out. Files, in the
//! order of a first reading: `routes.rs` (the table of everything that can be asked), one file for each kind of thing
//! with its handlers (`agents.rs`, `keys.rs`, ...), `caller.rs` and `input.rs` (what handlers take), `problem.rs` (what goes
//! wrong and which status it has), `guard.rs` (what holds for every request), `listener.rs` (connections).
//! [`wire`] has the JSON documents, for clients in Rust too.
//!
//! # Who may ask
//! Everything below `/api/v1` takes an administrator's credential as `Authorization: Bearer bwa_...`; what their role
//! allows is `control`'s business. So does everything below `/log`, unless the configuration makes the logs public.
//! `/healthz` and `/readyz` take none. `/metrics` takes none where the listener's address
//! is a loopback one, so that a collector beside the server needs no secret; on any other address it takes any
//! administrator's, because labels name agents and the numbers are money.
//!
//! On a loopback address a request must name a loopback host. Otherwise a web page could point a name of its own at
//! 127.0.0.1 and read what its visitor's machine says (DNS rebinding).

mod admins;
mod agents;
mod asks;
mod audit;
pub mod authzen;
mod budgets;
mod caller;
mod cost;
mod entities;
mod guard;
mod input;
mod keys;
mod listener;
mod log_keys;
mod operations;
mod overruns;
mod peps;
mod problem;
mod public_log;
mod reload;
mod replay;
mod retention;
mod routes;
mod rules;
mod search;
mod simulate;
mod sinks;
mod upstreams;
pub mod wire;

pub use guard::LONG_REQUEST_TIMEOUT;
pub use listener::Api;

#[cfg(test)]
mod tests;
