//! `bailiwick audit export`

use std::path::PathBuf;

use model::TenantName;
use serde::Serialize;

use crate::{
    cli::{
        Common, Failure,
        output::{GOOD, Output, Progress, QUIET, hint},
        table::{
            Align::{Left, Right},
            Table,
        },
    },
    published::{Exported, Published, PublishedError, export},
};

/// Write the logs as files that anybody can check
///
/// In the format of C2SP's tlog-tiles: DIR/TENANT/checkpoint, tile/... and vkey, for any static web server, and for
/// `bailiwick-verify`. Needs no server, and works beside a running one. An earlier export in DIR is gone on from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is exported is what the last checkpoint covers. It is hashed again, and nothing is signed off that does not have the \
root that was signed.

Examples:
  bailiwick audit export --tiles /srv/logs
  bailiwick audit export --tiles /srv/logs --tenant acme --json")]
pub(in crate::cli) struct Args {
    /// Where to: each log gets a directory of its own in it
    #[arg(long, value_name = "DIR")]
    tiles: PathBuf,
    /// A server's data directory, or a copy of one [default: as configured]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only this tenant's log
    #[arg(long)]
    tenant: Option<TenantName>,
}

#[derive(Debug, Serialize)]
struct Report {
    tenants: Vec<Exported>,
    /// Logs without a checkpoint yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsigned: Vec<String>,
    /// Logs that could not be exported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Missing>,
}

/// A log that could not be exported.
#[derive(Debug, Serialize)]
struct Missing {
    tenant: String,
    why: String,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let published = Published::open(&super::data_dir(common, args.data.as_ref())?).await?;
    let mut report = Report {
        tenants: Vec::new(),
        unsigned: Vec::new(),
        failed: Vec::new(),
    };
    for tenant in published.tenants(args.tenant.as_ref()).await? {
        let mut progress = Progress::new(out.is_json());
        let done = export(&published, &tenant, &args.tiles, |done, of| {
            progress.show(format_args!("{tenant}: {done} of {of} entries"));
        });
        let done = done.await;
        progress.clear();
        match done {
            Ok(exported) => report.tenants.push(exported),
            // A tenant that was declared a moment ago holds up no other.
            Err(PublishedError::Unsigned(tenant)) if args.tenant.is_none() => report.unsigned.push(tenant.to_string()),
            Err(error) if args.tenant.is_some() => return Err(error.into()),
            // Nor does one that cannot be: the others are written, and the command fails in the end.
            Err(error) => report.failed.push(Missing {
                tenant: tenant.to_string(),
                why: error.to_string(),
            }),
        }
    }
    out.show(&report, |out| {
        if report.tenants.is_empty() {
            return Ok(());
        }
        table(&report).print(out)?;
        out.line("")?;
        out.line(format_args!(
            "{GOOD}exported:{GOOD:#} what has the roots that were signed, in {}",
            args.tiles.display()
        ))
    })?;
    if !out.is_json() {
        for tenant in &report.unsigned {
            hint(format_args!("{QUIET}{tenant}: nothing is signed yet{QUIET:#}"));
        }
    }
    let missing = report
        .failed
        .iter()
        .map(|missing| format!("{} is not exported: {}", missing.tenant, missing.why));
    let missing: Vec<_> = missing.collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(missing.join("\n"))),
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new([
        ("TENANT", Left),
        ("ENTRIES", Right),
        ("NEW", Right),
        ("FILES", Right),
        ("ROOT", Left),
    ]);
    for done in &report.tenants {
        table.row([
            done.tenant.clone(),
            done.size.to_string(),
            (done.size - done.had.min(done.size)).to_string(),
            done.files.to_string(),
            done.root.clone(),
        ]);
    }
    table
}
