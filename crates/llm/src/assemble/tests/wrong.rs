//! Streams that are no reply's.

use super::*;

#[track_caller]
fn check(endpoint: Endpoint, stream: &str, expected: AssembleError) {
    assert_eq!(assembled(endpoint, stream).unwrap_err(), expected, "{stream}");
}

#[test]
fn streams_that_end_before_their_end() {
    let begun = delta(0, json!({"content": "Hi"}));
    check(CHAT, "", AssembleError::Unfinished);
    check(CHAT, "data: [DONE]\n\n", AssembleError::Unfinished);
    check(CHAT, &data(std::slice::from_ref(&begun)), AssembleError::Unfinished);
    check(
        CHAT,
        &(data(&[begun, delta(1, json!({"content": "Hi"})), stop(1, "stop")]) + "data: [DONE]\n\n"),
        AssembleError::Unfinished,
    );
    check(
        Endpoint::Messages,
        &named(&[message_start()]),
        AssembleError::Unfinished,
    );
    check(
        Endpoint::Messages,
        &named(&message_end("end_turn")[1..]),
        AssembleError::Unfinished,
    );
    check(
        Endpoint::Responses,
        &named(&[json!({"type": "response.created", "response": {}})]),
        AssembleError::Unfinished,
    );
}

#[test]
fn what_comes_behind_the_end_is_no_part_of_the_reply() {
    let chat = data(&[delta(0, json!({"content": "Hi"})), stop(0, "stop")]) + "data: [DONE]\n\n";
    let reply = assembled(CHAT, &chat).unwrap();
    for more in ["data: {\"choices\":7,\n\n", "data: {\"error\":{\"message\":\"x\"}}\n\n"] {
        assert_eq!(assembled(CHAT, &(chat.clone() + more)).unwrap(), reply);
    }
    let mut events = vec![message_start()];
    events.extend(message_end("end_turn"));
    let message = assembled(Endpoint::Messages, &named(&events)).unwrap();
    events.push(message_start());
    assert_eq!(assembled(Endpoint::Messages, &named(&events)).unwrap(), message);
}

#[test]
fn errors_of_the_provider() {
    let failed = |text: &str| AssembleError::Failed(text.to_owned());
    check(
        CHAT,
        &data(&[
            delta(0, json!({"content": "Hi"})),
            json!({"error": {"type": "server_error", "message": "Out\nof order."}}),
        ]),
        failed("server_error: Out of order."),
    );
    check(
        Endpoint::Messages,
        &named(&[
            message_start(),
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ]),
        failed("overloaded_error: Overloaded"),
    );
    check(
        Endpoint::Responses,
        &named(&[json!({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down."})]),
        failed("rate_limit_exceeded: Slow down."),
    );
}

#[test]
fn events_without_sense() {
    let raw = |data: &str| format!("data: {data}\n\n");
    check(CHAT, &raw("[]"), AssembleError::NotAnObject);
    check(CHAT, &raw(r#"{"choices":[7]}"#), AssembleError::Missing("choice"));
    check(
        CHAT,
        &raw(r#"{"choices":[{"index":0.5}]}"#),
        AssembleError::Missing("index"),
    );
    check(
        CHAT,
        &raw(r#"{"choices":[{"index":0,"delta":"Hi"}]}"#),
        AssembleError::Missing("delta"),
    );
    assert!(matches!(assembled(CHAT, &raw("{")), Err(AssembleError::Json(_))));
    let content = |content: Value| delta(0, json!({"content": content}));
    check(
        CHAT,
        &data(&[content(json!("a")), content(json!(["b"]))]),
        AssembleError::Mixed,
    );
    check(
        CHAT,
        &data(&[delta(0, json!({"tool_calls": [{"function": {"arguments": "x"}}]}))]),
        AssembleError::Fragment,
    );
    let messages = Endpoint::Messages;
    let text = || block_start(0, json!({"type": "text", "text": ""}));
    check(messages, &named(&message_end("end_turn")), AssembleError::Fragment);
    check(
        messages,
        &named(&[message_start(), message_start()]),
        AssembleError::Mixed,
    );
    check(messages, &named(&[text(), text()]), AssembleError::Mixed);
    check(
        messages,
        &named(&[text(), block_delta(1, json!({"type": "text_delta", "text": "a"}))]),
        AssembleError::Fragment,
    );
    check(
        messages,
        &named(&[json!({"type": "content_block_start", "content_block": {}})]),
        AssembleError::Missing("index"),
    );
    check(
        messages,
        &named(&[block_start(0, json!(7))]),
        AssembleError::Missing("content_block"),
    );
    check(
        Endpoint::Responses,
        &named(&[json!({"type": "response.completed", "response": 7})]),
        AssembleError::Missing("response"),
    );
}

/// What is counted is what is held, not what it came in: ten thousand events of a byte each are a small reply.
#[test]
fn small_pieces_are_small() {
    let most = 40_000;
    let many = |event: Value| std::iter::repeat_n(data(&[event]), 10_000).collect::<String>();
    let chat = many(delta(0, json!({"role": "assistant", "content": "a"}))) + &data(&[stop(0, "stop")]);
    let message = data(&[message_start(), block_start(0, json!({"type": "text", "text": ""}))])
        + &many(block_delta(0, json!({"type": "text_delta", "text": "a"})))
        + &data(&message_end("end_turn"));
    for (endpoint, stream) in [(CHAT, chat), (Endpoint::Messages, message)] {
        let reply = assemble_chunks(endpoint, most, [stream.as_bytes()]).unwrap();
        assert!((10_000..11_000).contains(&reply.len()));
    }
}

/// Whatever is sent, no more than the bound is kept, and the one who reads is told.
#[test]
fn memory_is_bounded() {
    let most = 20_000;
    let many = |event: String| std::iter::repeat_n(event, 30_000).collect::<String>();
    let numbered = |event: fn(usize) -> Value| (0..30_000).map(|n| data(&[event(n)])).collect::<String>();
    for (endpoint, stream) in [
        (CHAT, many(data(&[delta(0, json!({"content": "a"}))]))),
        (CHAT, numbered(|n| json!({"choices": [{"index": n, "delta": {}}]}))),
        (
            CHAT,
            numbered(|n| json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": n}]}}]})),
        ),
        (CHAT, numbered(|n| json!({"choices": [], format!("x{n}"): n}))),
        (CHAT, format!("data: {}\n\n", "1".repeat(30_000))),
        (CHAT, "x".repeat(30_000)),
        (
            Endpoint::Messages,
            numbered(|n| block_start(u64::try_from(n).unwrap(), json!({}))),
        ),
        (
            Endpoint::Messages,
            named(&[block_start(0, json!({}))]) + &many(named(&[block_delta(0, json!({"partial_json": " "}))])),
        ),
    ] {
        let mut stream = stream;
        stream.push_str("\n\n");
        let found = assemble_chunks(endpoint, most, stream.as_bytes().chunks(1_000));
        assert_eq!(
            found,
            Err(AssembleError::TooLarge),
            "{endpoint} {}",
            &stream[..100.min(stream.len())]
        );
    }
}
