//! What a breaker may say.

use super::{BreakerSpec, Repeats, fold::MAX_BREAKERS, pace::LEAST_WINDOWS, steps::MAX_STEPS};

/// The longest time that a breaker may name, in seconds: 30 days.
const MAX_SECONDS: u32 = 30 * 86_400;
/// The most windows a median may be of: two weeks of hours.
const MAX_WINDOWS: u16 = 336;

/// Why a breaker cannot be. The fields are named as they are declared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BreakerProblem {
    /// It would never trip.
    #[error("name at least one rule: spend, surge, loops, errors or no_progress")]
    NoRule,
    /// A number is too small or too large.
    #[error("{field} is {found}: it must be between {least} and {most}")]
    Range {
        /// Of which.
        field: &'static str,
        /// What it is.
        found: u64,
        /// The least it may be.
        least: u64,
        /// The most.
        most: u64,
    },
    /// It would stop before it warns.
    #[error("{field} warns at {warn} and stops at {stop}: it must warn before it stops")]
    Order {
        /// Of which.
        field: &'static str,
        /// When it warns.
        warn: u16,
        /// When it stops.
        stop: u16,
    },
    /// Calls that all take different steps would stand still.
    #[error("no_progress trips at {steps} different steps of {calls} calls: name fewer steps than calls")]
    Progress {
        /// Of how many calls.
        calls: u16,
        /// How many steps.
        steps: u16,
    },
    /// An amount that is negative, or zero where more is needed.
    #[error("{0} must be more than 0 USD")]
    Amount(&'static str),
    /// There are [`MAX_BREAKERS`] already.
    #[error("a tenant has at most {MAX_BREAKERS} breakers: remove one, or let one select more")]
    TooMany,
}

impl BreakerSpec {
    /// Whether it can be.
    pub fn check(&self) -> Result<(), BreakerProblem> {
        if let Some(rule) = &self.spend {
            seconds("spend.within_s", rule.within_s)?;
            amount("spend.over", rule.over.0)?;
        }
        if let Some(rule) = &self.surge {
            seconds("surge.within_s", rule.within_s)?;
            range("surge.percent", rule.percent.into(), 101, 100_000)?;
            range(
                "surge.windows",
                rule.windows.into(),
                LEAST_WINDOWS as u64,
                MAX_WINDOWS.into(),
            )?;
            amount("surge.at_least", rule.at_least.0)?;
        }
        if let Some(rule) = &self.loops {
            seconds("loops.within_s", rule.within_s)?;
            repeats("loops.same", rule.same, MAX_STEPS as u64)?;
            repeats("loops.periodic", rule.periodic, MAX_STEPS as u64 / 3)?;
        }
        if let Some(rule) = &self.errors {
            seconds("errors.within_s", rule.within_s)?;
            range("errors.percent", rule.percent.into(), 1, 100)?;
            range("errors.calls", rule.calls.into(), 2, 10_000)?;
        }
        if let Some(rule) = &self.no_progress {
            seconds("no_progress.within_s", rule.within_s)?;
            range("no_progress.calls", rule.calls.into(), 2, MAX_STEPS as u64)?;
            range("no_progress.steps", rule.steps.into(), 1, MAX_STEPS as u64)?;
            if rule.steps >= rule.calls {
                return Err(BreakerProblem::Progress {
                    calls: rule.calls,
                    steps: rule.steps,
                });
            }
        }
        seconds("cooldown_s", self.cooldown_s)?;
        let rules = [
            self.spend.is_some(),
            self.surge.is_some(),
            self.loops.is_some(),
            self.errors.is_some(),
            self.no_progress.is_some(),
        ];
        if rules.contains(&true) {
            Ok(())
        } else {
            Err(BreakerProblem::NoRule)
        }
    }
}

fn range(field: &'static str, found: u64, least: u64, most: u64) -> Result<(), BreakerProblem> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(BreakerProblem::Range {
        field,
        found,
        least,
        most,
    })
}

fn seconds(field: &'static str, found: u32) -> Result<(), BreakerProblem> {
    range(field, found.into(), 1, MAX_SECONDS.into())
}

fn amount(field: &'static str, found: i64) -> Result<(), BreakerProblem> {
    if found > 0 {
        Ok(())
    } else {
        Err(BreakerProblem::Amount(field))
    }
}

fn repeats(field: &'static str, Repeats { warn, stop }: Repeats, most: u64) -> Result<(), BreakerProblem> {
    range(field, warn.into(), 2, most)?;
    range(field, stop.into(), 2, most)?;
    if warn < stop {
        Ok(())
    } else {
        Err(BreakerProblem::Order { field, warn, stop })
    }
}
