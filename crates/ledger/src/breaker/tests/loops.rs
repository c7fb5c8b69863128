//! Loops against a naive reading of the whole past.

use proptest::prelude::*;

use super::table::{attempt, cause, instant, spec, steps as next};
use crate::{Breakers, Cause, Labels, Step};

/// How often a step would have been seen with this one, in the last `within` seconds.
fn same(past: &[(u64, i64)], step: u64, now: i64, within: i64) -> usize {
    past.iter()
        .filter(|(other, at)| *other == step && now - at < within)
        .count()
        + 1
}

/// Whether the past and this step end with a pattern of so many steps, so many times.
fn ends_with_pattern(past: &[(u64, i64)], step: u64, now: i64, within: i64, length: usize, times: usize) -> bool {
    let mut all: Vec<u64> = past
        .iter()
        .filter(|(_, at)| now - at < within)
        .map(|(step, _)| *step)
        .collect();
    all.push(step);
    let Some(start) = all.len().checked_sub(length * times) else {
        return false;
    };
    let tail = &all[start..];
    let pattern = &tail[..length];
    tail.chunks(length).all(|chunk| chunk == pattern) && pattern.iter().any(|one| *one != pattern[0])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No loop is missed, none is made up, and what is said of it is true.
    #[test]
    fn loops_are_what_a_naive_reading_finds(
        steps in prop::collection::vec((0_u64..4, 0_i64..12), 1..120),
        same_stop in 3_u16..12,
        periodic_stop in 3_u16..5,
        within in prop::sample::select(vec![30_i64, 200, 100_000]),
    ) {
        let rules = [
            format!("same=2/{same_stop}"),
            format!("periodic=2/{periodic_stop}"),
            format!("within={within}"),
        ];
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let mut breakers = Breakers::default();
        breakers.define(spec("b", &rules)).unwrap();
        let labels = Labels { agent: "mailer", run: "r", ..Labels::default() };
        let (mut past, mut now) = (Vec::new(), 0);
        for (number, (step, wait)) in steps.into_iter().enumerate() {
            now += wait;
            let found = cause(breakers.admit(&labels, next(Some(Step(step))), instant(now)));
            // No more than is kept can be seen.
            let kept = &past[past.len().saturating_sub(64)..];
            let seen = same(kept, step, now, within);
            let pattern = [2, 3].into_iter()
                .find(|length| ends_with_pattern(kept, step, now, within, *length, periodic_stop.into()));
            match (&found, pattern) {
                (Some(Cause::SameStep { step: said, seen: times, .. }), _) => {
                    prop_assert!(seen >= usize::from(same_stop));
                    prop_assert_eq!((said.0, usize::from(*times)), (step, seen));
                }
                (Some(Cause::Periodic { steps, seen: times, .. }), Some(length)) => {
                    prop_assert!(seen < usize::from(same_stop));
                    prop_assert_eq!(steps.len(), length);
                    prop_assert_eq!(steps.last(), Some(&Step(step)));
                    let times = usize::from(*times);
                    prop_assert!(ends_with_pattern(kept, step, now, within, length, times));
                    prop_assert!(!ends_with_pattern(kept, step, now, within, length, times + 1));
                }
                (None, None) => prop_assert!(seen < usize::from(same_stop)),
                (found, pattern) => prop_assert!(false, "{found:?}, {pattern:?}"),
            }
            if found.is_none() {
                let attempt = attempt(&number.to_string());
                breakers.begin(attempt, &labels, next(Some(Step(step))), instant(now));
                past.push((step, now));
            }
        }
    }
}
