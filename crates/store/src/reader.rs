//! The reading side of the database: works beside a running server and without one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use model::{BatchId, Pseudonym, TenantName, Timestamp};
use sqlx::{
    Row as _, SqliteExecutor, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};
use tlog::{Hash, Stored};
use tokio::sync::Notify;

use crate::{
    Batch, BatchError, DataDir, StoreError,
    db::BUSY,
    packing::{Form, unpack},
};

mod bundle;
mod entities;
pub(crate) mod retention;

pub use retention::Expiry;

/// How many connections read.
const READERS: u32 = 4;
/// How many batches a page of the log has at most.
const PAGE: i64 = 256;
/// A page ends with the batch that brings its entries to so many bytes.
const PAGE_BYTES: usize = 8 * 1_024 * 1_024;

/// A few connections that only read.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: SqlitePool,
    suspicion: Arc<Notify>,
}

impl Reader {
    /// Opens the database of a data directory for reading only.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(DataDir::database(dir))
            .read_only(true)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options)
            .await?;
        Ok(Self {
            pool,
            suspicion: Arc::default(),
        })
    }

    /// Says that what is stored cannot be what was written. A running committer then checks all of it.
    pub fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub(crate) fn suspicion(&self) -> Arc<Notify> {
        self.suspicion.clone()
    }

    /// No more readers; returns when those at work have finished their page.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// The tenants that have a log.
    pub async fn tenants(&self) -> Result<Vec<TenantName>, StoreError> {
        tenants(&self.pool).await
    }

    /// The batches that hold the entries from `from` on, in order, read as the stream is polled.
    pub fn batches(
        &self,
        tenant: &TenantName,
        from: u64,
    ) -> impl Stream<Item = Result<Batch, StoreError>> + Send + use<> {
        let (reader, tenant) = (self.clone(), tenant.clone());
        let pages = futures_util::stream::try_unfold(from, move |next| {
            let (reader, tenant) = (reader.clone(), tenant.clone());
            async move {
                let page = reader.page(&tenant, next).await?;
                // A batch that says it has no entries must not be read for ever.
                let end = page.last().map(|last| last.first_index.saturating_add(last.count));
                Ok(end.map(|end| (page, end.max(next.saturating_add(1)))))
            }
        });
        pages.flat_map(|page: Result<Vec<Batch>, StoreError>| {
            let (batches, error) = match page {
                Ok(batches) => (batches, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            futures_util::stream::iter(batches.into_iter().map(Ok).chain(error.map(Err)))
        })
    }

    /// Some entries of a tenant's log, by their indexes; of those that the log does not have, nothing. Those that stand in
    /// one batch are read at once.
    pub async fn entries_at(
        &self,
        tenant: &TenantName,
        indexes: &BTreeSet<u64>,
    ) -> Result<BTreeMap<u64, Stored<Vec<u8>>>, StoreError> {
        let mut found = BTreeMap::new();
        let mut left = indexes.iter().copied().peekable();
        while let Some(index) = left.next() {
            let Some(batch) = self.batch_of(tenant, index).await? else {
                continue;
            };
            let corrupt = |source| {
                let tenant = tenant.clone();
                StoreError::Corrupt { tenant, source }
            };
            let entries = batch.entries().map_err(corrupt)?;
            let mut of_batch = Some(index);
            while let Some(index) = of_batch {
                let place = usize::try_from(index.saturating_sub(batch.first_index));
                let entry = place.ok().and_then(|place| entries.get(place));
                found.extend(entry.map(|entry| (index, entry.to_owned())));
                let end = batch.first_index.saturating_add(batch.count);
                of_batch = left.next_if(|next| *next < end);
            }
        }
        Ok(found)
    }

    /// The batch that holds an entry.
    async fn batch_of(&self, tenant: &TenantName, index: u64) -> Result<Option<Batch>, StoreError> {
        let row = sqlx::query(
            "SELECT first_index, count, batch_id, boot, epoch, time_us, root, range, entries, form FROM batch
             WHERE tenant = $1 AND first_index <= $2 ORDER BY first_index DESC LIMIT 1",
        )
        .bind(tenant.as_str())
        .bind(integer(index))
        .fetch_optional(&self.pool)
        .await?;
        let batch = row.map(|row| read(&row, tenant)).transpose()?;
        Ok(batch.filter(|batch| index - batch.first_index < batch.count))
    }

    /// Some of the batches from entry `from` on; none if there are none.
    pub(crate) async fn page(&self, tenant: &TenantName, from: u64) -> Result<Vec<Batch>, StoreError> {
        self.page_within(tenant, from, PAGE_BYTES).await
    }

    /// Some of the batches from entry `from` on, the first of which may begin before it; none if there are none. The page
    /// ends with the batch that brings its entries to `most` bytes.
    pub async fn page_within(&self, tenant: &TenantName, from: u64, most: usize) -> Result<Vec<Batch>, StoreError> {
        let page = page_within(&self.pool, tenant, from, most).await;
        page.inspect_err(|error| {
            if error.is_damage() {
                self.suspect();
            }
        })
    }

    /// The root of the first `size` entries of a tenant's log, if a batch ends there.
    pub async fn root_at(&self, tenant: &TenantName, size: u64) -> Result<Option<Hash>, StoreError> {
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT first_index + count, root FROM batch WHERE tenant = $1 AND first_index < $2
             ORDER BY first_index DESC LIMIT 1",
        )
        .bind(tenant.as_str())
        .bind(integer(size))
        .fetch_optional(&self.pool)
        .await?;
        let found = row.filter(|(end, _)| unsigned(*end) == size);
        Ok(found.and_then(|(_, root)| Hash::from_slice(&root).ok()))
    }

    /// How many entries a tenant's log has.
    pub async fn size(&self, tenant: &TenantName) -> Result<u64, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT first_index + count FROM batch WHERE tenant = $1 ORDER BY first_index DESC LIMIT 1")
                .bind(tenant.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map_or(0, |(size,)| unsigned(size)))
    }

    /// The time of the last entry of a tenant's log.
    pub async fn last_time(&self, tenant: &TenantName) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT time_us FROM batch WHERE tenant = $1 ORDER BY first_index DESC LIMIT 1")
                .bind(tenant.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(time,)| Timestamp::from_unix_micros(time)))
    }

    /// The last signed checkpoint of a tenant, as note text.
    pub async fn checkpoint(&self, tenant: &TenantName) -> Result<Option<String>, StoreError> {
        Ok(self.checkpoint_row(tenant).await?.map(|(_, note)| note))
    }

    /// The same with the size that the database keeps beside it, which must be the same.
    pub async fn checkpoint_row(&self, tenant: &TenantName) -> Result<Option<(u64, String)>, StoreError> {
        let row: Option<(i64, String)> = sqlx::query_as("SELECT size, note FROM checkpoint WHERE tenant = $1")
            .bind(tenant.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(size, note)| (unsigned(size), note)))
    }

    /// Who is behind a pseudonym, if that was not erased.
    pub async fn person(&self, tenant: &TenantName, pseudonym: &Pseudonym) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT identity FROM person WHERE tenant = $1 AND pseudonym = $2")
            .bind(tenant.as_str())
            .bind(&pseudonym.0)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(identity,)| identity))
    }
}

