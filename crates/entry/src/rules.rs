//! Rate limits and circuit breakers in the fold: what they let through, and what they count.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Admission, BreakerEnding, BreakerSpec, Breakers, BudgetSpec, Label, Ledger, Limited, Measure, Notice, RateError,
    RateSpec, Rates, Selector, Trip, Values,
};
use model::{BreakerName, LimitName, Timestamp};

use crate::{
    EntryError, Event, MAX_ENTRY_BYTES, State,
    action::{Intent, Outcome, Status},
    budgets::{check_note, labels},
    error::unknown,
};

/// What has to be recorded of requests because some rule of the tenant counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Whether a rate limit counts tokens.
    pub tokens: bool,
    /// The tools that some rule names; a trailing `*` stands for all that begin so.
    tools: BTreeSet<String>,
    /// Those that budgets name, and how many budgets do: there may be many, so they are not all looked at for each change.
    of_budgets: BTreeMap<String, u64>,
}

impl Counted {
    fn of<'a>(rates: impl Iterator<Item = &'a RateSpec>, breakers: impl Iterator<Item = &'a BreakerSpec>) -> Self {
        let mut counted = Self::default();
        for spec in rates {
            let tokens = |measure: Measure| !matches!(measure, Measure::Money | Measure::Calls);
            counted.tokens |= spec.rates.iter().any(|rate| tokens(rate.measure));
            counted.name_tools(&spec.select);
        }
        for spec in breakers {
            counted.name_tools(&spec.select);
        }
        counted
    }

    /// What follows from all rules and budgets.
    pub(crate) fn all(rates: &Rates, breakers: &Breakers, ledger: &Ledger) -> Self {
        let mut counted = Self::of(rates.specs(), breakers.specs());
        ledger.budgets().for_each(|spec| counted.budget_came(spec));
        counted
    }

    /// Counts a budget that is declared from now on.
    pub(crate) fn budget_came(&mut self, spec: &BudgetSpec) {
        for tool in tools_of(spec) {
            *self.of_budgets.entry(tool.to_owned()).or_default() += 1;
        }
    }

    /// Counts a budget no more.
    pub(crate) fn budget_gone(&mut self, spec: Option<&BudgetSpec>) {
        for tool in spec.into_iter().flat_map(tools_of) {
            if let Some(count) = self.of_budgets.get_mut(tool) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.of_budgets.remove(tool);
                }
            }
        }
    }

    fn name_tools(&mut self, select: &Selector) {
        let named = select.get(Label::Tool).into_iter().flat_map(Values::iter);
        self.tools.extend(named.map(str::to_owned));
    }

    /// The tools among these that some rule names, each once and in order.
    pub fn tools(&self, offered: &[String]) -> Vec<String> {
        if self.tools.is_empty() && self.of_budgets.is_empty() {
            return Vec::new();
        }
        let named = |tool: &&String| {
            self.tools
                .iter()
                .chain(self.of_budgets.keys())
                .any(|name| match name.strip_suffix('*') {
                    Some(prefix) => tool.starts_with(prefix),
                    None => name == *tool,
                })
        };
        let tools: BTreeSet<_> = offered.iter().filter(named).cloned().collect();
        tools.into_iter().collect()
    }
}

/// The most that the names of a request's tools may have as JSON to be recorded, in bytes: a quarter of an entry.
const TOOLS_BYTES: usize = MAX_ENTRY_BYTES / 4;

/// The tools as they are recorded where a policy looks at their names: each once and in order. `None` where they are too
/// long for an entry.
pub fn recorded_tools(offered: &[String]) -> Option<Vec<String>> {
    let length: usize = offered.iter().map(String::len).sum();
    if length > TOOLS_BYTES {
        return None;
    }
    let tools: BTreeSet<_> = offered.iter().cloned().collect();
    let json = serde_json::to_vec(&tools).ok()?;
    (json.len() <= TOOLS_BYTES).then(|| tools.into_iter().collect())
}

fn tools_of(spec: &BudgetSpec) -> impl Iterator<Item = &str> {
    let select = spec.select.iter();
    select
        .filter_map(|select| select.get(Label::Tool))
        .flat_map(Values::iter)
}

impl State {
    pub(crate) fn limit_loaded(&mut self, spec: &RateSpec, now: Timestamp) {
        self.rates.define(spec.clone(), now);
        self.recount();
    }

