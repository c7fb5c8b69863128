//! The database: one writing connection, a few that only read.

use std::{borrow::Cow, path::Path, time::Duration};

use futures_util::{Stream, StreamExt as _};
use model::{BatchId, Pseudonym, TenantName, Timestamp};
use sqlx::{
    Connection as _, Row as _, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tlog::Hash;

use crate::{Batch, DataDir, StoreError};

/// How many connections read.
const READERS: u32 = 4;
/// How long a statement waits for another process that reads or checkpoints the file.
const BUSY: Duration = Duration::from_secs(5);
/// How many batches a page of the log has.
const PAGE: i64 = 256;

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![migration(1, "log", include_str!("../migrations/0001_log.sql"))])
}

/// The writing connection. Only the committer has one, so there is one transaction at a time.
///
/// It lives in the committer's own task: a transaction in a request's future would be dropped half-way when a caller
/// hangs up.
#[derive(Debug)]
pub struct Store {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    reader: Reader,
}

impl Store {
    /// Opens the database of a data directory, making it or bringing it to this program's schema.
    pub async fn open(dir: &DataDir) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(DataDir::database(dir.path()))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answered request must survive a power cut: FULL syncs the write-ahead log at each commit.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        migrator().run(&mut connection).await?;
        let reader = Reader::open(dir.path()).await?;
        Ok(Self {
            options,
            connection,
            reader,
        })
    }

    /// The reading side.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Drops the connection, whatever state an error left it in, and opens a new one.
    pub(crate) async fn reopen(&mut self) -> Result<(), StoreError> {
        let fresh = SqliteConnection::connect_with(&self.options).await?;
        let broken = std::mem::replace(&mut self.connection, fresh);
        // What closing says no longer matters: nothing of that connection is relied on.
        drop(broken.close_hard().await);
        Ok(())
    }

    /// Appends one batch to each of the tenants: all or none, durable when this returns.
    pub(crate) async fn append(&mut self, batches: Vec<(TenantName, Batch)>) -> Result<(), StoreError> {
        let one = batches.len() == 1;
        // A single statement is its own transaction, and costs one round trip to the database's thread instead of three.
        if one {
            for (tenant, batch) in batches {
                insert(&mut self.connection, &tenant, batch).await?;
            }
            return Ok(());
        }
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for (tenant, batch) in batches {
            insert(&mut transaction, &tenant, batch).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Finds out whether the disk takes writes.
    pub(crate) async fn probe(&mut self) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO probe (id, attempts) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET attempts = attempts + 1",
        )
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Keeps who is behind a pseudonym. Harmless to repeat.
    pub(crate) async fn remember(
        &mut self,
        tenant: &TenantName,
        pseudonym: &Pseudonym,
        key_epoch: u32,
        identity: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO person (tenant, pseudonym, key_epoch, identity) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant, pseudonym) DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(&pseudonym.0)
        .bind(key_epoch)
        .bind(identity)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Keeps the last signed checkpoint of a tenant, never an older one.
    pub(crate) async fn save_checkpoint(
        &mut self,
        tenant: &TenantName,
        size: u64,
        note: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO checkpoint (tenant, size, note) VALUES ($1, $2, $3)
             ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, note = excluded.note
             WHERE excluded.size >= checkpoint.size",
        )
        .bind(tenant.as_str())
        .bind(integer(size))
        .bind(note)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Folds the write-ahead log into the database file and closes it.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        self.reader.pool.close().await;
        self.connection.close().await?;
        Ok(())
    }
}

async fn insert(connection: &mut SqliteConnection, tenant: &TenantName, batch: Batch) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO batch (tenant, first_index, count, batch_id, boot, epoch, time_us, root, range, entries)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant.as_str().to_owned())
    .bind(integer(batch.first_index))
    .bind(integer(batch.count))
    .bind(batch.id.as_bytes().to_vec())
    .bind(integer(batch.boot))
    .bind(integer(batch.epoch))
    .bind(batch.time.unix_micros())
    .bind(batch.root.0.to_vec())
    .bind(batch.range)
    .bind(batch.entries)
    .execute(connection)
    .await?;
    Ok(())
}

/// SQLite's integers are signed; no count here comes near the top bit.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The reading side: works beside a running server and without one.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: SqlitePool,
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
        Ok(Self { pool })
    }

    /// The tenants that have a log.
    pub async fn tenants(&self) -> Result<Vec<TenantName>, StoreError> {
        let names: Vec<(String,)> = sqlx::query_as("SELECT DISTINCT tenant FROM batch ORDER BY tenant")
            .fetch_all(&self.pool)
            .await?;
        names.iter().map(|(name,)| Ok(TenantName::new(name)?)).collect()
    }

    /// The batches that hold the entries from `from` on, in order, read as the stream is polled.
    pub fn batches(
        &self,
        tenant: &TenantName,
        from: u64,
    ) -> impl Stream<Item = Result<Batch, StoreError>> + Send + use<> {
        let (pool, tenant) = (self.pool.clone(), tenant.as_str().to_owned());
        let pages = futures_util::stream::try_unfold(Some(integer(from)), move |next| {
            let (pool, tenant) = (pool.clone(), tenant.clone());
            async move {
                let Some(next) = next else { return Ok(None) };
                let page = page(&pool, &tenant, next).await?;
                let after = page
                    .last()
                    .map(|last| integer(last.first_index.saturating_add(last.count)));
                Ok(after.map(|after| (page, Some(after))))
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

    /// How many entries a tenant's log has.
    pub async fn size(&self, tenant: &TenantName) -> Result<u64, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT first_index + count FROM batch WHERE tenant = $1 ORDER BY first_index DESC LIMIT 1")
                .bind(tenant.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map_or(0, |(size,)| unsigned(size)))
    }

    /// The last signed checkpoint of a tenant, as note text.
    pub async fn checkpoint(&self, tenant: &TenantName) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT note FROM checkpoint WHERE tenant = $1")
            .bind(tenant.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(note,)| note))
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

async fn page(pool: &SqlitePool, tenant: &str, from: i64) -> Result<Vec<Batch>, StoreError> {
    // The batch that holds entry `from` may start before it.
    let rows = sqlx::query(
        "SELECT first_index, count, batch_id, boot, epoch, time_us, root, range, entries FROM batch
         WHERE tenant = $1 AND first_index >= coalesce(
             (SELECT max(first_index) FROM batch WHERE tenant = $1 AND first_index <= $2 AND first_index + count > $2),
             $2)
         ORDER BY first_index LIMIT $3",
    )
    .bind(tenant)
    .bind(from)
    .bind(PAGE)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<Batch, StoreError> {
    let fixed = |name: &'static str, bytes: Vec<u8>| {
        let source = format!("{name} has {} bytes", bytes.len()).into();
        move || {
            StoreError::Unavailable(sqlx::Error::ColumnDecode {
                index: name.to_owned(),
                source,
            })
        }
    };
    let id: Vec<u8> = row.try_get("batch_id")?;
    let root: Vec<u8> = row.try_get("root")?;
    Ok(Batch {
        first_index: unsigned(row.try_get("first_index")?),
        count: unsigned(row.try_get("count")?),
        id: BatchId::from_bytes(id.as_slice().try_into().map_err(|_| fixed("batch_id", id.clone())())?),
        boot: unsigned(row.try_get("boot")?),
        epoch: unsigned(row.try_get("epoch")?),
        time: Timestamp::from_unix_micros(row.try_get("time_us")?),
        root: Hash::from_slice(&root).map_err(|_| fixed("root", root.clone())())?,
        range: row.try_get("range")?,
        entries: row.try_get("entries")?,
    })
}
