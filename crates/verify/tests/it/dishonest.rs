//! Logs that are what was signed, and do not fit together: whoever has the log's key can sign anything.

use std::{cell::RefCell, rc::Rc};

use entry::PriceRecord;
use model::Digest;
use pricing::{Override, PriceBook};
use serde_json::Value;
use verify::Costs;

use crate::{
    export::{export, honest, verified},
    support::Log,
};

/// The last entry of that kind with these words in it.
fn last(entries: &[Vec<u8>], kind: &str, with: &str) -> usize {
    let found = entries.iter().rposition(|entry| {
        let text = std::str::from_utf8(entry).unwrap();
        text.contains(&format!("\"event\":{{\"{kind}\"")) && text.contains(with)
    });
    found.unwrap_or_else(|| panic!("no {kind} with {with}"))
}

/// What is said of an honest log in which a number of one entry is another. All that follows from it is left as it was.
fn check(kind: &str, with: &str, pointer: &str, change: impl FnOnce(&mut Value), says: &str) {
    let (_, mut entries) = honest(400);
    let at = last(&entries, kind, with);
    // Through a value, whose members have another order, only the changed text is found.
    let mut value: Value = serde_json::from_slice(&entries[at]).unwrap();
    let place = value.pointer_mut(&format!("/event/{kind}{pointer}")).unwrap();
    let before = serde_json::to_string(place).unwrap();
    change(place);
    let after = serde_json::to_string(place).unwrap();
    let name = pointer.rsplit('/').next().unwrap();
    let text = String::from_utf8(entries[at].clone()).unwrap();
    let changed = text.replacen(&format!("\"{name}\":{before}"), &format!("\"{name}\":{after}"), 1);
    assert_ne!(text, changed, "{pointer}");
    entries[at] = changed.into_bytes();
    let report = verified(&export(&entries));
    assert!(!report.ok, "{kind}{pointer}: {before} was {after}");
    let trouble = &report.troubles[0];
    assert_eq!(
        trouble.entry,
        Some(u64::try_from(at).unwrap()),
        "{kind}{pointer}: {trouble}"
    );
    assert!(trouble.what.contains(says), "{kind}{pointer}: {trouble}");
    assert!(trouble.what.ends_with("(it was signed so)"), "{trouble}");
}

fn add(by: i64) -> impl Fn(&mut Value) {
    move |value| *value = (value.as_i64().unwrap() + by).into()
}

#[test]
fn what_the_ledger_would_not_have_granted_is_found() {
    check("intent", "", "/bookings/0/used", add(1), "agent");
    check("intent", "", "/bookings/0/used", add(-1), "agent");
    check("intent", "", "/bookings/0/limit", add(1), "limit");
    check("intent", "", "/action/seq", add(1), "expected action");
    check("intent", "", "/hold", add(10_000_000_000_000_000), "budget");
}

#[test]
fn costs_that_are_not_the_usage_at_the_prices_are_found() {
    let booked = "USD are booked, but the usage costs";
    check("outcome", "\"source\":\"provider\"", "/cost", add(1), booked);
    check("outcome", "\"source\":\"provider\"", "/cost", add(-1), booked);
    check("outcome", "\"source\":\"provider\"", "/usage/input", add(1), booked);
    check("outcome", "\"source\":\"provider\"", "/usage/output", add(-1), booked);
    check("outcome", "\"source\":\"nothing\"", "/cost", add(1), "nothing was used");
    check("outcome", "\"source\":\"hold\"", "/cost", add(-1), "that were held");
    check("intent", "", "/prices", add(1), "the intent names the prices of entry");
    check(
        "outcome",
        "\"source\":\"provider\"",
        "/intent",
        add(1),
        "another entry as its intent",
    );
}

#[test]
fn a_hold_that_ends_twice_is_found() {
    let (_, mut entries) = honest(400);
    let at = last(&entries, "outcome", "");
    let again = String::from_utf8(entries[at].clone()).unwrap();
    let index = entries.len();
    let mut time = String::from_utf8(entries[index - 1].clone()).unwrap();
    time = time
        .split("\"time\":")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let event = again.split_once("\"event\":").unwrap().1;
    entries.push(
        format!("{{\"v\":4,\"tenant\":\"default\",\"index\":{index},\"time\":{time},\"event\":{event}").into_bytes(),
    );
    let report = verified(&export(&entries));
    assert_eq!(
        report.troubles[0].entry,
        Some(u64::try_from(index).unwrap()),
        "{:?}",
        report.troubles
    );
    assert!(report.troubles[0].what.contains("hold"), "{}", report.troubles[0]);
}

