//! When budgets tell that much of them is spent.

use super::table::check;

#[test]
fn a_threshold_is_told_once_a_window_and_only_the_highest() {
    check(
        "define day 10 thresholds=50,80,95
         at 2026-03-02T10:00 hold a 9
         end a 4.9                                     # what is held does not count
         hold b 0.1
         end b 0.1 => 50%: 5 of 10
         hold c 1
         end c 1
         hold d 4
         end d 4 => 95%: 10 of 10
         hold e 0
         end e 5
         at 2026-03-03T10:00 expect carried=5
         hold f 1
         void f                                        # nothing was booked
         hold f 0.000000001
         end f 0.000000001 => 50%: 5.000000001 of 10   # the debt counts
         hold g 1
         at 2026-03-06T10:00 hold h 1                  # the windows before it are over
         end g 30 => 50%: 5.000000001 of 10",
    );
}

#[test]
fn an_overrun_passes_several_thresholds_at_once() {
    check(
        "define day 10 thresholds=1,50,100,250
         at 2026-03-02T10:00 hold a 1
         end a 24.9 => 100%: 24.9 of 10
         hold b 0
         end b 0.1 => 250%: 25 of 10",
    );
}

#[test]
fn a_budget_without_a_limit_to_speak_of() {
    check(
        "define day 0 thresholds=50,80
         at 2026-03-02T10:00 hold a 0
         end a 0
         hold b 0
         end b 0.000000001 => 80%: 0.000000001 of 0
         hold c 0
         end c 1
         define n: day -5 thresholds=50
         hold d 0 in n
         end d 0
         hold e 0 in n
         end e 1 => 50%: 1 of -5 in n",
    );
}

#[test]
fn a_window_that_is_over_still_tells() {
    check(
        "define day 10 thresholds=50
         at 2026-03-02T23:59 hold a 9
         at 2026-03-03T00:01 end a 9 => 50%: 9 of 10
         hold b 6
         end b 6 => 50%: 6 of 10",
    );
}

/// A hold of a window that is over tells what it leaves to the current one.
#[test]
fn a_debt_learnt_late_tells_of_the_current_window() {
    check(
        "define day 10 thresholds=50,95
         at 2026-03-02T23:59 hold a 9
         at 2026-03-03T00:01 hold b 1
         end a 15 => 50%: 5 of 10
         end b 1",
    );
}

/// Nothing counted when b was held, however often the window was redefined before that was booked.
#[test]
fn a_rolling_window_that_was_empty_tells_again_after_it_was_redefined() {
    check(
        "define day 10 thresholds=50
         at 2026-03-02T10:00 hold a 9
         end a 9 => 50%: 9 of 10
         define rolling-hour 10 thresholds=50
         at 2026-03-02T12:00 expect carried=0
         hold b 6
         define rolling-day 10 thresholds=50
         end b 6
         hold c 1
         end c 1 => 50%: 7 of 10",
    );
}

#[test]
fn a_raised_limit_is_told_of_again() {
    check(
        "define day 10 thresholds=50,80
         at 2026-03-02T10:00 hold a 9
         end a 9 => 80%: 9 of 10
         limit 20
         hold b 0.5
         end b 0.5                                     # less than half of it
         hold c 1
         end c 1 => 50%: 10.5 of 20
         hold d 7
         end d 7 => 80%: 17.5 of 20
         limit 25
         hold e 1
         end e 1                                       # of half of it was told
         hold f 5
         end f 5 => 80%: 23.5 of 25
         limit 30
         declared
         hold g 0
         end g 1 => 80%: 24.5 of 10",
    );
}

#[test]
fn a_lowered_limit_is_told_with_the_next_booking() {
    check(
        "define day 100 thresholds=50,80
         at 2026-03-02T10:00 hold a 9
         end a 9
         define day 10 thresholds=50,80
         hold b 0
         end b 0                                       # nothing is booked
         hold c 0.1
         end c 0.1 => 80%: 9.1 of 10",
    );
}

#[test]
fn a_top_up_is_told_of_again() {
    check(
        "define day 10 thresholds=50,95
         at 2026-03-02T10:00 hold a 10
         end a 10 => 95%: 10 of 10
         topup 15
         hold b 2
         end b 2
         hold c 1
         end c 1 => 50%: 13 of 25
         topup 1
         hold d 1
         end d 1
         hold e 12
         end e 12 => 95%: 26 of 26
         define r: rolling-hour 10 thresholds=50,95
         hold f 10 in r
         end f 10 => 95%: 10 of 10 in r
         topup r: 90
         hold g 41 in r
         end g 41 => 50%: 51 of 100 in r",
    );
}

/// It must have fallen by five hundredths of the limit below the threshold.
#[test]
fn a_rolling_window_tells_again_after_a_fall() {
    check(
        "define rolling-hour 100 thresholds=50,80
         at 2026-03-02T10:00 hold a 3
         end a 3
         at 2026-03-02T10:10 hold b 40
         end b 40
         at 2026-03-02T10:20 hold c 8
         end c 8 => 50%: 51 of 100
         at 2026-03-02T11:05 hold d 1                  # 48: not far enough below
         end d 1
         hold e 2
         end e 2                                       # 51
         at 2026-03-02T11:15 hold f 1                  # 11
         end f 1
         hold g 40
         end g 40 => 50%: 52 of 100",
    );
}

/// Nothing was booked while it was low, and one booking brings it back.
#[test]
fn a_rolling_window_tells_again_after_a_silent_fall() {
    check(
        "define rolling-hour 100 thresholds=50,80
         at 2026-03-02T10:00 hold a 85
         end a 85 => 80%: 85 of 100
         at 2026-03-02T13:00 hold b 85
         end b 85 => 80%: 85 of 100
         at 2026-03-02T13:30 hold c 0
         end c 0
         at 2026-03-02T14:30 hold d 50
         at 2026-03-02T14:31 end d 50 => 50%: 50 of 100",
    );
}

#[test]
fn another_window_tells_of_what_counts_in_it() {
    check(
        "define day 10 thresholds=50,80
         at 2026-03-02T10:00 hold a 6
         end a 6 => 50%: 6 of 10
         define week 10 thresholds=50,80
         hold b 1
         end b 1                                       # told
         hold c 1
         end c 1 => 80%: 8 of 10
         define week 10                                # none any more
         hold d 1
         end d 1
         define week 10 thresholds=30,60,90
         hold e 0
         end e 0.1 => 90%: 9.1 of 10
         at 2026-03-09T00:00 hold f 3
         end f 3 => 30%: 3 of 10",
    );
}

#[test]
fn several_budgets_tell_in_the_order_of_their_bookings() {
    check(
        "define z: day 10 thresholds=50
         define y: total 1000 thresholds=50 unit=tokens
         define x: day 10 thresholds=50 each=user select=*
         at 2026-03-02T10:00 hold a 5+600in in z,y for user=ann
         end a 5+600in => 50%: 5 of 10 in z, 50%: 600 of 1000 in y, 50%: 5 of 10 in x[ann]
         hold b 5 for user=bob
         end b 5 => 50%: 5 of 10 in x[bob]
         hold c 1 for user=ann
         end c 1",
    );
}
