//! Shards that apply together, as one set.
//!
//! Each call of Cedar's authorizer has a price of its own, and the same few combinations of shards apply over and over:
//! those of a crew's members and the tools of one server. So combinations are kept. The whole of them has a bound; when
//! there are more, it begins anew.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
};

use cedar_policy::PolicySet;

/// How many combinations are kept.
const MOST: usize = 4_096;
/// The largest set that is kept: copying a larger one takes room, and spares little of what evaluating it takes.
const MOST_POLICIES: usize = 256;

/// Combinations by the places of their shards. It lives no longer than the index whose shards these are.
#[derive(Default)]
pub(crate) struct Merged(RwLock<HashMap<Vec<usize>, Arc<PolicySet>>>);

/// Policies to be evaluated in one call.
pub(crate) enum Set<'a> {
    Shard(&'a PolicySet),
    Kept(Arc<PolicySet>),
}

impl Deref for Set<'_> {
    type Target = PolicySet;

    fn deref(&self) -> &PolicySet {
        match self {
            Self::Shard(shard) => shard,
            Self::Kept(set) => set,
        }
    }
}

impl Merged {
    /// The shards as few sets: one, if they are not too many.
    ///
    /// # Errors
    /// What Cedar says of two policies with one id: an index has no such shards.
    pub(crate) fn of<'a>(&self, shards: impl Iterator<Item = &'a PolicySet>) -> Result<Vec<Set<'a>>, String> {
        let shards: Vec<&PolicySet> = shards.collect();
        let policies: usize = shards.iter().map(|shard| shard.num_of_policies()).sum();
        if shards.len() < 2 || policies > MOST_POLICIES {
            return Ok(shards.into_iter().map(Set::Shard).collect());
        }
        let key: Vec<usize> = shards.iter().map(|shard| std::ptr::from_ref(*shard).addr()).collect();
        // A poisoned lock only means that somebody died while keeping one: what is there is whole.
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(vec![Set::Kept(known.clone())]);
        }
        let mut set = PolicySet::new();
        for policy in shards.iter().flat_map(|shard| shard.policies()) {
            set.add(policy.clone()).map_err(|error| error.to_string())?;
        }
        let set = Arc::new(set);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, set.clone());
        Ok(vec![Set::Kept(set)])
    }
}
