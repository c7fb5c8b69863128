use model::{ServiceTier, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sse::MAX_EVENT;
use crate::{LONGEST_TOKEN_BYTES, read_reply};

mod golden;
mod shapes;

const CHAT: Endpoint = Endpoint::ChatCompletions;
const MESSAGES: Endpoint = Endpoint::Messages;

/// What came of observing a stream.
struct Observed {
    delivered: Vec<u8>,
    observer: StreamObserver,
}

fn observe_chunks<'a>(endpoint: Endpoint, hide: bool, chunks: impl IntoIterator<Item = &'a [u8]>) -> Observed {
    let mut observer = StreamObserver::new(endpoint, hide);
    let mut out = Vec::new();
    for chunk in chunks {
        observer.push(Bytes::copy_from_slice(chunk), &mut out);
        let mut delivered = Splitter::new();
        delivered.push(&out.concat(), |_, _| {});
        assert_eq!(
            observer.mid_event(),
            delivered.in_block(),
            "after {:?}",
            String::from_utf8_lossy(chunk)
        );
    }
    observer.finish(&mut out);
    Observed {
        delivered: out.concat(),
        observer,
    }
}

fn observe_all(endpoint: Endpoint, hide: bool, stream: &[u8]) -> Observed {
    observe_chunks(endpoint, hide, [stream])
}

fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.clone());
    starts
        .zip(ends.iter().copied())
        .map(|(start, end)| &stream[start..end])
        .collect()
}

fn data(values: &[Value]) -> String {
    values.iter().map(|value| format!("data: {value}\n\n")).collect()
}

fn chat_chunk(delta: Value, finish: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18", "service_tier": "default",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}], "usage": null, "obfuscation": "aB3"})
}

fn chat_usage(usage: &Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18", "choices": [], "usage": usage})
}

/// A chat completion as OpenAI streams it when usage was asked for; with and without the extra chunk.
fn chat_stream(usage: &Value) -> (String, String) {
    let before = data(&[
        chat_chunk(
            json!({"role": "assistant", "content": "", "refusal": null}),
            Value::Null,
        ),
        chat_chunk(json!({"content": "Hello"}), Value::Null),
        chat_chunk(json!({"content": ", wörld"}), Value::Null),
        chat_chunk(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            Value::Null,
        ),
        chat_chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}),
            Value::Null,
        ),
        chat_chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            Value::Null,
        ),
        chat_chunk(json!({}), json!("tool_calls")),
    ]);
    let extra = data(&[chat_usage(usage)]);
    let done = "data: [DONE]\n\n";
    (format!("{before}{extra}{done}"), format!("{before}{done}"))
}

/// A message as Anthropic streams it.
fn message_stream(start: &Value, delta: &Value) -> String {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": start}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me see."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hellö"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\": 1}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": delta}),
        json!({"type": "message_stop"}),
    ];
    events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect()
}

fn message_usage() -> (Value, Value) {
    (
        json!({"input_tokens": 472, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, "output_tokens": 2, "service_tier": "standard"}),
        json!({"output_tokens": 89}),
    )
}

const CHAT_TEXT: u64 = 5 + 8 + 5 + 2;
const MESSAGE_TEXT: u64 = 11 + 6 + 8;

