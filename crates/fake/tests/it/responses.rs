//! The Responses API: documents and streams say the same.

use fake::Finished;
use serde_json::{Value, json};

use crate::support::{Bench, with};

const RESPONSES: &str = "/v1/responses";

fn hello(stream: bool) -> Value {
    json!({"model": "some-model", "input": "Say hello to whoever reads this test, please.", "stream": stream})
}

#[tokio::test]
async fn a_stream_ends_with_the_document() {
    let bench = Bench::start().await;
    for (script, limit, end) in [
        ("", 100, "response.completed"),
        ("", 7, "response.incomplete"),
        ("reasoning=3; cached=5", 100, "response.completed"),
        ("bytes=11", 100, "response.completed"),
        ("usage-input=200; usage-output=90", 100, "response.completed"),
    ] {
        let limit = json!({"max_output_tokens": limit});
        let document = bench.ask(RESPONSES, script, &with(hello(false), &limit)).await.json();
        let reply = bench.ask(RESPONSES, script, &with(hello(true), &limit)).await;
        let events = reply.events();
        let mut text = String::new();
        for (index, (name, data)) in events.iter().enumerate() {
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(
                (&event["type"], &event["sequence_number"]),
                (&json!(name), &json!(index))
            );
            if name == "response.output_text.delta" {
                text += event["delta"].as_str().unwrap();
            }
        }
        assert_eq!(events[0].0, "response.created");
        let (name, data) = events.last().unwrap();
        let last: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, end);
        assert_eq!(last["response"]["usage"], document["usage"], "{script}");
        assert_eq!(last["response"]["status"], document["status"]);
        assert_eq!(document["output"][0]["content"][0]["text"], text);
        let seen = bench.calls.snapshot();
        let (streamed, plain) = (&seen[seen.len() - 1], &seen[seen.len() - 2]);
        assert_eq!(streamed.billed, plain.billed);
        assert_eq!(document["usage"]["output_tokens"], plain.billed.output);
        assert_eq!(document["usage"]["input_tokens"], plain.billed.input_total());
    }
}

#[tokio::test]
async fn a_tool_is_called_once() {
    let bench = Bench::start().await;
    let tools = json!({"tools": [{"type": "function", "name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]});
    let body = bench.ask(RESPONSES, "", &with(hello(false), &tools)).await.json();
    let call = &body["output"][0];
    assert_eq!(
        (&call["type"], &call["name"], &call["arguments"]),
        (
            &json!("function_call"),
            &json!("get_weather"),
            &json!(r#"{"city":"example"}"#)
        )
    );
    let events = bench.ask(RESPONSES, "", &with(hello(true), &tools)).await.events();
    let arguments: String = events
        .iter()
        .filter(|(name, _)| name == "response.function_call_arguments.delta")
        .map(|(_, data)| {
            serde_json::from_str::<Value>(data).unwrap()["delta"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(arguments, r#"{"city":"example"}"#);
    assert_eq!(events.last().unwrap().0, "response.completed");
    let input = json!({"input": [{"role": "user", "content": "weather?"}, call,
        {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}]});
    let end = bench
        .ask(RESPONSES, "", &with(with(hello(false), &tools), &input))
        .await
        .json();
    assert_eq!(end["output"][0]["type"], "message");
}

#[tokio::test]
async fn scripts_stop_a_stream() {
    let bench = Bench::start().await;
    let reply = bench.ask(RESPONSES, "cut-after=6", &hello(true)).await;
    assert!(!reply.whole);
    assert_eq!(reply.events().len(), 6);
    let seen = bench.last().await;
    assert_eq!((seen.finished, seen.billed.output), (Finished::Cut, 2));
    let events = bench.ask(RESPONSES, "error-after=6", &hello(true)).await.events();
    assert_eq!((events.len(), events[6].0.as_str()), (7, "error"));
    let reply = bench.ask(RESPONSES, "omit-usage", &hello(false)).await;
    assert!(reply.json()["usage"].is_null());
}
