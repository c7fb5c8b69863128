//! What proposed budgets would have stopped: the recorded usage of a past period, put to them call by call.
//!
//! The budgets are taken to have come into effect at the beginning of the period, as an edit does: what was spent before in
//! a window that was running then counts, and nothing before is stopped. A call that would have been stopped is taken out
//! of what follows, so later calls find the room it leaves; that its agent would have tried again, or stopped working, is
//! not known and not guessed. Calls that were refused at the time are not put to the budgets: what they would have cost is
//! not known.

use std::collections::{BTreeMap, HashMap, HashSet};

use entry::{Denial, Entry, Event, Intent, Outcome, State, Tokens};
use futures_util::{StreamExt as _, pin_mut};
use ledger::{Amount, Attempt, BudgetSpec, Charge, Hold, Ledger, MAX_BUDGETS_PER_HOLD, NotAdmitted, Pot, Refusal};
use model::{NanoUsd, TenantName, Timestamp};

use crate::{Actor, AdminError, Control, Permission, SimulationReport, budgets, load};

/// How many of the first stops are told one by one.
const STOPS_TOLD: usize = 100;
/// How many budgets may be proposed at once.
const BUDGETS_MAX: usize = 1_000;
/// Of how many pots it is told what they would have stopped.
const POTS_TOLD: usize = 1_000;

/// A period and the budgets that it is put to.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Whose log.
    pub tenant: TenantName,
    /// From when calls are stopped.
    pub since: Timestamp,
    /// Until when calls count.
    pub until: Timestamp,
    /// The budgets.
    pub budgets: Vec<BudgetSpec>,
}

/// What one pot would have stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Which.
    pub(crate) pot: Pot,
    /// How many calls.
    pub(crate) calls: u64,
    /// What those cost.
    pub(crate) cost: NanoUsd,
    /// When the first came.
    pub(crate) first: Timestamp,
    /// When the last came.
    pub(crate) last: Timestamp,
}

/// One call that would have been stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) at: Timestamp,
    pub(crate) index: u64,
    pub(crate) agent: String,
    pub(crate) model: String,
    /// The first pot without room, and what it said.
    pub(crate) refusal: Refusal,
}

/// A replay of recorded usage against proposed budgets. Pure: entries in, counts out.
#[derive(Debug)]
pub(crate) struct Simulation {
    since: Timestamp,
    until: Timestamp,
    budgets: Vec<BudgetSpec>,
    state: State,
    ledger: Ledger,
    begun: bool,
    /// Calls of the period that were stopped and have not ended, by the pot that stopped each.
    gone: HashMap<Attempt, Pot>,
    /// Calls of the period that have not ended.
    open: HashSet<Attempt>,
    pub(crate) calls: u64,
    pub(crate) selected: u64,
    pub(crate) cost: NanoUsd,
    pub(crate) stopped_calls: u64,
    pub(crate) stopped_cost: NanoUsd,
    pub(crate) refused_then: u64,
    /// Calls that more budgets select than may.
    pub(crate) overselected: u64,
    /// Calls of which it could not be said whether they fit, or that could not be booked.
    pub(crate) undecided: u64,
    pub(crate) stops: Vec<Stop>,
    pub(crate) pots: BTreeMap<Pot, Stopped>,
}

impl Simulation {
    pub(crate) fn new(proposal: Proposal) -> Self {
        let mut ledger = Ledger::default();
        for spec in &proposal.budgets {
            // Until the period begins nothing is stopped; what is spent counts.
            let limit = Amount::MAX;
            ledger.define(BudgetSpec { limit, ..spec.clone() }, Timestamp::default());
        }
        Self {
            since: proposal.since,
            until: proposal.until,
            budgets: proposal.budgets,
            state: State::new(proposal.tenant),
            ledger,
            begun: false,
            gone: HashMap::new(),
            open: HashSet::new(),
            calls: 0,
            selected: 0,
            cost: NanoUsd::ZERO,
            stopped_calls: 0,
            stopped_cost: NanoUsd::ZERO,
            refused_then: 0,
            overselected: 0,
            undecided: 0,
            stops: Vec::new(),
            pots: BTreeMap::new(),
        }
    }

    /// Takes the next entry of the log. `false` once the period is over.
    pub(crate) fn take(&mut self, entry: &Entry) -> Result<bool, entry::EntryError> {
        if entry.time >= self.until && self.open.is_empty() {
            return Ok(false);
        }
        if !self.begun && entry.time >= self.since {
            self.begun = true;
            for spec in std::mem::take(&mut self.budgets) {
                self.ledger.define(spec, self.since);
            }
        }
        match &entry.event {
            Event::Intent(intent) if entry.time < self.until => self.intent(intent, entry),
            Event::Outcome(outcome) => self.outcome(outcome, entry.time),
            Event::Denial(Denial { .. }) if self.begun && entry.time < self.until => self.refused_then += 1,
            _ => {}
        }
        self.state.apply(entry)?;
        Ok(true)
    }

