//! All buckets of one limit, apart from those of others: what is full of one limit's buckets is no other one's trouble.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    bucket::{Bucket, Fill, Key},
    index::Limit,
};
use crate::Charge;

/// How many buckets that are full again one command forgets of a limit at most.
const SWEEP: usize = 32;

/// A limit and its buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pool {
    #[serde(serialize_with = "as_spec")]
    limit: Arc<Limit>,
    #[serde(serialize_with = "by_values")]
    buckets: BTreeMap<Arc<Key>, Bucket>,
    /// The buckets in which nothing is open, by when they are full again.
    #[serde(skip)]
    idle: BTreeSet<(Timestamp, Arc<Key>)>,
}

fn as_spec<S: Serializer>(limit: &Arc<Limit>, serializer: S) -> Result<S::Ok, S::Error> {
    limit.spec.serialize(serializer)
}

/// The name of the limit is in what it says.
fn by_values<S: Serializer>(buckets: &BTreeMap<Arc<Key>, Bucket>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(buckets.iter().map(|(key, bucket)| (&key.of, bucket)))
}

impl Pool {
    pub(super) fn new(limit: Arc<Limit>) -> Self {
        Self {
            limit,
            buckets: BTreeMap::new(),
            idle: BTreeSet::new(),
        }
    }

    /// One that was read: its holds are to be counted, and then it is to be added up.
    pub(super) fn read(limit: &Arc<Limit>, buckets: Vec<(Vec<String>, Bucket)>) -> Self {
        let key = |of| {
            let limit = limit.spec.name.clone();
            Arc::new(Key { limit, of })
        };
        let buckets = buckets.into_iter().map(|(of, bucket)| (key(of), bucket));
        Self {
            buckets: buckets.collect(),
            ..Self::new(Arc::clone(limit))
        }
    }

    /// Counts a hold that is open. Returns the key of its bucket as it is kept, if it is still there.
    pub(super) fn recount(&mut self, key: &Key, hold: u64, charge: &Charge) -> Option<Arc<Key>> {
        let kept = self.buckets.get_key_value(key).map(|(kept, _)| Arc::clone(kept))?;
        if let Some(bucket) = self.buckets.get_mut(key).filter(|bucket| bucket.born < hold) {
            bucket.recount(&self.limit.spec.rates, hold, charge);
        }
        Some(kept)
    }

    /// Finds what follows from what was read and counted. Returns whether it can be so.
    pub(super) fn add_up(&mut self, newest: u64) -> bool {
        let mut sound = true;
        for (key, bucket) in &mut self.buckets {
            sound &= bucket.add_up(&self.limit.spec.rates, newest) && key.of.len() == self.limit.each.len();
            if bucket.open == 0 {
                self.idle.insert((bucket.full_at, Arc::clone(key)));
            }
        }
        sound
    }

    pub(super) fn limit(&self) -> &Limit {
        &self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Bucket> {
        self.buckets.get(key)
    }

    /// In how many microseconds there is room for a bucket, of so many that the limit may have; `None` if that does not
    /// come by waiting. A bucket that is full again is as good as none, and makes room; no other one is ever given up,
    /// because that would forgive what went through it.
    pub(super) fn room_in(&self, key: &Key, share: usize, now: Timestamp) -> Option<i64> {
        if self.limit.each.is_empty() || self.buckets.len() < share || self.buckets.contains_key(key) {
            return Some(0);
        }
        // One for one: a limit whose share was lessened would otherwise wait until it is below it.
        self.idle.first().map(|(full_at, _)| full_at.micros_since(now).max(0))
    }

    /// Takes an amount from a bucket, which begins now if it is not there; then it knows of no hold up to `born`.
    pub(super) fn take(&mut self, key: Key, (born, hold): (u64, u64), charge: &Charge, now: Timestamp) -> Arc<Key> {
        let key = match self.buckets.get_key_value(&key) {
            Some((known, bucket)) => {
                let key = Arc::clone(known);
                if bucket.open == 0 {
                    self.idle.remove(&(bucket.full_at, Arc::clone(&key)));
                }
                key
            }
            None => Arc::new(key),
        };
        // After its own bucket is not idle any more, and before another is added.
        self.sweep(now);
        let bucket = self.buckets.entry(Arc::clone(&key));
        let bucket = bucket.or_insert_with(|| Bucket::new(&self.limit, born, now));
        bucket.take(&self.limit.spec.rates, hold, charge, now);
        key
    }

    /// Ends a hold in a bucket, if it is still the one that the hold took from: it may have been forgotten since.
    pub(super) fn end(&mut self, key: &Arc<Key>, hold: u64, charges: (&Charge, &Charge), now: Timestamp) {
        if let Some(bucket) = self.buckets.get_mut(key).filter(|bucket| bucket.born < hold) {
            bucket.end(&self.limit.spec.rates, hold, charges, now);
            if bucket.open == 0 {
                self.idle.insert((bucket.full_at, Arc::clone(key)));
            }
        }
        self.sweep(now);
    }

    /// Goes on under another text of the limit. Buckets for values of other labels are forgotten.
    pub(super) fn refit(&mut self, new: &Arc<Limit>, newest: u64, now: Timestamp) {
        let old = std::mem::replace(&mut self.limit, Arc::clone(new));
        self.idle.clear();
        if old.each != new.each {
            self.buckets.clear();
        }
        for (key, bucket) in &mut self.buckets {
            bucket.refit(&old.spec.rates, &new.spec.rates, newest, now);
            if bucket.open == 0 {
                self.idle.insert((bucket.full_at, Arc::clone(key)));
            }
        }
    }

    /// Forgets some of the buckets that are full again.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        for _ in 0..SWEEP {
            if self.idle.first().is_none_or(|(full_at, _)| *full_at > now) {
                return;
            }
            if let Some((_, key)) = self.idle.pop_first() {
                self.buckets.remove(&key);
            }
        }
    }

    /// What is free in the buckets that are not full.
    pub(super) fn standing(&self, now: Timestamp) -> impl Iterator<Item = Fill> {
        let buckets = self.buckets.iter().filter(move |(_, bucket)| !bucket.is_spare(now));
        buckets.map(move |(key, bucket)| Fill {
            limit: key.limit.clone(),
            of: self.limit.each.iter().copied().zip(key.of.iter().cloned()).collect(),
            open: bucket.open,
            free: bucket.free(&self.limit.spec.rates, now),
        })
    }
}
