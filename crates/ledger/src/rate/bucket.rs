//! One bucket of a limit: what each of its rates let through for one value of each label.

use model::{LimitName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    index::Limit,
    meter::{self, Meter},
    spec::Rate,
};
use crate::{Amount, Charge, Label, form::is_default};

/// Which bucket. The order is by limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) limit: LimitName,
    /// The values of the limit's `each`, in the order of the labels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) of: Vec<String>,
}

/// What its limit's rates let through, in their order. The instants that it is given never go backwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bucket {
    /// The last hold before it was made: older ones know another bucket of its name.
    pub(super) born: u64,
    /// How many holds in it are open.
    #[serde(skip)]
    pub(super) open: usize,
    /// When all of it has run out if nothing comes; only kept up while none is open.
    pub(super) full_at: Timestamp,
    /// Up to when time has passed in it.
    at: Timestamp,
    meters: Vec<Meter>,
}

/// What is free in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Of which limit.
    pub limit: LimitName,
    /// Whose: the values of the limit's `each`, in the order of the labels.
    pub of: Vec<(Label, String)>,
    /// How many attempts that took from it have not ended.
    pub open: usize,
    /// What may go at once under each rate, in whole numbers; negative where there is a debt.
    pub free: Vec<(Rate, Amount)>,
}

impl Bucket {
    pub(super) fn new(limit: &Limit, born: u64, now: Timestamp) -> Self {
        Self {
            born,
            open: 0,
            full_at: now,
            at: now,
            meters: limit.spec.rates.iter().map(|_| Meter::new(born)).collect(),
        }
    }

    /// Lets time pass up to now.
    fn pass(&mut self, rates: &[Rate], now: Timestamp) {
        let micros = now.micros_since(self.at);
        self.at = now;
        for (meter, rate) in self.meters.iter_mut().zip(rates) {
            meter.pass(rate, micros);
        }
    }

    /// When an amount fits under one of the rates.
    pub(super) fn fit(&self, at: usize, rate: &Rate, asked: Amount, now: Timestamp) -> meter::Fit {
        meter::fit(rate, self.level(at, rate, now), asked)
    }

    fn level(&self, at: usize, rate: &Rate, now: Timestamp) -> i128 {
        let meter = self.meters.get(at);
        meter.map_or(0, |meter| meter.level_after(rate, now.micros_since(self.at)))
    }

    pub(super) fn take(&mut self, rates: &[Rate], hold: u64, charge: &Charge, now: Timestamp) {
        self.pass(rates, now);
        self.open += 1;
        for (meter, rate) in self.meters.iter_mut().zip(rates) {
            meter.take(hold, charge.of(rate.measure));
        }
    }

    pub(super) fn end(&mut self, rates: &[Rate], hold: u64, (held, used): (&Charge, &Charge), now: Timestamp) {
        self.pass(rates, now);
        self.open = self.open.saturating_sub(1);
        for (meter, rate) in self.meters.iter_mut().zip(rates) {
            meter.end(hold, held.of(rate.measure), used.of(rate.measure));
        }
        self.look_ahead(rates);
    }

    /// Goes on under other rates: one takes over from the one of the same measure and length, or else from another of the
    /// same measure; one that counts what none did begins empty and knows of no hold up to `newest`.
    pub(super) fn refit(&mut self, old: &[Rate], new: &[Rate], newest: u64, now: Timestamp) {
        self.pass(old, now);
        let kept = |rate: &Rate| {
            let same = old
                .iter()
                .position(|old| (old.measure, old.per) == (rate.measure, rate.per));
            let like = same.or_else(|| old.iter().position(|old| old.measure == rate.measure));
            like.and_then(|at| self.meters.get(at)).cloned()
        };
        self.meters = new
            .iter()
            .map(|rate| kept(rate).unwrap_or_else(|| Meter::new(newest)))
            .collect();
        self.look_ahead(new);
    }

    fn look_ahead(&mut self, rates: &[Rate]) {
        self.full_at = self.empty_at(rates);
    }

    fn empty_at(&self, rates: &[Rate]) -> Timestamp {
        let meters = self.meters.iter().zip(rates);
        let longest = meters.map(|(meter, rate)| meter.empty_in(rate)).max();
        self.at.saturating_add_micros(longest.unwrap_or(0))
    }

    /// Counts a hold that is open and took from it, of one that was read.
    pub(super) fn recount(&mut self, rates: &[Rate], hold: u64, charge: &Charge) {
        self.open = self.open.saturating_add(1);
        for (meter, rate) in self.meters.iter_mut().zip(rates) {
            meter.recount(hold, charge.of(rate.measure));
        }
    }

    /// Adds up what it holds, of one that was read, after its holds were counted. Returns whether it can be a bucket of
    /// these rates.
    pub(super) fn add_up(&mut self, rates: &[Rate], newest: u64) -> bool {
        let sound = self.meters.iter_mut().all(|meter| meter.add_up(newest));
        let idle = self.open > 0 || self.full_at == self.empty_at(rates);
        sound && idle && self.meters.len() == rates.len() && self.born <= newest
    }

    /// Whether it is as good as none.
    pub(super) fn is_spare(&self, now: Timestamp) -> bool {
        self.open == 0 && self.full_at <= now
    }

    /// What may go at once under each rate.
    pub(super) fn free(&self, rates: &[Rate], now: Timestamp) -> Vec<(Rate, Amount)> {
        let free = |(at, rate): (usize, &Rate)| (*rate, meter::free(rate, self.level(at, rate, now)));
        rates.iter().enumerate().map(free).collect()
    }
}
