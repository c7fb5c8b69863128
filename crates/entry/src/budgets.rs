//! What a request must fit into, and what follows from what it took.

use std::collections::{BTreeMap, HashMap};

use ledger::{Booking, BudgetSpec, Charge, Edit, Ended, Label, Labels, Measure, NextStep, Pot, Reached};
use model::{AdminName, AgentName, BudgetName, KeyId, NanoUsd, TenantName, Timestamp, UsageSource};
use serde::{Deserialize, Serialize};

use crate::{
    AgentState, EntryError, Event, KeyState, State,
    action::{Action, Intent, Outcome, Status, Tokens},
};

/// A threshold of a budget was reached by what an outcome booked. Stands behind that outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdReached {
    /// The outcome's entry.
    pub outcome: u64,
    /// Which threshold of which budget.
    pub reached: Reached,
}

/// Where a budget was declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declared {
    /// In the files.
    #[default]
    Files,
    /// By an administrator through the API: files do not change or remove it.
    Api,
}

impl Declared {
    pub(crate) fn in_files(&self) -> bool {
        *self == Self::Files
    }
}

/// The last thing an administrator changed of a budget while traffic flowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastEdit {
    /// Who.
    pub by: AdminName,
    /// Why, in their words.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// What else is known of budgets than what counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetFacts {
    /// Where each was declared.
    pub declared: BTreeMap<BudgetName, Declared>,
    /// Who changed one last while traffic flowed.
    pub edits: BTreeMap<BudgetName, LastEdit>,
}

impl BudgetFacts {
    /// Takes what another has of a budget.
    pub fn take(&mut self, from: &Self, name: &BudgetName) {
        if let Some(declared) = from.declared.get(name) {
            self.declared.insert(name.clone(), *declared);
        }
        if let Some(edit) = from.edits.get(name) {
            self.edits.insert(name.clone(), edit.clone());
        }
    }
}

impl State {
    /// The labels of an action, from what the log says of its agent and credential; `None` if it knows neither.
    pub fn labels<'a>(&'a self, action: &'a Action, tools: &'a [String]) -> Option<Labels<'a>> {
        labels(&self.tenant, &self.agents, &self.keys, action, tools)
    }

    /// The pots that an action must fit into; `None` if the log knows no such agent or credential.
    pub fn pots(&self, action: &Action, tools: &[String]) -> Option<Vec<Pot>> {
        let labels = self.labels(action, tools)?;
        let record = self.agents.get(&action.agent)?.record.as_ref()?;
        Some(self.ledger.select(&record.budgets, &labels))
    }

    /// Whether a rate limit, or a budget that a hold is in, counts tokens: the hold must say how many it reserves.
    pub fn counts_tokens(&self, bookings: &[Booking]) -> bool {
        let mut bookings = bookings.iter();
        self.counted.tokens
            || bookings.any(|booking| {
                let spec = self.ledger.budget(&booking.budget);
                spec.is_some_and(|spec| counts_tokens(spec.unit))
            })
    }

    /// Checks that a hold is in exactly the budgets that select the action, and says all that they count.
    pub(crate) fn check_budgets(&self, intent: &Intent) -> Result<(), EntryError> {
        let pots = self.pots(&intent.action, &intent.tools);
        if !pots.is_some_and(|pots| booked_in(&intent.bookings, &pots)) {
            return Err(EntryError::Mismatch(
                "the hold is not in the budgets that select the action",
            ));
        }
        if intent.tokens.is_none() && self.counts_tokens(&intent.bookings) {
            return Err(EntryError::Mismatch(
                "a budget or limit counts tokens, and the hold does not say how many it reserves",
            ));
        }
        Ok(())
    }

    /// The pots that every action of an agent must fit into, if these are all that any of them must, and count money: what
    /// it may spend while nothing can be recorded is reserved there. `None` if the agent has a budget that depends on what
    /// it asks for.
    pub fn standing_pots(&self, agent: &AgentName) -> Option<Vec<Pot>> {
        let record = self.agents.get(agent)?.record.as_ref()?;
        let labels = Labels {
            tenant: self.tenant.as_str(),
            environment: &record.environment,
            product: &record.product,
            team: &record.team,
            agent: agent.as_str(),
            ..Labels::default()
        };
        let fixed = |label: &Label| label.is_fixed();
        let depends = self.ledger.budgets().any(|spec| {
            let (applies, varies) = match &spec.select {
                _ if record.budgets.contains(&spec.name) => (true, false),
                Some(select) => (select.may_select(&labels), !select.labels().all(Label::is_fixed)),
                None => (false, false),
            };
            applies && (varies || !spec.each.iter().all(fixed) || spec.unit != Measure::Money)
        });
        (!depends).then(|| self.ledger.select(&record.budgets, &labels))
    }

    pub(crate) fn budget_loaded(
        &mut self,
        spec: &BudgetSpec,
        declared: Declared,
        note: &str,
        now: Timestamp,
    ) -> Result<(), EntryError> {
        if !declared.in_files() {
            check_note(note)?;
        }
        if self.budgets.declared.insert(spec.name.clone(), declared).is_some() {
            self.counted.budget_gone(self.ledger.budget(&spec.name));
        }
        self.counted.budget_came(spec);
        self.ledger.define(spec.clone(), now);
        Ok(())
    }

    pub(crate) fn budget_removed(&mut self, budget: &BudgetName, now: Timestamp) -> Result<(), EntryError> {
        let mut agents = self.agents.values().filter_map(|agent| agent.record.as_ref());
        if agents.any(|agent| agent.budgets.contains(budget)) {
            return Err(EntryError::Mismatch("an agent names the budget that is removed"));
        }
        // The ledger may know nothing of it any more once it is removed.
        let spec = self.ledger.budget(budget).cloned();
        self.ledger.remove(budget, now)?;
        self.counted.budget_gone(spec.as_ref());
        self.budgets.declared.remove(budget);
        self.budgets.edits.remove(budget);
        Ok(())
    }

    pub(crate) fn budget_edited(
        &mut self,
        budget: &BudgetName,
        unit: Measure,
        edit: &Edit,
        last: LastEdit,
    ) -> Result<(), EntryError> {
        check_note(&last.note)?;
        if self.ledger.budget(budget).is_some_and(|spec| spec.unit != unit) {
            return Err(EntryError::Mismatch(COUNTS_ANOTHER));
        }
        self.ledger.edit(budget, edit, last.at)?;
        self.budgets.edits.insert(budget.clone(), last);
        Ok(())
    }

    /// What has to follow an outcome because of the budgets it was booked in.
    pub(crate) fn thresholds_of(ended: &mut Ended, outcome: u64) -> impl Iterator<Item = Event> + use<> {
        let reached = std::mem::take(&mut ended.reached);
        reached
            .into_iter()
            .map(move |reached| Event::ThresholdReached(ThresholdReached { outcome, reached }))
    }
}

