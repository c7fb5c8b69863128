//! One tenant's log as the committer writes it: commands in, entries out. No I/O.

use std::collections::{BTreeMap, HashMap};

use entry::{
    Action, AskEnd, Denial, Entry, EntryError, Event, Intent, Over, Replay, Status, Stopper, VERSION, recorded_tools,
};
use ledger::{Attempt, BreakerStop, Limited, NotAdmitted, Pot};
use model::{ActionId, AdminName, AgentName, BatchId, NanoUsd, Reason, TenantName, Timestamp};
use tlog::{CompactRange, leaf_hash};

use super::{
    command::{Ask, ChangeError, Changed, Denied, HoldRequest, Replayed, View},
    telling::is_told,
};
use crate::{
    Batch, Ending, Head,
    hold::{Asked, End, Granted},
    log,
};

/// A tenant's state, its tree, and the entries that wait for the next commit.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) state: entry::State,
    pub(crate) range: CompactRange,
    waiting: Vec<u8>,
    pub(super) waiting_count: u64,
    /// Whether the last entry says that the server stopped.
    pub(super) stopped: bool,
    /// The pots that agents' allowances are reserved in, and the control epoch as of which.
    pub(super) standing: (u64, HashMap<AgentName, Vec<Pot>>),
    /// What operators are to be told of the entries that wait: thresholds, and what breakers do.
    pub(super) told: Vec<Event>,
    /// Why what an entry owes could not be paid. From then on this state takes no entry, and what waits must not be
    /// written: the log could never go on.
    pub(super) unpaid: Option<String>,
    /// How often the end of an attempt owed what could not be paid.
    pub(super) refused: BTreeMap<Attempt, u32>,
    #[cfg(test)]
    pub(super) faults: Option<crate::db::faults::Faults>,
}

/// What a hold request led to, once the batch is durable.
#[derive(Debug)]
pub(crate) enum Admitted {
    Granted(Granted),
    Refused(Box<Over>, Option<Timestamp>),
    Asked(Asked),
    Waiting,
    Broken(Box<BreakerStop>),
    RateLimited(Box<Limited>),
    AskRefused(Box<Over>, Box<(AdminName, String)>),
    Stale(u64),
    Repeated(ActionId),
    UnknownAgent,
    /// Its intent cannot be an entry; a denial can.
    Unrecordable,
}

/// What stopped an action that policy had permitted.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    pub(super) over: Option<Over>,
    pub(super) limited: Option<Box<Limited>>,
    pub(super) breaker: Option<Stopper>,
}

impl Shard {
    pub(crate) fn new(tenant: TenantName) -> Self {
        Self {
            state: entry::State::new(tenant),
            range: CompactRange::new(),
            waiting: Vec::new(),
            waiting_count: 0,
            stopped: false,
            standing: Default::default(),
            told: Vec::new(),
            unpaid: None,
            refused: BTreeMap::new(),
            #[cfg(test)]
            faults: None,
        }
    }

    /// Takes over what another shard of this log had to remember of ends that cannot be recorded as they are.
    pub(super) fn remember(&mut self, before: &Self) {
        let open = |attempt: &Attempt| self.state.open.contains_key(attempt);
        let refused = before.refused.iter().filter(|(attempt, _)| open(attempt));
        self.refused = refused.map(|(attempt, times)| (*attempt, *times)).collect();
    }

    /// Tenant time never goes backwards, whatever the wall clock does.
    pub(crate) fn at(&self, wall: Timestamp) -> Timestamp {
        self.state.time.max(wall)
    }

    /// Appends an entry, to be written with the next commit. After an error nothing has changed.
    pub(crate) fn push(&mut self, event: Event, wall: Timestamp) -> Result<u64, EntryError> {
        let entry = self.entry(event, wall);
        self.append(&entry)
    }

    /// The entry that comes next, if it is this one.
    pub(super) fn entry(&self, event: Event, wall: Timestamp) -> Entry {
        Entry {
            v: VERSION,
            tenant: self.state.tenant.clone(),
            index: self.state.size,
            time: self.at(wall),
            event,
        }
    }

    fn append(&mut self, entry: &Entry) -> Result<u64, EntryError> {
        let bytes = entry.encode()?;
        self.append_as(entry, &bytes)
    }

    /// Appends an entry that was encoded to these bytes.
    pub(super) fn append_as(&mut self, entry: &Entry, bytes: &[u8]) -> Result<u64, EntryError> {
        self.state.apply(entry)?;
        if is_told(&entry.event) {
            self.told.push(entry.event.clone());
        }
        self.range.append(leaf_hash(bytes));
        // MAX_ENTRY_BYTES is far below what the u16 of the format holds, so this always fits.
        log::push(&mut self.waiting, bytes);
        self.waiting_count += 1;
        self.stopped = matches!(entry.event, Event::Stopped { .. });
        Ok(entry.index)
    }

