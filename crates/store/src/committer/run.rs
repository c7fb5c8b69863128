//! The committer's loop: gather what waits, build it into batches, write them in one transaction, answer.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use entry::Event;
use futures_util::{StreamExt as _, pin_mut};
use ledger::Attempt;
use model::{BatchId, TenantName, Timestamp};
use tokio::{
    sync::{
        mpsc::{self, OwnedPermit},
        oneshot, watch,
    },
    task::JoinHandle,
};

use super::{
    command::{ChangeError, Changed, Command, HoldAnswer, Unavailable, View},
    handle::{Handle, Heads, Health},
    shard::{Admitted, Fault, Shard},
    stats::Stats,
};
use crate::{
    Clock, Hold, Store, StoreError,
    hold::{End, Granted},
};

/// The most commands of one batch: bounds its size and how long the first of them waits.
const BATCH: usize = 1_024;
/// How many commands may wait. More callers wait for a place.
const WAITING: usize = 4_096;
/// How often holds are looked through for ones whose owner is gone.
const EXPIRY_TICK: Duration = Duration::from_secs(5);
/// By how much the wall clock may outrun the steady clock before nothing is admitted any more: a wrong clock must not
/// start every budget anew.
const CLOCK_JUMP: Duration = Duration::from_secs(24 * 3_600);
/// The waits between attempts to get going again after a failed write.
const RECOVERY_WAITS: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// What the committer is given.
#[derive(Clone, Debug)]
pub struct Config {
    /// This machine's or container's name in entries.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// The most holds open at once.
    pub open_holds: usize,
    /// Randomness for batch ids.
    pub random: fn() -> [u8; 10],
}

/// The one task that writes.
#[derive(Debug)]
pub struct Committer<C> {
    store: Store,
    clock: C,
    config: Config,
    boot: u64,
    shards: BTreeMap<TenantName, Shard>,
    /// Ends that are not durable yet: kept through a failed write.
    ends: Vec<End>,
    /// The holds whose owners were told that they have them.
    granted: HashSet<Attempt>,
    /// Wall and steady clock when they last agreed.
    anchor: (Timestamp, Duration),
    commands: mpsc::Receiver<Command>,
    ending: mpsc::Receiver<End>,
    heads: watch::Sender<Heads>,
    health: watch::Sender<Health>,
    stats: Arc<Stats>,
}

/// An answer that may be given once the batch is durable.
enum Reply {
    Hold(Admitted, OwnedPermit<End>, oneshot::Sender<HoldAnswer>),
    Denied(u64, oneshot::Sender<Result<u64, Unavailable>>),
    Changed(
        Result<Changed, ChangeError>,
        oneshot::Sender<Result<Changed, ChangeError>>,
    ),
    View(TenantName, oneshot::Sender<Result<View, Unavailable>>),
}

impl<C: Clock> Committer<C> {
    /// Folds what is stored, records the start, books the holds that earlier starts left open in full, and goes to work
    /// in a task of its own.
    pub async fn start(store: Store, clock: C, config: Config) -> Result<(Handle, JoinHandle<()>), StoreError> {
        let (send_command, commands) = mpsc::channel(WAITING);
        let (send_end, ending) = mpsc::channel(config.open_holds.max(1));
        let (heads, watch_heads) = watch::channel(Heads::new());
        let (health, watch_health) = watch::channel(Health::default());
        let stats = Arc::new(Stats::default());
        let anchor = (clock.now(), clock.elapsed());
        let mut committer = Self {
            store,
            clock,
            config,
            boot: 0,
            shards: BTreeMap::new(),
            ends: Vec::new(),
            granted: HashSet::new(),
            anchor,
            commands,
            ending,
            heads,
            health,
            stats: stats.clone(),
        };
        committer.refold().await?;
        committer.record_start().await?;
        let boot = committer.boot;
        let task = tokio::spawn(committer.run());
        let handle = Handle {
            commands: send_command,
            ends: send_end,
            heads: watch_heads,
            health: watch_health,
            stats,
            boot,
        };
        Ok((handle, task))
    }

