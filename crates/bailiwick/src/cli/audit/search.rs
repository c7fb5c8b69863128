//! `bailiwick audit search`

use std::collections::BTreeMap;

use control::{FoundReport, IndexedReport, SearchReport, rfc3339, search_condition};
use model::TenantName;
use serde::Serialize;

use super::describe::describe;
use crate::cli::{
    Common, Failure,
    client::{Client, query},
    output::{DOUBTFUL, Output, QUIET, hint},
    table::{
        Align::{Left, Right},
        Table, clean, short_time,
    },
    target::Target,
};

/// The most entries that are asked for at once, and that are shown at all.
const PAGE: usize = 1_000;
const ALL: usize = 100_000;
const LIMIT: usize = 50;

/// Find entries of the audit trail by what they say
///
/// An entry is found if it fits every filter and has all the words. An outcome is found by what its intent says, too: the
/// agent, the user, the run, the model. The newest come first. Amounts are US dollars, times UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A filter that comes more than once has alternatives. An action is named by its id or by its name in
policies; a resource is upstream/model, or type/id of what an enforcement point asked about, and
openai/* is all of openai. Words are whole words, in any case. Users are named as credentials are
issued to them, or by pseudonym:DIGITS.

Times are 2026-11-01, 2026-11, 2026-11-01T14:30, 2026-11-01T14:30:00Z, lengths of time before now
(-90m, 12h, 7d, 4w), or now, today, yesterday, week, month, year, in the time zone of --zone.

Examples:
  bailiwick audit search --agent assistant --min-cost 1 --since yesterday --until today
  bailiwick audit search --decision deny --since -2h
  bailiwick audit search --reason budget_exhausted --reason rate_limited --resource 'openai/*'
  bailiwick audit search --user ann@acme.example --kind outcome --status cut
  bailiwick audit search --by ada refund
  bailiwick audit search --agent assistant --all --json | jq -r '.entries[].entry.index'")]
pub(in crate::cli) struct Args {
    /// Words that an entry has all of, such as those of a note, a policy's name or a tool's
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Only this kind of entries, such as intent, outcome, denial, decided
    #[arg(long, value_parser = filter("kind"))]
    kind: Vec<String>,
    /// Only what this agent did, or what was done to it
    #[arg(long)]
    agent: Vec<String>,
    /// Only what this enforcement point asked
    #[arg(long)]
    pep: Vec<String>,
    /// Only what was done for this user
    #[arg(long, value_parser = filter("user"))]
    user: Vec<String>,
    /// Only what was done with this credential, or to it
    #[arg(long)]
    key: Vec<String>,
    /// Only this run
    #[arg(long)]
    run: Vec<String>,
    /// Only this task type
    #[arg(long)]
    task: Vec<String>,
    /// Only this action: an id, or a name such as llm:generate
    #[arg(long)]
    action: Vec<String>,
    /// Only this resource
    #[arg(long, value_parser = filter("resource"))]
    resource: Vec<String>,
    /// Only this model
    #[arg(long)]
    model: Vec<String>,
    /// Only questions of enforcement points about this subject, as type/id
    #[arg(long)]
    subject: Vec<String>,
    /// Only what was decided so: permit, deny, approval_required
    #[arg(long, value_parser = filter("decision"))]
    decision: Vec<String>,
    /// Only what was refused for this reason
    #[arg(long)]
    reason: Vec<String>,
    /// Only attempts that ended so, such as ok, cut, timeout
    #[arg(long, value_parser = filter("status"))]
    status: Vec<String>,
    /// Only what this budget held, refused or was changed by
    #[arg(long)]
    budget: Vec<String>,
    /// Only what this administrator did, or what was done to them
    #[arg(long, value_name = "ADMIN")]
    by: Vec<String>,
    /// From when on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Up to when, which is not included
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// The time zone of times, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// Only outcomes that cost so much at least
    #[arg(long, value_name = "USD")]
    min_cost: Option<String>,
    /// Only outcomes that cost so much at most
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    /// Only this tenant's entries; `_system` has what concerns the whole server [default: all]
    #[arg(long)]
    tenant: Vec<TenantName>,
    /// Show the oldest first
    #[arg(long)]
    oldest_first: bool,
    /// Show at most so many entries
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = limit, conflicts_with = "all")]
    limit: usize,
    /// Show all of them, up to 100,000
    #[arg(long)]
    all: bool,
    /// Go on with an earlier search, as it said
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Checks the value of a filter before a server is asked.
fn filter(name: &'static str) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |value| match search_condition(name, value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=ALL).contains(limit));
    limit.ok_or_else(|| format!("write a number from 1 to {ALL}"))
}

impl Args {
    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        let filters = [
            ("kind", &self.kind),
            ("agent", &self.agent),
            ("pep", &self.pep),
            ("user", &self.user),
            ("key", &self.key),
            ("run", &self.run),
            ("task", &self.task),
            ("action", &self.action),
            ("resource", &self.resource),
            ("model", &self.model),
            ("subject", &self.subject),
            ("decision", &self.decision),
            ("reason", &self.reason),
            ("status", &self.status),
            ("budget", &self.budget),
            ("by", &self.by),
            ("q", &self.words),
        ];
        let filters = filters
            .into_iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, Some(value.clone()))));
        let zoned = self.since.is_some() || self.until.is_some();
        let others = [
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("zone", zoned.then(|| self.zone.clone())),
            ("min_cost", self.min_cost.clone()),
            ("max_cost", self.max_cost.clone()),
            ("order", self.oldest_first.then(|| "oldest".to_owned())),
            ("cursor", self.cursor.clone()),
        ];
        let tenants = self.tenant.iter().map(|tenant| ("tenant", Some(tenant.to_string())));
        filters.chain(others).chain(tenants).collect()
    }
}

/// Pages put together.
#[derive(Serialize)]
struct Found {
    entries: Vec<FoundReport>,
    /// How many more there were, which were let go.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    logs: BTreeMap<String, IndexedReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let found = search(&client, args, if args.all { ALL } else { args.limit }).await?;
    for (tenant, IndexedReport { indexed, size }) in &found.logs {
        if indexed < size {
            let why = found.trouble.as_ref().map_or_else(
                || "it catches up by itself".to_owned(),
                |why| format!("it does not go on: {}", clean(why)),
            );
            hint(format_args!(
                "{DOUBTFUL}incomplete:{DOUBTFUL:#} only the first {indexed} of {size} entries of tenant {tenant} can be \
                 found yet; {why}"
            ));
        }
    }
    if let Some(gone) = found.gone {
        hint(format_args!(
            "{DOUBTFUL}incomplete:{DOUBTFUL:#} {gone} entries that fit were let go because their time was over"
        ));
    }
    out.show(&found, |out| {
        if found.entries.is_empty() {
            out.line("No such entries.")?;
            for hint in &found.hints {
                out.line(clean(hint))?;
            }
        } else {
            table(&found.entries).print(out)?;
        }
        if let Some(next) = &found.next {
            out.line(format_args!(
                "{QUIET}more: bailiwick audit search --cursor {next}{QUIET:#}"
            ))?;
        }
        Ok(())
    })
}

async fn search(client: &Client, args: &Args, limit: usize) -> Result<Found, Failure> {
    let mut parameters = args.parameters();
    let mut entries = Vec::new();
    let mut gone = 0;
    let mut logs: BTreeMap<String, IndexedReport> = BTreeMap::new();
    let mut trouble = None;
    loop {
        let wanted = (limit - entries.len()).min(PAGE);
        parameters.push(("limit", Some(wanted.to_string())));
        let page: SearchReport = client
            .get(&format!("/api/v1/audit/search{}", query(parameters)))
            .await?;
        entries.extend(page.entries);
        gone += page.gone;
        trouble = trouble.or(page.trouble);
        add(&mut logs, page.logs);
        match page.next {
            // A page may be short, even empty, because looking for more would have taken too long.
            Some(next) if entries.len() < limit => parameters = vec![("cursor", Some(next))],
            next => {
                return Ok(Found {
                    entries,
                    gone: Some(gone).filter(|gone| *gone > 0),
                    next,
                    logs,
                    trouble,
                    hints: page.hints,
                });
            }
        }
    }
}

/// How far the index was, over several pages: what was not indexed when one of them was looked for may be missing from it,
/// though it is indexed by now.
fn add(logs: &mut BTreeMap<String, IndexedReport>, page: BTreeMap<String, IndexedReport>) {
    for (tenant, log) in page {
        let known = logs.entry(tenant).or_insert(log);
        if known.indexed == known.size {
            *known = log;
        }
    }
}

fn table(entries: &[FoundReport]) -> Table {
    let default = TenantName::default_tenant();
    let tenants = entries.iter().any(|found| found.entry.entry.tenant != default);
    let columns = [
        ("ENTRY", Right),
        ("TIME (UTC)", Left),
        ("KIND", Left),
        ("WHO", Left),
        ("WHAT", Left),
    ];
    let tenant = tenants.then_some(("TENANT", Left));
    let mut table = Table::new(tenant.into_iter().chain(columns));
    for FoundReport { entry, about, .. } in entries {
        let entry = &entry.entry;
        let who = ["agent", "pep", "admin"]
            .into_iter()
            .find_map(|field| about.get(field)?.first());
        let cells = [
            entry.index.to_string(),
            short_time(&rfc3339(entry.time)),
            entry.event.kind().to_owned(),
            who.cloned().unwrap_or_default(),
            describe(&entry.event),
        ];
        let tenant = tenants.then(|| entry.tenant.to_string());
        table.row(tenant.into_iter().chain(cells));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_page_lacked_is_told_though_the_next_lacks_nothing() {
        let page = |indexed, size| BTreeMap::from([("default".to_owned(), IndexedReport { indexed, size })]);
        let mut logs = BTreeMap::new();
        for (next, expected) in [
            (page(90, 90), (90, 90)),
            (page(100, 100), (100, 100)),
            (page(30, 110), (30, 110)),
            (page(110, 110), (30, 110)),
        ] {
            add(&mut logs, next);
            let IndexedReport { indexed, size } = logs["default"];
            assert_eq!((indexed, size), expected);
        }
    }
}
