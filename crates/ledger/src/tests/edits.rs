//! What administrators change while traffic flows, as text tables.

use super::table::{budget, check, instant, pot, window_of};
use crate::{Amount, BudgetSpec, Edit, Ledger, LedgerError, Period};

#[test]
fn a_paused_budget_grants_nothing() {
    check(
        "define day 5
         define t: day 9
         at 2026-03-02T10:00 hold a 2 in b,t
         pause
         pause => budget b is paused already
         expect paused=true used=2 remaining=3
         hold b 1 => paused
         hold b 0 => paused
         hold b 1 in t,b => paused
         hold b 1 in t
         end a 1.5                                     # what is open ends
         expect settled=1.5 held=0
         define day 6
         hold c 1 => paused
         limit 7
         topup 1
         hold c 1 => paused
         at 2026-03-03T10:00 hold c 1 => paused
         resume
         resume => budget b is not paused
         hold c 7",
    );
}

#[test]
fn a_limit_raised_lowered_and_declared_again() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 5
         end a 5
         declared => budget b has its declared limit
         limit -1 => budget b cannot have a negative limit
         limit 8
         expect limit=8 remaining=3
         define day 6                                  # a reload does not undo it
         expect limit=8
         hold b 3
         end b 3
         hold c 1 => refused: 8 of 8 used
         limit 2
         expect used=8 limit=2 remaining=0
         hold c 1 => refused: 8 of 2 used
         hold c 0
         end c 0
         declared
         expect limit=6 used=8
         at 2026-03-03T00:00 expect carried=2 limit=6
         limit 0
         hold c 0.000000001 => refused: 2 of 0 used
         at 2026-03-05T00:00 expect carried=2
         declared
         at 2026-03-06T00:00 expect carried=0",
    );
}

/// Windows that passed are paid off at the limit that they had.
#[test]
fn a_debt_under_edited_limits() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 5
         end a 65
         at 2026-03-04T10:00 expect carried=55
         limit 10
         expect carried=55
         at 2026-03-06T10:00 expect carried=35
         limit 1
         at 2026-03-08T10:00 expect carried=33
         declared
         at 2026-03-09T10:00 expect carried=28",
    );
}

#[test]
fn a_top_up_belongs_to_its_calendar_window() {
    check(
        "define day 5
         topup 0 => budget b is topped up by more than nothing
         topup -1 => budget b is topped up by more than nothing
         at 2026-03-02T10:00 hold a 5
         end a 5
         hold b 1 => refused: 5 of 5 used
         topup 3
         expect limit=8 credit=3 used=5 remaining=3
         hold b 2
         end b 2
         topup 1
         hold c 2
         expect used=9 limit=9 credit=4 resets=2026-03-03T00:00+00:00
         end c 3                                       # one above all of it
         at 2026-03-03T00:00 expect carried=1 limit=5 credit=0
         topup 4
         at 2026-03-04T00:00 expect carried=0 used=0 limit=5 credit=0   # not used, and gone",
    );
}

/// A top-up also pays off what is owed; what it did not is paid off by the windows after it.
#[test]
fn a_top_up_for_a_debt() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 5
         end a 40
         at 2026-03-03T10:00 expect carried=35 remaining=0
         topup 32
         expect limit=37 remaining=2
         hold b 2
         end b 2
         at 2026-03-04T00:00 expect carried=0
         define wk: week 1
         hold c 1 in wk
         end c 21
         topup wk: 12
         at 2026-03-09T10:00 expect wk: carried=8
         at 2026-03-24T10:00 expect wk: carried=6",
    );
}

/// What a hold of the topped-up window books later is still paid for by the top-up.
#[test]
fn a_hold_that_ends_windows_after_its_top_up() {
    check(
        "define day 5
         at 2026-03-02T10:00 topup 5
         hold a 10
         at 2026-03-03T10:00 expect carried=0 limit=5
         hold b 1
         end a 12
         expect carried=2 used=3
         at 2026-03-04T10:00 expect carried=0",
    );
}

#[test]
fn a_top_up_of_a_total() {
    check(
        "define total 5
         at 2026-03-02T10:00 hold a 5
         end a 5
         topup 2
         at 2027-03-02T10:00 expect limit=7 remaining=2 resets=never
         hold b 2
         topup 1
         expect limit=8 credit=3
         define day 5                                  # the 3 are spent, the limit's 5 count on
         expect carried=4 limit=5 credit=0
         end b 1
         expect carried=3
         define total 5
         expect carried=3 used=3 limit=5",
    );
}

/// It counts for as long as what is spent in its part does.
#[test]
fn a_top_up_rolls_out() {
    check(
        "define rolling-hour 5
         at 2026-03-02T10:00 hold a 4
         end a 4
         at 2026-03-02T10:30 topup 3
         expect limit=8 credit=3 resets=2026-03-02T11:01+00:00
         hold b 4
         end b 4
         at 2026-03-02T11:01 expect used=4 limit=8
         at 2026-03-02T11:30:59 expect used=4 limit=8
         at 2026-03-02T11:31 expect used=0 limit=5 credit=0 resets=never",
    );
}

