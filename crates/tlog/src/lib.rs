//! The transparency log: what makes the audit record tamper-evident.
//!
//! - [`struct@Hash`], [`CompactRange`]: the RFC 6962 Merkle tree, grown one leaf at a time.
//! - [`proof`]: that a leaf is in a tree, that a tree goes on from an earlier one; made and checked.
//! - [`note`]: C2SP signed notes, a text with Ed25519 signatures under it.
//! - [`checkpoint`]: the signed statement of a log's size and root.
//! - [`cosignature`]: what witnesses sign under a checkpoint, and how many of them are enough.
//! - [`tile`], [`bundle`]: the tree and its leaves in pieces of 256, as C2SP logs publish them; proofs read from them.
//! - [`kept`]: its leaves once some of them were let go.
//! - [`proof_file`]: the proof of one entry as a text that is checked offline.
//!
//! Everything here is pure: no I/O, no clock, no randomness. Whoever checks a log needs this crate and nothing else of
//! the server.

pub mod bundle;
pub mod checkpoint;
pub mod cosignature;
mod hash;
pub mod kept;
pub mod note;
pub mod proof;
pub mod proof_file;
mod range;
#[cfg(test)]
mod testing;
pub mod tile;

pub use hash::{Hash, HashError, empty_root, leaf_hash, node_hash};
pub use kept::Stored;
pub use range::{CompactRange, RangeError};
