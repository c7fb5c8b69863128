use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod bounds;
mod wrong;

const CHAT: Endpoint = Endpoint::ChatCompletions;
const MOST: usize = 1 << 20;

fn assembled(endpoint: Endpoint, stream: &str) -> Result<Value, AssembleError> {
    let whole = assemble_chunks(endpoint, MOST, [stream.as_bytes()]);
    let bytes = assemble_chunks(endpoint, MOST, stream.as_bytes().chunks(1));
    assert_eq!(whole, bytes, "cut into bytes it is the same");
    whole.map(|reply| serde_json::from_slice(&reply).unwrap())
}

fn assemble_chunks<'a>(
    endpoint: Endpoint,
    most: usize,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Bytes, AssembleError> {
    let mut assembler = Assembler::new(endpoint, most).unwrap();
    for chunk in chunks {
        assembler.push(chunk)?;
    }
    assembler.finish()
}

fn data(values: &[Value]) -> String {
    values.iter().map(|value| format!("data: {value}\n\n")).collect()
}

fn chunk(choices: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-mini", "choices": choices,
        "service_tier": "default", "system_fingerprint": "fp_1", "usage": null, "obfuscation": "x"})
}

fn delta(index: u64, delta: Value) -> Value {
    chunk(json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]))
}

fn stop(index: u64, reason: &str) -> Value {
    chunk(json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": reason}]))
}

/// The reply that [`chunk`]s make.
fn reply(choices: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "gpt-4o-mini", "choices": choices,
        "service_tier": "default", "system_fingerprint": "fp_1", "obfuscation": "x"})
}

#[track_caller]
fn check_chat(chunks: &[Value], expected: Value) {
    let stream = data(chunks) + "data: [DONE]\n\n";
    assert_eq!(assembled(CHAT, &stream).unwrap(), expected);
}

#[test]
fn two_choices_take_turns() {
    let choice = |index: u64, content: &str, reason: &str| {
        json!({"index": index, "message": {"role": "assistant", "content": content, "refusal": null}, "logprobs": null,
            "finish_reason": reason})
    };
    check_chat(
        &[
            delta(0, json!({"role": "assistant", "content": "", "refusal": null})),
            delta(1, json!({"role": "assistant", "content": "", "refusal": null})),
            delta(1, json!({"content": "Zwei\n\"ja\" "})),
            delta(0, json!({"content": "Eins"})),
            delta(1, json!({"content": "\u{1f600}"})),
            stop(1, "length"),
            stop(0, "stop"),
        ],
        reply(json!([
            choice(0, "Eins", "stop"),
            choice(1, "Zwei\n\"ja\" \u{1f600}", "length")
        ])),
    );
}

#[test]
fn tool_calls_come_in_pieces_by_their_index() {
    let tool = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = reply(
        json!([{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [
        tool("call_a", "f", "{\"a\": 1}"), tool("call_b", "g", "{}")]}, "logprobs": null, "finish_reason": "tool_calls"}]),
    );
    let opening = |index: u64, id: &str, name: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let piece = |index: u64, arguments: &str| json!({"index": index, "function": {"arguments": arguments}});
    check_chat(
        &[
            delta(
                0,
                json!({"role": "assistant", "content": null, "tool_calls": [opening(1, "call_b", "g")]}),
            ),
            delta(
                0,
                json!({"tool_calls": [opening(0, "call_a", "f"), piece(0, "{\"a\"")]}),
            ),
            delta(0, json!({"tool_calls": [piece(1, "{}"), piece(0, ": 1}")]})),
            stop(0, "tool_calls"),
        ],
        expected.clone(),
    );
    // Some servers repeat what names the call, and some send calls whole, without an index.
    let again = json!({"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ": 1}"}});
    check_chat(
        &[
            delta(
                0,
                json!({"tool_calls": [opening(0, "call_a", "f"), piece(0, "{\"a\"")]}),
            ),
            delta(
                0,
                json!({"tool_calls": [again, opening(1, "call_b", "g"), piece(1, "{}")]}),
            ),
            stop(0, "tool_calls"),
        ],
        expected.clone(),
    );
    check_chat(
        &[
            delta(0, json!({"tool_calls": [tool("call_a", "f", "{\"a\"")]})),
            delta(0, json!({"tool_calls": [{"function": {"arguments": ": 1}"}}]})),
            delta(0, json!({"tool_calls": [tool("call_b", "g", "{}")]})),
            stop(0, "tool_calls"),
        ],
        expected,
    );
}

