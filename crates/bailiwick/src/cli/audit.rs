//! `bailiwick audit`

mod describe;
mod keys;
mod list;
mod pages;
mod show;
mod tail;
mod verify;

use super::{Common, Failure, output::Output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Keys(keys::Args),
    RotateKey(keys::Rotate),
    RetireKey(keys::Retire),
    Show(show::Args),
    Tail(tail::Args),
    Verify(verify::Args),
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Keys(args) => keys::list(common, args, out).await,
        Command::RotateKey(args) => keys::rotate(common, args, out).await,
        Command::RetireKey(args) => keys::retire(common, args, out).await,
        Command::List(args) => list::run(common, args, out).await,
        Command::Show(args) => show::run(common, args, out).await,
        Command::Tail(args) => tail::run(common, args, out).await,
        Command::Verify(args) => verify::run(common, args, out).await,
    }
}
