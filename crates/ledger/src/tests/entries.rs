//! What an entry says of a hold is checked against the ledger's own state.

use model::{NanoUsd, Timestamp};

use super::table::{attempt, budget, check_under_rules_of, dollars, instant, money, pot, window_of};
use crate::{Amount, BudgetSpec, Charge, Edit, Hold, Label, Ledger, LedgerError, NotAdmitted, Period, Pot};

/// A day and a rolling hour of 5 dollars each, 2 of them used.
fn ledger(at: &str) -> (Ledger, Timestamp) {
    let now = instant(at, "UTC");
    let mut ledger = Ledger::default();
    for window in ["day", "rolling-hour"] {
        let spec = BudgetSpec::money(budget(window), money("5"), window_of(window, "UTC"));
        ledger.define(spec, now);
    }
    let hold = hold(&ledger, now, "2");
    ledger.place(attempt("first"), hold, now).unwrap();
    (ledger, now)
}

fn hold(ledger: &Ledger, now: Timestamp, amount: &str) -> Hold {
    let pots = [pot("day"), pot("rolling-hour")];
    Hold {
        amount: dollars(amount),
        bookings: ledger.admit(&pots, &dollars(amount), now).unwrap(),
        expires: now,
        boot: 1,
    }
}

/// Changes a hold that fits, and places it: the error, and that nothing else came of it.
fn check(forge: impl FnOnce(&mut Hold), expected: &str) {
    let (mut ledger, now) = ledger("2026-03-02T10:00");
    let mut hold = hold(&ledger, now, "1");
    forge(&mut hold);
    let before = ledger.clone();
    let error = ledger.place(attempt("forged"), hold, now).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(ledger, before);
}

#[test]
fn a_forged_hold_is_refused() {
    check(
        |hold| hold.amount = dollars("-1"),
        "an amount must not be negative: -1 USD",
    );
    check(|hold| hold.bookings.clear(), "an action needs 1 to 16 budgets, found 0");
    check(
        |hold| hold.bookings[1] = hold.bookings[0].clone(),
        "budget day is named twice",
    );
    check(
        |hold| hold.bookings[1].budget = budget("night"),
        "there is no budget night",
    );
    check(
        |hold| hold.bookings[1].used = money("1").into(),
        "budget rolling-hour had 2 USD used, the entry says 1 USD",
    );
    check(
        |hold| hold.bookings[0].limit = money("6").into(),
        "budget day has a limit of 5 USD, the entry says 6 USD",
    );
    check(
        |hold| hold.amount = dollars("3.1"),
        "a hold of 3.1 USD takes budget day above its limit: 2 of 5 USD is used",
    );
    check(
        |hold| hold.amount = Charge::of_money(NanoUsd::MAX),
        "a hold of 9223372036.854775807 USD takes budget day above its limit: 2 of 5 USD is used",
    );
}

/// A period that is not the budget's would let spending start again.
#[test]
fn a_forged_period_is_refused() {
    let moved = |period: Period, start: i64, end: i64| Period {
        start: period.start.saturating_add_micros(start),
        end: period.end.saturating_add_micros(end),
    };
    let hour = 3_600_000_000;
    for at in [0, 1] {
        for (start, end) in [(0, 1), (-1, 0), (hour, hour), (24 * hour, 24 * hour), (0, -25 * hour)] {
            let (mut ledger, now) = ledger("2026-03-02T10:00");
            let mut hold = hold(&ledger, now, "1");
            let booking = &mut hold.bookings[at];
            booking.period = moved(booking.period, start, end);
            booking.used = Amount::ZERO;
            let expected = LedgerError::WrongPeriod {
                budget: booking.budget.clone(),
                said: booking.period,
            };
            assert_eq!(ledger.place(attempt("forged"), hold, now), Err(expected));
        }
    }
    // The first hold of a day: its period is not known yet, but must hold the instant and be about a day.
    for (start, end, fits) in [
        (0, 0, true),
        (hour, hour, true),
        (0, hour, true),
        (-hour, 0, true),
        (0, -hour, true),
        (11 * hour, 11 * hour, false),
        (-14 * hour, -14 * hour, false),
        (9 * hour, -13 * hour, false),
        (0, 25 * hour, false),
        (-25 * hour, 0, false),
    ] {
        let (mut ledger, _) = ledger("2026-03-02T10:00");
        let now = instant("2026-03-03T10:00", "UTC");
        let mut hold = hold(&ledger, now, "1");
        hold.bookings[0].period = moved(hold.bookings[0].period, start, end);
        let placed = ledger.place(attempt("next"), hold, now);
        assert_eq!(placed.is_ok(), fits, "{start} {end}: {placed:?}");
    }
}

