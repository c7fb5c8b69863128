//! The task that writes the spool: calls that are let through, how they ended, and the committer's orders.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use entry::{Action, Entry, Event, Intent, Outcome, VERSION};
use ledger::Attempt;
use model::{AgentName, NanoUsd, TenantName, Timestamp};
use tokio::sync::{
    mpsc::{self, OwnedPermit},
    oneshot,
};

use super::{FIRST_ATTEMPT, Purse, SpoolFile};
use crate::{
    Clock, Hold, HoldRequest, Stats, StoreError,
    hold::{End, Granted},
};

/// How many calls and ends are made durable at once.
const BATCH: usize = 256;

/// A question to the worker and where its answer goes.
#[derive(Debug)]
pub(crate) enum Order {
    /// Let a call through. The first place is for its end in the committer's queue, the second for its end here.
    Hold(
        Box<HoldRequest>,
        OwnedPermit<End>,
        OwnedPermit<End>,
        oneshot::Sender<Hold>,
    ),
    /// Read what is there. Nothing is added until the spool is opened again.
    Read(oneshot::Sender<Result<Contents, StoreError>>),
    /// What is there is in the log: empty it, and hand the ends that came meanwhile to the committer.
    Empty(String, oneshot::Sender<Result<(), StoreError>>),
    /// Hand the ends that came so far to the committer, as far as the log has their intents.
    Flush(oneshot::Sender<()>),
}

/// What a spool holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Which spool.
    pub(crate) id: String,
    /// In the order in which they were written.
    pub(crate) records: Vec<Entry>,
    /// The attempts whose owners are at work, or were, and will say or have said how they ended.
    pub(crate) live: HashSet<Attempt>,
}

/// How the committer reaches the spool.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) purse: Arc<Purse>,
}

/// A call that was let through.
#[derive(Debug)]
struct Live {
    tenant: TenantName,
    agent: AgentName,
    amount: NanoUsd,
    /// The place of its end in the committer's queue.
    slot: OwnedPermit<End>,
    /// Whether its intent is in the spool still, and not in the log.
    spooled: bool,
}

/// A call whose intent is being written.
struct Coming {
    granted: Granted,
    agent: AgentName,
    slot: OwnedPermit<End>,
    here: OwnedPermit<End>,
    answer: oneshot::Sender<Hold>,
}

/// Writes the spool, alone.
pub(crate) struct Worker<C> {
    /// Elsewhere while a thread writes it.
    file: Option<SpoolFile>,
    clock: C,
    boot: u64,
    purse: Arc<Purse>,
    orders: mpsc::Receiver<Order>,
    ending: mpsc::Receiver<End>,
    stats: Arc<Stats>,
    live: HashMap<Attempt, Live>,
    /// Ends that are neither here nor with the committer yet.
    ends: Vec<End>,
    warned: bool,
}