#[test]
fn reads_a_chat_stream() {
    let usage = json!({"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, "prompt_tokens_details": {"cached_tokens": 4}});
    let (stream, _) = chat_stream(&usage);
    let Observed { delivered, observer } = observe_all(CHAT, false, stream.as_bytes());
    assert_eq!(delivered, stream.as_bytes());
    assert_eq!(
        *observer.reading(),
        Reading {
            usage: Some(Usage {
                input: 15,
                cache_read: 4,
                output: 10,
                ..Usage::default()
            }),
            tier: Some(ServiceTier::Standard),
            id: Some("chatcmpl-1".to_owned()),
            model: Some("gpt-4o-mini-2024-07-18".to_owned()),
            region: None,
            output_text_bytes: CHAT_TEXT,
        }
    );
    assert!(observer.ended() && !observer.mid_event());
    assert_eq!((observer.provider_error(), observer.proven_output_tokens()), (None, 10));
}

#[test]
fn reads_a_message_stream() {
    let (start, delta) = message_usage();
    let stream = message_stream(&start, &delta);
    // Hiding is for OpenAI's extra chunk; here it changes nothing.
    let Observed { delivered, observer } = observe_all(MESSAGES, true, stream.as_bytes());
    assert_eq!(delivered, stream.as_bytes());
    assert_eq!(
        *observer.reading(),
        Reading {
            usage: Some(Usage {
                input: 472,
                cache_read: 5,
                cache_write: 10,
                cache_write_1h: 20,
                output: 89,
                reasoning: 0,
                ..Usage::default()
            }),
            tier: Some(ServiceTier::Standard),
            id: Some("msg_1".to_owned()),
            model: Some("claude-sonnet-4-5-20250929".to_owned()),
            region: None,
            output_text_bytes: MESSAGE_TEXT,
        }
    );
    assert!(observer.ended() && !observer.mid_event());
    assert_eq!((observer.provider_error(), observer.proven_output_tokens()), (None, 89));
}

#[test]
fn only_the_extra_usage_chunk_is_hidden() {
    let usage = json!({"prompt_tokens": 19, "completion_tokens": 10});
    let (stream, without) = chat_stream(&usage);
    let hidden = observe_all(CHAT, true, stream.as_bytes());
    assert_eq!(String::from_utf8(hidden.delivered).unwrap(), without);
    assert!(hidden.observer.reading().usage.is_some());

    let shown = |event: Value| {
        let stream = format!(": hi\n\n{}data: [DONE]\n\n", data(&[event]));
        assert_eq!(
            observe_all(CHAT, true, stream.as_bytes()).delivered,
            stream.as_bytes(),
            "{stream}"
        );
    };
    // Azure's first chunk, usage beside a choice, an error.
    shown(json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "usage": null}));
    shown(json!({"choices": [], "prompt_filter_results": []}));
    shown(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}));
    shown(json!({"usage": usage}));
    shown(json!({"choices": [], "usage": usage, "error": {"message": "no"}}));

    // At the end without a blank line it is hidden as well.
    let unended = format!("data: {}", chat_usage(&usage));
    let Observed { delivered, observer } = observe_all(CHAT, true, unended.as_bytes());
    assert_eq!(delivered, b"");
    assert!(observer.reading().usage.is_some());
}

#[test]
fn what_is_hidden_goes_with_its_whole_line_end() {
    let usage = chat_usage(&json!({"prompt_tokens": 19, "completion_tokens": 10})).to_string();
    // CR and LF would be one line end, not two.
    for ends in [
        "\n\n", "\n\r", "\n\r\n", "\r\r", "\r\r\n", "\r\n\n", "\r\n\r", "\r\n\r\n",
    ] {
        let stream = format!("data: {{}}{ends}data: {usage}{ends}data: [DONE]{ends}");
        let hidden = observe_chunks(CHAT, true, stream.as_bytes().chunks(1));
        let expected = format!("data: {{}}{ends}data: [DONE]{ends}");
        assert_eq!(String::from_utf8(hidden.delivered).unwrap(), expected);
    }
}

