//! All rate limits of a tenant and what went through them lately.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use model::{LimitName, Timestamp};

use super::{
    bucket::{Bucket, Fill, Key},
    index::{Index, Limit},
    limited::{LimitReason, Limited, RateError},
    meter::{self, Fit},
    spec::{Rate, RateSpec},
};
use crate::{Attempt, Charge, Labels};

/// The most buckets that a tenant's limits have together. A request that needs one more is refused until one is full
/// again and nothing open is in it.
pub const MAX_BUCKETS: usize = 100_000;

/// How many buckets that are full again one command forgets at most.
const SWEEP: usize = 32;

/// The rate limits of one tenant: a fold, as [`Ledger`](crate::Ledger) is one. [`Rates::admit`] changes nothing;
/// [`Rates::take`] and [`Rates::end`] apply what the log says happened.
///
/// The instants given should not go backwards. If they do, time stands still until they have caught up with the latest
/// at which anything changed.
///
/// The state is bounded by the limits ([`MAX_LIMITS`](super::MAX_LIMITS)), the buckets ([`MAX_BUCKETS`]) and the attempts
/// that have not ended. A bucket that is full again, and in which no attempt is open, is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    limits: BTreeMap<LimitName, Arc<Limit>>,
    index: Index,
    buckets: BTreeMap<Arc<Key>, Bucket>,
    /// The buckets in which nothing is open, by when they are full again.
    idle: BTreeSet<(Timestamp, Arc<Key>)>,
    open: HashMap<Attempt, Open>,
    /// The number of the newest hold.
    newest: u64,
    /// The latest instant at which anything changed.
    clock: Timestamp,
}

/// An attempt that took and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    /// The number of its hold, greater than those of all that took before.
    hold: u64,
    /// What it took.
    charge: Charge,
    buckets: Vec<Arc<Key>>,
}

/// A limit that a request is under, and the bucket that it takes from.
struct Place {
    limit: Arc<Limit>,
    key: Key,
}

impl Rates {
    /// Adds a limit, or replaces the one of that name. What its buckets let through lately is kept, so that a lowered limit
    /// counts it, and a raised one helps at once: a rate takes over from the one of the same measure and length, else from
    /// one of the same measure. Time up to now passed at the old rate. Buckets for values of other labels (`each`) begin
    /// full: nobody knows whose the old ones were.
    ///
    /// A set of limits should be [checked](super::check_rates) first.
    pub fn define(&mut self, spec: RateSpec, now: Timestamp) {
        if self.spec(&spec.name) == Some(&spec) {
            return;
        }
        let now = self.advance(now);
        let limit = Arc::new(Limit::new(spec));
        let name = limit.spec.name.clone();
        if let Some(old) = self.limits.insert(name, Arc::clone(&limit)) {
            self.index.remove(&old);
            if old.each == limit.each {
                self.refit(&old, &limit, now);
            } else {
                self.forget(&old.spec.name);
            }
        }
        self.index.insert(&limit);
    }

    /// Removes a limit and forgets what went through it: one that is added by the same name begins anew. A name that is
    /// not known is none.
    pub fn remove(&mut self, name: &LimitName) {
        if let Some(limit) = self.limits.remove(name) {
            self.index.remove(&limit);
            self.forget(name);
        }
    }

    /// All limits, by name.
    pub fn specs(&self) -> impl Iterator<Item = &RateSpec> {
        self.limits.values().map(|limit| &limit.spec)
    }

    /// One limit.
    pub fn spec(&self, name: &LimitName) -> Option<&RateSpec> {
        self.limits.get(name).map(|limit| &limit.spec)
    }

    /// Whether a request may go now. Changes nothing.
    ///
    /// # Errors
    /// The rate that stops it. If there are several, one under which it never goes by waiting, or else the one with the
    /// longest wait.
    pub fn admit(&self, labels: &Labels<'_>, charge: &Charge, now: Timestamp) -> Result<(), Box<Limited>> {
        self.judge(&self.places(labels), charge, now)
    }

