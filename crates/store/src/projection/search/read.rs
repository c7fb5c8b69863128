//! Reading the index: from window to window of a log, and of several logs in the order of time.
//!
//! The library does not look at a clock while it looks for entries that have several terms. A window bounds what it looks
//! at at once; between windows time is looked at.

use std::{collections::VecDeque, path::Path};

use futures_util::TryStreamExt as _;
use model::{NanoUsd, TenantName, Timestamp};
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::Instant;

use super::{
    super::file::{entry_id, open_to_read},
    Position, SEARCH_LIMIT_MAX, SearchAnswer, SearchError, SearchQuestion,
};
use crate::{StoreError, reader::unsigned};

/// How many entries the first window has; each one after it has twice as many.
const WINDOW: u64 = if cfg!(test) { 4 } else { 1 << 16 };
/// How many a window has at most.
const WINDOW_MAX: u64 = 1 << 21;

/// Looks for entries until there are enough, or time is over.
pub(super) async fn read(path: &Path, question: &SearchQuestion, until: Instant) -> Result<SearchAnswer, SearchError> {
    let mut connection = open_to_read(path).await?;
    let mut picture = connection.begin().await.map_err(StoreError::from)?;
    let mut search = Search {
        terms: question.terms(),
        question,
        lanes: Vec::new(),
    };
    let mut answer = SearchAnswer::default();
    let cursors: Vec<(i64, String, i64)> = sqlx::query_as("SELECT id, tenant, size FROM cursor")
        .fetch_all(&mut *picture)
        .await
        .map_err(StoreError::from)?;
    for (id, tenant, size) in cursors {
        let tenant = TenantName::new(&tenant).map_err(StoreError::from)?;
        if question.tenants.is_empty() || question.tenants.contains(&tenant) {
            let size = unsigned(size);
            let lane = search.lane(&mut picture, (id, tenant.clone(), size)).await?;
            search.lanes.push(lane);
            answer.indexed.insert(tenant, size);
        }
    }
    search.run(&mut picture, until, &mut answer).await?;
    drop(picture);
    // Nothing was written.
    drop(connection.close().await);
    Ok(answer)
}

struct Search<'a> {
    question: &'a SearchQuestion,
    terms: Option<String>,
    lanes: Vec<Lane>,
}

/// The search in one log.
struct Lane {
    id: i64,
    tenant: TenantName,
    /// What is not looked at yet: from here,
    low: u64,
    /// and up to here.
    high: u64,
    window: u64,
    /// What was found and is not taken.
    found: VecDeque<Position>,
    /// The next entry to be looked at.
    next: Option<Position>,
}

impl Search<'_> {
    async fn lane(
        &self,
        connection: &mut SqliteConnection,
        (id, tenant, size): (i64, TenantName, u64),
    ) -> Result<Lane, StoreError> {
        let mut lane = Lane {
            id,
            tenant,
            low: 0,
            high: size,
            window: WINDOW,
            found: VecDeque::new(),
            next: None,
        };
        if let Some(since) = self.question.since {
            lane.low = lane.first_at(connection, since, size).await?;
        }
        if let Some(until) = self.question.until {
            lane.high = lane.first_at(connection, until, size).await?;
        }
        if let Some(from) = &self.question.from {
            // The first entry that is not before that place, in the order of all logs.
            let place = match lane.tenant.cmp(&from.tenant) {
                std::cmp::Ordering::Equal => from.index.saturating_add(u64::from(!self.question.oldest_first)),
                std::cmp::Ordering::Less => lane.first_at(connection, after(from.time), size).await?,
                std::cmp::Ordering::Greater => lane.first_at(connection, from.time, size).await?,
            };
            if self.question.oldest_first {
                lane.low = lane.low.max(place);
            } else {
                lane.high = lane.high.min(place);
            }
        }
        lane.look_ahead(connection, self.question.oldest_first).await?;
        Ok(lane)
    }

    async fn run(
        &mut self,
        connection: &mut SqliteConnection,
        until: Instant,
        answer: &mut SearchAnswer,
    ) -> Result<(), StoreError> {
        let limit = self.question.limit.clamp(1, SEARCH_LIMIT_MAX);
        let oldest_first = self.question.oldest_first;
        // One window at least is looked at, so that whoever goes on comes to an end.
        let mut looked = false;
        loop {
            let lanes = self.lanes.iter_mut().filter(|lane| lane.head().is_some());
            let first = match oldest_first {
                true => lanes.min_by(|a, b| a.head().cmp(&b.head())),
                false => lanes.max_by(|a, b| a.head().cmp(&b.head())),
            };
            let Some(lane) = first else { return Ok(()) };
            let full = answer.hits.len() >= limit;
            if let Some(found) = lane.found.pop_front() {
                if full {
                    answer.next = Some(found);
                    return Ok(());
                }
                answer.hits.push(found);
                continue;
            }
            // Whether there is one more is not worth looking for.
            if full || (looked && Instant::now() >= until) {
                answer.next = lane.next.clone();
                answer.out_of_time = !full;
                return Ok(());
            }
            looked = true;
            let wanted = limit + 1 - answer.hits.len();
            lane.look(connection, self.question, self.terms.as_deref(), wanted)
                .await?;
        }
    }
}

impl Lane {
    /// The first that it has, or could have.
    fn head(&self) -> Option<&Position> {
        self.found.front().or(self.next.as_ref())
    }