#[test]
fn without_hiding_chunks_pass_at_once_and_uncopied() {
    let mut observer = StreamObserver::new(CHAT, false);
    for part in ["data: {\"cho", "ices\":[]}\n", "\n", "data: [DONE]\n\n"] {
        let chunk = Bytes::copy_from_slice(part.as_bytes());
        let mut out = Vec::new();
        observer.push(chunk.clone(), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
    }
    assert!(observer.ended());
}

#[test]
fn with_hiding_whole_events_pass_at_once_and_uncopied() {
    let mut observer = StreamObserver::new(CHAT, true);
    let chunk = Bytes::from_static(b"data: {}\n\ndata: {}\n\ndata: {");
    let mut out = Vec::new();
    observer.push(chunk.clone(), &mut out);
    assert_eq!(
        (out[0].as_ptr(), out.concat().as_slice()),
        (chunk.as_ptr(), &b"data: {}\n\ndata: {}\n\n"[..])
    );
    observer.push(Bytes::from_static(b"}\n\n: "), &mut out);
    assert_eq!(out.concat(), b"data: {}\n\ndata: {}\n\ndata: {}\n\n");
    assert_eq!(out[1].as_ptr(), chunk[20..].as_ptr());
}

/// A client that hangs up, or a provider that does, at every byte: BerriAI/litellm#13245, PR #33736, PR #30630, #35958.
/// Running figures must not pass for final ones, and what is proven must be true.
#[test]
fn case_08_a_stream_that_breaks_off_has_no_usage_and_proves_no_more_than_was_used() {
    let (start, delta) = message_usage();
    let chat = chat_stream(&json!({"prompt_tokens": 19, "completion_tokens": 10})).0;
    // vLLM with continuous usage: figures on every chunk.
    let running: String = (1..6_u64)
        .map(|n| data(&[json!({"choices": [{"index": 0, "delta": {"content": "word "}}], "usage": {"prompt_tokens": 7, "completion_tokens": n}})]))
        .chain([data(&[chat_usage(&json!({"prompt_tokens": 7, "completion_tokens": 6}))]), "data: [DONE]\n\n".to_owned()])
        .collect();
    let message = message_stream(&start, &delta);
    for (endpoint, stream, used, last_words) in [
        (CHAT, &chat, 10, "\"completion_tokens\":10"),
        (CHAT, &running, 6, "\"completion_tokens\":6"),
        (MESSAGES, &message, 89, "\"output_tokens\":89"),
    ] {
        let figures_at = stream.find(last_words).unwrap();
        let mut proven = 0;
        let mut observer = StreamObserver::new(endpoint, false);
        for (at, byte) in stream.bytes().enumerate() {
            observer.push(Bytes::from(vec![byte]), &mut Vec::new());
            if at < figures_at {
                assert_eq!(observer.reading().usage, None, "after {}", &stream[..=at]);
            }
            assert!(observer.proven_output_tokens() >= proven);
            proven = observer.proven_output_tokens();
            assert!(proven <= used);
        }
        assert_eq!(observer.reading().usage.unwrap().output, used);
    }
}

/// The same figures in a stream and in a whole reply mean the same: BerriAI/litellm#11789 counted cached tokens right
/// in the one and wrong in the other.
#[test]
fn case_09_and_10_streaming_usage_is_non_streaming_usage() {
    let check = |usage: Value| {
        let reply = json!({"choices": [{"message": {"content": "hi"}}], "usage": usage}).to_string();
        let whole = read_reply(CHAT, "application/json", reply.as_bytes()).unwrap().usage;
        let (stream, _) = chat_stream(&usage);
        assert_eq!(
            observe_all(CHAT, true, stream.as_bytes()).observer.reading().usage,
            whole,
            "{usage}"
        );
        // On the last chunk with a choice, as Mistral and DeepSeek send it.
        let mut last = chat_chunk(json!({"content": ""}), json!("stop"));
        last["usage"] = usage;
        let stream = data(&[chat_chunk(json!({"content": "hi"}), Value::Null), last]) + "data: [DONE]\n\n";
        assert_eq!(
            observe_all(CHAT, true, stream.as_bytes()).observer.reading().usage,
            whole
        );
    };
    check(
        json!({"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306, "prompt_tokens_details": {"cached_tokens": 1920}}),
    );
    check(
        json!({"prompt_tokens": 75, "completion_tokens": 1186, "total_tokens": 1261, "completion_tokens_details": {"reasoning_tokens": 1024}}),
    );
    check(
        json!({"prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
        "prompt_tokens_details": {"cached_tokens": 128}, "completion_tokens_details": {"reasoning_tokens": 2809}}),
    );
    check(json!({"prompt_tokens": 86, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 1920}}));
    check(json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}));
    check(json!({"prompt_tokens": 5, "completion_tokens": -1}));
    check(json!("none"));

    let check = |usage: Value, start: Value, delta: Value| {
        let reply = json!({"content": [], "usage": usage}).to_string();
        let whole = read_reply(MESSAGES, "application/json", reply.as_bytes())
            .unwrap()
            .usage;
        let stream = message_stream(&start, &delta);
        assert_eq!(
            observe_all(MESSAGES, false, stream.as_bytes()).observer.reading().usage,
            whole,
            "{usage}"
        );
    };
    let full = json!({"input_tokens": 21, "cache_creation_input_tokens": 556, "cache_read_input_tokens": 1800,
        "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100}, "output_tokens": 503,
        "output_tokens_details": {"thinking_tokens": 400}});
    let mut start = full.clone();
    start["output_tokens"] = 1.into();
    start["output_tokens_details"] = Value::Null;
    let end = json!({"output_tokens": 503, "output_tokens_details": {"thinking_tokens": 400}});
    check(full.clone(), start.clone(), end.clone());
    check(full.clone(), start.clone(), full.clone());
    // A later report that says less lowers nothing.
    let mut less = full.clone();
    less["input_tokens"] = 0.into();
    less["cache_read_input_tokens"] = 0.into();
    check(full.clone(), start.clone(), less);
    check(json!(null), start.clone(), json!({"output_tokens": "503"}));
    check(json!(null), json!("x"), end);
}

