//! The load generator as a program: prints its report as one JSON line.

use std::time::Duration;

use clap::Parser;
use testkit::load::{Plan, run};

/// Sends the same request over and over, on several connections at once.
#[derive(Parser)]
struct Args {
    /// Where to, with its path.
    #[arg(long)]
    url: http::Uri,
    /// The bearer credential.
    #[arg(long, default_value = "none")]
    key: String,
    /// The body of every request.
    #[arg(long)]
    body: String,
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
        connections,
        millis,
        hold,
    } = Args::parse();
    let duration = Duration::from_millis(millis);
    let plan = Plan {
        url,
        key,
        body: body.into(),
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
