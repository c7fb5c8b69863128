//! Requests in every form, read.

use super::*;

fn chat(body: &str) -> Ask<'_> {
    Ask::parse(Wire::Chat, body.as_bytes()).unwrap()
}

#[test]
fn a_chat_request_is_read() {
    let ask = chat(
        r#"{"model":"gpt-4o","messages":[{"role":"system","content":"12345678"},
        {"role":"user","content":[{"type":"text","text":"1234"},{"type":"image_url","image_url":{"url":"x"}}]}],
        "stream":true,"stream_options":{"include_usage":true},"n":2,"max_tokens":7,"max_completion_tokens":9,
        "tools":null,"unknown":{"deep":[1,2]}}"#,
    );
    assert_eq!((&*ask.model, ask.stream, ask.include_usage), ("gpt-4o", true, true));
    assert_eq!((ask.limit, ask.choices, ask.input_tokens), (Some(9), 2, 3 + 6));
    assert!(ask.tool.is_none());
}

#[test]
fn a_messages_request_is_read() {
    let body = r#"{"model":"claude-x","max_tokens":5,"system":[{"type":"text","text":"1234"}],
        "messages":[{"role":"user","content":"1234"}]}"#;
    let ask = Ask::parse(Wire::Messages, body.as_bytes()).unwrap();
    assert_eq!(
        (&*ask.model, ask.stream, ask.limit, ask.input_tokens),
        ("claude-x", false, Some(5), 2 + 3)
    );
}

#[test]
fn responses_and_text_requests_are_read() {
    let tool = r#""tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]"#;
    let items = r#"[{"role":"user","content":[{"type":"input_text","text":"12345678"}]},
        {"type":"function_call","call_id":"c","name":"f","arguments":"1234"},
        {"type":"function_call_output","call_id":"c","output":"1234"}]"#;
    for (wire, body, expected) in [
        (
            Wire::Responses,
            r#"{"model":"m","input":"12345678","instructions":"1234","max_output_tokens":9}"#.to_owned(),
            (Some(9), 1, 3 + 3, false),
        ),
        (
            Wire::Responses,
            format!(r#"{{"model":"m","input":"1234",{tool}}}"#),
            (None, 1, 3 + 17, true),
        ),
        (
            Wire::Responses,
            format!(r#"{{"model":"m","input":{items},{tool}}}"#),
            (None, 1, 9 + 20, false),
        ),
        (
            Wire::Text,
            r#"{"model":"m","prompt":["1234","12345678"],"n":2}"#.to_owned(),
            (Some(16), 4, 3, false),
        ),
    ] {
        let ask = Ask::parse(wire, body.as_bytes()).unwrap();
        let found = (ask.limit, ask.choices, ask.input_tokens, ask.tool.is_some());
        assert_eq!(found, expected, "{body}");
    }
    let body = br#"{"model":"m","system":"1234","messages":[{"role":"user","content":"1234"}]}"#;
    assert_eq!(count_tokens(body).unwrap(), ("m".to_owned(), 2 + 3));
}

#[test]
fn bad_requests_are_refused_with_400() {
    let table = [
        (Wire::Chat, "{", "We could not parse the JSON body"),
        (Wire::Chat, r#"{"model":"m"}"#, "missing field `messages`"),
        (Wire::Chat, r#"{"model":"m","messages":[]}"#, "empty array"),
        (
            Wire::Chat,
            r#"{"model":7,"messages":[{"role":"user","content":""}]}"#,
            "invalid type",
        ),
        (
            Wire::Chat,
            r#"{"model":"m","n":0,"messages":[{"role":"user"}]}"#,
            "Invalid 'n'",
        ),
        (
            Wire::Chat,
            r#"{"model":"m","max_tokens":0,"messages":[{"role":"user"}]}"#,
            "Invalid 'max_tokens'",
        ),
        (
            Wire::Chat,
            r#"{"model":"m","messages":[{"role":"user"}],"tools":[7]}"#,
            "tools",
        ),
        (Wire::Responses, r#"{"model":"m","input":[]}"#, "empty array"),
        (
            Wire::Responses,
            r#"{"model":"m","input":"a","max_output_tokens":0}"#,
            "Invalid 'max_output_tokens'",
        ),
        (Wire::Text, r#"{"model":"m"}"#, "missing field `prompt`"),
        (Wire::Messages, "[", "valid JSON"),
        (
            Wire::Messages,
            r#"{"model":"m","messages":[{"role":"user","content":""}]}"#,
            "max_tokens",
        ),
        (
            Wire::Messages,
            r#"{"model":"m","max_tokens":0,"messages":[{"role":"user"}]}"#,
            "max_tokens",
        ),
    ];
    for (wire, body, part) in table {
        let refusal = Ask::parse(wire, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status.as_u16(), 400, "{body}");
        assert!(refusal.message.contains(part), "{body}: {}", refusal.message);
    }
}

proptest::proptest! {
    #[test]
    fn input_tokens_never_exceed_the_bytes_of_the_request(texts in proptest::collection::vec(".{0,40}", 1..6)) {
        let messages: Vec<_> = texts.iter().map(|text| serde_json::json!({"role":"user","content":text})).collect();
        for wire in [Wire::Chat, Wire::Messages] {
            let body = serde_json::json!({"model":"m","max_tokens":9,"messages":messages}).to_string();
            let ask = Ask::parse(wire, body.as_bytes()).unwrap();
            proptest::prop_assert!(ask.input_tokens <= u64::try_from(body.len()).unwrap());
            proptest::prop_assert!(ask.input_tokens >= 1);
        }
    }
}
