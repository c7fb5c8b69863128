//! `bailiwick demo`: a whole Bailiwick at work, with nothing configured and no network.
//!
//! It is the real thing but for the provider: a server on files of its own, and four agents that call it over HTTP with
//! credentials that were issued to them. At the end three accounts of what happened are compared: what the agents saw,
//! what the audit log has, and what the provider counted.
//!
//! `stage.rs` starts everything, `agents/` do the work, `play.rs` carries what they tell to `show.rs`, which draws what
//! `table.rs` makes of `board.rs`; `record.rs` and `summary.rs` compare, `tell.rs` and `keep.rs` are the words at the end.

mod admin;
mod agents;
mod board;
mod caller;
mod cast;
mod event;
mod home;
mod keep;
mod play;
mod record;
mod reply;
mod show;
mod stage;
mod summary;
mod table;
mod tell;
pub(crate) mod terminal;
pub(crate) mod text;
mod web;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use self::{board::Board, caller::Pace, cast::Agent, show::Show, stage::Stage, summary::Summary};
use crate::{
    server,
    verify::{Report, verify},
};

/// How long a log's first checkpoint is waited for beside a running server.
const SIGNING: Duration = Duration::from_secs(4);

/// How it is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Stay up afterwards.
    pub(crate) keep: bool,
    /// Objects for programs instead of text for people.
    pub(crate) json: bool,
    /// No slower than it must be.
    pub(crate) fast: bool,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything holds.
    Well,
    /// Something does not; it was said what.
    Badly,
    /// Somebody had enough of it.
    Interrupted,
}

/// Runs the demo until it ends or `interrupted` does. Whatever happens, no file of it is left.
///
/// `program` is how a person calls this program.
///
/// # Errors
/// That it could not be run.
pub(crate) async fn run(
    options: Options,
    program: &str,
    interrupted: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    tokio::pin!(interrupted);
    let mut show = Show::new(options.json)?;
    let (stage, server) = Stage::set(options.keep).await?;
    let playing = act(&stage, options, &mut show);
    let played = tokio::select! {
        played = playing => Some(played),
        () = &mut interrupted => None,
    };
    let ended = match played {
        Some(Ok((board, took))) if options.keep => {
            let kept = tokio::select! {
                kept = keep(&stage, &board, took, program, &mut show) => kept,
                () = &mut interrupted => Ok(Ended::Well),
            };
            server.stop("demo over").await;
            kept
        }
        Some(Ok((board, took))) => {
            // From here on there are only the files.
            server.stop("demo over").await;
            let ended = conclude(&stage, &board, took, &mut show).await;
            ended.and_then(|ended| {
                show.lines(&tell::next(program, show.text_width()))?;
                Ok(ended)
            })
        }
        Some(Err(error)) => {
            server.stop("demo failed").await;
            Err(error)
        }
        None => {
            server.stop("demo interrupted").await;
            Ok(Ended::Interrupted)
        }
    };
    // The cursor is back before anything else is said.
    drop(show);
    stage.strike().await?;
    ended
}

/// Has the agents work. How it stands when they are done, and how long they took.
async fn act(stage: &Stage, options: Options, show: &mut Show) -> anyhow::Result<(Board, Duration)> {
    show.open()?;
    show.object(&json!({
        "event": "started",
        "agents": Agent::ALL,
        "listening": stage.addresses,
        "directory": stage.home.path(),
    }))?;
    let pace = if options.fast || !show.is_live() {
        Pace::Fast
    } else {
        Pace::Watched
    };
    let started = Instant::now();
    let board = play::play(stage, pace, show).await?;
    show.close(&board)?;
    Ok((board, started.elapsed()))
}

/// Compares and verifies, and says what came of it.
async fn conclude(stage: &Stage, board: &Board, took: Duration, show: &mut Show) -> anyhow::Result<Ended> {
    let data = &stage.settings.data_dir;
    let audit = signed_report(data, &server::guard_dir(&stage.settings)).await?;
    let log = record::of_log(data).await?;
    let provider = record::of_provider(&stage.provider.calls().snapshot())?;
    let summary = Summary::new(board, &log, &provider, audit, took);
    show.lines(&tell::report(&summary, show.text_width()))?;
    show.object(&summary)?;
    Ok(if summary.ok { Ended::Well } else { Ended::Badly })
}

/// Verifies the log. Beside a running server its head may not be signed yet: that is waited for, within reason.
async fn signed_report(data: &Path, guards: &Path) -> anyhow::Result<Report> {
    let until = Instant::now() + SIGNING;
    loop {
        let report = verify(data, guards, None).await?;
        if Instant::now() >= until || report.tenants.iter().all(|log| log.signed.is_some()) {
            return Ok(report);
        }
        tokio::time::sleep(SIGNING / 20).await;
    }
}

/// The same beside the running server; if all is well, it stays up until somebody interrupts it.
async fn keep(stage: &Stage, board: &Board, took: Duration, program: &str, show: &mut Show) -> anyhow::Result<Ended> {
    let ended = conclude(stage, board, took, show).await?;
    if let (Ended::Well, Some(credential)) = (ended, &stage.visitor) {
        keep::invite(stage, credential, program, show)?;
        keep::watch(stage, show).await?;
    }
    Ok(ended)
}

/// Whether an error says that nobody reads our output any more.
pub(crate) fn is_unread(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes
        .into_iter()
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
