//! `bailiwick audit show`

use control::{EntryReport, rfc3339};
use model::{ActionId, TenantName};
use serde::Serialize;

use super::pages::{Log, PAGE, action_of, parse_which};
use crate::{
    cli::{
        Common, Failure,
        output::{HEADING, Output, QUIET},
        target::Target,
    },
    published::Which,
};

/// Show one entry whole, or all entries of an action
///
/// An action's id is what the caller sees as `Bailiwick-Request-Id`: its intent, its decision and its outcome are shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An entry is shown as it stands in the log: amounts are billionths of a US dollar, times microseconds \
since 1970.

Examples:
  bailiwick audit show 42
  bailiwick audit show 019a5c0e7b7a7f3a9d1c2e4f60718293")]
pub(in crate::cli) struct Args {
    /// An entry's index, or an action's id
    #[arg(value_name = "INDEX|ACTION_ID", value_parser = parse_which)]
    which: Which,
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Shown {
    entries: Vec<EntryReport>,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let mut log = Log::new(&client, &args.tenant);
    let entries = match args.which {
        Which::Entry(index) => vec![log.entry(index).await?],
        Which::Action(action) => of_action(&mut log, action).await?,
    };
    let shown = Shown { entries };
    let mut texts = Vec::new();
    for report in &shown.entries {
        // JSON escapes all control characters; others are taken care of below.
        let text = serde_json::to_string_pretty(&report.entry);
        texts.push(text.map_err(|error| Failure::failed(format!("no JSON: {error}")))?);
    }
    out.show(&shown, |out| {
        for (nth, (EntryReport { leaf, entry }, text)) in shown.entries.iter().zip(&texts).enumerate() {
            if nth > 0 {
                out.line("")?;
            }
            let (kind, time) = (entry.event.kind(), rfc3339(entry.time));
            out.line(format_args!(
                "{HEADING}entry {}: {kind} at {time}{HEADING:#}",
                entry.index
            ))?;
            out.line(format_args!("{QUIET}leaf hash {leaf}{QUIET:#}"))?;
            out.line(crate::cli::table::clean_lines(text))?;
        }
        Ok(())
    })
}

async fn of_action(log: &mut Log<'_>, action: ActionId) -> Result<Vec<EntryReport>, Failure> {
    let mut from = start(log, action).await?;
    let mut found = Vec::new();
    loop {
        let page = log.page(Some(from), PAGE).await?;
        let Some(last) = page.entries.last().map(|last| last.entry.index) else {
            break;
        };
        let of_it = page.entries.into_iter();
        found.extend(of_it.filter(|report| action_of(&report.entry.event) == Some(action)));
        from = last.saturating_add(1);
    }
    if found.is_empty() {
        return Err(Failure::failed(format!(
            "there is no entry of an action {action} in this log; if it is an old one, they may have been let go"
        )));
    }
    Ok(found)
}

/// Where the entries of an action may begin. Its id has the time in it (UUIDv7), and entries are in the order of their
/// times, so everything before that time is passed over.
async fn start(log: &mut Log<'_>, action: ActionId) -> Result<u64, Failure> {
    let [a, b, c, d, e, f, ..] = *action.as_bytes();
    let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let before = i64::try_from(millis.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let (mut low, mut high) = (0, log.page(Some(u64::MAX), 1).await?.size);
    while low < high {
        let middle = low + (high - low) / 2;
        // The first that is there from this place on.
        let there = log.page(Some(middle), 1).await?.entries.into_iter().next();
        match there.filter(|there| there.entry.time.unix_micros() < before) {
            Some(there) => low = there.entry.index + 1,
            None => high = middle,
        }
    }
    Ok(low)
}
