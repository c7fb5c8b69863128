//! Who may ask, what goes wrong, and what is told.

use data_encoding::BASE64;
use http::Request;
use serde_json::{Value, json};

use super::Pdp;

fn question(subject: &str, action: &str, resource: &str) -> Value {
    json!({ "subject": { "type": "user", "id": subject }, "action": { "name": action },
        "resource": { "type": "record", "id": resource } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_enforcement_points_are_answered() {
    let pdp = Pdp::start().await;
    let url = format!("{}/access/v1/evaluation", pdp.world.agents_url());
    let body = question("alice", "read", "record-1").to_string();
    let agent = pdp.world.key("worker");
    let post = |authorization: Option<String>| {
        let mut request = Request::post(&url).header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        pdp.send(request.header("x-request-id", "r-1"), body.clone())
    };
    for authorization in [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer bwp_nonsense".to_owned()),
        Some(format!("Bearer {agent}")),
        Some(format!("Digest {}", pdp.key("default"))),
        Some("Basic !".to_owned()),
    ] {
        let reply = post(authorization.clone()).await;
        assert_eq!(reply.status, 401, "{authorization:?}");
        assert_eq!(reply.json()["error"], "unauthenticated");
        assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 2);
        assert_eq!(reply.header("x-request-id"), "r-1");
    }
    post(Some(format!("Bearer {}", pdp.key("default")))).await.is(200);
    let basic = BASE64.encode(format!("anything:{}", pdp.key("default")).as_bytes());
    post(Some(format!("Basic {basic}"))).await.is(200);
    // Whose policies decide, the credential says: this tenant knows no records.
    let reply = post(Some(format!("Bearer {}", pdp.key("todo")))).await.is(200);
    assert_eq!(reply.text(), "{\"decision\":false}");
    // The credential of an enforcement point opens nothing else.
    let chat = pdp
        .world
        .chat(pdp.key("default"), &crate::harness::chat("gpt-4o-mini"))
        .await;
    assert_eq!(chat.status, 401);
    assert!(chat.text().contains("enforcement point"), "{}", chat.text());
    let issued = pdp.world.run(&["key", "issue", "suite"]).exits(1);
    assert!(
        issued.stderr.contains("bailiwick key issue --pep suite"),
        "{}",
        issued.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_manifest_does_not_name_may_not_be_asked() {
    let pdp = Pdp::start().await;
    pdp.world
        .edit("governance/rules/suite.yaml", "[evaluate, search]", "[search]");
    pdp.world.run(&["apply"]).exits(0);
    let reply = pdp
        .ask("default", "evaluation", &question("alice", "read", "record-1"))
        .await
        .is(403);
    assert_eq!(reply.json()["error"], "forbidden");
    let search = json!({ "subject": { "type": "user" }, "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" } });
    pdp.ask("default", "search/subject", &search).await.is(200);
    // Without its manifest it is nobody.
    std::fs::remove_file(pdp.world.path().join("governance/rules/suite.yaml")).unwrap();
    pdp.world.run(&["apply"]).exits(0);
    pdp.ask("default", "search/subject", &search).await.is(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_credential_asks_nothing() {
    let pdp = Pdp::start().await;
    let listed = pdp.world.json(&["key", "list", "--pep", "suite"]);
    let all = listed["pep_keys"].as_array().unwrap();
    let id = all.iter().find(|key| key["tenant"] == "default").unwrap()["id"]
        .as_str()
        .unwrap();
    let body = question("alice", "read", "record-1");
    pdp.ask("default", "evaluation", &body).await.is(200);
    pdp.world.run(&["key", "revoke", id]).exits(0);
    pdp.ask("default", "evaluation", &body).await.is(401);
}

/// The table of section 10.1.2, and what it does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_has_its_status() {
    let pdp = Pdp::with("[authzen]\nrequest_size = \"2KiB\"\nmax_evaluations = 2\n", "").await;
    let good = question("alice", "read", "record-1").to_string();
    let long = format!("{{\"context\":{{\"a\":\"{}\"}},{}", "x".repeat(3_000), &good[1..]);
    let deep = format!(
        "{{\"context\":{{\"a\":{}{}}},{}",
        "[".repeat(40),
        "]".repeat(40),
        &good[1..]
    );
    let twice = format!("{{\"subject\":1,{}", &good[1..]);
    let batch = json!({ "evaluations": [{}, {}, {}] }).to_string();
    for (endpoint, body, status, code) in [
        ("evaluation", long, 413, "too_large"),
        ("evaluation", deep, 400, "invalid_request"),
        ("evaluation", twice, 400, "invalid_request"),
        ("evaluation", "[]".to_owned(), 400, "invalid_request"),
        ("evaluations", batch, 400, "invalid_request"),
        ("evaluate", good.clone(), 404, "not_found"),
        ("", good.clone(), 404, "not_found"),
    ] {
        let reply = pdp.send(pdp.request("default", endpoint), body).await.is(status);
        assert_eq!(reply.json()["error"], code);
        assert!(reply.json()["message"].is_string());
    }
    for method in ["GET", "PUT", "DELETE"] {
        let reply = pdp
            .send(pdp.request("default", "evaluation").method(method), good.clone())
            .await
            .is(405);
        assert_eq!(reply.header("allow"), "POST");
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let mut request = pdp.request("default", "evaluation");
        request
            .headers_mut()
            .unwrap()
            .insert("content-type", kind.parse().unwrap());
        pdp.send(request, good.clone()).await.is(200);
    }
    for kind in ["text/plain", "application/json; charset=latin1", "application/jsonp"] {
        let mut request = pdp.request("default", "evaluation");
        request
            .headers_mut()
            .unwrap()
            .insert("content-type", kind.parse().unwrap());
        pdp.send(request, good.clone()).await.is(400);
    }
    let encoded = pdp.request("default", "evaluation").header("content-encoding", "gzip");
    pdp.send(encoded, good.clone()).await.is(400);
    // Whatever is not known here is denied, and no error.
    for body in [
        question("nobody", "read", "record-1"),
        question("alice", "fly", "record-1"),
        json!({ "subject": { "type": "a b", "id": "\u{0}" }, "action": { "name": "" }, "resource": { "type": "", "id": "" } }),
    ] {
        let reply = pdp.ask("default", "evaluation", &body).await.is(200);
        assert_eq!(reply.text(), "{\"decision\":false}", "{body}");
        assert!(!reply.header("bailiwick-decision-id").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_are_told_to_those_who_are_to_be_told() {
    let pdp = Pdp::with("", "reasons: [user, admin]\n").await;
    let reply = pdp
        .ask("default", "evaluation", &question("alice", "write", "record-2"))
        .await
        .is(200);
    let expected = json!({ "decision": false, "context": {
        "code": "forbidden",
        "reason_user": { "403": "What is archived stays as it is." },
        "reason_admin": { "403": "Only administrators write to archived records." },
        "policies": ["rule-5"],
    } });
    assert_eq!(reply.json(), expected);
    let unknown = pdp
        .ask("default", "evaluation", &question("alice", "fly", "record-2"))
        .await
        .json();
    assert_eq!(
        unknown,
        json!({ "decision": false, "context": { "code": "unknown_action" } })
    );
    let batch = json!({ "evaluations": [{}] });
    let item = pdp.ask("default", "evaluations", &batch).await.json()["evaluations"][0].clone();
    assert_eq!(item["context"]["code"], "incomplete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybody_may_ask_on_one_machine() {
    let pdp = Pdp::with("[authzen]\nallow_unauthenticated = true\nrecord = \"buffered\"\n", "").await;
    let url = format!("{}/access/v1/evaluation", pdp.world.agents_url());
    let body = question("alice", "read", "record-1").to_string();
    let anybody = || Request::post(&url).header("content-type", "application/json");
    assert_eq!(
        pdp.send(anybody(), body.clone()).await.is(200).text(),
        "{\"decision\":true}"
    );
    // Who says who they are is held to it.
    pdp.send(anybody().header("authorization", "Bearer bwp_x"), body)
        .await
        .is(401);
}

/// Each call is an entry, and says nothing of people.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_stands_in_the_log() {
    let pdp = Pdp::start().await;
    let reply = pdp
        .ask("default", "evaluation", &question("alice", "read", "record-1"))
        .await
        .is(200);
    let id = reply.header("bailiwick-decision-id").to_owned();
    let batch = json!({ "subject": { "type": "user", "id": "alice" }, "resource": { "type": "record", "id": "record-1" },
        "evaluations": [{ "action": { "name": "read" } }, {}] });
    pdp.ask("default", "evaluations", &batch).await.is(200);
    pdp.ask("default", "evaluation", &json!({})).await.is(400);
    let shown = pdp.world.run(&["audit", "show", &id]).exits(0);
    assert!(shown.stdout.contains("decided at"), "{}", shown.stdout);
    insta::assert_snapshot!("trace", crate::searching::trace(&pdp.world, &id));
    let decided = pdp.decided();
    assert_eq!(decided.len(), 2);
    assert_eq!(
        (decided[0].id.to_string(), decided[0].seq, decided[1].seq),
        (id.clone(), 1, 2)
    );
    let item = &decided[0].items[0];
    assert_eq!(
        (item.code.as_str(), item.policies.as_slice()),
        ("permitted", &["rule-1".to_owned()][..])
    );
    let alice = item.subject.as_ref().unwrap().id.as_deref().unwrap();
    assert_ne!(alice, "alice");
    let (alice, subject) = (format!("pseudonym:{alice}"), format!("user/{alice}"));
    for filter in [
        ["--user", &alice],
        ["--subject", &subject],
        ["--resource", "record/record-1"],
        ["--action", &id],
        ["--pep", "suite"],
    ] {
        let found = pdp.world.json(&[
            "audit",
            "search",
            "--kind",
            "decided",
            "--oldest-first",
            filter[0],
            filter[1],
        ]);
        assert_eq!(found["entries"][0]["entry"]["event"]["decided"]["id"], id, "{filter:?}");
    }
    assert_eq!(item.resource.as_ref().unwrap().id.as_deref(), Some("record-1"));
    assert_eq!(decided[1].items[1].code, "incomplete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_is_signed() {
    let pdp = Pdp::with("[authzen]\npublic_url = \"https://pdp.acme.example\"\n", "").await;
    for (tenant, identifier) in [
        ("", "https://pdp.acme.example"),
        ("/todo", "https://pdp.acme.example/todo"),
    ] {
        let reply = pdp
            .get(&format!("/.well-known/authzen-configuration{tenant}"))
            .await
            .is(200);
        assert_eq!(reply.header("cache-control"), "public, max-age=3600");
        let metadata = reply.json();
        assert_eq!(metadata["policy_decision_point"], identifier);
        assert_eq!(
            metadata["access_evaluation_endpoint"],
            "https://pdp.acme.example/access/v1/evaluation"
        );
        let keys = pdp.get(&format!("/.well-known/jwks.json{tenant}")).await.is(200).json();
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).unwrap();
        let [key] = keys.keys.as_slice() else { panic!("one key") };
        let signed = metadata["signed_metadata"].as_str().unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        validation.set_issuer(&[identifier]);
        validation.validate_nbf = true;
        let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
        let claims = jsonwebtoken::decode::<Value>(signed, &key, &validation).unwrap().claims;
        assert!(claims["iat"].is_number() && claims.get("signed_metadata").is_none());
        assert_eq!(claims["search_action_endpoint"], metadata["search_action_endpoint"]);
    }
    for path in [
        "authzen-configuration/nobody",
        "authzen-configuration/",
        "jwks.json/nobody",
        "other",
    ] {
        pdp.get(&format!("/.well-known/{path}")).await.is(404);
    }
    let private = pdp.world.data().join("keys/authzen.todo.seed");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(private).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
