//! Checkpoints: the signed statement of how long each log is and what its root is. Made off the hot path, of committed
//! heads only, and kept twice: in the database, and in a guard file apart from it.
//!
//! What is signed was made twice: the committer's head says what it wrote, and the tiles say what is stored. Where they
//! differ nothing is signed. The steps of a checkpoint are in `signer/steps.rs`, in their order.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, pin_mut};
use model::TenantName;
use store::{DataDir, Head, Heads, Reader, StoreError};
use tlog::{
    Hash,
    checkpoint::{Checkpoint, Origin},
};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{Checkpoints, Published, SigningError};

mod keyring;
mod steps;

pub use keyring::{KeyFiles, Keyring, Signing, log_keys};
pub use steps::Durable;
use steps::Steps;

/// At most one checkpoint a tenant in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// What to do where a database is refused, if it is the one that is meant.
const ACCEPT: &str = "Look for a newer copy first. If there is none, `bailiwick audit accept-restored --note TEXT` shows \
                      what is lost, and has the next start go on";
/// How many logs are signed at the same time.
const LOGS_AT_ONCE: usize = 8;
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// The file that remembers the last signed checkpoint of a tenant apart from the database, so that an old database put
/// in the place of a newer one shows.
#[derive(Clone, Debug)]
pub struct GuardFile(PathBuf);