    async fn record_start(&mut self) -> Result<(), StoreError> {
        let system = self.shard(&TenantName::system());
        let boot = system.state.boot + 1;
        self.boot = boot;
        let (node, version) = (self.config.node.clone(), self.config.version.clone());
        let now = self.clock.now();
        let fault = |tenant: &TenantName| {
            let tenant = tenant.clone();
            move |fault: Fault| StoreError::Corrupt {
                tenant,
                source: crate::BatchError::Entry {
                    index: 0,
                    source: fault.error,
                },
            }
        };
        let system = TenantName::system();
        self.shard(&system)
            .push(Event::Started { node, boot, version }, now)
            .map_err(fault(&system))?;
        for (tenant, shard) in &mut self.shards {
            let lost = shard.book(now, |_, hold, _| hold.boot < boot).map_err(fault(tenant))?;
            if lost > 0 {
                tracing::warn!(%tenant, holds = lost, "booked in full the holds that an earlier start left open");
            }
        }
        self.write().await?;
        self.publish();
        Ok(())
    }

    async fn run(mut self) {
        let mut tick = tokio::time::interval(EXPIRY_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut gathered = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = self.ending.recv_many(&mut self.ends, BATCH) => if count == 0 { break },
                count = self.commands.recv_many(&mut gathered, BATCH) => if count == 0 { break },
                _ = tick.tick() => {}
            }
            self.gather(&mut gathered);
            if let Some(answer) = self.commit(&mut gathered).await {
                drop(
                    self.store
                        .close()
                        .await
                        .inspect_err(|error| tracing::warn!(%error, "closing the database failed")),
                );
                // Whoever asked may have gone.
                let _ = answer.send(());
                return;
            }
        }
        drop(self.store.close().await);
    }

    /// Takes what else already waits, up to a batch.
    fn gather(&mut self, gathered: &mut Vec<Command>) {
        while self.ends.len() < BATCH
            && let Ok(end) = self.ending.try_recv()
        {
            self.ends.push(end);
        }
        while gathered.len() < BATCH
            && let Ok(command) = self.commands.try_recv()
        {
            gathered.push(command);
        }
    }

    /// Builds, writes and answers one batch. Returns where to report if it held the order to stop.
    async fn commit(&mut self, gathered: &mut Vec<Command>) -> Option<oneshot::Sender<()>> {
        let mut replies = Vec::with_capacity(gathered.len());
        let mut stop = None;
        let built = self.build(gathered, &mut replies, &mut stop).await;
        let written = match built {
            Ok(()) => self.write().await,
            Err(fault) => {
                tracing::error!(error = %fault, "a batch was dropped; the state is folded anew from the log");
                Err(StoreError::Unavailable(sqlx::Error::Protocol(fault.to_string())))
            }
        };
        match written {
            Ok(()) => {
                for end in self.ends.drain(..) {
                    self.granted.remove(&end.attempt);
                }
                self.publish();
                for reply in replies {
                    self.answer(reply);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot record: requests are refused until it can");
                self.stats.failures.fetch_add(1, Relaxed);
                self.health.send_replace(Health {
                    trouble: Some(error.to_string()),
                });
                replies.into_iter().for_each(refuse_reply);
                self.recover().await;
            }
        }
        stop
    }

    /// Turns commands into entries. Nothing is answered yet, except what needs no entry.
    async fn build(
        &mut self,
        gathered: &mut Vec<Command>,
        replies: &mut Vec<Reply>,
        stop: &mut Option<oneshot::Sender<()>>,
    ) -> Result<(), Fault> {
        let wall = self.clock.now();
        for end in &self.ends {
            if let Some(shard) = self.shards.get_mut(&end.tenant) {
                shard.end(end, wall)?;
            }
        }
        let boot = self.boot;
        for (tenant, shard) in &mut self.shards {
            let lost = shard.book(wall, |_, hold, now| hold.expires <= now)?;
            if lost > 0 {
                tracing::warn!(%tenant, holds = lost, "booked in full holds that nobody ended in time");
            }
        }
        let sane = self.clock_is_sane(wall);
        for command in gathered.drain(..) {
            match command {
                Command::Hold(_, _, answer) if !sane => drop(answer.send(HoldAnswer::Unavailable)),
                Command::Hold(request, slot, answer) => {
                    match self.shard(&request.ask.tenant).hold(&request, boot, wall) {
                        Ok(admitted) => replies.push(Reply::Hold(admitted, slot, answer)),
                        Err(fault) => {
                            fault.survive()?;
                            drop(answer.send(HoldAnswer::Unavailable));
                        }
                    }
                }
                Command::Deny(denied, answer) => match self.shard(&denied.ask.tenant).deny(&denied, wall) {
                    Ok(index) => replies.push(Reply::Denied(index, answer)),
                    Err(fault) => {
                        fault.survive()?;
                        let _ = answer.send(Err(Unavailable));
                    }
                },
                Command::Change(tenant, events, answer) => {
                    let changed = self.shard(&tenant).change(events, wall)?;
                    replies.push(Reply::Changed(changed, answer));
                }
                Command::View(tenant, answer) => replies.push(Reply::View(tenant, answer)),
                Command::Remember(tenant, persons, answer) => {
                    let mut result = Ok(());
                    for person in persons {
                        let remembered = self
                            .store
                            .remember(&tenant, &person.pseudonym, person.key_epoch, &person.identity)
                            .await;
                        result = result.and(remembered);
                    }
                    drop(answer.send(result));
                }
                Command::Checkpoint(tenant, size, note, answer) => {
                    drop(answer.send(self.store.save_checkpoint(&tenant, size, &note).await));
                }
                Command::Stop(why, answer) => {
                    let stopped = Event::Stopped {
                        node: self.config.node.clone(),
                        boot,
                        why,
                    };
                    self.shard(&TenantName::system()).push(stopped, wall)?;
                    *stop = Some(answer);
                }
            }
        }
        Ok(())
    }

    /// Whether the wall clock has not run away from the steady one. Going back is harmless: tenant time stands still.
    fn clock_is_sane(&mut self, wall: Timestamp) -> bool {
        let elapsed = self.clock.elapsed();
        let (then, since) = self.anchor;
        let steady = i64::try_from(elapsed.saturating_sub(since).as_micros()).unwrap_or(i64::MAX);
        let bound = i64::try_from(CLOCK_JUMP.as_micros()).unwrap_or(i64::MAX);
        if wall.micros_since(then) > steady.saturating_add(bound) {
            let hours = wall.micros_since(then).saturating_sub(steady) / 3_600_000_000;
            tracing::error!(
                hours,
                "the wall clock jumped ahead: nothing is admitted until it is set right or the server is restarted"
            );
            let trouble = format!("the wall clock jumped {hours} hours ahead");
            self.health.send_replace(Health { trouble: Some(trouble) });
            return false;
        }
        self.anchor = (wall, elapsed);
        true
    }

    /// Writes what the shards have waiting, in one transaction.
    async fn write(&mut self) -> Result<(), StoreError> {
        let id = BatchId::new(self.clock.now(), (self.config.random)());
        let boot = self.boot;
        let batches = self.shards.iter_mut();
        let batches: Vec<_> = batches
            .filter_map(|(tenant, shard)| Some((tenant.clone(), shard.take_batch(id, boot)?)))
            .collect();
        if batches.is_empty() {
            return Ok(());
        }
        let entries = batches.iter().map(|(_, batch)| batch.count).sum();
        let started = Instant::now();
        self.store.append(batches).await?;
        let open = self.shards.values().map(|shard| shard.state.open.len()).sum();
        self.stats.committed(entries, started.elapsed(), open);
        Ok(())
    }

    fn publish(&self) {
        self.health
            .send_if_modified(|health| std::mem::take(&mut health.trouble).is_some());
        self.heads.send_modify(|heads| {
            for (tenant, shard) in &self.shards {
                if heads.get(tenant).is_none_or(|head| head.size != shard.state.size) {
                    heads.insert(tenant.clone(), shard.head());
                }
            }
        });
    }

    /// The batch is durable: say so.
    fn answer(&mut self, reply: Reply) {
        // A receiver that is gone drops its answer, and a hold with it, which then ends as never forwarded.
        match reply {
            Reply::Hold(admitted, slot, answer) => drop(answer.send(match admitted {
                Admitted::Granted(granted) => self.grant(granted, slot),
                Admitted::Refused(over, resets_at) => HoldAnswer::Refused(over, resets_at),
                Admitted::Stale(epoch) => HoldAnswer::Stale(epoch),
                Admitted::UnknownAgent => HoldAnswer::UnknownAgent,
            })),
            Reply::Denied(index, answer) => drop(answer.send(Ok(index))),
            Reply::Changed(changed, answer) => drop(answer.send(changed)),
            Reply::View(tenant, answer) => {
                let wall = self.clock.now();
                drop(answer.send(Ok(self.shard(&tenant).view(wall))));
            }
        }
    }

    fn grant(&mut self, granted: Granted, slot: OwnedPermit<End>) -> HoldAnswer {
        self.granted.insert(granted.attempt);
        HoldAnswer::Held(Hold::new(granted, slot))
    }

    fn shard(&mut self, tenant: &TenantName) -> &mut Shard {
        self.shards
            .entry(tenant.clone())
            .or_insert_with(|| Shard::new(tenant.clone()))
    }

    /// Gets going again after a failed write. The write may have landed all the same, so the state is folded anew from
    /// what is stored; nothing is ever appended a second time.
    async fn recover(&mut self) {
        let mut waits = RECOVERY_WAITS.into_iter();
        let mut wait = Duration::ZERO;
        loop {
            wait = waits.next().unwrap_or(wait);
            self.refuse_for(wait).await;
            match self.try_recover().await {
                Ok(()) => break tracing::info!("the store can record again"),
                Err(error) => {
                    tracing::error!(%error, "the store still cannot record");
                    self.health.send_replace(Health {
                        trouble: Some(error.to_string()),
                    });
                }
            }
        }
    }

    async fn try_recover(&mut self) -> Result<(), StoreError> {
        self.store.reopen().await?;
        self.store.probe().await?;
        self.refold().await?;
        let (wall, boot) = (self.clock.now(), self.boot);
        let granted = &self.granted;
        for shard in self.shards.values_mut() {
            // Held by this start, but nobody was told so: the write that failed had landed.
            let orphan = |attempt: &Attempt, hold: &ledger::Hold| hold.boot == boot && !granted.contains(attempt);
            let voided = shard.void(wall, orphan);
            voided.map_err(|fault| StoreError::Unavailable(sqlx::Error::Protocol(fault.to_string())))?;
        }
        self.write().await?;
        self.publish();
        Ok(())
    }

    /// Answers everything that comes with a refusal, for a while. Ends wait in their queue.
    async fn refuse_for(&mut self, wait: Duration) {
        let over = tokio::time::sleep(wait);
        pin_mut!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                command = self.commands.recv() => match command {
                    Some(command) => refuse(command),
                    None => return over.await,
                }
            }
        }
    }

    /// Reads the whole log of every tenant into fresh state, checking all of it.
    async fn refold(&mut self) -> Result<(), StoreError> {
        let mut shards = BTreeMap::new();
        for tenant in self.store.reader().tenants().await? {
            let mut shard = Shard::new(tenant.clone());
            let batches = self.store.reader().batches(&tenant, 0);
            pin_mut!(batches);
            while let Some(batch) = batches.next().await {
                let folded = batch?.fold(&mut shard.state, &mut shard.range, |_, _| {});
                folded.map_err(|source| StoreError::Corrupt {
                    tenant: tenant.clone(),
                    source,
                })?;
            }
            shards.insert(tenant, shard);
        }
        self.shards = shards;
        Ok(())
    }
}

fn refuse_reply(reply: Reply) {
    match reply {
        Reply::Hold(_, _, answer) => drop(answer.send(HoldAnswer::Unavailable)),
        Reply::Denied(_, answer) => drop(answer.send(Err(Unavailable))),
        Reply::Changed(_, answer) => drop(answer.send(Err(Unavailable.into()))),
        Reply::View(_, answer) => drop(answer.send(Err(Unavailable))),
    }
}

fn refuse(command: Command) {
    match command {
        Command::Hold(_, _, answer) => drop(answer.send(HoldAnswer::Unavailable)),
        Command::Deny(_, answer) => drop(answer.send(Err(Unavailable))),
        Command::Change(_, _, answer) => drop(answer.send(Err(Unavailable.into()))),
        Command::View(_, answer) => drop(answer.send(Err(Unavailable))),
        // Dropping the sender tells the asker that there is no answer.
        Command::Remember(..) | Command::Checkpoint(..) | Command::Stop(..) => {}
    }
}
