//! The enforcement point: the listener that agents talk to.
//!
//! A codec around `control`'s pipeline: it reads HTTP, asks, carries what was cleared to its upstream ([`control::Upstream`])
//! and the reply back, and spells refusals in the caller's dialect. It decides nothing.
//!
//! `server.rs` listens, `service.rs` takes one request through, `bodies.rs` reads what it brings, `forward.rs` and `receive.rs` call the
//! upstream through `upstreams/` (its connections), `stream.rs` is the body
//! of a reply that passes as it comes, `replays.rs` keeps replies for calls
//! that are sent again, `mount.rs` lets others answer below the first segments that are theirs, `route.rs`, `headers.rs` and `reply.rs` are the small rules; the first two
//! are pure and public, for the fuzz targets.

mod bodies;
mod forward;
pub mod headers;
mod leaks;
mod mount;
mod receive;
mod replays;
mod reply;
pub mod route;
mod server;
mod service;
mod stream;
mod upstreams;

pub use mount::{Mount, Mounted, RequestBody, Unread};
pub use server::Gateway;
