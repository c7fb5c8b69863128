//! Budgets over time, as text tables.

use super::table::check;

#[test]
fn a_hold_reserves_and_its_end_books() {
    check(
        "define day 5
         at 2026-03-02T10:00
         expect used=0 remaining=5 carried=0 settled=0 held=0 resets=2026-03-03T00:00+00:00
         hold a 2
         expect used=2 remaining=3 settled=0 held=2
         end a 1.5
         expect used=1.5 remaining=3.5 settled=1.5 held=0
         hold b 3.5
         expect used=5 remaining=0
         hold c 0.000000001 => refused: 5 of 5 used
         void b
         expect used=1.5 held=0",
    );
}

#[test]
fn a_budget_exhausted_exactly() {
    check(
        "define day 5
         at 2026-03-02T10:00
         hold a 5
         hold b 0.000000001 => refused: 5 of 5 used
         end a 5
         expect used=5 remaining=0 resets=2026-03-03T00:00+00:00
         hold b 0.000000001 => refused: 5 of 5 used
         hold b 0                                       # what costs nothing fits into nothing,
         end b 0
         at 2026-03-02T23:59:59.999999 hold c 1 => refused: 5 of 5 used
         at 2026-03-03T00:00 hold c 5
         end c 6
         hold d 0                                       # and does not add to a debt
         end d 0
         hold e 0.000000001 => refused: 6 of 5 used
         expect used=6 remaining=0",
    );
}

#[test]
fn zero_and_negative_amounts() {
    check(
        "define day 0
         hold a 0
         hold b 0.000000001 => refused: 0 of 0 used
         hold b -1 => an amount must not be negative: -1 USD
         end a -1 => an amount must not be negative: -1 USD
         expect used=0 remaining=0
         end a 0
         end a 0 => attempt 0 of action 61000000000000000000000000000000 has no open hold",
    );
}

#[test]
fn a_hold_ends_once() {
    check(
        "define day 5
         hold a 2
         hold a 2 => attempt 0 of action 61000000000000000000000000000000 already has a hold
         hold a.1 2
         expect held=4
         end a 1
         end a 1 => attempt 0 of action 61000000000000000000000000000000 has no open hold
         void a => attempt 0 of action 61000000000000000000000000000000 has no open hold
         expect settled=1 held=2
         end a.1 2
         expect settled=3 held=0",
    );
}

#[test]
fn each_calendar_window_starts_again() {
    check(
        "define min: minute 5
         define hr: hour 5
         define dy: day 5
         define wk: week 5
         define mo: month 5
         at 2026-03-31T23:59:59 hold a 5 in min,hr,dy,wk,mo    # a Tuesday
         end a 4
         at 2026-04-01T00:00
         expect min: used=0 resets=2026-04-01T00:01+00:00
         expect hr: used=0 resets=2026-04-01T01:00+00:00
         expect dy: used=0 resets=2026-04-02T00:00+00:00
         expect wk: used=4 resets=2026-04-06T00:00+00:00
         expect mo: used=0 resets=2026-05-01T00:00+00:00
         at 2026-04-05T23:59 expect wk: used=4
         at 2026-04-06T00:00 expect wk: used=0 resets=2026-04-13T00:00+00:00",
    );
}

#[test]
fn a_day_of_23_hours_and_one_of_25() {
    check(
        "zone Europe/Berlin
         define day 5
         at 2026-03-29T00:00 hold a 5
         end a 5
         at 2026-03-29T23:59:59 hold b 1 => refused: 5 of 5 used
         expect resets=2026-03-30T00:00+02:00
         at 2026-03-30T00:00 hold b 5
         end b 5
         at 2026-10-25T00:00 hold c 5
         end c 5
         at 2026-10-25T02:30+02:00 hold d 1 => refused: 5 of 5 used
         at 2026-10-25T02:30+01:00 hold d 1 => refused: 5 of 5 used
         at 2026-10-25T23:59:59 hold d 1 => refused: 5 of 5 used
         at 2026-10-26T00:00 hold d 5",
    );
}

