//! Where windows begin and end.

use model::Timestamp;
use proptest::prelude::*;

use super::table::{instant, shown, window_of};
use crate::{Unit, Window, WindowError};

/// One case a line: `WINDOW TIME => START END`, times on the zone's clock.
fn check(zone: &str, cases: &str) {
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (asked, expected) = line.split_once(" => ").expect("WINDOW TIME => START END");
        let (window, time) = asked.split_once(' ').expect("WINDOW TIME");
        let now = instant(time.trim(), zone);
        let period = window_of(window, zone).period(now).expect("a period");
        let found = format!("{} {}", shown(period.start, zone), shown(period.end, zone));
        assert_eq!(found, expected.trim(), "{zone}: {line}");
        assert!(period.start <= now && now < period.end, "{zone}: {line}");
    }
}

#[test]
fn calendar_windows_in_utc() {
    check(
        "UTC",
        "
        minute 2026-03-29T01:59:59 => 2026-03-29T01:59+00:00 2026-03-29T02:00+00:00
        hour   2026-03-29T01:59:59 => 2026-03-29T01:00+00:00 2026-03-29T02:00+00:00
        hour   2026-03-29T02:00    => 2026-03-29T02:00+00:00 2026-03-29T03:00+00:00
        day    2026-12-31T23:59:59 => 2026-12-31T00:00+00:00 2027-01-01T00:00+00:00
        week   2026-12-31T00:00    => 2026-12-28T00:00+00:00 2027-01-04T00:00+00:00
        week   2027-01-03T23:59    => 2026-12-28T00:00+00:00 2027-01-04T00:00+00:00
        week   2027-01-04T00:00    => 2027-01-04T00:00+00:00 2027-01-11T00:00+00:00
        month  2026-01-31T12:00    => 2026-01-01T00:00+00:00 2026-02-01T00:00+00:00
        month  2028-02-29T23:59    => 2028-02-01T00:00+00:00 2028-03-01T00:00+00:00
        month  2026-12-31T23:59:59 => 2026-12-01T00:00+00:00 2027-01-01T00:00+00:00
        year   2026-12-31T23:59:59 => 2026-01-01T00:00+00:00 2027-01-01T00:00+00:00
        year   2028-02-29T12:00    => 2028-01-01T00:00+00:00 2029-01-01T00:00+00:00
        year   2100-03-01T00:00    => 2100-01-01T00:00+00:00 2101-01-01T00:00+00:00
        ",
    );
}

#[test]
fn before_1970_too() {
    check(
        "UTC",
        "
        minute 1969-12-31T23:59:59 => 1969-12-31T23:59+00:00 1970-01-01T00:00+00:00
        hour   1969-12-31T23:59:59 => 1969-12-31T23:00+00:00 1970-01-01T00:00+00:00
        week   1969-12-31T12:00    => 1969-12-29T00:00+00:00 1970-01-05T00:00+00:00
        rolling-hour 1969-12-31T23:59:59 => 1969-12-31T23:59+00:00 1970-01-01T01:00+00:00
        ",
    );
}

/// 23 hours on 29 March 2026, 25 on 25 October.
#[test]
fn summer_time_in_berlin() {
    check(
        "Europe/Berlin",
        "
        day    2026-03-29T00:00 => 2026-03-29T00:00+01:00 2026-03-30T00:00+02:00
        day    2026-03-29T23:59 => 2026-03-29T00:00+01:00 2026-03-30T00:00+02:00
        day    2026-10-25T23:59 => 2026-10-25T00:00+02:00 2026-10-26T00:00+01:00
        week   2026-03-29T12:00 => 2026-03-23T00:00+01:00 2026-03-30T00:00+02:00
        month  2026-03-31T23:59 => 2026-03-01T00:00+01:00 2026-04-01T00:00+02:00
        month  2026-10-01T00:00 => 2026-10-01T00:00+02:00 2026-11-01T00:00+01:00
        hour   2026-03-29T01:59 => 2026-03-29T01:00+01:00 2026-03-29T03:00+02:00
        hour   2026-03-29T03:00 => 2026-03-29T03:00+02:00 2026-03-29T04:00+02:00
        hour   2026-10-25T02:30+02:00 => 2026-10-25T02:00+02:00 2026-10-25T02:00+01:00
        hour   2026-10-25T02:30+01:00 => 2026-10-25T02:00+01:00 2026-10-25T03:00+01:00
        minute 2026-10-25T02:59:59+02:00 => 2026-10-25T02:59+02:00 2026-10-25T02:00+01:00
        ",
    );
}

