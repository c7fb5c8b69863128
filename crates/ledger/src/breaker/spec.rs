//! What a breaker says.

use model::{BreakerName, NanoUsd};
use serde::{Deserialize, Serialize};

use crate::Selector;

/// What is stopped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One run of an agent. Requests that name no run are taken for one run of their agent.
    Run,
    /// One agent.
    Agent,
    /// All agents of a team.
    Team,
}

impl Scope {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Agent => "agent",
            Self::Team => "team",
        }
    }
}

/// Trips when more than an amount is booked within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendRate {
    /// More than this trips it.
    pub over: NanoUsd,
    /// Within how long, in seconds.
    pub within_s: u32,
}

/// Trips when what is booked within a time is a multiple of what usually is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendSurge {
    /// As many hundredths of the median trip it: 500 is five times.
    pub percent: u32,
    /// The length of the windows that are compared, in seconds.
    pub within_s: u32,
    /// Of how many windows before this one the median is taken. Windows without any spending do not count.
    pub windows: u16,
    /// Less than this in a window never trips it.
    pub at_least: NanoUsd,
}

/// How often something may be seen before it warns, and before it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// The how many-th time leaves an entry.
    pub warn: u16,
    /// The how many-th time is refused.
    pub stop: u16,
}

/// Trips when the same step is taken again and again: the same prompt, or the same tool call with the same arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loops {
    /// The same step, wherever it stands among the others.
    pub same: Repeats,
    /// The same two or three steps one after the other, over and over: how often.
    pub periodic: Repeats,
    /// Within how long, in seconds.
    pub within_s: u32,
}

/// The same step 3 and 4 times, steps in turn 2 and 3 times, within ten minutes. In turn 4 times would be the same step 4
/// times. `docs/breakers-evaluation.md` says how often that stops what is healthy.
impl Default for Loops {
    fn default() -> Self {
        Self {
            same: Repeats { warn: 3, stop: 4 },
            periodic: Repeats { warn: 2, stop: 3 },
            within_s: 600,
        }
    }
}

/// Trips when too many calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRate {
    /// As many of a hundred calls.
    pub percent: u8,
    /// Of at least so many calls.
    pub calls: u16,
    /// Within how long, in seconds.
    pub within_s: u32,
}

/// Half of 20 calls or more, within five minutes.
impl Default for ErrorRate {
    fn default() -> Self {
        Self {
            percent: 50,
            calls: 20,
            within_s: 300,
        }
    }
}

/// Trips when many calls take only few different steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoProgress {
    /// Among the last so many calls ...
    pub calls: u16,
    /// ... no more than so many different steps.
    pub steps: u16,
    /// Within how long, in seconds.
    pub within_s: u32,
}

/// 24 calls with 4 different steps, within an hour.
impl Default for NoProgress {
    fn default() -> Self {
        Self {
            calls: 24,
            steps: 4,
            within_s: 3_600,
        }
    }
}

impl SpendSurge {
    /// Five times the median, if nothing else is said.
    pub const PERCENT: u32 = 500;
    /// Of days: hours differ too much within one.
    pub const WITHIN_S: u32 = 86_400;
    /// Of the 14 before.
    pub const WINDOWS: u16 = 14;
}

/// What makes two steps the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The same tool calls with the same arguments, or the same prompt, whatever came of it.
    #[default]
    Calls,
    /// The same, and the tools answered the same: a test that is run again after an edit is no loop.
    Results,
}

impl StepKind {
    fn is_calls(&self) -> bool {
        *self == Self::Calls
    }
}

/// A circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSpec {
    /// Its name, unique within its tenant.
    pub name: BreakerName,
    /// Which requests it is about.
    #[serde(default, skip_serializing_if = "Selector::is_all")]
    pub select: Selector,
    /// What it stops when it trips.
    pub scope: Scope,
    /// The absolute rate of spending that trips it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<SpendRate>,
    /// The relative one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surge: Option<SpendSurge>,
    /// Loops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loops: Option<Loops>,
    /// What makes two steps the same, for loops and for standing still.
    #[serde(default, skip_serializing_if = "StepKind::is_calls")]
    pub steps: StepKind,
    /// Failing calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorRate>,
    /// Standing still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_progress: Option<NoProgress>,
    /// How long it stays open before one call may probe, in seconds.
    pub cooldown_s: u32,
}

impl BreakerSpec {
    /// How long a breaker stays open, in seconds, if nothing else is said.
    pub const COOLDOWN_S: u32 = 600;

    /// Whether it looks at steps.
    pub fn wants_steps(&self) -> bool {
        self.loops.is_some() || self.no_progress.is_some()
    }

    /// How long it stays open, in microseconds.
    pub fn cooldown_micros(&self) -> i64 {
        i64::from(self.cooldown_s).saturating_mul(super::MICROS)
    }

    /// For how long a step counts.
    pub(super) fn steps_horizon_s(&self) -> u32 {
        let loops = self.loops.map_or(0, |rule| rule.within_s);
        loops.max(self.no_progress.map_or(0, |rule| rule.within_s))
    }

    /// For how long anything counts.
    pub(super) fn horizon_s(&self) -> u32 {
        let surge = |rule: SpendSurge| rule.within_s.saturating_mul(u32::from(rule.windows) + 1);
        let rules = [
            self.steps_horizon_s(),
            self.spend.map_or(0, |rule| rule.within_s),
            self.surge.map_or(0, surge),
            self.errors.map_or(0, |rule| rule.within_s),
        ];
        rules.into_iter().max().unwrap_or_default()
    }
}
