//! What the task needs of the rest: proofs, the log, and a place for what was cosigned.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use entry::Event;
use model::TenantName;
use store::{DataDir, Handle, StoreError};
use tlog::Hash;

/// What the task needs of the rest.
pub(super) trait Surroundings: Send + Sync {
    /// The proof that the first `new` entries of a log go on from its first `old`. It holds.
    fn proof(
        &self,
        tenant: &TenantName,
        old: u64,
        new: u64,
    ) -> impl Future<Output = Result<Vec<Hash>, StoreError>> + Send;

    /// What the log says of its witnesses.
    fn said(&self, tenant: &TenantName) -> impl Future<Output = Result<Said, String>> + Send;

    /// Records an event. When this returns an error it may be recorded all the same.
    fn record(&self, tenant: &TenantName, event: Event) -> impl Future<Output = Result<(), String>> + Send;

    /// Keeps a cosigned checkpoint durably.
    fn keep(&self, tenant: &TenantName, note: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a log says of its witnesses.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// Whether too few have signed.
    pub(super) missed: bool,
    /// Who has seen another history.
    pub(super) forks: BTreeSet<String>,
}

/// The directory of what witnesses have cosigned, below the data directory.
pub(super) const COSIGNED: &str = "cosigned";

/// Where the last checkpoint of a log is kept that enough witnesses have cosigned.
pub fn cosigned_file(data: &Path, tenant: &TenantName) -> PathBuf {
    data.join(COSIGNED).join(format!("{tenant}.checkpoint"))
}

/// The rest, as a server has it.
pub struct Server {
    /// The hash tiles, from which proofs are made.
    pub tiles: store::Tiles,
    /// Where it is recorded that witnesses are missing.
    pub committer: Handle,
    /// The data directory.
    pub data: PathBuf,
}

impl Surroundings for Server {
    async fn proof(&self, tenant: &TenantName, old: u64, new: u64) -> Result<Vec<Hash>, StoreError> {
        self.tiles.consistency(tenant, old, new).await
    }

    async fn said(&self, tenant: &TenantName) -> Result<Said, String> {
        let view = self.committer.view(tenant.clone()).await;
        let evidence = view.map_err(|error| error.to_string())?.evidence;
        Ok(Said {
            missed: evidence.quorum_missed.is_some(),
            forks: evidence.forks,
        })
    }

    async fn record(&self, tenant: &TenantName, event: Event) -> Result<(), String> {
        let changed = self.committer.change(tenant.clone(), vec![event]).await;
        changed.map(drop).map_err(|error| error.to_string())
    }

    async fn keep(&self, tenant: &TenantName, note: &str) -> Result<(), StoreError> {
        let (path, bytes) = (cosigned_file(&self.data, tenant), note.as_bytes().to_vec());
        let written = tokio::task::spawn_blocking(move || DataDir::replace_at(&path, &bytes)).await;
        written.unwrap_or_else(|error| Err(StoreError::Tiles(error.to_string())))
    }
}

/// What witnesses had cosigned is what is published. Where none are asked any more it would stand still, and is put aside.
pub(super) fn put_aside(data: &Path) -> Result<(), StoreError> {
    let (cosigned, aside) = (data.join(COSIGNED), data.join("cosigned.old"));
    if !cosigned.exists() {
        return Ok(());
    }
    tracing::info!(from = %cosigned.display(), to = %aside.display(), "no witnesses are declared any more");
    let failed = |source| StoreError::File {
        path: aside.clone(),
        source,
    };
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(failed)?;
    }
    std::fs::rename(&cosigned, &aside).map_err(failed)
}
