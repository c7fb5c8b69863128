//! The store by itself: what is in what, what is reached, and what changes leave alone.

use std::collections::BTreeMap;

use cedar_policy::{EntityId, RestrictedExpression};
use proptest::prelude::*;

use super::*;

fn uid(n: usize) -> EntityUid {
    let kind: EntityTypeName = ["A", "B"][n % 2].parse().unwrap();
    EntityUid::from_type_name_and_id(kind, EntityId::new(format!("{n:05}")))
}

fn stored(n: usize, parents: &[usize], refers: &[usize]) -> Stored {
    let to = RestrictedExpression::new_set(refers.iter().map(|n| RestrictedExpression::new_entity_uid(uid(*n))));
    let record = RestrictedExpression::new_record([("to".to_owned(), to)]).unwrap();
    let attributes = Some(("at".to_owned(), record)).filter(|_| !refers.is_empty());
    let parents = parents.iter().map(|n| uid(*n)).collect();
    let entity = Entity::new(uid(n), attributes.into_iter().collect(), parents).unwrap();
    Stored::new(entity, Origin::File)
}

fn numbers(names: impl IntoIterator<Item = EntityUid>) -> Vec<usize> {
    let numbers = names.into_iter().map(|name| name.id().unescaped().parse().unwrap());
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_slice_has_what_can_be_reached() {
    let store = Store::new(vec![
        stored(0, &[1], &[4]),
        stored(1, &[2, 9], &[7]),
        stored(2, &[], &[]),
        stored(4, &[5], &[6, 0]),
        stored(5, &[], &[]),
        stored(6, &[], &[8]),
        stored(7, &[], &[]),
        stored(8, &[2], &[]),
    ]);
    assert_eq!(numbers(store.lineage(&uid(0))), [0, 1, 2, 9]);
    assert_eq!(numbers(store.lineage(&uid(77))), [77]);
    for (depth, expected) in [
        (0, &[0, 1, 2][..]),
        (1, &[0, 1, 2, 4, 5]),
        (2, &[0, 1, 2, 4, 5, 6]),
        (3, &[0, 1, 2, 4, 5, 6, 8]),
        (100, &[0, 1, 2, 4, 5, 6, 8]),
    ] {
        let slice = store.slice(&[uid(0)], depth).unwrap();
        assert_eq!(numbers(slice.iter().map(Entity::uid)), expected, "{depth}");
    }
    assert_eq!(numbers(store.reached(&[uid(0), uid(3)], 0).unwrap()), [0, 1, 2, 3, 9]);
}

#[test]
fn too_much_is_an_error_and_not_a_part() {
    let everything: Vec<usize> = (1..=MAX_REACH).collect();
    let store = Store::new(vec![stored(0, &everything[1..], &[]), stored(1, &[], &everything)]);
    assert_eq!(store.slice(&[uid(0)], 9).unwrap().len(), 1);
    assert!(store.slice(&[uid(0), uid(1)], 0).is_err());
    assert!(store.slice(&[uid(1)], 0).is_ok());
    assert!(store.slice(&[uid(1), uid(2001)], 1).is_err());
}

/// A way of 20,000 does not overflow the stack, and takes linear time.
#[test]
fn cycles_are_found() {
    let way = |end: &[usize]| -> Vec<Stored> {
        let mut way: Vec<Stored> = (0..20_000).map(|n| stored(n, &[n + 1], &[])).collect();
        way.push(stored(20_000, end, &[]));
        way
    };
    assert_eq!(find_cycle(&way(&[])), None);
    assert_eq!(find_cycle(&way(&[19_998])), Some((uid(19_998), uid(19_999))));
    assert_eq!(find_cycle(&[stored(1, &[1], &[])]), Some((uid(1), uid(1))));
    let store = Store::new(way(&[19_998]));
    assert_eq!(store.cycle(&uid(19_999)), Some(uid(20_000)));
    assert_eq!(store.cycle(&uid(3)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map(changes in prop::collection::vec((any::<bool>(), 0..60_usize, 0..60_usize), 0..120)) {
        let mut expected: BTreeMap<usize, usize> = (0..20).map(|n| (n, 0)).collect();
        let mut store = Store::new(expected.keys().map(|n| stored(*n, &[0], &[])).collect());
        for (put, n, parent) in changes {
            let (before, len) = (store.clone(), store.len());
            if put {
                expected.insert(n, parent);
                store.put(Arc::new(stored(n, &[parent], &[])));
            } else {
                expected.remove(&n);
                store.remove(&uid(n));
            }
            prop_assert_eq!(before.len(), len);
            prop_assert_eq!(store.len(), expected.len());
        }
        for n in 0..60 {
            let parents = store.get(&uid(n)).map(|stored| numbers(stored.parents.iter().cloned()));
            prop_assert_eq!(parents, expected.get(&n).map(|parent| vec![*parent]));
        }
        for (kind, rest) in [("A", 0), ("B", 1)] {
            let of_kind: Vec<EntityUid> = store.of_kind(&kind.parse().unwrap()).cloned().collect();
            let names = expected.keys().filter(|n| *n % 2 == rest).map(|n| uid(*n));
            prop_assert!(of_kind.into_iter().eq(names));
        }
        prop_assert_eq!(numbers(store.names().cloned()), expected.keys().copied().collect::<Vec<_>>());
    }

    /// The search that starts at one entity and the one over all agree.
    #[test]
    fn cycles_are_found_wherever_they_are(parents in prop::collection::vec(prop::collection::vec(0..12_usize, 0..3), 1..12)) {
        let entities = || parents.iter().enumerate().map(|(n, parents)| stored(n, parents, &[])).collect::<Vec<_>>();
        let store = Store::new(entities());
        let within: Vec<EntityUid> = (0..parents.len()).map(uid).filter(|name| store.cycle(name).is_some()).collect();
        match find_cycle(&entities()) {
            None => prop_assert!(within.is_empty(), "{within:?}"),
            Some((name, parent)) => {
                prop_assert!(within.contains(&name));
                prop_assert!(store.get(&name).unwrap().parents.contains(&parent));
                prop_assert!(within.contains(&parent));
            }
        }
    }
}
