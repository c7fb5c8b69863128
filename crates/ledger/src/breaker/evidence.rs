//! What a breaker saw, as it stands in entries.

use std::{fmt, str::FromStr};

use model::{BreakerName, NanoUsd, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Scope;

/// A fingerprint of what a request asks to be done next: of the last tool calls with canonical arguments, or of the prompt.
/// Whoever makes it keys the hash, so it says nothing of what it was made from. 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step(pub u64);

/// The text is not 16 lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a step is 16 lower-case hexadecimal digits")]
pub struct StepError;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 16 || !digits {
            return Err(StepError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| StepError)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// What a breaker saw. Seconds are those between the first and the last of what was counted, begun ones counted, unless
/// they are a rule's window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// More was booked than the rule allows within its window.
    Spend {
        /// What was.
        booked: NanoUsd,
        /// What may be.
        over: NanoUsd,
        /// The rule's window.
        within_s: u32,
    },
    /// A multiple of what usually is was booked in this window.
    Surge {
        /// What was.
        booked: NanoUsd,
        /// The median of the windows before.
        median: NanoUsd,
        /// As many hundredths of the median would have been allowed.
        percent: u32,
        /// Of how many windows, those in which anything was booked, the median is.
        windows: u16,
        /// The length of a window.
        within_s: u32,
    },
    /// One step, over and over.
    SameStep {
        /// Which.
        step: Step,
        /// How often, the one that was refused counted.
        seen: u16,
        /// Within how long.
        within_s: u32,
        /// In which run, where the scope is wider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
    },
    /// Two or three steps in turn, over and over.
    Periodic {
        /// The steps. The last one is the one that was refused.
        steps: Vec<Step>,
        /// How often all of them, the one that was refused counted.
        seen: u16,
        /// Within how long.
        within_s: u32,
        /// In which run, where the scope is wider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
    },
    /// Too many calls failed.
    Errors {
        /// How many.
        failed: u32,
        /// Of how many.
        calls: u32,
        /// The rule's window.
        within_s: u32,
    },
    /// Many calls, few different steps.
    NoProgress {
        /// How many calls.
        calls: u16,
        /// How many different steps.
        steps: u16,
        /// Within how long.
        within_s: u32,
        /// In which run, where the scope is wider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
    },
    /// The probe of a half-open breaker failed.
    Probe {
        /// How many probes have failed since the breaker tripped.
        failed: u32,
        /// Why it had tripped.
        first: Box<Self>,
    },
}

impl Cause {
    /// The word for the rule that found it: what metrics are labelled with.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Spend { .. } => "spend",
            Self::Surge { .. } => "surge",
            Self::SameStep { .. } => "same_step",
            Self::Periodic { .. } => "periodic",
            Self::Errors { .. } => "errors",
            Self::NoProgress { .. } => "no_progress",
            Self::Probe { .. } => "probe",
        }
    }

    /// Why it tripped in the first place.
    pub fn first(&self) -> &Self {
        match self {
            Self::Probe { first, .. } => first,
            other => other,
        }
    }
}

/// `the same step 4 times within 312 s`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_run = |run: &Option<String>| run.as_ref().map_or(String::new(), |run| format!(" in run {run}"));
        match self {
            Self::Spend { booked, over, within_s } => {
                write!(f, "{booked} USD spent within {within_s} s, more than {over} USD")
            }
            Self::Surge {
                booked,
                median,
                percent,
                windows,
                within_s,
            } => write!(
                f,
                "{booked} USD spent in one window of {within_s} s, more than {percent} % of {median} USD, the median of \
                 {windows} windows before"
            ),
            Self::SameStep {
                seen, within_s, run, ..
            } => {
                write!(f, "the same step {seen} times within {within_s} s{}", in_run(run))
            }
            Self::Periodic {
                steps,
                seen,
                within_s,
                run,
            } => {
                write!(
                    f,
                    "the same {} steps in turn {seen} times within {within_s} s{}",
                    steps.len(),
                    in_run(run)
                )
            }
            Self::Errors {
                failed,
                calls,
                within_s,
            } => {
                write!(f, "{failed} of {calls} calls failed within {within_s} s")
            }
            Self::NoProgress {
                calls,
                steps,
                within_s,
                run,
            } => {
                let s = if *steps == 1 { "" } else { "s" };
                write!(
                    f,
                    "{calls} calls took {steps} different step{s} within {within_s} s{}",
                    in_run(run)
                )
            }
            Self::Probe { failed: 1, first } => write!(f, "the probe failed; it had tripped because of {first}"),
            Self::Probe { failed, first } => write!(f, "{failed} probes failed; it had tripped because of {first}"),
        }
    }
}

/// A breaker trips.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trip {
    /// Which.
    pub breaker: BreakerName,
    /// What it stops.
    pub scope: Scope,
    /// Whose: the team, the agent, `agent/run`, or for requests that name no run the agent.
    pub of: String,
    /// Why.
    pub cause: Cause,
    /// Until when it stops everything: its cooldown after what it saw.
    pub until: Timestamp,
}

/// A breaker is about to trip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Which.
    pub breaker: BreakerName,
    /// What it would stop.
    pub scope: Scope,
    /// Whose.
    pub of: String,
    /// What it saw.
    pub cause: Cause,
}

/// A breaker closes because its probe went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// Which.
    pub breaker: BreakerName,
    /// What it stopped.
    pub scope: Scope,
    /// Whose.
    pub of: String,
    /// Since when it did.
    pub since: Timestamp,
}

/// What an entry owes: the next entries must say it, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A breaker is about to trip. Nothing need be applied.
    Warned(Warning),
    /// A breaker trips: [`super::Breakers::trip`].
    Tripped(Trip),
    /// A breaker closes: [`super::Breakers::close`].
    Closed(Closing),
}

/// `breaker loops stops run mailer/r1: the same step 4 times within 312 s`.
impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            breaker,
            scope,
            of,
            cause,
            ..
        } = self;
        write!(f, "breaker {breaker} stops {} {of}: {cause}", scope.as_str())
    }
}

/// `breaker loops warns of run mailer/r1: the same step 3 times within 12 s`.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            breaker,
            scope,
            of,
            cause,
        } = self;
        write!(f, "breaker {breaker} warns of {} {of}: {cause}", scope.as_str())
    }
}

/// `breaker loops lets run mailer/r1 go again`.
impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { breaker, scope, of, .. } = self;
        write!(f, "breaker {breaker} lets {} {of} go again", scope.as_str())
    }
}
