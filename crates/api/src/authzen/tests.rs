//! The description says what there is, and nothing else.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::{Asked, OPENAPI_TEXT};
use crate::routes::routes;

fn described() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(OPENAPI_TEXT).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        methods
            .map(|method| (method.to_uppercase(), path.clone()))
            .collect::<Vec<_>>()
    });
    each.collect()
}

#[test]
fn what_is_described_is_answered_and_the_other_way_round() {
    let public = control::pdp_endpoints().into_iter().chain([("GET", super::OPENAPI)]);
    let described_here = |path: &str| path.starts_with("/api/v1/entities") || path.starts_with("/log/");
    let administrators = routes().into_iter().filter(|route| described_here(route.path));
    let administrators = administrators.map(|route| (route.method, route.path));
    // OpenAPI has no name for a rest of the path with slashes in it.
    let answered: BTreeSet<_> = public
        .clone()
        .chain(administrators)
        .map(|(method, path)| (method.to_owned(), path.replace("{*", "{")))
        .collect();
    assert_eq!(described(), answered);
    for (method, path) in public {
        let asked = Asked::at(&path.replace("{tenant}", "acme")).map(Asked::method);
        assert_eq!(asked, Some(Method::from_bytes(method.as_bytes()).unwrap()), "{path}");
    }
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(to)) => {
                    let pointer = to.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{to}");
                }
                _ => walk(value, document),
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(OPENAPI_TEXT).unwrap();
    walk(&document, &document);
}

#[test]
fn paths_that_only_look_like_ours_are_none() {
    for path in [
        "/access",
        "/access/v1",
        "/access/v1/evaluation/",
        "/access/v1/Evaluation",
        "/access/v1/search",
        "/.well-known/authzen-configuration/",
        "/.well-known/authzen-configuration/a/b",
        "/.well-known/authzen-configurations",
        "/.well-known/jwks.json/",
    ] {
        assert_eq!(Asked::at(path), None, "{path}");
    }
}
