//! For each endpoint, a reply and the stream of the same call, as providers send them: both say the same usage.

use model::ServiceTier::{Priority, Standard};

use super::*;
use crate::Call;

/// A call to `endpoint`, with `more` in its body.
fn call(endpoint: Endpoint, more: &Value) -> Call {
    let mut body =
        json!({"model": "m", "messages": [], "input": "Guten Tag", "prompt": "a", "stream": true, "max_tokens": 99});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    Call::parse(endpoint, body.to_string().as_bytes()).unwrap()
}

/// The events as OpenAI's typed streams have them: each named after its type.
fn typed(events: &[Value]) -> String {
    let texts = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    texts.collect()
}

/// The reply's and the stream's reading, which must agree, and the stream must have ended.
fn both(observer: StreamObserver, endpoint: Endpoint, reply: &Value, stream: &str) -> Reading {
    let whole = read_reply(endpoint, "application/json", reply.to_string().as_bytes()).unwrap();
    let mut observer = observer;
    let mut out = Vec::new();
    for chunk in stream.as_bytes().chunks(61) {
        observer.push(Bytes::copy_from_slice(chunk), &mut out);
    }
    assert!(out.concat() == stream.as_bytes());
    assert!(observer.ended() && !observer.mid_event(), "{endpoint:?}");
    assert_eq!(observer.reading().usage, whole.usage, "{endpoint:?}");
    assert_eq!(observer.provider_error(), None);
    whole
}

fn output_item(index: u64, item: &Value) -> [Value; 2] {
    let event = |kind: &str| json!({"type": kind, "output_index": index, "item": item, "sequence_number": index});
    [event("response.output_item.added"), event("response.output_item.done")]
}

