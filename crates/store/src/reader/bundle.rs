//! Entries as a log publishes them.

use futures_util::TryStreamExt as _;
use model::TenantName;
use sqlx::Row as _;
use tlog::{Stored, kept};

use super::{Reader, entries_of, integer, unsigned};
use crate::{BatchError, StoreError};

impl Reader {
    /// `count` entries from `first` on. `None` if the log does not have all of them.
    pub(crate) async fn bundle(
        &self,
        tenant: &TenantName,
        first: u64,
        count: u64,
    ) -> Result<Option<Vec<Stored<Vec<u8>>>>, StoreError> {
        let end = first.saturating_add(count);
        let mut rows = sqlx::query(
            "SELECT first_index, entries, form FROM batch
             WHERE tenant = $1 AND first_index < $3 AND first_index >= coalesce(
                 (SELECT max(first_index) FROM batch WHERE tenant = $1 AND first_index <= $2), $2)
             ORDER BY first_index",
        )
        .bind(tenant.as_str())
        .bind(integer(first))
        .bind(integer(end))
        .fetch(&self.pool);
        let (mut found, mut next) = (Vec::new(), first);
        while let Some(row) = rows.try_next().await? {
            let batch = unsigned(row.try_get("first_index")?);
            let corrupt = || StoreError::Corrupt {
                tenant: tenant.clone(),
                source: BatchError::Framing(batch),
            };
            let framed = entries_of(&row)?.ok_or_else(corrupt)?;
            let entries = kept::split(&framed).map_err(|_| corrupt())?;
            for (index, entry) in (batch..).zip(entries) {
                if index == next && index < end {
                    found.push(entry.to_owned());
                    next += 1;
                }
            }
        }
        Ok((next == end).then_some(found))
    }

    /// One entry. `None` if the log does not have it.
    ///
    /// # Errors
    /// When the database cannot be read, or what is stored does not divide into entries.
    pub async fn entry(&self, tenant: &TenantName, index: u64) -> Result<Option<Stored<Vec<u8>>>, StoreError> {
        let found = self.bundle(tenant, index, 1).await?;
        Ok(found.and_then(|found| found.into_iter().next()))
    }
}
