//! Which limits count: the index against a scan of all, and the buckets' bound.

use std::{collections::BTreeMap, sync::Arc};

use model::{ActionId, Timestamp};
use proptest::prelude::*;

use super::{
    super::{
        LimitReason, MAX_BUCKETS, MAX_LIMITS, RateError, RateSpec, Rates, check_rates, index::Index, index::Limit,
    },
    table::{Who, limit},
};
use crate::{Attempt, Charge, Label, Labels};

/// The labels of the random limits, from the one that says the least; each has few values, so that many meet.
const LABELS: [Label; 5] = [Label::Team, Label::Tier, Label::Tool, Label::Agent, Label::User];

fn values() -> impl Strategy<Value = Vec<String>> {
    let value = prop::sample::select(vec!["a", "ab", "b", "c", "a*", "*"]);
    prop::collection::vec(value.prop_map(str::to_owned), 1..3)
}

prop_compose! {
    fn specs()(
        specs in prop::collection::vec(
            (
                prop::collection::btree_map(prop::sample::select(LABELS.to_vec()), values(), 0..4),
                prop::sample::subsequence(vec![Label::Team, Label::Tier, Label::Agent, Label::User], 0..3),
                prop::sample::select(vec!["", "g"]),
            ),
            0..40,
        ),
    ) -> Vec<RateSpec> {
        let mut all = Vec::new();
        for (at, (select, each, group)) in specs.into_iter().enumerate() {
            all.push(RateSpec {
                // The order of names is not the one in which they are defined.
                name: format!("l{}", at * 7 % 41).parse().unwrap(),
                group: group.to_owned(),
                select: select.into_iter().collect(),
                each,
                rates: limit("l: 1 calls/second burst 1").rates,
            });
        }
        all
    }
}

prop_compose! {
    fn who()(
        values in prop::collection::btree_map(
            prop::sample::select(LABELS.to_vec()),
            prop::sample::select(vec!["a", "ab", "b", "c", "d", "a+b", "c+ab+d"]),
            0..6,
        ),
    ) -> Who {
        let mut who = Who::default();
        for (label, value) in values {
            let value = if label == Label::Tool { value } else { value.split('+').next().unwrap() };
            who.set(label, value);
        }
        who
    }
}

/// Whether one limit is more specific than another, label by label from the one that says the most.
fn more_specific(one: &RateSpec, other: &RateSpec) -> bool {
    let heaviest = |one: &dyn Fn(Label) -> bool, other: &dyn Fn(Label) -> bool| {
        let difference = Label::ALL.into_iter().rev().find(|label| one(*label) != other(*label));
        difference.map(one)
    };
    let select = heaviest(&|label| one.select.get(label).is_some(), &|label| {
        other.select.get(label).is_some()
    });
    let each = heaviest(&|label| one.each.contains(&label), &|label| other.each.contains(&label));
    select.or(each).unwrap_or(one.name < other.name)
}

/// By group, the names of the limits that count, from a look at all of them.
fn scan(specs: &[RateSpec], labels: &Labels<'_>) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<&RateSpec>> = BTreeMap::new();
    for spec in specs {
        let has_value = |label: &Label| labels.get(*label).is_some();
        if spec.select.selects(labels) && spec.each.iter().all(has_value) {
            groups.entry(&spec.group).or_default().push(spec);
        }
    }
    let best = |specs: &Vec<&RateSpec>| {
        let wins = |spec: &&&RateSpec| specs.iter().all(|other| other == *spec || more_specific(spec, other));
        let winners: Vec<_> = specs.iter().filter(wins).collect();
        assert_eq!(winners.len(), 1, "one of {specs:?}");
        winners[0].name.to_string()
    };
    groups.values().map(best).collect()
}

fn found(index: &Index, labels: &Labels<'_>) -> Vec<String> {
    index
        .of(labels)
        .iter()
        .map(|limit| limit.spec.name.to_string())
        .collect()
}

