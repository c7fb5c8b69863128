//! Questions to the projection.

use std::{collections::BTreeMap, path::Path, time::Duration};

use futures_util::TryStreamExt as _;
use model::{NanoUsd, TenantName, Timestamp};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Projection,
    file::open_to_read,
    fold::{MINUTE, SPANS},
    labels::{CostLabel, LabelSet},
    sums::{CostSums, CostTokens},
};
use crate::{StoreError, reader::unsigned};

/// The most groups of one answer.
pub const MAX_GROUPS: usize = 100_000;
/// How long the file is read for one question at most.
const READING: Duration = Duration::from_secs(10);
/// After how long a file that could not be read is tried again, unless it changes before.
const AGAIN: Duration = Duration::from_millis(100);
/// Further from 1970 than any minute that is kept: half a million years.
const FAR: i64 = 1 << 38;

/// What is to be summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostQuestion {
    /// Whose; of all tenants if absent.
    pub tenant: Option<TenantName>,
    /// By which labels; one sum of all if there are none.
    pub by: Vec<CostLabel>,
    /// From when on, rounded down to the minute.
    pub since: Option<Timestamp>,
    /// Up to when, rounded down to the minute, which is not included.
    pub until: Option<Timestamp>,
    /// Only calls that have one of the values of each of these labels. A value that ends in `*` stands for all that begin
    /// so.
    pub only: BTreeMap<CostLabel, Vec<String>>,
}

/// The calls that have the same values of the labels asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostGroup {
    /// Whose, where users were asked for: pseudonyms are each tenant's own.
    pub tenant: Option<TenantName>,
    /// The values, in the order of the question. An empty one is none.
    pub values: Vec<String>,
    /// What they used and cost.
    pub sums: CostSums,
}

/// The sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostAnswer {
    /// By values.
    pub groups: Vec<CostGroup>,
    /// How many entries of each log are in it: never fewer than were committed when it was asked.
    pub sizes: BTreeMap<TenantName, u64>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// What was committed is not in the projection yet.
    #[error(
        "the cost report would not be complete: {read} of {size} entries of tenant {tenant} are read so far{}; ask again, it \
         catches up by itself", .trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    Behind {
        /// Whose log.
        tenant: TenantName,
        /// How many entries are read.
        read: u64,
        /// How many are committed.
        size: u64,
        /// Why it does not go on, if it does not.
        trouble: Option<String>,
    },
    /// There are more than [`MAX_GROUPS`] groups.
    #[error("there are more than {MAX_GROUPS} lines: name fewer labels, a shorter time or a filter")]
    TooMany,
    /// Reading takes too long.
    #[error("the sums took longer than {} s: ask for a shorter time, best whole days", READING.as_secs())]
    Slow,
    /// Too many ask at once.
    #[error("other cost reports are being made: ask again")]
    Busy,
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Projection {
    /// Sums what was booked for calls. What was committed when it is asked is in the answer; that is waited for only so
    /// long, and reading has a bound of its own.
    pub async fn ask(&self, question: CostQuestion, patience: Duration) -> Result<CostAnswer, CostError> {
        let asked = |tenant: &TenantName| question.tenant.as_ref().is_none_or(|only| only == tenant);
        let heads = self.heads.borrow().clone();
        let needed = heads.into_iter().filter(|(tenant, _)| asked(tenant));
        let needed: BTreeMap<TenantName, u64> = needed.map(|(tenant, head)| (tenant, head.size)).collect();
        let deadline = Instant::now() + patience;
        loop {
            let mut progress = self.progress.clone();
            let ready = tokio::time::timeout_at(deadline, self.ready(&needed)).await;
            let permit = ready.unwrap_or_else(|_| Err(self.behind_of(&needed)))?;
            progress.mark_unchanged();
            let (path, question) = (self.path.clone(), question.clone());
            // In a task of its own: who asked may hang up, and a transaction is not to be dropped half-way.
            let reading = tokio::spawn(async move {
                let answer = tokio::time::timeout(READING, read(&path, &question)).await;
                drop(permit);
                answer.map_err(|_| CostError::Slow)?
            });
            match reading.await.map_err(|_| CostError::Busy)? {
                Ok(answer) if reaches(&answer.sizes, &needed) => return Ok(answer),
                Err(error @ (CostError::TooMany | CostError::Slow)) => return Err(error),
                Err(error) if Instant::now() >= deadline => return Err(error),
                // The file is being made again, or is about to be. Whatever happens to it is seen when it is tried again.
                _ => {
                    self.nudge.notify_one();
                    drop(tokio::time::timeout(AGAIN, progress.changed()).await);
                }
            }
        }
    }

    /// Waits until what is needed is read, and for leave to ask the file.
    async fn ready(&self, needed: &BTreeMap<TenantName, u64>) -> Result<OwnedSemaphorePermit, CostError> {
        self.caught_up(needed).await?;
        let permit = self.asking.clone().acquire_owned().await;
        permit.map_err(|_| CostError::Busy)
    }

    /// Waits until the follower has read so much.
    pub(super) async fn caught_up(&self, needed: &BTreeMap<TenantName, u64>) -> Result<(), CostError> {
        let mut progress = self.progress.clone();
        if !reaches(&progress.borrow_and_update().read, needed) {
            self.nudge.notify_one();
        }
        let reached = progress.wait_for(|progress| reaches(&progress.read, needed)).await;
        // It has ended: the server is stopping.
        reached.map(drop).map_err(|_| self.behind_of(needed))
    }

    fn behind_of(&self, needed: &BTreeMap<TenantName, u64>) -> CostError {
        let progress = self.progress.borrow();
        let read = |tenant: &TenantName| progress.read.get(tenant).copied().unwrap_or(0);
        let behind = needed.iter().find(|(tenant, size)| read(tenant) < **size);
        behind.map_or(CostError::Busy, |(tenant, size)| CostError::Behind {
            tenant: tenant.clone(),
            read: read(tenant),
            size: *size,
            trouble: progress.trouble.clone(),
        })
    }
}

