//! What is read, and what is not.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Evaluation, Evaluations, MAX_DEPTH, NAME_BYTES, PageRequest, Search, Semantic, Target};

fn question() -> Value {
    json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" },
    })
}

fn with(pointer: &str, value: Value) -> Vec<u8> {
    let mut question = question();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = question.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
    parent.insert(name.to_owned(), value);
    question.to_string().into_bytes()
}

fn without(pointer: &str) -> Vec<u8> {
    let mut question = question();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    question
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .unwrap()
        .remove(name);
    question.to_string().into_bytes()
}

fn refused(body: &[u8], expected: &str) {
    let error = Evaluation::parse(body).unwrap_err().to_string();
    assert!(error.contains(expected), "{error} does not say {expected}");
}

#[test]
fn what_is_not_an_evaluation_is_told() {
    for path in ["/subject", "/action", "/resource"] {
        refused(&without(path), &format!("`{}` is missing", &path[1..]));
        refused(&with(path, json!("x")), "has to be an object");
        refused(&with(path, json!(null)), "has to be an object");
        refused(&with(&format!("{path}/properties"), json!([])), "has to be an object");
    }
    for (path, shown) in [
        ("/subject/type", "subject.type"),
        ("/subject/id", "subject.id"),
        ("/action/name", "action.name"),
        ("/resource/type", "resource.type"),
        ("/resource/id", "resource.id"),
    ] {
        refused(&without(path), &format!("`{shown}` is missing"));
        refused(&with(path, json!(123)), &format!("`{shown}` has to be a string"));
        refused(&with(path, json!(null)), &format!("`{shown}` has to be a string"));
        refused(
            &with(path, json!("x".repeat(NAME_BYTES + 1))),
            &format!("`{shown}` is longer than"),
        );
        assert!(Evaluation::parse(&with(path, json!("x".repeat(NAME_BYTES)))).is_ok());
    }
    refused(&with("/context", json!("x")), "`context` has to be an object");
    refused(b"", "is empty");
    refused(b" \n", "is empty");
    refused(b"{", "not the JSON");
    refused(b"[]", "has to be a JSON object");
    refused(b"\"x\"", "has to be a JSON object");
    refused(b"{} {}", "not the JSON");
    refused(b"{\"a\":1,\"a\":1}", "two members of one name");
    refused(b"{\"a\":{\"b\":1,\"\\u0062\":2}}", "two members of one name");
    refused(b"{\"a\":\"\xff\"}", "not UTF-8");
    refused(b"{\"a\":\"\\ud800\"}", "not the JSON");
    refused(b"{\"a\":1e999}", "not the JSON");
}

#[test]
fn what_is_not_required_is_not_asked_for() {
    let plain = Evaluation::parse(question().to_string().as_bytes()).unwrap();
    assert_eq!(plain.context, None);
    assert_eq!(
        (plain.subject.id.as_str(), plain.action.name.as_str()),
        ("alice", "read")
    );
    for path in [
        "/context",
        "/subject/properties",
        "/action/properties",
        "/resource/properties",
    ] {
        assert_eq!(Evaluation::parse(&with(path, Value::Null)).unwrap(), plain, "{path}");
    }
    for path in ["/foo", "/subject/foo", "/action/foo"] {
        assert_eq!(
            Evaluation::parse(&with(path, json!({"a": [1]}))).unwrap(),
            plain,
            "{path}"
        );
    }
    let empty = Evaluation::parse(&with("/subject/id", json!(""))).unwrap();
    assert_eq!(empty.subject.id, "");
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| {
        let mut value = json!(1);
        for _ in 0..levels {
            value = json!([value]);
        }
        // The body and the context are two levels.
        with("/context", json!({ "a": value }))
    };
    assert!(Evaluation::parse(&nested(MAX_DEPTH - 2)).is_ok());
    refused(&nested(MAX_DEPTH - 1), "nested deeper than 32 levels");
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    refused(&deep, "nested deeper than 32 levels");
}

fn batch(value: &Value) -> Evaluations {
    Evaluations::parse(value.to_string().as_bytes(), 10).unwrap()
}

