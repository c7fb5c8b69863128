//! `bailiwick-verify`: what an outsider runs to check a log. It uses nothing of the server, and no network.
//!
//! Exit codes: 0 if everything holds, 1 if something does not, 2 if it was asked for in a way that makes no sense or names
//! something that cannot be read.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
