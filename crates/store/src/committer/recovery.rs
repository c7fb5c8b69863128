//! Getting going again after a failed write, and stopping.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use entry::Event;
use futures_util::pin_mut;
use model::ActionId;
use tlog::Hash;
use tokio::sync::oneshot;

use super::{command::Command, handle::Head, retention::Retention, run::Committer, shard::Shard};
use crate::{BatchError, Clock, Refold, StoreError};

/// The waits between attempts to get going again, in milliseconds; the last one is repeated. Tests do not wait.
const WAITS: [u64; 4] = if cfg!(test) {
    [1, 2, 5, 10]
} else {
    [50, 250, 1_000, 3_000]
};
/// How often it is tried to write what is left before the server stops without it.
const LAST_TRIES: usize = 3;

impl<C: Clock> Committer<C> {
    /// Gets going again after a failed write. Returns early if it is ordered to stop.
    pub(super) async fn recover(&mut self) {
        let mut waits = WAITS.into_iter();
        let mut wait = 0;
        while self.stopping.is_none() {
            wait = waits.next().unwrap_or(wait);
            self.refuse_for(Duration::from_millis(wait)).await;
            match self.try_recover().await {
                Ok(()) => return,
                Err(error) => self.report(&error),
            }
        }
    }

    /// Somebody who read found damage: all of the log is read again. That takes as long as the log is, and nobody is
    /// answered meanwhile, so everybody is refused until it turned out to be whole.
    pub(super) async fn examine(&mut self) {
        self.refuse_all("the stored log could not be read: checking all of it; work resumes by itself if it is whole");
        if let Err(error) = self.try_recover().await {
            self.report(&error);
            self.recover().await;
        }
    }

    /// The write that failed may have landed all the same, so the state is folded anew from what is stored; nothing is
    /// ever appended a second time.
    async fn try_recover(&mut self) -> Result<(), StoreError> {
        self.store.reopen().await?;
        self.store.probe(self.wrote).await?;
        let landed = self.refold().await?;
        // Ends that landed with the write are done. The others are kept, and their holds are still open.
        let (shards, granted) = (&self.shards, &mut self.granted);
        self.ends.retain(|end| {
            let shard = shards.get(&end.tenant);
            let open = shard.is_some_and(|shard| {
                let state = &shard.state;
                state.open.contains_key(&end.attempt) || state.asks.contains_key(&end.attempt)
            });
            open || {
                granted.remove(&end.attempt);
                false
            }
        });
        let now = self.wall.read();
        self.build_ends(now);
        // Before anything is written: a write makes all of them durable.
        self.record_answered_again(&landed, now);
        self.reconcile(now).await?;
        let mut shards = std::mem::take(&mut self.shards);
        for shard in shards.values_mut() {
            // Who waits still comes again and is recorded anew.
            shard.forget_asks(now, |_, _| true);
            shard.void(now, |attempt, hold| self.is_orphan(attempt, hold));
        }
        self.shards = shards;
        self.write().await?;
        self.empty_spool().await?;
        self.sound = true;
        self.publish();
        Ok(())
    }

    /// Answers everything that comes with a refusal, for a while. Ends wait in their queue.
    async fn refuse_for(&mut self, wait: Duration) {
        let over = tokio::time::sleep(wait);
        pin_mut!(over);
        while self.stopping.is_none() {
            tokio::select! {
                () = &mut over => return,
                command = self.commands.recv() => match command {
                    Some(Command::Stop(why, answer)) => self.order_stop(why, answer),
                    Some(Command::Decide(decide, None)) => self.keep_answered(*decide),
                    Some(command) => command.refuse(),
                    None => return over.await,
                }
            }
        }
    }

    /// Reads the whole log of every tenant into fresh state, checking all of it, also that it goes on from what this process
    /// acknowledged. The writing connection reads, so that what is folded is what the next batch is appended to. Returns the
    /// decisions that were not acknowledged as durable and are there.
    pub(super) async fn refold(&mut self) -> Result<HashSet<ActionId>, StoreError> {
        let known = self.heads.borrow().clone();
        // Changes of entities that were not written, or were: whoever made them was told that nobody knows.
        self.rows.clear();
        self.retention = Retention::default();
        let mut entities = self.store.entity_sets().await?;
        let mut landed = HashSet::new();
        let mut shards = BTreeMap::new();
        for tenant in self.store.tenants().await? {
            let corrupt = |source| StoreError::Corrupt {
                tenant: tenant.clone(),
                source,
            };
            let mut log = Refold::new(tenant.clone(), self.store.snapshot(&tenant).await?);
            let mut acknowledged = Acknowledged::new(known.get(&tenant));
            let mut stopped = false;
            loop {
                let page = self.store.page(&tenant, log.range.size()).await?;
                if page.is_empty() {
                    break;
                }
                let size = known.get(&tenant).map_or(0, |head| head.size);
                for batch in page {
                    let folded = log.take(&batch, |entry, _| {
                        stopped = matches!(entry.event, Event::Stopped { .. });
                        match &entry.event {
                            Event::Decided(decided) if entry.index >= size => drop(landed.insert(decided.id)),
                            _ => {}
                        }
                    });
                    folded.map_err(corrupt)?;
                    acknowledged.meet(log.range.size(), batch.root);
                }
            }
            acknowledged.check(log.range.size()).map_err(corrupt)?;
            let mut shard = Shard::new(tenant.clone());
            let left;
            (shard.state, shard.range, left) = log.finish().map_err(corrupt)?;
            shard.stopped = stopped;
            self.retention.found(&tenant, left);
            self.retention.signed(&tenant, self.store.signed(&tenant).await?);
            let (log, rows) = (shard.state.peps.entities, entities.remove(&tenant).unwrap_or(0));
            if log != rows {
                return Err(StoreError::Entities { tenant, log, rows });
            }
            if let Some(before) = self.shards.get(&tenant) {
                shard.remember(before);
            }
            #[cfg(test)]
            {
                shard.faults = Some(self.store.faults());
            }
            shards.insert(tenant, shard);
        }
        if let Some((tenant, rows)) = entities.pop_first() {
            return Err(StoreError::Entities { tenant, log: 0, rows });
        }
        for (tenant, head) in known.into_iter().filter(|(_, head)| head.size > 0) {
            if !shards.contains_key(&tenant) {
                let source = BatchError::Older {
                    known: head.size,
                    stored: 0,
                };
                return Err(StoreError::Corrupt { tenant, source });
            }
        }
        self.shards = shards;
        // What was booked in a batch that failed may have to be booked again.
        self.looked = None;
        self.tended = false;
        Ok(landed)
    }