/// Its summer time began at midnight until 2018: 4 November had no hour from 0 to 1, and the clock of 17 February went
/// from 24 back to 23.
#[test]
fn skipped_midnight_in_sao_paulo() {
    check(
        "America/Sao_Paulo",
        "
        day   2018-11-03T23:59 => 2018-11-03T00:00-03:00 2018-11-04T01:00-02:00
        day   2018-11-04T01:00 => 2018-11-04T01:00-02:00 2018-11-05T00:00-02:00
        day   2018-11-04T12:00 => 2018-11-04T01:00-02:00 2018-11-05T00:00-02:00
        day   2018-02-17T23:30-02:00 => 2018-02-17T00:00-02:00 2018-02-18T00:00-03:00
        day   2018-02-17T23:30-03:00 => 2018-02-17T00:00-02:00 2018-02-18T00:00-03:00
        week  2018-11-04T12:00 => 2018-10-29T00:00-03:00 2018-11-05T00:00-02:00
        month 2018-11-04T01:00 => 2018-11-01T00:00-03:00 2018-12-01T00:00-02:00
        ",
    );
}

/// In Havana midnight comes twice on the last day of summer time; on the Azores too, and in spring it is skipped.
#[test]
fn midnight_twice() {
    check(
        "America/Havana",
        "
        day 2023-11-05T00:30-04:00 => 2023-11-05T00:00-04:00 2023-11-06T00:00-05:00
        day 2023-11-05T00:30-05:00 => 2023-11-05T00:00-04:00 2023-11-06T00:00-05:00
        ",
    );
    check(
        "Atlantic/Azores",
        "
        day   2026-03-29T01:00 => 2026-03-29T01:00+00:00 2026-03-30T00:00+00:00
        week  2026-03-30T01:00 => 2026-03-30T00:00+00:00 2026-04-06T00:00+00:00
        day   2026-10-25T00:30+00:00 => 2026-10-25T00:00+00:00 2026-10-26T00:00-01:00
        day   2026-10-25T00:30-01:00 => 2026-10-25T00:00+00:00 2026-10-26T00:00-01:00
        ",
    );
}

/// The clock went from 00:01 back to 23:01 of the day before. The day that had begun goes on.
#[test]
fn a_day_that_begins_twice_in_st_johns() {
    check(
        "America/St_Johns",
        "
        day 2006-10-28T23:59:59-02:30 => 2006-10-28T00:00-02:30 2006-10-29T00:00-02:30
        day 2006-10-29T00:00:30-02:30 => 2006-10-29T00:00-02:30 2006-10-30T00:00-03:30
        day 2006-10-28T23:30-03:30    => 2006-10-29T00:00-02:30 2006-10-30T00:00-03:30
        day 2006-10-29T00:30-03:30    => 2006-10-29T00:00-02:30 2006-10-30T00:00-03:30
        ",
    );
}

/// 30 December 2011 did not exist.
#[test]
fn a_day_that_never_was_in_apia() {
    check(
        "Pacific/Apia",
        "
        day  2011-12-29T12:00 => 2011-12-29T00:00-10:00 2011-12-31T00:00+14:00
        day  2011-12-31T12:00 => 2011-12-31T00:00+14:00 2012-01-01T00:00+14:00
        week 2011-12-31T12:00 => 2011-12-26T00:00-10:00 2012-01-02T00:00+14:00
        year 2011-06-01T12:00 => 2011-01-01T00:00-10:00 2012-01-01T00:00+14:00
        ",
    );
}

