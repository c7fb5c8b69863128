//! Checkpoints: the signed statement of how long each log is and what its root is. Made off the hot path, of committed
//! heads only, and kept twice: in the database, and in a guard file apart from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt as _, pin_mut};
use model::TenantName;
use store::{DataDir, Handle, Head, Heads, Reader, StoreError};
use tlog::{
    checkpoint::{Checkpoint, Origin},
    note::{SigningKey, VerifierKey},
};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::StartError;

/// At most one checkpoint a tenant in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// Where the keys of a data directory's logs are.
#[derive(Clone, Debug)]
pub struct KeyFiles;

impl KeyFiles {
    fn seed(tenant: &TenantName) -> String {
        format!("keys/log.{tenant}.seed")
    }

    fn public(tenant: &TenantName) -> String {
        format!("keys/log.{tenant}.vkey")
    }
}

/// The public keys of all logs of a data directory, by tenant: what a verifier has to be given.
pub fn log_keys(data: &Path) -> std::io::Result<BTreeMap<TenantName, String>> {
    let mut keys = BTreeMap::new();
    for file in std::fs::read_dir(data.join("keys"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let tenant = name.strip_prefix("log.").and_then(|name| name.strip_suffix(".vkey"));
        if let Some(tenant) = tenant.and_then(|tenant| TenantName::new(tenant).ok()) {
            keys.insert(tenant, std::fs::read_to_string(file.path())?.trim().to_owned());
        }
    }
    Ok(keys)
}

/// The file that remembers the last signed checkpoint of a tenant apart from the database, so that an old database put
/// in the place of a newer one shows.
#[derive(Clone, Debug)]
pub struct GuardFile(PathBuf);

impl GuardFile {
    /// The guard file of a tenant below the guard directory.
    pub fn new(directory: &Path, tenant: &TenantName) -> Self {
        Self(directory.join(format!("{tenant}.checkpoint")))
    }

    /// The checkpoint in it, as note text.
    pub fn read(&self) -> Result<Option<String>, StoreError> {
        match std::fs::read_to_string(&self.0) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File {
                path: self.0.clone(),
                source,
            }),
        }
    }
}

/// Refuses to make a key anew beside a log that was made with another: that would break what the log says without a word.
pub(crate) fn expect_key(dir: &DataDir, name: &str, was_used: bool) -> Result<(), StartError> {
    let path = dir.path().join(name);
    if was_used && !path.exists() {
        Err(StartError::LostKey(path))
    } else {
        Ok(())
    }
}

/// Signs for all tenants of a data directory.
#[derive(Debug)]
pub(crate) struct Signer {
    trust_domain: String,
    guards: PathBuf,
    keys: BTreeMap<TenantName, SigningKey>,
}

impl Signer {
    pub(crate) fn new(trust_domain: String, guards: PathBuf) -> Self {
        Self {
            trust_domain,
            guards,
            keys: BTreeMap::new(),
        }
    }

