//! `bailiwick audit list`

use api::wire::Entries;
use clap::builder::PossibleValuesParser;
use control::{EntryReport, rfc3339};
use entry::Event;
use model::{AgentName, TenantName};

use super::{
    describe::describe,
    pages::{Log, PAGE},
};
use crate::cli::{
    Common, Failure,
    output::Output,
    table::{
        Align::{Left, Right},
        Table, short_time,
    },
    target::Target,
};

/// Show entries of the audit trail
///
/// The last ones, or those from an index on. Amounts are US dollars, times UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit list
  bailiwick audit list --kind denial --agent assistant
  bailiwick audit list --from 0 --limit 1000 --json
  bailiwick audit list --tenant _system              # starts, stops, administrators")]
pub(in crate::cli) struct Args {
    /// Whose log; `_system` has what concerns the whole server
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    /// Start with the entry of this index
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// Show at most so many entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    /// Only entries of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(Event::kinds()))]
    kind: Option<String>,
    /// Only entries about this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentName>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let mut log = Log::new(&client, &args.tenant);
    let entries = match args.from {
        Some(from) => forward(&mut log, args, from).await?,
        None => backward(&mut log, args).await?,
    };
    let mut table = Table::new([
        ("ENTRY", Right),
        ("TIME (UTC)", Left),
        ("KIND", Left),
        ("AGENT", Left),
        ("WHAT", Left),
    ]);
    if !out.is_json() {
        for EntryReport { entry, .. } in &entries.entries {
            table.row([
                entry.index.to_string(),
                short_time(&rfc3339(entry.time)),
                entry.event.kind().to_owned(),
                log.agent(&entry.event).await?,
                describe(&entry.event),
            ]);
        }
    }
    out.show(&entries, |out| match entries.entries.is_empty() {
        true => out.line(format_args!(
            "No such entries. The log of {} has {} in all; `bailiwick audit list` shows the last ones.",
            entries.tenant, entries.size
        )),
        false => table.print(out),
    })
}

async fn forward(log: &mut Log<'_>, args: &Args, mut from: u64) -> Result<Entries, Failure> {
    let mut found = Vec::new();
    loop {
        let page = log.page(Some(from), PAGE).await?;
        let Some(last) = page.entries.last().map(|last| last.entry.index) else {
            return Ok(Entries { entries: found, ..page });
        };
        for report in page.entries {
            if matches(log, args, &report).await? {
                found.push(report);
            }
            if u64::try_from(found.len()).is_ok_and(|found| found >= args.limit) {
                return Ok(Entries {
                    tenant: page.tenant,
                    size: page.size,
                    entries: found,
                });
            }
        }
        from = last.saturating_add(1);
    }
}

/// From the end of the log towards its start, until there are enough.
async fn backward(log: &mut Log<'_>, args: &Args) -> Result<Entries, Failure> {
    let filtered = args.kind.is_some() || args.agent.is_some();
    let step = if filtered { PAGE } else { args.limit.min(PAGE) };
    let mut page = log.page(None, step).await?;
    let (tenant, size) = (page.tenant.clone(), page.size);
    // Newest first.
    let mut found = Vec::new();
    let mut end = size;
    let mut first = page.entries.first().map_or(size, |first| first.entry.index);
    first = first.min(size.saturating_sub(step));
    loop {
        // Where entries were let go, others come in their place, which were there already.
        for report in page.entries.into_iter().rev().filter(|report| report.entry.index < end) {
            if matches(log, args, &report).await? {
                found.push(report);
            }
        }
        let enough = u64::try_from(found.len()).is_ok_and(|found| found >= args.limit);
        if enough || first == 0 {
            break;
        }
        end = first;
        first = first.saturating_sub(step);
        page = log.page(Some(first), end - first).await?;
    }
    found.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    found.reverse();
    Ok(Entries {
        tenant,
        size,
        entries: found,
    })
}

async fn matches(log: &mut Log<'_>, args: &Args, report: &EntryReport) -> Result<bool, Failure> {
    let event = &report.entry.event;
    if args.kind.as_deref().is_some_and(|kind| kind != event.kind()) {
        return Ok(false);
    }
    match &args.agent {
        Some(agent) => Ok(log.agent(event).await? == agent.as_str()),
        None => Ok(true),
    }
}
