use proptest::prelude::*;

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

fn usage(endpoint: Endpoint, body: &str) -> Option<Usage> {
    read(endpoint, body).usage
}

#[test]
fn reads_embeddings() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-1e-3]}],
        "model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let expected = |input| {
        Some(Usage {
            input,
            ..Usage::default()
        })
    };
    let reading = read(Endpoint::Embeddings, body);
    assert_eq!(
        (reading.usage, reading.model.as_deref()),
        (expected(8), Some("text-embedding-3-small"))
    );
    let of = |figures: &str| usage(Endpoint::Embeddings, &format!("{{\"data\":[],\"usage\":{figures}}}"));
    assert_eq!(of(r#"{"total_tokens":9}"#), expected(9));
    assert_eq!(of(r#"{"prompt_tokens":8,"total_tokens":11}"#), expected(11));
    for bad in ["null", "{}", r#"{"prompt_tokens":-1}"#, r#"{"prompt_tokens":0}"#] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn pictures_priced_by_the_picture_are_counted() {
    let images = |images| {
        Some(Usage {
            images,
            ..Usage::default()
        })
    };
    for (body, expected) in [
        (
            r#"{"created":1,"data":[{"url":"https://x"},{"url":"https://y"}]}"#,
            images(2),
        ),
        (r#"{"created":1,"data":[]}"#, None),
        (r#"{"created":1}"#, None),
        (r#"{"data":[{}],"usage":{"input_tokens":"x","output_tokens":1}}"#, None),
        // An author of drawings is another model: what it cost is not told by this one's prices.
        (
            r#"{"data":[{}],"svg_usage":{"model":"gpt-5.6","input_tokens":1}}"#,
            None,
        ),
        (r#"{"data":[{}],"svg_usage":null}"#, images(1)),
    ] {
        for endpoint in [
            Endpoint::ImageGenerations,
            Endpoint::ImageEdits,
            Endpoint::ImageVariations,
        ] {
            assert_eq!(usage(endpoint, body), expected, "{body}");
        }
    }
}

#[test]
fn the_length_of_audio_is_exact() {
    for (seconds, expected) in [
        ("9", Some(9_000)),
        ("9.0", Some(9_000)),
        ("0.5", Some(500)),
        ("8.47", Some(8_470)),
        ("8.470000267028809", Some(8_471)),
        ("0.0001", Some(1)),
        ("\"8.47\"", Some(8_470)),
        ("0", None),
        ("-1", None),
        ("1e3", None),
        ("\"\"", None),
        ("\"9.\"", None),
        ("\"+9\"", None),
        ("null", None),
        ("[]", None),
        ("4294967", Some(4_294_967_000)),
        ("4294968", None),
        ("99999999999999999999", None),
    ] {
        let body = format!("{{\"text\":\"Hi\",\"usage\":{{\"type\":\"duration\",\"seconds\":{seconds}}}}}");
        let found = usage(Endpoint::Transcriptions, &body).map(|usage| usage.audio_ms);
        assert_eq!(found, expected, "{seconds}");
    }
    // Without usage, a verbose transcript says how long the audio was: whole seconds are billed.
    let verbose = r#"{"task":"translate","language":"german","duration":8.470000267028809,"text":"Hi","segments":[]}"#;
    let audio_ms = usage(Endpoint::Translations, verbose).map(|usage| usage.audio_ms);
    assert_eq!(audio_ms, Some(9_000));
    assert_eq!(usage(Endpoint::Transcriptions, r#"{"text":"Hi"}"#), None);
}

/// A transcript says what the audio says, and whoever sends the audio may want it to say figures.
#[test]
fn words_of_a_transcript_are_no_figures() {
    let words = br#"{"text":"","usage":{"type":"duration","seconds":1}}"#;
    for content_type in [
        "text/plain; charset=utf-8",
        "application/x-subrip",
        "text/vtt",
        "",
        "x/json",
    ] {
        let reading = read_reply(Endpoint::Transcriptions, content_type, words).unwrap();
        assert_eq!(reading, Reading::default(), "{content_type}");
    }
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/problem+json",
    ] {
        assert!(
            read_reply(Endpoint::Transcriptions, content_type, words)
                .unwrap()
                .usage
                .is_some()
        );
    }
}

#[test]
fn what_is_free_used_nothing() {
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| endpoint.is_free()) {
        let body = r#"{"id":"modr-1","data":[{"id":"gpt-4o"}],"input_tokens":14,"usage":{"prompt_tokens":5,"completion_tokens":5}}"#;
        assert_eq!(usage(endpoint, body), Some(Usage::default()), "{endpoint:?}");
        assert!(read_reply(endpoint, "application/json", b"[]").is_err());
    }
}

proptest! {
    #[test]
    fn reading_never_panics_whatever_the_endpoint(
        pieces in proptest::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"usage\":", "\"output\":", "\"data\":", "\"seconds\":", "\"type\":", "\"text\"", "1", "-1.5e9",
            "null", "\"input_tokens_details\":", "\"tool_usage\":", "\"web_search\":", "\"\\ud83d\"", "\u{0}", "é",
        ]), 0..24),
        noise in proptest::collection::vec(any::<u8>(), 0..32),
    ) {
        for endpoint in Endpoint::ALL {
            let _ = read_reply(endpoint, "application/json", pieces.concat().as_bytes());
            let _ = read_reply(endpoint, "application/json", &noise);
        }
    }
}
