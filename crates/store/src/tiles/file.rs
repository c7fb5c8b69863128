//! The tiles' own database file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use model::TenantName;
use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tlog::{
    Hash, leaf_hash,
    tile::{FullTile, Growing, TileId},
};

use crate::{
    StoreError,
    derived::{self, DerivedFile, Schema, options, version},
    reader::{integer, unsigned},
};

const SCHEMA: Schema = Schema {
    sql: include_str!("schema.sql"),
    version: 1,
};

/// The file of a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("tiles.db")
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
    file: DerivedFile,
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
        derived::open_or_make(path, "the tiles", Self::open_as_it_is).await
    }

    /// `None` if it is of another version, or not what was written.
    async fn open_as_it_is(path: &Path) -> Result<Option<Self>, StoreError> {
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            // Nothing is signed that has no tiles, after a power cut too.
            .synchronous(SqliteSynchronous::Full);
        let Some(mut file) = DerivedFile::open(path, options, &SCHEMA).await? else {
            return Ok(None);
        };
        let Some(logs) = logs(&mut file.connection).await? else {
            file.close().await;
            return Ok(None);
        };
        Ok(Some(Self {
            file,
            logs,
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        }))
    }

    /// Whether the path still leads to the file that is open.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }

    /// Closes the file; waits until its thread is gone.
    pub(super) async fn close(self) {
        self.file.close().await;
    }

    /// Closes the file and deletes it.
    pub(super) async fn delete(self) -> Result<(), StoreError> {
        self.file.delete().await
    }

    /// Stores what was appended to a log's tiles: all of it or nothing, durable when this returns. After an error it is
    /// not known which: the file is to be opened again.
    pub(super) async fn write(&mut self, tenant: &TenantName, page: Page) -> Result<(), StoreError> {
        let from = self.logs.get(tenant).map_or(0, |log| log.growing.size());
        #[cfg(test)]
        let fate = self.faults.before_commit()?;
        let mut transaction = self.file.connection.begin_with("BEGIN IMMEDIATE").await?;
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
    let current = version(&mut connection).await? == SCHEMA.version;
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