    /// Writes the ends that were sent before the order to stop and records the stop. From then on only checkpoints are
    /// kept, so that the last heads can be signed, until the order to close the database.
    pub(super) async fn finish(mut self) {
        let mut close = None;
        while let Ok(command) = self.commands.try_recv() {
            close = close.or(self.last_command(command).await);
        }
        for wait in WAITS.into_iter().take(LAST_TRIES) {
            match self.write_rest().await {
                Ok(()) => {
                    self.publish();
                    break;
                }
                Err(error) => {
                    self.report(&error);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
            }
        }
        self.answer_stops();
        while close.is_none()
            && let Some(command) = self.commands.recv().await
        {
            close = self.last_command(command).await;
            self.answer_stops();
            self.write_last_answers().await;
        }
        // Whoever has a place among what waits uses it at once: what they were answered is recorded too.
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            let also = self.last_command(command).await;
            close = close.or(also);
        }
        self.write_last_answers().await;
        let closed = self.store.close().await;
        drop(closed.inspect_err(|error| tracing::warn!(%error, "closing the database failed")));
        if let Some(close) = close {
            let _ = close.send(());
        }
    }

    /// Reports that the stop is recorded, or was given up.
    fn answer_stops(&mut self) {
        for asked in self.stopping.iter_mut().flat_map(|stopping| stopping.asked.drain(..)) {
            // Whoever asked may have gone.
            let _ = asked.send(());
        }
    }

    /// What is still done for others once the order to stop came. Returns where to report that the database is closed, if
    /// that is what was asked.
    async fn last_command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        match command {
            Command::Stop(why, answer) => self.order_stop(why, answer),
            Command::Checkpoint(tenant, size, note, answer) => {
                drop(answer.send(self.store.save_checkpoint(&tenant, size, &note).await));
            }
            Command::Close(answer) => return Some(answer),
            Command::Decide(decide, None) => {
                if self.sound {
                    let now = self.wall.read();
                    drop(self.take_decision(*decide, None, now));
                } else {
                    self.keep_answered(*decide);
                }
            }
            command => command.refuse(),
        }
        None
    }

    /// Writes decisions that were answered while the stop was recorded.
    async fn write_last_answers(&mut self) {
        if self.answered.is_empty() {
            return;
        }
        let written = self.write_answers().await;
        if let Err(error) = written {
            self.report(&error);
            tracing::error!(
                decisions = self.answered.len(),
                "decisions that were answered are not recorded"
            );
        }
    }

    async fn write_answers(&mut self) -> Result<(), StoreError> {
        if !self.sound {
            self.try_recover().await?;
        }
        // The stop is to be the last entry, and the heads are to be the last ones.
        let now = self.wall.read();
        self.build_stops(now);
        self.write().await?;
        self.publish();
        Ok(())
    }

    /// Writes the ends that wait, and behind them the stop.
    async fn write_rest(&mut self) -> Result<(), StoreError> {
        if !self.sound {
            self.try_recover().await?;
        }
        self.flush_spool().await;
        loop {
            self.gather_ends();
            let now = self.wall.read();
            self.build_ends(now);
            let last = self.ending.is_empty();
            if last {
                self.build_stops(now);
            }
            self.write().await?;
            if last {
                return Ok(());
            }
        }
    }
}

/// What was acknowledged of a log, looked for in what is stored. A database that was rolled back under a running server, by
/// a restored backup say, must not make it forget what was spent.
struct Acknowledged<'a> {
    head: Option<&'a Head>,
    met: bool,
}

impl<'a> Acknowledged<'a> {
    fn new(head: Option<&'a Head>) -> Self {
        let head = head.filter(|head| head.size > 0);
        Self {
            head,
            met: head.is_none(),
        }
    }

    /// A batch ended here: heads are acknowledged where batches end.
    fn meet(&mut self, size: u64, root: Hash) {
        self.met |= self.head.is_some_and(|head| (head.size, head.root) == (size, root));
    }

    fn check(self, stored: u64) -> Result<(), BatchError> {
        match self.head {
            Some(head) if stored < head.size => Err(BatchError::Older {
                known: head.size,
                stored,
            }),
            Some(head) if !self.met => Err(BatchError::OtherHistory(head.size)),
            _ => Ok(()),
        }
    }
}
