//! How the edges are reached, and reach others: streams with or without TLS, certificates, listeners.
//!
//! It knows nothing of what is said on a connection but that it is HTTP, and nothing of Bailiwick.
//! `listener.rs` accepts and drains, `connection.rs` serves one connection, `patience.rs` and `watched.rs` let go of peers
//! that stop reading, `linger.rs` closes so that replies are found, `unreadable.rs` says more than hyper of what is no HTTP, `tls.rs` makes TLS configurations of PEM text, `stream.rs` is what bytes go through,
//! `client.rs` sends small requests of our own.

mod client;
mod connection;
mod linger;
mod listener;
mod patience;
mod stream;
pub mod tls;
mod unreadable;
mod watched;

pub use client::{Answer, Bounds, Client, ClientError};
pub use connection::PeerCertificate;
pub use linger::Unread;
pub use listener::{Bound, Listener, Settings};
pub use stream::Stream;
pub use tls::ServerTls;
