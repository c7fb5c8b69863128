//! The committer as others see it: questions that wait for an answer, never for each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use entry::{Decided, Event};
use model::{AdminName, BudgetName, TenantName, Timestamp};
use tlog::Hash;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

use super::{
    command::{
        BalanceQuery, Balances, ChangeError, Changed, Command, Decide, DecideError, Denied, EditOrder, HoldAnswer,
        HoldRequest, Person, Recording, Replayed, Rules, RulesQuery, Unavailable, View,
    },
    health::SLOW,
    stats::Stats,
};
use crate::{
    Expiry, StoreError,
    entity::{EntityChanges, EntityError},
    hold::End,
    spool::Order,
};

/// A committed tree head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The control epoch.
    pub epoch: u64,
    /// The tenant's time.
    pub time: Timestamp,
}

/// The committed head of each tenant.
pub type Heads = BTreeMap<TenantName, Head>;

/// Whether the store can record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why no hold is given; `None` when all is well.
    pub trouble: Option<String>,
    /// Whether nothing at all can be recorded: a write failed or does not end. Everything is refused at once then.
    pub down: bool,
}

/// How long a stop waits for a disk that may never answer.
const STOP_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 20 });

/// A way to reach the spool.
#[derive(Clone, Debug)]
pub(super) struct SpoolHandle {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) ends: mpsc::Sender<End>,
}

/// A way to reach the committer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) ends: mpsc::Sender<End>,
    pub(super) heads: watch::Receiver<Heads>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) epochs: watch::Receiver<u64>,
    pub(super) spool: Option<SpoolHandle>,
    pub(super) stats: Arc<Stats>,
    pub(super) boot: u64,
}

impl Handle {
    /// Asks for a hold: durable when this returns [`HoldAnswer::Held`].
    pub fn hold(&self, request: HoldRequest) -> impl Future<Output = HoldAnswer> {
        let request = Box::new(request);
        async {
            // The place for the end is taken first, so that ending a hold can neither wait nor fail.
            let slot = match self.ends.clone().try_reserve_owned() {
                Ok(slot) => slot,
                Err(TrySendError::Full(_)) => return HoldAnswer::Overloaded,
                Err(TrySendError::Closed(_)) => return HoldAnswer::Unavailable,
            };
            self.ask(|answer| Command::Hold(request, slot, answer))
                .await
                .unwrap_or(HoldAnswer::Unavailable)
        }
    }