    /// Admits or refuses an attempt. What it answers holds once the next commit succeeded.
    pub(crate) fn hold(&mut self, request: HoldRequest, boot: u64, wall: Timestamp) -> Result<Admitted, EntryError> {
        let now = self.at(wall);
        let agent = self.state.agents.get(&request.ask.action.agent);
        let Some(seq) = agent.filter(|agent| agent.record.is_some()).map(|agent| agent.seq + 1) else {
            return Ok(Admitted::UnknownAgent);
        };
        if request.epoch != self.state.epoch {
            return Ok(Admitted::Stale(self.state.epoch));
        }
        if let Some(action) = self.repeated(&request, now) {
            let denied = Denied {
                ask: request.ask,
                reason: Reason::IdempotencyKeyUsed,
                why: Some(request.why),
                input: None,
            };
            self.denial(denied, Stopped::default(), wall)?;
            return Ok(Admitted::Repeated(action));
        }
        if let Some(refused) = self.refused_meanwhile(&request, wall)? {
            return Ok(refused);
        }
        let charge = request.charge();
        let mut tools = self.state.counted.tools(&request.tools);
        if request.all_tools {
            // Rules select by those that they name, so more of them change nothing.
            tools = recorded_tools(&request.tools).unwrap_or(tools);
        }
        if let Some(stopped) = self.broken(&request, &tools, wall)? {
            return Ok(stopped);
        }
        if let Some(limited) = self.rate_limited(&request, &tools, &charge, wall)? {
            return Ok(limited);
        }
        let pots = self.state.pots(&request.ask.action, &tools).unwrap_or_default();
        let bookings = match self.state.ledger.admit(&pots, &charge, now) {
            Ok(bookings) => bookings,
            Err(NotAdmitted::Refused(refusal)) => return self.no_room(request, *refusal, boot, wall),
            Err(NotAdmitted::Error(error)) => {
                self.unrecordable(request.ask.action, &error.into(), wall)?;
                return Ok(Admitted::Unrecordable);
            }
        };
        let remaining = self.remaining(&bookings, &charge);
        let warnings = self.warnings(&bookings, now);
        let tokens = self.counts_tokens(&bookings).then_some(request.tokens);
        let (attempt, amount) = (request.name(), request.amount);
        let wanted = self.state.breakers.wants_steps();
        let intent = Intent {
            action: Action {
                seq,
                ..request.ask.action
            },
            attempt: request.attempt,
            why: request.why,
            prices: request.prices,
            stream: request.stream,
            limit: request.limit,
            bound: request.bound,
            bytes: request.bytes,
            request: request.request,
            hold: amount,
            tokens,
            tools,
            tool_count: u64::try_from(request.tools.len()).unwrap_or(u64::MAX),
            step: request.next.calls.filter(|_| wanted.calls),
            result_step: request.next.results.filter(|_| wanted.results),
            bookings,
            expires: now.saturating_add_micros(request.lifetime_us),
            boot,
            idempotency: request.idempotency,
            spooled: None,
        };
        let entry = self.entry(Event::Intent(intent), wall);
        let intent = match (self.append(&entry), entry.event) {
            (Ok(index), _) => index,
            (Err(error), Event::Intent(intent)) => {
                self.unrecordable(intent.action, &error, wall)?;
                return Ok(Admitted::Unrecordable);
            }
            (Err(error), _) => return Err(error),
        };
        let cautions = self.cautions();
        self.pay_owed(wall)?;
        Ok(Admitted::Granted(Granted {
            tenant: self.state.tenant.clone(),
            attempt,
            amount,
            remaining,
            warnings,
            cautions,
            intent,
            placed: now,
        }))
    }

    /// The number of an agent's next action.
    pub(super) fn next_seq(&self, agent: &AgentName) -> u64 {
        self.state.agents.get(agent).map_or(0, |agent| agent.seq) + 1
    }

    /// The other action that the request's idempotency key belongs to.
    fn repeated(&self, request: &HoldRequest, now: Timestamp) -> Option<ActionId> {
        let Action { agent, id, .. } = &request.ask.action;
        let key = request.idempotency.as_ref()?;
        self.state.repeats.find(agent, key, now).filter(|action| action != id)
    }