/// An edit begins a window before anything is booked in it. A period that would make a window more of it, and so pay off
/// a debt early, is not taken for it.
#[test]
fn a_forged_period_after_an_edit_is_refused() {
    let (mut ledger, now) = ledger("2026-03-02T10:00");
    ledger.end(attempt("first"), &dollars("9"), now).unwrap();
    let now = now.saturating_add_micros(24 * 3_600_000_000);
    let (name, limit, window) = (budget("day"), money("6"), window_of("day", "UTC"));
    ledger.define(BudgetSpec::money(name, limit, window), now);
    let now = instant("2026-03-03T23:00", "UTC");
    assert_eq!(ledger.balance(&pot("day"), now).unwrap().carried, money("4").into());
    let mut hold = hold(&ledger, now, "1");
    let said = Period {
        start: instant("2026-03-03T22:00", "UTC"),
        end: instant("2026-03-04T22:00", "UTC"),
    };
    hold.bookings[0].period = said;
    hold.bookings[0].used = Amount::ZERO;
    let budget = budget("day");
    let placed = ledger.place(attempt("forged"), hold, now);
    assert_eq!(placed, Err(LedgerError::WrongPeriod { budget, said }));
}

/// An entry of the day before, a day later: its period is over.
#[test]
fn a_late_entry_is_refused() {
    let (mut ledger, now) = ledger("2026-03-02T10:00");
    let hold = hold(&ledger, now, "1");
    let said = hold.bookings[0].period;
    let budget = budget("day");
    let placed = ledger.place(attempt("late"), hold, instant("2026-03-03T00:00", "UTC"));
    assert_eq!(placed, Err(LedgerError::WrongPeriod { budget, said }));
}

/// The view of the one who asked is older than that of the one who commits.
#[test]
fn a_stale_admission_is_refused() {
    let (mut ledger, now) = ledger("2026-03-02T10:00");
    let (first, second) = (hold(&ledger, now, "2"), hold(&ledger, now, "2"));
    assert_eq!(ledger.place(attempt("a"), first, now), Ok(()));
    let placed = ledger.place(attempt("b"), second, now);
    assert!(matches!(placed, Err(LedgerError::WrongBalance { .. })), "{placed:?}");

    let third = hold(&ledger, now, "1");
    let window = window_of("week", "UTC");
    let (name, limit) = (budget("day"), money("5"));
    ledger.define(BudgetSpec::money(name, limit, window), now);
    let placed = ledger.place(attempt("c"), third, now);
    assert!(matches!(placed, Err(LedgerError::WrongPeriod { .. })), "{placed:?}");
}

