//! `bailiwick policy simulate`

use std::io;

use control::{ReplayChange, ReplayReport};

use super::{
    super::{
        Common, Failure,
        output::{HEADING, Output},
        table::{
            Align::{Left, Point, Right},
            Table, money,
        },
    },
    replay::{self, Order, changes, notes},
};

/// Show what a period would have been like under other policies, before switching to them
///
/// The decisions of the period are asked again, as `bailiwick policy diff` does it, and the answers are told by day and by
/// what would newly be denied or permitted, with what the denied calls cost. What an agent would have done instead is not
/// known. Nothing takes effect.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The policies are a governance directory, or files that are the whole set: *.cedarschema, *.cedar,
*.json with entities. Times are written as for `bailiwick cost`.

Examples:
  bailiwick policy simulate proposal/governance --since 7d
  bailiwick policy simulate governance --since 2026-10-01 --until 2026-11-01 --zone Europe/Berlin
  bailiwick policy simulate governance --since month --json | jq .denied_cost_usd")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    order: Order,
    /// From when on
    #[arg(long, value_name = "TIME")]
    since: String,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let report = replay::ask(common, &args.order, &args.since).await?;
    out.show(&report, |out| print(&report, out))
}

fn print(report: &ReplayReport, out: &mut Output) -> io::Result<()> {
    replay::summary(report, out)?;
    if report.denied_calls > 0 {
        let open = match report.denied_calls_open {
            0 => String::new(),
            open => format!("; {open} of them have not ended"),
        };
        let (calls, they) = match report.denied_calls {
            1 => ("1 model call that was let through".to_owned(), "it"),
            calls => (format!("{calls} model calls that were let through"), "they"),
        };
        let cost = money(&report.denied_cost_usd);
        out.line(format_args!("{calls} would be refused; {they} cost {cost} USD{open}."))?;
    }
    if !report.days.is_empty() {
        out.line("")?;
        let mut table = Table::new([
            ("DAY (UTC)", Left),
            ("DECISIONS", Right),
            ("NEWLY DENIED", Right),
            ("PERMITTED", Right),
            ("TO APPROVE", Right),
            ("COST OF DENIED", Point),
        ]);
        for day in &report.days {
            table.row([
                day.day.clone(),
                day.replayed.to_string(),
                day.newly_denied.to_string(),
                day.newly_permitted.to_string(),
                day.newly_approval_required.to_string(),
                money(&day.denied_cost_usd),
            ]);
        }
        table.print(out)?;
    }
    for (outcome, title) in [
        ("deny", "Newly denied"),
        ("permit", "Newly permitted"),
        ("approval_required", "Newly to be approved"),
    ] {
        let of: Vec<&ReplayChange> = report
            .changes
            .iter()
            .filter(|change| change.after.outcome == outcome)
            .collect();
        if !of.is_empty() {
            out.line(format_args!("\n{HEADING}{title}{HEADING:#}"))?;
            changes(&of, out)?;
        }
    }
    notes(report, out)
}
