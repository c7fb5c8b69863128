//! Allowances: reserved while the log can be written, spent from the spool while it cannot, and taken into the log again.

use std::{collections::BTreeMap, time::Duration};

use entry::{Action, Allowance, Entry, EntryError, Event, Intent, Outcome, SpoolApplied};
use ledger::{BreakerStanding, Charge, LedgerError, MAX_BREAKER_KEYS, Pot, Scope};
use model::{AgentName, NanoUsd, TenantName, Timestamp};
use tokio::sync::oneshot;

use super::{health::SLOW, run::Committer, shard::Shard};
use crate::{
    Clock, StoreError,
    spool::{Allowances, Contents, Order, SpoolFile},
};

/// What a look at an agent's allowance found.
enum Due {
    Release,
    Hold(NanoUsd),
    Renew(NanoUsd),
}

impl Shard {
    /// Reserves the allowances that manifests declare, renews those that were used or whose period is over, and gives back
    /// those that are declared no more. Returns whether anything changed.
    pub(crate) fn tend(&mut self, wall: Timestamp, spooling: bool) -> Result<bool, EntryError> {
        let now = self.at(wall);
        self.find_standing_pots();
        let stopped = self.stopped(now);
        let agents = self.state.agents.keys();
        let mut due: Vec<_> = agents
            .filter_map(|agent| Some((agent.clone(), self.due(agent, &stopped, now, spooling)?)))
            .collect();
        due.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let any = !due.is_empty();
        for (agent, due) in due {
            match due {
                Due::Release => self.release_allowance(agent, wall)?,
                Due::Hold(declared) => self.hold_allowance(agent, declared, wall)?,
                Due::Renew(declared) => {
                    self.release_allowance(agent.clone(), wall)?;
                    self.hold_allowance(agent, declared, wall)?;
                }
            }
        }
        Ok(any)
    }

    /// Finds the pots that allowances are reserved in. That looks at every budget, so it is done only when something was
    /// declared or changed since.
    fn find_standing_pots(&mut self) {
        let (epoch, found) = &mut self.standing;
        if *epoch == self.state.epoch {
            return;
        }
        *epoch = self.state.epoch;
        let declare = self.state.agents.iter().filter(|(_, agent)| {
            let record = agent.record.as_ref();
            record.is_some_and(|record| record.allowance.is_some())
        });
        *found = declare
            .map(|(agent, _)| (agent.clone(), self.state.standing_pots(agent).unwrap_or_default()))
            .collect();
    }