/// What administrators did between an admission and its entry.
#[test]
fn an_edit_makes_an_admission_stale() {
    let period = |ledger: &Ledger, now| ledger.period(&pot("day"), now).unwrap();
    let top_up = |amount, period| Edit::ToppedUp {
        amount: Amount(amount),
        of: Vec::new(),
        period,
    };
    let (fresh, now) = ledger("2026-03-02T10:00");
    let admitted = hold(&fresh, now, "1");
    let limit = |nanos| Edit::Limit { limit: Amount(nanos) };
    for (edits, expected) in [
        (vec![Edit::Paused {}], "budget day is paused, or has no such pot"),
        (
            vec![limit(4_000_000_000)],
            "budget day has a limit of 4 USD, the entry says 5 USD",
        ),
        (
            vec![top_up(1, period(&fresh, now))],
            "budget day has a limit of 5.000000001 USD, the entry says 5 USD",
        ),
        (vec![Edit::Paused {}, Edit::Resumed {}], ""),
        (vec![limit(1), Edit::DeclaredLimit {}], ""),
    ] {
        let mut ledger = fresh.clone();
        for edit in &edits {
            ledger.edit(&budget("day"), edit, now).unwrap();
        }
        let placed = ledger.place(attempt("late"), admitted.clone(), now);
        let found = placed.map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(found, expected, "{edits:?}");
    }
    let mut ledger = fresh.clone();
    ledger.remove(&budget("day"), now).unwrap();
    let placed = ledger.place(attempt("late"), admitted, now);
    assert_eq!(placed, Err(LedgerError::UnknownBudget(budget("day"))));
}

/// An entry may neither name a pot that there cannot be nor make one too many.
#[test]
fn a_forged_pot_is_refused() {
    let (mut ledger, now) = ledger("2026-03-02T10:00");
    let mut each = BudgetSpec::money(budget("each"), money("5"), window_of("day", "UTC"));
    each.each = vec![Label::User];
    ledger.define(each, now);
    let of = |users: &[&str]| Pot {
        budget: budget("each"),
        of: users.iter().map(|user| (*user).to_owned()).collect(),
    };
    let place = |ledger: &mut Ledger, name: &str, users: &[&str]| {
        let bookings = ledger.admit(&[of(&["nobody"])], &dollars("1"), now).unwrap();
        let mut hold = Hold {
            amount: dollars("1"),
            bookings,
            expires: now,
            boot: 1,
        };
        hold.bookings[0].of = of(users).of;
        let before = ledger.clone();
        let placed = ledger.place(attempt(name), hold, now);
        assert!(placed.is_ok() || *ledger == before);
        placed
    };
    let not_open = Err(LedgerError::NotOpen(budget("each")));
    assert_eq!(place(&mut ledger, "none", &[]), not_open);
    assert_eq!(place(&mut ledger, "two", &["ann", "bob"]), not_open);
    for user in ["ann", "bob", "cyd"] {
        assert_eq!(place(&mut ledger, user, &[user]), Ok(()));
    }
    let bookings = ledger.admit(&[of(&["eve"])], &dollars("1"), now).unwrap();
    let late = Hold {
        amount: dollars("1"),
        bookings,
        expires: now,
        boot: 1,
    };
    assert_eq!(place(&mut ledger, "dan", &["dan"]), Ok(()));
    assert_eq!(ledger.place(attempt("eve"), late, now), not_open);
    // Two pots of one budget would each be checked without the other.
    let mut twice = hold(&ledger, now, "1");
    twice.bookings[1].budget = budget("day");
    twice.bookings[1].of = vec!["ann".to_owned()];
    let placed = ledger.place(attempt("twice"), twice, now);
    assert_eq!(placed, Err(LedgerError::Repeated(budget("day"))));
}

#[test]
fn no_budget_admits_nothing() {
    let (ledger, now) = ledger("2026-03-02T10:00");
    let none = ledger.admit(&[], &Charge::NONE, now);
    assert_eq!(none, Err(NotAdmitted::Error(LedgerError::BudgetCount(0))));
    let names: Vec<_> = ledger.budgets().map(|spec| spec.name.clone()).collect();
    assert_eq!(names, [budget("day"), budget("rolling-hour")]);
    assert_eq!(ledger.budget(&names[0]).map(|spec| spec.limit), Some(money("5").into()));
    assert_eq!(ledger.budget(&budget("night")), None);
}

/// The rules of a zone change between the writing of a log and its replay: the periods in the entries stand.
#[test]
fn replay_needs_no_rules_of_zones() {
    let scenario = "zone Europe/Berlin
         define day 5
         define wk: week 9
         at 2026-03-28T23:30 hold a 5 in b,wk
         end a 4
         at 2026-03-29T00:00 hold b 5 in b,wk
         at 2026-03-29T23:30 define day 8
         hold c 2
         end b 6
         at 2026-03-30T00:30 hold d 4 in b,wk
         end c 4
         hold e 2
         at 2026-04-03T00:30 hold f 5";
    for zone in ["Europe/Atlantis", "Europe/London", "Europe/Athens", "UTC"] {
        check_under_rules_of(zone, scenario);
    }
}

