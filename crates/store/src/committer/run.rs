//! The committer's loop: gather what waits, build it into batches, write them in one transaction, answer.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use entry::EntryError;
use ledger::Attempt;
use model::{BatchId, TenantName};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use super::{
    build::Reply,
    command::{Command, Decide},
    handle::{Handle, Heads, Health, SpoolHandle},
    health::{Gone, Pulse, watch_over},
    heart::Heart,
    retention::Retention,
    room::Room,
    shard::Shard,
    stats::Stats,
    wall::Wall,
};
use crate::{
    BatchError, Clock, Store, StoreError,
    entity::RowChanges,
    hold::End,
    spool::{Keeper, Purse, SpoolFile, Worker},
};

/// The most commands of one batch: bounds its size and how long the first of them waits.
pub(super) const BATCH: usize = 1_024;
/// How many commands may wait. More callers wait for a place.
pub(super) const WAITING: usize = 4_096;
/// How long ends wait for company. Nobody waits for them, so most are written with the next request and cost no commit of
/// their own; a request that needs the room they make takes them along at once. A crash meanwhile books them in full.
const END_PATIENCE: Duration = Duration::from_millis(2);
/// How often others are let ahead of a write at most, so that they can be part of it.
const COMPANY: usize = 32;
/// How often holds are looked through for ones whose owner is gone.
pub(super) const EXPIRY_TICK: Duration = Duration::from_secs(5);

/// What the committer is given.
#[derive(Clone, Debug)]
pub struct Config {
    /// This machine's or container's name in entries.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// The most holds open at once.
    pub open_holds: usize,
    /// How many bytes of the disk are kept for the ends of calls in flight and for denials: with fewer free, no hold is
    /// given.
    pub reserve: u64,
    /// The directory of the spool, best on another disk; without one nothing is let through while the log cannot be
    /// written.
    pub spool: Option<PathBuf>,
    /// After how long a log without an entry gets a heartbeat; `None` for never. With thousands of logs it takes longer,
    /// and entries say so.
    pub heartbeat: Option<Duration>,
    /// Randomness for batch ids.
    pub random: fn() -> [u8; 10],
}

/// The ways to reach a committer: what is asked of it, and the ends of holds.
pub(super) type Ways = (mpsc::Sender<Command>, mpsc::Sender<End>);

/// The one task that writes.
#[derive(Debug)]
pub struct Committer<C> {
    pub(super) store: Store,
    pub(super) wall: Wall<C>,
    pub(super) room: Room,
    pub(super) config: Config,
    pub(super) boot: u64,
    pub(super) shards: BTreeMap<TenantName, Shard>,
    /// Whether the shards are what is stored: not so between a failed write and the end of recovery.
    pub(super) sound: bool,
    /// Ends that are not durable yet: kept through a failed write.
    pub(super) ends: Vec<End>,
    /// Decisions that were answered and are not durable yet: kept through a failed write.
    pub(super) answered: Vec<Decide>,
    /// Changes of entities that wait for the next write, with their entries.
    pub(super) rows: Vec<RowChanges>,
    pub(super) retention: Retention,
    /// The holds whose owners were told that they have them.
    pub(super) granted: HashSet<Attempt>,
    /// When holds were last looked through for expired ones, by the steady clock; `None` to do it with the next batch.
    pub(super) looked: Option<Duration>,
    /// How many bytes of entries the last write had.
    pub(super) wrote: u64,
    pub(super) spool: Option<Keeper>,
    /// How many names were given to spools.
    pub(super) spools: u64,
    /// Whether allowances are to be looked at with the next batch.
    pub(super) tend_due: bool,
    /// Whether the next write changes allowances.
    pub(super) tended: bool,
    pub(super) heart: Heart,
    pub(super) stopping: Option<Stopping>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) ending: mpsc::Receiver<End>,
    pub(super) heads: watch::Sender<Heads>,
    pub(super) health: watch::Sender<Health>,
    pub(super) epochs: watch::Sender<u64>,
    pub(super) pulse: Pulse,
    pub(super) stats: Arc<Stats>,
}

/// The order to stop.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) why: String,
    /// Where to report that it is done.
    pub(super) asked: Vec<oneshot::Sender<()>>,
}

impl<C: Clock> Committer<C> {
    /// A committer that has read nothing yet, and the ways to reach it.
    pub(super) fn idle(store: Store, clock: C, config: Config) -> (Committer<Arc<C>>, Ways) {
        let (send_command, commands) = mpsc::channel(WAITING);
        let (send_end, ending) = mpsc::channel(config.open_holds.max(1));
        let wall = Wall::new(Arc::new(clock));
        let committer = Committer {
            store,
            looked: Some(wall.elapsed()),
            heart: Heart::new(config.heartbeat, wall.elapsed()),
            wall,
            room: Room::new(config.reserve),
            config,
            boot: 0,
            shards: BTreeMap::new(),
            sound: true,
            ends: Vec::new(),
            answered: Vec::new(),
            rows: Vec::new(),
            retention: Retention::default(),
            granted: HashSet::new(),
            wrote: 0,
            spool: None,
            spools: 0,
            tend_due: true,
            tended: false,
            stopping: None,
            commands,
            ending,
            heads: watch::Sender::new(Heads::new()),
            health: watch::Sender::new(Health::default()),
            epochs: watch::Sender::new(0),
            pulse: Pulse::new(None),
            stats: Arc::new(Stats::default()),
        };
        (committer, (send_command, send_end))
    }