    /// Asks for a hold on the agent's allowance, because nothing can be recorded: its intent is durable in the spool when
    /// this returns [`HoldAnswer::Held`]. Otherwise it is [`HoldAnswer::Unavailable`], or [`HoldAnswer::Overloaded`]. A request
    /// decided under another epoch than the committed one is refused too: what changed may have been a revocation.
    pub async fn hold_on_allowance(&self, request: HoldRequest) -> HoldAnswer {
        let Some(spool) = self.spool.as_ref().filter(|_| self.health.borrow().down) else {
            return HoldAnswer::Unavailable;
        };
        let epoch = self.heads.borrow().get(&request.ask.tenant).map(|head| head.epoch);
        if epoch != Some(request.epoch) {
            return HoldAnswer::Unavailable;
        }
        // Places for its end on both ways, whichever it will take.
        let (slot, here) = match (
            self.ends.clone().try_reserve_owned(),
            spool.ends.clone().try_reserve_owned(),
        ) {
            (Ok(slot), Ok(here)) => (slot, here),
            (Err(TrySendError::Closed(_)), _) | (_, Err(TrySendError::Closed(_))) => return HoldAnswer::Unavailable,
            _ => return HoldAnswer::Overloaded,
        };
        let (answer, answered) = oneshot::channel();
        let asking = async {
            let order = Order::Hold(Box::new(request), slot, here, answer);
            spool.orders.send(order).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(SLOW, asking).await {
            Ok(Some(hold)) => HoldAnswer::Held(hold),
            _ => HoldAnswer::Unavailable,
        }
    }

    /// Records a denial. Returns the entry's index once it is durable.
    pub async fn deny(&self, denied: Denied) -> Result<u64, Unavailable> {
        let denied = Box::new(denied);
        self.ask(|answer| Command::Deny(denied, answer))
            .await
            .and_then(|answer| answer)
    }

    /// Records that a reply is delivered again. Returns the entry's index once it is durable.
    pub async fn replay(&self, replayed: Replayed) -> Result<u64, Unavailable> {
        self.ask(|answer| Command::Replay(Box::new(replayed), answer))
            .await
            .and_then(|answer| answer)
    }

    /// Records what an enforcement point is answered; its `seq`, `left_out` and `at` are set here. `epoch` is the control
    /// epoch of the view that it was decided under. Returns the entry's index, where the answer waits for it. Until this
    /// returns nothing may be answered; and while nothing can be recorded, nothing is, in either mode.
    pub async fn decide(
        &self,
        tenant: TenantName,
        epoch: u64,
        decided: Decided,
        recording: Recording,
    ) -> Result<Option<u64>, DecideError> {
        let mut decide = Box::new(Decide {
            tenant,
            since: None,
            decided,
        });
        match recording {
            Recording::Durable => {
                let index = self.ask(|answer| Command::Decide(decide, Some(answer))).await??;
                Ok(Some(index))
            }
            Recording::Buffered => {
                let place = self.place().await?;
                // Nobody hears of what the log refuses later, so it must be known now that it will not.
                let head = self.heads.borrow().get(&decide.tenant).copied();
                let committed = head.map_or(0, |head| head.epoch);
                if committed != epoch {
                    let why = "something that decisions depend on has changed".to_owned();
                    return Err(DecideError::Stale { epoch: committed, why });
                }
                decide.since = head.map(|head| head.time);
                // Counted first, so that it cannot be durable before it was counted.
                self.stats.decisions_waiting.fetch_add(1, Relaxed);
                place.send(Command::Decide(decide, None));
                Ok(None)
            }
        }
    }

    /// A place among what waits, for what nobody waits for then.
    async fn place(&self) -> Result<mpsc::Permit<'_, Command>, Unavailable> {
        let mut health = self.health.clone();
        let broken = |health: &Health| health.down || health.trouble.is_some();
        if broken(&health.borrow()) {
            // Who asks again and again must not keep others from running.
            tokio::task::yield_now().await;
            return Err(Unavailable);
        }
        tokio::select! {
            biased;
            _ = health.wait_for(broken) => Err(Unavailable),
            place = self.commands.reserve() => place.map_err(|_| Unavailable),
        }
    }

    /// Stores and removes entities that policies read: all, or none, with the entry that says so.
    pub async fn change_entities(&self, changes: EntityChanges) -> Result<Changed, EntityError> {
        changes.check()?;
        self.ask(|answer| Command::ChangeEntities(Box::new(changes), answer))
            .await?
    }

    /// Records a change: all of the events, or none.
    pub async fn change(&self, tenant: TenantName, events: Vec<Event>) -> Result<Changed, ChangeError> {
        self.ask(|answer| Command::Change(tenant, events, answer)).await?
    }

    /// Changes a budget while traffic flows.
    pub async fn edit_budget(
        &self,
        tenant: TenantName,
        budget: BudgetName,
        order: EditOrder,
        note: String,
        by: AdminName,
    ) -> Result<Changed, ChangeError> {
        let order = Box::new((tenant, budget, order, note, by));
        self.ask(|answer| Command::Edit(order, answer)).await?
    }

    /// Lets go what [`Reader::expiry`](crate::Reader::expiry) found: when this returns, the log says so. The bytes go later,
    /// once that is signed.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] under a legal hold, and while what was let go before is still there.
    pub async fn expire(&self, tenant: TenantName, expiry: Expiry, by: AdminName) -> Result<Changed, ChangeError> {
        let order = Box::new((tenant, expiry, by));
        self.ask(|answer| Command::Expire(order, answer)).await?
    }

