//! `bailiwick audit`

mod describe;
mod list;
mod pages;
mod show;
mod tail;
mod verify;

use super::{Common, Failure, output::Output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Show(show::Args),
    Tail(tail::Args),
    Verify(verify::Args),
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(common, args, out).await,
        Command::Show(args) => show::run(common, args, out).await,
        Command::Tail(args) => tail::run(common, args, out).await,
        Command::Verify(args) => verify::run(common, args, out).await,
    }
}