    pub(crate) fn limit_removed(&mut self, name: &LimitName) -> Result<(), EntryError> {
        if self.rates.spec(name).is_none() {
            return Err(unknown("rate limit", name));
        }
        self.rates.remove(name);
        self.recount();
        Ok(())
    }

    pub(crate) fn breaker_loaded(&mut self, spec: &BreakerSpec) -> Result<(), EntryError> {
        self.breakers.define(spec.clone())?;
        self.recount();
        Ok(())
    }

    pub(crate) fn breaker_removed(&mut self, name: &BreakerName) -> Result<(), EntryError> {
        if !self.breakers.remove(name) {
            return Err(unknown("circuit breaker", name));
        }
        self.recount();
        Ok(())
    }

    pub(crate) fn breaker_reset(
        &mut self,
        name: &BreakerName,
        of: &str,
        note: &str,
        now: Timestamp,
    ) -> Result<(), EntryError> {
        check_note(note)?;
        Ok(self.breakers.reset(name, of, now)?)
    }

    pub(crate) fn breaker_tripped(&mut self, trip: &Trip, now: Timestamp) -> Result<(), EntryError> {
        Ok(self.breakers.trip(trip, now)?)
    }

    fn recount(&mut self) {
        let of_budgets = std::mem::take(&mut self.counted.of_budgets);
        self.counted = Counted {
            of_budgets,
            ..Counted::of(self.rates.specs(), self.breakers.specs())
        };
    }

    /// Checks that no circuit breaker stops an attempt.
    pub(crate) fn check_breakers(&self, intent: &Intent, now: Timestamp) -> Result<(), EntryError> {
        let labels = self.labels(&intent.action, &intent.tools);
        let labels = labels.ok_or(EntryError::Mismatch("the agent was removed"))?;
        match self.breakers.admit(&labels, intent.next_step(), now) {
            Admission::Go | Admission::GoAsProbe => Ok(()),
            Admission::Stopped(_) | Admission::Trips(_) => {
                Err(EntryError::Mismatch("a circuit breaker stops the action"))
            }
        }
    }

    /// Counts an attempt in the breakers that watch it. What they warn of has to follow.
    pub(crate) fn watch(&mut self, intent: &Intent, now: Timestamp) {
        let labels = labels(&self.tenant, &self.agents, &self.keys, &intent.action, &intent.tools);
        if let Some(labels) = labels {
            let notices = self.breakers.begin(intent.attempt(), &labels, intent.next_step(), now);
            self.owed.extend(notices.into_iter().map(event));
        }
    }

    /// Counts an end in the breakers that watched the attempt. What follows from it has to follow.
    pub(crate) fn watch_end(&mut self, outcome: &Outcome, now: Timestamp) {
        let ending = match outcome.status {
            Status::Ok | Status::ClientGone | Status::Cut | Status::Revoked => BreakerEnding::Answered,
            Status::UpstreamError | Status::Unreachable | Status::Timeout | Status::Broken | Status::Indeterminate => {
                BreakerEnding::Failed
            }
            Status::NotForwarded => BreakerEnding::NotSent,
        };
        let notices = self.breakers.end(&outcome.attempt(), ending, outcome.cost, now);
        self.owed.extend(notices.into_iter().map(event));
    }

    /// Checks that no rate limit stops an attempt.
    pub(crate) fn check_rates(&self, intent: &Intent, now: Timestamp) -> Result<(), EntryError> {
        let labels = self.labels(&intent.action, &intent.tools);
        let labels = labels.ok_or(EntryError::Mismatch("the agent was removed"))?;
        let admitted = self.rates.admit(&labels, &intent.charge(), now);
        admitted.map_err(|limited: Box<Limited>| RateError::from(limited).into())
    }

    /// Takes from the buckets that an attempt is under; it was checked that it may.
    pub(crate) fn take_rates(&mut self, intent: &Intent, now: Timestamp) -> Result<(), EntryError> {
        let labels = labels(&self.tenant, &self.agents, &self.keys, &intent.action, &intent.tools);
        let labels = labels.ok_or(EntryError::Mismatch("the agent was removed"))?;
        let charge = intent.charge();
        Ok(self.rates.take(intent.attempt(), &labels, &charge, now)?)
    }
}

fn event(notice: Notice) -> Event {
    match notice {
        Notice::Warned(warning) => Event::BreakerWarned(warning),
        Notice::Tripped(trip) => Event::BreakerTripped(trip),
        Notice::Closed(closing) => Event::BreakerClosed(closing),
    }
}
