//! How much within how long: sums of short stretches of time.

use std::collections::BTreeMap;

use model::{NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Cause, ErrorRate, MICROS, SpendRate, SpendSurge};
use crate::form;

/// Into how many stretches the window of [`SpendRate`] is divided: what was booked stops counting up to one stretch early.
const SPEND_PARTS: i64 = 60;
/// The same for [`ErrorRate`].
const ERROR_PARTS: i64 = 20;
/// Of how many windows, those in which anything was booked, a median must be before it says anything.
pub(super) const LEAST_WINDOWS: usize = 5;

/// Sums by the number of the stretch, counted from 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
struct Stretches<T>(#[serde(serialize_with = "form::pairs", deserialize_with = "form::from_pairs")] BTreeMap<i64, T>);

impl<T: Default> Stretches<T> {
    /// The sum of a stretch, to be added to. Stretches `keep` or more away from it are forgotten.
    fn at(&mut self, number: i64, keep: i64) -> &mut T {
        let near = |other: i64| other.abs_diff(number) < keep.unsigned_abs();
        if self.0.keys().next().is_some_and(|first| !near(*first))
            || self.0.keys().next_back().is_some_and(|last| !near(*last))
        {
            self.0.retain(|other, _| near(*other));
        }
        self.0.entry(number).or_default()
    }

    /// The sums of the stretches less than `parts` away.
    fn near(&self, number: i64, parts: i64) -> impl Iterator<Item = &T> {
        let range = number.saturating_sub(parts - 1)..=number.saturating_add(parts - 1);
        self.0.range(range).map(|(_, sum)| sum)
    }
}

/// The number of a stretch of so many microseconds.
fn number(now: Timestamp, length: i64) -> i64 {
    now.unix_micros().div_euclid(length.max(1))
}

fn part(within_s: u32, parts: i64) -> i64 {
    i64::from(within_s) * MICROS / parts
}

/// What was booked lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent(Stretches<i64>);

impl Spent {
    pub(super) fn add(&mut self, rule: &SpendRate, cost: NanoUsd, now: Timestamp) {
        let number = number(now, part(rule.within_s, SPEND_PARTS));
        let sum = self.0.at(number, SPEND_PARTS);
        *sum = sum.saturating_add(cost.0);
    }

    pub(super) fn cause(&self, rule: &SpendRate, now: Timestamp) -> Option<Cause> {
        let number = number(now, part(rule.within_s, SPEND_PARTS));
        let booked = self
            .0
            .near(number, SPEND_PARTS)
            .fold(0_i64, |sum, part| sum.saturating_add(*part));
        (booked > rule.over.0).then_some(Cause::Spend {
            booked: NanoUsd(booked),
            over: rule.over,
            within_s: rule.within_s,
        })
    }
}

/// What was booked in this window and those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usual(Stretches<i64>);

impl Usual {
    pub(super) fn add(&mut self, rule: &SpendSurge, cost: NanoUsd, now: Timestamp) {
        let number = number(now, i64::from(rule.within_s) * MICROS);
        let sum = self.0.at(number, i64::from(rule.windows) + 1);
        *sum = sum.saturating_add(cost.0);
    }

    /// Forgets this window, not those before it: they say what is usual.
    pub(super) fn forget_current(&mut self, rule: &SpendSurge, now: Timestamp) {
        let current = number(now, i64::from(rule.within_s) * MICROS);
        self.0.0.retain(|number, _| *number < current);
    }

    pub(super) fn cause(&self, rule: &SpendSurge, now: Timestamp) -> Option<Cause> {
        let number = number(now, i64::from(rule.within_s) * MICROS);
        let booked = *self.0.0.get(&number)?;
        if booked < rule.at_least.0 {
            return None;
        }
        let before = number.saturating_sub(i64::from(rule.windows))..number;
        let mut sums: Vec<i64> = self
            .0
            .0
            .range(before)
            .map(|(_, sum)| *sum)
            .filter(|sum| *sum > 0)
            .collect();
        if sums.len() < LEAST_WINDOWS {
            return None;
        }
        sums.sort_unstable();
        let median = median(&sums)?;
        (i128::from(booked) * 100 > i128::from(median) * i128::from(rule.percent)).then(|| Cause::Surge {
            booked: NanoUsd(booked),
            median: NanoUsd(median),
            percent: rule.percent,
            windows: u16::try_from(sums.len()).unwrap_or(u16::MAX),
            within_s: rule.within_s,
        })
    }
}

/// The middle one; of an even number the mean of the two in the middle, rounded down.
fn median(sorted: &[i64]) -> Option<i64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(lower + (upper - lower) / 2)
}

/// How many calls ended lately, and how many of them failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends(Stretches<Tally>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tally {
    calls: u32,
    failed: u32,
}

impl Ends {
    pub(super) fn add(&mut self, rule: &ErrorRate, failed: bool, now: Timestamp) {
        let number = number(now, part(rule.within_s, ERROR_PARTS));
        let tally = self.0.at(number, ERROR_PARTS);
        tally.calls = tally.calls.saturating_add(1);
        tally.failed = tally.failed.saturating_add(u32::from(failed));
    }

    pub(super) fn cause(&self, rule: &ErrorRate, now: Timestamp) -> Option<Cause> {
        let number = number(now, part(rule.within_s, ERROR_PARTS));
        let add = |sum: Tally, part: &Tally| Tally {
            calls: sum.calls.saturating_add(part.calls),
            failed: sum.failed.saturating_add(part.failed),
        };
        let Tally { calls, failed } = self.0.near(number, ERROR_PARTS).fold(Tally::default(), add);
        let many =
            calls >= u32::from(rule.calls) && u64::from(failed) * 100 >= u64::from(calls) * u64::from(rule.percent);
        many.then_some(Cause::Errors {
            failed,
            calls,
            within_s: rule.within_s,
        })
    }
}

#[cfg(test)]
impl Spent {
    pub(super) fn len(&self) -> usize {
        self.0.0.len()
    }
}

#[cfg(test)]
impl Usual {
    pub(super) fn len(&self) -> usize {
        self.0.0.len()
    }
}

#[cfg(test)]
impl Ends {
    pub(super) fn len(&self) -> usize {
        self.0.0.len()
    }
}
