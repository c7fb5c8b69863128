//! `bailiwick audit`

mod describe;
mod list;
mod pages;
mod reindex;
mod search;
mod show;
mod tail;
mod verify;

use super::{Common, Failure, output::Output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Search(Box<search::Args>),
    Show(show::Args),
    Tail(tail::Args),
    Verify(verify::Args),
    Reindex(reindex::Args),
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(common, args, out).await,
        Command::Search(args) => search::run(common, args, out).await,
        Command::Show(args) => show::run(common, args, out).await,
        Command::Tail(args) => tail::run(common, args, out).await,
        Command::Verify(args) => verify::run(common, args, out).await,
        Command::Reindex(args) => reindex::run(common, args, out).await,
    }
}
