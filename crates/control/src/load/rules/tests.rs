//! Which entries declared rules become.

use ledger::{Amount, Label, Measure, Per, Rate, Scope, Selector, SpendRate, StepKind};
use model::NanoUsd;
use zeroize::Zeroizing;

use super::*;

fn breaker(name: &str, user: &str, over: i64) -> BreakerSpec {
    BreakerSpec {
        select: Selector::of(Label::User, user),
        name: name.parse().unwrap(),
        scope: Scope::Agent,
        spend: Some(SpendRate {
            over: NanoUsd(over),
            within_s: 60,
        }),
        surge: None,
        loops: None,
        steps: StepKind::Calls,
        errors: None,
        no_progress: None,
        cooldown_s: BreakerSpec::COOLDOWN_S,
    }
}

fn limit(name: &str, user: &str, limit: i64) -> RateSpec {
    RateSpec {
        name: name.parse().unwrap(),
        group: String::new(),
        select: Selector::of(Label::User, user),
        each: Vec::new(),
        rates: vec![Rate {
            measure: Measure::Calls,
            limit: Amount(limit),
            per: Per::Minute,
            burst: Amount(limit),
        }],
    }
}

const ANN: &str = "ann@acme.example";
const BOB: &str = "bob@acme.example";

/// What is known, what is declared, the entries by kind and name, and who stands in them by name. A rule is written
/// `name user number`, with a limit's name in capitals.
#[track_caller]
fn check(known: &[(&str, &str, i64)], declared: &[(&str, &str, i64)], events: &[&str], named: &[&str]) {
    let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
    let (tenant, by) = (TenantName::default_tenant(), AdminName::new("owner").unwrap());
    let is_limit = |name: &str| name.starts_with("limit");
    let mut rules = Rules::default();
    for (name, user, number) in known {
        let select = |select| logged(&tenant, select, &privacy).0;
        if is_limit(name) {
            let spec = limit(name, user, *number);
            let select = select(spec.select);
            rules.limits.push(RateSpec { select, ..spec });
        } else {
            let spec = breaker(name, user, *number);
            let select = select(spec.select);
            rules.breakers.push(BreakerSpec { select, ..spec });
        }
    }
    let (limits, breakers): (Vec<_>, Vec<_>) = declared.iter().partition(|(name, ..)| is_limit(name));
    let governance = TenantGovernance {
        limits: limits
            .iter()
            .map(|(name, user, number)| limit(name, user, *number))
            .collect(),
        breakers: breakers
            .iter()
            .map(|(name, user, number)| breaker(name, user, *number))
            .collect(),
        ..TenantGovernance::default()
    };
    let mut persons = Vec::new();
    let changes = changes(&tenant, &rules, &governance, &privacy, &by, &mut persons);
    let told: Vec<_> = changes
        .iter()
        .map(|event| match event {
            Event::LimitLoaded { limit, .. } => format!("+{}", limit.name),
            Event::LimitRemoved { limit, .. } => format!("-{limit}"),
            Event::BreakerLoaded { breaker, .. } => format!("+{}", breaker.name),
            Event::BreakerRemoved { breaker, .. } => format!("-{breaker}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, events);
    let text = format!("{changes:?}");
    assert!(
        !text.contains(ANN) && !text.contains(BOB),
        "no person stands in the log: {text}"
    );
    let identities: Vec<_> = persons.iter().map(|person| person.identity.as_str()).collect();
    assert_eq!(identities, named);
}

#[test]
fn rules_are_loaded_when_they_differ_and_removed_when_they_are_gone() {
    for name in ["breaker-a", "limit-a"] {
        let loaded = format!("+{name}");
        let removed = format!("-{name}");
        check(&[], &[], &[], &[]);
        check(&[], &[(name, ANN, 1)], &[&loaded], &[ANN]);
        check(&[(name, ANN, 1)], &[(name, ANN, 1)], &[], &[]);
        check(&[(name, ANN, 1)], &[(name, ANN, 2)], &[&loaded], &[ANN]);
        check(&[(name, ANN, 1)], &[(name, BOB, 1)], &[&loaded], &[BOB]);
        check(&[(name, ANN, 1)], &[], &[&removed], &[]);
    }
}

/// A person is who they are, and is remembered only where they were named by what they are called.
#[test]
fn a_person_by_pseudonym_is_the_same_rule() {
    let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
    let digits = privacy.pseudonym(&TenantName::default_tenant(), ANN).0;
    let pseudonym = format!("pseudonym:{digits}");
    for name in ["breaker-a", "limit-a"] {
        check(&[(name, ANN, 1)], &[(name, &pseudonym, 1)], &[], &[]);
        check(&[], &[(name, &pseudonym, 1)], &[&format!("+{name}")], &[]);
    }
}

/// Limits before breakers; of each, those that are loaded before those that are removed.
#[test]
fn several_rules_change_in_order() {
    check(
        &[("breaker-old", ANN, 1), ("breaker-same", ANN, 1), ("limit-old", ANN, 1)],
        &[
            ("breaker-same", ANN, 1),
            ("breaker-new", BOB, 1),
            ("limit-new", ANN, 1),
            ("limit-newer", BOB, 1),
        ],
        &[
            "+limit-new",
            "+limit-newer",
            "-limit-old",
            "+breaker-new",
            "-breaker-old",
        ],
        &[ANN, BOB, BOB],
    );
}