fn reaches(read: &BTreeMap<TenantName, u64>, needed: &BTreeMap<TenantName, u64>) -> bool {
    needed
        .iter()
        .all(|(tenant, size)| *size == 0 || read.get(tenant).is_some_and(|read| read >= size))
}

/// Sums what the file has, in one picture of it.
async fn read(path: &Path, question: &CostQuestion) -> Result<CostAnswer, CostError> {
    let mut connection = open_to_read(path).await?;
    let mut picture = connection.begin().await.map_err(StoreError::from)?;
    let cursors: Vec<(i64, String, i64)> = sqlx::query_as("SELECT id, tenant, size FROM cursor")
        .fetch_all(&mut *picture)
        .await
        .map_err(StoreError::from)?;
    let mut groups = BTreeMap::new();
    let mut sizes = BTreeMap::new();
    for (id, tenant, size) in cursors {
        let tenant = TenantName::new(&tenant).map_err(StoreError::from)?;
        if question.tenant.as_ref().is_some_and(|only| *only != tenant) {
            continue;
        }
        for (span, from, to) in pieces(question.since, question.until) {
            sum(&mut picture, (id, &tenant), (span, from, to), question, &mut groups).await?;
        }
        sizes.insert(tenant, unsigned(size));
    }
    drop(picture);
    // Nothing was written.
    drop(connection.close().await);
    let group = |((tenant, values), sums)| CostGroup { tenant, values, sums };
    let groups = groups.into_iter().map(group).collect();
    Ok(CostAnswer { groups, sizes })
}

type Groups = BTreeMap<(Option<TenantName>, Vec<String>), CostSums>;

async fn sum(
    connection: &mut SqliteConnection,
    (id, tenant): (i64, &TenantName),
    (span, from, to): (i64, i64, i64),
    question: &CostQuestion,
    groups: &mut Groups,
) -> Result<(), CostError> {
    // The two halves of cost cannot overflow: SQLite would rather fail than give more than the largest integer.
    let mut rows = sqlx::query(
        "SELECT team, product, environment, agent, tier, user, task, operation, upstream, model, sums.*
         FROM (SELECT labels, sum(calls) AS calls, sum(failed) AS failed,
                   sum(cost >> 32) AS cost_high, sum(cost & 4294967295) AS cost_low,
                   sum(input) AS input, sum(cache_read) AS cache_read, sum(cache_write) AS cache_write,
                   sum(audio_input) AS audio_input, sum(image_input) AS image_input, sum(output) AS output,
                   sum(reasoning) AS reasoning, sum(audio_output) AS audio_output,
                   sum(image_output) AS image_output, sum(duration_us) AS duration_us
               FROM booked WHERE tenant = $1 AND span = $2 AND start >= $3 AND start < $4 GROUP BY labels) AS sums
         JOIN label_set ON label_set.id = sums.labels",
    )
    .bind(id)
    .bind(span)
    .bind(from)
    .bind(to)
    .fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        let (labels, sums) = (labels(&row)?, sums(&row)?);
        if !selects(question, &labels, tenant) {
            continue;
        }
        let values = question
            .by
            .iter()
            .map(|label| labels.get(*label, tenant.as_str()).to_owned());
        let named = question.by.contains(&CostLabel::User).then(|| tenant.clone());
        groups.entry((named, values.collect())).or_default().add(&sums);
        if groups.len() > MAX_GROUPS {
            return Err(CostError::TooMany);
        }
    }
    Ok(())
}

