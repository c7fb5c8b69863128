//! `bailiwick policy diff`

use std::io;

use control::{ReplayChange, ReplayReport};

use super::{
    super::{Common, Failure, output::Output},
    replay::{self, Order, changes, notes},
};

/// Show which recorded decisions other policies would change
///
/// Every decision of the period is asked again, of the policies in effect and of those in question, with what was recorded of
/// it: model calls through the gateway, and what enforcement points asked. Manifests are those of the time; stored entities
/// are those of now. What cannot be asked again is counted. Nothing takes effect.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The policies in question are a governance directory, or files that are the whole set: *.cedarschema,
*.cedar, *.json with entities. Times are written as for `bailiwick cost`.

Exit code with --exit-code: 0 if nothing would change, 1 if something would.

Examples:
  bailiwick policy diff
  bailiwick policy diff proposal/governance --since 7d --agent nightly-report
  bailiwick policy diff governance --against old/governance --pep orders-api --exit-code
  bailiwick policy diff new.cedar --since 2026-11-01 --json | jq '.changes[] | {subject, action, after}'")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    order: Order,
    /// From when on
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    /// Exit with 1 if anything would change
    #[arg(long)]
    exit_code: bool,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let report = replay::ask(common, &args.order, &args.since).await?;
    out.show(&report, |out| print(&report, out))?;
    match args.exit_code && report.changed > 0 {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}

fn print(report: &ReplayReport, out: &mut Output) -> io::Result<()> {
    replay::summary(report, out)?;
    if !report.changes.is_empty() {
        out.line("")?;
        let all: Vec<&ReplayChange> = report.changes.iter().collect();
        changes(&all, out)?;
    }
    notes(report, out)
}
