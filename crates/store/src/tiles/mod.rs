//! The hash tiles of the logs, in a file of their own (`tiles.db`) that can be deleted at any time: it is made again from
//! the logs. Nothing here is on the committer's way.
//!
//! [`Tiles::catch_up`] reads the stored entries behind a cursor, hashes them anew and keeps the tiles: so the root that it
//! gives says what is *stored*, and whoever signs compares it with what the committer has in memory. [`Tiles::tile`] and
//! [`Tiles::bundle`] give what a log publishes. Memory is bounded by one page of the log.

#[cfg(test)]
mod faults;
mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use model::TenantName;
use sqlx::{Connection as _, SqliteConnection};
use tlog::{
    Hash, Stored,
    bundle::{self, BundleId},
    kept,
    proof::verify_extension,
    tile::{Growing, Plan, ReadError, TileId},
};
use tokio::sync::{Mutex, Semaphore};

use crate::{Batch, BatchError, Reader, StoreError, derived::lacks_room};
use file::{File, Page};

/// A bundle of entries, as far as they are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// All of them, each behind its length.
    Whole(Vec<u8>),
    /// Some were let go.
    Pruned {
        /// How many.
        gone: usize,
        /// All of them, as [`tlog::kept`] has them.
        kept: Vec<u8>,
    },
}

impl Bundle {
    /// Of these entries. They are stored, so none is too long.
    fn of(entries: &[Stored<Vec<u8>>]) -> Self {
        let (mut whole, mut all) = (Vec::new(), Vec::new());
        let mut gone = 0;
        for entry in entries {
            match entry.bytes() {
                Some(bytes) => _ = bundle::push(&mut whole, bytes),
                None => gone += 1,
            }
            _ = kept::push(&mut all, entry);
        }
        match gone {
            0 => Self::Whole(whole),
            gone => Self::Pruned { gone, kept: all },
        }
    }
}

/// The tiles of a data directory. Cheap to clone. Nothing is opened before it is used.
#[derive(Clone, Debug)]
pub struct Tiles {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    reader: Reader,
    /// Free bytes of the disk that are kept for the log.
    reserve: u64,
    /// The writing side. Held for a page at a time.
    file: Mutex<Option<File>>,
    reading: Mutex<Option<SqliteConnection>>,
    /// Who makes tiles again that somebody asked for: one at a time, however many ask.
    making: Arc<Semaphore>,
    #[cfg(test)]
    faults: faults::Faults,
}

