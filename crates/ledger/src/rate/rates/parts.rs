//! Rate limits as they stand in a snapshot, and what has to be true of them before they are used.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use model::{LimitName, Timestamp};
use serde::Deserialize;

use super::{
    super::{
        bucket::{Bucket, Key},
        index::Limit,
        pool::Pool,
        spec::RateSpec,
    },
    Open, Rates,
};
use crate::{Attempt, Charge, form::MOST};

/// What is written of rate limits. The rest follows from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    pools: Vec<PoolParts>,
    swept: Option<LimitName>,
    open: Vec<(Attempt, OpenParts)>,
    newest: u64,
    clock: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolParts {
    limit: RateSpec,
    buckets: Vec<(Vec<String>, Bucket)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenParts {
    hold: u64,
    charge: Charge,
    buckets: Vec<Key>,
}

impl TryFrom<Parts> for Rates {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, &'static str> {
        let Parts {
            pools,
            swept,
            open,
            newest,
            clock,
        } = parts;
        let mut rates = Self {
            swept,
            newest,
            clock,
            ..Self::default()
        };
        for PoolParts { limit, buckets } in pools {
            let limit = Arc::new(Limit::new(limit));
            let pool = Pool::read(&limit, buckets);
            if rates.pools.insert(limit.spec.name.clone(), pool).is_some() {
                return Err("there are two rate limits of one name");
            }
            rates.sharing += usize::from(!limit.each.is_empty());
            rates.index.insert(&limit);
        }
        let holds: BTreeSet<u64> = open.iter().map(|(_, open)| open.hold).collect();
        let newer = holds.last().is_some_and(|last| *last > newest);
        if holds.len() != open.len() || newer || newest > MOST {
            return Err("attempts that took from rate limits are not numbered one by one");
        }
        rates.open = rates.recount(open);
        if rates.pools.values_mut().all(|pool| pool.add_up(newest)) {
            Ok(rates)
        } else {
            Err("a bucket of a rate limit holds what cannot be")
        }
    }
}

impl Rates {
    /// Counts holds in the buckets that they took from, as far as these are still there.
    fn recount(&mut self, open: Vec<(Attempt, OpenParts)>) -> HashMap<Attempt, Open> {
        let counted = open.into_iter().map(|(attempt, open)| {
            let OpenParts { hold, charge, buckets } = open;
            let keys = buckets.into_iter().map(|key| {
                let pool = self.pools.get_mut(&key.limit);
                let kept = pool.and_then(|pool| pool.recount(&key, hold, &charge));
                kept.unwrap_or_else(|| Arc::new(key))
            });
            let buckets = keys.collect();
            (attempt, Open { hold, charge, buckets })
        });
        counted.collect()
    }
}