#[test]
fn without_items_a_batch_is_one_question() {
    let one = Evaluation::parse(question().to_string().as_bytes()).unwrap();
    for items in [None, Some(json!([])), Some(Value::Null)] {
        let mut body = question();
        if let Some(items) = items {
            body["evaluations"] = items;
        }
        assert_eq!(batch(&body), Evaluations::One(one.clone()));
    }
    assert!(Evaluations::parse(b"{\"evaluations\":[]}", 10).is_err());
}

#[test]
fn an_items_part_replaces_the_default_whole() {
    let body = json!({
        "subject": { "type": "user", "id": "alice", "properties": { "a": 1 } },
        "action": { "name": "read" },
        "context": { "time": 1 },
        "evaluations": [
            { "resource": { "type": "record", "id": "1" } },
            { "resource": { "type": "record", "id": "2" }, "subject": { "type": "user", "id": "bob" }, "context": {} },
            { "resource": { "id": "3" } },
            { "resource": { "type": "record", "id": "4" }, "action": "read" },
            {},
        ],
    });
    let Evaluations::Many { items, semantic } = batch(&body) else {
        panic!("it has items");
    };
    assert_eq!(semantic, Semantic::ExecuteAll);
    let first = items[0].as_ref().unwrap();
    assert!(first.subject.properties.is_some() && first.context.is_some());
    let second = items[1].as_ref().unwrap();
    assert_eq!((second.subject.id.as_str(), &second.subject.properties), ("bob", &None));
    assert!(second.context.as_ref().unwrap().is_empty());
    let errors: Vec<_> = items[2..]
        .iter()
        .map(|item| item.as_ref().unwrap_err().to_string())
        .collect();
    let expected = [
        "`resource.type` is missing",
        "`action` has to be an object",
        "`resource` is missing",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_default_that_lacks_something_is_an_error_where_it_is_used() {
    let body = json!({
        "subject": { "type": "user" },
        "action": { "name": "read" },
        "resource": { "type": "record", "id": "1" },
        "evaluations": [{}, { "subject": { "type": "user", "id": "bob" } }],
    });
    let Evaluations::Many { items, .. } = batch(&body) else {
        panic!("it has items");
    };
    assert_eq!(items[0].as_ref().unwrap_err().to_string(), "`subject.id` is missing");
    assert!(items[1].is_ok());
}

#[test]
fn what_is_wrong_with_a_batch_as_a_whole_is_told() {
    let refused = |body: Value, expected: &str| {
        let error = Evaluations::parse(body.to_string().as_bytes(), 2)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error} does not say {expected}");
    };
    refused(json!({ "evaluations": {} }), "`evaluations` has to be an array");
    refused(
        json!({ "evaluations": [1] }),
        "`evaluations` has to be an array of objects",
    );
    refused(json!({ "evaluations": [{}, {}, {}] }), "3 evaluations, more than 2");
    refused(
        json!({ "subject": 1, "evaluations": [{}] }),
        "`subject` has to be an object",
    );
    refused(
        json!({ "options": [], "evaluations": [{}] }),
        "`options` has to be an object",
    );
    let semantic = |value: Value| json!({ "options": { "evaluations_semantic": value }, "evaluations": [{}] });
    refused(
        semantic(json!("all")),
        "`options.evaluations_semantic` has to be `execute_all`",
    );
    refused(semantic(json!(1)), "has to be a string");
    // An unknown one is told also where there are no items.
    let mut one = question();
    one["options"] = json!({ "evaluations_semantic": "all" });
    refused(one, "`options.evaluations_semantic`");
}

#[test]
fn semantics_end_where_they_say() {
    let of = |name: &str| {
        let body = json!({ "options": { "evaluations_semantic": name, "other": 1 }, "evaluations": [{}] });
        match batch(&body) {
            Evaluations::Many { semantic, .. } => [semantic.ends_with(false), semantic.ends_with(true)],
            Evaluations::One(_) => panic!("it has items"),
        }
    };
    assert_eq!(of("execute_all"), [false, false]);
    assert_eq!(of("deny_on_first_deny"), [true, false]);
    assert_eq!(of("permit_on_first_permit"), [false, true]);
}

#[test]
fn searches_need_all_but_what_they_search() {
    let body = |value: Value| value.to_string().into_bytes();
    let sought = json!({ "type": "user", "id": 7, "properties": { "a": 1 } });
    let mut subjects = question();
    subjects["subject"] = sought;
    let search = Search::subjects(&body(subjects.clone())).unwrap();
    let Target::Subject { kind, properties, .. } = &search.target else {
        panic!("subjects are searched");
    };
    assert!(kind == "user" && properties.is_some());
    let mut resources = question();
    resources["resource"] = json!({ "type": "record" });
    assert!(Search::resources(&body(resources.clone())).is_ok());
    assert!(Search::subjects(&body(resources.clone())).is_err());
    resources["subject"] = json!({ "type": "user" });
    assert!(Search::resources(&body(resources)).is_err());
    let mut actions = question();
    actions["action"] = json!(7);
    assert!(Search::actions(&body(actions)).is_ok());
    for part in ["subject", "resource"] {
        let parts = without(&format!("/{part}"));
        assert!(Search::actions(&parts).is_err());
        assert!(Search::subjects(&parts).is_err());
        assert!(Search::resources(&parts).is_err());
    }
}

#[test]
fn pages_are_read() {
    let page = |page: Value| Search::actions(&with("/page", page)).map(|search| search.page);
    let wanted = |token: Option<&str>, limit| PageRequest {
        token: token.map(str::to_owned),
        limit,
        properties: None,
    };
    assert_eq!(page(json!(null)), Ok(None));
    assert_eq!(page(json!({})), Ok(Some(wanted(None, None))));
    assert_eq!(page(json!({ "token": "" , "x": 1 })), Ok(Some(wanted(None, None))));
    assert_eq!(
        page(json!({ "token": "t", "limit": 0 })),
        Ok(Some(wanted(Some("t"), Some(0))))
    );
    assert_eq!(page(json!({ "limit": 10.0 })), Ok(Some(wanted(None, Some(10)))));
    for wrong in [
        json!([]),
        json!({ "token": 1 }),
        json!({ "limit": -1 }),
        json!({ "limit": 1.5 }),
        json!({ "limit": "1" }),
        json!({ "limit": 1e300 }),
        json!({ "properties": 1 }),
    ] {
        assert!(page(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn the_order_of_members_makes_no_other_search() {
    let canonical = |text: &str| Search::actions(text.as_bytes()).unwrap().canonical();
    let one = r#"{"subject":{"type":"u","id":"a","properties":{"x":[1,{"p":1,"q":2}],"y":"z"}},"resource":{"type":"r","id":"1"}}"#;
    let same = r#"{"resource":{"id":"1","type":"r"},"page":{"limit":3,"token":"t"},"subject":{"properties":{"y":"z","x":[1,{"q":2,"p":1}]},"id":"a","type":"u"}}"#;
    assert_eq!(canonical(one), canonical(same));
    for other in [
        one.replace("\"z\"", "\"zz\""),
        one.replace("[1,", "[2,"),
        one.replace("\"type\":\"u\",\"id\":\"a\"", "\"type\":\"a\",\"id\":\"u\""),
        one.replace("{\"subject\"", "{\"context\":{},\"subject\""),
        one.replace("{\"subject\"", "{\"page\":{\"properties\":{}},\"subject\""),
    ] {
        assert_ne!(canonical(one), canonical(&other), "{other}");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_the_parsers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Evaluation::parse(&bytes);
        let _ = Evaluations::parse(&bytes, 10);
        let _ = Search::subjects(&bytes);
    }

    /// Anything in the free places is kept as it is, as far as `serde_json` keeps it.
    #[test]
    fn free_values_are_kept(text in ".*", number in any::<i64>(), float in any::<i16>()) {
        let context = json!({ "text": text, "number": number, "float": f64::from(float) / 8.0, "null": null, "list": [[], {}] });
        let read = Evaluation::parse(&with("/context", context.clone())).unwrap();
        prop_assert_eq!(Value::Object((*read.context.unwrap()).clone()), context);
    }
}