/// The tenants that have a log.
pub(crate) async fn tenants<'c>(database: impl SqliteExecutor<'c>) -> Result<Vec<TenantName>, StoreError> {
    let names: Vec<(String,)> = sqlx::query_as("SELECT DISTINCT tenant FROM batch ORDER BY tenant")
        .fetch_all(database)
        .await?;
    names.iter().map(|(name,)| Ok(TenantName::new(name)?)).collect()
}

/// Some of the batches from entry `from` on; none if there are none. A page is bounded in rows and in bytes, because a
/// batch may be large.
pub(crate) async fn page<'c>(
    database: impl SqliteExecutor<'c>,
    tenant: &TenantName,
    from: u64,
) -> Result<Vec<Batch>, StoreError> {
    page_within(database, tenant, from, PAGE_BYTES).await
}

pub(crate) async fn page_within<'c>(
    database: impl SqliteExecutor<'c>,
    tenant: &TenantName,
    from: u64,
    most: usize,
) -> Result<Vec<Batch>, StoreError> {
    // The batch that holds entry `from` may start before it.
    let mut rows = sqlx::query(
        "SELECT first_index, count, batch_id, boot, epoch, time_us, root, range, entries, form FROM batch
         WHERE tenant = $1 AND first_index >= coalesce(
             (SELECT max(first_index) FROM batch WHERE tenant = $1 AND first_index <= $2 AND first_index + count > $2),
             $2)
         ORDER BY first_index LIMIT $3",
    )
    .bind(tenant.as_str().to_owned())
    .bind(integer(from))
    .bind(PAGE)
    .fetch(database);
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < most
        && let Some(row) = rows.try_next().await?
    {
        match read(&row, tenant) {
            Ok(batch) => {
                bytes += batch.entries.len();
                page.push(batch);
            }
            // What is sound before it comes first, so that whoever reads knows how far that goes.
            Err(_) if !page.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

fn read(row: &SqliteRow, tenant: &TenantName) -> Result<Batch, StoreError> {
    let first_index = unsigned(row.try_get("first_index")?);
    let column = |column| StoreError::Corrupt {
        tenant: tenant.clone(),
        source: BatchError::Column { first_index, column },
    };
    let entries = entries_of(row)?.ok_or_else(|| column("bundle of entries"))?;
    let id: Vec<u8> = row.try_get("batch_id")?;
    let root: Vec<u8> = row.try_get("root")?;
    Ok(Batch {
        first_index,
        count: unsigned(row.try_get("count")?),
        id: BatchId::from_bytes(id.try_into().map_err(|_| column("batch_id"))?),
        boot: unsigned(row.try_get("boot")?),
        epoch: unsigned(row.try_get("epoch")?),
        time: Timestamp::from_unix_micros(row.try_get("time_us")?),
        root: Hash::from_slice(&root).map_err(|_| column("root"))?,
        range: row.try_get("range")?,
        entries,
    })
}

/// The entries of a row that has them and their form; `None` if they cannot be unpacked.
fn entries_of(row: &SqliteRow) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let (form, stored): (i64, &[u8]) = (row.try_get("form")?, row.try_get("entries")?);
    Ok(Form::of(form).and_then(|form| unpack(form, stored)))
}

/// SQLite's integers are signed; no count here comes near the top bit.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
