//! `bailiwick fake`

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ::fake::{Config, Provider};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, length::length, output::Output};

/// Run the built-in simulated model provider by itself
///
/// It speaks the OpenAI and Anthropic dialects, answers at once, costs nothing and takes any key: an upstream to try things
/// out with. Prints one line of JSON with its address when it is ready, and runs until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A request's header `fake-script` asks for other behaviour, such as `status=500` or `latency=2s; cut-after=3`.

Examples:
  bailiwick fake
  bailiwick fake --listen 127.0.0.1:8000 --latency 200ms --chunk-delay 20ms")]
pub(super) struct Args {
    /// Where to listen; port 0 lets the system choose one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// How long a call waits before its first byte
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = length)]
    latency: Duration,
    /// How long a stream waits between two events
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = length)]
    chunk_delay: Duration,
    /// How many tokens an answer has
    #[arg(long, value_name = "N", default_value_t = 40)]
    output_tokens: u64,
    /// Answer every Nth call with status 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    error_every: Option<u64>,
}

#[derive(Serialize)]
struct Listening {
    listening: Address,
}

#[derive(Serialize)]
struct Address {
    fake: SocketAddr,
}

pub(super) async fn run(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let no_signals = |error| Failure::failed(format!("no signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let config = Config {
        listen: args.listen,
        latency: args.latency,
        chunk_delay: args.chunk_delay,
        output_tokens: args.output_tokens,
        error_every: args.error_every,
        ..Config::default()
    };
    let provider = Provider::start(config).await;
    let provider = provider.map_err(|error| Failure::failed(format!("cannot listen on {}: {error}", args.listen)))?;
    let fake = provider.addr();
    out.document(&Listening {
        listening: Address { fake },
    })?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    provider.shutdown().await;
    Ok(())
}
