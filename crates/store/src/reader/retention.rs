//! What could be let go of a log, and what it is replayed from where that was done.

use std::collections::BTreeMap;

use entry::{Class, Entry, Evidence};
use model::{TenantName, Timestamp};
use sqlx::SqliteExecutor;

use super::{Reader, integer, unsigned};
use crate::{Batch, BatchError, Snapshot, StoreError};

/// How many bytes of entries are looked through at a time.
const PAGE: usize = 1 << 20;

/// What would be let go of a log: found by reading it, and true for good, for entries do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// From which entry on nothing of a class had been let go.
    pub(crate) after: BTreeMap<Class, u64>,
    /// Up to which entry, not included, those of a class would be.
    pub(crate) before: BTreeMap<Class, u64>,
    /// How many that are, by class.
    counts: BTreeMap<Class, u64>,
}

impl Expiry {
    /// Up to which entry, not included, those of each class would be let go.
    pub fn before(&self) -> &BTreeMap<Class, u64> {
        &self.before
    }

    /// How many that are, by class.
    pub fn counts(&self) -> &BTreeMap<Class, u64> {
        &self.counts
    }

    /// How many that are.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Reader {
    /// What could be let go of a tenant's log: the entries of each class up to an instant, of the first `bound` entries.
    /// `said` is what the log says of itself; of a class in `none` it is known that there is none of it between what was let
    /// go and this place, which need not be looked through again.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub async fn expiry(
        &self,
        tenant: &TenantName,
        said: &Evidence,
        until: &BTreeMap<Class, Timestamp>,
        bound: u64,
        none: &BTreeMap<Class, u64>,
    ) -> Result<Expiry, StoreError> {
        let mut found = Expiry::default();
        let mut ranges = Vec::new();
        for (class, until) in until {
            let after = said.expired.get(class).copied().unwrap_or(0);
            let before = self.size_at(tenant, *until).await?.min(bound);
            if before > after {
                found.after.insert(*class, after);
                found.before.insert(*class, before);
                found.counts.insert(*class, 0);
                ranges.push((none.get(class).copied().unwrap_or(0).max(after), before));
            }
        }
        ranges.sort_unstable();
        let mut next = 0;
        for (from, to) in ranges {
            next = from.max(next);
            while next < to {
                let page = self.page_within(tenant, next, PAGE).await?;
                let Some(last) = page.last() else { break };
                let end = last.first_index.saturating_add(last.count).max(next.saturating_add(1));
                found = self.count(tenant, page, (next, to), found).await?;
                next = end.min(to);
            }
        }
        Ok(found)
    }

    /// Counts what a page has of entries that would be let go.
    async fn count(
        &self,
        tenant: &TenantName,
        page: Vec<Batch>,
        (from, to): (u64, u64),
        mut found: Expiry,
    ) -> Result<Expiry, StoreError> {
        let counted = tokio::task::spawn_blocking(move || {
            for batch in &page {
                for (index, bytes) in batch.kept()?.filter(|(index, _)| (from..to).contains(index)) {
                    let entry = Entry::decode(bytes).map_err(|source| BatchError::Entry { index, source })?;
                    let Some(class) = entry.event.class() else { continue };
                    let of = |places: &BTreeMap<Class, u64>| places.get(&class).copied();
                    let would = of(&found.after).is_some_and(|after| after <= index)
                        && of(&found.before).is_some_and(|before| index < before);
                    if would && let Some(count) = found.counts.get_mut(&class) {
                        *count += 1;
                    }
                }
            }
            Ok(found)
        });
        let counted = counted
            .await
            .map_err(|error| StoreError::Unavailable(sqlx::Error::Io(std::io::Error::other(error))))?;
        counted.map_err(|source| {
            self.suspect();
            let tenant = tenant.clone();
            StoreError::Corrupt { tenant, source }
        })
    }

    /// How many entries a log had at an instant, to the end of a commit. Times never go back within a log, so it is enough
    /// to look at a few.
    async fn size_at(&self, tenant: &TenantName, at: Timestamp) -> Result<u64, StoreError> {
        let (mut low, mut high) = (0, self.size(tenant).await?);
        while low < high {
            let middle = low + (high - low) / 2;
            let row: Option<(i64, i64)> = sqlx::query_as(
                "SELECT first_index + count, time_us FROM batch WHERE tenant = $1 AND first_index <= $2
                 ORDER BY first_index DESC LIMIT 1",
            )
            .bind(tenant.as_str())
            .bind(integer(middle))
            .fetch_optional(&self.pool)
            .await?;
            match row {
                Some((end, time)) if time <= at.unix_micros() => low = unsigned(end).max(middle + 1),
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The last snapshot of a tenant's log among its first `size` entries.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn snapshot(&self, tenant: &TenantName, size: u64) -> Result<Option<Snapshot>, StoreError> {
        snapshot(&self.pool, tenant, size).await
    }
}

pub(crate) async fn snapshot<'c>(
    database: impl SqliteExecutor<'c>,
    tenant: &TenantName,
    size: u64,
) -> Result<Option<Snapshot>, StoreError> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT entry, state FROM snapshot WHERE tenant = $1 AND entry < $2 ORDER BY entry DESC LIMIT 1",
    )
    .bind(tenant.as_str())
    .bind(integer(size))
    .fetch_optional(database)
    .await?;
    Ok(row.map(|(entry, bytes)| Snapshot {
        index: unsigned(entry),
        bytes,
    }))
}
