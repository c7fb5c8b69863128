//! Names in order, cheap to copy and to change by one.

use std::sync::Arc;

use cedar_policy::EntityUid;

/// The longest run of names that is copied for one change.
const RUN: usize = 512;

/// Names of one type, sorted by id, in runs that copies share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted(Vec<Arc<Vec<EntityUid>>>);

impl Sorted {
    /// Sorts different names.
    pub(crate) fn new(mut names: Vec<EntityUid>) -> Self {
        names.sort_by(|one, other| key(one).cmp(key(other)));
        Self(names.chunks(RUN / 2).map(|run| Arc::new(run.to_vec())).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &EntityUid> {
        self.0.iter().flat_map(|run| run.iter())
    }

    /// Adds a name that is not there.
    pub(crate) fn insert(&mut self, name: EntityUid) {
        let at = self.run_of(&name);
        let Some(run) = self.0.get_mut(at) else {
            self.0.push(Arc::new(vec![name]));
            return;
        };
        let run = Arc::make_mut(run);
        if let Err(place) = run.binary_search_by(|other| key(other).cmp(key(&name))) {
            run.insert(place, name);
        }
        if run.len() > RUN {
            let second = run.split_off(RUN / 2);
            self.0.insert(at + 1, Arc::new(second));
        }
    }

    pub(crate) fn remove(&mut self, name: &EntityUid) {
        let at = self.run_of(name);
        let Some(run) = self.0.get_mut(at) else { return };
        if let Ok(place) = run.binary_search_by(|other| key(other).cmp(key(name))) {
            let run = Arc::make_mut(run);
            run.remove(place);
            if run.is_empty() {
                self.0.remove(at);
            }
        }
    }

    /// The last run that begins at or before the name, or the first.
    fn run_of(&self, name: &EntityUid) -> usize {
        let begins = |run: &Arc<Vec<EntityUid>>| run.first().is_some_and(|first| key(first) <= key(name));
        self.0.partition_point(begins).saturating_sub(1)
    }
}

fn key(name: &EntityUid) -> &str {
    name.id().unescaped()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cedar_policy::{EntityId, EntityTypeName};
    use proptest::prelude::*;

    use super::*;

    fn name(n: u16) -> EntityUid {
        let kind: EntityTypeName = "A".parse().unwrap();
        EntityUid::from_type_name_and_id(kind, EntityId::new(format!("{n:05}")))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_sorted_set(
            first in prop::collection::btree_set(0..3000_u16, 0..1500),
            changes in prop::collection::vec((any::<bool>(), 0..3000_u16), 0..1500),
        ) {
            let mut expected: BTreeSet<u16> = first.clone();
            let mut sorted = Sorted::new(first.into_iter().rev().map(name).collect());
            for (add, n) in changes {
                let before = sorted.clone();
                if add && expected.insert(n) {
                    sorted.insert(name(n));
                    prop_assert_eq!(before.iter().count() + 1, sorted.iter().count());
                } else if !add && expected.remove(&n) {
                    sorted.remove(&name(n));
                }
            }
            prop_assert!(sorted.iter().cloned().eq(expected.into_iter().map(name)));
            prop_assert!(sorted.0.iter().all(|run| !run.is_empty() && run.len() <= RUN));
        }
    }
}
