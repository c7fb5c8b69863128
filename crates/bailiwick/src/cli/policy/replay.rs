//! What `diff` and `simulate` share: which policies, which decisions, and how the answer is told.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use api::wire::{PolicyFile, PolicyFiles, ReplayPolicies};
use control::{ReplayAnswer, ReplayChange, ReplayReport, ReplaySet};
use model::{AgentName, PepName, TenantName};

use super::{
    super::{
        Common, Failure,
        output::{DOUBTFUL, Output},
        table::{
            Align::{Left, Point, Right},
            Table, clean, money, short_time,
        },
        target::Target,
    },
    load,
};

/// How many kinds of changes are shown to a person.
const CHANGES: usize = 30;
/// How many policies are named in a cell or a line.
const POLICIES: usize = 3;
/// The longest file that is sent.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// Which decisions are put to which policies.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Order {
    /// The policies in question [default: the governance directory that the configuration names]
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// What they are compared with, likewise [default: what is in effect]
    #[arg(long, value_name = "DIR|FILE")]
    against: Vec<PathBuf>,
    /// Up to when [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The time zone of times, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// In whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    /// Only what this agent asked, or was asked about it
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// Only what this enforcement point asked
    #[arg(long, value_name = "NAME")]
    pep: Option<PepName>,
    /// Only this action, such as llm:generate
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Has the decisions asked again.
pub(super) async fn ask(common: &Common, order: &Order, since: &str) -> Result<ReplayReport, Failure> {
    let candidate = files(common, &order.paths, &order.tenant)?;
    let against = match order.against.as_slice() {
        [] => None,
        paths => Some(files(common, paths, &order.tenant)?),
    };
    let asked = ReplayPolicies {
        tenant: order.tenant.clone(),
        since: since.to_owned(),
        until: order.until.clone(),
        zone: order.zone.clone(),
        agent: order.agent.clone(),
        pep: order.pep.clone(),
        action: order.action.clone(),
        candidate,
        against,
    };
    order
        .target
        .client(common)?
        .post_long("/api/v1/policy/replays", &asked)
        .await
}

/// The files of a governance directory, or those that are named.
fn files(common: &Common, paths: &[PathBuf], tenant: &TenantName) -> Result<PolicyFiles, Failure> {
    let directory = match paths {
        [] => None,
        [directory] if directory.is_dir() => Some(directory.as_path()),
        files => return named(files),
    };
    let (mut all, _) = load(common, directory).map_err(Failure::Config)?;
    let Some(policies) = all.remove(tenant) else {
        let message =
            format!("there is no tenant {tenant} in the governance directory: it would be in tenants/{tenant}/");
        return Err(Failure::failed(message));
    };
    let sent = |sources: Vec<policy::Source>| {
        let files = sources
            .into_iter()
            .map(|policy::Source { file, text }| PolicyFile { file, text });
        files.collect()
    };
    Ok(PolicyFiles {
        schemas: sent(policies.sources.schemas),
        policies: sent(policies.sources.policies),
        entities: sent(policies.sources.entities),
    })
}

fn named(paths: &[PathBuf]) -> Result<PolicyFiles, Failure> {
    let mut files = PolicyFiles::default();
    for path in paths {
        let to = match path.extension().and_then(|ending| ending.to_str()) {
            Some("cedarschema") => &mut files.schemas,
            Some("cedar") => &mut files.policies,
            Some("json") => &mut files.entities,
            _ if path.is_dir() => {
                let message = format!("{}: name one governance directory, or files, not both", path.display());
                return Err(Failure::Usage(message));
            }
            _ => {
                let message = format!(
                    "{}: policies are *.cedar, schemas *.cedarschema and entities *.json, or all of them a governance directory",
                    path.display()
                );
                return Err(Failure::Usage(message));
            }
        };
        to.push(PolicyFile {
            file: path.display().to_string(),
            text: read(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?,
        });
    }
    Ok(files)
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_MAX} bytes")));
    }
    fs::read_to_string(path)
}

/// `1 decision`, `2 decisions`.
fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What was compared, and how much would change.
pub(super) fn summary(report: &ReplayReport, out: &mut Output) -> io::Result<()> {
    out.line(format_args!(
        "From {} to {} UTC {} asked again, of {} and of {}.",
        short_time(&report.since),
        short_time(&report.until),
        were(report.replayed, "decision"),
        set(&report.base),
        set(&report.candidate)
    ))?;
    if report.changed == 0 {
        return out.line("None would change.");
    }
    out.line(format_args!(
        "{} would change: {} would be denied, {} permitted, {} would need an approval.",
        report.changed, report.newly_denied, report.newly_permitted, report.newly_approval_required
    ))
}

fn were(count: u64, what: &str) -> String {
    let verb = if count == 1 { "was" } else { "were" };
    format!("{} {verb}", counted(count, what))
}

