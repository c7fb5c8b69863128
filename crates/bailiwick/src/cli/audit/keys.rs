//! `bailiwick audit keys`, `rotate-key` and `retire-key`

use api::wire;
use control::LogKeyReport;
use model::TenantName;

use super::super::{
    Common, Failure,
    client::query,
    output::{GOOD, Output, hint},
    table::{Align::Left, Table, clean},
    target::Target,
};

/// Show the keys that sign the logs' checkpoints
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A key with a HANDOVER is one that a rotation has added: DATA/handover/TENANT/KEY is the checkpoint by which
whoever knows the key before it can go on to it.

Examples:
  bailiwick audit keys
  bailiwick audit keys --json | jq -r '.keys[].vkey'")]
pub(in crate::cli) struct Args {
    /// Only those of this tenant's log [default: all]
    #[arg(long)]
    tenant: Option<TenantName>,
    #[command(flatten)]
    target: Target,
}

/// Add a key that signs a log's checkpoints beside the one that does
///
/// From now on each checkpoint is signed by both, so whoever knows either goes on verifying. Hand out the new public key,
/// then retire the old one. Owners only.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit rotate-key
  bailiwick audit rotate-key --tenant _system")]
pub(in crate::cli) struct Rotate {
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

/// Have a key sign no more
///
/// Whoever knows only this key can go on to the other one by the checkpoint in DATA/handover/TENANT, which both have signed
/// and which is kept for ever. Owners only.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit keys
  bailiwick audit retire-key 86617d36")]
pub(in crate::cli) struct Retire {
    /// The key's id, as `bailiwick audit keys` shows it
    #[arg(value_name = "KEY")]
    key: String,
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn list(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let query = query([("tenant", args.tenant.as_ref().map(ToString::to_string))]);
    let listed: wire::LogKeys = args
        .target
        .client(common)?
        .get(&format!("/api/v1/log-keys{query}"))
        .await?;
    out.show(&listed, |out| {
        let columns = ["TENANT", "KEY", "STATE", "HANDOVER", "PUBLIC KEY"];
        let mut table = Table::new(columns.map(|column| (column, Left)));
        for key in &listed.keys {
            let handover = if key.handover { "kept" } else { "-" };
            table.row([
                key.tenant.to_string(),
                clean(&key.id).into_owned(),
                clean(&key.state).into_owned(),
                handover.to_owned(),
                clean(&key.vkey).into_owned(),
            ]);
        }
        table.print(out)
    })
}

pub(super) async fn rotate(common: &Common, args: &Rotate, out: &mut Output) -> Result<(), Failure> {
    let order = wire::LogKeyOrder {
        tenant: args.tenant.clone(),
    };
    let client = args.target.client(common)?;
    let key: LogKeyReport = client.post("/api/v1/log-keys", Some(&order)).await?;
    out.show(&key, |out| out.line(clean(&key.vkey)))?;
    if !out.is_json() {
        hint(format_args!(
            "\n{GOOD}added{GOOD:#}: every checkpoint of the log of {0} is signed by this key and by the one before it.\n\
             1. Back up keys/ of the data directory.\n\
             2. Give the public key to whoever verifies the log and to its witnesses.\n\
             3. When they have it: `bailiwick audit keys`, then `bailiwick audit retire-key` with the old one.",
            args.tenant
        ));
    }
    Ok(())
}

pub(super) async fn retire(common: &Common, args: &Retire, out: &mut Output) -> Result<(), Failure> {
    let order = wire::LogKeyOrder {
        tenant: args.tenant.clone(),
    };
    let path = format!("/api/v1/log-keys/{}/retire", super::super::client::encode(&args.key));
    let client = args.target.client(common)?;
    let key: LogKeyReport = client.post(&path, Some(&order)).await?;
    let done = format!("{GOOD}retired{GOOD:#} {}: it signs no more", clean(&key.id));
    out.show(&key, |out| out.line(done))?;
    if !out.is_json() {
        hint("\nIts file in keys/ of the data directory is not needed any more and may be deleted, in backups too.");
    }
    Ok(())
}
