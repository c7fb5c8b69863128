//! What the signer makes durable, step by step. Tests put faults in the way of each.

use std::path::Path;

use entry::Evidence;
use model::TenantName;
use store::{DataDir, Handle, Reader, StoreError, Tiles};
use tlog::Hash;

use super::GuardFile;

/// The steps of a checkpoint, in this order. Each is durable when it returns without an error; with one it may or may not
/// have landed.
pub trait Steps: Sync {
    /// Brings the tiles up to the first `size` entries that are stored, and gives the root of these.
    fn tiles(&self, tenant: &TenantName, size: u64) -> impl Future<Output = Result<Hash, StoreError>> + Send;

    /// Replaces the guard file.
    fn guard(&self, file: &GuardFile, note: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps a checkpoint by which those who know an older key go on to a newer one, unless one is kept already.
    fn handover(&self, path: &Path, note: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether a checkpoint of a log was kept in the database.
    fn was_signed(&self, tenant: &TenantName) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// How long a log is, and what it says of its keys.
    fn said(&self, tenant: &TenantName) -> impl Future<Output = Result<(u64, Evidence), StoreError>> + Send;

    /// Keeps the checkpoint in the database, from where it is published.
    fn save(&self, tenant: &TenantName, size: u64, note: String)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Has the committer check all that is stored.
    fn suspect(&self);

    /// Lets go of files.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// The steps as a server takes them.
#[derive(Debug)]
pub struct Durable {
    tiles: Tiles,
    reader: Reader,
    committer: Handle,
}

impl Durable {
    /// Of a server whose logs these are.
    pub fn new(tiles: Tiles, reader: Reader, committer: Handle) -> Self {
        Self {
            tiles,
            reader,
            committer,
        }
    }
}

impl Steps for Durable {
    async fn tiles(&self, tenant: &TenantName, size: u64) -> Result<Hash, StoreError> {
        self.tiles.catch_up(tenant, size).await
    }

    async fn guard(&self, file: &GuardFile, note: &str) -> Result<(), StoreError> {
        let bytes = note.as_bytes().to_vec();
        aside(file.path(), move |path| DataDir::replace_at(path, &bytes)).await
    }

    async fn handover(&self, path: &Path, note: &str) -> Result<(), StoreError> {
        let bytes = note.as_bytes().to_vec();
        let keep = move |path: &Path| {
            if path.exists() {
                return Ok(());
            }
            path.parent().map_or(Ok(()), DataDir::make_at)?;
            DataDir::replace_at(path, &bytes)
        };
        aside(path, keep).await
    }

    async fn was_signed(&self, tenant: &TenantName) -> Result<bool, StoreError> {
        Ok(self.reader.checkpoint(tenant).await?.is_some())
    }

    async fn said(&self, tenant: &TenantName) -> Result<(u64, Evidence), StoreError> {
        let view = self.committer.view(tenant.clone()).await;
        let view = view.map_err(|_| StoreError::Down)?;
        Ok((view.size, view.evidence))
    }

    async fn save(&self, tenant: &TenantName, size: u64, note: String) -> Result<(), StoreError> {
        self.committer.save_checkpoint(tenant.clone(), size, note).await
    }

    fn suspect(&self) {
        self.reader.suspect();
    }

    async fn close(&self) {
        self.tiles.close().await;
    }
}

/// Has a file written where waiting keeps nobody.
async fn aside(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let owned = path.to_owned();
    let written = tokio::task::spawn_blocking(move || work(&owned)).await;
    written.map_err(|error| StoreError::File {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })?
}