/// A response as OpenAI streams it, and whole.
fn response(more: &Value) -> (Value, Vec<Value>) {
    let search = json!({"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x", "queries": ["x"]}});
    let open = json!({"id": "ws_2", "type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "https://x"}});
    let reasoning = json!({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Not counted."}], "content": [{"type": "reasoning_text", "text": "So."}]});
    let call = json!({"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}", "status": "completed"});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hellö", "annotations": [], "logprobs": []}]});
    let mut whole = json!({"id": "resp_68", "object": "response", "created_at": 1, "status": "completed", "background": false, "error": null,
        "model": "gpt-5.6-2026-08-07", "output": [reasoning, search, open, call, message], "service_tier": "default",
        "instructions": "Be brief.", "tools": [{"type": "web_search"}], "store": true});
    for (key, value) in more.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let mut begun = whole.clone();
    begun["status"] = "in_progress".into();
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    begun["service_tier"] = "auto".into();
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    events.extend(output_item(0, &reasoning));
    events.push(json!({"type": "response.reasoning_summary_text.delta", "delta": "Not counted."}));
    events.push(json!({"type": "response.reasoning_text.delta", "delta": "So."}));
    events.push(json!({"type": "response.web_search_call.completed", "output_index": 1}));
    events.extend(output_item(1, &search));
    events.extend(output_item(2, &open));
    events.extend(output_item(3, &call));
    events.push(json!({"type": "response.function_call_arguments.delta", "delta": "{\"a\":", "obfuscation": "aB"}));
    events.push(json!({"type": "response.function_call_arguments.delta", "delta": "1}"}));
    events.push(json!({"type": "response.function_call_arguments.done", "arguments": "{\"a\":1}"}));
    events.push(json!({"type": "response.output_text.delta", "delta": "Hel"}));
    events.push(json!({"type": "response.output_text.delta", "delta": "lö"}));
    events.push(json!({"type": "response.output_text.done", "text": "Hellö"}));
    events.extend(output_item(4, &message));
    let status = whole["status"].as_str().unwrap().to_owned();
    events.push(json!({"type": format!("response.{status}"), "response": whole}));
    (whole, events)
}

const RESPONSE_TEXT: u64 = 3 + 7 + 6;

#[test]
fn a_response() {
    let usage = json!({"input_tokens": 11_328, "input_tokens_details": {"cached_tokens": 8_000, "cache_write_tokens": 300},
        "output_tokens": 250, "output_tokens_details": {"reasoning_tokens": 128}, "total_tokens": 11_578});
    for status in ["completed", "incomplete", "failed"] {
        let (whole, events) = response(&json!({"usage": usage, "status": status, "service_tier": "priority"}));
        let observer = StreamObserver::for_call(&call(Endpoint::Responses, &json!({})));
        let reading = both(observer, Endpoint::Responses, &whole, &typed(&events));
        let expected = Usage {
            input: 3_028,
            cache_read: 8_000,
            cache_write: 300,
            output: 250,
            reasoning: 128,
            searches: 1,
            ..Usage::default()
        };
        assert_eq!(
            reading,
            Reading {
                usage: Some(expected),
                tier: Some(Priority),
                id: Some("resp_68".to_owned()),
                model: Some("gpt-5.6-2026-08-07".to_owned()),
                region: None,
                output_text_bytes: RESPONSE_TEXT,
            }
        );
        let observed = observe_all(Endpoint::Responses, true, typed(&events).as_bytes()).observer;
        assert_eq!(*observed.reading(), reading, "the stream says all the reply says");
        assert_eq!(observed.proven_output_tokens(), 250);
    }
}

#[test]
fn the_tools_of_a_response() {
    let usage = json!({"input_tokens": 5, "output_tokens": 9, "total_tokens": 14});
    let check = |tool_usage: Value, searches: Option<u64>| {
        let (whole, events) = response(&json!({"usage": usage, "tool_usage": tool_usage}));
        let observer = StreamObserver::new(Endpoint::Responses, false);
        let reading = both(observer, Endpoint::Responses, &whole, &typed(&events));
        assert_eq!(reading.usage.map(|usage| usage.searches), searches, "{tool_usage}");
    };
    check(json!(null), Some(1));
    check(
        json!({"web_search": {"num_requests": 0}, "image_gen": {"total_tokens": 0}}),
        Some(1),
    );
    check(json!({"web_search": {"num_requests": 4}}), Some(4));
    check(json!({"web_search": {"num_requests": "many"}}), None);
    // Pictures are drawn by another model, at prices that are not this one's.
    check(
        json!({"image_gen": {"input_tokens": 10, "output_tokens": 1_056, "total_tokens": 1_066}}),
        None,
    );
}

#[test]
fn a_response_that_breaks_off_has_no_usage() {
    let usage = json!({"input_tokens": 5, "output_tokens": 9, "total_tokens": 14});
    let (_, events) = response(&json!({"usage": usage}));
    let (last, before) = events.split_last().unwrap();
    let observer = observe_all(Endpoint::Responses, false, typed(before).as_bytes()).observer;
    assert!(!observer.ended());
    assert_eq!((observer.reading().usage, observer.proven_output_tokens()), (None, 1));
    assert_eq!(observer.reading().output_text_bytes, RESPONSE_TEXT);
    // It failed before it used anything that it tells.
    let mut failed = last.clone();
    failed["type"] = "response.failed".into();
    failed["response"]["usage"] = Value::Null;
    failed["response"]["error"] = json!({"code": "server_error", "message": "The model\nfailed."});
    let observer = observe_all(Endpoint::Responses, false, typed(&[failed]).as_bytes()).observer;
    assert!(observer.ended());
    assert_eq!(observer.reading().usage, None);
    assert_eq!(observer.provider_error(), Some("server_error: The model failed."));
    let error = json!({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": null, "sequence_number": 1});
    let observer = observe_all(Endpoint::Responses, false, typed(&[error]).as_bytes()).observer;
    assert_eq!(observer.provider_error(), Some("rate_limit_exceeded: Slow down."));
}

#[test]
fn a_text_completion() {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 22, "total_tokens": 29});
    let reply = json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct:20230824-v2",
        "choices": [{"text": "\n\nHellö", "index": 0, "logprobs": null, "finish_reason": "length"}], "usage": usage});
    let chunk = |text: &str, finish: Value| {
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct:20230824-v2",
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}], "usage": null})
    };
    let extra =
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "x", "choices": [], "usage": usage});
    let before = data(&[chunk("\n\nHe", Value::Null), chunk("llö", json!("length"))]);
    let stream = format!("{before}{}data: [DONE]\n\n", data(&[extra]));
    let asked = call(
        Endpoint::Completions,
        &json!({"stream_options": {"include_usage": true}}),
    );
    let reading = both(StreamObserver::for_call(&asked), Endpoint::Completions, &reply, &stream);
    let expected = Usage {
        input: 7,
        output: 22,
        ..Usage::default()
    };
    assert_eq!((reading.usage, reading.output_text_bytes), (Some(expected), 8));

    // Usage that only the gateway asked for is hidden.
    let mut observer = StreamObserver::for_call(&call(Endpoint::Completions, &json!({})));
    let mut out = Vec::new();
    observer.push(Bytes::from(stream), &mut out);
    assert_eq!(out.concat(), format!("{before}data: [DONE]\n\n").as_bytes());
    assert_eq!(observer.reading().usage, Some(expected));
}

