//! The Anthropic dialect: documents and streams say the same.

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{Bench, MESSAGES, hello, with};

#[tokio::test]
async fn a_document_has_the_shape_of_the_real_one() {
    let bench = Bench::start().await;
    let reply = bench
        .ask(MESSAGES, "cached=2; cache-write=3; cache-write-1h=4", &hello(false))
        .await;
    let body = reply.json();
    assert_eq!(reply.status, 200);
    assert!(reply.header("request-id").starts_with("req_01"));
    assert!(reply.header("anthropic-ratelimit-requests-reset").ends_with('Z'));
    assert!(body["id"].as_str().unwrap().starts_with("msg_01"));
    let text = body["content"][0]["text"].clone();
    assert_eq!(text.as_str().unwrap().split_whitespace().count(), 40);
    let usage = json!({
        "input_tokens": 6, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 2,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
        "output_tokens": 40, "service_tier": "standard",
    });
    let expected = json!({
        "model": "some-model", "id": body["id"], "type": "message", "role": "assistant",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null, "usage": usage,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_stream_says_what_the_document_says() {
    let bench = Bench::start().await;
    for script in [
        "",
        "output=7; reasoning=3",
        "bytes=11",
        "cached=5; cache-write=4; usage-output=90",
        "output=0",
    ] {
        let document = bench.ask(MESSAGES, script, &hello(false)).await.json();
        let reply = bench.ask(MESSAGES, script, &hello(true)).await;
        assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
        let (events, chunks) = (reply.events(), reply.chunks());
        let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
        for (name, chunk) in names.iter().zip(&chunks) {
            assert_eq!(chunk["type"], *name);
        }
        let deltas = names.len() - 6;
        let before = ["message_start", "content_block_start", "ping"].into_iter();
        let after = ["content_block_stop", "message_delta", "message_stop"];
        assert_eq!(
            names,
            before
                .chain(vec!["content_block_delta"; deltas])
                .chain(after)
                .collect::<Vec<_>>()
        );
        let text: String = chunks
            .iter()
            .filter_map(|chunk| chunk["delta"]["text"].as_str())
            .collect();
        assert_eq!(document["content"][0]["text"], text);
        let (start, end) = (&chunks[0]["message"], &chunks[deltas + 4]);
        assert_eq!(start["usage"]["input_tokens"], document["usage"]["input_tokens"]);
        assert_eq!(start["content"], json!([]));
        let details = document["usage"].get("output_tokens_details");
        let reasoning = script.contains("reasoning").then(|| json!({"thinking_tokens": 3}));
        assert_eq!(details, reasoning.as_ref());
        let usage = end["usage"].as_object().unwrap();
        assert_eq!(usage.len(), 4 + usize::from(reasoning.is_some()));
        for (key, value) in usage {
            assert_eq!(*value, document["usage"][key], "{script}: {key}");
        }
        assert_eq!(
            end["delta"],
            json!({"stop_reason": document["stop_reason"], "stop_sequence": null})
        );
        let seen = bench.calls.snapshot();
        let (streamed, plain) = (&seen[seen.len() - 1], &seen[seen.len() - 2]);
        assert_eq!(streamed.billed, plain.billed);
        assert_eq!(streamed.delivered_events, u64::try_from(events.len()).unwrap());
    }
}

#[tokio::test]
async fn usage_can_be_left_out() {
    let bench = Bench::start().await;
    assert!(
        bench
            .ask(MESSAGES, "omit-usage", &hello(false))
            .await
            .json()
            .get("usage")
            .is_none()
    );
    let reply = bench.ask(MESSAGES, "omit-usage", &hello(true)).await;
    assert!(!str::from_utf8(&reply.body).unwrap().contains("usage"));
}

#[tokio::test]
async fn an_agent_loop_calls_one_tool_and_ends() {
    let bench = Bench::start().await;
    let tools = json!({"tools": [{"name": "read_file", "input_schema": {
        "type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}]});
    let body = bench.ask(MESSAGES, "", &with(hello(false), &tools)).await.json();
    assert_eq!(body["stop_reason"], "tool_use");
    let used = &body["content"][0];
    assert!(used["id"].as_str().unwrap().starts_with("toolu_01"));
    assert_eq!(
        (&used["name"], &used["input"]),
        (&json!("read_file"), &json!({"path": "example"}))
    );

    let chunks = bench.ask(MESSAGES, "", &with(hello(true), &tools)).await.chunks();
    assert_eq!(chunks[1]["content_block"]["input"], json!({}));
    let input: String = chunks
        .iter()
        .filter_map(|chunk| chunk["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(serde_json::from_str::<Value>(&input).unwrap(), used["input"]);
    assert_eq!(
        chunks[chunks.len() - 2]["usage"]["output_tokens"],
        body["usage"]["output_tokens"]
    );

    let messages = json!({"messages": [{"role": "user", "content": "read"}, {"role": "assistant", "content": [used]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": used["id"], "content": "text"}]}]});
    let end = bench
        .ask(MESSAGES, "", &with(with(hello(false), &tools), &messages))
        .await
        .json();
    assert_eq!(end["stop_reason"], "end_turn");
}

#[tokio::test]
async fn models_are_listed() {
    let bench = Bench::start().await;
    let request = Request::get(bench.provider.url() + "/v1/models").header("anthropic-version", "2023-06-01");
    let body = bench.send(request.body(Full::default()).unwrap()).await.json();
    assert_eq!(body["has_more"], false);
    assert_eq!(body["first_id"], body["data"][0]["id"]);
}
