//! How much an answer says, and what it is billed at: limits, and the words of a script about both.

use fake::Billed;
use serde_json::{Value, json};

use crate::support::{Bench, CHAT, MESSAGES, hello, with};

/// A row: a script, the request's output limit, and what is billed: input, cache read, cache write, output, reasoning.
type Row = (&'static str, u64, [u64; 5]);

/// Asks in both dialects, as a document and as a stream, and compares what is billed and why the answer ends.
async fn check(finish: [&str; 2], rows: &[Row]) {
    let bench = Bench::start().await;
    for (script, limit, [input, cache_read, cache_write, output, reasoning]) in rows.iter().copied() {
        for (path, finish) in [(CHAT, finish[0]), (MESSAGES, finish[1])] {
            for stream in [false, true] {
                let body = with(hello(stream), &json!({"max_tokens": limit}));
                let reply = bench.ask(path, script, &body).await;
                let text = str::from_utf8(&reply.body).unwrap();
                assert!(text.contains(&format!("_reason\":\"{finish}\"")), "{script}: {text}");
                let expected = Billed {
                    input,
                    cache_read,
                    cache_write,
                    cache_write_1h: 0,
                    output,
                    reasoning,
                    ..Billed::default()
                };
                let seen = bench.last().await;
                assert_eq!(
                    seen.billed, expected,
                    "{script}, at most {limit}, {path}, stream: {stream}"
                );
            }
        }
    }
}

#[tokio::test]
async fn limits_and_scripts_set_the_bill() {
    let stop = [
        ("", 100, [15, 0, 0, 40, 0]),
        ("", 40, [15, 0, 0, 40, 0]),
        ("output=500", 7, [15, 0, 0, 500, 0]),
        ("usage-output=500", 100, [15, 0, 0, 500, 0]),
        ("usage-input=500", 100, [500, 0, 0, 40, 0]),
        ("reasoning=20", 100, [15, 0, 0, 60, 20]),
        ("cached=10", 100, [5, 10, 0, 40, 0]),
        ("cached=5; cache-write=6", 100, [4, 5, 6, 40, 0]),
        ("cached=100; cache-write=9", 100, [0, 15, 0, 40, 0]),
    ];
    check(["stop", "end_turn"], &stop).await;
    let length = [
        ("", 7, [15, 0, 0, 7, 0]),
        ("reasoning=20", 25, [15, 0, 0, 25, 20]),
        ("reasoning=20", 5, [15, 0, 0, 5, 5]),
    ];
    check(["length", "max_tokens"], &length).await;
}

#[tokio::test]
async fn all_choices_are_billed() {
    let bench = Bench::start().await;
    let limits = json!({"n": 3, "max_completion_tokens": 4, "max_tokens": 50});
    let body = bench
        .ask(CHAT, "reasoning=1", &with(hello(false), &limits))
        .await
        .json();
    assert_eq!(body["choices"].as_array().unwrap().len(), 3);
    assert_eq!(body["usage"]["completion_tokens"], 12);
    assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 3);
    assert_eq!(body["usage"]["prompt_tokens"], 15);
}

#[tokio::test]
async fn deltas_have_the_size_asked_for() {
    let bench = Bench::start().await;
    let lengths = |chunks: &[Value]| -> Vec<usize> {
        chunks
            .iter()
            .filter_map(|chunk| chunk["delta"]["text"].as_str())
            .map(str::len)
            .collect()
    };
    let large = with(hello(true), &json!({"max_tokens": 100_000}));
    let chunks = bench.ask(MESSAGES, "bytes=1000; events=4", &large).await.chunks();
    assert_eq!(lengths(&chunks), [1000; 4]);
    let chunks = bench.ask(MESSAGES, "output=9; events=3", &hello(true)).await.chunks();
    assert_eq!(lengths(&chunks).len(), 3);
    let huge = with(hello(true), &json!({"max_tokens": 10_000_000}));
    let chunks = bench.ask(MESSAGES, "bytes=3000000; events=2", &huge).await.chunks();
    assert_eq!(lengths(&chunks), [3_000_000; 2]);
}

#[tokio::test]
async fn the_model_named_can_differ_from_the_one_asked_for() {
    let bench = Bench::start().await;
    let body = bench.ask(CHAT, r#"model=dated "name""#, &hello(false)).await.json();
    assert_eq!(body["model"], r#"dated "name""#);
    assert_eq!(bench.last().await.model, "some-model");
}
