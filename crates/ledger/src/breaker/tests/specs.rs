//! What a breaker may say, and what entries look like.

use model::NanoUsd;

use super::table::{instant, spec, step};
use crate::{BreakerSpec, Breakers, Cause, ErrorRate, Loops, MAX_BREAKERS, NoProgress, Scope, SpendSurge, Trip};

#[test]
fn specs_are_checked() {
    let table = [
        ("", "name at least one rule: spend, surge, loops, errors or no_progress"),
        ("spend=0/60", "spend.over must be more than 0 USD"),
        ("spend=1/0", "spend.within_s is 0: it must be between 1 and 2592000"),
        (
            "spend=1/60 cooldown=2592001",
            "cooldown_s is 2592001: it must be between 1 and 2592000",
        ),
        (
            "surge=100/60/24/1",
            "surge.percent is 100: it must be between 101 and 100000",
        ),
        ("surge=300/60/4/1", "surge.windows is 4: it must be between 5 and 336"),
        (
            "same=4/4 periodic=2/3 within=60",
            "loops.same warns at 4 and stops at 4: it must warn before it stops",
        ),
        (
            "same=3/65 periodic=2/3 within=60",
            "loops.same is 65: it must be between 2 and 64",
        ),
        (
            "same=3/4 periodic=1/3 within=60",
            "loops.periodic is 1: it must be between 2 and 21",
        ),
        ("errors=101/4/60", "errors.percent is 101: it must be between 1 and 100"),
        (
            "progress=6/6/60",
            "no_progress trips at 6 different steps of 6 calls: name fewer steps than calls",
        ),
        (
            "progress=65/6/60",
            "no_progress.calls is 65: it must be between 2 and 64",
        ),
        (
            "surge=300/3600/24/1 spend=1/60 same=3/4 periodic=2/3 within=60 errors=50/4/60 progress=6/2/60",
            "ok",
        ),
    ];
    for (rules, expected) in table {
        let rules: Vec<&str> = rules.split_whitespace().collect();
        let found = spec("b", &rules)
            .check()
            .map_or_else(|problem| problem.to_string(), |()| "ok".to_owned());
        assert_eq!(found, expected, "{rules:?}");
    }
}

#[test]
fn what_is_the_default_can_be() {
    let mut spec = spec("b", &[]);
    spec.loops = Some(Loops::default());
    spec.errors = Some(ErrorRate::default());
    spec.no_progress = Some(NoProgress::default());
    spec.surge = Some(SpendSurge {
        percent: SpendSurge::PERCENT,
        within_s: SpendSurge::WITHIN_S,
        windows: SpendSurge::WINDOWS,
        at_least: NanoUsd(1),
    });
    spec.cooldown_s = BreakerSpec::COOLDOWN_S;
    assert_eq!(spec.check(), Ok(()));
}

#[test]
fn there_are_only_so_many() {
    let mut breakers = Breakers::default();
    for number in 0..MAX_BREAKERS {
        breakers.define(spec(&format!("b{number}"), &["spend=1/60"])).unwrap();
    }
    let found = breakers.define(spec("c", &["spend=1/60"])).unwrap_err().to_string();
    assert_eq!(
        found,
        "a tenant has at most 256 breakers: remove one, or let one select more"
    );
    breakers
        .define(spec("b7", &["same=3/4", "periodic=2/3", "within=60"]))
        .unwrap();
    assert!(breakers.wants_steps().calls);
    assert_eq!(breakers.specs().count(), MAX_BREAKERS);
}

#[test]
fn trips_in_entries() {
    let trip = |cause| Trip {
        breaker: "b".parse().unwrap(),
        scope: Scope::Run,
        of: "mailer/r".to_owned(),
        cause,
        until: instant(60),
    };
    let same = Cause::SameStep {
        step: step("A"),
        seen: 4,
        within_s: 312,
        run: None,
    };
    let spend = Cause::Spend {
        booked: NanoUsd(2),
        over: NanoUsd(1),
        within_s: 60,
    };
    let table = [
        (
            same.clone(),
            r#"{"same_step":{"step":"0000000000000041","seen":4,"within_s":312}}"#,
        ),
        (spend, r#"{"spend":{"booked":2,"over":1,"within_s":60}}"#),
        (
            Cause::Probe {
                failed: 1,
                first: Box::new(same),
            },
            r#"{"probe":{"failed":1,"first":{"same_step":{"step":"0000000000000041","seen":4,"within_s":312}}}}"#,
        ),
    ];
    for (cause, expected) in table {
        let text = serde_json::to_string(&trip(cause.clone())).unwrap();
        let whole =
            format!(r#"{{"breaker":"b","scope":"run","of":"mailer/r","cause":{expected},"until":1800000060000000}}"#);
        assert_eq!(text, whole);
        assert_eq!(serde_json::from_str::<Trip>(&text).unwrap(), trip(cause));
        let more = text.replacen('{', r#"{"more":1,"#, 1);
        assert!(serde_json::from_str::<Trip>(&more).is_err(), "{more}");
        let more = text.replace(r#""within_s""#, r#""more":1,"within_s""#);
        assert!(serde_json::from_str::<Trip>(&more).is_err(), "{more}");
    }
    for wrong in ["41", "000000000000004G", "000000000000004A", "+000000000000041"] {
        assert!(
            serde_json::from_str::<crate::Step>(&format!("\"{wrong}\"")).is_err(),
            "{wrong}"
        );
    }
}
