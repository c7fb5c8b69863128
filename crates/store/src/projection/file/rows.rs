//! Writing rows: many with each statement, because handing a statement to the database's thread and back takes as long as
//! it takes to write several rows.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::super::{
    fold::{Found, Labels, Open},
    sums::CostSums,
};
use crate::{StoreError, reader::integer};

/// How many rows a statement has: as many of the first as there are, then of the next.
const SIZES: [usize; 3] = [256, 16, 1];
/// The bits of an id that are the entry's index.
const INDEX_BITS: u32 = 44;

/// A statement, once for each number of rows.
struct Statement([(usize, String); SIZES.len()]);

impl Statement {
    /// From what comes before the rows, each of them, and what comes behind.
    fn new(head: &str, row: &str, tail: &str) -> Self {
        Self(SIZES.map(|size| (size, format!("{head} {}{tail}", vec![row; size].join(", ")))))
    }

    /// Executes it for all rows.
    async fn execute<'r, T: 'r>(
        &'static self,
        connection: &mut SqliteConnection,
        rows: &'r [T],
        bind: impl Fn(Query<'r, Sqlite, SqliteArguments>, &'r T) -> Query<'r, Sqlite, SqliteArguments>,
    ) -> Result<(), StoreError> {
        let mut left = rows;
        for (size, text) in &self.0 {
            while let Some((chunk, rest)) = left.split_at_checked(*size) {
                left = rest;
                let statement = sqlx::query(AssertSqlSafe(text.as_str()));
                let statement = chunk.iter().fold(statement, &bind);
                statement.execute(&mut *connection).await?;
            }
        }
        Ok(())
    }
}

/// The id of an entry: in the order of the log, and no other tenant's.
pub(in super::super) fn entry_id(tenant: i64, index: u64) -> i64 {
    (tenant << INDEX_BITS).saturating_add(integer(index))
}

/// Adds entries to the index, in their order.
pub(super) async fn insert_found(
    connection: &mut SqliteConnection,
    tenant: i64,
    found: &[Found],
) -> Result<(), StoreError> {
    static ENTRIES: LazyLock<Statement> =
        LazyLock::new(|| Statement::new("INSERT INTO entry (id, time, cost) VALUES", "(?, ?, ?)", ""));
    static TERMS: LazyLock<Statement> =
        LazyLock::new(|| Statement::new("INSERT INTO term (rowid, terms) VALUES", "(?, ?)", ""));
    ENTRIES
        .execute(connection, found, |statement, found| {
            let cost = found.cost.map(|cost| cost.0);
            let id = entry_id(tenant, found.index);
            statement.bind(id).bind(found.time.unix_micros()).bind(cost)
        })
        .await?;
    TERMS
        .execute(connection, found, |statement, found| {
            statement.bind(entry_id(tenant, found.index)).bind(found.terms.as_str())
        })
        .await
}

/// Adds to rows of sums. Cost that passes the largest amount stays there, as in the fold of the log; the other sums cannot
/// come near it, since what is believed of one call is bounded.
pub(super) async fn add_sums(
    connection: &mut SqliteConnection,
    sums: &[([i64; 4], &CostSums)],
) -> Result<(), StoreError> {
    static SUMS: LazyLock<Statement> = LazyLock::new(|| {
        Statement::new(
            "INSERT INTO booked (tenant, span, start, labels, calls, failed, cost, input, cache_read, cache_write,
                 audio_input, image_input, output, reasoning, audio_output, image_output, duration_us) VALUES",
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            " ON CONFLICT (tenant, span, start, labels) DO UPDATE SET
                 calls = calls + excluded.calls,
                 failed = failed + excluded.failed,
                 cost = CASE WHEN cost > 9223372036854775807 - excluded.cost THEN 9223372036854775807
                     ELSE cost + excluded.cost END,
                 input = input + excluded.input,
                 cache_read = cache_read + excluded.cache_read,
                 cache_write = cache_write + excluded.cache_write,
                 audio_input = audio_input + excluded.audio_input,
                 image_input = image_input + excluded.image_input,
                 output = output + excluded.output,
                 reasoning = reasoning + excluded.reasoning,
                 audio_output = audio_output + excluded.audio_output,
                 image_output = image_output + excluded.image_output,
                 duration_us = duration_us + excluded.duration_us",
        )
    });
    SUMS.execute(connection, sums, |statement, (key, sums)| {
        let tokens = &sums.tokens;
        let statement = key.iter().fold(statement, |statement, part| statement.bind(*part));
        statement
            .bind(integer(sums.calls))
            .bind(integer(sums.failed))
            .bind(sums.cost.0)
            .bind(integer(tokens.input))
            .bind(integer(tokens.cache_read))
            .bind(integer(tokens.cache_write))
            .bind(integer(tokens.audio_input))
            .bind(integer(tokens.image_input))
            .bind(integer(tokens.output))
            .bind(integer(tokens.reasoning))
            .bind(integer(tokens.audio_output))
            .bind(integer(tokens.image_output))
            .bind(integer(sums.duration_us))
    })
    .await
}

/// Stores attempts that have not ended.
pub(super) async fn insert_open(
    connection: &mut SqliteConnection,
    tenant: i64,
    opened: &[(u64, &Open)],
) -> Result<(), StoreError> {
    static OPEN: LazyLock<Statement> = LazyLock::new(|| {
        Statement::new(
            "INSERT INTO open (tenant, intent, labels, minute, terms, followed) VALUES",
            "(?, ?, ?, ?, ?, ?)",
            "",
        )
    });
    OPEN.execute(connection, opened, |statement, (intent, open)| {
        let labels = match open.labels {
            Labels::Stored(number) => Some(number),
            // Numbered before; the table takes no row without a number.
            Labels::New(_) => None,
        };
        statement
            .bind(tenant)
            .bind(integer(*intent))
            .bind(labels)
            .bind(open.minute)
            .bind(open.inheritance.terms.as_str())
            .bind(i64::try_from(open.inheritance.followed).unwrap_or_default())
    })
    .await
}

/// Removes attempts that have ended.
pub(super) async fn end_open(connection: &mut SqliteConnection, tenant: i64, ended: &[u64]) -> Result<(), StoreError> {
    static ENDED: LazyLock<Statement> =
        LazyLock::new(|| Statement::new("DELETE FROM open WHERE (tenant, intent) IN (VALUES", "(?, ?)", ")"));
    ENDED
        .execute(connection, ended, |statement, intent| {
            statement.bind(tenant).bind(integer(*intent))
        })
        .await
}
