//! Windows: when a budget starts again.

use std::fmt;

use jiff::{
    ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use model::Timestamp;
use serde::{Deserialize, Serialize};

/// The length of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// A civil day, which may have 23 or 25 hours; rolling, 24 hours.
    Day,
    /// Monday to Sunday (ISO 8601); rolling, 7 days.
    Week,
    /// A civil month; rolling, 30 days.
    Month,
    /// A civil year; rolling, 365 days.
    Year,
}

impl Unit {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The length of a rolling window of this unit.
    fn rolling_micros(self) -> i64 {
        match self {
            Self::Month => 30 * Self::Day.mean_micros(),
            Self::Year => 365 * Self::Day.mean_micros(),
            _ => self.mean_micros(),
        }
    }

    /// The mean length of a calendar window of this unit.
    fn mean_micros(self) -> i64 {
        let seconds = match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            // The Gregorian calendar repeats after 400 years: 146,097 days, 4,800 months.
            Self::Month => 146_097 * 86_400 / 4_800,
            Self::Year => 146_097 * 86_400 / 400,
        };
        seconds * 1_000_000
    }
}

/// When a budget starts again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// From one civil boundary to the next in a named time zone of the IANA database.
    Calendar {
        /// The length.
        unit: Unit,
        /// The zone, such as `Europe/Berlin` or `UTC`.
        zone: String,
    },
    /// What was spent in the trailing length of time. Kept in 60 parts: an amount leaves the window up to one part late,
    /// never early.
    Rolling {
        /// The length.
        unit: Unit,
    },
    /// Never.
    Total,
}

/// Into how many parts a rolling window is cut.
const ROLLING_PARTS: i64 = 60;

/// The span of time a hold books into: from `start`, and counted until `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first instant of the period.
    pub start: Timestamp,
    /// The first instant at which what was booked here no longer counts against the limit.
    pub end: Timestamp,
}

/// Why a window has no period at an instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WindowError {
    /// The IANA time zone database has no such zone.
    #[error("unknown time zone {0:?}: use a name of the IANA database such as \"Europe/Berlin\" or \"UTC\"")]
    Zone(String),
    /// The instant is outside the years that have a calendar.
    #[error("the time {0} has no calendar date")]
    Range(i64),
}

impl Window {
    /// Whether the zone exists. A window that passed is one whose [`Window::period`] fails only on absurd instants.
    pub fn check(&self) -> Result<(), WindowError> {
        match self {
            Self::Calendar { zone, .. } => time_zone(zone).map(drop),
            Self::Rolling { .. } | Self::Total => Ok(()),
        }
    }

    /// The period that a hold admitted at `now` books into.
    pub fn period(&self, now: Timestamp) -> Result<Period, WindowError> {
        match self {
            Self::Total => Ok(Period {
                start: Timestamp::from_unix_micros(0),
                end: Timestamp::MAX,
            }),
            Self::Rolling { unit } => rolling_period(*unit, now).ok_or(WindowError::Range(now.unix_micros())),
            Self::Calendar { unit, zone } => calendar_period(*unit, zone, now),
        }
    }

    /// Whether a period that an entry names can be this window's at `now`. Rolling and total windows are plain arithmetic.
    /// A calendar is not asked again, because the rules of its zone may have changed since the entry was written: the
    /// period must hold the instant and be about as long as its unit.
    pub(crate) fn fits(&self, period: Period, now: Timestamp) -> bool {
        let Self::Calendar { unit, .. } = self else {
            return self.period(now) == Ok(period);
        };
        let mean = unit.mean_micros();
        let length = period.end.micros_since(period.start);
        period.start <= now && now < period.end && (mean / 2..=mean * 2).contains(&length)
    }

    /// Whether a period that it does not ask a calendar for is one of its own.
    pub(crate) fn fits_itself(&self, period: Period) -> bool {
        self.period(period.start) == Ok(period)
    }

    /// How many windows begin after `earlier` does and up to the begin of `later`, both periods of this window. Counted
    /// by length, not on a calendar, so that replay gives the same number under other rules of the zone; what summer
    /// time and the lengths of months differ from the mean is far less than half a window.
    pub(crate) fn windows_between(&self, earlier: Period, later: Period) -> i64 {
        let Self::Calendar { unit, .. } = self else {
            return 0;
        };
        let mean = unit.mean_micros();
        let passed = later.start.micros_since(earlier.start);
        // Half a window counts as one: the hours around a change of the clock by half an hour.
        passed.saturating_add(mean / 2).div_euclid(mean).max(0)
    }