/// Minutes and hours are counted on the zone's clock.
#[test]
fn half_hours() {
    check(
        "Asia/Kolkata",
        "
        hour 2026-03-29T01:59 => 2026-03-29T01:00+05:30 2026-03-29T02:00+05:30
        day  2026-03-29T01:59 => 2026-03-29T00:00+05:30 2026-03-30T00:00+05:30
        ",
    );
    // Summer time is half an hour here: the clock shows 1:30 to 2:00 twice on 5 April, and never 2:00 to 2:30 on
    // 4 October. An hour ends when the clock next shows a full hour, and is never shorter than it looks.
    check(
        "Australia/Lord_Howe",
        "
        hour 2026-04-05T01:15+11:00 => 2026-04-05T01:00+11:00 2026-04-05T01:30+10:30
        hour 2026-04-05T01:45+11:00 => 2026-04-05T01:00+11:00 2026-04-05T01:30+10:30
        hour 2026-04-05T01:45+10:30 => 2026-04-05T01:30+11:00 2026-04-05T02:00+10:30
        hour 2026-04-05T02:15+10:30 => 2026-04-05T02:00+10:30 2026-04-05T03:00+10:30
        hour 2026-10-04T01:45+10:30 => 2026-10-04T01:00+10:30 2026-10-04T02:30+11:00
        hour 2026-10-04T02:45+11:00 => 2026-10-04T01:30+10:30 2026-10-04T03:00+11:00
        hour 2026-10-04T03:15+11:00 => 2026-10-04T03:00+11:00 2026-10-04T04:00+11:00
        day  2026-04-05T12:00 => 2026-04-05T00:00+11:00 2026-04-06T00:00+10:30
        day  2026-10-04T12:00 => 2026-10-04T00:00+10:30 2026-10-05T00:00+11:00
        ",
    );
}

#[test]
fn rolling_windows_count_a_whole_length_from_the_end_of_their_part() {
    check(
        "UTC",
        "
        rolling-minute 2026-03-29T01:00:00 => 2026-03-29T01:00+00:00 2026-03-29T01:01:01+00:00
        rolling-minute 2026-03-29T01:00:59 => 2026-03-29T01:00:59+00:00 2026-03-29T01:02+00:00
        rolling-hour   2026-03-29T01:59:59 => 2026-03-29T01:59+00:00 2026-03-29T03:00+00:00
        rolling-day    2026-03-29T00:23:59 => 2026-03-29T00:00+00:00 2026-03-30T00:24+00:00
        rolling-year   2026-01-01T00:00 => 2025-12-30T04:00+00:00 2027-01-05T06:00+00:00
        rolling-month  2026-03-29T11:59 => 2026-03-29T00:00+00:00 2026-04-28T12:00+00:00
        ",
    );
}

#[test]
fn absurd_instants_have_no_period() {
    let absurd = [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX];
    let units = [Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];
    for micros in absurd {
        let now = Timestamp::from_unix_micros(micros);
        for unit in units {
            let zone = "Pacific/Auckland".to_owned();
            for window in [Window::Rolling { unit }, Window::Calendar { unit, zone }] {
                assert_eq!(window.period(now), Err(WindowError::Range(micros)), "{window}");
            }
        }
    }
    // The last instants that have a date: the end of the period does not fit.
    let last = Timestamp::from_unix_micros(jiff::Timestamp::MAX.as_microsecond());
    for unit in units {
        let zone = "UTC".to_owned();
        let window = Window::Calendar { unit, zone };
        if let Ok(period) = window.period(last) {
            assert!(period.start <= last && last < period.end, "{window}");
        }
    }
}

#[test]
fn a_zone_that_does_not_exist() {
    let window = window_of("day", "Europe/Atlantis");
    let error = WindowError::Zone("Europe/Atlantis".to_owned());
    assert_eq!(window.check(), Err(error));
    assert_eq!(window.check(), window.period(Timestamp::default()).map(drop));
    assert_eq!(window_of("day", "Europe/Berlin").check(), Ok(()));
    assert_eq!(window_of("rolling-day", "").check(), Ok(()));
}

