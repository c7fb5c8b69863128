//! Streams as bad upstreams send them. Whatever comes is passed on unchanged, nothing panics, and figures that may be
//! wrong are not shown as final.

use super::*;

/// The endpoints that stream, each with a whole stream of it, figures included.
fn streams() -> Vec<(Endpoint, String)> {
    let usage = json!({"prompt_tokens": 19, "completion_tokens": 10});
    let flat = json!({"input_tokens": 19, "output_tokens": 10, "total_tokens": 29});
    let (start, delta) = message_usage();
    let text = json!({"choices": [{"text": "Hi", "index": 0, "finish_reason": "stop"}], "usage": null});
    vec![
        (CHAT, chat_stream(&usage).0),
        (MESSAGES, message_stream(&start, &delta)),
        (
            Endpoint::Completions,
            data(&[text, chat_usage(&usage)]) + "data: [DONE]\n\n",
        ),
        (
            Endpoint::Responses,
            data(&[
                json!({"type": "response.output_text.delta", "delta": "Hi"}),
                json!({"type": "response.completed", "response": {"id": "resp_1", "output": [], "usage": flat}}),
            ]),
        ),
        (
            Endpoint::ImageGenerations,
            data(&[json!({"type": "image_generation.completed", "b64_json": "AAAA", "usage": flat})]),
        ),
        (
            Endpoint::ImageEdits,
            data(&[json!({"type": "image_edit.completed", "b64_json": "AAAA", "usage": flat})]),
        ),
        (
            Endpoint::Speech,
            data(&[
                json!({"type": "speech.audio.delta", "audio": "AAAA"}),
                json!({"type": "speech.audio.done", "usage": flat}),
            ]),
        ),
        (
            Endpoint::Transcriptions,
            data(&[
                json!({"type": "transcript.text.delta", "delta": "Hi"}),
                json!({"type": "transcript.text.done", "text": "Hi", "usage": flat}),
            ]),
        ),
    ]
}

/// Observes `stream` whole and byte by byte; it passes unchanged. Gives whether it ended and whether it has usage.
fn seen(endpoint: Endpoint, stream: &[u8]) -> (bool, bool) {
    let observed = observe_all(endpoint, false, stream);
    assert!(observed.delivered == stream, "{endpoint:?}");
    if stream.len() < 100_000 {
        let mut observer = StreamObserver::new(endpoint, false);
        let mut out = Vec::new();
        for byte in stream {
            observer.push(Bytes::copy_from_slice(&[*byte]), &mut out);
        }
        observer.finish(&mut out);
        assert_eq!(observer.reading(), observed.observer.reading());
        assert_eq!(observer.ended(), observed.observer.ended());
        assert_eq!(out.concat(), stream);
    }
    (observed.observer.ended(), observed.observer.reading().usage.is_some())
}

/// What comes in front of a good stream takes nothing from it.
fn harmless_in_front(odd: &[u8]) {
    for (endpoint, stream) in streams() {
        let stream = [odd, stream.as_bytes()].concat();
        let text = String::from_utf8_lossy(odd);
        assert_eq!(
            seen(endpoint, &stream),
            (true, true),
            "{endpoint:?} {:?}",
            text.get(..40).unwrap_or(&text)
        );
    }
}

#[test]
fn every_stream_is_whole() {
    harmless_in_front(b"");
    let streaming: Vec<_> = streams().into_iter().map(|(endpoint, _)| endpoint).collect();
    for endpoint in Endpoint::ALL {
        assert_eq!(endpoint.may_stream(), streaming.contains(&endpoint), "{endpoint:?}");
    }
}

#[test]
fn invalid_sse() {
    for odd in [
        &b"<html>502 Bad Gateway</html>\n\n"[..],
        b"no colon\nevent\n\n",
        b"\xff\xfe\x00: \xff\n\n",
        b"retry: soon\nid\n: \n\n",
        b"\r\r\n\n\r",
        b"data\n\n",
    ] {
        harmless_in_front(odd);
    }
}

