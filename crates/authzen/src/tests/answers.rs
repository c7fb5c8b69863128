//! Answers are told byte by byte: enforcement points compare them so.

use serde_json::json;

use crate::{Answer, Decision, Found, Metadata, Obligation, Page, Reasons, error_body};

fn check(answer: &Answer, expected: &str) {
    assert_eq!(String::from_utf8(answer.to_json()).unwrap(), expected);
}

#[test]
fn answers_have_nothing_that_nobody_asked_for() {
    check(&Answer::One(Decision::bare(true)), r#"{"decision":true}"#);
    check(&Answer::One(Decision::bare(false)), r#"{"decision":false}"#);
    let many = Answer::Many(vec![Decision::bare(true), Decision::bare(false)]);
    check(&many, r#"{"evaluations":[{"decision":true},{"decision":false}]}"#);
}

#[test]
fn a_decision_says_why_and_what_else_is_to_be_done() {
    let reasons = Reasons {
        code: Some("forbidden"),
        user: Some("Not on Sundays.".to_owned()),
        admin: None,
        policies: vec!["sundays".to_owned()],
    };
    let obligation = Obligation {
        id: "sundays-1".to_owned(),
        kind: "notification".to_owned(),
        properties: json!({ "to": "ops@acme.example" }).as_object().unwrap().clone(),
    };
    let decision = Decision::bare(false).because(reasons).obliging(vec![obligation]);
    check(
        &Answer::One(decision),
        "{\"decision\":false,\"context\":{\"code\":\"forbidden\",\"reason_user\":{\"403\":\"Not on Sundays.\"},\
         \"policies\":[\"sundays\"],\"obligations\":[{\"id\":\"sundays-1\",\"type\":\"notification\",\
         \"properties\":{\"to\":\"ops@acme.example\"}}]}}",
    );
    let approval = Decision::bare(false).needs_approval(Some("refund"));
    check(
        &Answer::One(approval),
        r#"{"decision":false,"context":{"approval_required":true,"template":"refund"}}"#,
    );
}

#[test]
fn results_stand_behind_their_page() {
    let page = Page {
        next_token: String::new(),
        count: 1,
    };
    let found = Found::Entities {
        kind: "user".to_owned(),
        ids: vec!["a\"b".to_owned()],
    };
    let search = |page, found| Answer::Search { page, found };
    check(
        &search(Some(page), found.clone()),
        r#"{"page":{"next_token":"","count":1},"results":[{"type":"user","id":"a\"b"}]}"#,
    );
    check(&search(None, found), r#"{"results":[{"type":"user","id":"a\"b"}]}"#);
    let actions = Found::Actions(vec!["read".to_owned()]);
    check(&search(None, actions), r#"{"results":[{"name":"read"}]}"#);
    check(&search(None, Found::Actions(Vec::new())), r#"{"results":[]}"#);
}

#[test]
fn metadata_has_no_empty_members() {
    let metadata = Metadata::of("https://pdp.example/acme", "https://pdp.example");
    let text = serde_json::to_string(&metadata).unwrap();
    assert_eq!(
        text,
        "{\"policy_decision_point\":\"https://pdp.example/acme\",\
         \"access_evaluation_endpoint\":\"https://pdp.example/access/v1/evaluation\",\
         \"access_evaluations_endpoint\":\"https://pdp.example/access/v1/evaluations\",\
         \"search_subject_endpoint\":\"https://pdp.example/access/v1/search/subject\",\
         \"search_resource_endpoint\":\"https://pdp.example/access/v1/search/resource\",\
         \"search_action_endpoint\":\"https://pdp.example/access/v1/search/action\"}"
    );
}

#[test]
fn errors_are_objects() {
    let body = error_body("invalid_request", "`subject` is missing");
    assert_eq!(body, br#"{"error":"invalid_request","message":"`subject` is missing"}"#);
}