proptest! {
    #[test]
    fn the_index_finds_what_a_scan_finds(
        specs in specs(),
        gone in prop::collection::vec(any::<bool>(), 40),
        who in prop::collection::vec(who(), 20),
    ) {
        let mut index = Index::default();
        let limits: Vec<_> = specs.iter().cloned().map(|spec| Arc::new(Limit::new(spec))).collect();
        limits.iter().for_each(|limit| index.insert(limit));
        for who in &who {
            who.with(|labels| assert_eq!(found(&index, labels), scan(&specs, labels)));
        }
        // The same after some are removed, and equal to an index that never had them, whatever the order.
        let (gone, kept): (Vec<_>, Vec<_>) = limits.iter().zip(gone).partition(|(_, gone)| *gone);
        gone.iter().for_each(|(limit, _)| index.remove(limit));
        let mut other = Index::default();
        kept.iter().rev().for_each(|(limit, _)| other.insert(limit));
        prop_assert_eq!(&index, &other);
        let kept: Vec<_> = kept.iter().map(|(limit, _)| limit.spec.clone()).collect();
        for who in &who {
            who.with(|labels| assert_eq!(found(&index, labels), scan(&kept, labels)));
        }
    }

    /// What was checked never needs the name to decide.
    #[test]
    fn checked_limits_have_no_ties(specs in specs(), who in prop::collection::vec(who(), 20)) {
        let mut checked: Vec<RateSpec> = Vec::new();
        for spec in specs {
            checked.push(spec);
            if check_rates(&checked).is_err() {
                checked.pop();
            }
        }
        let ranks = |spec: &RateSpec| (spec.select.labels().collect::<Vec<_>>(), spec.each.clone());
        for who in &who {
            who.with(|labels| {
                let selects = |spec: &&RateSpec| {
                    spec.select.selects(labels) && spec.each.iter().all(|label| labels.get(*label).is_some())
                };
                let all: Vec<_> = checked.iter().filter(selects).collect();
                for (at, one) in all.iter().enumerate() {
                    let tie = all[..at].iter().find(|other| other.group == one.group && ranks(other) == ranks(one));
                    assert_eq!(tie, None, "{one:?}");
                }
            });
        }
    }
}

fn attempt(number: u32) -> Attempt {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Attempt {
        action: ActionId::from_bytes(bytes),
        number: 0,
    }
}

/// Takes one call for a user at a time in seconds.
fn take(rates: &mut Rates, number: u32, user: &str, at: i64) -> Result<(), RateError> {
    let call = Charge {
        calls: 1,
        ..Charge::NONE
    };
    let labels = Labels {
        user,
        ..Labels::default()
    };
    let now = Timestamp::from_unix_micros(at * 1_000_000);
    let admitted = rates.admit(&labels, &call, now);
    let taken = rates.take(attempt(number), &labels, &call, now);
    assert_eq!(admitted.clone().map_err(RateError::from), taken);
    taken
}

#[test]
fn there_are_so_many_buckets_and_no_more() {
    let call = Charge {
        calls: 1,
        ..Charge::NONE
    };
    let mut rates = Rates::default();
    rates.define(
        limit("l: 1 calls/hour burst 2 each user"),
        Timestamp::from_unix_micros(0),
    );
    let most = u32::try_from(MAX_BUCKETS).unwrap();
    for number in 0..most {
        take(&mut rates, number, &format!("u{number}"), 0).unwrap();
    }
    assert_eq!(rates.buckets(), MAX_BUCKETS);

    // None is idle, so nobody knows when there will be room; those who have a bucket go on.
    let Err(RateError::Limited(limited)) = take(&mut rates, most, "one more", 1) else {
        panic!("there is no room");
    };
    assert_eq!(
        (limited.why, limited.retry_after_us),
        (LimitReason::TooManyBuckets, None)
    );
    let text = "rate limit l of user one more, 1 call per hour, 2 at once: 1 call asked, too many others are in use, \
                retry when some have ended";
    assert_eq!(limited.to_string(), text);
    take(&mut rates, most, "u7", 1).unwrap();

    // One ends; its bucket is full again an hour after the call.
    let seconds = |at: i64| Timestamp::from_unix_micros(at * 1_000_000);
    rates.end(&attempt(0), &call, seconds(10));
    let Err(RateError::Limited(limited)) = take(&mut rates, most + 1, "one more", 600) else {
        panic!("there is no room yet");
    };
    assert_eq!(limited.retry_after_us, Some(3_000 * 1_000_000));
    // Then there is room for another one. A request that has that bucket itself goes too, and then there is none.
    assert!(take(&mut rates.clone(), most + 1, "u0", 3_600).is_ok());
    take(&mut rates, most + 1, "one more", 3_600).unwrap();
    assert!(take(&mut rates, most + 2, "another", 3_600).is_err());
    assert_eq!(rates.buckets(), MAX_BUCKETS);
    assert_eq!(rates.standing(None, Timestamp::from_unix_micros(0), 10).len(), 10);
}