impl Tiles {
    /// The tiles of the data directory whose logs the reader reads. When fewer than `reserve` bytes of the disk are free,
    /// a log that is far behind is not caught up with.
    pub fn new(dir: &Path, reader: Reader, reserve: u64) -> Self {
        let inner = Inner {
            path: file::path(dir),
            reader,
            reserve,
            file: Mutex::default(),
            reading: Mutex::default(),
            making: Arc::new(Semaphore::new(1)),
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Brings the tiles up to the first `size` entries of a tenant's log, from the bytes that are stored, durably; and
    /// gives the root of these. One caller does the work at a time.
    ///
    /// # Errors
    /// When the log or `tiles.db` cannot be read or written, and with [`StoreError::Corrupt`] when what is stored does not
    /// fit together: then the committer is told too. What was done before is kept.
    pub async fn catch_up(&self, tenant: &TenantName, size: u64) -> Result<Hash, StoreError> {
        let caught = self.inner.catch_up(tenant, size).await;
        caught.inspect_err(|error| {
            if matches!(error, StoreError::Corrupt { .. }) {
                self.inner.reader.suspect();
            }
        })
    }

    /// A tile, of any width up to what is there. `None` if it is not there. A file that is damaged or gone is made
    /// again first, as far as the log is `published`: in a task of its own, so that a caller that leaves breaks nothing off.
    ///
    /// # Errors
    /// As [`catch_up`](Self::catch_up).
    pub async fn tile(&self, tenant: &TenantName, tile: TileId, published: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.inner.read(tenant, tile).await {
            Ok(Some(hashes)) => return Ok(Some(hashes)),
            Ok(None) if !tile.is_covered_by(published) => return Ok(None),
            // What is the matter is found again by whoever makes it, if nobody has mended it until then.
            Ok(None) | Err(_) => {}
        }
        let failed = |error: &dyn std::error::Error| StoreError::Tiles(error.to_string());
        let turn = self.inner.making.clone().acquire_owned().await;
        let turn = turn.map_err(|error| failed(&error))?;
        let (this, tenant) = (self.clone(), tenant.clone());
        let made = tokio::spawn(async move {
            let made = this.make(&tenant, tile, published).await;
            drop(turn);
            made
        });
        made.await.map_err(|error| failed(&error))?
    }

    /// The tile, from a file that is made again where it has to be.
    async fn make(&self, tenant: &TenantName, tile: TileId, published: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.inner.read(tenant, tile).await {
            Ok(Some(hashes)) => return Ok(Some(hashes)),
            Ok(None) => {}
            Err(error) => self.inner.forget(error).await?,
        }
        self.catch_up(tenant, published).await?;
        if let Some(hashes) = self.inner.read(tenant, tile).await? {
            return Ok(Some(hashes));
        }
        let missing = StoreError::Tiles(format!("{tile} is missing in tiles.db"));
        self.inner.forget(missing).await?;
        self.catch_up(tenant, published).await?;
        self.inner.read(tenant, tile).await
    }

    /// A bundle of entries, read from the log. `None` if the log does not have all of them.
    ///
    /// # Errors
    /// As [`catch_up`](Self::catch_up): entries that do not have the hashes of their tile are not given out.
    pub async fn bundle(
        &self,
        tenant: &TenantName,
        id: BundleId,
        published: u64,
    ) -> Result<Option<Bundle>, StoreError> {
        let (Some(first), Some(tile)) = (id.first(), id.hashes()) else {
            return Ok(None);
        };
        let Some(entries) = self.inner.reader.bundle(tenant, first, u64::from(id.width())).await? else {
            return Ok(None);
        };
        let Some(hashes) = self.tile(tenant, tile, published).await? else {
            return Ok(None);
        };
        let found: Vec<u8> = entries.iter().flat_map(|entry| entry.leaf().0).collect();
        if found == hashes {
            return Ok(Some(Bundle::of(&entries)));
        }
        self.inner.reader.suspect();
        let last = first.saturating_add(u64::from(id.width())).saturating_sub(1);
        Err(corrupt(tenant, BatchError::Root(last)))
    }

    /// The hashes of a proof about the first `size` entries, if the tiles are there. Makes nothing: for a program beside
    /// the server, which has [`Reader`] to fall back on.
    ///
    /// # Errors
    /// When `tiles.db` cannot be read, or is damaged.
    pub async fn proof(&self, tenant: &TenantName, plan: &Plan) -> Result<Option<Vec<Hash>>, StoreError> {
        let mut tiles = std::collections::BTreeMap::new();
        for tile in plan.tiles() {
            let Some(hashes) = self.inner.read(tenant, tile).await? else {
                return Ok(None);
            };
            tiles.insert(tile, hashes);
        }
        let read: Result<_, ReadError<()>> = plan.read(|tile| tiles.remove(&tile).ok_or(()));
        Ok(read.ok())
    }

    /// The proof that the first `new` entries of a log go on from its first `old`. It holds: tiles that give one that does
    /// not are made again.
    ///
    /// # Errors
    /// As [`catch_up`](Self::catch_up), and when there are no such sizes.
    pub async fn consistency(&self, tenant: &TenantName, old: u64, new: u64) -> Result<Vec<Hash>, StoreError> {
        let missing = || StoreError::Tiles(format!("no proof from {old} to {new} entries can be made of tiles.db"));
        let plan = Plan::consistency(old, new).ok_or_else(missing)?;
        for last in [false, true] {
            let new_root = self.catch_up(tenant, new).await?;
            let old_root = match old {
                0 => Growing::new().root(),
                old => self.catch_up(tenant, old).await?,
            };
            let found = match self.proof(tenant, &plan).await {
                Ok(Some(hashes)) => match verify_extension(old, new, old_root, new_root, &hashes) {
                    Ok(()) => return Ok(hashes),
                    Err(_) => missing(),
                },
                Ok(None) => missing(),
                Err(error) => error,
            };
            if last {
                return Err(found);
            }
            self.inner.forget(found).await?;
        }
        Err(missing())
    }

    /// Lets go of the file. What was written is durable already.
    pub async fn close(&self) {
        // Only who may write folds the write-ahead log into the file, and only as the last to close it.
        if let Some(reading) = self.inner.reading.lock().await.take() {
            drop(reading.close().await);
        }
        if let Some(file) = self.inner.file.lock().await.take() {
            file.close().await;
        }
    }

    #[cfg(test)]
    fn faults(&self) -> &faults::Faults {
        &self.inner.faults
    }
}

impl Inner {
    async fn catch_up(&self, tenant: &TenantName, size: u64) -> Result<Hash, StoreError> {
        // Batches end at sizes that were signed once, and what is made again is as long as it was.
        let (mut first, mut upto) = (true, size);
        loop {
            let mut slot = self.file.lock().await;
            let file = match slot.take().filter(File::is_in_place) {
                Some(file) => file,
                None => self.open().await?,
            };
            let (had, root) = match file.logs.get(tenant) {
                Some(log) => (log.growing.size(), log.root),
                None => (0, Growing::new().root()),
            };
            if had >= upto {
                *slot = Some(file);
                drop(slot);
                if had == size {
                    return Ok(root);
                }
                match self.root(tenant, size).await {
                    Ok(root) => return Ok(root),
                    Err(error) if upto > size => return Err(error),
                    Err(error) => self.forget(error).await?,
                }
                upto = had;
                continue;
            }
            if !first {
                self.check_room()?;
            }
            first = false;
            // Not put back after an error: what is stored is read again then.
            let file = self.page(tenant, upto, file).await?;
            *slot = Some(file);
        }
    }

    /// Appends one page of the log.
    async fn page(&self, tenant: &TenantName, size: u64, mut file: File) -> Result<File, StoreError> {
        let mut growing = file.logs.get(tenant).map(|log| log.growing.clone()).unwrap_or_default();
        let mut page = self.reader.page(tenant, growing.size()).await?;
        // The log may have gone on; batches end where heads are.
        page.retain(|batch| batch.first_index.saturating_add(batch.count) <= size);
        if page.is_empty() {
            let expected = growing.size();
            return Err(corrupt(tenant, BatchError::Gap { expected, found: size }));
        }
        let hashed = tokio::task::spawn_blocking(move || {
            let mut full = Vec::new();
            let root = append(&mut growing, &page, |tile| full.push(tile))?;
            Ok(Page { growing, root, full })
        });
        let hashed = hashed.await.map_err(|error| StoreError::Tiles(error.to_string()))?;
        let page = hashed.map_err(|source| corrupt(tenant, source))?;
        file.write(tenant, page).await?;
        Ok(file)
    }

    /// Opens the file and checks that it is of these logs; else it is made again.
    async fn open(&self) -> Result<File, StoreError> {
        // A reader of a file that was deleted would go on reading that one.
        drop(self.reading.lock().await.take());
        let mut file = File::open(&self.path).await?;
        for (tenant, log) in &file.logs {
            if self.reader.root_at(tenant, log.growing.size()).await? != Some(log.root) {
                tracing::warn!(
                    "the tiles are of another log, such as before a restore: they are made again from the logs"
                );
                file.delete().await?;
                file = File::open(&self.path).await?;
                break;
            }
        }
        #[cfg(test)]
        {
            file.faults = self.faults.clone();
        }
        Ok(file)
    }

    /// Deletes the file if the error says that it is damaged.
    async fn forget(&self, error: StoreError) -> Result<(), StoreError> {
        if !error.is_damage() && !matches!(error, StoreError::Tiles(_)) {
            return Err(error);
        }
        tracing::warn!(%error, "the tiles are damaged: they are made again from the logs");
        let mut slot = self.file.lock().await;
        let file = match slot.take() {
            Some(file) => file,
            None => File::open(&self.path).await?,
        };
        file.delete().await
    }

    async fn read(&self, tenant: &TenantName, tile: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let mut reading = self.reading.lock().await;
        if reading.is_none() {
            *reading = file::open_to_read(&self.path).await?;
        }
        let Some(connection) = reading.as_mut() else {
            return Ok(None);
        };
        let read = file::tile(connection, tenant, tile).await;
        if !matches!(read, Ok(Some(_))) {
            // It may be another file by now.
            *reading = None;
        }
        read
    }

    /// The root of an earlier size.
    async fn root(&self, tenant: &TenantName, size: u64) -> Result<Hash, StoreError> {
        let plan = Plan::root(size);
        let mut tiles = std::collections::BTreeMap::new();
        for tile in plan.tiles() {
            let hashes = self.read(tenant, tile).await?;
            tiles.insert(tile, hashes.unwrap_or_default());
        }
        let read: Result<_, ReadError<()>> = plan.read(|tile| tiles.remove(&tile).ok_or(()));
        let root = read.ok().and_then(|hashes| hashes.first().copied());
        root.ok_or_else(|| StoreError::Tiles("tiles are missing in tiles.db".to_owned()))
    }

    /// The log goes before: what is kept for it is not written to, but for the few tiles that every checkpoint has.
    fn check_room(&self) -> Result<(), StoreError> {
        let lacking = lacks_room(&self.path, self.reserve);
        lacking.map_or(Ok(()), |why| Err(StoreError::Tiles(why)))
    }
}

/// Appends the entries of batches to the tiles, and gives the root after them, which is that of the last batch.
///
/// Only the tree after the last of them is checked here. Whether entries make sense, and each stored head, is the
/// business of whoever folds them.
///
/// # Errors
/// When the batches do not go on from the tiles, do not divide into entries, or do not have the root that is stored with
/// them.
pub fn append(
    growing: &mut Growing,
    batches: &[Batch],
    mut full: impl FnMut(tlog::tile::FullTile),
) -> Result<Hash, BatchError> {
    let mut stored = None;
    for batch in batches {
        if batch.first_index != growing.size() {
            return Err(BatchError::Gap {
                expected: growing.size(),
                found: batch.first_index,
            });
        }
        for entry in batch.entries()? {
            growing.append(entry.leaf(), &mut full);
        }
        stored = Some(batch.root);
    }
    let root = growing.root();
    match stored {
        Some(stored) if stored != root => Err(BatchError::Root(growing.size().saturating_sub(1))),
        _ => Ok(root),
    }
}

fn corrupt(tenant: &TenantName, source: BatchError) -> StoreError {
    let tenant = tenant.clone();
    StoreError::Corrupt { tenant, source }
}

#[cfg(test)]
mod tests;
