//! Entities that administrators store, and what that changes.

use http::Method;
use serde_json::json;

use super::Pdp;

const JSON: (&str, &str) = ("content-type", "application/json");
const CAROL: &str = "/api/v1/entities/user/carol";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_decides_at_once_and_stays() {
    let mut pdp = Pdp::start().await;
    let question = json!({ "subject": { "type": "user", "id": "carol" }, "action": { "name": "write" },
        "resource": { "type": "record", "id": "record-2" } });
    let decision =
        async |pdp: &Pdp| pdp.ask("default", "evaluation", &question).await.is(200).json()["decision"].clone();
    assert_eq!(decision(&pdp).await, false);
    let carol = json!({ "attrs": { "role": "admin" }, "parents": [] }).to_string();
    let put = pdp
        .admin(
            Method::PUT,
            &format!("{CAROL}?note=hired"),
            &[JSON, ("if-none-match", "*")],
            &carol,
        )
        .await
        .is(204);
    assert_eq!(put.header("etag"), "\"v1\"");
    assert_eq!(decision(&pdp).await, true);
    let again = pdp
        .admin(Method::PUT, CAROL, &[JSON, ("if-none-match", "*")], &carol)
        .await
        .is(412);
    assert_eq!(again.json()["code"], "precondition_failed");
    pdp.world.restart();
    assert_eq!(decision(&pdp).await, true);
    let patch = json!([{ "op": "replace", "path": "/attrs/role", "value": "clerk" }]).to_string();
    let kind = ("content-type", "application/json-patch+json");
    pdp.admin(Method::PATCH, CAROL, &[kind, ("if-match", "\"v7\"")], &patch)
        .await
        .is(412);
    // An ETag that nothing here ever had, and what is none.
    pdp.admin(Method::PATCH, CAROL, &[kind, ("if-match", "\"nope\"")], &patch)
        .await
        .is(412);
    pdp.admin(Method::PATCH, CAROL, &[kind, ("if-match", "nope")], &patch)
        .await
        .is(400);
    pdp.admin(Method::PATCH, CAROL, &[kind, ("if-match", "\"v1\"")], &patch)
        .await
        .is(204);
    assert_eq!(decision(&pdp).await, false);
    let shown = pdp.admin(Method::GET, CAROL, &[], "").await.is(200);
    assert_eq!(
        (shown.header("etag"), &shown.json()["attrs"]),
        ("\"v2\"", &json!({ "role": "clerk" }))
    );
    pdp.admin(Method::PATCH, CAROL, &[kind], "[{\"op\":\"remove\",\"path\":\"/x\"}]")
        .await
        .is(409);
    pdp.admin(Method::PATCH, CAROL, &[JSON], &patch).await.is(415);
    let wrong = json!({ "attrs": { "role": 7 } }).to_string();
    pdp.admin(Method::PUT, CAROL, &[JSON], &wrong).await.is(422);
    pdp.admin(Method::DELETE, CAROL, &[], "").await.is(204);
    pdp.admin(Method::GET, CAROL, &[], "").await.is(404);
    pdp.admin(Method::DELETE, CAROL, &[], "").await.is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_changed_together_or_none() {
    let pdp = Pdp::start().await;
    let put = |id: &str, role: serde_json::Value| json!({ "put": { "uid": { "type": "user", "id": id }, "attrs": { "role": role }, "parents": [] } });
    let bulk = "/api/v1/entities/bulk";
    let lines: String = (0..250)
        .map(|n| format!("{}\n", put(&format!("u{n:03}"), json!("clerk"))))
        .collect();
    let done = pdp
        .admin(Method::POST, bulk, &[("content-type", "application/x-ndjson")], &lines)
        .await
        .is(200);
    assert_eq!(done.json(), json!({ "version": 1, "changed": 250 }));
    let wrong = json!([put("x", json!("clerk")), put("y", json!(1))]).to_string();
    pdp.admin(Method::POST, bulk, &[JSON], &wrong).await.is(422);
    let removed = json!([put("x", json!("clerk")), { "remove": { "type": "user", "id": "u000" } }]).to_string();
    pdp.admin(Method::POST, bulk, &[JSON], &removed).await.is(200);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/entities?type=user&limit=100{cursor}");
        let page = pdp.admin(Method::GET, &path, &[], "").await.is(200).json();
        let ids = page["entities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| found["entity"]["uid"]["id"].clone());
        seen.extend(ids);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), &seen[0], &seen[249]), (250, &json!("u001"), &json!("x")));
}