#[test]
fn a_day_without_midnight() {
    check(
        "zone America/Sao_Paulo
         define day 5
         at 2018-11-03T23:59:59 hold a 5
         end a 7
         expect resets=2018-11-04T01:00-02:00
         at 2018-11-04T01:00 expect carried=2 used=2 resets=2018-11-05T00:00-02:00
         hold b 3
         end b 3
         at 2018-11-05T00:00 expect carried=0 used=0",
    );
}

#[test]
fn hours_of_a_zone_that_moves_by_half_an_hour() {
    check(
        "zone Australia/Lord_Howe
         define hour 5
         at 2026-04-05T01:45+11:00 hold a 5
         end a 5
         expect resets=2026-04-05T01:30+10:30
         at 2026-04-05T01:30+10:30 expect used=0 resets=2026-04-05T02:00+10:30
         hold b 5
         end b 5
         at 2026-04-05T02:00+10:30 expect used=0 resets=2026-04-05T03:00+10:30
         at 2026-10-04T01:45+10:30 hold c 5
         end c 5
         expect resets=2026-10-04T02:30+11:00
         at 2026-10-04T02:45+11:00 expect used=0 resets=2026-10-04T03:00+11:00
         hold d 5
         at 2026-10-04T03:00+11:00 expect used=0",
    );
}

#[test]
fn a_total_never_starts_again() {
    check(
        "define total 5
         at 1969-12-31T23:59 hold a 2
         end a 2
         at 2026-03-02T10:00 hold b 2
         end b 1
         at 2120-01-01T00:00 expect used=3 carried=0 resets=never
         hold c 3 => refused: 3 of 5 used
         define total 6
         hold c 3
         expect used=6",
    );
}

/// A part of a rolling hour is a minute.
#[test]
fn what_rolls_out_is_late_by_up_to_a_part_and_never_early() {
    check(
        "define rolling-hour 5
         at 2026-03-02T10:00:00 hold a 2
         end a 2
         at 2026-03-02T10:00:59.999999 hold b 1
         end b 1
         at 2026-03-02T10:01:00 hold c 2
         end c 1
         at 2026-03-02T11:00:00 expect used=4 resets=2026-03-02T11:01+00:00   # a counted for 60 minutes now
         at 2026-03-02T11:00:59.999998 expect used=4                          # b for less
         at 2026-03-02T11:00:59.999999 expect used=4
         hold d 2 => refused: 4 of 5 used
         at 2026-03-02T11:01:00 expect used=1 resets=2026-03-02T11:02+00:00
         hold d 4
         at 2026-03-02T11:01:59.999999 expect used=5
         at 2026-03-02T11:02:00 expect used=4 held=4 resets=2026-03-02T12:02+00:00
         void d
         expect used=0 resets=never",
    );
}

#[test]
fn an_overrun_of_a_rolling_window_counts_until_it_rolls_out() {
    check(
        "define rolling-minute 5
         at 2026-03-02T10:00:00 hold a 2
         end a 12
         expect used=12 remaining=0 carried=0
         at 2026-03-02T10:01:00.999999 hold b 0.000000001 => refused: 12 of 5 used
         at 2026-03-02T10:01:01 hold b 5
         at 2026-03-02T10:02:02 expect used=0
         hold c 5
         end b 7                                       # of a part that is out
         expect used=5 held=5
         end c 1
         expect used=1",
    );
}

#[test]
fn an_overrun_is_paid_off_by_the_windows_after_it() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 2
         end a 12
         expect used=12 remaining=0 carried=0 settled=12
         at 2026-03-03T00:00 expect carried=7 settled=0 used=7 remaining=0
         hold b 0.000000001 => refused: 7 of 5 used
         at 2026-03-04T12:00 expect carried=2 used=2 remaining=3
         hold b 3
         end b 3
         expect carried=2 settled=3 remaining=0
         at 2026-03-05T00:00 expect carried=0 remaining=5",
    );
}

/// A debt stops every hold of an amount: only the passing of windows pays it off, whether or not anything is asked in them.
#[test]
fn idle_windows_pay_off_a_debt() {
    check(
        "define month 5
         at 2026-01-31T10:00 hold a 5
         end a 23
         at 2026-02-10T00:00 expect carried=18
         at 2026-04-30T23:59 expect carried=8
         at 2026-05-01T00:00 expect carried=3
         hold b 2
         at 2026-06-01T00:00 expect carried=0
         define x: minute 1
         hold c 1 in x
         end c 1001
         at 2026-06-01T16:40 expect x: carried=1      # after 1000 minutes
         at 2026-06-01T16:41 expect x: carried=0",
    );
}