    /// Folds what is stored, records the start, books the holds that earlier starts left open in full, and goes to work
    /// in a task of its own.
    pub async fn start(store: Store, clock: C, config: Config) -> Result<(Handle, JoinHandle<()>), StoreError> {
        let (mut committer, (commands, ends)) = Self::idle(store, clock, config);
        committer.refold().await?;
        let mut spool_file = committer.open_spool()?;
        committer.record_start(&mut spool_file).await?;
        let boot = committer.boot;
        let clock = committer.wall.clock();
        let spool = spool_file.map(|file| committer.keep_spool(file, clock));
        let gone = Gone(committer.health.clone());
        let purse = committer.spool.as_ref().map(|spool| spool.purse.clone());
        tokio::spawn(watch_over(
            committer.pulse.subscribe(),
            committer.health.clone(),
            purse,
            committer.stats.clone(),
        ));
        let handle = Handle {
            commands,
            ends,
            heads: committer.heads.subscribe(),
            health: committer.health.subscribe(),
            epochs: committer.epochs.subscribe(),
            spool,
            stats: committer.stats.clone(),
            boot,
        };
        let task = tokio::spawn(async move {
            let _gone = gone;
            committer.run().await;
        });
        Ok((handle, task))
    }

    fn open_spool(&mut self) -> Result<Option<SpoolFile>, StoreError> {
        let id = self.new_spool_id();
        let Some(dir) = &self.config.spool else { return Ok(None) };
        let file = SpoolFile::open(dir, &self.config.node, || id)?;
        #[cfg(test)]
        let file = {
            let mut file = file;
            file.set_faults(self.store.faults().spool);
            file
        };
        Ok(Some(file))
    }

    /// Gives the spool's file to a task of its own.
    fn keep_spool<T: Clock>(&mut self, file: SpoolFile, clock: Arc<T>) -> SpoolHandle {
        let (send_order, orders) = mpsc::channel(WAITING);
        let (send_end, ending) = mpsc::channel(self.config.open_holds.max(1));
        let purse = Arc::<Purse>::default();
        let channels = (orders, ending);
        let worker = Worker::new(file, clock, self.boot, purse.clone(), channels, self.stats.clone());
        tokio::spawn(worker.run());
        self.tended = true;
        self.spool = Some(Keeper {
            orders: send_order.clone(),
            purse,
        });
        self.fill_purse();
        SpoolHandle {
            orders: send_order,
            ends: send_end,
        }
    }

    /// Records the start, again if an end that it books owes what cannot be paid: as in a recovery, that end is booked
    /// otherwise then, or not at all. Without that no start would ever get further, for each finds the same log.
    async fn record_start(&mut self, spool: &mut Option<SpoolFile>) -> Result<(), StoreError> {
        loop {
            let refused = self.refused_ends();
            match self.try_record_start(spool).await {
                Err(error @ StoreError::Unpaid { .. }) if self.refused_ends() > refused => {
                    tracing::error!(%error, "the start is recorded again without it");
                    self.refold().await?;
                }
                // Nothing is wrong with what is stored.
                Err(StoreError::Unavailable(error)) => return Err(StoreError::not_started(error)),
                done => return done,
            }
        }
    }

    /// How often ends were refused for what they owe. Each is at most twice.
    fn refused_ends(&self) -> u32 {
        self.shards.values().flat_map(|shard| shard.refused.values()).sum()
    }

    async fn try_record_start(&mut self, spool: &mut Option<SpoolFile>) -> Result<(), StoreError> {
        let now = self.wall.read();
        self.build_starts(now)?;
        let boot = self.boot;
        // What an earlier start let through is in the log before anything else is.
        let mut left_behind = false;
        if let Some(spool) = spool {
            left_behind = self.take_left_behind(spool, now)?;
        }
        for (tenant, shard) in &mut self.shards {
            shard.forget_asks(now, |_, _| true);
            let lost = shard.book(now, |_, hold, _| hold.boot < boot);
            if lost > 0 {
                tracing::warn!(%tenant, holds = lost, "booked in full the holds that an earlier start left open");
            }
        }
        self.build_heads(now);
        self.write().await?;
        if let Some(spool) = spool.as_mut().filter(|_| left_behind) {
            spool.reset(&self.new_spool_id())?;
        }
        self.publish();
        Ok(())
    }

