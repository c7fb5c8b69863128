//! Exported logs, honest and not, through the library and through the program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod dishonest;
mod export;
mod program;
mod rotation;
mod support;
mod tampering;
