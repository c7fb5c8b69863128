//! What entries do to the sums and to the index. Pure: the same entries give the same sums, whatever pages they come in.

use std::collections::{BTreeMap, HashMap, HashSet};

use entry::{Entry, Event, Intent, Outcome};
use model::{AgentName, KeyId, NanoUsd, Timestamp};
use tlog::{Hash, Stored};

use super::{
    labels::{LabelSet, MAX_NAMES, OTHERS},
    search::{Facts, Inheritance, follows, terms},
    sums::CostSums,
};
use crate::{Batch, BatchError};

/// Microseconds of a minute, the finest time that is kept.
pub(super) const MINUTE: i64 = 60_000_000;
/// The lengths of time that sums are kept for, in minutes, the longest first. Each holds what the shorter ones in it add up
/// to, so that a year is read in days and its edges in minutes.
pub(super) const SPANS: [i64; 3] = [1_440, 60, 1];

/// A set of labels: one that is stored, by its number, or one that was first seen in this page, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Labels {
    Stored(i64),
    New(usize),
}

/// Where an attempt counts once it ends, and what its end can be found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) labels: Labels,
    /// Minutes since 1970.
    pub(super) minute: i64,
    pub(super) inheritance: Inheritance,
}

/// What an entry can be found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) index: u64,
    pub(super) time: Timestamp,
    pub(super) cost: Option<NanoUsd>,
    pub(super) terms: String,
}

/// What of an agent's manifest is a label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) team: String,
    pub(super) product: String,
    pub(super) environment: String,
}

/// The words that an agent has used, at most [`MAX_NAMES`] of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) tasks: HashSet<String>,
    pub(super) models: HashSet<String>,
}

/// How far a tenant's log was read, and what is needed to read on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tenant {
    /// How many entries were read.
    pub(super) size: u64,
    /// The root of these; `None` of none.
    pub(super) root: Option<Hash>,
    /// The agents' labels as of the last entry read.
    pub(super) agents: HashMap<AgentName, Declared>,
    /// The credentials' tiers.
    pub(super) tiers: HashMap<KeyId, &'static str>,
    pub(super) words: HashMap<AgentName, Words>,
    /// Some of the sets of labels that are stored, by their numbers.
    pub(super) sets: HashMap<LabelSet, i64>,
    /// Attempts that have not ended, by the entry of their intent.
    pub(super) open: HashMap<u64, Open>,
    /// What the last entries have from an outcome that they follow from: these are in one batch with it.
    pub(super) followed: Option<Inheritance>,
}

/// What a page of a log changes.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// How many entries were read before.
    pub(super) from: u64,
    /// Label sets by their place in the page.
    pub(super) sets: Vec<LabelSet>,
    places: HashMap<LabelSet, usize>,
    /// By span, begin of the span in minutes since 1970, and labels.
    pub(super) sums: BTreeMap<(i64, i64, Labels), CostSums>,
    pub(super) agents: HashMap<AgentName, Declared>,
    pub(super) tiers: HashMap<KeyId, &'static str>,
    /// Stored as open, and ended now.
    pub(super) ended: Vec<u64>,
    /// The entries of the intents of this page that have not ended in it.
    pub(super) opened: HashSet<u64>,
    /// All entries, in order.
    pub(super) found: Vec<Found>,
}

impl Tenant {
    /// Takes the next batches of the log.
    pub(super) fn fold(&mut self, page: &[Batch]) -> Result<Delta, BatchError> {
        let mut delta = Delta {
            from: self.size,
            ..Delta::default()
        };
        for batch in page {
            if batch.first_index != self.size {
                return Err(BatchError::Gap {
                    expected: self.size,
                    found: batch.first_index,
                });
            }
            self.followed = None;
            for stored in batch.entries()? {
                let index = self.size;
                self.size += 1;
                let Stored::Kept(bytes) = stored else {
                    // What followed from it can only be found by what it says itself.
                    self.followed = None;
                    continue;
                };
                let entry = Entry::decode(bytes).map_err(|source| BatchError::Entry { index, source })?;
                self.entry(&entry, &mut delta);
            }
            self.root = Some(batch.root);
        }
        Ok(delta)
    }

