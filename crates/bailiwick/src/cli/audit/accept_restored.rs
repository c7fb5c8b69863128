//! `bailiwick audit accept-restored`

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    sync::Arc,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use control::{Accepted, Loss, Restoration, rfc3339};
use model::TenantName;
use serde::Serialize;
use store::{DataDir, StoreError, SystemClock};

use crate::{
    cli::{
        Common, Failure,
        output::{BAD, GOOD, Output, hint},
        table::{
            Align::{Left, Right},
            Table, clean,
        },
    },
    server::guard_dir,
};

/// Go on from an older copy of the logs, and have them say so
///
/// For a server that refuses to start because a backup was put back: its guard files remember more entries than the
/// database has, or others. Shows what is lost, asks, and records an entry `restored` in each log that has lost something.
/// The server must not run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What was lost stays lost: look for a newer copy first. Then, of the time since the copy was made:
  - what was spent is not counted: compare with the providers' invoices, and lower budgets where it matters;
  - a call that is repeated with its idempotency key is paid for again;
  - credentials that were issued do not work, and those that were revoked work again: revoke them again;
  - witnesses go on to refuse these logs, and are right: they have seen what is lost. docs/operating/witnesses.md says
    what to do.

Examples:
  bailiwick audit accept-restored --note 'disk died, backup of Sunday'
  bailiwick audit accept-restored --note 'disk died, backup of Sunday' --yes --json")]
pub(in crate::cli) struct Args {
    /// Why: it stands in the audit trail
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    /// What is lost of which logs.
    losses: Vec<LossReport>,
    /// What was recorded where.
    accepted: Vec<AcceptedReport>,
}

/// A log that is not what its guard file remembers.
#[derive(Debug, Serialize)]
struct LossReport {
    tenant: TenantName,
    entries: u64,
    signed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
    recorded: bool,
}

/// What was done about it.
#[derive(Debug, Serialize)]
struct AcceptedReport {
    tenant: TenantName,
    entries: u64,
    kept: PathBuf,
}

impl From<&Loss> for LossReport {
    fn from(loss: &Loss) -> Self {
        Self {
            tenant: loss.tenant.clone(),
            entries: loss.entries,
            signed: loss.signed,
            lost: loss.lost,
            from: loss.from.map(rfc3339),
            to: loss.to.map(rfc3339),
            doubt: loss.doubt.clone(),
            recorded: loss.recorded,
        }
    }
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let settings = config::load(&common.config_file())?;
    // A database that is not there would be made, and its emptiness accepted, in a directory that was misspelt.
    if !settings.data_dir.is_dir() {
        let dir = settings.data_dir.display();
        return Err(Failure::failed(format!("there is no data directory {dir}")));
    }
    let guards = guard_dir(&settings);
    let dir = DataDir::open(&settings.data_dir).map_err(failed)?;
    let clock = Arc::new(SystemClock::new());
    let restoration = Restoration::open(dir, settings.trust_domain.clone(), guards, clock, random).await;
    let restoration = restoration.map_err(|error| Failure::failed(error.to_string()))?;
    let mut report = Report {
        losses: restoration.losses().iter().map(LossReport::from).collect(),
        accepted: Vec::new(),
    };
    if report.losses.is_empty() {
        return out.show(&report, |out| {
            out.line("Nothing is to be accepted: every log is what its guard file remembers.")
        });
    }
    if !out.is_json() {
        explain(&report.losses, out)?;
    }
    let may_ask = !out.is_json() && io::stdin().is_terminal();
    let agreed = args.yes || (may_ask && asked()?);
    if !agreed {
        out.show(&report, |_| Ok(()))?;
        return Err(Failure::failed(
            "nothing was changed: give --yes to accept that what is lost stays lost",
        ));
    }
    let accepted = restoration.accept(&args.note).await;
    let accepted = accepted.map_err(|error| Failure::failed(error.to_string()))?;
    report.accepted = accepted
        .into_iter()
        .map(|Accepted { tenant, entries, kept }| AcceptedReport { tenant, entries, kept })
        .collect();
    out.show(&report, |out| {
        for AcceptedReport { tenant, entries, kept } in &report.accepted {
            out.line(format_args!(
                "{GOOD}accepted:{GOOD:#} the log of {tenant} goes on behind entry {}; its old guard file is kept as {}",
                entries.saturating_sub(1),
                kept.display()
            ))?;
        }
        Ok(())
    })?;
    if !out.is_json() {
        hint(
            "\nThe server can be started. Keep the old guard files: they are evidence of what was signed.\n\
             Revoke again what was revoked since, and compare what was spent with the providers' invoices.\n\
             Empty caches before /log/: what they hold of the lost entries was marked as unchangeable.",
        );
    }
    Ok(())
}

/// Says what is lost, log by log, and what that means.
fn explain(losses: &[LossReport], out: &mut Output) -> io::Result<()> {
    let mut table = Table::new([
        ("TENANT", Left),
        ("ENTRIES", Right),
        ("SIGNED", Right),
        ("LOST", Right),
        ("FROM", Left),
        ("TO ABOUT", Left),
    ]);
    for loss in losses {
        table.row([
            loss.tenant.to_string(),
            loss.entries.to_string(),
            loss.signed.to_string(),
            lost(loss),
            loss.from.clone().unwrap_or_else(|| "the beginning".to_owned()),
            loss.to.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.print(out)?;
    out.line("")?;
    for LossReport { tenant, doubt, .. } in losses {
        if let Some(doubt) = doubt {
            out.line(format_args!(
                "{BAD}doubtful:{BAD:#} the guard file of {tenant} is not signed by a key that is here ({}): put back the \
                 newest copy of keys/ first, if there is one",
                clean(doubt)
            ))?;
        }
    }
    out.line(
        "These entries were signed, and are not in the database any more; entries behind the last signature may be lost too.\n\
         Of that time nothing is known: what was spent is not counted, a repeated call is paid for again, credentials that\n\
         were issued do not work, and those that were revoked work again. If there is a newer copy, put that back instead.",
    )
}

fn lost(loss: &LossReport) -> String {
    match (loss.recorded, loss.lost) {
        (true, _) => "recorded already".to_owned(),
        (false, Some(lost)) => format!("{lost} or more"),
        (false, None) => "another history".to_owned(),
    }
}

/// Asks on the terminal.
fn asked() -> Result<bool, Failure> {
    let unasked = |error: io::Error| Failure::failed(format!("nobody can be asked: {error}"));
    let mut err = io::stderr();
    write!(err, "\nGo on from these copies? Type yes: ").map_err(unasked)?;
    err.flush().map_err(unasked)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(unasked)?;
    Ok(answer.trim() == "yes")
}

/// For the ids of batches, which need not be secret.
fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    // Without randomness ids could repeat, which nothing relies on.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::InUse { .. } => Failure::failed(format!("{error}. Nothing is to be accepted while a server runs")),
        error => Failure::failed(error.to_string()),
    }
}
