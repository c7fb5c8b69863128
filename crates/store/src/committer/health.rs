//! What the committer shows of itself, and the watch over a disk that neither answers nor fails.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use super::{handle::Health, run::Committer, stats::Stats};
use crate::{Clock, StoreError, spool::Purse};

/// How long a write may take before everybody who waits for it is refused.
pub(super) const SLOW: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5_000 });
/// How often it is looked whether a write takes too long.
const WATCH_TICK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 500 });

/// Says, when the committer's task is gone for whatever reason, that nothing can be recorded any more.
pub(super) struct Gone(pub(super) watch::Sender<Health>);

impl Drop for Gone {
    fn drop(&mut self) {
        let trouble = Some("the committer has stopped".to_owned());
        self.0.send_replace(Health { trouble, down: true });
    }
}

/// Since when the committer has been at its present batch; `None` between batches.
pub(super) type Pulse = watch::Sender<Option<Instant>>;

/// Refuses everybody who waits for a write that does not end. What became of it is learnt when it ends.
///
/// In a task of its own, for a file system that hangs can hold up the committer's thread too. Ends with the committer.
pub(super) async fn watch_over(
    pulse: watch::Receiver<Option<Instant>>,
    health: watch::Sender<Health>,
    purse: Option<Arc<Purse>>,
    stats: Arc<Stats>,
) {
    let mut tick = tokio::time::interval(WATCH_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // An error says that the committer is gone.
        if pulse.has_changed().is_err() {
            return;
        }
        if !pulse.borrow().is_some_and(|since| since.elapsed() > SLOW) {
            continue;
        }
        health.send_if_modified(|health| {
            if health.down {
                return false;
            }
            stats.stalls.fetch_add(1, Relaxed);
            if let Some(purse) = &purse {
                purse.open();
            }
            let trouble = format!(
                "the disk has not finished a write in {SLOW:?}. Look at its load and at the kernel's log; work resumes \
                 by itself when it answers"
            );
            tracing::error!("{trouble}: requests are refused until then");
            *health = Health {
                trouble: Some(trouble),
                down: true,
            };
            true
        });
    }
}

impl<C: Clock> Committer<C> {
    /// Shows what was committed.
    pub(super) fn publish(&self) {
        let trouble = self.wall.trouble().or(self.room.trouble());
        self.health.send_if_modified(|health| {
            if std::mem::take(&mut health.down) {
                tracing::info!("the store can record again");
                health.trouble = trouble.map(str::to_owned);
                return true;
            }
            let changed = health.trouble.as_deref() != trouble;
            health.trouble = trouble.map(str::to_owned);
            changed
        });
        self.heads.send_if_modified(|heads| {
            let mut moved = false;
            for (tenant, shard) in &self.shards {
                let shown = heads.get(tenant).map_or(0, |head| head.size);
                if shown != shard.state.size {
                    heads.insert(tenant.clone(), shard.head());
                    moved = true;
                }
            }
            moved
        });
        // After the heads, so that whoever is woken finds the epoch there.
        let sum = self.shards.values().map(|shard| shard.state.epoch).sum();
        self.epochs
            .send_if_modified(|known| std::mem::replace(known, sum) != sum);
        let open = self.shards.values().map(|shard| shard.state.open.len()).sum();
        self.stats.open(open);
        self.stats
            .waiting(self.shards.values().map(|shard| shard.state.asks.len()).sum());
    }

    /// Shows that nothing can be recorded, and logs why if it is not the reason that was logged last.
    pub(super) fn report(&self, error: &StoreError) {
        self.stats.failures.fetch_add(1, Relaxed);
        self.refuse_all(&error.to_string());
    }

    /// The same, whatever it is that keeps the committer from recording.
    pub(super) fn refuse_all(&self, trouble: &str) {
        if let Some(spool) = &self.spool {
            spool.purse.open();
        }
        self.health.send_if_modified(|health| {
            let fresh = !health.down || health.trouble.as_deref() != Some(trouble);
            if fresh {
                tracing::error!(error = %trouble, "the store cannot record: requests are refused until it can");
            }
            *health = Health {
                trouble: Some(trouble.to_owned()),
                down: true,
            };
            fresh
        });
    }
}