#[test]
fn idle_windows_are_counted_on_the_clock_of_the_zone() {
    check(
        "zone Europe/Berlin
         define day 1
         at 2026-03-20T10:00 hold a 1
         end a 21
         at 2026-03-28T23:59 expect carried=13     # 20 on the 21st
         at 2026-03-29T00:00 expect carried=12
         at 2026-03-29T23:59 expect carried=12
         at 2026-03-30T00:00 expect carried=11
         at 2026-04-08T23:59 expect carried=2
         at 2026-04-10T00:00 expect carried=0
         define wk: week 1
         at 2026-10-19T00:00 hold b 1 in wk
         end b 4
         at 2026-11-01T23:59 expect wk: carried=3
         at 2026-11-02T00:00 expect wk: carried=2
         at 2026-11-15T23:59 expect wk: carried=1",
    );
}

#[test]
fn a_lowered_limit_leaves_a_debt() {
    check(
        "define day 10
         at 2026-03-02T10:00 hold a 9
         end a 9
         define day 4
         expect used=9 remaining=0 carried=0
         hold b 0.000000001 => refused: 9 of 4 used
         at 2026-03-03T10:00 expect carried=5 remaining=0
         at 2026-03-04T10:00 expect carried=1 remaining=3",
    );
}

#[test]
fn a_limit_raised_in_the_window() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 5
         hold b 1 => refused: 5 of 5 used
         define day 7
         hold b 1
         expect used=6 remaining=1
         define day 5
         define day 7
         expect used=6 remaining=1
         end a 5
         end b 1
         at 2026-03-03T00:00 expect carried=0",
    );
}

/// The limit at the end of a window is what it pays off, also of windows in which nothing was asked.
#[test]
fn a_limit_edited_while_a_debt_is_paid_off() {
    check(
        "define day 5
         at 2026-03-01T10:00 hold a 5
         end a 45
         at 2026-03-03T10:00 expect carried=35
         define day 10
         expect carried=35
         at 2026-03-04T10:00 expect carried=25
         define day 1
         at 2026-03-05T00:00 expect carried=24
         at 2026-03-06T00:00 expect carried=23
         define day 1000
         expect carried=23 remaining=977
         at 2026-03-07T00:00 expect carried=0",
    );
}

#[test]
fn a_negative_limit_is_no_source_of_debt() {
    check(
        "define day -5
         at 2026-03-02T10:00 hold a 0.000000001 => refused: 0 of -5 used
         expect used=0 remaining=0
         define day 5
         hold a 5
         end a 5
         define day -5
         at 2026-03-04T10:00 expect carried=5 remaining=0
         at 2026-03-05T10:00 expect carried=5
         define day 3
         at 2026-03-06T10:00 expect carried=2",
    );
}

#[test]
fn a_hold_books_where_it_was_admitted() {
    check(
        "define day 5
         at 2026-03-02T23:59 hold a 5
         at 2026-03-03T00:01 expect used=0 carried=0
         hold b 4
         end a 4
         expect used=4 held=4 carried=0
         at 2026-03-05T00:00 expect used=0
         hold c 1
         end b 10                                  # of the 3rd: 5 above its limit, paid off by the 4th
         expect carried=0 used=1
         at 2026-03-05T01:00 end c 12
         expect used=12
         at 2026-03-06T00:00 expect carried=7",
    );
}

#[test]
fn an_overrun_learnt_windows_later() {
    check(
        "define day 5
         at 2026-03-02T23:59 hold a 5
         at 2026-03-03T10:00 hold b 5
         end b 5
         at 2026-03-04T10:00 hold c 5
         end a 8
         expect carried=3 used=8 remaining=0       # 3 of the 2nd; the 3rd was full
         end c 1
         expect used=4 remaining=1
         at 2026-03-05T00:00 expect carried=0",
    );
}

