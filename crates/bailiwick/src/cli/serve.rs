//! `bailiwick serve`

use std::{io, time::Duration};

use control::{AdminError, Control};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Common, Failure};
use crate::{
    logging,
    server::{self, Addresses, Server, ServerError},
};

/// Run the server
///
/// Prints one line of JSON with the bound addresses when it is ready: on standard output, or, where a sink of the kind
/// `stdout` writes entries there, on standard error. SIGHUP reads the declarations again, SIGTERM and
/// SIGINT finish what is in flight and stop; a second one stops at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Environment:
  BAILIWICK_LOG  what to log, such as debug or info,gateway=trace [default: as configured]

Examples:
  bailiwick serve -c mydir/bailiwick.toml
  BAILIWICK_LOG=debug bailiwick serve")]
pub(super) struct Args {}

/// The line that says that the server is ready.
#[derive(Serialize)]
struct Listening {
    listening: Addresses,
}

pub(super) fn run(common: &Common, _: &Args) -> Result<(), Failure> {
    let settings = config::load(&common.config_file())?;
    logging::start(settings.log).map_err(logging::no_filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let served = runtime.block_on(async {
        let no_signals = |error| Failure::failed(format!("no signals: {error}"));
        let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
        let stop = Stop::new().map_err(no_signals)?;
        // Heard, it does not end the process: the write fails instead, as on a full disk.
        let _file_size = signal(SignalKind::from_raw(FILE_SIZE)).map_err(no_signals)?;
        serve(settings, hangup, stop).await
    });
    // What is left now are connections whose time is over.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served
}

async fn serve(settings: config::Settings, mut hangup: Signal, mut stop: Stop) -> Result<(), Failure> {
    let entries_on_stdout = settings.sinks.iter().any(config::Sink::is_stdout);
    let server = tokio::select! {
        started = Server::start(settings) => started.map_err(failure)?,
        () = stop.asked() => return Err(Failure::failed("stopped before it was ready")),
    };
    let listening = server.addresses();
    tracing::info!(agents = %listening.agents, admin = %listening.admin, "listening");
    let written = match entries_on_stdout {
        false => announce(io::stdout().lock(), &Listening { listening }),
        true => announce(io::stderr().lock(), &Listening { listening }),
    };
    // Nobody may be reading: that is no reason to stop.
    if let Err(error) = written {
        tracing::warn!(%error, "the addresses cannot be written");
    }
    loop {
        tokio::select! {
            _ = hangup.recv() => drop(tokio::spawn(reload(server.control().clone()))),
            () = stop.asked() => break,
        }
    }
    tracing::info!("stopping: what is in flight is finished first; another signal stops at once");
    tokio::select! {
        () = server.stop("signal") => Ok(()),
        () = stop.asked() => {
            Err(Failure::failed("stopped at once; calls that were in flight are booked in full at the next start"))
        }
    }
}

fn announce(mut out: impl io::Write, listening: &Listening) -> io::Result<()> {
    serde_json::to_writer(&mut out, listening)?;
    out.write_all(b"\n")?;
    out.flush()
}

async fn reload(control: Control) {
    match server::reload(&control).await {
        Ok(report) if report.changes.is_empty() => tracing::info!("reloaded: nothing changed"),
        Ok(report) => tracing::info!(changes = report.changes.join("; "), "reloaded"),
        Err(AdminError::Problems(problems)) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            tracing::error!("not reloaded: what was in effect stays");
        }
        Err(error) => tracing::error!(%error, "not reloaded"),
    }
}

fn failure(error: ServerError) -> Failure {
    match error {
        ServerError::Declarations(problems) => Failure::Config(problems),
        error => Failure::failed(error.to_string()),
    }
}

/// SIGXFSZ on Linux and the BSDs: a file would pass the limit that the process has on sizes.
const FILE_SIZE: i32 = 25;

/// The signals to stop.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
