//! Which limits a request is under: for each group the most specific of those that select it, found without looking at
//! all of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use model::LimitName;

use super::spec::RateSpec;
use crate::{Label, Labels, Values};

/// A limit and what follows from its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) spec: RateSpec,
    /// The labels of `each` in their order, which is not always the one they were written in.
    pub(super) each: Vec<Label>,
    rank: Rank,
}

/// How specific a limit is: first by the labels that it selects by, then by those that it has buckets for. Of two sets of
/// labels the greater is the one with the greatest label that is in only one of them, as a binary number whose heaviest
/// digit is the greatest label.
pub(super) type Rank = (u16, u16);

impl Limit {
    pub(super) fn new(spec: RateSpec) -> Self {
        let mut each = spec.each.clone();
        each.sort_unstable();
        each.dedup();
        let rank = rank(&spec);
        Self { spec, each, rank }
    }

    /// Whether it is about a request with these labels.
    fn selects(&self, labels: &Labels<'_>) -> bool {
        self.each.iter().all(|label| labels.get(*label).is_some()) && self.spec.select.selects(labels)
    }

    /// Whether it counts where another one of its group would. Between equals, which a checked set of limits does not
    /// have, the name decides.
    fn beats(&self, other: &Self) -> bool {
        (self.rank, Reverse(&self.spec.name)) > (other.rank, Reverse(&other.spec.name))
    }

    /// The label and values by which it is found: the one that says the most, so that few limits share a value. `None` if
    /// every label has a value that stands for all that begin so.
    fn anchor(&self) -> Option<(Label, Values<'_>)> {
        let written_out = |(_, values): &(Label, Values<'_>)| values.iter().all(|value| !value.ends_with('*'));
        self.spec.select.iter().filter(written_out).last()
    }
}

/// See [`Rank`].
pub(super) fn rank(spec: &RateSpec) -> Rank {
    let set = |labels: &mut dyn Iterator<Item = Label>| {
        labels.fold(0, |set, label| {
            let digit = Label::ALL.iter().take_while(|known| **known != label).count();
            set | 1_u16.unbounded_shl(u32::try_from(digit).unwrap_or(u32::MAX))
        })
    };
    (set(&mut spec.select.labels()), set(&mut spec.each.iter().copied()))
}

/// All limits, by what selects them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// By one label and each of the values that it selects.
    anchored: BTreeMap<Label, HashMap<String, Vec<Arc<Limit>>>>,
    /// Those that name no label, or only beginnings of values: these are looked at for each request.
    others: Vec<Arc<Limit>>,
}

impl Index {
    /// Adds a limit. One of the same name must have been removed.
    pub(super) fn insert(&mut self, limit: &Arc<Limit>) {
        match limit.anchor() {
            None => insert(&mut self.others, limit),
            Some((label, values)) => {
                let by_value = self.anchored.entry(label).or_default();
                for value in values.iter() {
                    insert(by_value.entry(value.to_owned()).or_default(), limit);
                }
            }
        }
    }

    /// Removes a limit.
    pub(super) fn remove(&mut self, limit: &Limit) {
        let name = &limit.spec.name;
        let Some((label, values)) = limit.anchor() else {
            return remove(&mut self.others, name);
        };
        let Some(by_value) = self.anchored.get_mut(&label) else {
            return;
        };
        for value in values.iter() {
            if let Some(limits) = by_value.get_mut(value) {
                remove(limits, name);
                if limits.is_empty() {
                    by_value.remove(value);
                }
            }
        }
        if by_value.is_empty() {
            self.anchored.remove(&label);
        }
    }

    /// The limits that a request is under, by the order of their groups.
    pub(super) fn of(&self, labels: &Labels<'_>) -> Vec<Arc<Limit>> {
        let mut best: BTreeMap<&str, &Arc<Limit>> = BTreeMap::new();
        for limit in self.candidates(labels).filter(|limit| limit.selects(labels)) {
            let known = best.entry(&limit.spec.group).or_insert(limit);
            if limit.beats(known) {
                *known = limit;
            }
        }
        best.into_values().map(Arc::clone).collect()
    }

    /// All that may select a request, some of them more than once.
    pub(super) fn candidates<'a>(&'a self, labels: &'a Labels<'_>) -> impl Iterator<Item = &'a Arc<Limit>> {
        let anchored = self.anchored.iter().flat_map(move |(label, by_value)| {
            let tools = labels.tools.iter().filter(move |_| *label == Label::Tool);
            let values = labels.get(*label).into_iter().chain(tools.map(String::as_str));
            values.filter_map(|value| by_value.get(value)).flatten()
        });
        self.others.iter().chain(anchored)
    }
}

/// Keeps them in the order of their names, so that equal sets of limits have equal indexes.
fn insert(limits: &mut Vec<Arc<Limit>>, limit: &Arc<Limit>) {
    let at = limits.partition_point(|known| known.spec.name < limit.spec.name);
    limits.insert(at, Arc::clone(limit));
}

fn remove(limits: &mut Vec<Arc<Limit>>, name: &LimitName) {
    limits.retain(|limit| limit.spec.name != *name);
}
