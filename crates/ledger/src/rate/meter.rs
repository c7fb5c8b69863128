//! What one rate of one bucket holds: an amount that runs out at a steady pace.
//!
//! This is GCRA in its leaky-bucket form: an arrival that finds the level at `l` and asks for `c` goes if `l + c` is at
//! most the burst, and the level falls by `limit` in each `per`. An amount is kept as its number times [`SCALE`], the
//! microseconds of an hour, of which every length of time that a rate can be written in is a divisor: whatever the limit,
//! a whole number of these units runs out in a microsecond, so nothing is rounded and nothing drifts.
//!
//! # What is given back
//! A hold is taken at its worst case, and ends with what was used. The level is then what it would be if no more than
//! that had ever been taken: exactly so, whatever the order in which holds end. That can be more than the level less
//! what was not used: a part of that has run out meanwhile, and time counts once. It comes back only so far as something
//! that was taken later would have run out in that time instead.
//!
//! In numbers: let `X(t)` be all that was taken up to `t`, less all that could have run out. The level is
//! `X(now) - min X(s)` over all `s` up to now, and to take `d` off a hold lowers `X` by `d` from the hold's instant on. So
//! one has to know the minimum of `X` between each two holds that are open, and of those minima only the ones that no
//! later one has come down to: a rising flight of steps. [`Step`] is one of them, by its height above the one before. A
//! hold can give back at most the heights of the steps up to the one that follows it; giving back lowers that step, which
//! swallows those before it that it comes down to. What runs out lowers the last step in the same way.
//!
//! There is at most one step for each open hold. Levels are below `2^95` for each arrival, so that an `i128` is enough for
//! `2^32` holds of the largest amount that all overran; beyond that, sums stay at the largest value.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::spec::Rate;
use crate::{
    Amount,
    form::{MOST, is_default},
};

/// Units in one of what is counted: the microseconds of an hour.
const SCALE: i128 = 3_600_000_000;

/// How much one rate of one bucket has let through lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meter {
    /// All that has not run out: the steps' heights and `loose`.
    #[serde(skip)]
    level: i128,
    /// The part above the last step.
    #[serde(default, skip_serializing_if = "is_default")]
    loose: i128,
    /// Holds up to this number have nothing left to give back.
    floor: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    steps: VecDeque<Step>,
}

/// What lies between two minima; see the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// It follows the holds up to this number, from the step before on.
    upto: u64,
    /// Above the step before.
    height: i128,
    /// How many of those holds are open.
    #[serde(skip)]
    open: usize,
}

impl Meter {
    /// An empty one that knows of no hold up to this number.
    pub(super) fn new(floor: u64) -> Self {
        Self {
            floor,
            ..Self::default()
        }
    }

    /// The level after some microseconds in which nothing came.
    pub(super) fn level_after(&self, rate: &Rate, micros: i64) -> i128 {
        (self.level - runs_out(rate, micros)).max(0)
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, rate: &Rate, micros: i64) {
        let out = runs_out(rate, micros).min(self.level);
        self.level -= out;
        let rest = out - self.loose;
        self.loose = (-rest).max(0);
        if let Some(last) = self.steps.len().checked_sub(1)
            && rest > 0
        {
            self.lower(last, rest);
        }
    }

    /// Takes an amount for a hold, whose number must be greater than all before it.
    pub(super) fn take(&mut self, hold: u64, amount: Amount) {
        let amount = units(amount);
        if amount > 0 {
            self.level = self.level.saturating_add(amount);
            self.steps.push_back(Step {
                upto: hold,
                height: self.loose.saturating_add(amount),
                open: 1,
            });
            self.loose = 0;
        }
    }

    /// Ends a hold of an amount: what was not used is given back; what was used beyond it is taken now, whatever the
    /// burst.
    pub(super) fn end(&mut self, hold: u64, held: Amount, used: Amount) {
        let (held, used) = (units(held), units(used));
        if held > 0 {
            self.give_back(hold, (held - used).max(0));
        }
        let overrun = (used - held).max(0);
        self.level = self.level.saturating_add(overrun);
        self.loose = self.loose.saturating_add(overrun);
    }

    fn give_back(&mut self, hold: u64, amount: i128) {
        let Some(at) = self.step_of(hold) else { return };
        if let Some(step) = self.steps.get_mut(at) {
            step.open = step.open.saturating_sub(1);
        }
        self.level -= self.lower(at, amount);
        // A step that no open hold needs is one with what lies above it.
        if let Some(at) = self.step_of(hold)
            && self.steps.get(at).is_some_and(|step| step.open == 0)
            && let Some(gone) = self.steps.remove(at)
        {
            let above = self.steps.get_mut(at).map_or(&mut self.loose, |next| &mut next.height);
            *above = above.saturating_add(gone.height);
        }
    }

    /// The step that follows a hold, if it can give back anything.
    fn step_of(&self, hold: u64) -> Option<usize> {
        let at = self.steps.partition_point(|step| step.upto < hold);
        (hold > self.floor && at < self.steps.len()).then_some(at)
    }