/// As [`State::labels`], of the parts that say them: what is counted by labels changes while these are read.
pub(crate) fn labels<'a>(
    tenant: &'a TenantName,
    agents: &'a HashMap<AgentName, AgentState>,
    keys: &'a BTreeMap<KeyId, KeyState>,
    action: &'a Action,
    tools: &'a [String],
) -> Option<Labels<'a>> {
    let record = agents.get(&action.agent)?.record.as_ref()?;
    let key = keys.get(&action.key)?;
    Some(Labels {
        tenant: tenant.as_str(),
        environment: &record.environment,
        product: &record.product,
        team: &record.team,
        tier: key.record.tier.as_str(),
        upstream: action.upstream.as_str(),
        model: &action.model,
        tools,
        task: action.task.as_deref().unwrap_or_default(),
        agent: action.agent.as_str(),
        run: action.run.as_deref().unwrap_or_default(),
        // What an action says of its user is a copy of this.
        user: key.record.user.as_ref().map_or("", |user| user.0.as_str()),
    })
}

/// Whether a budget of this measure cannot tell what a request takes unless its tokens are said.
fn counts_tokens(unit: Measure) -> bool {
    match unit {
        Measure::Money | Measure::Calls => false,
        Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => true,
    }
}

impl Intent {
    /// What it asks to be done next, as breakers see it.
    pub(crate) fn next_step(&self) -> NextStep {
        NextStep {
            calls: self.step,
            results: self.result_step,
        }
    }

    /// What is reserved.
    pub fn charge(&self) -> Charge {
        let Tokens { input, output } = self.tokens.unwrap_or_default();
        Charge {
            money: self.hold,
            input,
            output,
            calls: 1,
        }
    }
}

impl Outcome {
    /// What is booked in place of what was held. Tokens are those that the provider counted; where nobody knows, those
    /// that were held.
    pub fn charge(&self, held: &Charge) -> Charge {
        let used = self.usage.as_ref();
        let used = used.map(|usage| (usage.input_total(), usage.output));
        let (input, output) = match (self.source, used) {
            (UsageSource::Nothing, _) => (0, 0),
            (UsageSource::Provider, Some(used)) => used,
            (UsageSource::Provider, None) => (held.input, held.output),
            (UsageSource::Hold, used) => {
                let (input, output) = used.unwrap_or_default();
                (input.max(held.input), output.max(held.output))
            }
        };
        let reached = !matches!(self.status, Status::NotForwarded | Status::Unreachable);
        Charge {
            money: self.cost,
            input,
            output,
            calls: u64::from(reached),
        }
    }
}

/// Whether more was booked than was held, of what was held for at all.
pub(crate) fn passes(booked: &Charge, held: &Charge, tokens_held: bool) -> bool {
    let money = booked.money.saturating_sub(held.money) > NanoUsd::ZERO;
    money || (tokens_held && (booked.input > held.input || booked.output > held.output))
}

/// Whether a hold is in exactly these pots, in their order.
pub(crate) fn booked_in(bookings: &[Booking], pots: &[Pot]) -> bool {
    bookings.len() == pots.len() && bookings.iter().zip(pots).all(|(booking, pot)| booking.is_in(pot))
}

/// Why an entry is refused that says another measure than its budget's.
pub(crate) const COUNTS_ANOTHER: &str = "the budget counts something else";

/// The first thing in the way of a note on a change.
pub(crate) fn check_note(note: &str) -> Result<(), EntryError> {
    if note.trim().is_empty() {
        return Err(EntryError::Mismatch("a change of a budget or breaker needs a reason"));
    }
    Ok(())
}