#[test]
fn invalid_json() {
    for odd in [
        "{",
        "{\"choices\":[",
        "nul",
        "{\"a\":1}{",
        "\u{0}",
        "{\"a\":\"\n\ndata: \"}",
    ] {
        harmless_in_front(format!("data: {odd}\n\n").as_bytes());
    }
    harmless_in_front(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n");
    harmless_in_front(format!("data: {}\n\n", "[".repeat(3_000)).as_bytes());
}

#[test]
fn data_after_done() {
    let done = |(_, stream): &(Endpoint, String)| !stream.contains("[DONE]");
    for (endpoint, stream) in streams() {
        let late = format!("{stream}data: {{\"late\":true}}\n\n: x\n\n");
        assert_eq!(seen(endpoint, late.as_bytes()), (true, true), "{endpoint:?}");
    }
    // Typed streams end with their last event; some servers add OpenAI's older mark.
    for (endpoint, stream) in streams()
        .into_iter()
        .filter(done)
        .filter(|(endpoint, _)| *endpoint != MESSAGES)
    {
        assert_eq!(
            seen(endpoint, format!("{stream}data: [DONE]\n\n").as_bytes()),
            (true, true)
        );
    }
    // Text behind the figures is not in them.
    let (_, chat) = streams().swap_remove(0);
    let late = format!("{chat}{}", data(&[chat_chunk(json!({"content": "more"}), Value::Null)]));
    assert_eq!(seen(CHAT, late.as_bytes()), (true, false));
}

#[test]
fn no_chunks() {
    for (endpoint, _) in streams() {
        assert_eq!(seen(endpoint, b""), (false, false));
        assert_eq!(seen(endpoint, b"\n\n: ping\n\n"), (false, false));
        let ended = endpoint != MESSAGES;
        assert_eq!(seen(endpoint, b"data: [DONE]\n\n"), (ended, false), "{endpoint:?}");
    }
}

#[test]
fn non_object_chunk() {
    for odd in [
        "1",
        "null",
        "\"x\"",
        "[]",
        "[{\"type\":\"response.completed\"}]",
        "true",
    ] {
        harmless_in_front(format!("data: {odd}\n\n").as_bytes());
    }
    for odd in [
        "{\"choices\":7}",
        "{\"response\":7,\"type\":\"response.completed\"}",
        "{\"usage\":[],\"delta\":{},\"item\":null}",
    ] {
        for (endpoint, stream) in streams() {
            let (ended, _) = seen(endpoint, format!("data: {odd}\n\n{stream}").as_bytes());
            assert!(ended);
        }
    }
}

#[test]
fn choice_index_other_than_0() {
    for (endpoint, piece) in [
        (
            CHAT,
            json!({"choices": [{"index": 7, "delta": {"content": "x".repeat(256)}}]}),
        ),
        (
            CHAT,
            json!({"choices": [{"index": -1, "delta": {"content": "x".repeat(256)}}]}),
        ),
        (
            Endpoint::Completions,
            json!({"choices": [{"index": "a", "text": "x".repeat(256)}]}),
        ),
    ] {
        let mut observer = StreamObserver::with(endpoint, false, 1, false);
        observer.push(Bytes::from(data(&[piece])), &mut Vec::new());
        assert_eq!(observer.proven_output_tokens(), 2, "all choices are billed");
    }
}

#[test]
fn non_string_content_or_arguments() {
    for odd in [
        json!({"choices": [{"delta": {"content": 7}}]}),
        json!({"choices": [{"delta": {"content": {"text": "x"}}}]}),
        json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]}}]}),
        json!({"choices": [{"text": ["x"]}]}),
        json!({"type": "response.output_text.delta", "delta": {"text": "x"}}),
        json!({"type": "response.function_call_arguments.delta", "delta": 7}),
        json!({"type": "transcript.text.delta", "delta": ["x"]}),
        json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": 7}}),
        json!({"type": "speech.audio.delta", "audio": 7}),
        json!({"type": 7, "response": {"id": 7, "output": "x", "model": {}, "tool_usage": [], "service_tier": 1}}),
        json!({"type": "response.in_progress", "response": {"output": [7, null, {"content": [7, {"text": 7}], "action": 7, "type": 7}]}}),
    ] {
        harmless_in_front(data(&[odd]).as_bytes());
    }
}