    /// Takes the worst case of an attempt from the buckets of all limits that it is under.
    ///
    /// # Errors
    /// The attempt has taken already, or may not go. Nothing has changed then.
    pub fn take(
        &mut self,
        attempt: Attempt,
        labels: &Labels<'_>,
        charge: &Charge,
        now: Timestamp,
    ) -> Result<(), RateError> {
        if self.open.contains_key(&attempt) {
            return Err(RateError::TakenAlready(attempt));
        }
        let places = self.places(labels);
        self.judge(&places, charge, now)?;
        if places.is_empty() {
            return Ok(());
        }
        let now = self.advance(now);
        let born = self.newest;
        self.newest = born.saturating_add(1);
        let keys: Vec<_> = places.iter().map(|place| self.wake(place)).collect();
        // After its own buckets are not idle any more, and before it adds others.
        self.sweep(now);
        for (key, Place { limit, .. }) in keys.iter().zip(&places) {
            let bucket = self.buckets.entry(Arc::clone(key));
            let bucket = bucket.or_insert_with(|| Bucket::new(limit, born, now));
            bucket.take(&limit.spec.rates, self.newest, charge, now);
        }
        let (hold, charge) = (self.newest, *charge);
        let buckets = keys;
        self.open.insert(attempt, Open { hold, charge, buckets });
        Ok(())
    }

    /// Ends an attempt: gives back what it held beyond what it used, as if it had taken no more; what it used beyond what
    /// it held is taken now, as a debt if need be. An attempt that took nothing is not known, and nothing happens.
    pub fn end(&mut self, attempt: &Attempt, used: &Charge, now: Timestamp) {
        let Some(Open { hold, charge, buckets }) = self.open.remove(attempt) else {
            return;
        };
        let now = self.advance(now);
        for key in buckets {
            let limit = self.limits.get(&key.limit);
            // The limit may have been removed since, and the bucket be another one.
            let bucket = self.buckets.get_mut(&key).filter(|bucket| bucket.born < hold);
            if let (Some(limit), Some(bucket)) = (limit, bucket) {
                bucket.end(&limit.spec.rates, hold, (&charge, used), now);
                if bucket.open == 0 {
                    self.idle.insert((bucket.full_at, key));
                }
            }
        }
        self.sweep(now);
    }

    /// What is free in the buckets of one limit, or of all, by limit and values; at most `max` of them. A bucket that is
    /// not there is full.
    pub fn standing(&self, limit: Option<&LimitName>, now: Timestamp, max: usize) -> Vec<Fill> {
        let now = now.max(self.clock);
        let limits = self
            .limits
            .values()
            .filter(|known| limit.is_none_or(|name| known.spec.name == *name));
        let fills = limits.flat_map(|limit| {
            let buckets = self
                .buckets_of(&limit.spec.name)
                .filter(|(_, bucket)| !bucket.is_spare(now));
            buckets.map(move |(key, bucket)| Fill {
                limit: key.limit.clone(),
                of: limit.each.iter().copied().zip(key.of.iter().cloned()).collect(),
                open: bucket.open,
                free: bucket.free(&limit.spec.rates, now),
            })
        });
        fills.take(max).collect()
    }