    /// Records that a reply is delivered again.
    pub(crate) fn replay(&mut self, replayed: Replayed, wall: Timestamp) -> Result<u64, EntryError> {
        let Replayed { ask, why, of } = replayed;
        let agent = self.state.agents.get(&ask.action.agent);
        let seq = agent.map_or(0, |agent| agent.seq) + 1;
        let action = Action { seq, ..ask.action };
        let entry = self.entry(Event::Replay(Replay { action, why, of }), wall);
        let appended = self.append(&entry);
        if let (Err(error), Event::Replay(replay)) = (&appended, entry.event) {
            self.unrecordable(replay.action, error, wall)?;
        }
        appended
    }

    /// Records that an action was refused whose own entry is refused, by the log or for its length.
    pub(super) fn unrecordable(
        &mut self,
        action: Action,
        error: &EntryError,
        wall: Timestamp,
    ) -> Result<u64, EntryError> {
        tracing::error!(%error, action = %action.id, "a call cannot be recorded as it is, so it is refused");
        let denied = Denied {
            ask: Ask {
                tenant: self.state.tenant.clone(),
                action,
            },
            reason: Reason::GovernanceUnavailable,
            why: None,
            input: None,
        };
        self.denial(denied, Stopped::default(), wall)
    }

    /// Records a denial that was decided elsewhere.
    pub(crate) fn deny(&mut self, denied: Denied, wall: Timestamp) -> Result<u64, EntryError> {
        self.denial(denied, Stopped::default(), wall)
    }

    pub(super) fn denial(&mut self, denied: Denied, by: Stopped, wall: Timestamp) -> Result<u64, EntryError> {
        let Denied {
            ask,
            reason,
            why,
            input,
        } = denied;
        let agent = self.state.agents.get(&ask.action.agent);
        let seq = agent.map_or(0, |agent| agent.seq) + 1;
        let denial = Denial {
            action: Action { seq, ..ask.action },
            reason,
            why,
            over: by.over,
            limited: by.limited,
            breaker: by.breaker,
            input,
        };
        let mut entry = self.entry(Event::Denial(denial), wall);
        let appended = self.append(&entry);
        if let (Err(EntryError::TooLong { .. }), Event::Denial(denial)) = (&appended, &mut entry.event) {
            // What callers and policies name can be too long; who was refused, and why, is recorded without.
            (denial.why, denial.input) = (None, None);
            (denial.action.run, denial.action.task) = (None, None);
            denial.action.model.clear();
            return self.append(&entry);
        }
        appended
    }

    /// Ends a hold as its owner says. An end of a hold that was booked by expiry meanwhile changes nothing.
    pub(crate) fn end(&mut self, end: &End, wall: Timestamp) {
        if self.state.open.contains_key(&end.attempt) {
            self.outcome(end.attempt, &end.ending, wall);
        } else if self.state.asks.contains_key(&end.attempt) {
            self.end_ask(end.attempt, AskEnd::Withdrawn, wall);
        } else {
            tracing::warn!(action = %end.attempt.action, "an outcome came after its hold was booked in full");
        }
    }

    /// Ends an open hold. Nothing of unbounded length gets into the entry, so it can always be recorded.
    ///
    /// What it owes can be paid too. Should that fail all the same, nothing of the batch is written, the log is folded
    /// anew, and this end is booked in full as one of which nobody knows: that owes less, and no money is lost. If even
    /// that fails, the hold stays open with its money held until the next start, and the log goes on.
    fn outcome(&mut self, attempt: Attempt, ending: &Ending, wall: Timestamp) -> bool {
        let (Some(open), Some(hold)) = (self.state.open.get(&attempt), self.state.ledger.hold(&attempt)) else {
            return false;
        };
        let held = hold.amount.money;
        let outcome = match self.refused.get(&attempt) {
            None => ending.outcome(attempt, open.index, held),
            Some(1) => Ending::unknown(Status::Indeterminate, held).outcome(attempt, open.index, held),
            Some(_) => return false,
        };
        let recorded = self.push(Event::Outcome(outcome), wall).and_then(|_| {
            let paid = self.pay_owed(wall);
            if paid.is_err() {
                *self.refused.entry(attempt).or_default() += 1;
            }
            paid
        });
        recorded
            .inspect_err(|error| tracing::error!(action = %attempt.action, %error, "an outcome cannot be recorded"))
            .is_ok()
    }