    /// Looks for at most so many entries in the next window.
    async fn look(
        &mut self,
        connection: &mut SqliteConnection,
        question: &SearchQuestion,
        terms: Option<&str>,
        wanted: usize,
    ) -> Result<(), StoreError> {
        let window = self.window.min(self.high - self.low);
        let (low, high) = match question.oldest_first {
            true => (self.low, self.low + window),
            false => (self.high - window, self.high),
        };
        self.window = (self.window * 2).min(WINDOW_MAX);
        let (from, to) = question.costs().unwrap_or((NanoUsd::ZERO, NanoUsd::MAX));
        let mut rows = sqlx::query_as::<_, (i64, i64)>(statement(terms.is_some(), question.oldest_first))
            .bind(entry_id(self.id, low))
            .bind(entry_id(self.id, high))
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .bind(terms.unwrap_or_default())
            .bind(question.costs().is_none())
            .bind(from.0)
            .bind(to.0)
            .fetch(&mut *connection);
        let (mut count, mut last) = (0, None);
        while let Some((id, time)) = rows.try_next().await? {
            let index = unsigned(id.wrapping_sub(entry_id(self.id, 0)));
            self.found.push_back(Position {
                time: Timestamp::from_unix_micros(time),
                tenant: self.tenant.clone(),
                index,
            });
            count += 1;
            last = Some(index);
        }
        drop(rows);
        // With as many as were wanted there may be more behind the last of them.
        let stopped = last.filter(|_| count >= wanted);
        match question.oldest_first {
            true => self.low = stopped.map_or(high, |last| last + 1),
            false => self.high = stopped.unwrap_or(low),
        }
        self.look_ahead(connection, question.oldest_first).await
    }

    /// Finds the place of the next entry that is to be looked at. Entries that were let go have no row once the index was made
    /// again: it is the nearest that has one.
    async fn look_ahead(&mut self, connection: &mut SqliteConnection, oldest_first: bool) -> Result<(), StoreError> {
        self.next = None;
        if self.low >= self.high {
            return Ok(());
        }
        let nearest = match oldest_first {
            true => "SELECT id, time FROM entry WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1",
            false => "SELECT id, time FROM entry WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1",
        };
        let nearest: Option<(i64, i64)> = sqlx::query_as(nearest)
            .bind(entry_id(self.id, self.low))
            .bind(entry_id(self.id, self.high))
            .fetch_optional(connection)
            .await?;
        let Some((id, time)) = nearest else {
            // Nothing of what is left is kept.
            self.low = self.high;
            return Ok(());
        };
        let index = unsigned(id.wrapping_sub(entry_id(self.id, 0)));
        match oldest_first {
            true => self.low = index,
            false => self.high = index.saturating_add(1),
        }
        self.next = Some(Position {
            time: Timestamp::from_unix_micros(time),
            tenant: self.tenant.clone(),
            index,
        });
        Ok(())
    }

    /// The first entry that is not before an instant: times never go back in a log. One that was let go counts as the next
    /// that is kept.
    async fn first_at(&self, connection: &mut SqliteConnection, at: Timestamp, size: u64) -> Result<u64, StoreError> {
        let (found,): (i64,) = sqlx::query_as(
            "WITH RECURSIVE half (low, high) AS (
                 VALUES ($1, $2)
                 UNION ALL
                 SELECT
                     iif((SELECT time FROM entry WHERE id >= (low + high) / 2 AND id < $2 ORDER BY id LIMIT 1) < $3,
                         (low + high) / 2 + 1, low),
                     iif((SELECT time FROM entry WHERE id >= (low + high) / 2 AND id < $2 ORDER BY id LIMIT 1) < $3,
                         high, (low + high) / 2)
                 FROM half WHERE low < high)
             SELECT low FROM half WHERE low >= high",
        )
        .bind(entry_id(self.id, 0))
        .bind(entry_id(self.id, size))
        .bind(at.unix_micros())
        .fetch_one(connection)
        .await?;
        Ok(unsigned(found.wrapping_sub(entry_id(self.id, 0))))
    }
}

/// The next instant.
fn after(at: Timestamp) -> Timestamp {
    at.saturating_add_micros(1)
}

/// The statement that looks through a window.
fn statement(by_terms: bool, oldest_first: bool) -> &'static str {
    match (by_terms, oldest_first) {
        (true, true) => {
            "SELECT entry.id, entry.time FROM term CROSS JOIN entry ON entry.id = term.rowid
             WHERE term MATCH $4 AND term.rowid >= $1 AND term.rowid < $2
                 AND ($5 OR entry.cost BETWEEN $6 AND $7) ORDER BY term.rowid LIMIT $3"
        }
        (true, false) => {
            "SELECT entry.id, entry.time FROM term CROSS JOIN entry ON entry.id = term.rowid
             WHERE term MATCH $4 AND term.rowid >= $1 AND term.rowid < $2
                 AND ($5 OR entry.cost BETWEEN $6 AND $7) ORDER BY term.rowid DESC LIMIT $3"
        }
        (false, true) => {
            "SELECT id, time FROM entry WHERE id >= $1 AND id < $2 AND $4 = ''
                 AND ($5 OR cost BETWEEN $6 AND $7) ORDER BY id LIMIT $3"
        }
        (false, false) => {
            "SELECT id, time FROM entry WHERE id >= $1 AND id < $2 AND $4 = ''
                 AND ($5 OR cost BETWEEN $6 AND $7) ORDER BY id DESC LIMIT $3"
        }
    }
}
