//! `bailiwick audit expire`

use api::wire::{Expire, Expired};
use control::ExpiryReport;
use model::TenantName;

use crate::cli::{
    Common, Failure,
    output::{BAD, GOOD, Output, QUIET, hint},
    table::{
        Align::{Left, Right},
        Table, clean, short_time,
    },
    target::Target,
};

/// Let go of entries whose time is over
///
/// How long entries are kept is said in [retention] of bailiwick.toml; the server lets them go by itself, this does it now.
/// The log keeps their hashes, so that every proof of the others goes on to hold. Owners only, but for --dry-run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is let go cannot be brought back. Nothing goes under a legal hold (`bailiwick audit hold list`), before it
is signed, or before the index and every sink have read it.

Examples:
  bailiwick audit expire --dry-run
  bailiwick audit expire")]
pub(in crate::cli) struct Args {
    /// Only of this tenant's log [default: all]
    #[arg(long)]
    tenant: Option<TenantName>,
    /// Only say what would be let go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let order = Expire {
        tenant: args.tenant.clone(),
        dry_run: args.dry_run,
    };
    let client = args.target.client(common)?;
    let expired: Expired = client.post("/api/v1/audit/expire", Some(&order)).await?;
    out.show(&expired, |out| {
        let mut table = Table::new([
            ("TENANT", Left),
            ("CLASS", Left),
            ("UP TO (UTC)", Left),
            ("BEFORE ENTRY", Right),
            ("ENTRIES", Right),
        ]);
        for log in &expired.logs {
            for class in &log.classes {
                table.row([
                    log.tenant.to_string(),
                    class.class.as_str().to_owned(),
                    short_time(&class.until),
                    class.before.to_string(),
                    class.count.to_string(),
                ]);
            }
        }
        table.print(out)?;
        for log in &expired.logs {
            out.line(verdict(log, expired.dry_run))?;
        }
        Ok(())
    })?;
    if expired.logs.iter().any(|log| log.trouble.is_some()) {
        return Err(Failure::Said);
    }
    if !out.is_json() && expired.dry_run && expired.logs.iter().any(|log| log.count > 0) {
        hint("\nNothing was let go: leave --dry-run out to do it.");
    }
    Ok(())
}

fn verdict(log: &ExpiryReport, dry_run: bool) -> String {
    let ExpiryReport { tenant, count, .. } = log;
    if let Some(trouble) = &log.trouble {
        return format!("{BAD}{tenant}: nothing is let go{BAD:#}: {}", clean(trouble));
    }
    let waits = log.waits_for.as_deref().map(clean);
    if let Some(entry) = log.entry {
        return format!("{GOOD}{tenant}: {count} entries are let go{GOOD:#}, as entry {entry} says");
    }
    if !log.legal_holds.is_empty() {
        let holds: Vec<_> = log.legal_holds.iter().map(|hold| clean(hold)).collect();
        return format!("{tenant}: nothing goes under a legal hold ({})", holds.join(", "));
    }
    match waits {
        Some(waits) if dry_run && *count > 0 => format!("{tenant}: {count} entries for now: {waits}"),
        Some(waits) => format!("{tenant}: nothing is let go for now: {waits}"),
        None if dry_run && *count > 0 => format!("{tenant}: {count} entries"),
        None => format!("{QUIET}{tenant}: nothing is old{QUIET:#}"),
    }
}
