//! `bailiwick apply`

use control::LoadReport;

use super::{
    Common, Failure,
    output::{GOOD, Output},
    table::clean,
    target::Target,
};

/// Put what the files declare now in effect
///
/// Tells the running server to read agents, budgets, policies, upstreams and prices again, and prints what changed. If
/// something is wrong with them, all that was in effect stays. Other settings take effect at the next start.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick check && bailiwick apply")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let report: LoadReport = client.post("/api/v1/reload", None::<&()>).await?;
    out.show(&report, |out| {
        if report.changes.is_empty() {
            return out.line("Nothing changed: what is declared is in effect.");
        }
        for change in &report.changes {
            out.line(format_args!("{GOOD}applied{GOOD:#} {}", clean(change)))?;
        }
        Ok(())
    })
}
