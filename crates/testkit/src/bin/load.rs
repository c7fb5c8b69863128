//! The load generator as a program: prints its report as one JSON line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use testkit::load::{Plan, run};

/// Sends the same request over and over, or several in turn, on several connections at once.
#[derive(Parser)]
struct Args {
    /// Where to, with its path.
    #[arg(long)]
    url: http::Uri,
    /// The bearer credential.
    #[arg(long, default_value = "none")]
    key: String,
    /// The body of every request.
    #[arg(long, required_unless_present = "bodies", default_value = "")]
    body: String,
    /// A file with a body on each line, sent in turn.
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    bodies: Option<PathBuf>,
    /// How many connections.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// For how long, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    millis: u64,
    /// Open one stream on each connection with this script for the simulated provider, report when all have begun, and hold
    /// them until the standard input ends.
    #[arg(long, value_name = "SCRIPT", conflicts_with = "millis")]
    hold: Option<String>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Args {
        url,
        key,
        body,
        bodies,
        connections,
        millis,
        hold,
    } = Args::parse();
    let duration = Duration::from_millis(millis);
    let bodies = match bodies {
        Some(file) => std::fs::read_to_string(file)?
            .lines()
            .map(|line| line.to_owned().into())
            .collect(),
        None => vec![body.into()],
    };
    let plan = Plan {
        url,
        key,
        bodies,
        connections,
        duration,
    };
    if let Some(script) = hold {
        let held = testkit::load::hold(&plan, &script).await?;
        println!("{}", serde_json::json!({ "held": held.count() }));
        return tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await?
            .map(drop);
    }
    let report = run(&plan).await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
