//! The OpenAI dialect: documents and streams say the same.

use serde_json::{Value, json};

use crate::support::{Bench, CHAT, hello, with};

fn usage_wanted() -> Value {
    with(hello(true), &json!({"stream_options": {"include_usage": true}}))
}

#[tokio::test]
async fn a_document_has_the_shape_of_the_real_one() {
    let bench = Bench::start().await;
    let reply = bench.ask(CHAT, "", &hello(false)).await;
    let body = reply.json();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(reply.header("x-request-id").starts_with("req_"));
    assert!(reply.header("openai-processing-ms").parse::<u64>().is_ok());
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "9999");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(body["created"].as_u64().unwrap() > 1_700_000_000);
    let content = body["choices"][0]["message"]["content"].clone();
    assert_eq!(content.as_str().unwrap().split_whitespace().count(), 40);
    let usage = json!({
        "prompt_tokens": 15, "completion_tokens": 40, "total_tokens": 55,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    });
    let expected = json!({
        "id": body["id"], "object": "chat.completion", "created": body["created"], "model": "some-model",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": content, "refusal": null, "annotations": []},
        }],
        "usage": usage, "service_tier": "default", "system_fingerprint": "fp_44709d6fcb",
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
        "cached=5; cache-write=6; usage-input=200; usage-output=90",
        "events=3",
    ] {
        for n in [1, 3] {
            let n = json!({"n": n});
            let document = bench.ask(CHAT, script, &with(hello(false), &n)).await.json();
            let reply = bench.ask(CHAT, script, &with(usage_wanted(), &n)).await;
            assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
            let mut chunks = reply.chunks();
            let last = chunks.pop().unwrap();
            assert_eq!(last["usage"], document["usage"], "{script}");
            assert_eq!(last["choices"], json!([]));
            let choices = document["choices"].as_array().unwrap();
            let mut texts = vec![String::new(); choices.len()];
            for chunk in &chunks {
                assert_eq!(chunk["object"], "chat.completion.chunk");
                assert!(chunk.get("usage").is_some_and(Value::is_null), "{chunk}");
                let choice = &chunk["choices"][0];
                let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
                texts[index] += choice["delta"]["content"].as_str().unwrap_or_default();
            }
            for (choice, text) in choices.iter().zip(texts) {
                assert_eq!(choice["message"]["content"], text);
            }
            let (first, end) = (&chunks[0]["choices"][0], &chunks[chunks.len() - 1]["choices"][0]);
            assert_eq!(
                first["delta"],
                json!({"role": "assistant", "content": "", "refusal": null})
            );
            assert_eq!(
                (&end["delta"], &end["finish_reason"]),
                (&json!({}), &document["choices"][0]["finish_reason"])
            );
            let seen = bench.calls.snapshot();
            let (streamed, plain) = (&seen[seen.len() - 1], &seen[seen.len() - 2]);
            assert_eq!(streamed.billed, plain.billed);
            assert!(streamed.stream && !plain.stream);
            assert_eq!(document["usage"]["completion_tokens"], plain.billed.output);
            assert_eq!(document["usage"]["prompt_tokens"], plain.billed.input_total());
        }
    }
}

#[tokio::test]
async fn cached_input_is_a_part_of_the_prompt() {
    let bench = Bench::start().await;
    let usage = &bench.ask(CHAT, "cached=5; cache-write=6", &hello(false)).await.json()["usage"];
    let details = json!({"cached_tokens": 5, "cache_write_tokens": 6, "audio_tokens": 0});
    assert_eq!(
        (&usage["prompt_tokens"], &usage["prompt_tokens_details"]),
        (&json!(15), &details)
    );
}

#[tokio::test]
async fn a_stream_reports_usage_only_when_asked() {
    let bench = Bench::start().await;
    let chunks = bench.ask(CHAT, "", &hello(true)).await.chunks();
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(chunks.len(), 42);
    let chunks = bench.ask(CHAT, "omit-usage", &usage_wanted()).await.chunks();
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
    assert_eq!(chunks.len(), 42);
    assert!(
        bench
            .ask(CHAT, "omit-usage", &hello(false))
            .await
            .json()
            .get("usage")
            .is_none()
    );
}

#[tokio::test]
async fn an_agent_loop_calls_one_tool_and_ends() {
    let bench = Bench::start().await;
    let tools = json!({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]});
    let body = bench.ask(CHAT, "", &with(hello(false), &tools)).await.json();
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert!(choice["message"]["content"].is_null());
    let call = &choice["message"]["tool_calls"][0];
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    let function = json!({"name": "get_weather", "arguments": r#"{"city":"example"}"#});
    assert_eq!((&call["type"], &call["function"]), (&json!("function"), &function));

    let chunks = bench
        .ask(CHAT, "", &with(with(hello(true), &tools), &json!({"n": 2})))
        .await
        .chunks();
    let mut arguments = [String::new(), String::new()];
    let mut ids = vec![];
    for chunk in &chunks {
        let choice = &chunk["choices"][0];
        let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        if let Some(call) = choice["delta"]["tool_calls"].get(0) {
            assert_eq!(call["index"], 0);
            arguments[index] += call["function"]["arguments"].as_str().unwrap();
            ids.extend(call.get("id").cloned());
        }
    }
    assert_eq!(arguments, [r#"{"city":"example"}"#; 2]);
    assert!(ids.len() == 2 && ids[0] != ids[1]);

    let messages = json!({"messages": [{"role": "user", "content": "weather?"}, choice["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]});
    let end = bench
        .ask(CHAT, "", &with(with(hello(false), &tools), &messages))
        .await
        .json();
    assert_eq!(end["choices"][0]["finish_reason"], "stop");
    let none = with(with(hello(false), &tools), &json!({"tool_choice": "none"}));
    assert_eq!(
        bench.ask(CHAT, "", &none).await.json()["choices"][0]["finish_reason"],
        "stop"
    );
}

#[tokio::test]
async fn models_are_listed() {
    let bench = Bench::start().await;
    let body = bench.get("/v1/models").await.json();
    assert_eq!(body["object"], "list");
    assert!(
        body["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["id"] == "gpt-4o-mini")
    );
}
