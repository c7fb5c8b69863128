//! The enforcement point: the listener that agents talk to.
//!
//! A codec around `control`'s pipeline: it reads HTTP, asks, carries what was cleared to its upstream ([`control::Upstream`])
//! and the reply back, and spells refusals in the caller's dialect. It decides nothing.
//!
//! `server.rs` accepts, `service.rs` takes one request through, `forward.rs` calls the
//! upstream through `upstreams.rs` (its connections), `stream.rs` is the body
//! of a reply that passes as it comes, `patience.rs` lets go of callers that stop reading,
//! `route.rs`, `headers.rs` and `reply.rs` are the small rules; the first two are
//! pure and public, for the fuzz targets.

mod forward;
pub mod headers;
mod patience;
mod reply;
pub mod route;
mod server;
mod service;
mod stream;
mod upstreams;

pub use server::Gateway;