#[test]
fn what_else_a_choice_says_is_kept() {
    let logprob = |token: &str| json!({"token": token, "logprob": -0.5, "bytes": null, "top_logprobs": []});
    let with = |delta: Value, logprobs: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": null,
            "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}]),
        )
    };
    let mut last = stop(0, "stop");
    last["choices"][0]["stop_reason"] = 128_001.into();
    check_chat(
        &[
            with(
                json!({"role": "assistant", "refusal": "I ", "reasoning_content": "Hm", "x_part": {"text": "a"}}),
                json!({"content": null, "refusal": [logprob("I")]}),
            ),
            with(
                json!({"refusal": "cannot.", "reasoning_content": "m.", "x_part": {"text": "b"},
                    "audio": {"id": "au_1", "data": "AAAA", "transcript": "Hi"}}),
                json!({"content": null, "refusal": [logprob(" cannot"), logprob(".")]}),
            ),
            with(
                json!({"audio": {"data": "BBBB", "transcript": " you", "expires_at": 99}, "annotations": [{"type": "url_citation"}]}),
                json!(null),
            ),
            last,
        ],
        reply(
            json!([{"index": 0, "message": {"role": "assistant", "content": null, "refusal": "I cannot.",
            "reasoning_content": "Hmm.", "x_part": {"text": "ab"}, "annotations": [{"type": "url_citation"}],
            "audio": {"id": "au_1", "data": "AAAABBBB", "transcript": "Hi you", "expires_at": 99}},
            "logprobs": {"content": null, "refusal": [logprob("I"), logprob(" cannot"), logprob(".")]},
            "finish_reason": "stop", "stop_reason": 128_001,
            "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}]),
        ),
    );
    // The older form of one tool call.
    check_chat(
        &[
            delta(
                0,
                json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": ""}}),
            ),
            delta(0, json!({"function_call": {"arguments": "{\"a\":"}})),
            delta(0, json!({"function_call": {"arguments": "1}"}})),
            stop(0, "function_call"),
        ],
        reply(json!([{"index": 0, "message": {"role": "assistant", "content": null,
            "function_call": {"name": "f", "arguments": "{\"a\":1}"}}, "logprobs": null, "finish_reason": "function_call"}])),
    );
}

/// Figures in the extra chunk, in the last one, or in a vendor's own member; Azure's chunks about filters.
#[test]
fn what_chunks_say_beside_their_choices() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    let choices = json!([{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "logprobs": null, "finish_reason": "stop"}]);
    let mut expected = reply(choices);
    let content = delta(0, json!({"content": "Hi"}));
    check_chat(&[content.clone(), stop(0, "stop")], expected.clone());
    expected["usage"] = usage.clone();
    let mut extra = chunk(json!([]));
    extra["usage"] = usage.clone();
    check_chat(&[content.clone(), stop(0, "stop"), extra.clone()], expected.clone());
    let mut last = stop(0, "stop");
    last["usage"] = usage.clone();
    check_chat(&[content.clone(), last], expected.clone());
    let mut filters = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [],
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]});
    let mut with_filters = expected.clone();
    with_filters["prompt_filter_results"] = filters["prompt_filter_results"].clone();
    let first = filters.clone();
    filters["choices"] = json!([{"index": 0, "finish_reason": null, "content_filter_offsets": {"end_offset": 2}}]);
    with_filters["choices"][0]["content_filter_offsets"] = json!({"end_offset": 2});
    check_chat(&[first, content.clone(), stop(0, "stop"), filters, extra], with_filters);
    let mut groq = stop(0, "stop");
    groq["x_groq"] = json!({"id": "req_1", "usage": usage});
    expected["x_groq"] = groq["x_groq"].clone();
    check_chat(&[content, groq], expected);
}

