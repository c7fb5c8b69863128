//! One tenant's log as the committer writes it: commands in, entries out. No I/O.

use entry::{Denial, Entry, EntryError, Event, Intent, Outcome, Over, Status, VERSION};
use ledger::{Attempt, NotAdmitted, Refusal};
use model::{BatchId, NanoUsd, Reason, TenantName, Timestamp};
use tlog::{CompactRange, leaf_hash};

use super::command::{Ask, ChangeError, Changed, Denied, HoldRequest, View};
use crate::{
    Batch, Ending, Head,
    hold::{End, Granted},
    log,
};

/// A tenant's state, its tree, and the entries that wait for the next commit.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) state: entry::State,
    pub(crate) range: CompactRange,
    waiting: Vec<u8>,
    waiting_count: u64,
}

/// What a hold request led to, once the batch is durable.
#[derive(Debug)]
pub(crate) enum Admitted {
    Granted(Granted),
    Refused(Box<Over>, Option<Timestamp>),
    Stale(u64),
    UnknownAgent,
}

/// An entry that cannot be appended.
#[derive(Debug, thiserror::Error)]
#[error("the committer's own entry does not follow from its state: {error}")]
pub(crate) struct Fault {
    pub(crate) error: EntryError,
    /// Whether the state took a part of it: then it cannot be relied on any more and is folded anew.
    spoilt: bool,
}

impl Fault {
    /// Goes on with the batch if this only concerns the command it came from.
    pub(crate) fn survive(self) -> Result<(), Self> {
        if self.spoilt {
            return Err(self);
        }
        tracing::error!(error = %self.error, "a request cannot be recorded and is refused");
        Ok(())
    }
}

impl Shard {
    pub(crate) fn new(tenant: TenantName) -> Self {
        Self {
            state: entry::State::new(tenant),
            range: CompactRange::new(),
            waiting: Vec::new(),
            waiting_count: 0,
        }
    }

    /// Tenant time never goes backwards, whatever the wall clock does.
    fn at(&self, wall: Timestamp) -> Timestamp {
        self.state.time.max(wall)
    }

    /// Appends an entry, to be written with the next commit.
    pub(crate) fn push(&mut self, event: Event, wall: Timestamp) -> Result<u64, Fault> {
        let time = self.at(wall);
        let entry = Entry {
            v: VERSION,
            tenant: self.state.tenant.clone(),
            index: self.state.size,
            time,
            event,
        };
        let bytes = entry.encode().map_err(|error| Fault { error, spoilt: false })?;
        self.state
            .apply(&entry)
            .map_err(|error| Fault { error, spoilt: true })?;
        self.range.append(leaf_hash(&bytes));
        // MAX_ENTRY_BYTES is far below what the u16 of the format holds, so this always fits.
        log::push(&mut self.waiting, &bytes);
        self.waiting_count += 1;
        Ok(entry.index)
    }

    /// Admits or refuses an attempt. What it answers holds once the next commit succeeded.
    pub(crate) fn hold(&mut self, request: &HoldRequest, boot: u64, wall: Timestamp) -> Result<Admitted, Fault> {
        let now = self.at(wall);
        let Some(agent) = self.state.agents.get(&request.ask.action.agent) else {
            return Ok(Admitted::UnknownAgent);
        };
        let Some(record) = &agent.record else {
            return Ok(Admitted::UnknownAgent);
        };
        if request.epoch != self.state.epoch {
            return Ok(Admitted::Stale(self.state.epoch));
        }
        let seq = agent.seq + 1;
        match self.state.ledger.admit(&record.budgets, request.amount, now) {
            Ok(bookings) => {
                let remaining = bookings.iter().map(|booking| {
                    booking
                        .limit
                        .saturating_sub(booking.used)
                        .saturating_sub(request.amount)
                        .at_least_zero()
                });
                let remaining = remaining.min().unwrap_or(NanoUsd::ZERO);
                let intent = Intent {
                    action: entry::Action {
                        seq,
                        ..request.ask.action.clone()
                    },
                    attempt: request.attempt,
                    why: request.why.clone(),
                    prices: request.prices,
                    stream: request.stream,
                    limit: request.limit,
                    bytes: request.bytes,
                    request: request.request.clone(),
                    hold: request.amount,
                    bookings,
                    expires: now.saturating_add_micros(request.lifetime_us),
                    boot,
                };
                let intent = self.push(Event::Intent(intent), wall)?;
                Ok(Admitted::Granted(Granted {
                    tenant: self.state.tenant.clone(),
                    attempt: request.name(),
                    amount: request.amount,
                    remaining,
                    intent,
                    placed: now,
                }))
            }
            Err(NotAdmitted::Refused(refusal)) => self.refuse(request, *refusal, wall),
            Err(NotAdmitted::Error(error)) => Err(Fault {
                error: error.into(),
                spoilt: false,
            }),
        }
    }

    fn refuse(&mut self, request: &HoldRequest, refusal: Refusal, wall: Timestamp) -> Result<Admitted, Fault> {
        let Refusal { balance, amount } = refusal;
        let over = Over {
            limit: balance.spec.limit,
            spent: balance.settled.saturating_add(balance.carried),
            held: balance.held,
            asked: amount,
            budget: balance.spec.name,
        };
        let reason = Reason::BudgetExhausted;
        self.denial(
            &request.ask,
            reason,
            Some(request.why.clone()),
            Some(over.clone()),
            wall,
        )?;
        Ok(Admitted::Refused(Box::new(over), balance.resets_at))
    }

