//! What is said of a request that may not go.

use std::fmt;

use model::LimitName;
use serde::{Deserialize, Serialize};

use super::spec::Rate;
use crate::{Amount, Attempt, Label};

/// A request that may not go now, and the limit that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limited {
    /// Which limit.
    pub limit: LimitName,
    /// Whose bucket: the values of the limit's `each`, in the order of [`Label`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<(Label, String)>,
    /// Which of its rates.
    pub rate: Rate,
    /// How much the request asked of it.
    pub asked: Amount,
    /// Why it may not go.
    pub why: LimitReason,
    /// In how many microseconds the same request would go if nothing else came and no hold ended: then, and not a
    /// microsecond before. `None` if that does not come by waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_us: Option<i64>,
}

/// Why a request may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitReason {
    /// Too much went lately.
    TooFast,
    /// It asks for more than the burst, and so can never go.
    TooLarge,
    /// It needs a bucket of its own, and the limit has its share of [`MAX_BUCKETS`](super::MAX_BUCKETS) in use.
    TooManyBuckets,
}

/// `rate limit tiers of tier batch, 60 calls per minute, 10 at once: 1 calls asked, retry in 0.5 s`.
impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate limit {}", self.limit)?;
        for (at, (label, value)) in self.of.iter().enumerate() {
            let word = if at == 0 { " of" } else { "," };
            write!(f, "{word} {label} {value}")?;
        }
        let asked = self.rate.measure.show(self.asked);
        write!(f, ", {}: {asked} asked, ", self.rate)?;
        match (self.why, self.retry_after_us) {
            (LimitReason::TooLarge, _) => return f.write_str("more than may ever go at once"),
            (LimitReason::TooManyBuckets, _) => f.write_str("too many others are in use, ")?,
            (LimitReason::TooFast, _) => {}
        }
        match self.retry_after_us {
            Some(micros) => write!(f, "retry in {}.{:06} s", micros / 1_000_000, micros % 1_000_000),
            None => f.write_str("retry when some have ended"),
        }
    }
}

/// A command that does not fit the state of the rates. On the live path it is a bug or a stale view, in a replayed log
/// the sign of tampering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// The attempt has taken already and has not ended.
    #[error("attempt {} of action {} has taken from its rate limits already", .0.number, .0.action)]
    TakenAlready(Attempt),
    /// It did not fit.
    #[error("{0}")]
    Limited(Box<Limited>),
}

impl From<Box<Limited>> for RateError {
    fn from(limited: Box<Limited>) -> Self {
        Self::Limited(limited)
    }
}
