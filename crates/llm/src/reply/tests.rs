use super::*;

const CHAT: Endpoint = Endpoint::ChatCompletions;
const MESSAGES: Endpoint = Endpoint::Messages;

fn read(endpoint: Endpoint, body: &str) -> Reading {
    read_reply(endpoint, "application/json", body.as_bytes()).unwrap()
}

#[test]
fn reads_a_chat_completion() {
    let body = r#"{
      "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
      "object": "chat.completion", "created": 1741570283, "model": "gpt-4o-2024-08-06",
      "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "caf\u00e9\n", "refusal": null, "annotations": []}, "logprobs": null, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": null, "reasoning_content": "hmm", "reasoning": "hmmm",
          "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}, {"type": "custom", "custom": {"name": "g", "input": "xyz"}}]}}
      ],
      "usage": {"prompt_tokens": 1117, "completion_tokens": 46, "total_tokens": 1163,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}},
      "service_tier": "default", "system_fingerprint": "fp_fc9f1d7035"
    }"#;
    assert_eq!(
        read(CHAT, body),
        Reading {
            usage: Some(Usage {
                input: 1117,
                output: 46,
                ..Usage::default()
            }),
            tier: Some(ServiceTier::Standard),
            id: Some("chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG".to_owned()),
            model: Some("gpt-4o-2024-08-06".to_owned()),
            region: None,
            output_text_bytes: 6 + 4 + 7 + 3,
        }
    );
}

#[test]
fn reads_a_message() {
    let body = r#"{
      "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
      "content": [{"type": "thinking", "thinking": "So.", "signature": "EqQBCgIYAhIM"}, {"type": "text", "text": "Hi!"},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Tokyo"}}],
      "stop_reason": "tool_use", "stop_sequence": null,
      "usage": {"input_tokens": 2095, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "output_tokens": 503, "service_tier": "priority"}
    }"#;
    assert_eq!(
        read(MESSAGES, body),
        Reading {
            usage: Some(Usage {
                input: 2095,
                cache_read: 10,
                output: 503,
                ..Usage::default()
            }),
            tier: Some(ServiceTier::Priority),
            id: Some("msg_01XFDUDYJgAACzvnptvVoYEL".to_owned()),
            model: Some("claude-sonnet-4-5-20250929".to_owned()),
            region: None,
            output_text_bytes: 6,
        }
    );
}

/// No usage, or usage that cannot be true, is none: Portkey-AI/gateway#1259, #1180; BerriAI/litellm#39088.
#[test]
fn case_11_missing_or_impossible_usage_is_none() {
    let text = "x".repeat(1281);
    for usage in [
        "null".to_owned(),
        "{}".to_owned(),
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"input_tokens":0,"output_tokens":0}"#.to_owned(),
        // 1,281 bytes are at least 11 tokens.
        r#"{"prompt_tokens":5,"completion_tokens":10,"input_tokens":5,"output_tokens":10}"#.to_owned(),
        r#"{"prompt_tokens":5,"completion_tokens":-11,"input_tokens":5,"output_tokens":-11}"#.to_owned(),
        r#"{"prompt_tokens":5,"completion_tokens":11.5,"input_tokens":5,"output_tokens":11.5}"#.to_owned(),
        format!(
            r#"{{"prompt_tokens":5,"completion_tokens":{0},"input_tokens":5,"output_tokens":{0}}}"#,
            u64::MAX
        ),
    ] {
        let chat = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"usage":{usage}}}"#);
        assert_eq!(read(CHAT, &chat).usage, None, "{usage}");
        let message = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"usage":{usage}}}"#);
        assert_eq!(read(MESSAGES, &message).usage, None, "{usage}");
    }
    assert_eq!(read(CHAT, "{}"), Reading::default());
    assert_eq!(read(MESSAGES, "{}"), Reading::default());
}

#[test]
fn fields_of_a_wrong_type_lose_nothing_else() {
    let usage = Some(Usage {
        input: 3,
        output: 2,
        ..Usage::default()
    });
    for odd in [
        "null",
        "1",
        "\"x\"",
        "[]",
        "{}",
        "[1,[2],{}]",
        "1e999",
        "[{\"message\":[]}]",
        "[{\"message\":{\"content\":[1]}}]",
    ] {
        for name in ["id", "model", "choices", "service_tier", "error", "created"] {
            let body = format!(r#"{{"{name}":{odd},"usage":{{"prompt_tokens":3,"completion_tokens":2}}}}"#);
            assert_eq!(read(CHAT, &body).usage, usage, "{body}");
        }
        for name in ["id", "model", "content", "type", "delta", "message", "error"] {
            let body = format!(r#"{{"{name}":{odd},"usage":{{"input_tokens":3,"output_tokens":2}}}}"#);
            assert_eq!(read(MESSAGES, &body).usage, usage, "{body}");
        }
    }
}

#[test]
fn names_that_could_harm_a_log_are_not_kept() {
    for bad in [
        "\"\"".to_owned(),
        r#""a\nb""#.to_owned(),
        format!("\"{}\"", "x".repeat(257)),
        "7".to_owned(),
    ] {
        let reading = read(CHAT, &format!(r#"{{"id":{bad},"model":{bad}}}"#));
        assert_eq!((reading.id, reading.model), (None, None), "{bad}");
    }
}

#[test]
fn what_is_no_object_is_no_reply() {
    for endpoint in [CHAT, MESSAGES] {
        for body in ["[]", "null", "\"Bad Gateway\""] {
            assert_eq!(
                read_reply(endpoint, "application/json", body.as_bytes()),
                Err(ReplyError::NotAnObject)
            );
        }
        for body in ["", "<html>", "{}x", "{\"id\":"] {
            assert!(
                matches!(
                    read_reply(endpoint, "application/json", body.as_bytes()),
                    Err(ReplyError::Json(_))
                ),
                "{body}"
            );
        }
    }
}
