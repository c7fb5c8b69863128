//! What holds for every request.

use axum::body::Body;
use entry::Role;
use http::{Request, header};
use serde_json::{Value, json};

use super::world::{LOCAL, World};

const OWNER: Option<Role> = Some(Role::Owner);

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let world = World::new().await;
    for (host, status) in [
        (LOCAL, 200),
        ("localhost:7401", 200),
        ("[::1]", 200),
        ("rebound.example:7401", 421),
        ("192.168.0.1:7401", 421),
    ] {
        let request = Request::builder().uri("/metrics").header(header::HOST, host);
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{host}");
    }
    let nameless = Request::builder().uri("/healthz").body(Body::empty()).unwrap();
    let answer = world.send(nameless).await;
    assert_eq!((answer.status, answer.code()), (421, "wrong_host".to_owned()));
    let absolute = Request::builder()
        .uri("http://rebound.example/healthz")
        .header(header::HOST, LOCAL);
    assert_eq!(world.send(absolute.body(Body::empty()).unwrap()).await.status, 421);
}

#[tokio::test]
async fn on_a_public_address_metrics_need_a_credential_and_any_host_is_right() {
    let world = World::at("10.0.0.7:7401".parse().unwrap()).await;
    let request = |credential: Option<&str>| {
        let request = Request::builder()
            .uri("/metrics")
            .header(header::HOST, "bailiwick.acme.example");
        let request = match credential {
            Some(credential) => request.header(header::AUTHORIZATION, format!("Bearer {credential}")),
            None => request,
        };
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(world.send(request(None)).await.code(), "unauthenticated");
    let answer = world.send(request(Some(&world.credentials[&Role::Viewer]))).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("bailiwick_ready 1"), "{}", answer.text);
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let world = World::new().await;
    for path in ["/healthz", "/api/v1/agents", "/nowhere"] {
        let answer = world.ask(None, "GET", path, Value::Null).await;
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(answer.headers[header::CONTENT_SECURITY_POLICY], policy, "{path}");
    }
}

#[tokio::test]
async fn mistakes_are_told() {
    let world = World::new().await;
    let check = async |method: &str, path: &str, body: Value, status: u16, code: &str| {
        let answer = world.ask(OWNER, method, path, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path}"
        );
        answer
    };
    check("GET", "/", Value::Null, 404, "not_found").await;
    check("GET", "/api/v2/agents", Value::Null, 404, "not_found").await;
    let answer = check("PUT", "/api/v1/keys", Value::Null, 405, "method_not_allowed").await;
    let allowed = answer.headers[header::ALLOW].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    check("POST", "/api/v1/keys", Value::Null, 415, "not_json").await;
    check("POST", "/api/v1/keys", json!({ "agent": "nobody" }), 404, "not_found").await;
    check("POST", "/api/v1/keys", json!({ "agnet": "reader" }), 422, "invalid").await;
    check("POST", "/api/v1/keys", json!({ "agent": "Not A Name" }), 422, "invalid").await;
    check(
        "POST",
        "/api/v1/keys",
        json!({ "agent": "reader", "expires": "soon" }),
        422,
        "invalid",
    )
    .await;
    check(
        "POST",
        "/api/v1/keys",
        json!({ "agent": "reader", "upstreams": ["x"] }),
        404,
        "not_found",
    )
    .await;
    let long = json!({ "agent": "reader", "label": "x".repeat(70_000) });
    check("POST", "/api/v1/keys", long, 413, "too_large").await;
    check(
        "DELETE",
        "/api/v1/keys/NOT%20A%20NAME",
        Value::Null,
        400,
        "malformed_request",
    )
    .await;
    check("GET", "/api/v1/audit/first", Value::Null, 400, "malformed_request").await;
    check("GET", "/api/v1/audit/4000", Value::Null, 404, "not_found").await;
    check("GET", "/api/v1/audit?form=1", Value::Null, 400, "malformed_request").await;
    check("GET", "/api/v1/audit?tenant=nobody", Value::Null, 404, "not_found").await;
    check(
        "GET",
        "/api/v1/audit/wait?after=0&tenant=nobody",
        Value::Null,
        404,
        "not_found",
    )
    .await;
    let request = world
        .request(OWNER, "POST", "/api/v1/keys")
        .header(header::CONTENT_TYPE, "application/json");
    let answer = world.send(request.body(Body::from("{\"agent\":")).unwrap()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_request"));
}
