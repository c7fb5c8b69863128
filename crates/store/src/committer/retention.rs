//! Letting entries go whose time is over: first the snapshot and the entry that says so, in one commit; then, once that
//! is signed, the bytes, in small steps between the commits of others.
//!
//! A step is repeated until nothing is left, whatever happens in between: a start finds by the log what was let go and is
//! still there. Nothing is let go under a legal hold.

use std::{collections::BTreeMap, time::Duration};

use entry::{Event, Evidence, Expired, snapshot};
use model::{AdminName, TenantName, Timestamp};
use tokio::time::Instant;

use super::{
    command::{ChangeError, Changed, Unavailable},
    run::Committer,
};
use crate::{
    Clock, Expiry, Snapshot, StoreError,
    db::retention::{Release, without},
};

/// How many bytes of entries a step looks at: a few milliseconds' work.
const STEP: usize = if cfg!(test) { 256 } else { 256 * 1_024 };
/// How long others have between two steps.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 25 });

/// What is to be let go, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// From which entry on something may be there that was let go.
    left: BTreeMap<TenantName, u64>,
    /// How many entries of each log are signed.
    signed: BTreeMap<TenantName, u64>,
    /// Snapshots that wait for the next write, with their entries.
    pub(super) snapshots: Vec<(TenantName, Snapshot)>,
    next: Option<Instant>,
}

impl Retention {
    /// So many entries of a log are signed, durably.
    pub(super) fn signed(&mut self, tenant: &TenantName, size: u64) {
        let signed = self.signed.entry(tenant.clone()).or_default();
        *signed = size.max(*signed);
    }

    /// What a log that was read says: from this entry on something is there that was let go.
    pub(super) fn found(&mut self, tenant: &TenantName, left: Option<u64>) {
        match left {
            Some(left) => self.left.insert(tenant.clone(), left),
            None => self.left.remove(tenant),
        };
    }

    /// Whether the bytes may go now: the entry that says so is signed, and no legal hold stands. A checkpoint that is over
    /// the one is over the other.
    fn may(&self, tenant: &TenantName, said: &Evidence) -> bool {
        let signed = self.signed.get(tenant).copied().unwrap_or(0);
        said.legal_holds.is_empty() && said.last_expired.is_some_and(|last| last.entry < signed)
    }
}

impl<C: Clock> Committer<C> {
    /// Writes down what follows from the log so far, and that entries are let go.
    pub(super) fn expire(
        &mut self,
        tenant: &TenantName,
        expiry: &Expiry,
        by: AdminName,
        now: Timestamp,
    ) -> Result<Changed, ChangeError> {
        if self.room.trouble().is_some() {
            return Err(Unavailable.into());
        }
        let refuse = |why: &str| Err(ChangeError::Refused(why.to_owned()));
        // A clock that jumped while the logs were looked at makes everything old, and what is let go does not come back.
        if let Some(trouble) = self.wall.trouble() {
            return refuse(trouble);
        }
        if self.retention.left.contains_key(tenant) {
            return refuse("what expired before is still being let go: try again later");
        }
        let Some(shard) = self.shards.get_mut(tenant) else {
            return refuse("there is no such log");
        };
        let said = &shard.state.evidence;
        let same = |(class, after): (&entry::Class, &u64)| said.expired.get(class).copied().unwrap_or(0) == *after;
        if !expiry.after.iter().all(same) {
            return refuse("something expired meanwhile: look again");
        }
        let bytes = snapshot::encode(&shard.state).map_err(|error| ChangeError::Refused(error.to_string()))?;
        let index = shard.state.size;
        let digest = snapshot::digest(&bytes);
        let taken = Event::SnapshotTaken { digest };
        let expired = Event::Expired(Expired {
            before: expiry.before.clone(),
            count: expiry.count(),
            snapshot: index,
            by,
        });
        let changed = shard.change(vec![taken, expired], now)?;
        let first = expiry.after.values().copied().min().unwrap_or(0);
        self.retention.found(tenant, Some(first));
        self.retention
            .snapshots
            .push((tenant.clone(), Snapshot { index, bytes }));
        Ok(changed)
    }

    /// When the next step is due; `None` while there is nothing to be done.
    pub(super) fn release_at(&mut self) -> Option<Instant> {
        if self.releasable().is_none() {
            self.retention.next = None;
        } else if self.retention.next.is_none() {
            self.retention.next = Some(Instant::now() + PAUSE);
        }
        self.retention.next
    }

    fn releasable(&self) -> Option<(TenantName, u64)> {
        let mut left = self.retention.left.iter();
        let found = left.find(|(tenant, _)| {
            let shard = self.shards.get(*tenant);
            shard.is_some_and(|shard| self.retention.may(tenant, &shard.state.evidence))
        });
        found.map(|(tenant, from)| (tenant.clone(), *from))
    }

    /// Makes the next step.
    pub(super) async fn release(&mut self) {
        self.retention.next = None;
        self.pulse.send_replace(Some(Instant::now()));
        let released = self.try_release().await;
        self.pulse.send_replace(None);
        match released {
            // A write that took too long: everybody was refused meanwhile.
            Ok(()) if self.health.borrow().down => self.recover().await,
            Ok(()) => {}
            Err(error) => {
                self.report(&error);
                self.recover().await;
            }
        }
    }

    async fn try_release(&mut self) -> Result<(), StoreError> {
        let Some((tenant, from)) = self.releasable() else {
            return Ok(());
        };
        let Some(said) = self.shards.get(&tenant).map(|shard| shard.state.evidence.clone()) else {
            return Ok(());
        };
        let corrupt = |source| StoreError::Corrupt {
            tenant: tenant.clone(),
            source,
        };
        let (end, snapshot) = (said.gone_below(), said.last_expired.map_or(0, |last| last.snapshot));
        let page = self.store.page_within(&tenant, from, STEP).await?;
        let mut next = end;
        let mut batches = Vec::new();
        if let Some(first) = page.first() {
            let mut range = self.store.range_before(&tenant, first.first_index).await?;
            for batch in page.iter().filter(|batch| batch.first_index < end) {
                let gone = |index, bytes: &[u8]| {
                    let entry = entry::Entry::decode(bytes)?;
                    Ok(said.lets_go(entry.event.class(), index))
                };
                let without = without(batch, &mut range, gone).map_err(corrupt)?;
                batches.extend(without.map(|entries| (batch.first_index, entries)));
                next = batch.first_index.saturating_add(batch.count);
            }
        }
        if !batches.is_empty() {
            let release = Release {
                tenant: tenant.clone(),
                snapshot,
                batches,
            };
            self.sound = false;
            self.store.let_go(release).await?;
            self.sound = true;
        }
        if next < end {
            self.retention.found(&tenant, Some(next));
            return Ok(());
        }
        self.retention.found(&tenant, None);
        tracing::info!(%tenant, before = end, "entries whose time is over were let go");
        self.store.fold_wal().await
    }
}
