//! `bailiwick audit`

mod accept_restored;
mod describe;
mod expire;
mod export;
mod hold;
mod keys;
mod list;
mod pages;
mod prove;
mod reindex;
mod search;
mod show;
mod tail;
mod verify;

use std::path::PathBuf;

use super::{Common, Failure, output::Output};
use crate::published::PublishedError;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Keys(keys::Args),
    RotateKey(keys::Rotate),
    RetireKey(keys::Retire),
    Show(show::Args),
    Tail(tail::Args),
    Verify(verify::Args),
    Export(export::Args),
    Prove(prove::Args),
    Search(Box<search::Args>),
    Reindex(reindex::Args),
    AcceptRestored(accept_restored::Args),
    Expire(expire::Args),
    #[command(subcommand)]
    Hold(hold::Command),
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Keys(args) => keys::list(common, args, out).await,
        Command::RotateKey(args) => keys::rotate(common, args, out).await,
        Command::RetireKey(args) => keys::retire(common, args, out).await,
        Command::List(args) => list::run(common, args, out).await,
        Command::Search(args) => search::run(common, args, out).await,
        Command::Show(args) => show::run(common, args, out).await,
        Command::Tail(args) => tail::run(common, args, out).await,
        Command::Verify(args) => verify::run(common, args, out).await,
        Command::Reindex(args) => reindex::run(common, args, out).await,
        Command::AcceptRestored(args) => accept_restored::run(common, args, out).await,
        Command::Expire(args) => expire::run(common, args, out).await,
        Command::Hold(command) => hold::run(common, command, out).await,
        Command::Export(args) => export::run(common, args, out).await,
        Command::Prove(args) => prove::run(common, args, out).await,
    }
}

/// The data directory that a command without a server reads: the one that was named, or else the configured one.
fn data_dir(common: &Common, named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    match named {
        Some(data) => Ok(data.clone()),
        None => Ok(config::load(&common.config_file())?.data_dir),
    }
}

impl From<PublishedError> for Failure {
    fn from(error: PublishedError) -> Self {
        Self::failed(error.to_string())
    }
}