/// No usage at the end, or figures that were given too early: Portkey-AI/gateway#1259, #1180.
#[test]
fn case_11_no_final_usage_is_none_and_the_text_still_proves_something() {
    let text = "x".repeat(1000);
    let chunk = |usage: Value| json!({"choices": [{"index": 0, "delta": {"content": text}}], "usage": usage});
    let early = json!({"prompt_tokens": 5, "completion_tokens": 100});
    for (stream, proven) in [
        (data(&[chunk(json!(null))]) + "data: [DONE]\n\n", 8),
        // Figures before more text count only what came before them.
        (
            data(&[chunk(early.clone()), chunk(json!(null))]) + "data: [DONE]\n\n",
            100,
        ),
        (
            data(&[chunk(early.clone())]) + "data: not json\n\ndata: [DONE]\n\n",
            100,
        ),
        // A placeholder, and figures that the text disproves.
        (
            data(&[
                chunk(json!(null)),
                chat_usage(&json!({"prompt_tokens": 0, "completion_tokens": 0})),
            ]) + "data: [DONE]\n\n",
            8,
        ),
        (
            data(&[
                chunk(json!(null)),
                chat_usage(&json!({"prompt_tokens": 5, "completion_tokens": 7})),
            ]) + "data: [DONE]\n\n",
            8,
        ),
        // The last word is not a number.
        (
            data(&[
                chunk(early),
                chat_usage(&json!({"prompt_tokens": 5, "completion_tokens": "many"})),
            ]) + "data: [DONE]\n\n",
            100,
        ),
    ] {
        let observer = observe_all(CHAT, true, stream.as_bytes()).observer;
        assert!(observer.ended());
        assert_eq!(
            (observer.reading().usage, observer.proven_output_tokens()),
            (None, proven),
            "{stream}"
        );
    }
    let (start, _) = message_usage();
    let observer = observe_all(MESSAGES, false, message_stream(&start, &Value::Null).as_bytes()).observer;
    assert!(observer.ended());
    assert_eq!((observer.reading().usage, observer.proven_output_tokens()), (None, 2));
}

#[test]
fn text_proves_tokens_by_the_longest_there_is() {
    for (bytes, tokens) in [(0, 0), (1, 1), (128, 1), (129, 2), (1280, 10)] {
        let halves = ["é".repeat(bytes / 2), "x".repeat(bytes % 2)];
        let stream = data(&halves.map(|half| chat_chunk(json!({"content": half}), Value::Null)));
        let observer = observe_all(CHAT, false, stream.as_bytes()).observer;
        assert_eq!(observer.proven_output_tokens(), tokens, "{bytes}");
        assert_eq!(LONGEST_TOKEN_BYTES, 128);
    }
}