    /// Records a denial that was decided elsewhere.
    pub(crate) fn deny(&mut self, denied: &Denied, wall: Timestamp) -> Result<u64, Fault> {
        self.denial(&denied.ask, denied.reason, denied.why.clone(), None, wall)
    }

    fn denial(
        &mut self,
        ask: &Ask,
        reason: Reason,
        why: Option<entry::Why>,
        over: Option<Over>,
        wall: Timestamp,
    ) -> Result<u64, Fault> {
        let seq = self.state.agents.get(&ask.action.agent).map_or(0, |agent| agent.seq) + 1;
        let action = entry::Action {
            seq,
            ..ask.action.clone()
        };
        self.push(
            Event::Denial(Denial {
                action,
                reason,
                why,
                over,
            }),
            wall,
        )
    }

    /// Ends a hold. An end that comes after the hold was booked by expiry changes nothing.
    pub(crate) fn end(&mut self, end: &End, wall: Timestamp) -> Result<(), Fault> {
        self.outcome(end.attempt, &end.ending, wall)
    }

    fn outcome(&mut self, attempt: Attempt, ending: &Ending, wall: Timestamp) -> Result<(), Fault> {
        let Some(open) = self.state.open.get(&attempt) else {
            tracing::warn!(action = %attempt.action, "an outcome came after its hold was booked in full");
            return Ok(());
        };
        let held = self
            .state
            .ledger
            .hold(&attempt)
            .map_or(NanoUsd::ZERO, |hold| hold.amount);
        let cost = ending.cost.at_least_zero();
        let outcome = Outcome {
            action: attempt.action,
            attempt: attempt.number,
            intent: open.index,
            status: ending.status,
            http: ending.http,
            usage: ending.usage,
            source: ending.source,
            cost,
            overrun: cost.saturating_sub(held).at_least_zero(),
            duration_us: ending.duration_us,
            bytes: ending.bytes,
            reply: ending.reply.clone(),
            provider_id: ending.provider_id.clone(),
        };
        self.push(Event::Outcome(outcome), wall).map(drop)
    }

    /// Books in full every hold that `dead` says has no owner any more. Returns how many.
    pub(crate) fn book(
        &mut self,
        wall: Timestamp,
        dead: impl Fn(&Attempt, &ledger::Hold, Timestamp) -> bool,
    ) -> Result<usize, Fault> {
        let now = self.at(wall);
        let holds = self
            .state
            .ledger
            .holds()
            .filter(|(attempt, hold)| dead(attempt, hold, now));
        let mut lost: Vec<(Attempt, NanoUsd)> = holds.map(|(attempt, hold)| (*attempt, hold.amount)).collect();
        lost.sort_unstable();
        for (attempt, held) in &lost {
            self.outcome(*attempt, &Ending::unknown(Status::Indeterminate, *held), wall)?;
        }
        Ok(lost.len())
    }

    /// Ends, as never forwarded, the holds that were written by a commit whose callers were told that it failed.
    pub(crate) fn void(
        &mut self,
        wall: Timestamp,
        orphan: impl Fn(&Attempt, &ledger::Hold) -> bool,
    ) -> Result<(), Fault> {
        let holds = self
            .state
            .ledger
            .holds()
            .filter(|(attempt, hold)| orphan(attempt, hold));
        let mut lost: Vec<Attempt> = holds.map(|(attempt, _)| *attempt).collect();
        lost.sort_unstable();
        for attempt in lost {
            self.outcome(attempt, &Ending::unused(Status::NotForwarded), wall)?;
        }
        Ok(())
    }

    /// Records a change, whole or not at all.
    pub(crate) fn change(
        &mut self,
        events: Vec<Event>,
        wall: Timestamp,
    ) -> Result<Result<Changed, ChangeError>, Fault> {
        // Changes are rare, so they may cost a copy: trying them on it first means that a refusal leaves no trace.
        let mut trial = Self {
            state: self.state.clone(),
            range: CompactRange::new(),
            waiting: Vec::new(),
            waiting_count: 0,
        };
        for event in &events {
            if let Err(fault) = trial.push(event.clone(), wall) {
                return Ok(Err(ChangeError::Refused(fault.error.to_string())));
            }
        }
        let first_index = self.state.size;
        for event in events {
            self.push(event, wall)?;
        }
        Ok(Ok(Changed {
            first_index,
            epoch: self.state.epoch,
            time: self.state.time,
        }))
    }

    /// Takes what waits as one batch.
    pub(crate) fn take_batch(&mut self, id: BatchId, boot: u64) -> Option<Batch> {
        let count = std::mem::take(&mut self.waiting_count);
        (count > 0).then(|| Batch {
            first_index: self.state.size.saturating_sub(count),
            count,
            id,
            boot,
            epoch: self.state.epoch,
            time: self.state.time,
            root: self.range.root(),
            range: self.range.to_bytes(),
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

    pub(crate) fn view(&self, wall: Timestamp) -> View {
        let state = &self.state;
        let now = self.at(wall);
        let names = state.ledger.budgets().map(|spec| &spec.name);
        View {
            tenant: state.tenant.clone(),
            epoch: state.epoch,
            size: state.size,
            time: state.time,
            agents: state.agents.clone(),
            keys: state.keys.clone(),
            admins: state.admins.clone(),
            balances: names.filter_map(|name| state.ledger.balance(name, now).ok()).collect(),
            policy_files: state.policy_files.clone(),
            bundle: state.bundle,
            prices: state.prices,
            upstreams: state.upstreams.clone(),
            open: state
                .open
                .iter()
                .map(|(attempt, open)| (attempt.action, open.agent.clone()))
                .collect(),
        }
    }
}