impl GuardFile {
    /// The guard file of a tenant below the guard directory.
    pub fn new(directory: &Path, tenant: &TenantName) -> Self {
        Self(directory.join(format!("{tenant}.checkpoint")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
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
pub fn expect_key(dir: &DataDir, name: &str, was_used: bool) -> Result<(), SigningError> {
    let path = dir.path().join(name);
    if was_used && !path.exists() {
        Err(SigningError::LostKey(path))
    } else {
        Ok(())
    }
}

/// Signs for all tenants of a data directory.
#[derive(Debug)]
pub struct Signer {
    guards: PathBuf,
    keyring: Arc<Keyring>,
    /// Makes the seeds of first keys.
    seed: fn() -> Zeroizing<[u8; 32]>,
    published: watch::Sender<Checkpoints>,
}

impl Signer {
    /// With these keys, and guard files in this directory. `seed` makes the first key of a log that has none: 32 random
    /// bytes.
    pub fn new(keyring: Arc<Keyring>, guards: PathBuf, seed: fn() -> Zeroizing<[u8; 32]>) -> Self {
        Self {
            guards,
            keyring,
            seed,
            published: watch::Sender::default(),
        }
    }

    /// The checkpoint that the guard file of a tenant remembers.
    fn guarded(&self, tenant: &TenantName) -> Result<Option<Checkpoint>, SigningError> {
        let known = self.keyring.known(tenant);
        let note = GuardFile::new(&self.guards, tenant).read()?;
        let Some(note) = note.filter(|_| !known.is_empty()) else {
            return Ok(None);
        };
        let read = Checkpoint::open(&note, &known);
        read.map(Some).map_err(|error| SigningError::Guard {
            tenant: tenant.clone(),
            why: format!("the guard file cannot be read: {error}. {ACCEPT}"),
        })
    }

    /// Refuses a database that is older than, or differs from, the checkpoint its guard file remembers.
    pub async fn check_guard(&self, reader: &Reader, tenant: &TenantName) -> Result<(), SigningError> {
        let Some(guarded) = self.guarded(tenant)? else {
            return Ok(());
        };
        let differs = |why: String| SigningError::Guard {
            tenant: tenant.clone(),
            why,
        };
        let size = reader.size(tenant).await?;
        if size < guarded.size {
            return Err(differs(format!(
                "the database has {size} entries, but {} were signed: an older copy was put in its place. {ACCEPT}",
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
            Err(differs(format!(
                "the database holds another history than the one that was signed. {ACCEPT}"
            )))
        }
    }

    /// The published checkpoints, as they move.
    pub fn published(&self) -> watch::Receiver<Checkpoints> {
        self.published.subscribe()
    }

    /// Publishes what an earlier run had published.
    pub async fn take_up(&self, reader: &Reader, tenant: &TenantName) -> Result<(), StoreError> {
        if let Some(note) = reader.checkpoint(tenant).await? {
            self.publish(tenant, note);
        }
        Ok(())
    }

    fn publish(&self, tenant: &TenantName, note: String) {
        let published = Published::read(note).map(Arc::new);
        self.published
            .send_modify(|all| all.extend(published.map(|published| (tenant.clone(), published))));
    }

    /// Signs heads as they move, until the committer is gone.
    pub async fn run(self, steps: impl Steps, mut heads: watch::Receiver<Heads>, mut stop: watch::Receiver<bool>) {
        let mut signed = BTreeMap::new();
        let mut failing = Failing::default();
        loop {
            // Asked first: heads that were committed before the order to stop are to be signed in any case.
            let last = *stop.borrow();
            let now = heads.borrow_and_update().clone();
            let failed = self.sign_all(&steps, &now, &mut signed).await;
            let again = !failed.is_empty();
            if failing.tell(failed) {
                // The committer checks all that is stored, and lets nothing through if it is damaged.
                steps.suspect();
            }
            if last {
                return steps.close().await;
            }
            tokio::select! {
                changed = heads.changed() => if changed.is_err() { return steps.close().await },
                () = tokio::time::sleep(AGAIN), if again => {}
                _ = stop.changed() => continue,
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Signs what has moved, a few logs at a time: mostly it waits for the disk. What could not be signed.
    async fn sign_all(
        &self,
        steps: &impl Steps,
        heads: &Heads,
        signed: &mut BTreeMap<TenantName, u64>,
    ) -> Vec<(TenantName, SigningError)> {
        let moved = heads
            .iter()
            .filter(|(tenant, head)| signed.get(*tenant) != Some(&head.size));
        let moved: Vec<_> = moved
            .map(|(tenant, head)| async move { (tenant, head.size, self.sign(steps, tenant, head).await) })
            .collect();
        let mut done = futures_util::stream::iter(moved).buffer_unordered(LOGS_AT_ONCE);
        let mut failed = Vec::new();
        while let Some((tenant, size, result)) = done.next().await {
            match result {
                Ok(()) => drop(signed.insert(tenant.clone(), size)),
                Err(error) => failed.push((tenant.clone(), error)),
            }
        }
        failed
    }

    /// Makes a head the published one, in steps that are durable one after the other:
    ///
    /// 1. The tiles go up to it, and their root is the head's. What is published later can be proved from then on.
    /// 2. What the guard file remembers is a beginning of this log. So whatever was signed before is kept to, whoever
    ///    signed it: a second server on a copy of the data and the keys is found out here at the latest.
    /// 3. The guard file, before anybody can read the checkpoint: one that left this process must never be forgotten,
    ///    or an older copy of the database could be taken for the newest and be continued to another history.
    /// 4. Where two keys sign: the first checkpoint that both have signed, for whoever knows the older one only. It is kept
    ///    for ever, and the older key is not retired before it is there.
    /// 5. The row in the database. From then on it is published.
    ///
    /// Any step may fail, and may have landed all the same. Nothing is taken back then: the next round makes the same
    /// checkpoint of the same head, or a longer one.
    async fn sign(&self, steps: &impl Steps, tenant: &TenantName, head: &Head) -> Result<(), SigningError> {
        if self.keyring.signing(tenant).is_none() {
            self.first_key(steps, tenant).await?;
        }
        if self.keyring.is_to_ask(tenant) {
            let (size, said) = steps.said(tenant).await?;
            self.keyring.settle(tenant, size, &said)?;
        }
        let signing = self.keyring.signing(tenant).unwrap_or_default();
        let Some((first, further)) = signing.keys.split_first() else {
            return Ok(());
        };
        let unsigned = |error: tlog::checkpoint::CheckpointError| SigningError::Sign(error.to_string());
        let stored = steps.tiles(tenant, head.size).await?;
        let checkpoint = Checkpoint {
            origin: Origin::new(self.keyring.name(tenant)).map_err(unsigned)?,
            size: head.size,
            root: agreed(head.size, stored, head.root)?,
        };
        self.keep_to_the_guarded(steps, tenant, &checkpoint).await?;
        let note = checkpoint.sign_by_all(first, further.iter().map(AsRef::as_ref));
        let note = note.map_err(unsigned)?.to_string();
        steps.guard(&GuardFile::new(&self.guards, tenant), &note).await?;
        if head.size >= signing.since {
            for key in further {
                let path = self.keyring.handover(tenant, key.verifier().id());
                steps.handover(&path, &note).await?;
            }
        }
        steps.save(tenant, head.size, note.clone()).await?;
        self.publish(tenant, note);
        Ok(())
    }

    /// Makes, or reads, the key of a tenant that was declared while the server runs. No key is made beside a log of which
    /// anything tells that it was signed: the one that signed it is lost then.
    async fn first_key(&self, steps: &impl Steps, tenant: &TenantName) -> Result<(), SigningError> {
        let guarded = GuardFile::new(&self.guards, tenant).read()?.is_some();
        let signed = guarded || steps.was_signed(tenant).await?;
        self.keyring.prepare(tenant, signed, self.seed)
    }

    /// Refuses a checkpoint that contradicts the one in the guard file.
    async fn keep_to_the_guarded(
        &self,
        steps: &impl Steps,
        tenant: &TenantName,
        next: &Checkpoint,
    ) -> Result<(), SigningError> {
        let Some(guarded) = self.guarded(tenant)? else {
            return Ok(());
        };
        if guarded.size > next.size {
            return Err(SigningError::Guard {
                tenant: tenant.clone(),
                why: format!(
                    "the guard file remembers {} signed entries, and this server has {}: another server signs with the \
                     same key",
                    guarded.size, next.size
                ),
            });
        }
        let ours = steps.tiles(tenant, guarded.size).await?;
        agreed(guarded.size, ours, guarded.root)?;
        Ok(())
    }
}

/// The logs whose heads could not be signed, and whether that is evidence of damage.
#[derive(Debug, Default)]
struct Failing(BTreeMap<TenantName, bool>);

impl Failing {
    /// Tells what failed: each is tried again, and told once. Whether there is evidence that was not told yet.
    fn tell(&mut self, failed: Vec<(TenantName, SigningError)>) -> bool {
        let before = std::mem::take(&mut self.0);
        let mut fresh = false;
        for (tenant, error) in failed {
            let evidence = error.is_evidence();
            match (before.get(&tenant) == Some(&evidence), evidence) {
                (true, _) => tracing::debug!(%tenant, %error, "the log's head could not be signed"),
                (false, true) => {
                    fresh = true;
                    tracing::error!(%tenant, %error, "the log's head is not signed: what is stored is not what was written");
                }
                (false, false) => {
                    tracing::warn!(%tenant, %error, "the log's head could not be signed; it is tried again");
                }
            }
            self.0.insert(tenant, evidence);
        }
        for tenant in before.keys().filter(|tenant| !self.0.contains_key(*tenant)) {
            tracing::info!(%tenant, "the log's head is signed again");
        }
        fresh
    }
}

/// The root, if what is stored and what is known say the same.
fn agreed(size: u64, stored: Hash, known: Hash) -> Result<Hash, SigningError> {
    if stored == known {
        Ok(known)
    } else {
        Err(SigningError::Differs { size, stored, known })
    }
}

#[cfg(test)]
mod tests;
