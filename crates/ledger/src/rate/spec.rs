//! What a rate limit says.

use std::fmt;

use model::LimitName;
use serde::{Deserialize, Serialize};

use crate::{Amount, Label, Measure, Selector};

/// The length of time that a rate is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// One second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
}

impl Per {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    /// Its length in microseconds.
    pub fn micros(self) -> i64 {
        match self {
            Self::Second => 1_000_000,
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
        }
    }
}

/// One rate: so much per length of time, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What is counted; at admission the worst case, and what was not used is given back when the call ends.
    pub measure: Measure,
    /// How much.
    pub limit: Amount,
    /// In how long.
    pub per: Per,
    /// How much may go at once, after a time in which nothing did.
    pub burst: Amount,
}

/// `60 calls per minute, 10 at once`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, per) = (self.measure.show(self.limit), self.per.as_str());
        write!(f, "{limit} per {per}, {} at once", self.measure.number(self.burst))
    }
}

/// A rate limit. Of all limits of one group that select a request, only the most specific one counts; groups count side by
/// side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    /// Its name, unique within its tenant.
    pub name: LimitName,
    /// The group in which it competes; empty for the one that most are in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Which requests it is about.
    #[serde(default, skip_serializing_if = "Selector::is_all")]
    pub select: Selector,
    /// A bucket for each value of these labels: with `user`, all agents of one user share one. A request that has no value
    /// of one of them is not selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<Label>,
    /// The rates, all of which must be kept.
    pub rates: Vec<Rate>,
}