/// The costs of a log that was made with these prices.
fn costs(book: &PriceBook, digest: Digest, overrides: &[PriceRecord]) -> (Costs, Vec<String>) {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&kept);
    let mut log = Log::with_prices(move |bytes| sink.borrow_mut().push(bytes), book, digest, overrides);
    log.grow(400);
    drop(log);
    let report = verified(&export(&kept.borrow()));
    assert!(report.ok, "{:?}", report.troubles);
    let open = report.not_proven.iter().map(|open| open.code.to_owned()).collect();
    (report.found.costs, open)
}

#[test]
fn prices_of_an_unknown_catalogue_are_said_not_to_be_proven_but_those_in_the_log_are() {
    let (shipped, own) = (PriceBook::builtin(), PriceBook::builtin());
    let price: Override = serde_json::from_str(
        r#"{"provider":"openai","model":"gpt-4o","input":"3","output":"11.5","cache_read":"1","max_output_tokens":9000}"#,
    )
    .unwrap();
    let own = own.with_overrides(vec![price]).unwrap();
    let record = PriceRecord {
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        prices: [
            ("input", "3"),
            ("output", "11.5"),
            ("cache_read", "1"),
            ("max_output_tokens", "9000"),
        ]
        .map(|(name, price)| (name.to_owned(), price.to_owned()))
        .into(),
    };
    let (all, open) = costs(&shipped, shipped.digest(), &[]);
    assert!(all.computed > 100 && all.unknown_book == 0, "{all:?}");
    assert!(!open.contains(&"prices".to_owned()), "{open:?}");
    let (with_own, _) = costs(&own, own.digest(), std::slice::from_ref(&record));
    assert_eq!((with_own.computed, with_own.unknown_book), (all.computed, 0));
    // A catalogue that this program does not have: of it, only what the log carries can be computed.
    let (none, open) = costs(&shipped, Digest([9; 32]), &[]);
    assert_eq!((none.computed, none.unknown_book), (0, all.computed));
    assert!(open.contains(&"prices".to_owned()), "{open:?}");
    let (some, _) = costs(&own, Digest([9; 32]), &[record]);
    assert!(some.computed > 0 && some.unknown_book > 0, "{some:?}");
    assert_eq!(some.computed + some.unknown_book, all.computed);
}

#[test]
fn a_tier_that_the_log_does_not_say_is_told_apart() {
    let (_, mut entries) = honest(400);
    let at = last(&entries, "outcome", "\"source\":\"provider\"");
    let text = String::from_utf8(entries[at].clone()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let outcome = &value["event"]["outcome"];
    let usage: model::Usage = serde_json::from_value(outcome["usage"].clone()).unwrap();
    let intent = usize::try_from(outcome["intent"].as_u64().unwrap()).unwrap();
    let intent: Value = serde_json::from_slice(&entries[intent]).unwrap();
    let action = &intent["event"]["intent"]["action"];
    let (provider, model) = (action["upstream"].as_str().unwrap(), action["model"].as_str().unwrap());
    let prices = PriceBook::builtin().require(provider, model).unwrap();
    let region = if provider == "openai" {
        pricing::Region::Global
    } else {
        pricing::Region::Undeclared
    };
    let tiers = [model::ServiceTier::Flex, model::ServiceTier::Priority];
    let plain = outcome["cost"].as_i64().unwrap();
    let other = tiers
        .iter()
        .filter_map(|tier| prices.clone().in_region(region).cost(&usage, *tier).ok());
    let other = other.map(|cost| cost.0).find(|cost| *cost != plain).unwrap();
    let (before, after) = (format!("\"cost\":{plain}"), format!("\"cost\":{other}"));
    entries[at] = text.replacen(&before, &after, 1).into_bytes();
    // What follows says the old balance: it is cut off.
    entries.truncate(at + 1);
    let report = verified(&export(&entries));
    assert!(report.ok, "{:?}", report.troubles);
    assert_eq!(report.found.costs.otherwise, 1);
    assert!(report.not_proven.iter().any(|open| open.code == "tiers"));
}
