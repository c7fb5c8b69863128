use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod dialects;
mod shuffled;

const CHAT: Endpoint = Endpoint::ChatCompletions;
const COMPLETIONS: Endpoint = Endpoint::Completions;
const MESSAGES: Endpoint = Endpoint::Messages;
const RESPONSES: Endpoint = Endpoint::Responses;

/// The step as a text.
fn read(endpoint: Endpoint, body: &str) -> String {
    let step = step(endpoint, Some("application/json"), body.as_bytes(), Sameness::Calls);
    String::from_utf8(step.unwrap_or_else(|| panic!("no step in {body}"))).unwrap()
}

#[test]
fn a_step_is_lines_of_what_is_asked() {
    let check = |endpoint, body: &Value, expected: &str| assert_eq!(read(endpoint, &body.to_string()), expected);
    let chat = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Weather?"}, {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get", "arguments": "{\"b\": 1.0, \"a\": \"\\u00e9\"}"}},
            {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
        {"role": "tool", "tool_call_id": "call_2", "content": "1"},
        {"role": "user", "content": "Thanks."},
    ]);
    let upto = |len: usize| json!({"model": "m", "temperature": 1, "messages": chat.as_array().unwrap()[..len]});
    check(
        CHAT,
        &upto(2),
        "Pr\"system\"\nt\"Be brief.\"\nr\"user\"\nn\"ann\"\nt\"Weather?\"\n\
         p{\"image_url\":{\"detail\":\"low\",\"url\":\"u\"},\"type\":\"image_url\"}\n",
    );
    check(
        CHAT,
        &upto(5),
        "Cc\"get\"\na{\"a\":\"é\",\"b\":1}\nc\"sql\"\nx\"select 1\"\n",
    );
    check(
        CHAT,
        &upto(6),
        "Tr\"assistant\"\nc\"get\"\na{\"a\":\"é\",\"b\":1}\nc\"sql\"\nx\"select 1\"\n\
         r\"tool\"\nt\"18 °C\"\nr\"tool\"\nt\"1\"\nr\"user\"\nt\"Thanks.\"\n",
    );
    check(
        MESSAGES,
        &json!({"max_tokens": 1, "system": "S", "messages": [
            {"role": "user", "content": "Fix"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Look.", "signature": "EqQB"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "fn"}]}]},
            {"role": "user", "content": "Go on."}]}),
        "Tr\"assistant\"\nt\"Looking.\"\nc\"read\"\na{\"path\":\"a\"}\nr\"user\"\no\nt\"fn\"\nr\"user\"\nt\"Go on.\"\n",
    );
    check(
        RESPONSES,
        &json!({"instructions": "I", "input": "hi", "previous_response_id": "resp_1", "prompt": {"id": "p", "version": "2"}}),
        "Pk\"previous_response_id\"\nt\"resp_1\"\nk\"prompt\"\np{\"id\":\"p\",\"version\":\"2\"}\nk\"instructions\"\nt\"I\"\nt\"hi\"\n",
    );
    check(
        RESPONSES,
        &json!({"instructions": "I", "previous_response_id": "resp_1", "input": [
            {"type": "function_call_output", "call_id": "call_1", "output": "18"}]}),
        "Ro\nt\"18\"\n",
    );
    check(
        COMPLETIONS,
        &json!({"prompt": ["a", "b"], "suffix": "z"}),
        "Pk\"suffix\"\nt\"z\"\nt\"a\"\nt\"b\"\n",
    );
    check(COMPLETIONS, &json!({"model": "m"}), "P");
}

#[test]
fn only_generation_in_readable_json_has_steps() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"input":"hi","prompt":"hi"}"#;
    for endpoint in Endpoint::ALL {
        let generates = endpoint.action() == CHAT.action();
        assert_eq!(
            step(endpoint, None, body, Sameness::Calls).is_some(),
            generates,
            "{endpoint:?}"
        );
    }
    for (content_type, ok) in [
        (None, true),
        (Some(""), true),
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("text/plain"), false),
        (Some("multipart/form-data; boundary=x"), false),
    ] {
        assert_eq!(
            step(CHAT, content_type, body, Sameness::Calls).is_some(),
            ok,
            "{content_type:?}"
        );
    }
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for body in ["", "[]", "null", "{", "{} {}", "{\"messages\":[}", "\u{feff}{}", &deep] {
        assert_eq!(step(CHAT, None, body.as_bytes(), Sameness::Calls), None, "{body}");
    }
    assert_eq!(step(CHAT, None, b"{\"messages\":\"\xff\"}", Sameness::Calls), None);
}

#[test]
fn what_is_not_as_it_should_be_is_still_told_apart() {
    let odd = [
        r#"{"messages":[]}"#,
        r#"{"messages":5}"#,
        r#"{"messages":"hi"}"#,
        r#"{"messages":[1]}"#,
        r#"{"messages":[[1]]}"#,
        r#"{"messages":[{}]}"#,
        r#"{"messages":[{"role":1}]}"#,
        r#"{"messages":[{"role":"user"}]}"#,
        r#"{"messages":[{"role":"user","content":7}]}"#,
        r#"{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":7}]}]}"#,
        r#"{"messages":[{"role":"tool","content":"x"}]}"#,
        r#"{"messages":[{"role":"assistant","tool_calls":[{}]},{"role":"tool"}]}"#,
        r#"{"messages":[{"role":"assistant","tool_calls":[{},7]},{"role":"tool"}]}"#,
        r#"{"messages":[{"role":"assistant","tool_calls":7},{"role":"tool"}]}"#,
        r#"{"messages":[{"role":"assistant","tool_calls":[{"function":"f"}]},{"role":"user"}]}"#,
    ];
    for (index, body) in odd.iter().enumerate() {
        let step = read(CHAT, body);
        // Calls that say nothing are the same calls as each other's.
        for other in odd.iter().take(index) {
            assert_ne!(step, read(CHAT, other), "{body} and {other}");
        }
    }
}
