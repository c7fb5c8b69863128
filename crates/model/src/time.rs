//! Time as a value: nobody here asks a clock.

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The largest instant: the end of a window that never ends.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant so many microseconds after 1970.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970, zero for earlier instants.
    pub fn unix_millis(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000)).unwrap_or(0)
    }

    /// This instant moved by so many microseconds, at most [`Timestamp::MAX`].
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this instant; negative if it is later.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// An instant as RFC 3339 has it, to the microsecond: `2026-11-22T20:30:00.123456Z`.
pub fn rfc3339(at: Timestamp) -> String {
    // Instants outside the calendar's years do not occur in a log; they are shown as their number.
    jiff::Timestamp::from_microsecond(at.unix_micros()).map_or_else(
        |_| at.unix_micros().to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    )
}