    fn intent(&mut self, intent: &Intent, entry: &Entry) {
        let now = entry.time;
        if self.begun {
            self.calls += 1;
            self.open.insert(intent.attempt());
        }
        let Some(labels) = self.state.labels(&intent.action, &intent.tools) else {
            return;
        };
        let pots = self.ledger.select(&[], &labels);
        if pots.is_empty() {
            return;
        }
        self.selected += u64::from(self.begun);
        if pots.len() > MAX_BUDGETS_PER_HOLD {
            self.overselected += u64::from(self.begun);
            return;
        }
        let charge = charge(intent);
        match self.ledger.admit(&pots, &charge, now) {
            Ok(bookings) => {
                let hold = Hold {
                    amount: charge,
                    bookings,
                    expires: intent.expires,
                    boot: 0,
                };
                if self.ledger.place(intent.attempt(), hold, now).is_err() {
                    self.undecided += 1;
                }
            }
            Err(NotAdmitted::Refused(refusal)) => self.stop(intent, *refusal, entry),
            Err(NotAdmitted::Error(_)) => self.undecided += 1,
        }
    }

    fn stop(&mut self, intent: &Intent, refusal: Refusal, entry: &Entry) {
        let pot = Pot {
            budget: refusal.balance.spec.name.clone(),
            of: refusal.balance.of.clone(),
        };
        self.stopped_calls += 1;
        if self.pots.len() < POTS_TOLD || self.pots.contains_key(&pot) {
            let stopped = self.pots.entry(pot.clone()).or_insert_with(|| Stopped {
                pot: pot.clone(),
                calls: 0,
                cost: NanoUsd::ZERO,
                first: entry.time,
                last: entry.time,
            });
            stopped.calls += 1;
            stopped.last = entry.time;
        }
        if self.stops.len() < STOPS_TOLD {
            self.stops.push(Stop {
                at: entry.time,
                index: entry.index,
                agent: intent.action.agent.to_string(),
                model: format!("{}/{}", intent.action.upstream, intent.action.model),
                refusal,
            });
        }
        self.gone.insert(intent.attempt(), pot);
    }

    fn outcome(&mut self, outcome: &Outcome, now: Timestamp) {
        let attempt = outcome.attempt();
        if self.open.remove(&attempt) {
            self.cost = self.cost.saturating_add(outcome.cost);
        }
        if let Some(pot) = self.gone.remove(&attempt) {
            self.stopped_cost = self.stopped_cost.saturating_add(outcome.cost);
            if let Some(stopped) = self.pots.get_mut(&pot) {
                stopped.cost = stopped.cost.saturating_add(outcome.cost);
            }
            return;
        }
        if let Some(hold) = self.ledger.hold(&attempt) {
            let booked = outcome.charge(&hold.amount);
            if self.ledger.end(attempt, &booked, now).is_err() {
                self.undecided += 1;
            }
        }
    }
}

/// What was reserved. Where no budget counted tokens at the time, their bound is that of the request: its bytes in, its
/// output limit out.
fn charge(intent: &Intent) -> Charge {
    let charge = intent.charge();
    if intent.tokens.is_some() {
        return charge;
    }
    let Tokens { input, output } = Tokens {
        input: intent.bytes,
        output: intent.bound.unwrap_or(intent.limit),
    };
    Charge {
        input,
        output,
        ..charge
    }
}

impl Control {
    /// Puts the recorded usage of a period to proposed budgets: what would have been stopped, and when. Nothing takes effect.
    /// Reads the log from its beginning; one simulation runs at a time.
    pub async fn simulate(&self, actor: &Actor, proposal: Proposal) -> Result<SimulationReport, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        let tenant = proposal.tenant.clone();
        if proposal.since >= proposal.until {
            let message = "the period ends before it begins: `since` has to lie before `until`";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        if proposal.budgets.is_empty() || proposal.budgets.len() > BUDGETS_MAX {
            let message = format!("a simulation needs 1 to {BUDGETS_MAX} budgets");
            return Err(AdminError::Invalid(message));
        }
        let mut names = HashSet::new();
        for spec in &proposal.budgets {
            budgets::check(spec).map_err(AdminError::Invalid)?;
            if !names.insert(&spec.name) {
                let message = format!("there are two budgets {}: give one of them another name", spec.name);
                return Err(AdminError::Invalid(message));
            }
        }
        if !self.snapshot().tenants.contains_key(&tenant) {
            let name = tenant.to_string();
            return Err(AdminError::NotFound { what: "tenant", name });
        }
        let Ok(_turn) = self.inner.simulating.try_lock() else {
            let message = "another simulation is running; try again when it is done";
            return Err(AdminError::Conflict(message.to_owned()));
        };
        let proposal = self.with_pseudonyms(proposal);
        let (since, until) = (proposal.since, proposal.until);
        let mut simulation = Simulation::new(proposal);
        let batches = self.reader().batches(&tenant, 0);
        pin_mut!(batches);
        'log: while let Some(batch) = batches.next().await {
            let batch = batch?;
            for (_, bytes) in batch.kept().map_err(|error| self.damaged(&error))? {
                let entry = Entry::decode(bytes).map_err(|error| self.damaged(&error))?;
                if !simulation.take(&entry).map_err(|error| self.damaged(&error))? {
                    break 'log;
                }
            }
            // Requests come first.
            tokio::task::yield_now().await;
        }
        Ok(SimulationReport::of(&tenant, since, until, &simulation))
    }

    /// The people that selectors name, as the log knows them.
    fn with_pseudonyms(&self, mut proposal: Proposal) -> Proposal {
        for spec in &mut proposal.budgets {
            let select = spec.select.take();
            spec.select = select.map(|select| load::logged(&proposal.tenant, select, self.privacy()).0);
        }
        proposal
    }
}
