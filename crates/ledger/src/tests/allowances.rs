//! What stands reserved for an agent, and what is carved out of it.

use model::{AgentName, NanoUsd, Timestamp};

use super::table::{attempt, budget, charge, dollars, instant, money, pot, window_of};
use crate::{Amount, BudgetSpec, Hold, Ledger, LedgerError, Measure};

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
    assert_eq!(allowance.map_or(NanoUsd::ZERO, |hold| hold.amount.money), money(left));
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

/// Budgets of tokens and calls take part in it as those of money do: each has reserved what the allowance says of its unit.
#[test]
fn an_allowance_in_several_units() {
    let now = instant(MORNING, "UTC");
    let mut ledger = Ledger::default();
    for (name, unit) in [
        ("money", Measure::Money),
        ("all", Measure::Tokens),
        ("in", Measure::InputTokens),
        ("calls", Measure::Calls),
    ] {
        let mut spec = BudgetSpec::money(budget(name), Amount(10_000_000_000), window_of("day", "UTC"));
        spec.unit = unit;
        ledger.define(spec, now);
    }
    let pots = ["money", "all", "in", "calls"].map(pot);
    let amount = charge("5+100in+100out+3call");
    let allowance = Hold {
        amount,
        bookings: ledger.admit(&pots, &amount, now).unwrap(),
        expires: Timestamp::MAX,
        boot: 0,
    };
    ledger.hold_allowance(agent("alone"), allowance.clone(), now).unwrap();
    let check = |ledger: &Ledger, expected: [(i64, i64); 4]| {
        let found = ["money", "all", "in", "calls"].map(|name| {
            let balance = ledger.balance(&pot(name), now).unwrap();
            (balance.settled.0, balance.held.0)
        });
        assert_eq!(found, expected);
    };
    let dollars = |count: i64| count * 1_000_000_000;
    check(&ledger, [(0, dollars(5)), (0, 200), (0, 100), (0, 3)]);
    let mut carve = |name: &str, text: &str| {
        let amount = charge(text);
        let hold = Hold {
            amount,
            ..allowance.clone()
        };
        let carved = ledger.carve(&agent("alone"), attempt(name), hold);
        (carved.map_err(|error| error.to_string()), ledger.clone())
    };
    let (carved, _) = carve("a", "1+101in+1call");
    let refused = "a hold of 101 tokens was not in the allowance of agent alone, which had 200 tokens left";
    assert_eq!(carved, Err(refused.to_owned()));
    let (carved, _) = carve("a", "1+10in+4call");
    let refused = "a hold of 4 calls was not in the allowance of agent alone, which had 3 calls left";
    assert_eq!(carved, Err(refused.to_owned()));
    let (carved, mut ledger) = carve("a", "2+60in+60out+1call");
    assert_eq!(carved, Ok(()));
    check(&ledger, [(0, dollars(5)), (0, 200), (0, 100), (0, 3)]);
    // More came out than was held for, and less went in: what is left of all tokens goes back, no more.
    let ended = ledger.end_carved(&agent("alone"), attempt("a"), &charge("1+20in+70out+1call"), now);
    assert_eq!(ended.unwrap().overrun, money("0"));
    check(&ledger, [(dollars(1), dollars(4)), (90, 110), (20, 70), (1, 2)]);
    let left = ledger.allowance(&agent("alone")).unwrap().amount;
    assert_eq!(left, charge("4+70in+40out+2call"));
    ledger.release_allowance(&agent("alone"), now).unwrap();
    check(&ledger, [(dollars(1), 0), (90, 0), (20, 0), (1, 0)]);
}

/// An allowance of money may be carved by calls whose tokens nothing counts.
#[test]
fn an_allowance_of_money_says_nothing_of_tokens() {
    let (mut ledger, now) = ledger();
    let mut first = part(&ledger, "1");
    first.amount = charge("1+1000in+1000out+1call");
    ledger.carve(&agent("alone"), attempt("first"), first).unwrap();
    let ended = ledger.end_carved(
        &agent("alone"),
        attempt("first"),
        &charge("0.5+1000in+10out+1call"),
        now,
    );
    assert_eq!(ended.unwrap().reached, []);
    check(&ledger, MORNING, "0.5", "1.5", "1.5");
    ledger.release_allowance(&agent("alone"), now).unwrap();
    let day = ledger.balance(&pot("day"), now).unwrap();
    assert_eq!((day.settled, day.held), (amount("0.5"), Amount::ZERO));
}
