//! One binary: wiring, shutdown, command line.
//!
//! `cli` has a file for each command, `server.rs` puts a server together and takes it apart, `certificates.rs` renews its
//! certificates, `witnesses.rs` asks others to cosign the logs, `verify.rs` checks a data directory without a server, and
//! `published.rs` exports and proves what is signed of it. What people write is read by the crate `config`.

mod certificates;
mod cli;
mod demo;
mod logging;
mod published;
mod server;
mod verify;
mod witnesses;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
