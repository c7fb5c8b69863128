//! What callers say, and what of it counts.

use std::collections::HashMap;

use cedar_policy::{Entity, EntityUid};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::shape::Reader;

/// A shape from a record in Cedar's schema language.
fn shape(record: &str) -> Shape {
    let text = format!("entity A; entity _x_mcp_2dserver; entity T {record};");
    let (json, _) = cedar_policy::schema_str_to_json_with_resolved_types(&text).unwrap();
    let reader = Reader { common: HashMap::new() };
    reader.shape(json[""]["entityTypes"]["T"].get("shape")).unwrap()
}

fn object(json: Value) -> Properties {
    match json {
        Value::Object(members) => members,
        other => panic!("{other}"),
    }
}

/// The values as Cedar writes them, and the notes.
fn projected(shape: &Shape, given: &Properties) -> (Value, Vec<String>) {
    let mut notes = Vec::new();
    let values = project(shape, given, &mut notes).unwrap();
    let uid = EntityUid::from_json(json!({"type": "T", "id": "t"})).unwrap();
    let entity = Entity::new(uid, values.into_iter().collect(), Default::default()).unwrap();
    (entity.to_json_value().unwrap()["attrs"].take(), notes)
}

#[track_caller]
fn check(record: &str, given: Value, expected: Value, notes: &[&str]) {
    let (found, told) = projected(&shape(record), &object(given.clone()));
    assert_eq!(found, expected, "{record} {given}");
    assert_eq!(told, notes, "{record} {given}");
}

#[test]
fn what_is_declared_counts_and_nothing_else() {
    check("{ a: Bool }", json!({"a": true}), json!({"a": true}), &[]);
    check("{ a?: Long }", json!({"a": null, "b": null}), json!({}), &[]);
    check("{ a: Long }", json!({"a": 3.0}), json!({"a": 3}), &[]);
    check("{ a: Long }", json!({"a": i64::MIN}), json!({"a": i64::MIN}), &[]);
    for odd in [
        json!(3.5),
        json!(1e300),
        json!("3"),
        json!(u64::MAX),
        json!([3]),
        json!(9007199254740994.0),
    ] {
        check(
            "{ a: Long }",
            json!({ "a": odd }),
            json!({}),
            &["not of the declared type: a (Long)"],
        );
    }
    check(
        "{ a: String }",
        json!({"a": u64::MAX}),
        json!({"a": "18446744073709551615"}),
        &[],
    );
    for odd in [json!(1), json!(1.5), json!(true), json!({})] {
        check(
            "{ a: String }",
            json!({ "a": odd }),
            json!({}),
            &["not of the declared type: a (String)"],
        );
    }
    check(
        "{ a: Set<Long> }",
        json!({"a": [1, null, 2, 1], "b": 1, "c": {}}),
        json!({"a": [1, 2]}),
        &["not declared in the schema: b, c"],
    );
    check(
        "{ a: Set<Long>, b: Set<Set<String>> }",
        json!({"a": [1, "2"], "b": [["x"], [1]]}),
        json!({}),
        &["not of the declared type: a (Set<Long>), b (Set<Set<String>>)"],
    );
    check(
        "{ @authoritative(\"store\") role: String, name: String }",
        json!({"role": "admin", "name": "x"}),
        json!({"name": "x"}),
        &["only the store says: role"],
    );
}

/// A request's record would replace the stored one, and what only the store may say with it.
#[test]
fn what_holds_something_of_the_store_is_the_stores() {
    let reserved = &["only the store says: a"];
    let record = "{ a?: { nick?: String, deep?: Set<{ @authoritative(\"store\") blocked?: Bool }> }, b?: Long }";
    for given in [json!({}), json!({"nick": "x"}), json!({"deep": []})] {
        check(record, json!({"a": given, "b": 1}), json!({"b": 1}), reserved);
    }
}

