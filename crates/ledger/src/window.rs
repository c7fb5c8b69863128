//! Windows: when a budget starts again.

use std::fmt;

use jiff::{ToSpan, Unit as JiffUnit, ZonedRound, civil::Weekday, tz::TimeZone};
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
        }
    }

    /// The length of a rolling window of this unit.
    fn rolling_micros(self) -> i64 {
        let seconds = match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
        };
        seconds * 1_000_000
    }
}

/// When a budget starts again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From one civil boundary to the next in a named time zone of the IANA database.
    Calendar {
        /// The length.
        unit: Unit,
        /// The zone, such as `Europe/Berlin` or `UTC`.
        zone: String,
    },
    /// What was spent in the trailing length of time. Kept in [`ROLLING_PARTS`] parts: an amount leaves the window up to
    /// one part late, never early.
    Rolling {
        /// The length.
        unit: Unit,
    },
    /// Never.
    Total,
}

/// Into how many parts a rolling window is cut.
pub(crate) const ROLLING_PARTS: i64 = 60;

/// The span of time a hold books into: from `start`, and counted until `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
            Self::Rolling { unit } => {
                let length = unit.rolling_micros();
                let part = length / ROLLING_PARTS;
                let start = Timestamp::from_unix_micros(now.unix_micros().div_euclid(part).saturating_mul(part));
                // An amount spent at the last instant of the part must count for the whole length after it.
                Ok(Period {
                    start,
                    end: start.saturating_add_micros(part).saturating_add_micros(length),
                })
            }
            Self::Calendar { unit, zone } => calendar_period(*unit, zone, now),
        }
    }

    /// Whether spending leaves this window bit by bit and not all at once.
    pub fn is_rolling(&self) -> bool {
        matches!(self, Self::Rolling { .. })
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

fn calendar_period(unit: Unit, zone: &str, now: Timestamp) -> Result<Period, WindowError> {
    let range = || WindowError::Range(now.unix_micros());
    let zoned = jiff::Timestamp::from_microsecond(now.unix_micros())
        .map_err(|_| range())?
        .to_zoned(time_zone(zone)?);
    let (start, length) = match unit {
        // Minutes and hours of a zone are counted on its clock, so that a zone half an hour off UTC has its own hours.
        Unit::Minute => (zoned.round(floor(JiffUnit::Minute)), 1.minute()),
        Unit::Hour => (zoned.round(floor(JiffUnit::Hour)), 1.hour()),
        Unit::Day => (zoned.start_of_day(), 1.day()),
        Unit::Week => (start_of_week(&zoned), 1.week()),
        Unit::Month => (zoned.first_of_month().and_then(|first| first.start_of_day()), 1.month()),
    };
    let start = start.map_err(|_| range())?;
    // Civil arithmetic lands on the next boundary also where a day has 23 or 25 hours; `start_of_day` then skips a
    // midnight that does not exist.
    let end = start.checked_add(length).map_err(|_| range())?;
    let end = match unit {
        Unit::Minute | Unit::Hour => end,
        Unit::Day | Unit::Week | Unit::Month => end.start_of_day().map_err(|_| range())?,
    };
    let micros = |at: &jiff::Zoned| Timestamp::from_unix_micros(at.timestamp().as_microsecond());
    Ok(Period {
        start: micros(&start),
        end: micros(&end),
    })
}

fn floor(unit: JiffUnit) -> ZonedRound {
    ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)
}

fn start_of_week(zoned: &jiff::Zoned) -> Result<jiff::Zoned, jiff::Error> {
    let since_monday = i32::from(zoned.weekday().since(Weekday::Monday));
    zoned.start_of_day()?.checked_sub(since_monday.days())?.start_of_day()
}