    /// The pots that an agent's allowance is reserved in; none if what it asks for decides which budgets it has.
    fn standing_pots(&self, agent: &AgentName) -> &[Pot] {
        self.standing.1.get(agent).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whom circuit breakers stop: agents, teams, and runs as `agent/run`.
    fn stopped(&self, now: Timestamp) -> Vec<BreakerStanding> {
        self.state.breakers.standing(None, now, false, MAX_BREAKER_KEYS)
    }

    /// Whether a breaker stops an agent, or a run of it: it must not go on while nothing can be recorded.
    fn is_stopped(&self, agent: &AgentName, stopped: &[BreakerStanding]) -> bool {
        let record = self.state.agents.get(agent).and_then(|agent| agent.record.as_ref());
        stopped.iter().any(|standing| match standing.scope {
            Scope::Team => record.is_some_and(|record| record.team == standing.of),
            Scope::Agent => standing.of == agent.as_str(),
            Scope::Run => standing.of.split('/').next() == Some(agent.as_str()),
        })
    }

    fn due(&self, agent: &AgentName, stopped: &[BreakerStanding], now: Timestamp, spooling: bool) -> Option<Due> {
        let record = self.state.agents.get(agent)?.record.as_ref();
        let declared = record.and_then(|record| record.allowance).filter(|_| spooling);
        let declared = declared.filter(|_| !self.is_stopped(agent, stopped));
        let held = self.state.ledger.allowance(agent);
        match (declared, held) {
            (None, None) => None,
            (None, Some(_)) => Some(Due::Release),
            (Some(declared), None) => (self.room(agent, now) > NanoUsd::ZERO).then_some(Due::Hold(declared)),
            (Some(declared), Some(held)) => {
                let pots = self.standing_pots(agent);
                if pots.iter().any(|pot| self.state.ledger.overlay(&pot.budget).1) {
                    return Some(Due::Release);
                }
                let same = held.bookings.len() == pots.len();
                let same = same && held.bookings.iter().zip(pots).all(|(booking, pot)| booking.is_in(pot));
                let over = !same || held.bookings.iter().any(|booking| booking.period.end <= now);
                // One that a budget has no room for is renewed when there is room for all of it, not little by little.
                let amount = held.amount.money;
                let fits = || self.room(agent, now).saturating_add(amount) >= declared;
                let renew = over || amount > declared || (amount < declared && fits());
                renew.then_some(Due::Renew(declared))
            }
        }
    }

    /// What is left in the tightest of an agent's budgets. Nothing, if what it asks for decides which budgets it has.
    fn room(&self, agent: &AgentName, now: Timestamp) -> NanoUsd {
        let pots = self.standing_pots(agent);
        let left = pots.iter().map(|pot| match self.state.ledger.balance(pot, now) {
            Ok(balance) if !balance.paused => NanoUsd(balance.remaining().0),
            _ => NanoUsd::ZERO,
        });
        left.min().unwrap_or_default()
    }

    fn release_allowance(&mut self, agent: AgentName, wall: Timestamp) -> Result<(), EntryError> {
        self.push(Event::AllowanceReleased { agent }, wall).map(drop)
    }

    fn hold_allowance(&mut self, agent: AgentName, declared: NanoUsd, wall: Timestamp) -> Result<(), EntryError> {
        let now = self.at(wall);
        let amount = declared.min(self.room(&agent, now));
        let pots = self.standing_pots(&agent);
        if pots.is_empty() || amount <= NanoUsd::ZERO {
            return Ok(());
        }
        // Without room there is none: the agent is refused while nothing can be recorded.
        let Ok(bookings) = self.state.ledger.admit(pots, &Charge::of_money(amount), now) else {
            return Ok(());
        };
        let allowance = Allowance {
            agent,
            amount,
            bookings,
        };
        self.push(Event::AllowanceHeld(allowance), wall).map(drop)
    }

    /// Takes the records of a spool that the log does not have yet.
    fn take_spooled(&mut self, spool: &str, records: &[Entry], wall: Timestamp) -> Result<(), EntryError> {
        let taken = self.state.spooled.last.as_ref().filter(|(last, _)| last == spool);
        let taken = taken.map_or(0, |(_, taken)| usize::try_from(*taken).unwrap_or(usize::MAX));
        let fresh = records.get(taken..).unwrap_or_default();
        let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else {
            return Ok(());
        };
        let (mut calls, mut held) = (0, NanoUsd::ZERO);
        for record in fresh {
            match &record.event {
                Event::Intent(intent) => {
                    calls += 1;
                    held = held.saturating_add(intent.hold);
                    self.spooled_intent(intent, wall)?;
                }
                Event::Outcome(outcome) => self.spooled_outcome(outcome, wall)?,
                _ => {
                    return Err(EntryError::Mismatch(
                        "a spool holds calls and how they ended, nothing else",
                    ));
                }
            }
        }
        let applied = SpoolApplied {
            spool: spool.to_owned(),
            records: u64::try_from(records.len()).unwrap_or(u64::MAX),
            calls,
            held,
            from: first.time,
            to: last.time,
        };
        tracing::warn!(
            tenant = %self.state.tenant, calls, held_usd = %held,
            "recorded the calls that were let through on allowances while the log could not be written"
        );
        self.push(Event::SpoolApplied(applied), wall).map(drop)
    }

    fn spooled_intent(&mut self, intent: &Intent, wall: Timestamp) -> Result<(), EntryError> {
        let agent = &intent.action.agent;
        let none = || LedgerError::NoAllowance(agent.clone());
        let allowance = self.state.ledger.allowance(agent).ok_or_else(none)?;
        let seq = self.state.agents.get(agent).map_or(0, |agent| agent.seq) + 1;
        let intent = Intent {
            action: Action {
                seq,
                ..intent.action.clone()
            },
            bookings: allowance.bookings.clone(),
            ..intent.clone()
        };
        self.push(Event::Intent(intent), wall).map(drop)
    }

    fn spooled_outcome(&mut self, outcome: &Outcome, wall: Timestamp) -> Result<(), EntryError> {
        let attempt = outcome.attempt();
        let not_held = || LedgerError::NotHeld(attempt);
        let open = self.state.open.get(&attempt).ok_or_else(not_held)?;
        let hold = self.state.ledger.hold(&attempt).ok_or_else(not_held)?;
        let outcome = Outcome {
            intent: open.index,
            overrun: outcome.cost.saturating_sub(hold.amount.money).at_least_zero(),
            ..outcome.clone()
        };
        self.push(Event::Outcome(outcome), wall)?;
        self.pay_owed(wall)
    }
}

impl<C: Clock> Committer<C> {
    /// What the shards have reserved.
    fn reserved(&self) -> Allowances {
        let shards = self.shards.iter();
        shards
            .flat_map(|(tenant, shard)| {
                let allowances = shard.state.ledger.allowances();
                allowances.map(move |(agent, hold)| ((tenant.clone(), agent.clone()), hold.amount.money))
            })
            .collect()
    }

    /// Reserves and renews what is due.
    pub(super) fn tend(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.tend_due) || self.wall.trouble().is_some() {
            return;
        }
        let spooling = self.spool.is_some();
        for (tenant, shard) in &mut self.shards {
            match shard.tend(now, spooling) {
                Ok(changed) => self.tended |= changed,
                Err(error) => {
                    self.tended = true;
                    tracing::error!(%tenant, %error, "an allowance cannot be reserved");
                }
            }
        }
    }

