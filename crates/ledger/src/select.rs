//! Which budgets select a request, without looking at all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use model::BudgetName;

use crate::{Label, Labels, Selector, Values};

/// Budgets by one of the values that they select by: the label that says the most, so that few budgets share a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// By the hashes of values: budgets whose values have the same one share a place, as all that is found is looked at, and
    /// the values themselves are in the budgets.
    anchored: BTreeMap<Label, HashMap<u64, Names>>,
    /// Those without a label whose values are written out.
    rest: BTreeSet<BudgetName>,
}

/// The budgets at one place: mostly it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    One(BudgetName),
    /// In order, each once, so that nothing depends on the order of definitions.
    Several(Vec<BudgetName>),
}

impl Names {
    fn as_slice(&self) -> &[BudgetName] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }

    fn add(&mut self, name: &BudgetName) {
        match self {
            Self::One(only) if only == name => {}
            Self::One(only) => {
                let mut names = vec![only.clone(), name.clone()];
                names.sort_unstable();
                *self = Self::Several(names);
            }
            Self::Several(names) => {
                if let Err(place) = names.binary_search(name) {
                    names.insert(place, name.clone());
                }
            }
        }
    }

    /// What is left without one.
    fn without(&self, name: &BudgetName) -> Option<Self> {
        let rest: Vec<_> = self.as_slice().iter().filter(|other| *other != name).cloned().collect();
        match rest.as_slice() {
            [] => None,
            [only] => Some(Self::One(only.clone())),
            _ => Some(Self::Several(rest)),
        }
    }
}

impl Index {
    pub(crate) fn insert(&mut self, name: &BudgetName, selector: &Selector) {
        match anchor(selector) {
            Some((label, values)) => {
                let places = self.anchored.entry(label).or_default();
                for value in values.iter() {
                    match places.get_mut(&place(value)) {
                        Some(names) => names.add(name),
                        None => drop(places.insert(place(value), Names::One(name.clone()))),
                    }
                }
            }
            None => drop(self.rest.insert(name.clone())),
        }
    }

    pub(crate) fn remove(&mut self, name: &BudgetName, selector: &Selector) {
        let Some((label, values)) = anchor(selector) else {
            self.rest.remove(name);
            return;
        };
        let Some(places) = self.anchored.get_mut(&label) else {
            return;
        };
        for value in values.iter() {
            let place = place(value);
            if let Some(names) = places.get_mut(&place) {
                match names.without(name) {
                    Some(rest) => *names = rest,
                    None => drop(places.remove(&place)),
                }
            }
        }
        if places.is_empty() {
            self.anchored.remove(&label);
        }
    }

    /// Budgets among which are all that select a request with these labels.
    pub(crate) fn candidates<'a>(&'a self, labels: &'a Labels<'_>) -> impl Iterator<Item = &'a BudgetName> {
        let anchored = self
            .anchored
            .iter()
            .filter_map(|(label, places)| places.get(&place(labels.get(*label)?)));
        anchored.flat_map(Names::as_slice).chain(&self.rest)
    }
}

/// Always the same for a value, so that equal ledgers have equal indexes.
fn place(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn anchor(selector: &Selector) -> Option<(Label, Values<'_>)> {
    let written_out = |(label, values): &(Label, Values<'_>)| {
        *label != Label::Tool && !values.iter().any(|value| value.ends_with('*'))
    };
    selector.iter().filter(written_out).last()
}