#[test]
fn odd_streams_pass_unchanged_and_are_read_as_far_as_they_make_sense() {
    let check = |odd: &str, text: u64| {
        let (usual, _) = chat_stream(&json!({"prompt_tokens": 19, "completion_tokens": 10}));
        let stream = format!("{odd}{usual}");
        let Observed { delivered, observer } = observe_all(CHAT, false, stream.as_bytes());
        assert_eq!(delivered, stream.as_bytes());
        assert!(observer.ended() && observer.reading().usage.is_some(), "{odd}");
        assert_eq!(observer.reading().output_text_bytes, CHAT_TEXT + text, "{odd}");
    };
    check("data: {\"choices\":[\n\n", 0);
    check("data: \u{0}\n\ndata: <html>\n\n", 0);
    for odd in [
        "1",
        "null",
        "\"x\"",
        "[]",
        "[{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}]",
        "{\"choices\":7}",
        "{\"choices\":[null,\"x\",{}]}",
    ] {
        check(&format!("data: {odd}\n\n"), 0);
    }
    let delta = |delta: &str| format!("data: {{\"choices\":[{{\"index\":3,\"delta\":{delta}}}]}}\n\n");
    check(&delta(r#"{"content":"abc"}"#), 3);
    check(&delta(r#"{"content":7,"refusal":"ab"}"#), 2);
    check(&delta(r#"{"content":["abc",{"text":"abc"}]}"#), 0);
    check(&delta(r#"{"reasoning_content":"abc"}"#), 3);
    check(&delta(r#"{"reasoning":"abcd","reasoning_content":"abc"}"#), 4);
    check(&delta(r#"{"tool_calls":[{"function":{"arguments":"abc"}}]}"#), 3);
    check(
        &delta(r#"{"tool_calls":[{"function":{"arguments":{"a":1}}},7,{"function":"x"},{"custom":{"input":"ab"}}]}"#),
        2,
    );
    check(&delta(r#"{"tool_calls":{"function":{"arguments":"abc"}}}"#), 0);
    check(&delta(r#"{"function_call":{"name":"f","arguments":"abc"}}"#), 3);
    check(
        &delta(r#"{"future":{"deep":[[[1]]]},"content":"\u00e9\ud83d\ude00"}"#),
        6,
    );
    check(&delta("\"text\""), 0);
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"bc\"}}]}\n\n",
        3,
    );
    check(&format!("data: {}\n\n", "[".repeat(100_000)), 0);

    // After the end.
    let (usual, _) = chat_stream(&json!({"prompt_tokens": 19, "completion_tokens": 10}));
    let stream = format!("{usual}data: {{\"late\":true}}\n\ndata: x\n\n");
    let Observed { delivered, observer } = observe_all(CHAT, true, stream.as_bytes());
    assert!(delivered.ends_with(b"data: {\"late\":true}\n\ndata: x\n\n") && observer.ended());
    // Bytes that are not text.
    let stream = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\ndata: [DONE]\n\n";
    let Observed { delivered, observer } = observe_all(CHAT, true, stream);
    assert_eq!(delivered, stream);
    assert!(observer.ended());
}

#[test]
fn errors_of_the_provider_are_told() {
    let check = |endpoint, stream: &str, error: &str| {
        assert_eq!(
            observe_all(endpoint, true, stream.as_bytes()).observer.provider_error(),
            Some(error),
            "{stream}"
        );
    };
    check(
        CHAT,
        "data: {\"error\":{\"message\":\"The server had\\nan error\",\"type\":\"server_error\",\"code\":null}}\n\n",
        "server_error: The server had an error",
    );
    check(
        CHAT,
        "data: {\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit\"}}\n\n",
        "rate_limit: slow down",
    );
    check(CHAT, "data: {\"error\":\"boom\"}\n\n", "boom");
    check(CHAT, "data: {\"error\":{}}\n\n", "an error without details");
    check(CHAT, "event: error\ndata: <html>\n\n", "an error without details");
    check(
        MESSAGES,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        "overloaded_error: Overloaded",
    );
    let long = format!("data: {{\"error\":{{\"message\":\"{}\"}}}}\n\n", "é".repeat(100_000));
    check(CHAT, &long, &"é".repeat(128));
}

#[test]
fn an_event_above_the_bound_passes_and_is_not_read() {
    let big = "x".repeat(10 << 20);
    let usage = json!({"prompt_tokens": 19, "completion_tokens": 10});
    // Padded above the bound, even the extra chunk is not hidden.
    let mut padded = chat_usage(&usage);
    padded["obfuscation"] = "x".repeat(MAX_EVENT).into();
    let stream = data(&[chat_chunk(json!({"content": big}), Value::Null), padded]) + "data: [DONE]\n\n";
    for hide in [true, false] {
        for size in [1000, 1 << 16, 3 << 20] {
            let mut observer = StreamObserver::new(CHAT, hide);
            let mut out = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                observer.push(Bytes::copy_from_slice(chunk), &mut out);
                let held = observer
                    .hiding
                    .as_ref()
                    .map_or(0, |hiding| hiding.held.iter().map(Bytes::len).sum());
                assert!(held <= MAX_EVENT);
            }
            observer.finish(&mut out);
            assert!(out.concat() == stream.as_bytes(), "{hide} {size}");
            assert!(observer.ended());
            assert_eq!((observer.reading().usage, observer.proven_output_tokens()), (None, 0));
        }
    }
}

#[test]
fn an_event_that_was_not_read_outdates_the_figures_before_it() {
    let early =
        json!({"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 19, "completion_tokens": 10}});
    let unread = "x".repeat(MAX_EVENT);
    let stream = format!("data: {early}\n\ndata: {unread}\n\ndata: [DONE]\n\n");
    assert_eq!(
        observe_all(CHAT, false, stream.as_bytes()).observer.reading().usage,
        None
    );
    let stream = format!("data: {early}\n\ndata: [DONE]\n\n");
    assert!(
        observe_all(CHAT, false, stream.as_bytes())
            .observer
            .reading()
            .usage
            .is_some()
    );
}

#[test]
fn a_cut_leaves_whole_events_where_it_can() {
    let whole = "data: {\"a\":1}\n\n";
    let mut observer = StreamObserver::new(CHAT, false);
    let mut out = Vec::new();
    observer.push(Bytes::from(format!("{whole}data: {{\"b")), &mut out);
    observer.push(Bytes::from_static(b"\":"), &mut out);
    assert!(observer.mid_event());
    observer.drop_unfinished(&mut out);
    assert!(!observer.mid_event());
    assert_eq!(out.concat(), whole.as_bytes());

    // The first part is gone already.
    let mut observer = StreamObserver::new(CHAT, false);
    observer.push(Bytes::from(format!("{whole}data: {{\"b")), &mut Vec::new());
    let mut out = Vec::new();
    observer.push(Bytes::from_static(b"\":"), &mut out);
    observer.drop_unfinished(&mut out);
    assert!(observer.mid_event() && out.is_empty());

    // With hiding, half an event is never handed out.
    let mut observer = StreamObserver::new(CHAT, true);
    observer.push(Bytes::from(format!("{whole}data: {{\"b")), &mut out);
    assert!(!observer.mid_event());
    observer.drop_unfinished(&mut out);
    assert_eq!(out.concat(), whole.as_bytes());
}

/// A stream of events, usual and odd, with line ends of all kinds.
fn any_stream() -> impl Strategy<Value = (Endpoint, Vec<u8>)> {
    let events = || {
        let usage = json!({"prompt_tokens": 19, "completion_tokens": 30, "total_tokens": 49});
        let (start, delta) = message_usage();
        prop::sample::select(vec![
            format!("data: {}", chat_chunk(json!({"content": "Hello, wörld"}), Value::Null)),
            format!("data: {}", chat_usage(&usage)),
            format!(
                "data:{}",
                chat_usage(&json!({"prompt_tokens": 1, "completion_tokens": 2}))
            ),
            format!(
                "event: message_start\ndata: {}",
                json!({"type": "message_start", "message": {"id": "m", "usage": start}})
            ),
            format!(
                "data: {}",
                json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hellö"}})
            ),
            format!(
                "data: {}",
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": delta})
            ),
            "event: message_stop\ndata: {\"type\":\ndata: \"message_stop\"}".to_owned(),
            "data: [DONE]".to_owned(),
            "event: error\ndata: {\"error\":\"boom\"}".to_owned(),
            ": ping".to_owned(),
            "data: {".to_owned(),
            String::new(),
        ])
    };
    let line_end = || prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let stream = proptest::collection::vec((events(), line_end(), line_end()), 0..8).prop_map(|events| {
        let texts = events
            .into_iter()
            .map(|(event, end, blank)| format!("{}{end}{blank}", event.replace('\n', end)));
        texts.collect::<String>()
    });
    (
        prop::sample::select(vec![CHAT, MESSAGES]),
        stream,
        any::<bool>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(endpoint, stream, broken, at)| {
            let mut stream = stream.into_bytes();
            if broken && !stream.is_empty() {
                stream.truncate(at.index(stream.len()));
            }
            (endpoint, stream)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_split_gives_the_same_bytes_and_the_same_reading(
        (endpoint, stream) in any_stream(), hide in any::<bool>(), cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole = observe_all(endpoint, hide, &stream);
        let parts = observe_chunks(endpoint, hide, cut(&stream, &cuts));
        prop_assert_eq!(String::from_utf8_lossy(&parts.delivered), String::from_utf8_lossy(&whole.delivered));
        if !hide {
            prop_assert_eq!(&whole.delivered, &stream);
        }
        let said = |observer: &StreamObserver| {
            let error = observer.provider_error().map(ToOwned::to_owned);
            (observer.reading().clone(), observer.ended(), error, observer.proven_output_tokens())
        };
        prop_assert_eq!(said(&parts.observer), said(&whole.observer));
    }

    #[test]
    fn observing_never_panics(
        stream in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"data: {}[]\"\r\n"[..])], 0..128),
        cuts in proptest::collection::vec(any::<usize>(), 0..8), hide in any::<bool>(),
    ) {
        for endpoint in Endpoint::ALL {
            observe_chunks(endpoint, hide, cut(&stream, &cuts));
        }
    }
}
