//! `bailiwick audit prove`

use std::path::{Path, PathBuf};

use model::TenantName;
use serde::Serialize;
use tlog::note::KeyId;

use super::pages::{action_of, parse_which};
use crate::{
    cli::{
        Common, Failure,
        output::{GOOD, Output, hint},
    },
    published::{Claim, Proved, Published, Which, prove},
};

/// Prove that an entry is in the log, in one file
///
/// Writes a `c2sp.org/tlog-proof@v1` file: the way from the entry up to the root that was signed, and the signed
/// checkpoint. Whoever has the log's public key (`vkey`) checks it with `bailiwick-verify`, offline and without this
/// program. The file carries the entry itself in its line `extra`; nothing signs that line, but only the entry that was
/// logged has the hash that is proved. Needs no server, and works beside a running one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit prove 42 --out entry-42.tlog-proof
  bailiwick audit prove 019a5c0e7b7a7f3a9d1c2e4f60718293 --entry refusal.json > refusal.tlog-proof
  bailiwick audit prove --handover 86617d36 --out 86617d36.tlog-proof")]
pub(in crate::cli) struct Args {
    /// An entry's index, or the id of an action that has one entry, such as a refusal
    #[arg(value_name = "INDEX|ACTION_ID", value_parser = parse_which, required_unless_present = "handover")]
    which: Option<Which>,
    /// Prove the entry that added the key with this id to those that sign, under the first checkpoint that the key before it
    /// signed too. Whoever knows only that one is led to this key by it: `bailiwick-verify proof FILE --handover PROOF`
    #[arg(long, value_name = "KEY", conflicts_with = "which")]
    handover: Option<KeyId>,
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    /// Where to write the proof [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the entry, byte by byte as it was hashed
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// A server's data directory, or a copy of one [default: as configured]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    tenant: String,
    index: u64,
    /// How many entries the checkpoint covers.
    size: u64,
    kind: &'static str,
    proof: String,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let published = Published::open(&super::data_dir(common, args.data.as_ref())?).await?;
    let claim = args.handover.map(Claim::Handover).or(args.which.map(Claim::Entry));
    let claim = claim.ok_or_else(|| Failure::Usage("name an entry, an action, or a key with --handover".to_owned()))?;
    let Proved {
        proof,
        bytes,
        entry,
        size,
    } = prove(&published, &args.tenant, claim, action_of).await?;
    let text = proof.to_string();
    if let Some(path) = &args.entry {
        write(path, &bytes)?;
    }
    if let Some(path) = &args.out {
        write(path, text.as_bytes())?;
    }
    let report = Report {
        tenant: args.tenant.to_string(),
        index: proof.index,
        size,
        kind: entry.event.kind(),
        proof: text,
    };
    out.show(&report, |out| match &args.out {
        None => out.line(report.proof.trim_end_matches('\n')),
        Some(_) => Ok(()),
    })?;
    if let Some(path) = args.out.as_ref().filter(|_| !out.is_json()) {
        let Report { index, kind, .. } = report;
        hint(format_args!(
            "{GOOD}proved:{GOOD:#} entry {index} ({kind}) is one of the first {size} that were signed: {}",
            path.display()
        ));
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    std::fs::write(path, bytes).map_err(failed)
}