    fn entry(&mut self, entry: &Entry, delta: &mut Delta) {
        let facts = Facts::of(&entry.event);
        let mut found = Found {
            index: entry.index,
            time: entry.time,
            cost: facts.cost,
            terms: terms(&facts),
        };
        if follows(&entry.event) {
            let inherited = self.followed.as_ref().map(|followed| followed.terms(true));
            found.terms.push_str(inherited.unwrap_or_default());
        } else {
            self.followed = None;
        }
        match &entry.event {
            Event::AgentLoaded { agent, .. } => {
                let declared = Declared {
                    team: agent.team.clone(),
                    product: agent.product.clone(),
                    environment: agent.environment.clone(),
                };
                if self.agents.get(&agent.name) != Some(&declared) {
                    delta.agents.insert(agent.name.clone(), declared.clone());
                    self.agents.insert(agent.name.clone(), declared);
                }
            }
            Event::KeyIssued { key, .. } => {
                self.tiers.insert(key.id.clone(), key.tier.as_str());
                delta.tiers.insert(key.id.clone(), key.tier.as_str());
            }
            Event::Intent(intent) => {
                let open = Open {
                    labels: self.labels(intent, delta),
                    minute: minute(counted_at(intent, entry.time)),
                    inheritance: Inheritance::of(&facts),
                };
                self.open.insert(entry.index, open);
                delta.opened.insert(entry.index);
            }
            Event::Outcome(outcome) => {
                self.followed = self.outcome(outcome, delta);
                let inherited = self.followed.as_ref().map(|followed| followed.terms(false));
                found.terms.push_str(inherited.unwrap_or_default());
            }
            _ => {}
        }
        delta.found.push(found);
    }

    fn labels(&mut self, intent: &Intent, delta: &mut Delta) -> Labels {
        let action = &intent.action;
        let declared = self.agents.get(&action.agent).cloned().unwrap_or_default();
        let words = self.words.entry(action.agent.clone()).or_default();
        let set = LabelSet {
            team: declared.team,
            product: declared.product,
            environment: declared.environment,
            agent: action.agent.to_string(),
            tier: self.tiers.get(&action.key).copied().unwrap_or_default().to_owned(),
            user: action.user.as_ref().map(|user| user.0.clone()).unwrap_or_default(),
            task: bounded(&mut words.tasks, action.task.as_deref().unwrap_or_default()),
            operation: action.name.clone(),
            upstream: action.upstream.to_string(),
            model: bounded(&mut words.models, &action.model),
        };
        if let Some(number) = self.sets.get(&set) {
            return Labels::Stored(*number);
        }
        let next = delta.sets.len();
        let place = *delta.places.entry(set).or_insert_with_key(|set| {
            delta.sets.push(set.clone());
            next
        });
        Labels::New(place)
    }

    fn outcome(&mut self, outcome: &Outcome, delta: &mut Delta) -> Option<Inheritance> {
        // The log was checked when it was written: an outcome has an intent.
        let open = self.open.remove(&outcome.intent)?;
        if !delta.opened.remove(&outcome.intent) {
            delta.ended.push(outcome.intent);
        }
        let sums = CostSums::of(outcome);
        for span in SPANS {
            let start = open.minute.div_euclid(span) * span;
            delta.sums.entry((span, start, open.labels)).or_default().add(&sums);
        }
        Some(open.inheritance)
    }
}

/// The word, or what stands for all that come after too many of them.
fn bounded(known: &mut HashSet<String>, word: &str) -> String {
    if word.is_empty() || known.contains(word) {
        return word.to_owned();
    }
    if known.len() >= MAX_NAMES {
        return OTHERS.to_owned();
    }
    known.insert(word.to_owned());
    word.to_owned()
}

/// When an attempt counts: when it was admitted. One that was let through on an allowance was charged to the periods in
/// which the allowance was reserved, even if these were over by then: budgets and reports are to say the same.
fn counted_at(intent: &Intent, recorded: Timestamp) -> Timestamp {
    let periods = intent.bookings.iter().map(|booking| booking.period);
    periods.fold(intent.spooled.unwrap_or(recorded), |at, period| {
        let last = period.end.saturating_add_micros(-1);
        at.max(period.start).min(last)
    })
}

/// Minutes since 1970, rounded down.
pub(super) fn minute(at: Timestamp) -> i64 {
    at.unix_micros().div_euclid(MINUTE)
}
