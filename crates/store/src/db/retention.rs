//! Snapshots, and letting the bytes of entries go.

use model::TenantName;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tlog::{CompactRange, Stored, kept};

use super::Store;
use crate::{
    Batch, BatchError, Snapshot, StoreError,
    log::Back,
    packing,
    reader::{self, integer, retention},
};

/// Batches without the bytes of entries that were let go.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) tenant: TenantName,
    /// The entry of the snapshot from which the log is replayed then: older ones are not needed any more.
    pub(crate) snapshot: u64,
    /// By their first entries.
    pub(crate) batches: Vec<(u64, Vec<u8>)>,
}

impl Store {
    /// The last snapshot of a tenant, as this connection sees it.
    pub(crate) async fn snapshot(&mut self, tenant: &TenantName) -> Result<Option<Snapshot>, StoreError> {
        retention::snapshot(&mut self.connection, tenant, u64::MAX).await
    }

    /// How many entries the last signed checkpoint of a tenant is over.
    pub(crate) async fn signed(&mut self, tenant: &TenantName) -> Result<u64, StoreError> {
        let size: Option<i64> = sqlx::query_scalar("SELECT size FROM checkpoint WHERE tenant = $1")
            .bind(tenant.as_str())
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(size.map_or(0, reader::unsigned))
    }

    /// Some batches from entry `from` on, until they have `most` bytes.
    pub(crate) async fn page_within(
        &mut self,
        tenant: &TenantName,
        from: u64,
        most: usize,
    ) -> Result<Vec<Batch>, StoreError> {
        reader::page_within(&mut self.connection, tenant, from, most).await
    }

    /// The tree before a batch, as the batches before it say.
    pub(crate) async fn range_before(&mut self, tenant: &TenantName, first: u64) -> Result<CompactRange, StoreError> {
        let corrupt = |source| StoreError::Corrupt {
            tenant: tenant.clone(),
            source,
        };
        let Some(mut back) = Back::of(first) else {
            return Ok(CompactRange::new());
        };
        loop {
            let wanted = back.wanted();
            let page = self.page_within(tenant, wanted, 1).await?;
            let batch = page.into_iter().next().filter(|batch| batch.first_index <= wanted);
            let batch = batch.ok_or_else(|| {
                corrupt(BatchError::Gap {
                    expected: wanted,
                    found: first,
                })
            })?;
            if let Some(range) = back.take(batch).map_err(corrupt)? {
                return Ok(range);
            }
        }
    }

    /// Lets the bytes of entries go: all of these, or none, durable when this returns. What they were is overwritten in the
    /// database file, not only forgotten.
    pub(crate) async fn let_go(&mut self, release: Release) -> Result<(), StoreError> {
        self.check_in_place()?;
        #[cfg(test)]
        self.faults.before_append(&mut self.connection).await?;
        self.connection.execute("PRAGMA secure_delete = ON").await?;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for (first, entries) in release.batches {
            let (form, stored) = packing::pack(entries);
            sqlx::query("UPDATE batch SET entries = $3, form = $4 WHERE tenant = $1 AND first_index = $2")
                .bind(release.tenant.as_str())
                .bind(integer(first))
                .bind(stored)
                .bind(form.number())
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("DELETE FROM snapshot WHERE tenant = $1 AND entry < $2")
            .bind(release.tenant.as_str())
            .bind(integer(release.snapshot))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        // Other writes let go of nothing, and need not overwrite the pages that they free.
        self.connection.execute("PRAGMA secure_delete = FAST").await?;
        #[cfg(test)]
        self.faults.after_append().await?;
        Ok(())
    }

    /// Brings what is in the write-ahead log into the database file, as far as nobody reads it.
    pub(crate) async fn fold_wal(&mut self) -> Result<(), StoreError> {
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await?;
        Ok(())
    }
}

/// Keeps a snapshot.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    tenant: &TenantName,
    snapshot: Snapshot,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO snapshot (tenant, entry, state) VALUES ($1, $2, $3)")
        .bind(tenant.as_str())
        .bind(integer(snapshot.index))
        .bind(snapshot.bytes)
        .execute(connection)
        .await?;
    Ok(())
}

/// The entries of a batch without the bytes of those that are gone, or `None` if it has none of them. `range` is the tree
/// before the batch, and then the one after it. What is not what was written is not let go: nobody could tell any more.
pub(crate) fn without(
    batch: &Batch,
    range: &mut CompactRange,
    gone: impl Fn(u64, &[u8]) -> Result<bool, entry::EntryError>,
) -> Result<Option<Vec<u8>>, BatchError> {
    let (mut entries, mut changed) = (Vec::new(), false);
    for (index, stored) in (batch.first_index..).zip(batch.entries()?) {
        let leaf = stored.leaf();
        range.append(leaf);
        let stored = match stored {
            Stored::Kept(bytes) if gone(index, bytes).map_err(|source| BatchError::Entry { index, source })? => {
                changed = true;
                Stored::Gone(leaf)
            }
            stored => stored,
        };
        kept::push(&mut entries, &stored).map_err(|_| BatchError::Framing(batch.first_index))?;
    }
    batch.check_tree(range)?;
    Ok(changed.then_some(entries))
}