    /// Where the window that holds `now` begins at the earliest, if `earlier` is over: no calendar is asked.
    pub(crate) fn earliest_now(&self, earlier: Period, now: Timestamp) -> Period {
        let start = match self {
            // No period is longer than two mean lengths (see [`Window::fits`]).
            Self::Calendar { unit, .. } => earlier.end.max(now.saturating_add_micros(-2 * unit.mean_micros())),
            Self::Rolling { .. } | Self::Total => earlier.end,
        };
        Period { start, end: now }
    }

    /// Whether spending leaves this window bit by bit and not all at once.
    pub fn is_rolling(&self) -> bool {
        matches!(self, Self::Rolling { .. })
    }

    /// Whether it is as long as a year, which the first versions of the entry schema could not say.
    pub(crate) fn is_year(&self) -> bool {
        match self {
            Self::Calendar { unit, .. } | Self::Rolling { unit } => *unit == Unit::Year,
            Self::Total => false,
        }
    }
}

/// `day (Europe/Berlin)`, `rolling hour`, `total`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendar { unit, zone } => write!(f, "{} ({zone})", unit.as_str()),
            Self::Rolling { unit } => write!(f, "rolling {}", unit.as_str()),
            Self::Total => f.write_str("total"),
        }
    }
}

fn time_zone(name: &str) -> Result<TimeZone, WindowError> {
    TimeZone::get(name).map_err(|_| WindowError::Zone(name.to_owned()))
}

/// An amount spent at the last instant of a part must count for the whole length after it.
fn rolling_period(unit: Unit, now: Timestamp) -> Option<Period> {
    let length = unit.rolling_micros();
    let part = length / ROLLING_PARTS;
    let start = now.unix_micros().div_euclid(part).checked_mul(part)?;
    let end = start.checked_add(part)?.checked_add(length)?;
    Some(period(start, end))
}

fn calendar_period(unit: Unit, zone: &str, now: Timestamp) -> Result<Period, WindowError> {
    let range = || WindowError::Range(now.unix_micros());
    let at = jiff::Timestamp::from_microsecond(now.unix_micros()).map_err(|_| range())?;
    let zone = time_zone(zone)?;
    match unit {
        Unit::Minute | Unit::Hour => Ok(clock_period(unit, zone.to_offset(at).seconds(), now)),
        Unit::Day | Unit::Week | Unit::Month | Unit::Year => {
            let date = zone.to_datetime(at).date();
            civil_period(unit, &zone, date, now).map_err(|_| range())
        }
    }
}

/// Minutes and hours are counted on the clock of the zone, so that a zone half an hour off UTC has its own hours. The
/// clock is read once: where it is set by half an hour within the hour, the period reaches back behind the change, and
/// ends when the clock next shows a full hour.
fn clock_period(unit: Unit, offset_seconds: i32, now: Timestamp) -> Period {
    let length = unit.mean_micros();
    let offset = i64::from(offset_seconds) * 1_000_000;
    // An instant that has a date is so far from the ends of an i64 that nothing here overflows.
    let start = (now.unix_micros() + offset).div_euclid(length) * length - offset;
    period(start, start + length)
}

/// From the first instant of a civil day, week, month or year to that of the next, however long that is.
fn civil_period(unit: Unit, zone: &TimeZone, date: Date, now: Timestamp) -> Result<Period, jiff::Error> {
    let (first, next) = match unit {
        Unit::Year => (date.first_of_year(), date.first_of_year().checked_add(1.year())?),
        Unit::Month => (date.first_of_month(), date.first_of_month().checked_add(1.month())?),
        Unit::Week => {
            let since_monday = i32::from(date.weekday().since(Weekday::Monday));
            let monday = date.checked_sub(since_monday.days())?;
            (monday, monday.checked_add(1.week())?)
        }
        Unit::Minute | Unit::Hour | Unit::Day => (date, date.checked_add(1.day())?),
    };
    let end = first_instant(next, zone)?;
    if end <= now.unix_micros() {
        // The clock was set back over midnight: the date is the day before's again, but its period is over.
        return civil_period(unit, zone, next, now);
    }
    Ok(period(first_instant(first, zone)?, end))
}

/// Midnight, or what comes next where the clock skips it; the first where it comes twice.
fn first_instant(date: Date, zone: &TimeZone) -> Result<i64, jiff::Error> {
    let start = date.to_zoned(zone.clone())?.start_of_day()?;
    Ok(start.timestamp().as_microsecond())
}

fn period(start: i64, end: i64) -> Period {
    Period {
        start: Timestamp::from_unix_micros(start),
        end: Timestamp::from_unix_micros(end),
    }
}
