//! Which budgets select a request, without looking at all of them.

use std::collections::HashMap;

use model::BudgetName;

use crate::{Label, Labels, Selector};

/// Budgets by one of the values that they select by: the label that says the most, so that few budgets share a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    anchored: HashMap<(Label, String), Vec<BudgetName>>,
    /// Those without a label whose values are written out.
    rest: Vec<BudgetName>,
}

impl Index {
    pub(crate) fn insert(&mut self, name: &BudgetName, selector: &Selector) {
        match anchor(selector) {
            Some((label, values)) => {
                for value in values {
                    add(self.anchored.entry((label, value.clone())).or_default(), name);
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
        for value in values {
            let place = (label, value.clone());
            if let Some(names) = self.anchored.get_mut(&place) {
                names.retain(|other| other != name);
                if names.is_empty() {
                    self.anchored.remove(&place);
                }
            }
        }
    }

    /// Budgets among which are all that select a request with these labels.
    pub(crate) fn candidates<'a>(&'a self, labels: &'a Labels<'_>) -> impl Iterator<Item = &'a BudgetName> {
        let anchored = Label::ALL.into_iter().filter_map(|label| {
            let value = labels.get(label)?;
            self.anchored.get(&(label, value.to_owned()))
        });
        anchored.flatten().chain(&self.rest)
    }
}

/// Names in order, each once: what is found does not depend on the order of definitions.
fn add(names: &mut Vec<BudgetName>, name: &BudgetName) {
    if let Err(place) = names.binary_search(name) {
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
