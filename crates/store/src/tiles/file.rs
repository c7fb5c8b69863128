//! The tiles' own database file.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use model::TenantName;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tlog::{
    Hash, leaf_hash,
    tile::{FullTile, Growing, TileId},
};

use crate::{
    StoreError,
    db::{BUSY, FileId},
    reader::{integer, unsigned},
};

/// The version of the schema; `schema.sql` ends with it. Another one in the file means that it is made again.
const VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");

/// The file of a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("tiles.db")
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

/// What is stored of one log.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) root: Hash,
    /// The edge, from which it grows.
    pub(super) growing: Growing,
}

/// The open file, for its one writer.
#[derive(Debug)]
pub(super) struct File {
    connection: SqliteConnection,
    path: PathBuf,
    file: FileId,
    pub(super) logs: BTreeMap<TenantName, Stored>,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

/// What was appended to a log's tiles.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) growing: Growing,
    pub(super) root: Hash,
    pub(super) full: Vec<FullTile>,
}

impl File {
    /// Opens the file, making it where there is none, or none of this version, or none that can be read.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        match Self::open_as_it_is(path).await {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {
                tracing::info!("the tiles are of another version or damaged: they are made again from the logs")
            }
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the tiles cannot be read: they are made again from the logs");
            }
            Err(error) => return Err(error),
        }
        remove(path)?;
        let made = Self::open_as_it_is(path).await?;
        made.ok_or_else(|| StoreError::File {
            path: path.to_owned(),
            source: io::Error::other("somebody else writes to this file"),
        })
    }

    /// `None` if it is of another version, or not what was written.
    async fn open_as_it_is(path: &Path) -> Result<Option<Self>, StoreError> {
        let options = options(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Nothing is signed that has no tiles, after a power cut too.
            .synchronous(SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut connection)
            .await?;
        if tables == 0 {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        let logs = match version(&mut connection).await? {
            VERSION => logs(&mut connection).await?,
            _ => None,
        };
        let Some(logs) = logs else {
            connection.close().await?;
            return Ok(None);
        };
        Ok(Some(Self {
            connection,
            path: path.to_owned(),
            file: FileId::of(path)?,
            logs,
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        }))
    }

    /// Whether the path still leads to the file that is open.
    pub(super) fn is_in_place(&self) -> bool {
        FileId::of(&self.path).is_ok_and(|file| file == self.file)
    }

    /// Closes the file; waits until its thread is gone.
    pub(super) async fn close(self) {
        // Nothing is relied on that is not committed.
        drop(self.connection.close().await);
    }

    /// Closes the file and deletes it.
    pub(super) async fn delete(self) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.close().await;
        remove(&path)
    }

    /// Stores what was appended to a log's tiles: all of it or nothing, durable when this returns. After an error it is
    /// not known which: the file is to be opened again.
    pub(super) async fn write(&mut self, tenant: &TenantName, page: Page) -> Result<(), StoreError> {
        let from = self.logs.get(tenant).map_or(0, |log| log.growing.size());
        #[cfg(test)]
        let fate = self.faults.before_commit()?;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        // Whoever wrote here meanwhile wrote for other tiles than those that this page goes on from.
        let moved: Option<(i64,)> = sqlx::query_as(
            "INSERT INTO log (tenant, size, root) VALUES ($1, $2, $3)
             ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, root = excluded.root WHERE log.size = $4
             RETURNING id",
        )
        .bind(tenant.as_str())
        .bind(integer(page.growing.size()))
        .bind(page.root.0.to_vec())
        .bind(integer(from))
        .fetch_optional(&mut *transaction)
        .await?;
        let elsewhere = || StoreError::Tiles("somebody else writes to tiles.db".to_owned());
        let (id,) = moved.ok_or_else(elsewhere)?;
        let full = page.full.into_iter().map(|tile| (tile.id, tile.bytes));
        for (tile, hashes) in full.chain(page.growing.edge()) {
            put(&mut transaction, id, tile, hashes).await?;
        }
        transaction.commit().await?;
        #[cfg(test)]
        super::faults::Faults::after_commit(fate)?;
        let Page { growing, root, .. } = page;
        self.logs.insert(tenant.clone(), Stored { root, growing });
        Ok(())
    }
}

async fn put(connection: &mut SqliteConnection, log: i64, tile: TileId, hashes: Vec<u8>) -> Result<(), StoreError> {
    let digest = leaf_hash(&hashes);
    sqlx::query(
        "INSERT INTO tile (log, level, place, hashes, digest) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (log, level, place) DO UPDATE SET hashes = excluded.hashes, digest = excluded.digest",
    )
    .bind(log)
    .bind(i64::from(tile.level()))
    .bind(integer(tile.index()))
    .bind(hashes)
    .bind(digest.0.to_vec())
    .execute(connection)
    .await?;
    Ok(())
}

/// A connection that only reads. `None` where there is no file, or one of another version.
pub(super) async fn open_to_read(path: &Path) -> Result<Option<SqliteConnection>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut connection = SqliteConnection::connect_with(&options(path).read_only(true)).await?;
    let current = version(&mut connection).await? == VERSION;
    Ok(current.then_some(connection))
}

/// A tile of a log, or its beginning if it is wider by now. `None` if it is not there, or not all of it.
pub(super) async fn tile(
    connection: &mut SqliteConnection,
    tenant: &TenantName,
    tile: TileId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT hashes, digest FROM tile JOIN log ON log.id = tile.log
         WHERE tenant = $1 AND level = $2 AND place = $3",
    )
    .bind(tenant.as_str())
    .bind(i64::from(tile.level()))
    .bind(integer(tile.index()))
    .fetch_optional(connection)
    .await?;
    let Some((mut hashes, digest)) = row else {
        return Ok(None);
    };
    if digest != leaf_hash(&hashes).0 {
        return Err(StoreError::Tiles(format!("{tile} was changed in tiles.db")));
    }
    let whole = hashes.len() >= tile.bytes();
    hashes.truncate(tile.bytes());
    Ok(whole.then_some(hashes))
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await?)
}

/// The logs with their edges. `None` if an edge does not have the root that was stored with it.
async fn logs(connection: &mut SqliteConnection) -> Result<Option<BTreeMap<TenantName, Stored>>, StoreError> {
    let rows: Vec<(String, i64, Vec<u8>)> = sqlx::query_as("SELECT tenant, size, root FROM log")
        .fetch_all(&mut *connection)
        .await?;
    let mut logs = BTreeMap::new();
    for (tenant, size, root) in rows {
        let (tenant, size) = (TenantName::new(&tenant)?, unsigned(size));
        let mut edge = Vec::new();
        for place in Growing::edge_of(size) {
            match tile(connection, &tenant, place).await {
                Ok(hashes) => edge.push(hashes.unwrap_or_default()),
                Err(StoreError::Tiles(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Ok(growing) = Growing::resume(size, edge) else {
            return Ok(None);
        };
        let root = Hash::from_slice(&root).unwrap_or(Hash([0; 32]));
        if growing.root() != root {
            return Ok(None);
        }
        logs.insert(tenant, Stored { root, growing });
    }
    Ok(Some(logs))
}

fn remove(path: &Path) -> Result<(), StoreError> {
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