/// A set of policies by the beginning of its hash.
fn set(set: &ReplaySet) -> String {
    let bundle: String = set.bundle.chars().take(12).collect();
    let policies = match set.policies {
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    };
    match set.entry {
        Some(entry) => format!("what is in effect ({policies}, bundle {bundle}, entry {entry})"),
        None => format!("bundle {bundle} ({policies})"),
    }
}

/// The changes as a table.
pub(super) fn changes(changes: &[&ReplayChange], out: &mut Output) -> io::Result<()> {
    let mut table = Table::new([
        ("SUBJECT", Left),
        ("ACTION", Left),
        ("RESOURCE", Left),
        ("BEFORE", Left),
        ("AFTER", Left),
        ("DECISIONS", Right),
        ("COST", Point),
        ("FIRST (UTC)", Left),
        ("LAST (UTC)", Left),
        ("ENTRY", Right),
    ]);
    for change in changes.iter().take(CHANGES) {
        let entry = change.examples.first().map(|example| example.entry.to_string());
        table.row([
            clean(&change.subject).into_owned(),
            clean(&change.action).into_owned(),
            clean(&change.resource).into_owned(),
            answer(&change.before),
            answer(&change.after),
            change.decisions.to_string(),
            money(&change.cost_usd),
            short_time(&change.first),
            short_time(&change.last),
            entry.unwrap_or_default(),
        ]);
    }
    table.print(out)?;
    match changes.len().checked_sub(CHANGES) {
        None | Some(0) => Ok(()),
        Some(more) => out.line(format_args!("and {more} more kinds of changes; --json has them")),
    }
}

/// `permit by everything`, `deny (no_permit)`.
fn answer(answer: &ReplayAnswer) -> String {
    let outcome = answer.outcome.replace('_', " ");
    if answer.policies.is_empty() {
        return format!("{outcome} ({})", answer.codes.join(", "));
    }
    format!("{outcome} by {}", some(&answer.policies, answer.policies.len()))
}

/// The first few of so many names.
fn some(names: &[String], all: usize) -> String {
    let shown: Vec<_> = names.iter().take(POLICIES).map(|name| clean(name)).collect();
    match all.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What has to be known to judge the rest.
pub(super) fn notes(report: &ReplayReport, out: &mut Output) -> io::Result<()> {
    let mut notes = Vec::new();
    for missing in &report.not_replayed {
        notes.push(format!(
            "{} not asked again: {} (first: entry {})",
            were(missing.decisions, "decision"),
            missing.why,
            missing.first_entry
        ));
    }
    let unlike = &report.unlike_recorded;
    if unlike.decisions > 0 {
        let entries: Vec<String> = unlike
            .examples
            .iter()
            .map(|example| example.entry.to_string())
            .collect();
        notes.push(format!(
            "{} otherwise than the first set does now, {} of them by the same policies and stored entities: the policies or the \
             entities changed since, or a policy looks into what the log does not have (entries {})",
            were_answered(unlike.decisions),
            unlike.by_same_bundle,
            entries.join(", ")
        ));
    }
    if report.under_other_schemas > 0 {
        notes.push(format!(
            "{} asked while other schemas than the second set's were in effect: what those did not declare was not recorded",
            were(report.under_other_schemas, "question")
        ));
    }
    for set in [&report.base, &report.candidate] {
        if !set.looking_into_personal.is_empty() {
            let names = &set.looking_into_personal;
            notes.push(format!(
                "bundle {}: what is said of questions of enforcement points may be wrong where these policies matter, for they \
                 look into personal texts, of which the log has pseudonyms: {}",
                set.bundle.chars().take(12).collect::<String>(),
                some(names, names.len())
            ));
        }
    }
    if report.changes_left_out > 0 {
        notes.push(format!(
            "{} of further kinds are counted and not told",
            counted(report.changes_left_out, "change")
        ));
    }
    if !notes.is_empty() {
        out.line("")?;
    }
    for note in notes {
        out.line(format_args!("{DOUBTFUL}note:{DOUBTFUL:#} {note}"))?;
    }
    let mut quiet = Vec::new();
    if report.by_other_policies > 0 {
        quiet.push(format!(
            "{} answered alike, but by other policies.",
            would_be(report.by_other_policies)
        ));
    }
    for (set, which) in [(&report.base, "first"), (&report.candidate, "second")] {
        if set.unused > 0 {
            quiet.push(format!(
                "Of the {which} set these decided nothing: {}.",
                some(&set.unused_policies, set.unused)
            ));
        }
    }
    if !quiet.is_empty() {
        out.line("")?;
    }
    quiet.into_iter().try_for_each(|line| out.line(line))
}

fn were_answered(count: u64) -> String {
    format!("{} answered then", were(count, "decision"))
}

fn would_be(count: u64) -> String {
    format!("{} would be", counted(count, "decision"))
}