fn labels(row: &SqliteRow) -> Result<LabelSet, StoreError> {
    Ok(LabelSet {
        team: row.try_get("team")?,
        product: row.try_get("product")?,
        environment: row.try_get("environment")?,
        agent: row.try_get("agent")?,
        tier: row.try_get("tier")?,
        user: row.try_get("user")?,
        task: row.try_get("task")?,
        operation: row.try_get("operation")?,
        upstream: row.try_get("upstream")?,
        model: row.try_get("model")?,
    })
}

fn sums(row: &SqliteRow) -> Result<CostSums, StoreError> {
    let count = |column: &str| row.try_get(column).map(unsigned);
    let (high, low): (i64, i64) = (row.try_get("cost_high")?, row.try_get("cost_low")?);
    let cost = (i128::from(high) << 32) + i128::from(low);
    Ok(CostSums {
        calls: count("calls")?,
        failed: count("failed")?,
        cost: i64::try_from(cost).map_or(NanoUsd::MAX, NanoUsd),
        tokens: CostTokens {
            input: count("input")?,
            cache_read: count("cache_read")?,
            cache_write: count("cache_write")?,
            audio_input: count("audio_input")?,
            image_input: count("image_input")?,
            output: count("output")?,
            reasoning: count("reasoning")?,
            audio_output: count("audio_output")?,
            image_output: count("image_output")?,
        },
        duration_us: count("duration_us")?,
    })
}

fn selects(question: &CostQuestion, labels: &LabelSet, tenant: &TenantName) -> bool {
    question.only.iter().all(|(label, patterns)| {
        let value = labels.get(*label, tenant.as_str());
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => value.starts_with(prefix),
            None => value == pattern,
        })
    })
}

/// The fewest spans that make up a time: as span, first minute and the minute behind the last.
fn pieces(since: Option<Timestamp>, until: Option<Timestamp>) -> Vec<(i64, i64, i64)> {
    let minute = |at: Timestamp| at.unix_micros().div_euclid(MINUTE).clamp(-FAR, FAR);
    let mut pieces = Vec::new();
    cut(
        &SPANS,
        since.map_or(-FAR, minute),
        until.map_or(FAR, minute),
        &mut pieces,
    );
    pieces
}

fn cut(spans: &[i64], from: i64, to: i64, pieces: &mut Vec<(i64, i64, i64)>) {
    let Some((&span, shorter)) = spans.split_first() else {
        return;
    };
    let first = from.saturating_add(span - 1).div_euclid(span) * span;
    let last = to.div_euclid(span) * span;
    if first < last {
        cut(shorter, from, first, pieces);
        pieces.push((span, first, last));
        cut(shorter, last, to, pieces);
    } else if from < to {
        cut(shorter, from, to, pieces);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_cut_into_the_longest_spans() {
        for ((from, to), expected) in [
            ((0, 0), vec![]),
            ((5, 3), vec![]),
            ((1, 2), vec![(1, 1, 2)]),
            ((0, 60), vec![(60, 0, 60)]),
            ((59, 121), vec![(1, 59, 60), (60, 60, 120), (1, 120, 121)]),
            ((0, 2_880), vec![(1_440, 0, 2_880)]),
            (
                (-1, 1_501),
                vec![(1, -1, 0), (1_440, 0, 1_440), (60, 1_440, 1_500), (1, 1_500, 1_501)],
            ),
        ] {
            let mut pieces = Vec::new();
            cut(&SPANS, from, to, &mut pieces);
            assert_eq!(pieces, expected, "{from}..{to}");
        }
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_time_without_gaps(from in -5_000..5_000_i64, length in 0..10_000_i64) {
            let mut pieces = Vec::new();
            cut(&SPANS, from, from + length, &mut pieces);
            let mut next = from;
            for (span, first, last) in pieces {
                prop_assert_eq!(first, next);
                prop_assert!(first < last && first % span == 0 && last % span == 0);
                next = last;
            }
            prop_assert_eq!(next, from + length);
        }
    }
}