/// Nothing is decoded: escapes, halves of a surrogate pair in two pieces, and numbers stay as they were written.
#[test]
fn spellings_stay() {
    let stream = "data: {\"id\":\"a\",\"created\":1.0e3,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00\\u00e9\"},\"finish_reason\":\"stop\"}]}\n\n";
    let reply = assemble_chunks(CHAT, MOST, [stream.as_bytes()]).unwrap();
    let text = "{\"id\":\"a\",\"created\":1.0e3,\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":\
                {\"role\":\"assistant\",\"content\":\"\\ud83d\\ude00\\u00e9\"},\"finish_reason\":\"stop\"}]}";
    assert_eq!(reply, text.as_bytes());
}

#[test]
fn a_text_completion() {
    let chunk = |index: u64, text: &str, token: &str, finish: Value| {
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [{"text": text, "index": index,
            "logprobs": {"tokens": [token], "token_logprobs": [-1.5], "text_offset": [0]}, "finish_reason": finish}]})
    };
    let stream = data(&[
        chunk(0, "A", "A", Value::Null),
        chunk(1, "X", "X", Value::Null),
        chunk(0, "B", "B", json!("stop")),
        chunk(1, "Y", "Y", json!("length")),
        json!({"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 1}}),
    ]) + "data: [DONE]\n\n";
    let choice = |index: u64, [a, b]: [&str; 2], finish: &str| {
        json!({"text": format!("{a}{b}"), "index": index, "finish_reason": finish,
            "logprobs": {"tokens": [a, b], "token_logprobs": [-1.5, -1.5], "text_offset": [0, 0]}})
    };
    assert_eq!(
        assembled(Endpoint::Completions, &stream).unwrap(),
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 1},
            "choices": [choice(0, ["A", "B"], "stop"), choice(1, ["X", "Y"], "length")]})
    );
}

fn named(events: &[Value]) -> String {
    let texts = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    texts.collect()
}

#[test]
fn a_response_is_in_the_event_that_closes_it() {
    for status in ["completed", "incomplete", "failed", "cancelled"] {
        let whole =
            json!({"id": "resp_1", "status": status, "output": [{"type": "message"}], "usage": {"input_tokens": 1}});
        let stream = named(&[
            json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}),
            json!({"type": "response.output_text.delta", "delta": "Hi"}),
            json!({"type": format!("response.{status}"), "response": whole}),
        ]);
        assert_eq!(assembled(Endpoint::Responses, &stream).unwrap(), whole);
    }
}

fn block_start(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn block_delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn message_start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 1}, "output_tokens": 1, "service_tier": "standard"}}})
}

fn message_end(reason: &str) -> [Value; 2] {
    let usage = json!({"input_tokens": 19, "output_tokens": 44, "server_tool_use": {"web_search_requests": 1}});
    let delta = json!({"stop_reason": reason, "stop_sequence": null, "container": {"id": "c_1"}});
    [
        json!({"type": "message_delta", "delta": delta, "usage": usage}),
        json!({"type": "message_stop"}),
    ]
}

/// The content blocks of a message whose stream has these events between its start and its end.
fn content(events: &[Value], reason: &str) -> Value {
    let mut all = vec![message_start(), json!({"type": "ping"})];
    all.extend(events.iter().cloned());
    all.extend(message_end(reason));
    let mut reply = assembled(Endpoint::Messages, &named(&all)).unwrap();
    let content = reply.as_object_mut().unwrap().remove("content").unwrap();
    assert_eq!(
        reply,
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": reason,
            "stop_sequence": null, "container": {"id": "c_1"}, "usage": {"input_tokens": 19, "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 1}, "output_tokens": 44, "service_tier": "standard",
            "server_tool_use": {"web_search_requests": 1}}})
    );
    content
}

