//! What a budget takes.

use std::mem::size_of;

use model::BudgetName;

use super::table::{attempt, charge, pot, selector, window_of};
use crate::{Amount, BudgetSpec, Hold, Label, Ledger, account::Account, budget::Budget, debt::Slot};

/// A node of a B-tree map has room for 11 keys and values.
const NODE: usize = 11 * (size_of::<Label>() + size_of::<Vec<String>>()) + 12;

/// What the allocator makes of it: eight bytes more, in steps of sixteen.
fn block(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

/// A tenant may have 100,000 budgets: one with a selector and a period in use must take less than a kilobyte.
#[test]
fn a_budget_is_small() {
    let spec = BudgetSpec {
        select: Some(selector("user:u-0123456789ab")),
        thresholds: vec![50, 80, 95],
        ..BudgetSpec::money(
            "user-012345".parse().unwrap(),
            Amount(5),
            window_of("day", "Europe/Berlin"),
        )
    };
    let name = 2 * size_of::<usize>() + spec.name.as_str().len();
    let zone = "Europe/Berlin".len();
    let value = "u-0123456789ab".len();
    // A table of 100,000 has 131,072 places.
    let place = |key: usize, value: usize| (key + value + 1) * 4 / 3;
    let blocks = [
        size_of::<Budget>(),
        name,
        zone,
        NODE,
        size_of::<String>(),
        value,
        spec.thresholds.len(),
        size_of::<Slot>(),
        // In the index.
        value,
    ];
    let tables = place(size_of::<BudgetName>(), size_of::<Box<Budget>>()) + place(size_of::<Box<str>>(), 24);
    let total = tables + blocks.into_iter().map(block).sum::<usize>();
    assert!(
        total < 1_024,
        "{total}: a pot {}, a period {}",
        size_of::<Account>(),
        size_of::<Slot>()
    );

    // Nothing is allocated ahead.
    let mut ledger = Ledger::default();
    let mut ahead = spec.clone();
    for values in ahead.select.iter_mut().flat_map(|select| select.0.values_mut()) {
        values.reserve(10);
    }
    let now = model::Timestamp::from_unix_micros(0);
    ledger.define(ahead, now);
    let pots = [pot("user-012345")];
    let bookings = ledger.admit(&pots, &charge("0"), now).unwrap();
    let hold = Hold {
        amount: charge("0"),
        bookings,
        expires: now,
        boot: 1,
    };
    ledger.place(attempt("a"), hold, now).unwrap();
    let kept = &ledger.budget(&spec.name).unwrap().select.as_ref().unwrap().0[&Label::User];
    assert_eq!((kept.len(), kept.capacity()), (1, 1));
    assert_eq!(ledger.budgets[&spec.name].account(&[]).unwrap().capacity(), 1);
}