/// What was spent in one part may be paid for by a top-up in another.
#[test]
fn a_top_up_of_a_rolling_window_that_is_redefined() {
    check(
        "define rolling-hour 5
         at 2026-03-02T10:00 topup 3
         at 2026-03-02T10:10 hold a 7
         at 2026-03-02T10:20 topup 2
         at 2026-03-02T10:30 hold b 2
         end b 2
         expect used=9 limit=10
         define day 5
         expect carried=4 limit=5
         end a 5
         expect carried=2 used=2
         hold c 3
         at 2026-03-03T00:00 expect used=0
         define rolling-day 5
         topup 9
         define day 5
         expect used=0 limit=5 credit=0",
    );
}

/// What b booked has rolled out; the slot that the first window left has the same period, and was a's.
#[test]
fn a_rolling_window_edited_forth_and_back_within_a_part() {
    check(
        "define rolling-minute 5
         at 2026-03-02T10:00 hold a 1
         define rolling-hour 5
         define rolling-minute 5
         hold b 1
         end a 1
         at 2026-03-02T10:01:01 hold c 1
         end b 1
         expect carried=0 settled=0 held=1",
    );
}

#[test]
fn a_top_up_across_a_change_of_the_clock() {
    check(
        "zone Europe/Berlin
         define day 5
         define hr: hour 5
         at 2026-03-29T01:59:59 topup 3
         topup hr: 3
         at 2026-03-29T03:00 expect limit=8 resets=2026-03-30T00:00+02:00
         expect hr: limit=5 resets=2026-03-29T04:00+02:00
         hold a 8
         at 2026-03-30T00:00 expect limit=5 carried=0
         at 2026-10-25T02:30+02:00 topup 3
         topup hr: 3
         at 2026-10-25T02:30+01:00 expect limit=8
         expect hr: limit=5                            # the hour that comes twice is two
         at 2026-10-25T23:59:59 expect limit=8 resets=2026-10-26T00:00+01:00
         end a 9",
    );
}

/// Tenant time never goes back, but may stand.
#[test]
fn a_clock_that_stands() {
    check(
        "define minute 5
         define r: rolling-minute 5
         at 2026-03-02T10:00 hold a 5 in b,r
         end a 5
         limit 6
         limit 7
         declared
         topup 1
         topup r: 1
         hold b 1 in b,r
         end b 9
         define day 5
         define minute 5
         define r: minute 5
         define r: rolling-minute 5
         expect carried=13 used=13
         expect r: carried=13 used=13
         hold c 1 => refused: 13 of 5 used
         at 2026-03-02T10:03 expect carried=0
         expect r: used=0",
    );
}

/// A clock that goes back neither doubles a top-up nor brings an old one back.
#[test]
fn a_clock_that_goes_back_brings_no_top_up_back() {
    check(
        "define day 5
         define r: rolling-hour 5
         at 2026-03-02T23:50 topup 3
         topup r: 3
         at 2026-03-03T00:00 hold a 5 in b,r
         at 2026-03-02T23:55 expect limit=5 used=5
         topup 1
         at 2026-03-03T00:10 expect limit=6
         expect r: limit=8
         at 2026-03-03T00:51 expect r: limit=5 used=5",
    );
}

#[test]
fn zero_limits() {
    check(
        "define day 0
         at 2026-03-02T10:00 hold a 1 => refused: 0 of 0 used
         topup 1
         hold a 1
         end a 3
         at 2026-03-09T10:00 expect carried=2          # nothing pays it off
         limit 2
         at 2026-03-10T10:00 expect carried=0",
    );
}

/// The period in a top-up's entry must be the budget's.
#[test]
fn a_forged_top_up_is_refused() {
    let now = instant("2026-03-02T10:00", "UTC");
    let hour = 3_600_000_000;
    for window in ["day", "rolling-hour", "total"] {
        let mut ledger = Ledger::default();
        ledger.define(BudgetSpec::money(budget("b"), Amount(5), window_of(window, "UTC")), now);
        let right = ledger.period(&pot("b"), now).unwrap();
        let top_up = |ledger: &mut Ledger, of: Vec<String>, period| {
            let amount = Amount(1);
            ledger.edit(&budget("b"), &Edit::ToppedUp { amount, of, period }, now)
        };
        for by in [-25 * hour, 25 * hour] {
            let moved = |at: model::Timestamp| at.saturating_add_micros(by);
            let said = Period {
                start: moved(right.start),
                end: right.end,
            };
            let before = ledger.clone();
            let budget = budget("b");
            let found = top_up(&mut ledger, Vec::new(), said);
            assert_eq!(found, Err(LedgerError::WrongPeriod { budget, said }), "{window}");
            assert_eq!(ledger, before);
        }
        let pot_of_nobody = top_up(&mut ledger, vec!["ann".to_owned()], right);
        assert_eq!(pot_of_nobody.unwrap_err().to_string(), "budget b has no such pot");
        assert_eq!(top_up(&mut ledger, Vec::new(), right), Ok(()));
    }
}
