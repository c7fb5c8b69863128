//! What came of a replay, counted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use entry::Outcome as End;
use ledger::Attempt;
use model::{NanoUsd, Timestamp};
use policy::Outcome;

pub(crate) use super::ask::Spot;
use super::ask::{Answer, Asked, Missing};

/// How many groups of changes are kept apart: models' names are the callers'.
const GROUPS_MAX: usize = 1_000;
/// How many decisions of a group are told.
const EXAMPLES: usize = 5;
/// How many policies are named for a group.
const POLICIES: usize = 32;
/// How many days are kept apart.
const DAYS_MAX: usize = 3_660;
const DAY_US: i64 = 86_400 * 1_000_000;

/// Numbers of decisions that would be others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// That were asked again.
    pub(crate) replayed: u64,
    /// That would be denied, and were or are not by the first set.
    pub(crate) denied: u64,
    /// That would be permitted.
    pub(crate) permitted: u64,
    /// That would need an approval.
    pub(crate) approval: u64,
    /// What the calls cost that would be denied.
    pub(crate) denied_cost: NanoUsd,
}

impl Changes {
    fn count(&mut self, before: Outcome, after: Outcome) {
        self.replayed += 1;
        if before == after {
            return;
        }
        match after {
            Outcome::Deny => self.denied += 1,
            Outcome::Permit => self.permitted += 1,
            Outcome::ApprovalRequired => self.approval += 1,
        }
    }

    /// How many would be others.
    pub(crate) fn changed(&self) -> u64 {
        self.denied + self.permitted + self.approval
    }
}

/// What changes of groups are told apart by.
type Key = (String, String, String, Outcome, Outcome);

/// Decisions of one kind that would change in one way.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) key: Key,
    pub(crate) count: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) codes: [BTreeSet<&'static str>; 2],
    pub(crate) policies: [BTreeSet<Arc<str>>; 2],
    pub(crate) cost: NanoUsd,
    pub(crate) examples: Vec<Spot>,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) all: Changes,
    pub(crate) days: BTreeMap<i64, Changes>,
    /// Decisions of days that are not kept apart.
    pub(crate) days_left_out: u64,
    places: HashMap<Key, usize>,
    pub(crate) groups: Vec<Group>,
    /// Changes of groups that are not kept apart.
    pub(crate) groups_left_out: u64,
    /// The same answer, but other policies decide it.
    pub(crate) by_others: u64,
    pub(crate) missing: BTreeMap<Missing, (u64, u64)>,
    /// Of enforcement points' questions, those of times when other schemas than the candidate's were in effect.
    pub(crate) other_schema: u64,
    /// What the first set does not answer as it was answered, and of those what it should: it is what answered.
    pub(crate) unlike: u64,
    pub(crate) unlike_same: u64,
    pub(crate) unlike_examples: Vec<Spot>,
    /// The policies that decided anything.
    pub(crate) used: [HashSet<Arc<str>>; 2],
    /// Calls that would be denied and have not ended, with their groups and days.
    open: HashMap<Attempt, (Option<usize>, i64)>,
    /// How many such calls there were.
    pub(crate) denied_calls: u64,
}

impl Tally {
    /// Whether the ends of calls are still to come.
    pub(crate) fn awaits(&self) -> bool {
        !self.open.is_empty()
    }

    /// How many calls have not ended.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// A decision, or several, could not be asked again.
    pub(crate) fn missing(&mut self, missing: Missing, asked: &Asked<'_>) {
        let (count, _) = self.missing.entry(missing).or_insert((0, asked.spot.entry));
        *count = count.saturating_add(asked.times);
    }

    /// A decision was asked again.
    pub(crate) fn count(&mut self, asked: &Asked<'_>, before: &Answer, after: &Answer, same_bundle: bool) {
        for (used, answer) in self.used.iter_mut().zip([before, after]) {
            for policy in &answer.policies {
                if !used.contains(policy) {
                    used.insert(policy.clone());
                }
            }
        }
        if before.outcome != asked.outcome {
            self.unlike += 1;
            self.unlike_same += u64::from(same_bundle);
            if self.unlike_examples.len() < EXAMPLES {
                self.unlike_examples.push(asked.spot.clone());
            }
        }
        let day = asked.spot.at.unix_micros().div_euclid(DAY_US);
        self.all.count(before.outcome, after.outcome);
        if self.days.len() < DAYS_MAX || self.days.contains_key(&day) {
            self.days.entry(day).or_default().count(before.outcome, after.outcome);
        } else {
            self.days_left_out += 1;
        }
        if before.outcome == after.outcome {
            self.by_others += u64::from(before.policies != after.policies);
            return;
        }
        let group = self.changed(asked, before, after);
        if let Some(attempt) = asked.attempt
            && before.outcome == Outcome::Permit
        {
            self.denied_calls += 1;
            self.open.insert(attempt, (group, day));
        }
    }

    fn changed(&mut self, asked: &Asked<'_>, before: &Answer, after: &Answer) -> Option<usize> {
        let (subject, action) = (asked.subject.to_owned(), asked.action.to_owned());
        let key = (subject, action, asked.resource.clone(), before.outcome, after.outcome);
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.groups.len() >= GROUPS_MAX => {
                self.groups_left_out += 1;
                return None;
            }
            None => {
                self.groups.push(Group {
                    key: key.clone(),
                    count: 0,
                    first: asked.spot.at,
                    last: asked.spot.at,
                    codes: Default::default(),
                    policies: Default::default(),
                    cost: NanoUsd::ZERO,
                    examples: Vec::new(),
                });
                let place = self.groups.len() - 1;
                self.places.insert(key, place);
                place
            }
        };
        let group = self.groups.get_mut(place)?;
        group.count += 1;
        group.last = asked.spot.at;
        for (n, answer) in [before, after].into_iter().enumerate() {
            if let (Some(codes), Some(policies)) = (group.codes.get_mut(n), group.policies.get_mut(n)) {
                codes.insert(answer.code.as_str());
                for policy in &answer.policies {
                    if policies.len() < POLICIES {
                        policies.insert(policy.clone());
                    }
                }
            }
        }
        if group.examples.len() < EXAMPLES {
            group.examples.push(asked.spot.clone());
        }
        Some(place)
    }

    /// A call ended.
    pub(crate) fn ended(&mut self, end: &End) {
        let Some((group, day)) = self.open.remove(&end.attempt()) else {
            return;
        };
        let add = |cost: &mut NanoUsd| *cost = cost.saturating_add(end.cost);
        add(&mut self.all.denied_cost);
        if let Some(day) = self.days.get_mut(&day) {
            add(&mut day.denied_cost);
        }
        if let Some(group) = group.and_then(|group| self.groups.get_mut(group)) {
            add(&mut group.cost);
        }
    }
}