#[test]
fn records_count_as_a_whole() {
    let record = "{ a: { b: String, c?: { d: Long } } }";
    check(record, json!({"a": {"b": "x"}}), json!({"a": {"b": "x"}}), &[]);
    check(
        record,
        json!({"a": {"b": "x", "c": {"d": "1", "z": 1}, "y": 1}}),
        json!({"a": {"b": "x"}}),
        &[
            "not declared in the schema: a.c.z, a.y",
            "not of the declared type: a.c.d (Long), a.c (a record)",
        ],
    );
    check(
        record,
        json!({"a": {"c": {"d": 1}}}),
        json!({}),
        &["not of the declared type: a (a record)"],
    );
}

#[test]
fn nothing_becomes_a_reference_that_is_not_declared_as_one() {
    let forged = json!({"__entity": {"type": "A", "id": "root"}});
    check(
        "{ a: A }",
        json!({ "a": forged }),
        json!({}),
        &["not of the declared type: a (A)"],
    );
    check(
        "{ a: String }",
        json!({ "a": forged }),
        json!({}),
        &["not of the declared type: a (String)"],
    );
    check(
        "{ a: { b?: Long } }",
        json!({ "a": forged }),
        json!({"a": {}}),
        &["not declared in the schema: a.__entity"],
    );
    // A text that the schema declares under such a name stays a text.
    check(
        "{ a: decimal }",
        json!({"a": {"__extn": {"fn": "decimal", "arg": "1.0"}}}),
        json!({}),
        &["not of the declared type: a (decimal)"],
    );
    let is = |kind: &str, id: &str| json!({"a": {"__entity": {"type": kind, "id": id}}});
    check("{ a: A }", json!({"a": "x"}), is("A", "x"), &[]);
    check("{ a: A }", json!({"a": {"type": "A", "id": "x"}}), is("A", "x"), &[]);
    check(
        "{ a: _x_mcp_2dserver }",
        json!({"a": {"id": "", "type": "mcp-server", "properties": {}}}),
        is("_x_mcp_2dserver", ""),
        &[],
    );
    for odd in [
        json!({"type": "B", "id": "x"}),
        json!({"id": "x"}),
        json!({"type": "A", "id": 1}),
        json!(1),
    ] {
        check(
            "{ a: A }",
            json!({ "a": odd }),
            json!({}),
            &["not of the declared type: a (A)"],
        );
    }
}

#[test]
fn extension_values_are_read_where_they_are_declared() {
    let decimal = |given: Value, text: &str| {
        let expected = json!({"a": {"__extn": {"fn": "decimal", "arg": text}}});
        check("{ a: decimal }", json!({ "a": given }), expected, &[]);
    };
    decimal(json!(1.5), "1.5");
    decimal(json!(0.1), "0.1");
    decimal(json!(-3), "-3.0");
    decimal(json!(2.0), "2.0");
    decimal(json!(12345.6789), "12345.6789");
    decimal(json!("7.25"), "7.25");
    for odd in [
        json!(1e300),
        json!(0.00001),
        json!(u64::MAX),
        json!("x"),
        json!("1"),
        json!(true),
        json!(1e-7),
    ] {
        check(
            "{ a: decimal }",
            json!({ "a": odd }),
            json!({}),
            &["not of the declared type: a (decimal)"],
        );
    }
    for (of, function, good, bad) in [
        ("ipaddr", "ip", "10.0.0.0/8", "10.0.0.300"),
        ("datetime", "datetime", "2026-11-23T06:00:00Z", "yesterday"),
        ("duration", "duration", "1h30m", "-"),
    ] {
        let record = format!("{{ a: {of} }}");
        let expected = json!({"a": {"__extn": {"fn": function, "arg": good}}});
        check(&record, json!({ "a": good }), expected, &[]);
        let note = format!("not of the declared type: a ({of})");
        check(&record, json!({ "a": bad }), json!({}), &[&note]);
        check(&record, json!({"a": 1}), json!({}), &[&note]);
    }
}

