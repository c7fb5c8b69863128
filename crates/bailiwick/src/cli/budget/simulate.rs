//! `bailiwick budget simulate`

use std::{io, path::PathBuf};

use api::wire;
use control::SimulationReport;
use model::TenantName;

use super::super::{
    Common, Failure,
    output::Output,
    table::{
        Align::{Left, Point, Right},
        Table, clean, money, short_time,
    },
    target::Target,
};

/// How many of the first stops are shown to a person.
const STOPS: usize = 10;

/// Show what the budgets of a file would have stopped in a past period, and when
///
/// The recorded usage of the period is put to them, call by call, as if they had come into effect at its beginning: what was
/// spent before in a window that was running then counts. A call that would have been stopped leaves its room to later ones;
/// what its agent would have done instead is not known. Nothing takes effect.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is one as in governance/: documents of `kind: Budget`, and agents, whose own budgets are
taken. Times are written as for `bailiwick cost`.

Examples:
  bailiwick budget simulate governance/rules/teams.yaml --since 7d
  bailiwick budget simulate proposal.yaml --since 2026-10-01 --until 2026-11-01 --zone Europe/Berlin
  bailiwick budget simulate proposal.yaml --since month --json | jq .stopped_calls")]
pub(in crate::cli) struct Args {
    /// The proposed budgets
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// From when on calls are stopped
    #[arg(long, value_name = "TIME", default_value = "month")]
    since: String,
    /// Up to when [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The time zone of times, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// In whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let budgets = config::load_budgets(&args.file)?;
    if budgets.is_empty() {
        let file = args.file.display();
        let message = format!("{file} declares no budget: write documents of `kind: Budget` or `kind: Agent`");
        return Err(Failure::failed(message));
    }
    let asked = wire::SimulateBudgets {
        tenant: args.tenant.clone(),
        since: args.since.clone(),
        until: args.until.clone(),
        zone: args.zone.clone(),
        budgets,
    };
    let client = args.target.client(common)?;
    let report: SimulationReport = client.post_long("/api/v1/simulations", &asked).await?;
    out.show(&report, |out| print(&report, out))
}

fn print(report: &SimulationReport, out: &mut Output) -> io::Result<()> {
    out.line(format!(
        "From {} to {} UTC {} calls were let through, for {} USD; {} of them are these budgets' business.",
        short_time(&report.since),
        short_time(&report.until),
        report.calls,
        money(&report.cost_usd),
        report.selected
    ))?;
    if report.refused_then > 0 {
        let refused = report.refused_then;
        out.line(format!(
            "{refused} more were refused at the time; what they would have cost is not known."
        ))?;
    }
    if report.overselected > 0 {
        out.line(format!(
            "{} were not put to the budgets: more than 16 of them select each, so they would not load.",
            report.overselected
        ))?;
    }
    if report.undecided > 0 {
        out.line(format!(
            "{} could not be put to the budgets: what is said of the others may be wrong, too.",
            report.undecided
        ))?;
    }
    if report.stopped_calls == 0 {
        return out.line("The budgets would have stopped none.");
    }
    out.line(format!(
        "The budgets would have stopped {}, which cost {} USD:",
        report.stopped_calls,
        money(&report.stopped_cost_usd)
    ))?;
    out.line("")?;
    let mut table = Table::new([
        ("BUDGET", Left),
        ("STOPS", Right),
        ("COST", Point),
        ("FIRST (UTC)", Left),
        ("LAST (UTC)", Left),
    ]);
    for pot in &report.pots {
        let whose = if pot.of.is_empty() { "" } else { " of " };
        table.row([
            format!("{}{whose}{}", pot.budget, clean(&pot.of)),
            pot.calls.to_string(),
            money(&pot.cost_usd),
            short_time(&pot.first),
            short_time(&pot.last),
        ]);
    }
    table.print(out)?;
    out.line("")?;
    let mut table = Table::new([
        ("WHEN (UTC)", Left),
        ("ENTRY", Right),
        ("AGENT", Left),
        ("MODEL", Left),
        ("BUDGET", Left),
        ("ASKED", Left),
        ("USED", Left),
        ("LIMIT", Left),
    ]);
    for stop in report.stops.iter().take(STOPS) {
        table.row([
            short_time(&stop.at),
            stop.entry.to_string(),
            clean(&stop.agent).into_owned(),
            clean(&stop.model).into_owned(),
            stop.budget.clone(),
            stop.asked.clone(),
            stop.used.clone(),
            stop.limit.clone(),
        ]);
    }
    table.print(out)?;
    if report.stops.len() > STOPS {
        out.line(format!("The first {STOPS} stops are shown; --json has more."))?;
    }
    Ok(())
}
