//! What a set of limits must keep to.

use super::{
    super::{MAX_GROUPS, MAX_LIMITS, RateSpec, check_rates},
    table::limit,
};
use crate::{Amount, Label};

/// What is wrong with limits, one a line; nothing is `ok`.
#[track_caller]
fn check(limits: &str, expected: &str) {
    let specs: Vec<RateSpec> = limits.lines().map(|line| limit(line.trim())).collect();
    let found = check_rates(&specs).map_or_else(|problem| problem.to_string(), |()| "ok".to_owned());
    assert!(found.contains(expected), "{found}");
}

#[test]
fn one_limit() {
    check("l: 1 calls/second burst 1 each user,tier", "ok");
    check(
        "l: 0 calls/second burst 1",
        "allows 0 calls per second, 1 at once: the limit must be more than 0",
    );
    check("l: -1 calls/second burst 1", "the limit must be more than 0");
    check("l: 1 calls/second burst 0", "the burst must be more than 0");
    check(
        "l: 1 calls/second burst 1, 1 calls/minute burst 1, 1 tokens/second burst 1",
        "ok",
    );
    check(
        "l: 1 calls/second burst 1, 9 calls/second burst 9",
        "rate limit l has two rates of calls per second: keep one",
    );
    check("l: 1 calls/second burst 1 each tool", "a request may offer several");
    check("l: 1 calls/second burst 1 each user,tier,user", "names user twice");

    let mut spec = limit("l: 1 calls/second burst 1");
    spec.rates.clear();
    assert_eq!(
        check_rates(&[spec.clone()]).unwrap_err().to_string(),
        "rate limit l has no rates: say at least one, such as 60 calls per minute",
    );
    spec.rates = vec![limit("l: 1 calls/second burst 1").rates[0]; 9];
    assert_eq!(
        check_rates(&[spec]).unwrap_err().to_string(),
        "rate limit l has 9 rates, the most is 8: drop some",
    );
}

#[test]
fn limits_that_no_rule_puts_in_order() {
    check(
        "b: 1 calls/second burst 1\na: 1 calls/second burst 1",
        "rate limits a and b can select the same request",
    );
    check("a: 1 calls/second burst 1\nb: 1 calls/second burst 1 group g", "ok");
    check("a: 1 calls/second burst 1\nb: 1 calls/second burst 1 each user", "ok");
    check(
        "a: 1 calls/second burst 1 each user,tier\nb: 1 calls/second burst 1 each tier,user",
        "rate limits a and b",
    );
    check(
        "a: 1 calls/second burst 1 where tier=api\nb: 1 calls/second burst 1 where tier=batch+inter*",
        "ok",
    );
    check(
        "a: 1 calls/second burst 1 where tier=api\nb: 1 calls/second burst 1 where tier=batch+a*",
        "rate limits a and b",
    );
    check(
        "a: 1 calls/second burst 1 where tier=api,team=x\nb: 1 calls/second burst 1 where tier=api,team=y",
        "ok",
    );
    // A request may offer both tools.
    check(
        "a: 1 calls/second burst 1 where tool=x\nb: 1 calls/second burst 1 where tool=y",
        "put them into different groups",
    );
    check(
        "a: 1 calls/second burst 1 where tier=api\na: 1 calls/second burst 1",
        "two rate limits of the name a",
    );
}

#[test]
fn too_many() {
    let many = |count: usize, spec: &dyn Fn(usize) -> String| -> Vec<RateSpec> {
        (0..count).map(|at| limit(&spec(at))).collect()
    };
    let users = |at| format!("l{at}: 1 calls/second burst 1 where user=u{at}");
    assert_eq!(check_rates(&many(MAX_LIMITS, &users)), Ok(()));
    let problem = check_rates(&many(MAX_LIMITS + 1, &users)).unwrap_err();
    assert!(
        problem
            .to_string()
            .contains("there are 1001 rate limits, the most is 1000"),
        "{problem}"
    );

    let groups = |at| format!("l{at}: 1 calls/second burst 1 group g{at}");
    assert_eq!(check_rates(&many(MAX_GROUPS, &groups)), Ok(()));
    let problem = check_rates(&many(MAX_GROUPS + 1, &groups)).unwrap_err();
    assert!(
        problem.to_string().contains("in 17 groups, the most is 16"),
        "{problem}"
    );
}

#[test]
fn a_limit_is_written_in_entries_as_it_is() {
    let spec = limit("l: 5 usd/hour burst 1, 3 calls/minute burst 2 where tier=api+batch each user group g");
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(
        text,
        r#"{"name":"l","group":"g","select":{"tier":["api","batch"]},"each":["user"],"rates":[{"measure":"money","limit":5000000000,"per":"hour","burst":1000000000},{"measure":"calls","limit":3,"per":"minute","burst":2}]}"#
    );
    assert_eq!(serde_json::from_str::<RateSpec>(&text).unwrap(), spec);
    assert_eq!(spec.each, [Label::User]);
    assert_eq!(spec.rates[0].limit, Amount(5_000_000_000));
}