/// A hold that stays open does not hide what later windows did, and its end changes only what it books.
#[test]
fn a_hold_open_over_many_windows() {
    check(
        "define minute 5
         at 2026-03-02T10:00 hold a 5
         at 2026-03-02T10:01 hold b 5
         end b 9
         at 2026-03-02T10:02 expect carried=4
         hold c 1
         end c 1
         at 2026-03-02T10:03 expect carried=0
         hold d 5
         end d 6
         at 2026-03-02T10:04 hold e 1
         expect carried=1 used=2
         end a 7                                   # 2 more: 9 + 2 in 10:01, 6 carried; 2 carried; 8, 3 carried
         expect carried=3 used=4
         at 2026-03-02T10:05 expect carried=0",
    );
}

#[test]
fn an_edited_window_keeps_what_was_spent() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 2
         end a 2
         hold b 1
         expect used=3
         define week 5
         expect used=3 remaining=2 resets=2026-03-09T00:00+00:00
         hold c 3 => refused: 3 of 5 used
         hold c 2
         end b 0.5
         expect used=4.5
         at 2026-03-08T23:59 expect used=4.5
         at 2026-03-09T00:00 expect used=0",
    );
}

#[test]
fn a_window_edited_back_and_forth_never_resets() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 2
         end a 2
         hold b 1
         define hour 5
         expect used=3
         hold c 1
         end c 1
         expect used=4
         define day 5
         expect used=4 resets=2026-03-03T00:00+00:00
         hold d 1
         define total 5
         define rolling-day 5
         define day 5
         expect used=5 remaining=0
         hold e 0.1 => refused: 5 of 5 used
         end b 0.5
         end d 1
         expect used=4.5
         define rolling-hour 5
         expect used=4.5
         define month 5
         define day 5
         expect used=4.5
         at 2026-03-02T23:59 expect used=4.5
         at 2026-03-03T00:00 expect used=0",
    );
}

#[test]
fn holds_of_one_period_under_two_definitions_are_told_apart() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 2
         define hour 5
         define day 5                              # the same period as that of a
         hold b 3
         expect carried=2 held=3 used=5
         end a 0
         expect carried=0 held=3 used=3
         hold c 2
         end b 1
         expect carried=0 settled=1 held=2 used=3
         end c 2
         expect settled=3 held=0",
    );
}

#[test]
fn an_edit_from_a_calendar_to_a_rolling_window() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 5
         end a 9
         at 2026-03-03T10:00:30 hold b 1
         end b 1
         expect carried=4 used=5
         define rolling-hour 6
         expect carried=5 used=5 resets=2026-03-03T11:01+00:00
         hold c 1
         end c 1
         at 2026-03-03T11:00:59 expect used=6
         at 2026-03-03T11:01 expect carried=0 used=0 resets=never",
    );
}

#[test]
fn an_edit_from_a_rolling_to_a_calendar_window() {
    check(
        "define rolling-hour 5
         at 2026-03-02T08:00 hold z 5              # rolled out before the edit: never counts again
         at 2026-03-02T10:00 hold a 2
         at 2026-03-02T10:30 hold b 2
         end b 1
         expect used=3
         define day 5
         expect carried=3 used=3 resets=2026-03-03T00:00+00:00
         end a 4
         end z 100
         expect carried=5 used=5
         at 2026-03-02T23:59 expect used=5
         at 2026-03-03T00:00 expect used=0",
    );
}

#[test]
fn an_edit_from_one_rolling_window_to_another() {
    check(
        "define rolling-hour 5
         at 2026-03-02T10:00 hold a 2
         end a 2
         at 2026-03-02T10:45 hold b 1
         define rolling-day 5
         expect used=3 carried=3
         at 2026-03-02T12:30 expect used=3         # a would be out of the hour
         end b 2
         expect used=4
         at 2026-03-03T10:47 expect used=4
         at 2026-03-03T10:48 expect used=0         # parts of 24 minutes: the edit was in 10:24 to 10:48
         define rolling-minute 5
         define rolling-day 5
         expect used=0",
    );
}

#[test]
fn a_debt_survives_an_edit_of_the_window() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 5
         end a 20
         at 2026-03-04T10:00 expect carried=10     # the 3rd was idle
         define week 5
         expect carried=10
         at 2026-03-09T00:00 expect carried=5
         define hour 1
         at 2026-03-09T02:59 expect carried=3
         define total 5
         at 2027-03-09T02:59 expect carried=3 remaining=2",
    );
}

