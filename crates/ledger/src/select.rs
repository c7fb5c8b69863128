//! Which budgets select a request, without looking at all of them.

use std::collections::{BTreeMap, HashMap};

use model::BudgetName;

use crate::{Label, Labels, Selector};

/// Budgets by one of the values that they select by: the label that says the most, so that few budgets share a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    anchored: BTreeMap<Label, HashMap<Box<str>, Vec<BudgetName>>>,
    /// Those without a label whose values are written out.
    rest: Vec<BudgetName>,
}

impl Index {
    pub(crate) fn insert(&mut self, name: &BudgetName, selector: &Selector) {
        match anchor(selector) {
            Some((label, values)) => {
                let places = self.anchored.entry(label).or_default();
                for value in values {
                    add(places.entry(value.as_str().into()).or_default(), name);
                }
            }
            None => add(&mut self.rest, name),
        }
    }

    pub(crate) fn remove(&mut self, name: &BudgetName, selector: &Selector) {
        let Some((label, values)) = anchor(selector) else {
            self.rest.retain(|other| other != name);
            return;
        };
        let Some(places) = self.anchored.get_mut(&label) else {
            return;
        };
        for value in values {
            if let Some(names) = places.get_mut(value.as_str()) {
                names.retain(|other| other != name);
                if names.is_empty() {
                    places.remove(value.as_str());
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
            .filter_map(|(label, places)| places.get(labels.get(*label)?));
        anchored.flatten().chain(&self.rest)
    }
}

/// Names in order, each once: what is found does not depend on the order of definitions.
fn add(names: &mut Vec<BudgetName>, name: &BudgetName) {
    if let Err(place) = names.binary_search(name) {
        if names.is_empty() {
            // Mostly it stays the only one.
            names.reserve_exact(1);
        }
        names.insert(place, name.clone());
    }
}

fn anchor(selector: &Selector) -> Option<(Label, &[String])> {
    let written_out = |(label, values): &(&Label, &Vec<String>)| {
        **label != Label::Tool && !values.iter().any(|value| value.ends_with('*'))
    };
    let greatest = selector.0.iter().rev().find(written_out)?;
    Some((*greatest.0, greatest.1))
}
