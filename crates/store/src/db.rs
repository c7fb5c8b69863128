//! The writing side of the database: one connection.

use std::{
    borrow::Cow,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::{Pseudonym, TenantName};
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Notify;

use crate::{
    Batch, DataDir, Reader, Snapshot, StoreError,
    entity::RowChanges,
    packing,
    reader::{self, integer},
};

mod entity;
#[cfg(test)]
pub(crate) mod faults;
pub(crate) mod retention;

/// How long a statement waits for another process that writes to the file: a backup, a shell.
pub(crate) const BUSY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });
/// After how many pages of 4 KiB the write-ahead log is folded into the database file, by the commit that gets there: it
/// waits for three more syncs. With SQLite's own 1,000 that was every fiftieth commit of 64 calls. With more pages fewer
/// commits wait, but each for longer: 16 MiB are copied at once.
const CHECKPOINT_PAGES: u32 = 4_096;
/// How long closing waits for readers that have not finished a page.
const READERS_LEAVE: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2_000 });
/// The least that must be writable before the disk is trusted again after a failed write, in bytes.
const PROBE: u64 = 64 * 1_024;

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![
        migration(1, "log", include_str!("../migrations/0001_log.sql")),
        migration(2, "entity", include_str!("../migrations/0002_entity.sql")),
        migration(3, "snapshot", include_str!("../migrations/0003_snapshot.sql")),
        migration(4, "packing", include_str!("../migrations/0004_packing.sql")),
    ])
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
    path: PathBuf,
    /// The file that was opened.
    file: FileId,
    #[cfg(test)]
    faults: faults::Faults,
}

impl Store {
    /// Opens the database of a data directory, making it or bringing it to this program's schema.
    pub async fn open(dir: &DataDir) -> Result<Self, StoreError> {
        let path = DataDir::database(dir.path());
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            // An answered request must survive a power cut: FULL syncs the write-ahead log at each commit.
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
            // What a page had before it was divided must not be found in it after the entries were let go.
            .pragma("secure_delete", "FAST")
            .busy_timeout(BUSY)
            // What is slow is told by the committer, once.
            .disable_statement_logging();
        #[cfg(test)]
        let (faults, options) = faults::Faults::attach(options);
        let mut connection = SqliteConnection::connect_with(&options.clone().create_if_missing(true)).await?;
        migrator().run(&mut connection).await.map_err(|error| match error {
            // The disk is the trouble, not the schema.
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => StoreError::Unavailable(error),
            error => StoreError::Migration(error),
        })?;
        let reader = Reader::open(dir.path()).await?;
        let file = FileId::of(&path)?;
        Ok(Self {
            options,
            connection,
            reader,
            path,
            file,
            #[cfg(test)]
            faults,
        })
    }

    /// Told when a reader finds damage.
    pub(crate) fn suspicion(&self) -> Arc<Notify> {
        self.reader.suspicion()
    }

    /// How many bytes of the data directory's disk this process may still use.
    pub(crate) fn free(&self) -> Result<u64, StoreError> {
        #[cfg(test)]
        if let Some(free) = self.faults.free() {
            return Ok(free);
        }
        let found = rustix::fs::statvfs(&self.path).map_err(|error| StoreError::File {
            path: self.path.clone(),
            source: error.into(),
        })?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// The reading side.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Drops the connection, whatever state an error left it in, and opens a new one. Never makes a database: a new one
    /// would be an empty log.
    pub(crate) async fn reopen(&mut self) -> Result<(), StoreError> {
        self.check_in_place()?;
        let fresh = SqliteConnection::connect_with(&self.options).await?;
        let broken = std::mem::replace(&mut self.connection, fresh);
        // Waits until its thread is gone, so that nothing it had begun can land after the log was read again. What
        // closing says no longer matters: nothing of that connection is relied on.
        drop(broken.close().await);
        Ok(())
    }

    /// Refuses to go on where the directory was moved, removed or replaced: writing to a file that no path leads to
    /// succeeds, and is lost with the process.
    fn check_in_place(&self) -> Result<(), StoreError> {
        if FileId::of(&self.path)? == self.file {
            return Ok(());
        }
        Err(StoreError::File {
            path: self.path.clone(),
            source: io::Error::other("this is another file than the one that was opened"),
        })
    }

    /// Appends one batch to each of the tenants, makes the changes of entities that their entries say, and keeps the
    /// snapshots that they name: all or none, durable when this returns.
    pub(crate) async fn append(
        &mut self,
        batches: Vec<(TenantName, Batch)>,
        rows: Vec<RowChanges>,
        snapshots: Vec<(TenantName, Snapshot)>,
    ) -> Result<(), StoreError> {
        self.check_in_place()?;
        #[cfg(test)]
        self.faults.before_append(&mut self.connection).await?;
        self.insert(batches, rows, snapshots).await?;
        #[cfg(test)]
        self.faults.after_append().await?;
        Ok(())
    }

    async fn insert(
        &mut self,
        batches: Vec<(TenantName, Batch)>,
        rows: Vec<RowChanges>,
        snapshots: Vec<(TenantName, Snapshot)>,
    ) -> Result<(), StoreError> {
        let one = batches.len() == 1 && rows.is_empty() && snapshots.is_empty();
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
        for rows in rows {
            entity::change(&mut transaction, rows).await?;
        }
        for (tenant, snapshot) in snapshots {
            retention::insert(&mut transaction, &tenant, snapshot).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Finds out whether the disk takes as much as the write that failed, and then gives the room back.
    pub(crate) async fn probe(&mut self, bytes: u64) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.before_probe(&mut self.connection).await?;
        sqlx::query(
            "INSERT INTO probe (id, filler) VALUES (1, zeroblob($1))
             ON CONFLICT (id) DO UPDATE SET filler = excluded.filler",
        )
        .bind(integer(bytes.max(PROBE)))
        .execute(&mut self.connection)
        .await?;
        sqlx::query("UPDATE probe SET filler = zeroblob(0)")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// The tenants that have a log, as this connection sees it.
    pub(crate) async fn tenants(&mut self) -> Result<Vec<TenantName>, StoreError> {
        reader::tenants(&mut self.connection).await
    }

    /// Some of the batches from entry `from` on, as this connection sees them; none if there are none.
    pub(crate) async fn page(&mut self, tenant: &TenantName, from: u64) -> Result<Vec<Batch>, StoreError> {
        reader::page(&mut self.connection, tenant, from).await
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
        // From here on nobody gets a reader. One whose caller does not go on reading must not keep the server from
        // stopping: then the write-ahead log stays, and is read at the next start.
        if tokio::time::timeout(READERS_LEAVE, self.reader.close()).await.is_err() {
            tracing::warn!("closing the database although somebody is still reading from it");
        }
        self.connection.close().await?;
        Ok(())
    }

    /// Where tests order faults.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> faults::Faults {
        self.faults.clone()
    }
}

/// What tells one file from another, whatever its path: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    pub(crate) fn of(path: &Path) -> Result<Self, StoreError> {
        let found = fs::metadata(path).map_err(StoreError::file(path))?;
        Ok(Self(found.dev(), found.ino()))
    }
}

async fn insert(connection: &mut SqliteConnection, tenant: &TenantName, batch: Batch) -> Result<(), StoreError> {
    let (form, entries) = packing::pack(batch.entries);
    sqlx::query(
        "INSERT INTO batch (tenant, first_index, count, batch_id, boot, epoch, time_us, root, range, entries, form)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
    .bind(entries)
    .bind(form.number())
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