    async fn run(mut self) {
        let mut tick = tokio::time::interval(EXPIRY_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathered = Vec::with_capacity(BATCH);
        // Both close when nobody has a handle any more; holds keep the way of their ends open.
        let (mut asking, mut ending) = (true, true);
        let mut lull = None;
        let suspicion = self.store.suspicion();
        while self.stopping.is_none() {
            let release = self.release_at();
            tokio::select! {
                biased;
                () = suspicion.notified() => {
                    self.examine().await;
                    continue;
                }
                () = over(release) => {
                    self.release().await;
                    continue;
                }
                count = self.commands.recv_many(&mut gathered, BATCH), if asking => asking = count > 0,
                count = self.ending.recv_many(&mut self.ends, BATCH), if ending => {
                    ending = count > 0;
                    if ending && self.ends.len() < BATCH {
                        lull = lull.or_else(|| Some(tokio::time::Instant::now() + END_PATIENCE));
                        continue;
                    }
                }
                () = over(lull) => {}
                _ = tick.tick() => {}
            }
            lull = None;
            if !asking && !ending {
                break;
            }
            self.gather(&mut gathered);
            self.wait_for_company(&mut gathered).await;
            self.commit(&mut gathered).await;
        }
        self.finish().await;
    }

    /// Takes what else already waits, up to a batch.
    fn gather(&mut self, gathered: &mut Vec<Command>) {
        self.gather_ends();
        while gathered.len() < BATCH
            && let Ok(command) = self.commands.try_recv()
        {
            gathered.push(command);
        }
    }

    /// Lets those who were just answered ask again, as long as that brings somebody: without it they miss this write, and
    /// under load two halves of the callers take turns, each waiting for the other's writes.
    async fn wait_for_company(&mut self, gathered: &mut Vec<Command>) {
        for _ in 0..COMPANY {
            let before = gathered.len();
            if before == 0 || before >= BATCH {
                return;
            }
            tokio::task::yield_now().await;
            self.gather(gathered);
            if gathered.len() == before {
                return;
            }
        }
    }

    pub(super) fn gather_ends(&mut self) {
        while self.ends.len() < BATCH
            && let Ok(end) = self.ending.try_recv()
        {
            self.ends.push(end);
        }
    }

    /// Builds, writes and answers one batch.
    async fn commit(&mut self, gathered: &mut Vec<Command>) {
        self.pulse.send_replace(Some(tokio::time::Instant::now()));
        let replies = self.build(gathered).await;
        let written = self.write().await;
        self.pulse.send_replace(None);
        match written {
            Ok(()) => {
                // A write that took too long: meanwhile calls may have been let through elsewhere.
                let late = self.spool.is_some() && self.health.borrow().down;
                if !late {
                    self.publish();
                }
                for reply in replies {
                    self.answer(reply);
                }
                if late {
                    self.recover().await;
                }
            }
            Err(error) => {
                self.report(&error);
                replies.into_iter().for_each(Reply::refuse);
                self.recover().await;
            }
        }
    }

    /// Writes what the shards have waiting, in one transaction. After an error the shards are ahead of what is stored, or
    /// not: nobody knows.
    pub(super) async fn write(&mut self) -> Result<(), StoreError> {
        let unpaid = |(tenant, shard): (&TenantName, &Shard)| Some((tenant.clone(), shard.unpaid.clone()?));
        if let Some((tenant, why)) = self.shards.iter().find_map(unpaid) {
            self.sound = false;
            return Err(StoreError::Unpaid { tenant, why });
        }
        self.forget_empty();
        let id = BatchId::new(self.wall.read(), (self.config.random)());
        let boot = self.boot;
        let shards = self.shards.iter_mut();
        let batches: Vec<_> = shards
            .filter_map(|(tenant, shard)| Some((tenant.clone(), shard.take_batch(id, boot)?)))
            .collect();
        if !batches.is_empty() {
            self.heart
                .wrote(batches.iter().map(|(tenant, _)| tenant), self.wall.elapsed());
            let (mut entries, mut bytes) = (0, 0);
            for (_, batch) in &batches {
                entries += batch.count;
                bytes += batch.entries.len();
            }
            let rows = std::mem::take(&mut self.rows);
            let snapshots = std::mem::take(&mut self.retention.snapshots);
            bytes += snapshots
                .iter()
                .map(|(_, snapshot)| snapshot.bytes.len())
                .sum::<usize>();
            bytes += rows.iter().map(RowChanges::bytes).sum::<usize>();
            self.wrote = u64::try_from(bytes).unwrap_or(u64::MAX);
            let started = Instant::now();
            self.sound = false;
            self.lower_purse();
            self.store.append(batches, rows, snapshots).await?;
            self.sound = true;
            self.stats.committed(entries, started.elapsed());
            for shard in self.shards.values_mut() {
                shard.tell(&self.stats);
            }
        }
        self.fill_purse();
        self.answered_are_durable();
        for end in self.ends.drain(..) {
            self.granted.remove(&end.attempt);
        }
        Ok(())
    }
}

/// Ends at that time; never if there is none.
async fn over(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

pub(super) fn corrupt(tenant: TenantName, index: u64, source: EntryError) -> StoreError {
    let source = BatchError::Entry { index, source };
    StoreError::Corrupt { tenant, source }
}
