//! Rate limits in the fold: what they let through, and what they count.

use std::collections::BTreeSet;

use ledger::{Label, Limited, Measure, RateError, RateSpec};
use model::{LimitName, Timestamp};

use crate::{EntryError, State, action::Intent, budgets::labels};

/// What has to be recorded of requests because some rule of the tenant counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Whether a rate limit counts tokens.
    pub tokens: bool,
    /// The tools that some rule names; a trailing `*` stands for all that begin so.
    tools: BTreeSet<String>,
}

impl Counted {
    fn of<'a>(specs: impl Iterator<Item = &'a RateSpec> + Clone) -> Self {
        let tokens = |measure: Measure| !matches!(measure, Measure::Money | Measure::Calls);
        let mut rates = specs.clone().flat_map(|spec| &spec.rates);
        let tools = specs.filter_map(|spec| spec.select.0.get(&Label::Tool)).flatten();
        Self {
            tokens: rates.any(|rate| tokens(rate.measure)),
            tools: tools.cloned().collect(),
        }
    }

    /// The tools among these that some rule names, each once and in order.
    pub fn tools(&self, offered: &[String]) -> Vec<String> {
        if self.tools.is_empty() {
            return Vec::new();
        }
        let named = |tool: &&String| {
            self.tools.iter().any(|name| match name.strip_suffix('*') {
                Some(prefix) => tool.starts_with(prefix),
                None => name == *tool,
            })
        };
        let tools: BTreeSet<_> = offered.iter().filter(named).cloned().collect();
        tools.into_iter().collect()
    }
}

impl State {
    pub(crate) fn limit_loaded(&mut self, spec: &RateSpec, now: Timestamp) {
        self.rates.define(spec.clone(), now);
        self.counted = Counted::of(self.rates.specs().collect::<Vec<_>>().into_iter());
    }

    pub(crate) fn limit_removed(&mut self, name: &LimitName) -> Result<(), EntryError> {
        if self.rates.spec(name).is_none() {
            return Err(crate::state::unknown("rate limit", name));
        }
        self.rates.remove(name);
        self.counted = Counted::of(self.rates.specs().collect::<Vec<_>>().into_iter());
        Ok(())
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