#[test]
fn windows_are_shown_and_written() {
    for (window, shown, json) in [
        (
            "day",
            "day (Asia/Kolkata)",
            r#"{"calendar":{"unit":"day","zone":"Asia/Kolkata"}}"#,
        ),
        ("rolling-month", "rolling month", r#"{"rolling":{"unit":"month"}}"#),
        (
            "year",
            "year (Asia/Kolkata)",
            r#"{"calendar":{"unit":"year","zone":"Asia/Kolkata"}}"#,
        ),
        ("total", "total", r#""total""#),
    ] {
        let window = window_of(window, "Asia/Kolkata");
        assert_eq!(window.to_string(), shown);
        assert_eq!(serde_json::to_string(&window).unwrap(), json);
        assert_eq!(serde_json::from_str::<Window>(json).unwrap(), window);
    }
}

fn any_window() -> impl Strategy<Value = Window> {
    let unit = prop::sample::select(vec![
        Unit::Minute,
        Unit::Hour,
        Unit::Day,
        Unit::Week,
        Unit::Month,
        Unit::Year,
    ]);
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/Sao_Paulo",
        "America/Havana",
        "America/St_Johns",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Africa/Monrovia",
        "Africa/Casablanca",
        "Antarctica/Troll",
    ]);
    (unit, zone, any::<bool>()).prop_map(|(unit, zone, rolling)| match rolling {
        true => Window::Rolling { unit },
        false => Window::Calendar {
            unit,
            zone: zone.to_owned(),
        },
    })
}

proptest! {
    /// An instant lies in its period, and the instant at which the period ends in one that ends later.
    #[test]
    fn periods_follow_each_other(window in any_window(), seconds in -4_000_000_000_i64..8_000_000_000) {
        let now = Timestamp::from_unix_micros(seconds * 1_000_000);
        let period = window.period(now).unwrap();
        prop_assert!(period.start <= now && now < period.end, "{period:?}");
        prop_assert!(window.fits(period, now));
        let next = window.period(period.end).unwrap();
        prop_assert!(period.end < next.end && next.start <= period.end, "{period:?} {next:?}");
        if matches!(window, Window::Calendar { unit: Unit::Day | Unit::Week | Unit::Month | Unit::Year, .. }) {
            prop_assert_eq!(period.end, next.start);
            for at in [period.start, now, Timestamp::from_unix_micros(period.end.unix_micros() - 1)] {
                prop_assert_eq!(window.period(at), Ok(period), "at {:?}", at);
            }
        }
    }

    /// Counting by length gives what walking from window to window does.
    #[test]
    fn windows_are_counted(window in any_window(), seconds in 100_000_000_i64..8_000_000_000, count in 0_i64..60) {
        let first = window.period(Timestamp::from_unix_micros(seconds * 1_000_000)).unwrap();
        let mut last = first;
        for _ in 0..count {
            last = window.period(last.end).unwrap();
        }
        let expected = if window.is_rolling() { 0 } else { count };
        prop_assert_eq!(window.windows_between(first, last), expected);
        prop_assert_eq!(window.windows_between(last, first), 0);
    }
}

/// Under other rules of the zone too, fewer windows are taken to be over than the calendar says, and at most two fewer.
#[test]
fn windows_that_are_over_are_counted_without_a_calendar() {
    for unit in ["minute", "hour", "day", "week", "month", "year"] {
        let window = window_of(unit, "Europe/Berlin");
        let earlier = window.period(instant("2026-03-28T12:00", "UTC")).unwrap();
        let mut later = earlier;
        for count in 1..40 {
            later = window.period(later.end).unwrap();
            for now in [later.start, Timestamp::from_unix_micros(later.end.unix_micros() - 1)] {
                let found = window.windows_between(earlier, window.earliest_now(earlier, now));
                assert!(
                    (1.max(count - 2)..=count).contains(&found),
                    "{unit}: {found} of {count}"
                );
            }
        }
    }
}

/// The lengths of months never add up to half a month more or less than the mean.
#[test]
fn months_are_counted_over_centuries() {
    let window = window_of("month", "Europe/Berlin");
    let first = window.period(instant("1975-01-01T00:00", "Europe/Berlin")).unwrap();
    let mut last = first;
    for count in 0..3_000 {
        assert_eq!(window.windows_between(first, last), count);
        last = window.period(last.end).unwrap();
    }
}
