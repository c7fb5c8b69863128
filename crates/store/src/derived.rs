//! A database file that is made from the logs, and can be made again from them at any time: the projection's and the tiles'.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    StoreError,
    db::{BUSY, FileId},
};

/// What is to be in such a file.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The statements; they end with `PRAGMA user_version`.
    pub(crate) sql: &'static str,
    /// The version that they end with. Another one in the file means that it is made again.
    pub(crate) version: i64,
}

/// The open file, for its one writer.
#[derive(Debug)]
pub(crate) struct DerivedFile {
    pub(crate) connection: SqliteConnection,
    path: PathBuf,
    file: FileId,
}

/// How the file is opened, by whoever reads or writes it.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

impl DerivedFile {
    /// Opens the file, and puts the schema into one that is empty. `None` if it is of another version.
    pub(crate) async fn open(
        path: &Path,
        options: SqliteConnectOptions,
        schema: &Schema,
    ) -> Result<Option<Self>, StoreError> {
        // SQLite itself throws a write-ahead log away whose database was deleted.
        let mut connection = SqliteConnection::connect_with(&options.create_if_missing(true)).await?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut connection)
            .await?;
        if tables == 0 {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql(schema.sql).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        if version(&mut connection).await? != schema.version {
            connection.close().await?;
            return Ok(None);
        }
        Ok(Some(Self {
            connection,
            path: path.to_owned(),
            file: FileId::of(path)?,
        }))
    }

    /// Whether the path still leads to the file that is open.
    pub(crate) fn is_in_place(&self) -> bool {
        FileId::of(&self.path).is_ok_and(|file| file == self.file)
    }

    /// Closes the file; waits until its thread is gone.
    pub(crate) async fn close(self) {
        // Nothing is relied on that is not committed.
        drop(self.connection.close().await);
    }

    /// Closes the file and deletes it.
    pub(crate) async fn delete(self) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.close().await;
        remove(&path)
    }
}

/// Opens a file by `open`, making it again where that finds another version (`None`) or damage. `what` it is stands in log
/// lines.
pub(crate) async fn open_or_make<T>(
    path: &Path,
    what: &str,
    open: impl AsyncFn(&Path) -> Result<Option<T>, StoreError>,
) -> Result<T, StoreError> {
    match open(path).await {
        Ok(Some(file)) => return Ok(file),
        Ok(None) => tracing::info!("{what} of another version or damaged: made again from the logs"),
        Err(error) if error.is_damage() => tracing::warn!(%error, "{what} cannot be read: made again from the logs"),
        Err(error) => return Err(error),
    }
    remove(path)?;
    open(path).await?.ok_or_else(|| StoreError::File {
        path: path.to_owned(),
        source: io::Error::other("somebody else writes to this file"),
    })
}

/// The version of the schema that is in a file.
pub(crate) async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await?)
}

/// Deletes the file with what SQLite keeps beside it, as far as that is there.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let name = PathBuf::from(name);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::file(name)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The logs go before: what is kept for them is not written to while the disk has less room than the reserve, in bytes. Says
/// what is missing, if something is.
pub(crate) fn lacks_room(path: &Path, reserve: u64) -> Option<String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // Whether the directory can be used is found out by the next write.
    let found = rustix::fs::statvfs(dir).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    (free < reserve).then(|| {
        format!(
            "the disk of the data directory has {} MiB left, less than the reserve of {} MiB ([audit] reserve): make room",
            free >> 20,
            reserve >> 20
        )
    })
}