/// Limits that have a bucket for each value share all of them equally, and one cannot take another one's.
#[test]
fn a_limit_that_has_its_share_of_buckets_leaves_others_theirs() {
    let seconds = |at: i64| Timestamp::from_unix_micros(at * 1_000_000);
    let call = Charge {
        calls: 1,
        ..Charge::NONE
    };
    let of = |rates: &Rates, name: &str| {
        rates
            .standing(Some(&name.parse().unwrap()), seconds(0), usize::MAX)
            .len()
    };
    let run = |number: u32| format!("r{number}");
    let mut rates = Rates::default();
    for text in [
        "runs: 1 calls/hour burst 2 each run group runs",
        "agents: 1 calls/hour burst 2 each agent group agents",
        "all: 1000000 calls/second burst 1000000",
    ] {
        rates.define(limit(text), seconds(0));
    }
    let ask = |rates: &mut Rates, number: u32, run: &str, agent: &str, at: i64| {
        let labels = Labels {
            run,
            agent,
            ..Labels::default()
        };
        rates.take(attempt(number), &labels, &call, seconds(at))
    };
    let share = u32::try_from(MAX_BUCKETS / 2).unwrap();
    for number in 0..share {
        ask(&mut rates, number, &run(number), "", 0).unwrap();
    }
    let Err(RateError::Limited(limited)) = ask(&mut rates, share, "one more", "", 0) else {
        panic!("there is no room");
    };
    assert_eq!(
        (limited.limit.as_str(), limited.why),
        ("runs", LimitReason::TooManyBuckets)
    );
    // The other one has all of its share.
    for number in share..2 * share {
        ask(&mut rates, number, "", &format!("a{number}"), 0).unwrap();
    }
    let limited = ask(&mut rates, 2 * share, "", "one more", 0).unwrap_err();
    assert!(limited.to_string().contains("rate limit agents"), "{limited}");
    assert_eq!(rates.buckets(), MAX_BUCKETS + 1);

    // A third limit makes shares smaller: it has its own at once, and the others get one for one that is full again.
    rates.define(limit("users: 1 calls/hour burst 2 each user group users"), seconds(0));
    take(&mut rates, 2 * share, "ann", 0).unwrap();
    rates.end(&attempt(0), &call, seconds(0));
    rates.end(&attempt(1), &Charge::NONE, seconds(0));
    assert_eq!(of(&rates, "runs"), MAX_BUCKETS / 2 - 1);
    assert!(ask(&mut rates, 2 * share + 1, "one more", "", 3_599).is_err());
    ask(&mut rates, 2 * share + 1, "one more", "", 3_600).unwrap();
    assert_eq!(of(&rates, "runs"), MAX_BUCKETS / 2 - 1);
    assert!(ask(&mut rates, 2 * share + 2, "another", "", 3_600).is_err());
    // Without the others it has all.
    for name in ["agents", "users"] {
        rates.remove(&name.parse().unwrap());
    }
    for number in 0..share {
        let number = 2 * share + 2 + number;
        ask(&mut rates, number, &run(number), "", 3_600).unwrap();
    }
}

/// Buckets of a limit that nothing is under any more are forgotten by what others do.
#[test]
fn buckets_of_a_limit_without_calls_are_forgotten_too() {
    let mut rates = Rates::default();
    let seconds = |at: i64| Timestamp::from_unix_micros(at * 1_000_000);
    let call = Charge {
        calls: 1,
        ..Charge::NONE
    };
    rates.define(
        limit("quiet: 1 calls/second burst 2 each agent group quiet"),
        seconds(0),
    );
    rates.define(limit("users: 1 calls/second burst 2 each user"), seconds(0));
    for number in 0..50 {
        let agent = format!("a{number}");
        let labels = Labels {
            agent: &agent,
            ..Labels::default()
        };
        rates.take(attempt(number), &labels, &call, seconds(0)).unwrap();
    }
    for number in 0..50 {
        rates.end(&attempt(number), &call, seconds(0));
    }
    assert_eq!(rates.buckets(), 50);
    for number in 50..60 {
        take(&mut rates, number, "ann", i64::from(number)).unwrap();
    }
    assert_eq!(rates.buckets(), 1);
}

/// A limit is found by the label that says the most.
#[test]
fn a_request_is_held_against_few_of_many_limits() {
    let mut index = Index::default();
    for at in 0..MAX_LIMITS {
        let text = format!("l{at}: 1 calls/hour burst 2 where tenant=acme,tier=batch,user=u{at}");
        index.insert(&Arc::new(Limit::new(limit(&text))));
    }
    Who::of("tier=batch,user=u7").with(|labels| {
        assert_eq!(index.candidates(labels).count(), 1);
        assert_eq!(found(&index, labels), ["l7"]);
    });
}
