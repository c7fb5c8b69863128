//! `bailiwick audit verify`

use std::path::{Path, PathBuf};

use model::TenantName;
use verify::{Found, about_entries};

use crate::{
    cli::{
        Common, Failure,
        output::{BAD, DOUBTFUL, GOOD, Output, QUIET},
        table::{
            Align::{Left, Point, Right},
            Table, clean, money,
        },
    },
    server::{default_guard_dir, guard_dir},
    verify::{Report, TenantReport, verify},
};

/// How many notes are shown.
const TOLD: usize = 20;

/// Verify the audit trail from the files on disk
///
/// Needs no server, and works beside a running one. Reads every stored byte again: entries and their order, each hold and
/// balance, the tree of hashes, and the signed checkpoints in the database and in the guard file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if everything fits together, 1 if not; then the first entry that does not fit is named.

Examples:
  bailiwick audit verify
  bailiwick audit verify --data /backup/bailiwick/data --json")]
pub(in crate::cli) struct Args {
    /// A server's data directory, or a copy of one [default: as configured]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The directory of the guard files [default: as configured, or with --data its directory `guard`]
    #[arg(long, value_name = "DIR")]
    guard: Option<PathBuf>,
    /// Only this tenant's log
    #[arg(long)]
    tenant: Option<TenantName>,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let (data, guard) = match &args.data {
        Some(data) => (data.clone(), default_guard_dir(data)),
        None => {
            let settings = config::load(&common.config_file())?;
            (settings.data_dir.clone(), guard_dir(&settings))
        }
    };
    let guard = args.guard.clone().unwrap_or(guard);
    let report = verify(&data, &guard, args.tenant.as_ref()).await;
    let report = report.map_err(|error| Failure::failed(error.to_string()))?;
    out.show(&report, |out| {
        table(&report).print(out)?;
        out.line("")?;
        for tenant in &report.tenants {
            if let Some(trouble) = &tenant.trouble {
                out.line(format_args!(
                    "{BAD}does not fit:{BAD:#} {}: {}",
                    tenant.found.tenant,
                    clean(trouble)
                ))?;
            }
        }
        for told in told(&report) {
            out.line(format_args!("{DOUBTFUL}note:{DOUBTFUL:#} {}", clean(&told)))?;
        }
        if report.ok {
            out.line(format_args!("{GOOD}verified:{GOOD:#} everything fits together"))?;
            out.line(format_args!("{QUIET}not proven:{QUIET:#}"))?;
            for open in not_proven(&report, &data) {
                out.line(format_args!("{QUIET}  - {open}{QUIET:#}"))?;
            }
        }
        Ok(())
    })?;
    if report.ok { Ok(()) } else { Err(Failure::Said) }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new([
        ("TENANT", Left),
        ("ENTRIES", Right),
        ("DENIALS", Right),
        ("HOLDS ENDED", Right),
        ("OPEN", Right),
        ("SPENT", Point),
        ("OVERRUN", Point),
        ("SIGNED", Left),
        ("ROOT", Left),
    ]);
    for tenant in &report.tenants {
        let found = &tenant.found;
        table.row([
            found.tenant.clone(),
            found.entries.to_string(),
            found.denials.to_string(),
            found.holds_ended.to_string(),
            found.holds_open.to_string(),
            money(&found.spent_usd),
            money(&found.overrun_usd),
            signed(tenant),
            tenant.root.clone(),
        ]);
    }
    table
}

fn signed(tenant: &TenantReport) -> String {
    match (tenant.signed, &tenant.trouble) {
        (_, Some(_)) => "does not fit".to_owned(),
        (None, None) => "not yet".to_owned(),
        (Some(size), None) if size == tenant.found.entries => "all".to_owned(),
        (Some(size), None) => format!("the first {size}"),
    }
}

/// What holds, and is worth a look all the same: starts after a crash, silences, older copies that were accepted, and what
/// witnesses did.
fn told(report: &Report) -> Vec<String> {
    let mut told = Vec::new();
    // All logs tell of the same starts.
    let first = report.tenants.first().map(|tenant| &tenant.found.presence);
    if let Some(presence) = first.filter(|presence| presence.after_a_crash > 0) {
        told.push(format!(
            "{} of {} starts follow no stop: the server had died",
            presence.after_a_crash, presence.starts
        ));
    }
    for Found {
        tenant,
        presence,
        restores,
        vouched,
        ..
    } in report.tenants.iter().map(|tenant| &tenant.found)
    {
        told.extend(restores.iter().map(|restore| format!("{tenant}: {}", restore.what())));
        told.extend(vouched.forks.iter().map(|fork| format!("{tenant}: {}", fork.what())));
        told.extend(
            vouched
                .unwitnessed
                .iter()
                .map(|time| format!("{tenant}: {}", time.what())),
        );
        for silence in &presence.silent {
            told.push(format!(
                "{tenant}: silent for {} s behind entry {}, {} to {}, with a heartbeat every {} s",
                silence.seconds, silence.entry, silence.from, silence.to, silence.every_s
            ));
        }
    }
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(format!("and {more} more: see --json"));
    }
    told
}

/// What all this says nothing about.
fn not_proven(report: &Report, data: &Path) -> Vec<String> {
    let keys = data.join("keys");
    let mut open = vec![format!(
        "that the public keys in {} are the ones you know",
        keys.display()
    )];
    let unsigned = report
        .tenants
        .iter()
        .map(|tenant| tenant.found.entries.saturating_sub(tenant.signed.unwrap_or(0)));
    let unsigned: u64 = unsigned.sum();
    if unsigned > 0 {
        open.push(format!(
            "that the last entries were not changed ({unsigned} are not signed yet)"
        ));
    }
    if report.tenants.iter().any(|tenant| tenant.guarded.is_none()) {
        open.push("that this is the newest copy (a guard file is missing)".to_owned());
    }
    let found: Found = report.tenants.iter().map(|tenant| tenant.found.clone()).sum();
    open.extend(about_entries(&found).into_iter().map(|open| open.what));
    open
}
