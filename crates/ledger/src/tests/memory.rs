//! What a budget takes.

use std::{mem::size_of, sync::Arc};

use model::BudgetName;

use super::table::{attempt, charge, pot, selector, window_of};
use crate::{Amount, BudgetSpec, Hold, Ledger, account::Account, budget::Budget, debt::Slot};

/// What the allocator makes of it: eight bytes more, in steps of sixteen.
fn block(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

/// How much of the memory a budget with this selector takes, while its pot has a period.
fn bytes(select: &str) -> usize {
    let spec = BudgetSpec {
        select: Some(selector(select)),
        thresholds: vec![50, 80, 95],
        ..BudgetSpec::money(
            "support-triage-01234-daily".parse().unwrap(),
            Amount(5),
            window_of("day", "Europe/Berlin"),
        )
    };
    let counted = 2 * size_of::<usize>();
    let values = spec.select.iter().flat_map(|select| select.iter());
    // A letter, two digits and a colon.
    let text = values.map(|(_, values)| values.iter().map(|value| value.len() + 4).sum::<usize>());
    let blocks = [
        size_of::<Budget>(),
        counted + size_of::<BudgetSpec>(),
        counted + spec.name.as_str().len(),
        "Europe/Berlin".len(),
        text.sum(),
        spec.thresholds.len(),
        size_of::<Slot>(),
    ];
    // A table of 100,000 has 131,072 places, and a byte for each besides; a node of a tree is three quarters full.
    let place = |key: usize, value: usize| (key + value + 1) * 4 / 3;
    let tables = [
        place(size_of::<BudgetName>(), size_of::<Box<Budget>>()),
        place(size_of::<u64>(), 24),
        place(size_of::<BudgetName>(), 0),
    ];
    tables.into_iter().chain(blocks.map(block)).sum()
}

/// A tenant may have 100,000 budgets: one in use must take well below a kilobyte, with names as people give them. The rest
/// is for what the fold knows of it besides, and for what the allocator loses.
#[test]
fn a_budget_is_small() {
    let one = bytes("agent:support-triage-01234");
    let three = bytes("environment:production,team:customer-support,agent:support-triage-01234");
    let (pot, period) = (size_of::<Account>(), size_of::<Slot>());
    let shown = format!("by one label {one}, by three {three}; a pot {pot}, a period {period}");
    assert!(one < 720 && three < 760, "{shown}");
}

#[test]
fn nothing_is_allocated_ahead() {
    let mut ledger = Ledger::default();
    let now = model::Timestamp::from_unix_micros(0);
    let spec = BudgetSpec::money("one".parse().unwrap(), Amount(5), window_of("day", "Europe/Berlin"));
    let name = spec.name.clone();
    ledger.define(spec, now);
    let bookings = ledger.admit(&[pot("one")], &charge("0"), now).unwrap();
    let hold = Hold {
        amount: charge("0"),
        bookings,
        expires: now,
        boot: 1,
    };
    ledger.place(attempt("a"), hold, now).unwrap();
    assert_eq!(ledger.budgets[&name].account(&[]).unwrap().capacity(), 1);
    // One text for the entry, the book and the index.
    let kept = ledger.known(&name).unwrap();
    assert!(std::ptr::eq(kept.as_str(), name.as_str()));
    assert!(std::ptr::eq(ledger.budget(&name).unwrap().name.as_str(), name.as_str()));
    assert_eq!(ledger.declared().map(|spec| Arc::strong_count(&spec)).max(), Some(2));
}
