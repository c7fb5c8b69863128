//! All rate limits of a tenant and what went through them lately.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use model::{LimitName, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

mod parts;

use self::parts::Parts;
use super::{
    bucket::{Fill, Key},
    index::{Index, Limit},
    limited::{LimitReason, Limited, RateError},
    meter::{self, Fit},
    pool::Pool,
    spec::{Rate, RateSpec},
};
use crate::{Attempt, Charge, Labels, form};

/// The most buckets that a tenant's limits have together. Limits that have a bucket for each value of some labels share
/// them equally, and none can have another one's: where a limit has its share, a request that needs one more of it is
/// refused until one of its buckets is full again and nothing open is in it. A limit of one bucket always has room.
///
/// A share is smaller once there are more limits. One that has more than it then keeps them, but gets none before it
/// forgets one; so however limits come one by one, they keep less than eight times as many.
pub const MAX_BUCKETS: usize = 100_000;

/// The rate limits of one tenant: a fold, as [`Ledger`](crate::Ledger) is one. [`Rates::admit`] changes nothing;
/// [`Rates::take`] and [`Rates::end`] apply what the log says happened.
///
/// The instants given should not go backwards. If they do, time stands still until they have caught up with the latest
/// at which anything changed.
///
/// The state is bounded by the limits ([`MAX_LIMITS`](super::MAX_LIMITS)), the buckets ([`MAX_BUCKETS`]) and the attempts
/// that have not ended. A bucket that is full again, and in which no attempt is open, is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Rates {
    #[serde(serialize_with = "form::values")]
    pools: BTreeMap<LimitName, Pool>,
    #[serde(skip)]
    index: Index,
    /// How many limits share the buckets: those with `each`.
    #[serde(skip)]
    sharing: usize,
    /// The limit whose buckets were looked through last for some to forget; the next one's are next.
    #[serde(skip_serializing_if = "Option::is_none")]
    swept: Option<LimitName>,
    #[serde(serialize_with = "form::pairs")]
    open: HashMap<Attempt, Open>,
    /// The number of the newest hold.
    newest: u64,
    /// The latest instant at which anything changed.
    clock: Timestamp,
}

/// An attempt that took and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Open {
    /// The number of its hold, greater than those of all that took before.
    hold: u64,
    /// What it took.
    charge: Charge,
    #[serde(serialize_with = "keys")]
    buckets: Vec<Arc<Key>>,
}

fn keys<S: Serializer>(keys: &[Arc<Key>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(AsRef::as_ref))
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
        self.sharing += usize::from(!limit.each.is_empty());
        match self.pools.get_mut(&limit.spec.name) {
            Some(pool) => {
                self.sharing -= usize::from(!pool.limit().each.is_empty());
                self.index.remove(pool.limit());
                pool.refit(&limit, self.newest, now);
            }
            None => {
                let pool = Pool::new(Arc::clone(&limit));
                self.pools.insert(limit.spec.name.clone(), pool);
            }
        }
        self.index.insert(&limit);
    }

    /// Removes a limit and forgets what went through it: one that is added by the same name begins anew. A name that is
    /// not known is none.
    pub fn remove(&mut self, name: &LimitName) {
        if let Some(pool) = self.pools.remove(name) {
            self.sharing -= usize::from(!pool.limit().each.is_empty());
            self.index.remove(pool.limit());
        }
    }

    /// All limits, by name.
    pub fn specs(&self) -> impl Iterator<Item = &RateSpec> {
        self.pools.values().map(|pool| &pool.limit().spec)
    }

    /// One limit.
    pub fn spec(&self, name: &LimitName) -> Option<&RateSpec> {
        self.pools.get(name).map(|pool| &pool.limit().spec)
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
        let (hold, charge) = (self.newest, *charge);
        let taken = places.into_iter().filter_map(|Place { key, .. }| {
            let pool = self.pools.get_mut(&key.limit)?;
            Some(pool.take(key, (born, hold), &charge, now))
        });
        let buckets = taken.collect();
        self.sweep(now);
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
            // The limit may have been removed since.
            if let Some(pool) = self.pools.get_mut(&key.limit) {
                pool.end(&key, hold, (&charge, used), now);
            }
        }
        self.sweep(now);
    }

    /// What is free in the buckets of one limit, or of all, by limit and values; at most `max` of them. A bucket that is
    /// not there is full.
    pub fn standing(&self, limit: Option<&LimitName>, now: Timestamp, max: usize) -> Vec<Fill> {
        let now = now.max(self.clock);
        let pools = self
            .pools
            .iter()
            .filter(|(known, _)| limit.is_none_or(|name| *known == name));
        let fills = pools.flat_map(|(_, pool)| pool.standing(now));
        fills.take(max).collect()
    }

    /// How many buckets are kept, of [`MAX_BUCKETS`].
    pub fn buckets(&self) -> usize {
        self.pools.values().map(Pool::len).sum()
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
            let pool = self.pools.get(&place.key.limit);
            let bucket = pool.and_then(|pool| pool.get(&place.key));
            for (at, rate) in place.limit.spec.rates.iter().enumerate() {
                let asked = charge.of(rate.measure);
                let fit = bucket.map_or_else(|| meter::fit(rate, 0, asked), |bucket| bucket.fit(at, rate, asked, now));
                match fit {
                    Fit::In(0) => {}
                    Fit::In(micros) => consider(place.limited(rate, charge, LimitReason::TooFast, Some(micros))),
                    Fit::Never => consider(place.limited(rate, charge, LimitReason::TooLarge, None)),
                }
            }
            let room_in = pool.map_or(Some(0), |pool| pool.room_in(&place.key, self.share(), now));
            if room_in != Some(0)
                && let Some(rate) = place.limit.spec.rates.first()
            {
                consider(place.limited(rate, charge, LimitReason::TooManyBuckets, room_in));
            }
        }
        worst.map_or(Ok(()), |worst| Err(Box::new(worst)))
    }

    /// How many buckets a limit may have that has several.
    fn share(&self) -> usize {
        MAX_BUCKETS / self.sharing.max(1)
    }

    /// Forgets some of the buckets that are full again, of one limit after the other: also of those that nothing is under
    /// any more.
    fn sweep(&mut self, now: Timestamp) {
        let after = self.swept.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.pools.range_mut((after, Bound::Unbounded)).next();
        // Past the last one it is the turn of the first, with the next command.
        if let Some((name, pool)) = next {
            pool.sweep(now);
            self.swept = Some(name.clone());
        }
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
