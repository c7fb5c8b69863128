//! What measuring needs and the product does not: a bare pass-through to compare with, a load generator,
//! and certificates for tests.
//!
//! `cargo xtask bench` starts the two programs of this crate beside the simulated provider and the gateway.

pub mod load;
pub mod pki;

/// What a program of this crate prints when it is ready.
#[derive(serde::Serialize)]
pub struct Ready {
    /// Where it listens, by role.
    pub listening: std::collections::BTreeMap<&'static str, std::net::SocketAddr>,
}