    /// How budgets stand as of the last commit.
    pub async fn balances(&self, tenant: TenantName, query: BalanceQuery) -> Result<Balances, Unavailable> {
        self.ask(|answer| Command::Balances(tenant, query, answer)).await?
    }

    /// Rate limits and circuit breakers as of the last commit, and who is stopped.
    pub async fn rules(&self, tenant: TenantName, query: RulesQuery) -> Result<Rules, Unavailable> {
        self.ask(|answer| Command::Rules(tenant, query, answer)).await?
    }

    /// Reads a tenant's state as of the last commit.
    pub async fn view(&self, tenant: TenantName) -> Result<View, Unavailable> {
        self.ask(|answer| Command::View(tenant, answer)).await?
    }

    /// Keeps who is behind pseudonyms, outside the log.
    pub async fn remember(&self, tenant: TenantName, persons: Vec<Person>) -> Result<(), StoreError> {
        self.ask(|answer| Command::Remember(tenant, persons, answer))
            .await
            .map_err(|Unavailable| StoreError::Down)?
    }

    /// Keeps the last signed checkpoint of a tenant.
    pub async fn save_checkpoint(&self, tenant: TenantName, size: u64, note: String) -> Result<(), StoreError> {
        self.ask(|answer| Command::Checkpoint(tenant, size, note, answer))
            .await
            .map_err(|Unavailable| StoreError::Down)?
    }

    /// Writes what is left and records the stop. Holds that end later are booked at the next start; nothing but
    /// checkpoints is kept any more. A disk that does not answer is waited for only so long.
    pub async fn stop(&self, why: &str) {
        self.order(|answer| Command::Stop(why.to_owned(), answer)).await;
    }

    /// Closes the database, once the stop is recorded.
    pub async fn close(&self) {
        self.order(Command::Close).await;
    }

    /// The committed heads, as they move.
    pub fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.clone()
    }

    /// A tenant's time as of its last commit: it never goes back, whatever is done to the wall clock.
    pub fn time(&self, tenant: &TenantName) -> Option<Timestamp> {
        self.heads.borrow().get(tenant).map(|head| head.time)
    }

    /// Whether the store can record, as it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// The sum of all tenants' control epochs, as it grows: something that decisions depend on was committed, by whomever.
    /// The heads say whose.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.clone()
    }

    /// Counters for metrics.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The how many-th start of the data directory this is.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Holds that have not ended, as of the last commit.
    pub fn open_holds(&self) -> u64 {
        self.stats.open_holds.load(Relaxed)
    }

    /// Asks, and waits for the answer or for the news that there will be none: never for a disk that does not answer.
    /// What is granted to somebody who no longer waits is given back by whoever answers.
    fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> impl Future<Output = Result<T, Unavailable>> {
        let (answer, answered) = oneshot::channel();
        // Made at once: what it is made of would be kept as long as the answer is waited for.
        let command = command(answer);
        async move {
            let mut health = self.health.clone();
            if health.borrow().down {
                // Who asks again and again must not keep others from running.
                tokio::task::yield_now().await;
                return Err(Unavailable);
            }
            let asking = async {
                self.commands.send(command).await.map_err(|_| Unavailable)?;
                answered.await.map_err(|_| Unavailable)
            };
            tokio::select! {
                biased;
                answer = asking => answer,
                _ = health.wait_for(|health| health.down) => Err(Unavailable),
            }
        }
    }

    /// Gives an order that concerns a failing store too.
    async fn order(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let ordering = async {
            let (answer, answered) = oneshot::channel();
            // Errors mean that it was done before.
            if self.commands.send(command(answer)).await.is_ok() {
                let _ = answered.await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, ordering).await.is_err() {
            tracing::error!("the disk does not answer: stopping without it; open holds are booked at the next start");
        }
    }
}
