//! What stands reserved for an agent, and what is carved out of it.

use model::{AgentName, Timestamp};

use super::table::{attempt, budget, dollars, instant, money, pot, window_of};
use crate::{Amount, BudgetSpec, Charge, Hold, Ledger, LedgerError};

fn amount(text: &str) -> Amount {
    money(text).into()
}

const MORNING: &str = "2026-03-02T10:00";

fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

fn hold(ledger: &Ledger, amount: &str, now: Timestamp) -> Hold {
    Hold {
        amount: dollars(amount),
        bookings: ledger
            .admit(&[pot("day"), pot("rolling-hour")], &dollars(amount), now)
            .unwrap(),
        expires: Timestamp::MAX,
        boot: 0,
    }
}

/// A day and a rolling hour of 5 dollars each; 2 of them are the allowance of `alone`.
fn ledger() -> (Ledger, Timestamp) {
    let now = instant(MORNING, "UTC");
    let mut ledger = Ledger::default();
    for window in ["day", "rolling-hour"] {
        let spec = BudgetSpec::money(budget(window), money("5"), window_of(window, "UTC"));
        ledger.define(spec, now);
    }
    let allowance = hold(&ledger, "2", now);
    ledger.hold_allowance(agent("alone"), allowance, now).unwrap();
    (ledger, now)
}

/// A hold of so much in the allowance's bookings.
fn part(ledger: &Ledger, amount: &str) -> Hold {
    let allowance = ledger.allowance(&agent("alone")).unwrap();
    Hold {
        amount: dollars(amount),
        boot: 1,
        ..allowance.clone()
    }
}

/// What is settled and held in both budgets, and what is left of the allowance.
fn check(ledger: &Ledger, at: &str, settled: &str, held: &str, left: &str) {
    let now = instant(at, "UTC");
    for name in ["day", "rolling-hour"] {
        let balance = ledger.balance(&pot(name), now).unwrap();
        assert_eq!(
            (balance.settled, balance.held),
            (amount(settled), amount(held)),
            "{name}"
        );
    }
    let allowance = ledger.allowance(&agent("alone"));
    assert_eq!(allowance.map_or(Charge::NONE, |hold| hold.amount), dollars(left));
}

#[test]
fn what_is_carved_was_reserved_before_and_what_is_not_used_goes_back() {
    let (mut ledger, now) = ledger();
    check(&ledger, MORNING, "0", "2", "2");
    let first = part(&ledger, "1.5");
    ledger.carve(&agent("alone"), attempt("first"), first).unwrap();
    check(&ledger, MORNING, "0", "2", "0.5");
    ledger
        .end_carved(&agent("alone"), attempt("first"), &dollars("0.25"), now)
        .unwrap();
    check(&ledger, MORNING, "0.25", "1.75", "1.75");
    // What ends when all is well again gives its rest to everybody.
    let second = part(&ledger, "1");
    ledger.carve(&agent("alone"), attempt("second"), second).unwrap();
    ledger.end(attempt("second"), &dollars("0.5"), now).unwrap();
    check(&ledger, MORNING, "0.75", "0.75", "0.75");
    // A provider may bill more than was held; the allowance does not pay for it.
    let third = part(&ledger, "0.5");
    ledger.carve(&agent("alone"), attempt("third"), third).unwrap();
    let ended = ledger
        .end_carved(&agent("alone"), attempt("third"), &dollars("3"), now)
        .unwrap();
    assert_eq!(ended.overrun, money("2.5"));
    check(&ledger, MORNING, "3.75", "0.25", "0.25");
    ledger.release_allowance(&agent("alone"), now).unwrap();
    check(&ledger, MORNING, "3.75", "0", "0");
}

/// The budgets may be full, their limits lowered and their day over: what was reserved is there.
#[test]
fn carving_needs_no_room() {
    let (mut ledger, now) = ledger();
    let rest = hold(&ledger, "3", now);
    ledger.place(attempt("rest"), rest, now).unwrap();
    let day = BudgetSpec::money(budget("day"), money("1"), window_of("day", "UTC"));
    let now = instant("2026-03-03T00:30", "UTC");
    ledger.define(day, now);
    let first = part(&ledger, "2");
    ledger.carve(&agent("alone"), attempt("first"), first).unwrap();
    ledger
        .end_carved(&agent("alone"), attempt("first"), &dollars("2"), now)
        .unwrap();
    ledger.end(attempt("rest"), &dollars("0"), now).unwrap();
    ledger.release_allowance(&agent("alone"), now).unwrap();
    // It is booked into the day in which it was reserved, whose limit was 5 dollars: nothing is owed.
    let next = ledger.balance(&pot("day"), instant("2026-03-03T01:00", "UTC")).unwrap();
    assert_eq!(
        (next.carried, next.settled, next.held),
        (Amount::ZERO, Amount::ZERO, Amount::ZERO)
    );
}

#[test]
fn what_does_not_fit_the_allowance_is_refused_and_leaves_no_trace() {
    let (ledger, now) = ledger();
    let refused = |step: &dyn Fn(&mut Ledger) -> Result<(), LedgerError>, expected: &str| {
        let mut changed = ledger.clone();
        assert_eq!(step(&mut changed).unwrap_err().to_string(), expected);
        assert_eq!(changed, ledger);
    };
    let carve = |amount: &'static str| {
        move |ledger: &mut Ledger| {
            let hold = part(ledger, amount);
            ledger.carve(&agent("alone"), attempt("first"), hold)
        }
    };
    let more = "a hold of 2.000000001 USD was not in the allowance of agent alone, which had 2 USD left";
    refused(&carve("2.000000001"), more);
    refused(&carve("-1"), "an amount must not be negative: -1 USD");
    refused(
        &|ledger| {
            let mut hold = part(ledger, "1");
            hold.bookings.pop();
            ledger.carve(&agent("alone"), attempt("first"), hold)
        },
        "a hold of 1 USD was not in the allowance of agent alone, which had 2 USD left",
    );
    refused(
        &|ledger| {
            let hold = part(ledger, "1");
            ledger.carve(&agent("other"), attempt("first"), hold)
        },
        "agent other has no such allowance",
    );
    refused(
        &|ledger| {
            let again = hold(ledger, "1", now);
            ledger.hold_allowance(agent("alone"), again, now)
        },
        "agent alone has an allowance already",
    );
    refused(
        &|ledger| ledger.release_allowance(&agent("other"), now),
        "agent other has no such allowance",
    );
    refused(
        &|ledger| {
            let mut more = hold(ledger, "3", now);
            more.amount = dollars("3.1");
            ledger.hold_allowance(agent("other"), more, now)
        },
        "a hold of 3.1 USD takes budget day above its limit: 2 of 5 USD is used",
    );
}
