//! `bailiwick audit reindex`

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use control::{CostReport, IndexReport, IndexedReport};
use serde::Serialize;
use store::{DataDir, Rebuilt, StoreError, rebuild};

use crate::cli::{
    Common, Failure,
    client::Client,
    output::{BAD, DOUBTFUL, GOOD, Output, QUIET, hint},
    target::Target,
};

/// How often a server is asked how far it is.
const EVERY: Duration = Duration::from_millis(500);

/// Make the index of the audit trail and the sums of cost reports again from the log
///
/// Both are kept in the file projections.db, which holds nothing that the log does not hold. Where no server runs, this
/// command makes it; a running server is told to, and goes on serving. Searches and cost reports wait meanwhile, calls do
/// not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit reindex
  bailiwick audit reindex --data /backup/bailiwick/data     # of a copy that no server runs on")]
pub(in crate::cli) struct Args {
    /// A data directory that no server runs on [default: as configured]
    #[arg(long, value_name = "DIR", conflicts_with = "admin")]
    data: Option<PathBuf>,
    /// Do not wait until a server has made it again
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    target: Target,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    /// How far the index of each log is.
    logs: BTreeMap<String, IndexedReport>,
    /// What the new sums say, US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    booked_usd: Option<String>,
    /// What they are compared with, US dollars: the outcomes in the log, or what the sums said before.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_usd: Option<String>,
    /// How many outcomes are in neither: their intents, which say who made the call, were let go.
    #[serde(skip_serializing_if = "is_none_left_out")]
    left_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it asks about by reference"
)]
fn is_none_left_out(left_out: &u64) -> bool {
    *left_out == 0
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    if args.target.is_named() {
        return on_server(&args.target.client(common)?, args, out).await;
    }
    let dir = match &args.data {
        Some(data) => data.clone(),
        None => config::load(&common.config_file())?.data_dir,
    };
    if !DataDir::database(&dir).exists() {
        return Err(Failure::failed(format!("there is no log in {}", dir.display())));
    }
    match DataDir::open(&dir) {
        Ok(data) => offline(&data, out).await,
        Err(StoreError::InUse { .. }) if args.data.is_none() => {
            on_server(&args.target.client(common)?, args, out).await
        }
        Err(StoreError::InUse { .. }) => Err(Failure::failed(format!(
            "a server runs on {}: leave --data out, and it is told to make its index again",
            dir.display()
        ))),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

async fn offline(data: &DataDir, out: &mut Output) -> Result<(), Failure> {
    let mut shown = Shown::default();
    let made = rebuild(data, |read, all| shown.show(read, all)).await;
    let Rebuilt {
        sizes,
        booked,
        in_log,
        left_out,
        left_out_cost,
    } = made.map_err(|error| Failure::failed(error.to_string()))?;
    let logs = sizes.into_iter().map(|(tenant, size)| {
        let indexed = IndexedReport { indexed: size, size };
        (tenant.to_string(), indexed)
    });
    let made = Made {
        logs: logs.collect(),
        booked_usd: Some(booked.to_string()),
        compared_usd: Some(in_log.to_string()),
        left_out,
    };
    out.show(&made, |out| {
        out.line(made_again(&made.logs))?;
        if left_out > 0 {
            out.line(format_args!(
                "{QUIET}{left_out} outcomes ({left_out_cost} USD) are in no sum: their intents, which say who made the calls, \
                 were let go{QUIET:#}"
            ))?;
        }
        match booked == in_log {
            true => out.line(format_args!(
                "{GOOD}costs are equal:{GOOD:#} {booked} USD, as the outcomes in the log add up to"
            )),
            false => out.line(format_args!(
                "{BAD}costs differ:{BAD:#} {booked} USD, but the outcomes in the log add up to {in_log} USD"
            )),
        }
    })?;
    if booked == in_log { Ok(()) } else { Err(Failure::Said) }
}

async fn on_server(client: &Client, args: &Args, out: &mut Output) -> Result<(), Failure> {
    // What the sums say before, if they can be asked.
    let cost = async || client.get::<CostReport>("/api/v1/cost?by=&top=1").await;
    let before = cost().await.ok();
    let mut index: IndexReport = client.post("/api/v1/audit/reindex", None::<&()>).await?;
    if args.no_wait {
        return out.show(&index, |out| {
            out.line(format_args!(
                "The index is being made again: {} entries are left.",
                index.behind
            ))
        });
    }
    let mut shown = Shown::default();
    while index.behind > 0 {
        let size: u64 = index.logs.values().map(|log| log.size).sum();
        shown.show(size.saturating_sub(index.behind), size);
        if let Some(trouble) = &index.trouble {
            return Err(Failure::failed(format!("the index does not go on: {trouble}")));
        }
        tokio::time::sleep(EVERY).await;
        index = client.get("/api/v1/audit/index").await?;
    }
    let after = cost().await?;
    // Only sums over the same entries can be compared.
    let same = before.filter(|before| before.entries == after.entries);
    let made = Made {
        logs: index.logs,
        booked_usd: Some(after.total.cost_usd.clone()),
        compared_usd: same.as_ref().map(|before| before.total.cost_usd.clone()),
        left_out: 0,
    };
    out.show(&made, |out| {
        out.line(made_again(&made.logs))?;
        let now = &after.total.cost_usd;
        match &made.compared_usd {
            Some(before) if before == now => {
                out.line(format_args!("{GOOD}costs are equal:{GOOD:#} {now} USD, as before"))
            }
            Some(before) => out.line(format_args!(
                "{DOUBTFUL}costs have changed:{DOUBTFUL:#} {now} USD, and they were {before} USD: the file was wrong before"
            )),
            None => out.line(format_args!(
                "{QUIET}costs are {now} USD; the log has grown meanwhile, so that they cannot be compared with before{QUIET:#}"
            )),
        }
    })
}

fn made_again(logs: &BTreeMap<String, IndexedReport>) -> String {
    let all: u64 = logs.values().map(|log| log.indexed).sum();
    let logs = match logs.len() {
        1 => "1 log".to_owned(),
        logs => format!("{logs} logs"),
    };
    format!("The index is made again: {all} entries of {logs}.")
}

/// What was said of the progress.
#[derive(Default)]
struct Shown {
    tenths: Option<u64>,
}

impl Shown {
    /// Says how far it is, ten times in all at most.
    fn show(&mut self, read: u64, all: u64) {
        let tenths = (read.saturating_mul(10)).checked_div(all).unwrap_or(10);
        // What is done at once needs no progress.
        if self.tenths.replace(tenths).is_some_and(|before| before < tenths) && tenths < 10 {
            hint(format_args!("{read} of {all} entries"));
        }
    }
}
