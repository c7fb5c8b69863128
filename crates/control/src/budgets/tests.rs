//! Budgets as administrators write them.

use ledger::{Amount, AtLimit, BudgetSpec, Label, Measure, Selector, Unit, Window};
use model::BudgetName;
use serde_json::{Value, json};

use super::BudgetForm;

fn read(more: Value) -> Result<BudgetSpec, String> {
    let mut form = json!({ "limit": "5 USD", "per": "day" });
    form.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let form: BudgetForm = serde_json::from_value(form).map_err(|error| error.to_string())?;
    form.read(BudgetName::new("b").unwrap())
}

#[test]
fn forms_are_read_as_manifests_are() {
    let plain = read(json!({})).unwrap();
    let expected = BudgetSpec {
        select: Some(Selector::default()),
        thresholds: vec![50, 80, 95],
        ..BudgetSpec::money(
            BudgetName::new("b").unwrap(),
            Amount(5_000_000_000),
            Window::Calendar {
                unit: Unit::Day,
                zone: "UTC".to_owned(),
            },
        )
    };
    assert_eq!(plain, expected);
    let full = read(json!({
        "limit": "2M tokens", "per": "month", "window": "rolling",
        "select": { "user": ["zoe@x", "ann@x"], "model": "gpt-4o*" },
        "each": ["user", "team"], "thresholds": [90, 10], "at_limit": { "ask": "10 minutes" },
    }));
    let select = Selector::from_iter([
        (Label::Model, vec!["gpt-4o*".to_owned()]),
        (Label::User, vec!["ann@x".to_owned(), "zoe@x".to_owned()]),
    ]);
    let expected = BudgetSpec {
        limit: Amount(2_000_000),
        unit: Measure::Tokens,
        window: Window::Rolling { unit: Unit::Month },
        select: Some(select),
        each: vec![Label::Team, Label::User],
        thresholds: vec![10, 90],
        at_limit: AtLimit::Ask { wait_s: 600 },
        ..expected
    };
    assert_eq!(full, Ok(expected));
    let asks = read(json!({ "at_limit": "ask", "each": "user", "per": "total" })).unwrap();
    assert_eq!(
        (asks.at_limit, asks.window),
        (AtLimit::Ask { wait_s: 300 }, Window::Total)
    );
}

#[test]
fn mistakes_in_forms_are_told() {
    let check = |more: Value, told: &str| {
        let error = read(more).unwrap_err();
        assert!(error.contains(told), "{error}");
    };
    check(json!({ "limit": "5" }), "`limit`: \"5\" is not an amount");
    check(json!({ "limit": "-5 USD" }), "`limit`: ");
    check(json!({ "per": "fortnight" }), "`per` is minute, hour, day,");
    check(json!({ "window": "sliding" }), "`window` is calendar or rolling");
    check(
        json!({ "time_zone": "Mars/Olympus" }),
        "unknown time zone \"Mars/Olympus\"",
    );
    check(
        json!({ "window": "rolling", "time_zone": "UTC" }),
        "a rolling window knows no calendar",
    );
    check(
        json!({ "per": "total", "time_zone": "UTC" }),
        "a budget `per: total` knows no calendar",
    );
    check(json!({ "per": "total", "window": "calendar" }), "never starts again");
    check(
        json!({ "per": "total", "each": "run" }),
        "cannot keep a pot for each run",
    );
    check(json!({ "select": { "tema": "x" } }), "did you mean \"team\"?");
    check(json!({ "select": { "tool": "x" } }), "budgets do not tell tools apart");
    check(json!({ "select": { "team": [] } }), "team has 1 to 32 different values");
    check(
        json!({ "select": { "team": ["x", " x"] } }),
        "team has 1 to 32 different values",
    );
    check(
        json!({ "select": { "team": "" } }),
        "a value of team has 1 to 256 characters",
    );
    check(
        json!({ "select": { "user": "a*" } }),
        "the log knows users by pseudonyms",
    );
    check(
        json!({ "select": { "model": "*mini" } }),
        "`*` can only stand at the end",
    );
    check(json!({ "each": ["colour"] }), "there is no label \"colour\"");
    check(json!({ "thresholds": [0] }), "`thresholds` are at most 16");
    check(json!({ "thresholds": [80, 80] }), "`thresholds` are at most 16");
    check(json!({ "at_limit": "wait" }), "`at_limit` is \"deny\", \"ask\"");
    check(json!({ "at_limit": { "ask": "2 hours" } }), "at most an hour");
    check(json!({ "colour": "red" }), "unknown field `colour`");
}
