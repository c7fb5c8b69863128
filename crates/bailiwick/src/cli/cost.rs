//! `bailiwick cost`

mod bars;
mod csv;
mod text;

use clap::builder::PossibleValuesParser;
use control::{CostLabel, CostReport, cost_label};
use model::TenantName;

use super::{Common, Failure, client::query, output::Output, target::Target};

/// Show what calls cost, by team, product, agent, model, user, ...
///
/// Amounts are US dollars, exact to the nano-dollar: they are what the ledger has booked. A call counts at the time at which
/// it was admitted, as in its budgets, and under what its agent's manifest said then. Calls in flight are not counted yet. A
/// retry is a call of its own; FAILED are those that did not end with the provider's whole answer delivered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Times are 2026-11-01, 2026-11, 2026-11-01T14:30, 2026-11-01T14:30:00Z, lengths of time before now
(90m, 12h, 7d, 4w), or now, today, yesterday, week, month, year: the first instant of each. They are
read in the time zone of --zone, to the minute.

Labels are those that --by takes. A value that ends in * stands for all that begin so; --where with
the same label again gives it alternatives. Users are named as the report names them.

Examples:
  bailiwick cost                                       # this month, by agent
  bailiwick cost --by team,product --since 2026-11-01 --until 2026-11-23 --zone Europe/Berlin
  bailiwick cost --by model --where team=data --where team=web --since 7d
  bailiwick cost --by user --top 10 --since yesterday --until today
  bailiwick cost --by team,agent,model --since 2026-11 --csv > november.csv
  bailiwick cost --by team --json | jq -r '.lines[] | [.labels.team, .cost_usd] | @tsv'")]
pub(super) struct Args {
    /// The labels to sum by, with commas between them
    #[arg(
        long,
        value_name = "LABELS",
        value_delimiter = ',',
        default_value = "agent",
        value_parser = PossibleValuesParser::new(CostLabel::ALL.map(CostLabel::as_str))
    )]
    by: Vec<String>,
    /// From when on
    #[arg(long, value_name = "TIME", default_value = "month")]
    since: String,
    /// Up to when; that minute is not included [default: to the end]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The time zone of times, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// Only calls with this value of a label; may come more than once
    #[arg(long = "where", value_name = "LABEL=VALUE", value_parser = condition)]
    only: Vec<String>,
    /// Only one tenant's calls [default: all tenants]
    #[arg(long)]
    tenant: Option<TenantName>,
    /// Show the costliest N lines, and the others as one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    top: Option<u16>,
    /// Print CSV (RFC 4180), without a line for the total
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    target: Target,
}

/// How many lines a table has if it is not said. A program gets all that the server gives.
const TOP: u16 = 50;
const TOP_MAX: u16 = 10_000;

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    if args.csv && out.is_json() {
        return Err(Failure::Usage(
            "--csv and --json are two formats: choose one".to_owned(),
        ));
    }
    let for_people = !args.csv && !out.is_json();
    let top = args.top.unwrap_or(if for_people { TOP } else { TOP_MAX });
    let parameters = [
        ("by", Some(args.by.join(","))),
        ("since", Some(args.since.clone())),
        ("until", args.until.clone()),
        ("zone", Some(args.zone.clone())),
        ("tenant", args.tenant.as_ref().map(ToString::to_string)),
        ("top", Some(top.to_string())),
    ];
    let only = args.only.iter().map(|only| ("filter", Some(only.clone())));
    let query = query(parameters.into_iter().chain(only));
    let client = args.target.client(common)?;
    let report: CostReport = client.get(&format!("/api/v1/cost{query}")).await?;
    if args.csv {
        for line in csv::lines(&report) {
            // Standard output ends lines with LF; the format wants CRLF.
            out.line(format_args!("{line}\r"))?;
        }
        return Ok(());
    }
    out.show(&report, |out| text::print(&report, &args.zone, out))
}

/// A condition as the server takes it.
fn condition(text: &str) -> Result<String, String> {
    let (label, _) = text
        .split_once('=')
        .ok_or("write a label and the value it is to have, such as team=data")?;
    cost_label(label).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