#[test]
fn tool_fragment_without_index() {
    for (endpoint, piece) in [
        (
            CHAT,
            json!({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "x".repeat(256)}}]}}]}),
        ),
        (
            Endpoint::Responses,
            json!({"type": "response.function_call_arguments.delta", "delta": "x".repeat(256)}),
        ),
        (
            MESSAGES,
            json!({"type": "content_block_delta", "delta": {"partial_json": "x".repeat(256)}}),
        ),
    ] {
        let observer = observe_all(endpoint, false, data(&[piece]).as_bytes()).observer;
        assert_eq!(observer.proven_output_tokens(), 2, "{endpoint:?}");
    }
}

#[test]
fn unknown_delta_field_is_passed_through() {
    for odd in [
        json!({"choices": [{"delta": {"future": {"deep": [[[1]]]}, "content": ""}}], "new": 1}),
        json!({"type": "response.of_the_future.delta", "delta": "x".repeat(9_999), "x": {}}),
        json!({"type": "image_generation.of_the_future", "b64_json": "AAAA"}),
        json!({"type": "transcript.of_the_future", "delta": "x".repeat(9_999)}),
        json!({"type": "content_block_delta", "delta": {"type": "of_the_future", "x": 1}}),
    ] {
        harmless_in_front(data(&[odd]).as_bytes());
    }
}

#[test]
fn stream_cut_before_done() {
    for (endpoint, stream) in streams() {
        // Behind its last brace an event is whole, whether or not a blank line ends it.
        let figures = stream.rfind("_tokens").unwrap();
        for cut in 0..figures {
            let observer = observe_all(endpoint, false, &stream.as_bytes()[..cut]).observer;
            assert_eq!(observer.reading().usage, None, "{endpoint:?} after {}", &stream[..cut]);
            assert!(observer.proven_output_tokens() <= 89);
        }
    }
}

#[test]
fn ten_megabyte_events() {
    let big = "x".repeat(10 << 20);
    for (endpoint, stream) in streams() {
        let odd = json!({"type": "unknown", "x": big, "y": [big]});
        let (ended, usage) = seen(endpoint, (data(&[odd]) + &stream).as_bytes());
        assert!(ended && usage, "{endpoint:?}");
        // Not JSON at all, and no line end either.
        let (ended, usage) = seen(endpoint, format!("{stream}data: {big}").as_bytes());
        assert!(ended, "{endpoint:?}");
        assert!(!usage, "{endpoint:?}: it may have held text");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Good streams of every endpoint, one after the other or broken, in any split.
    #[test]
    fn any_split_of_any_endpoint_gives_the_same(
        which in 0..8_usize, other in 0..8_usize, cuts in proptest::collection::vec(any::<usize>(), 0..12),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), hide in any::<bool>(),
    ) {
        let (endpoint, stream) = streams().swap_remove(which);
        let (_, after) = streams().swap_remove(other);
        let mut stream = (stream + &after).into_bytes();
        let at = at.index(stream.len());
        stream[at] = byte;
        let whole = observe_all(endpoint, hide, &stream);
        let parts = observe_chunks(endpoint, hide, cut(&stream, &cuts));
        prop_assert!(parts.delivered == whole.delivered);
        prop_assert_eq!(parts.observer.reading(), whole.observer.reading());
        prop_assert_eq!(parts.observer.ended(), whole.observer.ended());
        prop_assert_eq!(parts.observer.provider_error(), whole.observer.provider_error());
        prop_assert_eq!(parts.observer.proven_output_tokens(), whole.observer.proven_output_tokens());
    }
}