#[test]
fn one_hold_in_several_budgets() {
    check(
        "define agent: day 5
         define team: rolling-day 8
         define org: total 100
         at 2026-03-02T10:00 hold a 4 in agent,team,org
         hold b 2 in org,team,agent => refused: 4 of 5 used in agent
         expect org: used=4
         expect team: used=4
         hold b 5 in org,team => refused: 4 of 8 used in team
         expect org: used=4
         end a 1
         expect agent: used=1
         expect team: used=1
         expect org: used=1
         hold b 1 in agent,nobody => there is no budget nobody
         expect agent: used=1
         hold b 1 in agent,team,agent => budget agent is named twice
         expect agent: used=1",
    );
}

#[test]
fn sixteen_budgets_and_seventeen() {
    let names: Vec<_> = (0..17).map(|n| format!("b{n}")).collect();
    let mut scenario = "at 2026-03-02T10:00\n".to_owned();
    for name in &names {
        scenario.push_str(&format!("define {name}: day 5\n"));
    }
    let (sixteen, seventeen) = (names[..16].join(","), names.join(","));
    scenario.push_str(&format!("hold a 3 in {sixteen}\n"));
    scenario.push_str(&format!(
        "hold b 1 in {seventeen} => an action needs 1 to 16 budgets, found 17\n"
    ));
    for name in &names[..16] {
        scenario.push_str(&format!("expect {name}: used=3\n"));
    }
    scenario.push_str("expect b16: used=0\nend a 1\n");
    for name in &names[..16] {
        scenario.push_str(&format!("expect {name}: used=1\n"));
    }
    check(&scenario);
}

#[test]
fn a_zone_that_does_not_exist_admits_nothing() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 2
         end a 2
         zone Europe/Atlantis
         define day 5
         hold b 1 => unknown time zone \"Europe/Atlantis\": use a name of the IANA database such as \"Europe/Berlin\" or \"UTC\"
         zone UTC
         define day 5
         expect used=2",
    );
}

/// A clock that goes back does not open a window that is over, nor one that was full.
#[test]
fn a_clock_that_goes_back_opens_no_old_window() {
    check(
        "define day 5
         define r: rolling-hour 5
         at 2026-03-02T10:00 hold a 5 in b,r
         end a 5
         at 2026-03-03T00:00 hold b 5 in b,r
         end b 5
         at 2026-03-02T23:59 hold c 1 => refused: 5 of 5 used
         expect used=5 resets=2026-03-04T00:00+00:00
         hold c 1 in r => refused: 5 of 5 used in r
         void b => attempt 0 of action 62000000000000000000000000000000 has no open hold
         define day 6
         hold c 1
         define r: rolling-hour 6
         hold d 1 in r
         at 2026-03-03T00:00 expect used=6
         expect r: used=6",
    );
}

#[test]
fn absurd_amounts_refuse_instead_of_wrapping() {
    check(
        "define day 9223372036.854775807
         at 2026-03-02T10:00 hold a 9223372036.854775807
         hold b 0.000000001 => refused: 9223372036.854775807 of 9223372036.854775807 used
         end a 9223372036.854775807
         define day 1
         hold b 0.000000001 => refused: 9223372036.854775807 of 1 used
         define day 9223372036.854775807
         define day 9223372036.854775806
         at 2026-03-03T10:00 expect carried=0.000000001
         hold c 9223372036.854775805
         hold d 0
         end c 9223372036.854775807
         hold e 0.000000001 => refused: 9223372036.854775807 of 9223372036.854775806 used
         end d 9223372036.854775807
         expect used=9223372036.854775807 settled=9223372036.854775807 remaining=0
         at 2026-03-04T10:00 expect carried=9223372036.854775807
         at 2026-03-05T10:00 expect carried=0.000000003",
    );
}

#[test]
fn absurd_times_have_no_window() {
    check(
        "define day 5
         define r: rolling-hour 5
         define t: total 5
         at 9999-12-30T22:00:00Z hold a 1 => the time 253402207200000000 has no calendar date
         hold b 1 in t
         at -009999-01-02T02:00:00Z hold c 4 in t",
    );
}
