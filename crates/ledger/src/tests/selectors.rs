//! Selectors against the map from labels to lists of values that they stand for.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::overlap::VALUES;
use crate::{Label, Labels, Selector, Values};

type Map = BTreeMap<Label, Vec<String>>;

const LABELS: [Label; 4] = [Label::Team, Label::Tool, Label::Agent, Label::User];

fn any_values() -> impl Strategy<Value = Vec<String>> {
    let pattern = prop::sample::select(vec!["a", "ab", "b", "a*", "*", ""]);
    prop::collection::vec(pattern.prop_map(str::to_owned), 0..4)
}

fn any_value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(VALUES.to_vec())
}

/// Labels in any order, some of them twice: each takes the place of what was named before.
fn any_steps() -> impl Strategy<Value = Vec<(Label, Vec<String>)>> {
    prop::collection::vec((prop::sample::select(LABELS.to_vec()), any_values()), 0..6)
}

fn fits(patterns: &[String], value: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => value.starts_with(beginning),
        None => pattern == value,
    })
}

proptest! {
    #[test]
    fn it_is_the_map(steps in any_steps(), team in any_value(), agent in any_value(), user in any_value(), tools in prop::collection::vec(any_value(), 0..3)) {
        let map: Map = steps.iter().cloned().collect();
        let selector: Selector = steps.iter().cloned().collect();
        let mut set = Selector::default();
        for (label, values) in &steps {
            set.set(*label, values.clone());
        }
        prop_assert_eq!(&set, &selector);

        let text = serde_json::to_string(&map).unwrap();
        prop_assert_eq!(serde_json::to_string(&selector).unwrap(), text.clone());
        prop_assert_eq!(serde_json::from_str::<Selector>(&text).unwrap(), selector.clone());

        let all: Map = selector.iter().map(|(label, values)| (label, values.to_vec())).collect();
        prop_assert_eq!(&all, &map);
        prop_assert!(selector.labels().eq(map.keys().copied()));
        prop_assert_eq!(selector.is_all(), map.is_empty());
        for label in Label::ALL {
            prop_assert_eq!(selector.get(label).map(Values::to_vec), map.get(&label).cloned());
            prop_assert_eq!(selector.get(label).map(Values::len), map.get(&label).map(Vec::len));
        }

        let tools: Vec<String> = tools.into_iter().filter(|tool| !tool.is_empty()).map(str::to_owned).collect();
        let labels = Labels { team, agent, user, tools: &tools, ..Labels::default() };
        let selects = map.iter().all(|(label, values)| match label {
            Label::Tool => tools.iter().any(|tool| fits(values, tool)),
            _ => labels.get(*label).is_some_and(|value| fits(values, value)),
        });
        prop_assert_eq!(selector.selects(&labels), selects);
    }

    /// Two are equal exactly where their maps are.
    #[test]
    fn equal_maps_are_equal(one in any_steps(), other in any_steps()) {
        let maps: (Map, Map) = (one.iter().cloned().collect(), other.iter().cloned().collect());
        let (one, other): (Selector, Selector) = (one.into_iter().collect(), other.into_iter().collect());
        prop_assert_eq!(one == other, maps.0 == maps.1);
    }
}
