//! Making the projection again where no server runs.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use entry::{Entry, Event};
use futures_util::{StreamExt as _, pin_mut};
use model::{NanoUsd, TenantName, Timestamp};
use tlog::Hash;
use tokio::sync::watch;

use super::{CostError, CostQuestion, Progress, Projection};
use crate::{BatchError, DataDir, Head, Heads, Reader, StoreError, derived::remove};

/// How long is waited for what was read a moment ago.
const PATIENCE: Duration = Duration::from_secs(60);

/// A projection that was made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many entries of each log it has.
    pub sizes: BTreeMap<TenantName, u64>,
    /// What calls cost, as it has it.
    pub booked: NanoUsd,
    /// What calls cost whose intents are kept, summed by reading all entries once more.
    pub in_log: NanoUsd,
    /// How many outcomes are in neither, as their intents were let go: only these say who made the call.
    pub left_out: u64,
    /// What these cost.
    pub left_out_cost: NanoUsd,
}

/// Why it is not made.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The follower does not go on.
    #[error("{0}")]
    Stuck(String),
    /// What was made cannot be asked.
    #[error(transparent)]
    Asking(#[from] CostError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Throws the projection of a data directory away and makes it again from the logs. Says how far it is to `each`: the
/// entries that are read, and all there are.
pub async fn rebuild(data: &DataDir, mut each: impl FnMut(u64, u64)) -> Result<Rebuilt, RebuildError> {
    let dir = data.path();
    let reader = Reader::open(dir).await?;
    let heads = heads(&reader).await?;
    let sizes: BTreeMap<TenantName, u64> = heads.iter().map(|(tenant, head)| (tenant.clone(), head.size)).collect();
    let all: u64 = sizes.values().sum();
    remove(&super::file::path(dir))?;
    // Nobody sends: the logs do not grow. The sender lives as long as the follower is to read.
    let (sender, heads) = watch::channel(heads);
    let projection = Projection::start(dir, reader.clone(), heads, 0);
    let mut progress = projection.progress();
    let outcome = loop {
        let (read, trouble) = {
            let progress = progress.borrow_and_update();
            (read(&progress), progress.trouble.clone())
        };
        each(read, all);
        match trouble {
            Some(trouble) => break Err(RebuildError::Stuck(trouble)),
            None if read >= all => break Ok(()),
            None if progress.changed().await.is_err() => {
                break Err(RebuildError::Stuck("the reading of the log ended early".to_owned()));
            }
            None => {}
        }
    };
    let made = match outcome {
        Ok(()) => measure(&projection, &reader, sizes).await,
        Err(error) => Err(error),
    };
    projection.stop().await;
    drop(sender);
    made
}

fn read(progress: &Progress) -> u64 {
    progress.read.values().sum()
}

async fn measure(
    projection: &Projection,
    reader: &Reader,
    sizes: BTreeMap<TenantName, u64>,
) -> Result<Rebuilt, RebuildError> {
    let groups = projection.ask(CostQuestion::default(), PATIENCE).await?.groups;
    let booked = groups.iter().map(|group| group.sums.cost);
    let booked = booked.fold(NanoUsd::ZERO, NanoUsd::saturating_add);
    let mut summed = Rebuilt::default();
    for tenant in sizes.keys() {
        // The intents whose outcomes are to come.
        let mut open = HashSet::new();
        let batches = reader.batches(tenant, 0);
        pin_mut!(batches);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let corrupt = |source| {
                let tenant = tenant.clone();
                StoreError::Corrupt { tenant, source }
            };
            for (index, bytes) in batch.kept().map_err(corrupt)? {
                let entry = Entry::decode(bytes);
                let entry = entry.map_err(|source| corrupt(BatchError::Entry { index, source }))?;
                match entry.event {
                    Event::Intent(_) => _ = open.insert(index),
                    Event::Outcome(outcome) if open.remove(&outcome.intent) => {
                        summed.in_log = summed.in_log.saturating_add(outcome.cost);
                    }
                    Event::Outcome(outcome) => {
                        summed.left_out += 1;
                        summed.left_out_cost = summed.left_out_cost.saturating_add(outcome.cost);
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(Rebuilt {
        sizes,
        booked,
        ..summed
    })
}

/// The ends of all logs.
async fn heads(reader: &Reader) -> Result<Heads, StoreError> {
    let mut heads = Heads::new();
    for tenant in reader.tenants().await? {
        let head = Head {
            size: reader.size(&tenant).await?,
            // Only how far there is to go is looked at.
            root: Hash([0; 32]),
            epoch: 0,
            time: Timestamp::default(),
        };
        heads.insert(tenant, head);
    }
    Ok(heads)
}