    /// Lowers a step by an amount, but not below the ground. Returns by how much.
    fn lower(&mut self, mut at: usize, amount: i128) -> i128 {
        loop {
            let Some(step) = self.steps.get_mut(at) else { return 0 };
            if step.height > amount {
                step.height -= amount;
                return amount;
            }
            let Some(below) = at.checked_sub(1) else {
                // It is the ground now.
                let (upto, height) = (step.upto, step.height);
                self.floor = upto;
                self.steps.pop_front();
                return height;
            };
            let swallowed = self.steps.remove(below);
            at = below;
            if let (Some(step), Some(swallowed)) = (self.steps.get_mut(at), swallowed) {
                step.height = step.height.saturating_add(swallowed.height);
                step.open = step.open.saturating_add(swallowed.open);
            }
        }
    }

    /// Counts a hold of an amount that is open, of one that was read.
    pub(super) fn recount(&mut self, hold: u64, amount: Amount) {
        let at = self.step_of(hold).filter(|_| amount > Amount::ZERO);
        if let Some(step) = at.and_then(|at| self.steps.get_mut(at)) {
            step.open = step.open.saturating_add(1);
        }
    }

    /// Adds up the level of one that was read, after its holds were counted. Returns whether it can be one that took as many
    /// holds as the newest one's number.
    pub(super) fn add_up(&mut self, newest: u64) -> bool {
        let mut heights = self.steps.iter().map(|step| step.height);
        let level = heights.try_fold(self.loose, i128::checked_add);
        self.level = level.unwrap_or_default();
        let places: Vec<u64> = std::iter::once(self.floor)
            .chain(self.steps.iter().map(|step| step.upto))
            .collect();
        level.is_some_and(|level| level <= i128::MAX / 2)
            && newest <= MOST
            && self.loose >= 0
            && self.steps.iter().all(|step| step.height > 0 && step.open > 0)
            && places.is_sorted_by(|earlier, later| earlier < later)
            && places.last().is_none_or(|last| *last <= newest)
    }

    /// In how many microseconds it is empty, if nothing comes.
    pub(super) fn empty_in(&self, rate: &Rate) -> i64 {
        micros_to_lose(rate, self.level)
    }
}

/// When an amount fits on top of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// In so many microseconds; 0 for now.
    In(i64),
    /// It is more than the burst.
    Never,
}

/// When an amount fits on top of a level, if nothing else comes. Nothing always fits, on top of any debt.
pub(super) fn fit(rate: &Rate, level: i128, asked: Amount) -> Fit {
    let (asked, burst) = (units(asked), units(rate.burst));
    if asked == 0 {
        return Fit::In(0);
    }
    if asked > burst {
        return Fit::Never;
    }
    Fit::In(micros_to_lose(rate, level.saturating_add(asked).saturating_sub(burst)))
}

/// What may go at once on top of a level, in whole numbers; negative if there is a debt.
pub(super) fn free(rate: &Rate, level: i128) -> Amount {
    let free = units(rate.burst).saturating_sub(level).div_euclid(SCALE);
    Amount(i64::try_from(free).unwrap_or(i64::MIN))
}

/// An amount in units; one that is negative is none.
fn units(amount: Amount) -> i128 {
    i128::from(amount.at_least_zero().0) * SCALE
}

/// How many units run out in a microsecond: the limit, as many times as its length goes into an hour. A limit below 1,
/// which [`check`](super::check::check) refuses, is 1.
fn pace(rate: &Rate) -> i128 {
    i128::from(rate.limit.0.max(1)) * (SCALE / i128::from(rate.per.micros()))
}

fn runs_out(rate: &Rate, micros: i64) -> i128 {
    pace(rate).saturating_mul(i128::from(micros.max(0)))
}

/// How many microseconds it takes, rounded up, until so many units have run out.
fn micros_to_lose(rate: &Rate, units: i128) -> i64 {
    let pace = pace(rate);
    let whole = units.max(0) / pace;
    let part = i128::from(units.max(0) % pace > 0);
    i64::try_from(whole + part).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Meter;
    use crate::{
        Amount, Measure,
        rate::{Per, Rate},
    };

    proptest! {
        /// There are no more steps than open holds, each rises, and together they are the level.
        #[test]
        fn steps_are_bounded_by_open_holds(
            commands in prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), 0_i64..12), 1..200),
        ) {
            let rate = Rate { measure: Measure::Calls, limit: Amount(1), per: Per::Second, burst: Amount(1) };
            let (mut meter, mut open) = (Meter::new(7), Vec::new());
            for (hold, (command, which, amount)) in (8_u64..).zip(commands) {
                match command {
                    0 => meter.pass(&rate, amount * 400_000),
                    1 if !open.is_empty() => {
                        let (hold, held): (u64, Amount) = open.swap_remove(which.index(open.len()));
                        meter.end(hold, held, Amount(amount));
                    }
                    _ => {
                        meter.take(hold, Amount(amount));
                        open.push((hold, Amount(amount)));
                    }
                }
                let heights: i128 = meter.steps.iter().map(|step| step.height).sum();
                prop_assert_eq!(heights + meter.loose, meter.level);
                prop_assert!(meter.loose >= 0 && meter.steps.iter().all(|step| step.height > 0 && step.open > 0));
                let holds: usize = meter.steps.iter().map(|step| step.open).sum();
                prop_assert!(holds <= open.len());
            }
        }
    }
}