/// An edit of the budget asks the calendar; an hour more or less does not change how many windows are counted.
#[test]
fn replay_under_other_rules_after_an_edit() {
    let scenario = "zone Europe/Berlin
         define day 5
         define wk: week 1
         at 2026-03-20T10:00 hold a 1 in b,wk
         end a 30
         at 2026-03-23T10:00 define day 6
         at 2026-03-24T10:00 expect carried=9
         define day 7
         define wk: week 20
         at 2026-03-24T11:00 hold g 0.000000001 in wk => refused: 29 of 20 used in wk
         at 2026-03-25T10:00 expect carried=2
         hold b 5
         define hour 10
         hold c 3
         end c 4
         at 2026-03-31T10:00 hold d 3 in b,wk
         define day 4
         hold e 1
         end e 20
         at 2026-04-03T10:00 expect carried=11";
    for zone in ["Europe/London", "Europe/Athens"] {
        check_under_rules_of(zone, scenario);
    }
}

/// Edits ask the calendar too, and what they begin without an entry to say where gives way to what an entry says.
#[test]
fn replay_of_edits_under_other_rules() {
    let scenario = "zone Europe/Berlin
         define day 5 thresholds=50 each=user
         define wk: week 9
         at 2026-03-28T10:00 hold a 5 in b[ann],wk
         end a 5 => 50%: 5 of 5 in b[ann]
         topup b[ann]: 3
         hold b 2 in b[ann],wk
         at 2026-03-29T10:00 limit 4
         limit wk: 20
         topup b[ann]: 2
         topup wk: 1
         hold c 6 in b[ann],wk
         end b 8 => 50%: 5 of 6 in b[ann]
         declared
         end c 7
         hold d 1 in b[bob],wk
         at 2026-03-30T10:00 limit 7
         topup wk: 5
         at 2026-03-30T10:30 define day 3 thresholds=50 each=user
         declared
         hold e 1 in b[cyd],wk
         at 2026-03-30T11:00 pause
         resume
         topup b[dan]: 1
         limit 3
         hold f 4 in b[dan],wk
         at 2026-04-02T10:00 hold g 1 in b[ann],wk
         end g 1";
    for zone in ["Europe/London", "Europe/Athens"] {
        check_under_rules_of(zone, scenario);
    }
}

/// A hold that stays open for long must not make every later one dearer.
#[test]
fn what_a_budget_keeps_stays_bounded() {
    for (window, bound) in [("minute", 2), ("rolling-minute", 61), ("total", 1)] {
        let name = budget("b");
        let mut ledger = Ledger::default();
        let mut now = instant("2026-03-02T10:00", "UTC");
        let spec = BudgetSpec::money(name.clone(), money("10000"), window_of(window, "UTC"));
        ledger.define(spec, now);
        let place = |ledger: &mut Ledger, name: &str, now| {
            let bookings = ledger.admit(&[pot("b")], &dollars("1"), now).unwrap();
            let (amount, expires, boot) = (dollars("1"), now, 1);
            let hold = Hold {
                amount,
                bookings,
                expires,
                boot,
            };
            ledger.place(attempt(name), hold, now).unwrap();
        };
        place(&mut ledger, "stuck", now);
        for _ in 0..5_000 {
            now = now.saturating_add_micros(1_000_000 * if window == "minute" { 60 } else { 1 });
            place(&mut ledger, "brief", now);
            ledger.end(attempt("brief"), &dollars("2"), now).unwrap();
            assert!(ledger.kept(&name) <= bound, "{window} keeps {}", ledger.kept(&name));
        }
        ledger.end(attempt("stuck"), &dollars("1"), now).unwrap();
    }
}