/// With `echo`, the text holds the prompt: it proves no output, and is more than the output's tokens.
#[test]
fn an_echo_proves_nothing() {
    let text = "x".repeat(1280);
    let stream = data(&[
        json!({"choices": [{"text": text, "index": 0}], "usage": {"prompt_tokens": 160, "completion_tokens": 1}}),
    ]) + "data: [DONE]\n\n";
    for (more, proven, believed) in [(json!({"echo": true}), 1, true), (json!({"echo": false}), 10, false)] {
        let mut observer = StreamObserver::for_call(&call(Endpoint::Completions, &more));
        observer.push(Bytes::from(stream.clone()), &mut Vec::new());
        observer.finish(&mut Vec::new());
        assert_eq!(observer.proven_output_tokens(), proven, "{more}");
        assert_eq!(observer.reading().usage.is_some(), believed, "{more}");
    }
    assert_eq!(
        observe_all(Endpoint::Completions, false, stream.as_bytes())
            .observer
            .proven_output_tokens(),
        1
    );
}

#[test]
fn a_chat_completion_with_audio_and_images() {
    let usage = json!({"prompt_tokens": 2_000, "completion_tokens": 500, "total_tokens": 2_500,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 50, "audio_tokens": 1_000, "image_tokens": 600, "text_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 400, "text_tokens": 100}});
    let reply = json!({"choices": [{"message": {"content": null, "audio": {"id": "a", "data": "AAAA", "transcript": "Hi"}}}], "usage": usage});
    let stream = chat_stream(&usage).0;
    let reading = both(StreamObserver::new(CHAT, false), CHAT, &reply, &stream);
    let expected = Usage {
        input: 250,
        cache_read: 100,
        cache_write: 50,
        audio_input: 1_000,
        image_input: 600,
        output: 100,
        reasoning: 20,
        audio_output: 400,
        ..Usage::default()
    };
    assert_eq!(reading.usage, Some(expected));
}

#[test]
fn a_message_with_searches_in_a_region() {
    let full = json!({"input_tokens": 21, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1_800, "output_tokens": 503,
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}, "service_tier": "standard", "inference_geo": "us"});
    let mut start = full.clone();
    start["output_tokens"] = 1.into();
    start["server_tool_use"] = Value::Null;
    let mut end = full.clone();
    end["inference_geo"] = Value::Null;
    let reply = json!({"id": "msg_1", "content": [], "usage": full});
    let stream = message_stream(&start, &end);
    let reading = both(StreamObserver::new(MESSAGES, false), MESSAGES, &reply, &stream);
    let expected = Usage {
        input: 21,
        cache_read: 1_800,
        output: 503,
        searches: 3,
        ..Usage::default()
    };
    assert_eq!((reading.usage, reading.region.as_deref()), (Some(expected), Some("us")));
    let observed = observe_all(MESSAGES, false, stream.as_bytes()).observer;
    assert_eq!(
        (observed.reading().region.as_deref(), observed.reading().tier),
        (Some("us"), Some(Standard))
    );
}

fn picture(kind: &str, usage: &Value, b64: &str) -> Value {
    json!({"type": kind, "b64_json": b64, "background": "opaque", "created_at": 1, "output_format": "png", "quality": "high",
        "size": "1024x1024", "usage": usage})
}

/// Each event is 10 MB, as pictures are; memory stays bounded, and the usage behind the picture is read.
#[test]
fn pictures() {
    let b64 = "iVBORw0KGgo".repeat(1_000_000);
    let details = json!({"text_tokens": 10, "image_tokens": 40});
    for (endpoint, kind, usage, expected) in [
        (
            Endpoint::ImageGenerations,
            "image_generation",
            json!({"input_tokens": 50, "input_tokens_details": {"text_tokens": 50, "image_tokens": 0}, "output_tokens": 4_160, "total_tokens": 4_210}),
            Usage {
                input: 50,
                image_output: 4_160,
                ..Usage::default()
            },
        ),
        (
            Endpoint::ImageEdits,
            "image_edit",
            json!({"input_tokens": 50, "input_tokens_details": details, "output_tokens": 4_200, "output_tokens_details": {"text_tokens": 40, "image_tokens": 4_160}, "total_tokens": 4_250}),
            Usage {
                input: 10,
                image_input: 40,
                output: 40,
                image_output: 4_160,
                ..Usage::default()
            },
        ),
        // No details: of an edit, what is not said to be text is taken for pictures.
        (
            Endpoint::ImageEdits,
            "image_edit",
            json!({"input_tokens": 50, "output_tokens": 4_200, "total_tokens": 4_250}),
            Usage {
                image_input: 50,
                image_output: 4_200,
                ..Usage::default()
            },
        ),
    ] {
        let reply =
            json!({"created": 1, "background": "opaque", "data": [{"b64_json": "iVBORw0KGgo"}], "usage": usage});
        let partial = picture(&format!("{kind}.partial_image"), &Value::Null, &b64);
        let done = picture(&format!("{kind}.completed"), &usage, &b64);
        let stream = typed(&[partial, done]);
        let whole = read_reply(endpoint, "application/json", reply.to_string().as_bytes()).unwrap();
        let mut observer = StreamObserver::new(endpoint, true);
        let mut out = Vec::new();
        for chunk in stream.as_bytes().chunks(100_000) {
            observer.push(Bytes::copy_from_slice(chunk), &mut out);
        }
        assert!(out.concat() == stream.as_bytes());
        assert!(observer.ended() && !observer.mid_event());
        let expected = Usage { images: 1, ..expected };
        assert_eq!(
            (observer.reading().usage, whole.usage),
            (Some(expected), Some(expected)),
            "{usage}"
        );
    }
}

#[test]
fn several_pictures_are_complete_when_all_have_come() {
    let usage = json!({"input_tokens": 50, "output_tokens": 1_000, "total_tokens": 1_050});
    let done = picture("image_generation.completed", &usage, "AAAA");
    let asked = call(Endpoint::ImageGenerations, &json!({"n": 2, "partial_images": 2}));
    let mut observer = StreamObserver::for_call(&asked);
    let one = Bytes::from(typed(&[done]));
    observer.push(one.clone(), &mut Vec::new());
    assert_eq!((observer.ended(), observer.reading().usage), (false, None));
    observer.push(one, &mut Vec::new());
    let expected = Usage {
        input: 100,
        image_output: 2_000,
        images: 2,
        ..Usage::default()
    };
    assert_eq!((observer.ended(), observer.reading().usage), (true, Some(expected)));

    // One whose figures cannot be read spoils the sum.
    let mut observer = StreamObserver::for_call(&asked);
    let bad = typed(&[picture("image_generation.completed", &json!({"input_tokens": -1}), "")]);
    observer.push(Bytes::from(format!("{bad}{bad}")), &mut Vec::new());
    assert_eq!(observer.reading().usage, None);
}

#[test]
fn speech_as_events() {
    let usage = json!({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115});
    let events = [
        json!({"type": "speech.audio.delta", "audio": "//NExAA".repeat(300_000)}),
        json!({"type": "speech.audio.delta", "audio": "AAAA"}),
        json!({"type": "speech.audio.done", "usage": usage}),
    ];
    let observer = StreamObserver::for_call(&call(Endpoint::Speech, &json!({"stream_format": "sse"})));
    let reading = both(observer, Endpoint::Speech, &json!({"usage": usage}), &typed(&events));
    let expected = Usage {
        input: 14,
        audio_output: 101,
        ..Usage::default()
    };
    assert_eq!(reading.usage, Some(expected));
    let audio = read_reply(Endpoint::Speech, "audio/mpeg", b"ID3\x04{").unwrap();
    assert_eq!(audio, Reading::default());
}

#[test]
fn transcripts() {
    let by_tokens = json!({"type": "tokens", "input_tokens": 114, "input_token_details": {"text_tokens": 14, "audio_tokens": 100},
        "output_tokens": 31, "total_tokens": 145});
    let without_details = json!({"type": "tokens", "input_tokens": 114, "output_tokens": 31, "total_tokens": 145});
    let by_length = json!({"type": "duration", "seconds": 9});
    let tokens = |input, audio_input| Usage {
        input,
        audio_input,
        output: 31,
        ..Usage::default()
    };
    let length = Usage {
        audio_ms: 9_000,
        ..Usage::default()
    };
    let text = "Imagine the wildest idea. ".repeat(100);
    for (usage, expected, bytes) in [
        (by_tokens, tokens(14, 100), 200),
        (without_details, tokens(0, 114), 200),
        // More text than no token could be: it is not what is billed.
        (by_length, length, 2_000),
    ] {
        let (said, rest) = text.get(..bytes).unwrap().split_at(100);
        let whole = format!("{said}{rest}");
        let reply = json!({"text": whole, "usage": usage});
        let events = [
            json!({"type": "transcript.text.delta", "delta": said}),
            json!({"type": "transcript.text.segment", "id": "seg_1", "start": 0.0, "end": 1.5, "speaker": "A", "text": said}),
            json!({"type": "transcript.text.delta", "delta": rest}),
            json!({"type": "transcript.text.done", "text": whole, "usage": usage}),
        ];
        for endpoint in [Endpoint::Transcriptions, Endpoint::Translations] {
            let reading = both(StreamObserver::new(endpoint, false), endpoint, &reply, &typed(&events));
            assert_eq!(reading.usage, Some(expected), "{usage}");
            assert_eq!(reading.output_text_bytes, bytes as u64);
        }
        let (_, before) = events.split_last().unwrap();
        let observer = observe_all(Endpoint::Transcriptions, false, typed(before).as_bytes()).observer;
        assert_eq!((observer.ended(), observer.reading().usage), (false, None));
        assert_eq!(
            observer.proven_output_tokens(),
            (bytes as u64).div_ceil(LONGEST_TOKEN_BYTES)
        );
    }
}