#[test]
fn a_flood_is_bounded() {
    let many: Properties = (0..5000).map(|n| (format!("{n:>100}\u{1b}"), json!(1))).collect();
    let (_, notes) = projected(&shape("{ a: Set<Long> }"), &many);
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].len() < 300 && notes[0].contains(" more") && !notes[0].contains('\u{1b}'),
        "{notes:?}"
    );
    // Leaving it out would push out what comes behind it, and perhaps forbids.
    let text = "x".repeat(MAX_TEXT + 1);
    for long in [json!({"a": vec![1; MAX_VALUES], "b": 1}), json!({"b": 1, "t": text})] {
        let shape = shape("{ a?: Set<Long>, b: Long, t?: String }");
        assert!(project(&shape, &object(long), &mut Vec::new()).is_err());
    }
}

#[test]
fn the_log_keeps_what_counts_and_no_personal_text() {
    let shape = shape(
        "{ @personal mail: String, @personal friends: Set<A>, @personal home: { street: String, floor: Long },
           inner: { @personal phones: Set<String>, kind: String }, plain: String, ref: A, size: decimal }",
    );
    let given = json!({
        "mail": "a@b", "friends": ["x", {"type": "A", "id": "y", "properties": {"mail": "z"}}],
        "home": {"street": "s", "floor": 3, "secret": "t"}, "inner": {"phones": ["1", u64::MAX, null], "kind": "k"},
        "plain": "p", "ref": {"type": "A", "id": "r", "more": 1}, "size": 1.50, "other": "o", "none": null,
    });
    let kept = retain(&shape, &object(given), &|text| format!("<{text}>"));
    let expected = json!({
        "mail": "<a@b>", "friends": ["<x>", {"type": "A", "id": "<y>"}], "home": {"street": "<s>", "floor": 3},
        "inner": {"phones": ["<1>", "<18446744073709551615>"], "kind": "k"}, "plain": "p", "ref": {"type": "A", "id": "r"}, "size": 1.5,
    });
    assert_eq!(Value::Object(kept), expected);
    // A text in the place of something else could be anything.
    let odd = object(json!({"size": {"a": "b"}, "plain": ["x"], "home": "y", "friends": "z"}));
    assert!(retain(&shape, &odd, &|text| text.to_owned()).is_empty());
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-100_000..100_000_i32).prop_map(|n| json!(f64::from(n) / 1000.0)),
        "[a-c1.]{0,4}|1\\.5|::1|1h|2026-01-01".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-h]|type|id|__entity|__extn", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            "[AB]".prop_map(|kind| json!({"type": kind, "id": "x"})),
        ]
    })
}

const ALL: &str = "{ a?: Bool, b?: Long, c?: String, d?: Set<Long>, e?: { a: String, b?: Set<A> }, f?: A, g?: decimal,
                     @personal h?: Set<String>, type?: ipaddr, id?: datetime, __entity?: String, __extn?: duration }";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever callers send, what comes out passes Cedar's own check against the schema, and what the log keeps of it
    /// comes out the same again.
    #[test]
    fn what_counts_fits_the_schema(given in prop::collection::btree_map("[a-i]|type|id|__entity|__extn", json(), 0..8)) {
        let given: Properties = given.into_iter().collect();
        let shape = shape(ALL);
        let mut notes = Vec::new();
        let values = project(&shape, &given, &mut notes).unwrap();
        prop_assert!(notes.iter().map(String::len).sum::<usize>() < 1024);
        let schema = format!("entity A; entity T {ALL};").parse().unwrap();
        let uid = EntityUid::from_json(json!({"type": "T", "id": "t"})).unwrap();
        let entity = Entity::new(uid, values.into_iter().collect(), Default::default()).unwrap();
        prop_assert!(cedar_policy::Entities::from_entities([entity], Some(&schema)).is_ok());
        let kept = retain(&shape, &given, &str::to_owned);
        prop_assert_eq!(projected(&shape, &kept).0, projected(&shape, &given).0);
        prop_assert_eq!(&retain(&shape, &kept, &str::to_owned), &kept);
    }
}
