//! The record of the calls, in process and over HTTP.

use fake::{Count, SCRIPT_HEADER};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{Bench, CHAT, MESSAGES, hello, soon, with};

#[tokio::test]
async fn calls_are_remembered_as_they_came() {
    let bench = Bench::start().await;
    let body = with(hello(true), &json!({"unknown": [1.50, "\u{e9}"]}));
    let mut request = bench.post(&format!("{CHAT}?q=1"), "output=3", &body);
    request
        .headers_mut()
        .insert("authorization", "Bearer key-1".parse().unwrap());
    request.headers_mut().insert("x-other", "a, b".parse().unwrap());
    bench.send(request).await;
    let seen = bench.calls.snapshot().pop().unwrap();
    assert_eq!(
        (seen.number, seen.method.as_str(), seen.path.as_str()),
        (1, "POST", "/v1/chat/completions?q=1")
    );
    assert_eq!(
        (seen.model.as_str(), seen.stream, seen.trimmed),
        ("some-model", true, false)
    );
    assert_eq!(seen.body, body.to_string());
    assert_eq!(seen.body_bytes, u64::try_from(seen.body.len()).unwrap());
    assert_eq!(seen.credential.as_deref(), Some("key-1"));
    for (name, value) in [
        (SCRIPT_HEADER, "output=3"),
        ("x-other", "a, b"),
        ("content-type", "application/json"),
    ] {
        assert!(seen.headers.iter().any(|(n, v)| n == name && v == value), "{name}");
    }
    assert!(seen.at_micros > 1_700_000_000_000_000);
}

#[tokio::test]
async fn waiting_for_calls_needs_no_sleep() {
    let bench = Bench::start().await;
    let hung = bench.open(bench.post(CHAT, "hang", &hello(false)));
    let others = async {
        bench.calls.wait_for(1).await;
        bench.ask(MESSAGES, "", &hello(false)).await;
        bench.calls.wait_for(2).await;
        bench.calls.wait_finished(1).await;
        bench.calls.count()
    };
    tokio::select! {
        _ = hung => unreachable!("a call that hangs was answered"),
        count = soon(others) => assert_eq!(count, Count { received: 2, finished: 1 }),
    }
}

#[tokio::test]
async fn another_process_can_read_the_record() {
    let bench = Bench::start().await;
    bench.ask(CHAT, "cached=4", &hello(false)).await;
    bench.ask(MESSAGES, "cut-after=2", &hello(true)).await;
    let count = bench.get("/_fake/count?finished=2").await.json();
    assert_eq!(count, json!({"received": 2, "finished": 2}));
    let calls = bench.get("/_fake/calls").await.json();
    // What is zero is left out.
    assert_eq!(calls[0]["billed"], json!({"input": 11, "cache_read": 4, "output": 40}));
    assert_eq!(
        (&calls[0]["finished"], &calls[0]["status"]),
        (&json!("completed"), &json!(200))
    );
    assert_eq!(
        (&calls[1]["finished"], &calls[1]["delivered_events"]),
        (&json!("cut"), &json!(2))
    );
    let headers: Vec<(String, String)> = serde_json::from_value(calls[0]["headers"].clone()).unwrap();
    assert!(headers.contains(&("fake-script".to_owned(), "cached=4".to_owned())));
    let later: Vec<Value> = serde_json::from_value(bench.get("/_fake/calls?after=1").await.json()).unwrap();
    assert_eq!(later, [calls[1].clone()]);
    assert_eq!(
        bench.get("/_fake/body/1").await.body,
        hello(false).to_string().as_bytes()
    );
    assert_eq!(bench.get("/_fake/body/3").await.status, 404);
    assert_eq!(bench.get("/_fake/nothing").await.status, 404);

    let reset = Request::post(bench.provider.url() + "/_fake/reset")
        .body(Full::default())
        .unwrap();
    assert_eq!(bench.send(reset).await.json(), json!({"received": 0, "finished": 0}));
    assert!(bench.calls.snapshot().is_empty());
    bench.ask(CHAT, "", &hello(false)).await;
    assert_eq!(
        bench.calls.count(),
        Count {
            received: 1,
            finished: 1
        }
    );
}

#[tokio::test]
async fn a_waiting_count_answers_when_the_calls_have_come() {
    let bench = Bench::start().await;
    let (count, _) = tokio::join!(soon(bench.get("/_fake/count?received=2")), async {
        for _ in 0..2 {
            bench.ask(CHAT, "", &hello(false)).await;
        }
    });
    assert_eq!(count.json()["received"], 2);
}

#[tokio::test]
async fn identifiers_differ_between_calls() {
    let bench = Bench::start().await;
    let (one, two) = (
        bench.ask(CHAT, "", &hello(false)).await,
        bench.ask(CHAT, "", &hello(false)).await,
    );
    assert_ne!(one.json()["id"], two.json()["id"]);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}
