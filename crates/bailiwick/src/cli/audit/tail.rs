//! `bailiwick audit tail`

use std::io;

use control::{EntryReport, rfc3339};
use model::TenantName;

use super::{describe::describe, pages::Log};
use crate::cli::{
    Common, Failure,
    output::{HEADING, Output},
    table::{clean, short_time},
    target::Target,
};

/// Show entries of the audit trail as they come
///
/// Begins with the last ones and goes on until Ctrl-C. With --json, one entry a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit tail
  bailiwick audit tail -n 0 --json | jq -c .entry.event.denial")]
pub(in crate::cli) struct Args {
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    /// How many of the last entries to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=1_000))]
    lines: u64,
    /// Go on with what comes: always so
    #[arg(short, long, hide = true)]
    follow: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    tokio::select! {
        // The way to end it is no failure.
        _ = tokio::signal::ctrl_c() => Ok(()),
        done = tail(common, args, out) => done,
    }
}

async fn tail(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let mut log = Log::new(&client, &args.tenant);
    let mut page = log.page(None, args.lines).await?;
    let mut seen = page.size;
    if !out.is_json() {
        out.line(format_args!(
            "{HEADING}{}{HEADING:#}",
            row("ENTRY", "TIME (UTC)", "KIND", "AGENT", "WHAT")
        ))?;
    }
    loop {
        for report in &page.entries {
            show(&mut log, report, out).await?;
            seen = seen.max(report.entry.index.saturating_add(1));
        }
        page = log.wait(seen).await?;
    }
}

async fn show(log: &mut Log<'_>, report: &EntryReport, out: &mut Output) -> Result<(), Failure> {
    let entry = &report.entry;
    let agent = log.agent(&entry.event).await?;
    out.show(report, |out| -> io::Result<()> {
        let (time, what) = (short_time(&rfc3339(entry.time)), describe(&entry.event));
        out.line(row(
            &entry.index.to_string(),
            &time,
            entry.event.kind(),
            &agent,
            &clean(&what),
        ))
    })
}

/// A line of a table whose other lines are not known yet.
fn row(index: &str, time: &str, kind: &str, agent: &str, what: &str) -> String {
    format!("{index:>7}  {time:<19}  {kind:<16}  {agent:<20}  {what}")
}