    /// Records, right behind an outcome, what follows from it. Each says less than the intent did, so it is no longer than
    /// an entry may be.
    pub(super) fn pay_owed(&mut self, wall: Timestamp) -> Result<(), EntryError> {
        while let Some(owed) = self.state.owed.front().cloned() {
            #[cfg(test)]
            let owed = match &self.faults {
                Some(faults) if faults.refuses() => Event::Stopped {
                    node: String::new(),
                    boot: 0,
                    why: String::new(),
                },
                _ => owed,
            };
            let kind = owed.kind();
            if let Err(error) = self.push(owed, wall) {
                self.unpaid.get_or_insert_with(|| format!("{kind}: {error}"));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Books in full every hold that `dead` says has no owner any more. Returns how many.
    pub(crate) fn book(&mut self, wall: Timestamp, dead: impl Fn(&Attempt, &ledger::Hold, Timestamp) -> bool) -> usize {
        let now = self.at(wall);
        let lost = self.holds(|attempt, hold| dead(attempt, hold, now));
        let booked = lost.into_iter().filter(|(attempt, held)| {
            let ending = Ending::unknown(Status::Indeterminate, *held);
            self.outcome(*attempt, &ending, wall)
        });
        booked.count()
    }

    /// Ends, as never forwarded, the holds that were written by a commit whose callers were told that it failed.
    pub(crate) fn void(&mut self, wall: Timestamp, orphan: impl Fn(&Attempt, &ledger::Hold) -> bool) {
        for (attempt, _) in self.holds(orphan) {
            self.outcome(attempt, &Ending::unused(Status::NotForwarded), wall);
        }
    }

    /// Some of the open holds, in an order that does not depend on hashing.
    fn holds(&self, of_interest: impl Fn(&Attempt, &ledger::Hold) -> bool) -> Vec<(Attempt, NanoUsd)> {
        let holds = self.state.ledger.holds();
        let mut holds: Vec<_> = holds
            .filter(|(attempt, hold)| of_interest(attempt, hold))
            .map(|(attempt, hold)| (*attempt, hold.amount.money))
            .collect();
        holds.sort_unstable();
        holds
    }

    /// Records a change, whole or not at all.
    pub(crate) fn change(&mut self, mut events: Vec<Event>, wall: Timestamp) -> Result<Changed, ChangeError> {
        let first_index = self.state.size;
        if events.len() <= 1 {
            // One entry is taken whole or not at all: no copy is needed.
            let pushed = events.pop().map_or(Ok(0), |event| self.push(event, wall));
            pushed.map_err(|error| ChangeError::Refused(error.to_string()))?;
            return Ok(self.changed(first_index));
        }
        // Changes are rare, so they may cost a copy: a refusal half-way leaves no trace.
        let mut trial = Self {
            state: self.state.clone(),
            range: self.range.clone(),
            ..Self::new(self.state.tenant.clone())
        };
        for event in events {
            let pushed = trial.push(event, wall);
            pushed.map_err(|error| ChangeError::Refused(error.to_string()))?;
        }
        self.waiting.extend_from_slice(&trial.waiting);
        self.waiting_count += trial.waiting_count;
        (self.state, self.range, self.stopped) = (trial.state, trial.range, trial.stopped);
        self.told.extend(trial.told);
        Ok(self.changed(first_index))
    }

    pub(super) fn changed(&self, first_index: u64) -> Changed {
        Changed {
            first_index,
            epoch: self.state.epoch,
            time: self.state.time,
        }
    }

    /// Takes what waits as one batch.
    pub(crate) fn take_batch(&mut self, id: BatchId, boot: u64) -> Option<Batch> {
        let count = std::mem::take(&mut self.waiting_count);
        let first_index = self.state.size.saturating_sub(count);
        let range = log::keeps_range(first_index, count).then(|| self.range.to_bytes());
        (count > 0).then(|| Batch {
            first_index,
            count,
            id,
            boot,
            epoch: self.state.epoch,
            time: self.state.time,
            root: self.range.root(),
            range: range.unwrap_or_default(),
            entries: std::mem::take(&mut self.waiting),
        })
    }

    pub(crate) fn head(&self) -> Head {
        Head {
            size: self.state.size,
            root: self.range.root(),
            epoch: self.state.epoch,
            time: self.state.time,
        }
    }

    pub(crate) fn view(&self) -> View {
        let state = &self.state;
        View {
            tenant: state.tenant.clone(),
            epoch: state.epoch,
            size: state.size,
            time: state.time,
            agents: state.agents.clone(),
            keys: state.keys.clone(),
            peps: state.peps.peps.clone(),
            pep_keys: state.peps.keys.clone(),
            entities: state.peps.entities,
            admins: state.admins.clone(),
            budgets: state.ledger.declared().collect(),
            budget_facts: state.budgets.clone(),
            asks: state.asks.values().cloned().collect(),
            policy_files: state.policy_files.clone(),
            bundle: state.bundle,
            prices: state.prices,
            upstreams: state.upstreams.clone(),
            distrusted: state.distrusted.clone(),
            steps: state.breakers.wants_steps(),
            open: state
                .open
                .iter()
                .map(|(attempt, open)| (attempt.action, open.agent.clone()))
                .collect(),
            evidence: state.evidence.clone(),
        }
    }
}