    /// Before a write that changes allowances: what may be spent is what is reserved whether it lands or not.
    pub(super) fn lower_purse(&self) {
        if let Some(spool) = self.spool.as_ref().filter(|_| self.tended) {
            spool.purse.lower_to(&self.reserved());
        }
    }

    /// After it, if nothing was spent meanwhile: what may be spent is what is reserved.
    pub(super) fn fill_purse(&mut self) {
        if let Some(spool) = self.spool.as_ref().filter(|_| !self.health.borrow().down)
            && std::mem::take(&mut self.tended)
        {
            spool.purse.fill(self.reserved());
        }
    }

    /// Takes what a spool holds into the shards, to be written with the next commit.
    pub(super) fn take_spool(
        &mut self,
        spool: &str,
        records: Vec<Entry>,
        now: Timestamp,
    ) -> Result<(), (TenantName, EntryError)> {
        let mut of_tenants: BTreeMap<TenantName, Vec<Entry>> = BTreeMap::new();
        for record in records {
            of_tenants.entry(record.tenant.clone()).or_default().push(record);
        }
        for (tenant, records) in of_tenants {
            let taken = self.shard_to_change(&tenant, now).take_spooled(spool, &records, now);
            taken.map_err(|error| (tenant, error))?;
        }
        Ok(())
    }

    /// Takes what an earlier start left in the spool. Returns whether there is something to empty.
    pub(super) fn take_left_behind(&mut self, file: &mut SpoolFile, now: Timestamp) -> Result<bool, StoreError> {
        let records = file.read()?;
        let any = !records.is_empty();
        let id = file.id().to_owned();
        self.take_spool(&id, records, now).map_err(|error| self.misfit(error))?;
        Ok(any)
    }

    /// Closes the spool and takes what it holds; the owners of its calls are at work still.
    pub(super) async fn reconcile(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(Contents { id, records, live }) = self.read_spool().await? else {
            return Ok(());
        };
        self.granted.extend(live);
        // Whoever ended its call there sends no end here.
        for record in &records {
            if let Event::Outcome(outcome) = &record.event {
                self.granted.remove(&outcome.attempt());
            }
        }
        self.take_spool(&id, records, now).map_err(|error| self.misfit(error))
    }

    /// A name that no spool of this data directory had before: by it the log knows which records it has.
    pub(super) fn new_spool_id(&mut self) -> String {
        self.spools += 1;
        let random: String = (self.config.random)()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{random}-{}-{}", self.boot, self.spools)
    }

    fn misfit(&self, (tenant, error): (TenantName, EntryError)) -> StoreError {
        StoreError::Spool {
            path: self.config.spool.clone().unwrap_or_default(),
            why: format!("its records do not fit the log of tenant {tenant}: {error}"),
        }
    }

    async fn read_spool(&self) -> Result<Option<Contents>, StoreError> {
        let Some(spool) = &self.spool else { return Ok(None) };
        spool.purse.close();
        let (answer, answered) = oneshot::channel();
        let reading = async {
            spool
                .orders
                .send(Order::Read(answer))
                .await
                .map_err(|_| StoreError::Down)?;
            answered.await.map_err(|_| StoreError::Down)?
        };
        in_time(reading).await.map(Some)
    }

    /// Waits until the ends of calls that began on an allowance, sent so far, are in the queue of all others.
    pub(super) async fn flush_spool(&self) {
        let Some(spool) = &self.spool else { return };
        let (answer, answered) = oneshot::channel();
        let flushing = async {
            let ordered = spool.orders.send(Order::Flush(answer)).await;
            ordered.map_err(|_| StoreError::Down)?;
            answered.await.map_err(|_| StoreError::Down)
        };
        if let Err(error) = in_time(flushing).await {
            tracing::warn!(%error, "ends of calls that began on an allowance may be missing: the next start books them");
        }
    }

    /// What the spool holds is in the log: it is emptied, and what is reserved now may be spent the next time.
    pub(super) async fn empty_spool(&mut self) -> Result<(), StoreError> {
        if self.spool.is_none() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let id = self.new_spool_id();
        let Some(spool) = &self.spool else { return Ok(()) };
        let emptying = async {
            spool
                .orders
                .send(Order::Empty(id, answer))
                .await
                .map_err(|_| StoreError::Down)?;
            answered.await.map_err(|_| StoreError::Down)?
        };
        in_time(emptying).await?;
        spool.purse.fill(self.reserved());
        self.tended = false;
        // What was used is reserved again with the next batch.
        self.tend_due = true;
        Ok(())
    }
}

/// A spool on a disk that does not answer must not keep the committer from answering.
async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let patience: Duration = SLOW;
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or(Err(StoreError::SpoolSlow))
}
