//! Answers that are errors.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fake::{Config, Finished, UNKNOWN_MODEL};
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::support::{Bench, CHAT, MESSAGES, hello, with};

#[tokio::test]
async fn a_wrong_key_is_refused_and_never_repeated() {
    let bench = Bench::with(Config {
        expect_key: Some("sk-right".to_owned()),
        ..Config::default()
    })
    .await;
    let table = [
        (CHAT, "authorization", "Bearer sk-right", 200, ""),
        (MESSAGES, "x-api-key", "sk-right", 200, ""),
        (MESSAGES, "authorization", "Bearer sk-right", 200, ""),
        (CHAT, "authorization", "Bearer sk-wrong", 401, "invalid_api_key"),
        (CHAT, "accept", "*/*", 401, "You didn't provide an API key"),
        (MESSAGES, "x-api-key", "sk-wrong", 401, "authentication_error"),
    ];
    for (path, name, value, status, part) in table {
        let request = Request::post(bench.provider.url() + path).header(name, value);
        let reply = bench
            .send(request.body(Full::from(hello(false).to_string())).unwrap())
            .await;
        assert_eq!(reply.status, status, "{path} {name}");
        let text = str::from_utf8(&reply.body).unwrap();
        assert!(text.contains(part) && !text.contains("sk-"), "{text}");
        let seen = bench.last().await;
        assert_eq!(seen.status, Some(status));
        assert_eq!(
            seen.credential.as_deref(),
            value.contains("sk-").then(|| value.trim_start_matches("Bearer "))
        );
        assert!(!format!("{seen:?} {:?}", bench.calls).contains("sk-"));
    }
    assert!(
        !format!(
            "{:?}",
            Config {
                expect_key: Some("sk-right".to_owned()),
                ..Config::default()
            }
        )
        .contains("sk-")
    );
}

#[tokio::test]
async fn azure_wants_its_own_header_and_version() {
    let bench = Bench::with(Config {
        expect_key: Some("sk-right".to_owned()),
        ..Config::default()
    })
    .await;
    let deployed = "/openai/deployments/dep/chat/completions";
    let with_version = |version: &str| format!("{deployed}?api-version={version}");
    for (path, name, value, status) in [
        (with_version("2024-10-21"), "api-key", "sk-right", 200),
        (with_version("2025-04-01-preview"), "api-key", "sk-right", 200),
        ("/openai/v1/chat/completions".to_owned(), "api-key", "sk-right", 200),
        (
            "/openai/responses?api-version=2025-04-01-preview".to_owned(),
            "api-key",
            "sk-right",
            400,
        ),
        (with_version("2024-10-21"), "api-key", "sk-wrong", 401),
        (with_version("2024-10-21"), "api-key", "", 401),
        (with_version("2024-10-21"), "authorization", "Bearer sk-right", 401),
        (deployed.to_owned(), "api-key", "sk-right", 404),
        (with_version("latest"), "api-key", "sk-right", 404),
        (
            with_version("2024-10-21&api-version=2024-10-21"),
            "api-key",
            "sk-right",
            404,
        ),
        (
            "/openai/v1/chat/completions?api-version=2024-10-21".to_owned(),
            "api-key",
            "sk-right",
            404,
        ),
        (
            "/openai/deployments/dep/files?api-version=2024-10-21".to_owned(),
            "api-key",
            "sk-right",
            404,
        ),
        (
            "/openai/chat/completions?api-version=2024-10-21".to_owned(),
            "api-key",
            "sk-right",
            404,
        ),
    ] {
        let request = Request::post(bench.provider.url() + &path).header(name, value);
        let reply = bench
            .send(request.body(Full::from(hello(false).to_string())).unwrap())
            .await;
        assert_eq!(reply.status, status, "{path} {name}: {value}");
        assert!(!str::from_utf8(&reply.body).unwrap().contains("sk-"));
    }
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_dialect() {
    let bench = Bench::start().await;
    let unknown = with(hello(false), &json!({"model": UNKNOWN_MODEL}));
    let body = bench.ask(CHAT, "", &unknown).await;
    assert_eq!(
        (body.status.as_u16(), &body.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    let body = bench.ask(MESSAGES, "", &unknown).await;
    let json = body.json();
    assert_eq!(
        (body.status.as_u16(), &json["error"]["type"]),
        (404, &json!("not_found_error"))
    );
    assert_eq!(json["request_id"], body.header("request-id"));

    for path in [CHAT, MESSAGES] {
        for bytes in [&b"{\"model\": "[..], b"\xff\xfe", b"[]", b""] {
            let request = Request::post(bench.provider.url() + path).body(Full::new(Bytes::copy_from_slice(bytes)));
            let reply = bench.send(request.unwrap()).await;
            assert_eq!(reply.status, 400);
            assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
            assert_eq!(bench.last().await.finished, Finished::Error);
        }
    }
    let reply = bench.ask(CHAT, "explode=1", &hello(false)).await;
    assert_eq!(reply.status, 400);
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("`explode`"));
    assert_eq!(bench.get(CHAT).await.status, 405);
    assert_eq!(
        bench.get("/v2/anything").await.json()["error"]["message"],
        "Invalid URL (GET /v2/anything)"
    );
}

#[tokio::test]
async fn a_script_sets_status_and_headers() {
    let bench = Bench::start().await;
    let reply = bench.ask(CHAT, "status=429; retry-after=2", &hello(true)).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "2"));
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");
    let reply = bench.ask(MESSAGES, "status=529", &hello(false)).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["error"]["type"]),
        (529, &json!("overloaded_error"))
    );
    let reply = bench
        .ask(MESSAGES, "status=502; content-type=text/html", &hello(false))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (502, "text/html")
    );
    assert!(reply.body.starts_with(b"<html>"));
    let reply = bench.ask(CHAT, "content-type=text/plain", &hello(false)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (200, "text/plain")
    );
    assert_eq!(reply.json()["object"], "chat.completion");
    let reply = bench
        .ask(CHAT, "status=307; location=http://elsewhere.example/", &hello(false))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (307, "http://elsewhere.example/")
    );
    assert_eq!(bench.last().await.billed, fake::Billed::default());
}

#[tokio::test]
async fn every_nth_call_fails() {
    let bench = Bench::with(Config {
        error_every: Some(3),
        ..Config::default()
    })
    .await;
    let mut statuses = vec![];
    for script in ["", "", "", "", "", "status=200", "", "", ""] {
        statuses.push(bench.ask(CHAT, script, &hello(false)).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 500, 200, 200, 200, 200, 200, 500]);
}

#[tokio::test]
async fn latency_and_chunk_delay_take_their_time() {
    let bench = Bench::with(Config {
        latency: Duration::from_millis(10),
        ..Config::default()
    })
    .await;
    let table = [
        ("", false, 10),
        ("latency=30ms", false, 30),
        ("latency=20ms; status=500", false, 20),
        ("events=4; chunk-delay=5ms", true, 10 + 5 * 6),
    ];
    for (script, stream, least) in table {
        let start = Instant::now();
        bench.ask(CHAT, script, &hello(stream)).await;
        assert!(start.elapsed() >= Duration::from_millis(least), "{script}");
    }
}