    /// Reads a tenant's key, making it the first time, and writes its public half beside it.
    pub(crate) fn prepare(
        &mut self,
        dir: &DataDir,
        tenant: &TenantName,
        signed: bool,
        random: impl FnOnce() -> Zeroizing<[u8; 32]>,
    ) -> Result<(), StartError> {
        expect_key(dir, &KeyFiles::seed(tenant), signed)?;
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes).into_bytes();
        let text = Zeroizing::new(dir.read_or_create(&KeyFiles::seed(tenant), || hex(random().as_slice()))?);
        let seed = data_encoding::HEXLOWER
            .decode(text.trim_ascii())
            .ok()
            .map(Zeroizing::new);
        let seed = seed
            .and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok())
            .map(Zeroizing::new);
        let unreadable = || StartError::Key(dir.path().join(KeyFiles::seed(tenant)));
        // A key is bound to its log's name, so that it cannot vouch for another log.
        let name = format!("{}/{tenant}", self.trust_domain);
        let seed = seed.ok_or_else(unreadable)?;
        let key = SigningKey::from_seed(&name, &seed).map_err(|_| unreadable())?;
        dir.replace(&KeyFiles::public(tenant), format!("{}\n", key.verifier()).as_bytes())?;
        self.keys.insert(tenant.clone(), key);
        Ok(())
    }

    pub(crate) fn verifier(&self, tenant: &TenantName) -> Option<&VerifierKey> {
        self.keys.get(tenant).map(SigningKey::verifier)
    }

    /// Refuses a database that is older than, or differs from, the checkpoint its guard file remembers.
    pub(crate) async fn check_guard(&self, reader: &Reader, tenant: &TenantName) -> Result<(), StartError> {
        let Some(note) = GuardFile::new(&self.guards, tenant).read()? else {
            return Ok(());
        };
        let Some(verifier) = self.verifier(tenant) else {
            return Ok(());
        };
        let differs = |why: String| StartError::Guard {
            tenant: tenant.clone(),
            why,
        };
        let guarded = Checkpoint::open(&note, std::slice::from_ref(verifier))
            .map_err(|error| differs(format!("the guard file cannot be read: {error}")))?;
        let size = reader.size(tenant).await?;
        if size < guarded.size {
            return Err(differs(format!(
                "the database has {size} entries, but {} were signed: an older copy was put in its place",
                guarded.size
            )));
        }
        // Checkpoints are of committed heads, so a batch ends where one was signed.
        let batches = reader.batches(tenant, guarded.size.saturating_sub(1));
        pin_mut!(batches);
        let batch = batches.next().await.transpose()?;
        let same = batch.is_some_and(|batch| {
            batch.first_index.saturating_add(batch.count) == guarded.size && batch.root == guarded.root
        });
        if same {
            Ok(())
        } else {
            Err(differs(
                "the database holds another history than the one that was signed".to_owned(),
            ))
        }
    }

    /// Signs heads as they move, until the committer is gone.
    pub(crate) async fn run(self, committer: Handle, mut stop: watch::Receiver<bool>) {
        let mut heads = committer.heads();
        let mut signed = BTreeMap::new();
        let mut failing = false;
        loop {
            let now = heads.borrow_and_update().clone();
            let failed = self.sign_all(&committer, &now, &mut signed).await;
            // Each time is tried again; the cause is told once.
            match (&failed, failing) {
                (Some((tenant, error)), false) => {
                    tracing::warn!(%tenant, %error, "the log's head could not be signed; it is tried again");
                }
                (Some((tenant, error)), true) => tracing::debug!(%tenant, %error, "the log's head could not be signed"),
                (None, true) => tracing::info!("the log's head is signed again"),
                (None, false) => {}
            }
            failing = failed.is_some();
            if *stop.borrow() {
                return;
            }
            tokio::select! {
                changed = heads.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN), if failing => {}
                _ = stop.changed() => continue,
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Signs what has moved; the last failure, if there was one.
    async fn sign_all(
        &self,
        committer: &Handle,
        heads: &Heads,
        signed: &mut BTreeMap<TenantName, u64>,
    ) -> Option<(TenantName, StartError)> {
        let mut failed = None;
        for (tenant, head) in heads {
            if signed.get(tenant) == Some(&head.size) {
                continue;
            }
            match self.sign(committer, tenant, head).await {
                Ok(()) => drop(signed.insert(tenant.clone(), head.size)),
                Err(error) => failed = Some((tenant.clone(), error)),
            }
        }
        failed
    }

    async fn sign(&self, committer: &Handle, tenant: &TenantName, head: &Head) -> Result<(), StartError> {
        let Some(key) = self.keys.get(tenant) else {
            return Ok(());
        };
        let name = format!("{}/{tenant}", self.trust_domain);
        let unsigned = |error: tlog::checkpoint::CheckpointError| StartError::Sign(error.to_string());
        let checkpoint = Checkpoint {
            origin: Origin::new(name).map_err(unsigned)?,
            size: head.size,
            root: head.root,
        };
        let note = checkpoint.sign(key).map_err(unsigned)?.to_string();
        // The guard first: a checkpoint that left this process must never be forgotten.
        let guard = GuardFile::new(&self.guards, tenant);
        let (path, bytes) = (guard.0, note.clone().into_bytes());
        let written = tokio::task::spawn_blocking(move || DataDir::replace_at(&path, &bytes)).await;
        written.map_err(|error| StartError::Sign(error.to_string()))??;
        committer.save_checkpoint(tenant.clone(), head.size, note).await?;
        Ok(())
    }
}