    /// How many buckets are kept, of [`MAX_BUCKETS`].
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The time it is, which from now on is not before.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.clock = self.clock.max(now);
        self.clock
    }

    fn places(&self, labels: &Labels<'_>) -> Vec<Place> {
        let place = |limit: Arc<Limit>| {
            let of = labels.values(&limit.each)?;
            let limit_name = limit.spec.name.clone();
            let key = Key { limit: limit_name, of };
            Some(Place { limit, key })
        };
        self.index.of(labels).into_iter().filter_map(place).collect()
    }

    fn judge(&self, places: &[Place], charge: &Charge, asked_at: Timestamp) -> Result<(), Box<Limited>> {
        let now = asked_at.max(self.clock);
        let mut worst: Option<Limited> = None;
        let mut consider = |mut limited: Limited| {
            let wait = limited.retry_after_us;
            limited.retry_after_us = wait.map(|wait| wait.saturating_add(now.micros_since(asked_at)));
            let wait = |limited: &Limited| (limited.retry_after_us.is_none(), limited.retry_after_us);
            if worst.as_ref().is_none_or(|worst| wait(&limited) > wait(worst)) {
                worst = Some(limited);
            }
        };
        for place in places {
            let bucket = self.buckets.get(&place.key);
            for (at, rate) in place.limit.spec.rates.iter().enumerate() {
                let asked = charge.of(rate.measure);
                let fit = bucket.map_or_else(|| meter::fit(rate, 0, asked), |bucket| bucket.fit(at, rate, asked, now));
                match fit {
                    Fit::In(0) => {}
                    Fit::In(micros) => consider(place.limited(rate, charge, LimitReason::TooFast, Some(micros))),
                    Fit::Never => consider(place.limited(rate, charge, LimitReason::TooLarge, None)),
                }
            }
        }
        self.crowded(places, charge, now).map(&mut consider);
        worst.map_or(Ok(()), |worst| Err(Box::new(worst)))
    }

    /// Says if there is no room for the buckets that a request needs, and when there will be.
    fn crowded(&self, places: &[Place], charge: &Charge, now: Timestamp) -> Option<Limited> {
        let mut new = places.iter().filter(|place| !self.buckets.contains_key(&place.key));
        let first = new.next()?;
        let count = self.buckets.len() + 1 + new.count();
        let excess = count.checked_sub(MAX_BUCKETS).filter(|excess| *excess > 0)?;
        // So many of the others must be full again.
        let others = self
            .idle
            .iter()
            .filter(|(_, key)| places.iter().all(|place| place.key != **key));
        let mut instants = others.map(|(full_at, _)| *full_at);
        let wait = instants.nth(excess - 1).map(|at| at.micros_since(now).max(0));
        if wait == Some(0) {
            return None;
        }
        let rate = first.limit.spec.rates.first()?;
        Some(first.limited(rate, charge, LimitReason::TooManyBuckets, wait))
    }

    /// The key of a place's bucket, which is about to be used if it is there.
    fn wake(&mut self, place: &Place) -> Arc<Key> {
        let Some((key, bucket)) = self.buckets.get_key_value(&place.key) else {
            return Arc::new(place.key.clone());
        };
        let key = Arc::clone(key);
        if bucket.open == 0 {
            self.idle.remove(&(bucket.full_at, Arc::clone(&key)));
        }
        key
    }

    /// Forgets some of the buckets that are full again.
    fn sweep(&mut self, now: Timestamp) {
        for _ in 0..SWEEP {
            if self.idle.first().is_none_or(|(full_at, _)| *full_at > now) {
                return;
            }
            if let Some((_, key)) = self.idle.pop_first() {
                self.buckets.remove(&key);
            }
        }
    }

    fn refit(&mut self, old: &Limit, new: &Limit, now: Timestamp) {
        for key in self.keys_of(&new.spec.name) {
            let Some(bucket) = self.buckets.get_mut(&key) else {
                continue;
            };
            let was_full_at = bucket.full_at;
            bucket.refit(&old.spec.rates, &new.spec.rates, self.newest, now);
            if bucket.open == 0 {
                self.idle.remove(&(was_full_at, Arc::clone(&key)));
                self.idle.insert((bucket.full_at, key));
            }
        }
    }

    fn forget(&mut self, name: &LimitName) {
        for key in self.keys_of(name) {
            if let Some(bucket) = self.buckets.remove(&key) {
                self.idle.remove(&(bucket.full_at, key));
            }
        }
    }

    fn buckets_of(&self, name: &LimitName) -> impl Iterator<Item = (&Arc<Key>, &Bucket)> {
        let (limit, of) = (name.clone(), Vec::new());
        let first = Key { limit, of };
        let all = self.buckets.range::<Key, _>(first..);
        all.take_while(move |(key, _)| key.limit == *name)
    }

    fn keys_of(&self, name: &LimitName) -> Vec<Arc<Key>> {
        self.buckets_of(name).map(|(key, _)| Arc::clone(key)).collect()
    }
}

impl Place {
    fn limited(&self, rate: &Rate, charge: &Charge, why: LimitReason, retry_after_us: Option<i64>) -> Limited {
        Limited {
            limit: self.key.limit.clone(),
            of: self
                .limit
                .each
                .iter()
                .copied()
                .zip(self.key.of.iter().cloned())
                .collect(),
            rate: *rate,
            asked: charge.of(rate.measure).at_least_zero(),
            why,
            retry_after_us,
        }
    }
}
