//! Windows, straight from the calendar.

use std::collections::HashMap;

use jiff::{Span, ToSpan as _, civil::Date, tz::TimeZone};
use ledger::{Period, Unit, Window};
use model::Timestamp;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

pub(in super::super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn civil(zone: &TimeZone, at: Timestamp) -> jiff::Zoned {
    jiff::Timestamp::from_microsecond(at.unix_micros())
        .unwrap()
        .to_zoned(zone.clone())
}

/// The last periods that were looked up: most steps are in the same.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Periods(HashMap<Window, Period>);

impl Periods {
    pub(in super::super) fn at(&mut self, window: &Window, now: Timestamp) -> Period {
        match self.0.get(window) {
            Some(period) if period.start <= now && now < stays(window, *period) => *period,
            _ => {
                let period = period(window, now);
                self.0.insert(window.clone(), period);
                period
            }
        }
    }
}

/// Until when a window books into a period.
fn stays(window: &Window, period: Period) -> Timestamp {
    match window {
        Window::Rolling { unit } => period.start.saturating_add_micros(rolling(*unit) / 60),
        _ => period.end,
    }
}

/// The length of a rolling window.
fn rolling(unit: Unit) -> i64 {
    match unit {
        Unit::Minute => 60 * SECOND,
        Unit::Hour => 3_600 * SECOND,
        Unit::Day => DAY,
        Unit::Week => 7 * DAY,
        Unit::Month => 30 * DAY,
        Unit::Year => 365 * DAY,
    }
}

/// The period that a hold at `now` books into.
fn period(window: &Window, now: Timestamp) -> Period {
    match window {
        Window::Total => Period {
            start: Timestamp::from_unix_micros(0),
            end: Timestamp::MAX,
        },
        Window::Rolling { unit } => {
            let part = rolling(*unit) / 60;
            let start = now.unix_micros() - now.unix_micros().rem_euclid(part);
            Period {
                start: Timestamp::from_unix_micros(start),
                end: Timestamp::from_unix_micros(start + part + rolling(*unit)),
            }
        }
        Window::Calendar { unit, zone: name } => {
            let now = civil(&zone(name), now);
            match unit {
                Unit::Minute | Unit::Hour => by_clock(*unit, &now),
                Unit::Day | Unit::Week | Unit::Month | Unit::Year => by_date(*unit, &now),
            }
        }
    }
}

/// From the last full minute or hour that the clock as it is set now has shown, to the next.
fn by_clock(unit: Unit, now: &jiff::Zoned) -> Period {
    let clock = now.with_time_zone(TimeZone::fixed(now.offset()));
    let full = clock.with().second(0).subsec_nanosecond(0);
    let (full, length) = match unit {
        Unit::Minute => (full, 60),
        _ => (full.minute(0), 3_600),
    };
    let start = full.build().unwrap().timestamp().as_microsecond();
    Period {
        start: Timestamp::from_unix_micros(start),
        end: Timestamp::from_unix_micros(start + length * SECOND),
    }
}

/// Of the days on which windows begin, the last that has come.
fn by_date(unit: Unit, now: &jiff::Zoned) -> Period {
    let this = first_day(unit, now.date());
    let step = length(unit);
    let days = [
        this.saturating_sub(step),
        this,
        this.saturating_add(step),
        this.saturating_add(step * 2),
    ];
    let begins = days.map(|day| {
        let midnight = now.time_zone().to_ambiguous_zoned(day.at(0, 0, 0, 0));
        midnight.compatible().unwrap().timestamp()
    });
    let last = begins.iter().rposition(|begin| *begin <= now.timestamp()).unwrap();
    let at = |place: usize| Timestamp::from_unix_micros(begins[place].as_microsecond());
    Period {
        start: at(last),
        end: at(last + 1),
    }
}

fn first_day(unit: Unit, date: Date) -> Date {
    match unit {
        Unit::Week => date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days()),
        Unit::Month => date.first_of_month(),
        Unit::Year => date.first_of_year(),
        _ => date,
    }
}

fn length(unit: Unit) -> Span {
    match unit {
        Unit::Week => 1.week(),
        Unit::Month => 1.month(),
        Unit::Year => 1.year(),
        _ => 1.day(),
    }
}

/// How many windows begin after `earlier` does and up to the begin of `later`.
pub(super) fn between(window: &Window, earlier: Period, later: Period) -> i64 {
    let Window::Calendar { unit, zone: name } = window else {
        return 0;
    };
    let zone = zone(name);
    let (first, last) = (civil(&zone, earlier.start).date(), civil(&zone, later.start).date());
    let passed = later.start.micros_since(earlier.start);
    match unit {
        // Where the clock is set by half an hour, two periods overlap; there the nearest number counts.
        Unit::Minute => (passed + 30 * SECOND).div_euclid(60 * SECOND),
        Unit::Hour => (passed + 1_800 * SECOND).div_euclid(3_600 * SECOND),
        Unit::Day => i64::from(first.until((jiff::Unit::Day, last)).unwrap().get_days()),
        Unit::Week => i64::from(first.until((jiff::Unit::Day, last)).unwrap().get_days()) / 7,
        Unit::Month => {
            let months = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
            months(last) - months(first)
        }
        Unit::Year => i64::from(last.year()) - i64::from(first.year()),
    }
}
