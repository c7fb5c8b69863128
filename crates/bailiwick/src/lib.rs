//! One binary: configuration, wiring, shutdown, command line.
//!
//! `cli` has a file for each command, `server.rs` puts a server together and takes it apart,
//! `certificates.rs` renews its certificates, `config` is the only place
//! that reads what people write, `verify.rs` checks a data directory without a server.

mod certificates;
mod cli;
mod config;
mod demo;
mod logging;
mod server;
mod verify;

pub use cli::main;
pub use config::{check_manifest, check_settings};