impl<C: Clock> Worker<C> {
    pub(crate) fn new(
        file: SpoolFile,
        clock: C,
        boot: u64,
        purse: Arc<Purse>,
        (orders, ending): (mpsc::Receiver<Order>, mpsc::Receiver<End>),
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            file: Some(file),
            clock,
            boot,
            purse,
            orders,
            ending,
            stats,
            live: HashMap::new(),
            ends: Vec::new(),
            warned: false,
        }
    }

    /// Works until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut orders = Vec::with_capacity(BATCH);
        // The channel of ends stays open as long as the committer has a sender.
        let (mut asking, mut ending) = (true, true);
        while asking || ending {
            tokio::select! {
                biased;
                count = self.ending.recv_many(&mut self.ends, BATCH), if ending => ending = count > 0,
                count = self.orders.recv_many(&mut orders, BATCH), if asking => asking = count > 0,
            }
            self.forward_ends();
            let mut coming = Vec::new();
            for order in orders.drain(..) {
                match order {
                    Order::Hold(request, slot, here, answer) => {
                        coming.extend(self.prepare(*request, slot, here, answer));
                    }
                    Order::Read(answer) => {
                        // What was asked before is written first, so that it is read.
                        self.write(std::mem::take(&mut coming)).await;
                        drop(answer.send(self.read().await));
                    }
                    Order::Empty(id, answer) => drop(answer.send(self.empty(id).await)),
                    Order::Flush(answer) => {
                        // An end that came just before this order may have been missed.
                        while let Ok(end) = self.ending.try_recv() {
                            self.ends.push(end);
                        }
                        self.forward_ends();
                        // Whoever asked may have gone.
                        let _ = answer.send(());
                    }
                }
            }
            self.write(coming).await;
        }
    }

    /// Takes the worst case out of the purse. Without an answer the call is refused.
    fn prepare(
        &mut self,
        request: HoldRequest,
        slot: OwnedPermit<End>,
        here: OwnedPermit<End>,
        answer: oneshot::Sender<Hold>,
    ) -> Option<(Coming, Entry)> {
        // Whether its key was paid for cannot be known now.
        if request.idempotency.is_some() {
            return None;
        }
        let (tenant, agent) = (request.ask.tenant.clone(), request.ask.action.agent.clone());
        let number = request.attempt.checked_add(FIRST_ATTEMPT)?;
        let whose = (tenant.clone(), agent.clone());
        let remaining = self.purse.take(&whose, request.amount)?;
        let now = self.clock.now();
        let attempt = Attempt {
            action: request.ask.action.id,
            number,
        };
        let granted = Granted {
            tenant: tenant.clone(),
            attempt,
            amount: request.amount,
            remaining: Some(remaining),
            warnings: Vec::new(),
            cautions: Vec::new(),
            intent: 0,
            placed: now,
        };
        let intent = Intent {
            action: Action {
                seq: 0,
                ..request.ask.action
            },
            attempt: number,
            why: request.why,
            prices: request.prices,
            stream: request.stream,
            limit: request.limit,
            bound: request.bound,
            bytes: request.bytes,
            request: request.request,
            hold: request.amount,
            // Allowances are reserved in budgets of money only.
            tokens: None,
            tools: Vec::new(),
            tool_count: u64::try_from(request.tools.len()).unwrap_or(u64::MAX),
            step: None,
            result_step: None,
            bookings: Vec::new(),
            expires: now.saturating_add_micros(request.lifetime_us),
            boot: self.boot,
            idempotency: None,
            spooled: Some(now),
        };
        let coming = Coming {
            granted,
            agent,
            slot,
            here,
            answer,
        };
        Some((coming, record(tenant, now, Event::Intent(intent))))
    }

    /// Makes ends and intents durable together, then answers. After a failure the calls are refused and the ends are kept.
    async fn write(&mut self, coming: Vec<(Coming, Entry)>) {
        let (coming, intents): (Vec<_>, Vec<_>) = coming.into_iter().unzip();
        let ends = self.spoolable_ends();
        if coming.is_empty() && ends.is_empty() {
            return;
        }
        let written = self
            .append(ends.iter().map(|(_, record)| record.clone()).chain(intents).collect())
            .await;
        match written {
            Ok(()) => {
                for (end, _) in ends {
                    self.ended(&end);
                }
                for coming in coming {
                    self.let_through(coming);
                }
            }
            Err(error) => {
                self.stats.spool_failures.fetch_add(1, Relaxed);
                tracing::error!(%error, "a call on an allowance cannot be recorded, so it is refused");
                for Coming { granted, agent, .. } in coming {
                    // Should the record have landed all the same, what it took is found when the spool is read.
                    self.refused(&granted, agent);
                }
                self.ends.extend(ends.into_iter().map(|(end, _)| end));
            }
        }
    }

    /// The ends that must be recorded here: those of calls whose intents are.
    fn spoolable_ends(&mut self) -> Vec<(End, Entry)> {
        // Not while the committer takes what is there.
        if !self.purse.is_open() {
            return Vec::new();
        }
        let now = self.clock.now();
        std::mem::take(&mut self.ends)
            .into_iter()
            .map(|end| {
                let record = record(end.tenant.clone(), now, Event::Outcome(outcome(&end, now)));
                (end, record)
            })
            .collect()
    }

    async fn append(&mut self, mut records: Vec<Entry>) -> Result<(), StoreError> {
        let mut file = self.file.take().ok_or(StoreError::Down)?;
        let first = file.records();
        let mut contents = Vec::with_capacity(records.len());
        for (index, record) in (first..).zip(&mut records) {
            record.index = index;
            match record.encode() {
                Ok(content) => contents.push(content),
                Err(error) => {
                    self.file = Some(file);
                    return Err(StoreError::Entry(error));
                }
            }
        }
        // Away from the runtime's threads: the disk may take its time.
        let appended = tokio::task::spawn_blocking(move || {
            let appended = file.append(&contents);
            (file, appended)
        });
        let (file, appended) = appended.await.map_err(|_| StoreError::Down)?;
        self.file = Some(file);
        appended
    }

    fn let_through(&mut self, coming: Coming) {
        let Coming {
            granted,
            agent,
            slot,
            here,
            answer,
        } = coming;
        self.stats.spooled.fetch_add(1, Relaxed);
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!("the log cannot be written: calls are let through on their agents' allowances");
        }
        let live = Live {
            tenant: granted.tenant.clone(),
            agent,
            amount: granted.amount,
            slot,
            spooled: true,
        };
        self.live.insert(granted.attempt, live);
        // A receiver that is gone drops the hold, which then ends as never forwarded.
        drop(answer.send(Hold::new(granted, here)));
    }

    /// The record of a call may be there or not: it keeps what it took until that is known.
    fn refused(&self, granted: &Granted, agent: AgentName) {
        if self.file.as_ref().is_some_and(SpoolFile::is_whole) {
            self.purse.put_back(&(granted.tenant.clone(), agent), granted.amount);
        }
    }

    /// An end is durable here: what it did not use may be spent again.
    fn ended(&mut self, end: &End) {
        if let Some(live) = self.live.remove(&end.attempt) {
            let rest = live
                .amount
                .saturating_sub(end.ending.cost.at_least_zero())
                .at_least_zero();
            self.purse.put_back(&(live.tenant, live.agent), rest);
        }
    }

    /// Hands the ends of calls whose intents are in the log to the committer.
    fn forward_ends(&mut self) {
        for end in std::mem::take(&mut self.ends) {
            let in_log = self.live.get(&end.attempt).is_none_or(|live| !live.spooled);
            match in_log.then(|| self.live.remove(&end.attempt)) {
                Some(Some(live)) => drop(live.slot.send(end)),
                Some(None) => {}
                None => self.ends.push(end),
            }
        }
    }

    async fn read(&mut self) -> Result<Contents, StoreError> {
        let mut file = self.file.take().ok_or(StoreError::Down)?;
        let read = tokio::task::spawn_blocking(move || {
            let records = file.read();
            (file, records)
        });
        let (file, records) = read.await.map_err(|_| StoreError::Down)?;
        let contents = records.map(|records| Contents {
            id: file.id().to_owned(),
            records,
            live: self.live.keys().copied().collect(),
        });
        self.file = Some(file);
        contents
    }

    async fn empty(&mut self, id: String) -> Result<(), StoreError> {
        let mut file = self.file.take().ok_or(StoreError::Down)?;
        let emptied = tokio::task::spawn_blocking(move || {
            // One that holds nothing needs no new name.
            let emptied = if file.records() == 0 { Ok(()) } else { file.reset(&id) };
            (file, emptied)
        });
        let (file, emptied) = emptied.await.map_err(|_| StoreError::Down)?;
        self.file = Some(file);
        emptied?;
        for live in self.live.values_mut() {
            live.spooled = false;
        }
        self.warned = false;
        self.forward_ends();
        Ok(())
    }
}

fn record(tenant: TenantName, time: Timestamp, event: Event) -> Entry {
    Entry {
        v: VERSION,
        tenant,
        index: 0,
        time,
        event,
    }
}

fn outcome(end: &End, now: Timestamp) -> Outcome {
    Outcome {
        spooled: Some(now),
        ..end.ending.outcome(end.attempt, 0, NanoUsd::ZERO)
    }
}
