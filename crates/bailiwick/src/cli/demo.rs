//! `bailiwick demo`

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Common, Failure};
use crate::demo::{self, Ended, Options};

/// See it work: nothing to configure, no account, no network
///
/// Starts Bailiwick and a simulated provider on loopback, lets four agents work through it (one of them in a runaway
/// loop, one asking for a model that its policy forbids), shows what happens, and verifies the audit log from the files
/// on disk. The files are in a temporary directory, which is removed at the end. Takes some ten seconds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if all that the demo claims holds, 1 if not.

Examples:
  bailiwick demo
  bailiwick demo --keep
  bailiwick demo --json | jq -c 'select(.event == \"summary\")'")]
pub(super) struct Args {
    /// Stay up afterwards, with a credential for an SDK of your own, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Do not slow down for the eye [default: if standard output is no terminal]
    #[arg(long)]
    fast: bool,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<(), Failure> {
    let options = Options {
        keep: args.keep,
        json: common.json,
        fast: args.fast,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(async {
        let no_signals = |error| Failure::failed(format!("no signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        // The terminal was closed.
        let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
        let interrupted = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        };
        demo::run(options, &program(), interrupted).await.map_err(failure)
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    match ended? {
        Ended::Well => Ok(()),
        Ended::Badly => Err(Failure::Said),
        Ended::Interrupted => Err(Failure::failed("interrupted; the demo's files are removed")),
    }
}

fn failure(error: anyhow::Error) -> Failure {
    match demo::is_unread(&error) {
        true => Failure::Said,
        false => Failure::failed(format!("{error:#}")),
    }
}

/// How a person calls this program: by its name where the shell finds it, else by its path, from here if that is shorter.
fn program() -> String {
    let Ok(program) = env::current_exe() else {
        return "bailiwick".to_owned();
    };
    let name = program.file_name().map_or(Path::new("bailiwick"), Path::new);
    let found = |dir: PathBuf| dir.join(name).canonicalize().is_ok_and(|found| found == program);
    let searched = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&searched).any(found) {
        return name.display().to_string();
    }
    let here = env::current_dir().unwrap_or_default();
    let path = program.strip_prefix(&here).unwrap_or(&program);
    path.display().to_string()
}