#[test]
fn the_blocks_of_a_message() {
    let page = json!({"type": "web_search_result_location", "url": "https://x", "cited_text": "y"});
    let results = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]});
    let events = [
        block_start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        block_delta(0, json!({"type": "thinking_delta", "thinking": "Let me "})),
        block_delta(0, json!({"type": "thinking_delta", "thinking": "see."})),
        block_delta(0, json!({"type": "signature_delta", "signature": "EqQB=="})),
        json!({"type": "content_block_stop", "index": 0}),
        block_start(
            1,
            json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}),
        ),
        block_delta(1, json!({"type": "input_json_delta", "partial_json": ""})),
        block_delta(
            1,
            json!({"type": "input_json_delta", "partial_json": "{\"query\": \"Z\\u00fc"}),
        ),
        block_delta(1, json!({"type": "input_json_delta", "partial_json": "rich \\\"\"}"})),
        json!({"type": "content_block_stop", "index": 1}),
        block_start(2, results.clone()),
        block_start(3, json!({"type": "text", "text": "", "citations": null})),
        block_delta(3, json!({"type": "text_delta", "text": "It is "})),
        block_delta(3, json!({"type": "citations_delta", "citation": page})),
        block_delta(3, json!({"type": "citations_delta", "citation": page})),
        block_delta(3, json!({"type": "text_delta", "text": "late."})),
        block_start(
            4,
            json!({"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}, "caller": {"type": "direct"}}),
        ),
        block_start(5, json!({"type": "redacted_thinking", "data": "abc"})),
        json!({"type": "a_kind_to_come", "index": 77}),
    ];
    assert_eq!(
        content(&events, "tool_use"),
        json!([
            {"type": "thinking", "thinking": "Let me see.", "signature": "EqQB=="},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Zürich \""}},
            results,
            {"type": "text", "text": "It is late.", "citations": [page, page]},
            {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}, "caller": {"type": "direct"}},
            {"type": "redacted_thinking", "data": "abc"},
        ])
    );
    // The limit was reached inside of a tool's input.
    let events = [
        block_start(
            0,
            json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
        ),
        block_delta(0, json!({"type": "input_json_delta", "partial_json": "{\"a\": \"b"})),
    ];
    assert_eq!(
        content(&events, "max_tokens"),
        json!([{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"INVALID_JSON": "{\"a\": \"b"}}])
    );
}

proptest! {
    /// However the bytes are cut, and with which line ends, the reply is the same.
    #[test]
    fn any_cut_gives_the_same_reply(cuts in prop::collection::vec(0_usize..2_000, 0..9), crlf: bool) {
        let mut stream = data(&[
            delta(0, json!({"role": "assistant", "content": "Grüße \u{1f600}"})),
            delta(0, json!({"content": " und mehr", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]})),
            stop(0, "stop"),
        ]) + "data: [DONE]\n\n";
        if crlf {
            stream = stream.replace('\n', "\r\n");
        }
        let whole = assemble_chunks(CHAT, MOST, [stream.as_bytes()]);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % stream.len()).collect();
        ends.extend([0, stream.len()]);
        ends.sort_unstable();
        let pieces = ends.windows(2).map(|ends| &stream.as_bytes()[ends[0]..ends[1]]);
        prop_assert!(whole.is_ok());
        prop_assert_eq!(assemble_chunks(CHAT, MOST, pieces), whole);
    }

    /// Whatever comes, nothing panics, and what is made of it is JSON within twice its bound.
    #[test]
    fn whatever_comes(pieces in prop::collection::vec(prop::sample::select(SHREDS.to_vec()), 0..12), endpoint in 0_usize..4) {
        let endpoint = [CHAT, Endpoint::Completions, Endpoint::Messages, Endpoint::Responses][endpoint];
        let stream: String = pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect();
        if let Ok(reply) = assemble_chunks(endpoint, 2_000, [stream.as_bytes()]) {
            prop_assert!(serde_json::from_slice::<Value>(&reply).is_ok(), "{:?}", reply);
            prop_assert!(reply.len() < 4_000);
        }
    }
}

/// Events and parts of events, some of which make sense behind some others.
const SHREDS: [&str; 22] = [
    "{}",
    "[]",
    "{",
    "[DONE]",
    r#"{"choices":[]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
    r#"{"choices":[{"index":1,"delta":{"content":["a"]},"finish_reason":null}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":null,"tool_calls":[{"index":3,"function":{"arguments":"x"}}]}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"x"}}]}}]}"#,
    r#"{"choices":[{"index":0,"text":"a","logprobs":{"tokens":["a"]},"finish_reason":"stop"}]}"#,
    r#"{"choices":[{"index":18446744073709551615,"delta":{}}],"usage":{"a":1}}"#,
    r#"{"choices":[{"index":"0","delta":{}}]}"#,
    r#"{"choices":7,"usage":[],"object":{},"id":null}"#,
    r#"{"type":"message_start","message":{"content":[1],"usage":7}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"input":7,"citations":"x"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"partial_json":"{\"a\":\"\\ud800"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"citation":{"a":1},"text":"b"}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"x","content":"gone"},"usage":{"a":null}}"#,
    r#"{"type":"message_stop"}"#,
    r#"{"type":"response.completed","response":{"a":[1,2]}}"#,
    r#"{"type":"response.completed","response":null}"#,
    r#"{"type":"error","error":{"message":"x"}}"#,
];
