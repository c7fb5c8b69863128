//! Writing what entries can be found by: many rows with each statement, for one statement takes as long as some rows.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::fold::Found;
use crate::{StoreError, reader::integer};

/// How many entries a statement takes: as many of the first as there are, then of the next.
const SIZES: [usize; 3] = [256, 32, 1];
/// The bits of an id that are the entry's index.
const INDEX_BITS: u32 = 44;

/// The statements that take so many entries: into `entry` and into `term`.
static STATEMENTS: LazyLock<[(usize, String, String); 3]> = LazyLock::new(|| {
    SIZES.map(|size| {
        let rows = |row: &str| vec![row; size].join(", ");
        (
            size,
            format!("INSERT INTO entry (id, time, cost) VALUES {}", rows("(?, ?, ?)")),
            format!("INSERT INTO term (rowid, terms) VALUES {}", rows("(?, ?)")),
        )
    })
});

/// The id of an entry: in the order of the log, and no other tenant's.
pub(in super::super) fn entry_id(tenant: i64, index: u64) -> i64 {
    (tenant << INDEX_BITS).saturating_add(integer(index))
}

/// Adds entries to the index, in their order.
pub(super) async fn write(connection: &mut SqliteConnection, tenant: i64, found: &[Found]) -> Result<(), StoreError> {
    let mut left = found;
    for (size, entries, terms) in STATEMENTS.iter() {
        while let Some((chunk, rest)) = left.split_at_checked(*size) {
            left = rest;
            let mut statement = sqlx::query(AssertSqlSafe(entries.as_str()));
            for found in chunk {
                let cost = found.cost.map(|cost| cost.0);
                let id = entry_id(tenant, found.index);
                statement = statement.bind(id).bind(found.time.unix_micros()).bind(cost);
            }
            statement.execute(&mut *connection).await?;
            let mut statement = sqlx::query(AssertSqlSafe(terms.as_str()));
            for found in chunk {
                statement = statement.bind(entry_id(tenant, found.index)).bind(found.terms.as_str());
            }
            statement.execute(&mut *connection).await?;
        }
    }
    Ok(())
}
