//! Which budgets select a request: the index against looking at all of them.

use proptest::prelude::*;

use super::{
    overlap::{VALUES, any_selector},
    table::{budget, window_of},
};
use crate::{Amount, BudgetSpec, Label, Labels, Ledger, Pot, Selector};

#[derive(Clone, Debug)]
struct Declared {
    name: usize,
    /// Without one it is for those that name it.
    select: Option<Selector>,
    each: bool,
    removed: bool,
}

fn any_declared() -> impl Strategy<Value = Declared> {
    let select = prop::option::weighted(0.9, any_selector());
    (0..8_usize, select, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(name, select, each, removed)| Declared {
        name,
        select,
        each,
        removed,
    })
}

fn any_value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(VALUES.to_vec())
}

proptest! {
    /// Declared, declared otherwise and removed in any order.
    #[test]
    fn the_index_finds_what_selects(
        declared in prop::collection::vec(any_declared(), 0..16),
        values in (any_value(), any_value(), any_value()),
        tools in prop::collection::vec(any_value(), 0..3),
        named in prop::collection::btree_set(0..8_usize, 0..3),
    ) {
        let now = model::Timestamp::from_unix_micros(0);
        let mut ledger = Ledger::default();
        for declared in &declared {
            let name = budget(&format!("b{}", declared.name));
            if declared.removed {
                drop(ledger.remove(&name, now));
                continue;
            }
            let mut spec = BudgetSpec::money(name, Amount(1), window_of("total", ""));
            spec.select.clone_from(&declared.select);
            spec.each = if declared.each { vec![Label::User] } else { Vec::new() };
            ledger.define(spec, now);
        }
        let tools: Vec<String> = tools.into_iter().filter(|tool| !tool.is_empty()).map(str::to_owned).collect();
        let (team, agent, user) = values;
        let labels = Labels { team, agent, user, tools: &tools, ..Labels::default() };

        let named: Vec<_> = named.into_iter().rev().map(|name| budget(&format!("b{name}"))).collect();
        let all: Vec<_> = ledger.budgets().collect();
        let pot = |spec: &BudgetSpec| {
            let of = spec.each.iter().map(|_| user.to_owned()).collect();
            let budget = spec.name.clone();
            (spec.each.is_empty() || !user.is_empty()).then_some(Pot { budget, of })
        };
        let by_name = named.iter().filter_map(|name| match all.iter().find(|spec| spec.name == *name) {
            Some(spec) => pot(spec),
            None => Some(Pot::from(name.clone())),
        });
        let selecting = all.iter().filter(|spec| {
            let selects = spec.select.as_ref().is_some_and(|select| select.selects(&labels));
            selects && !named.contains(&spec.name)
        });
        let expected: Vec<_> = by_name.chain(selecting.filter_map(|spec| pot(spec))).collect();
        prop_assert_eq!(ledger.select(&named, &labels), expected);
    }
}
