use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod naming;
mod others;

const CHAT: Endpoint = Endpoint::ChatCompletions;
const MESSAGES: Endpoint = Endpoint::Messages;

fn parse(endpoint: Endpoint, body: &Value) -> Result<Call, ParseError> {
    Call::parse(endpoint, body.to_string().as_bytes())
}

/// A minimal request with `more` put in or over it.
fn request(endpoint: Endpoint, more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if endpoint == MESSAGES {
        body["max_tokens"] = 1024.into();
    }
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn with(endpoint: Endpoint, more: &Value) -> Call {
    parse(endpoint, &request(endpoint, more)).unwrap()
}

#[test]
fn reads_a_chat_completion() {
    let call = parse(
        CHAT,
        &json!({
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "You are a weather bot.\nBe \"brief\"."},
                {"role": "user", "content": [{"type": "text", "text": "Weather in 東京?"}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Tokyo\"}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
            ],
            "tools": [
                {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"type": {"type": "string"}}}}},
                {"type": "custom", "custom": {"name": "run_sql", "format": {"type": "text"}}},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": 0.2,
            "n": 2,
            "max_completion_tokens": 500,
            "service_tier": "flex",
            "store": true,
            "metadata": {"run": "42"},
            "response_format": {"type": "json_object"},
        }),
    )
    .unwrap();
    assert_eq!(call.model, "gpt-4o-mini");
    assert!(call.stream && call.usage_asked);
    assert_eq!((call.output_limit, call.choices, call.messages), (Some(500), 2, 4));
    assert_eq!(call.tools, ["get_weather", "run_sql"]);
    assert_eq!(call.tier, ServiceTier::Flex);
    assert_eq!(
        call.features,
        [FeatureUse {
            feature: Feature::Tools,
            count: 2,
            found: "tools".into()
        }]
    );
}

#[test]
fn reads_a_message() {
    let call = parse(
        MESSAGES,
        &json!({
            "model": "claude-sonnet-4-5",
            "max_tokens": 4096,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": "Fix the bug"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Look first.", "signature": "EqQB"},
                    {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"type": "image", "content": [{"type": "image"}]}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "fn main"}]}]},
            ],
            "tools": [{"name": "read", "input_schema": {"type": "object"}}, {"type": "custom", "name": "write", "input_schema": {}}],
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "stream": true,
            "speed": "standard",
            "inference_geo": "global",
            "mcp_servers": [],
            "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        }),
    )
    .unwrap();
    assert_eq!((call.output_limit, call.choices, call.messages), (Some(4096), 1, 3));
    assert_eq!(call.tools, ["read", "write"]);
    assert!(call.stream && !call.usage_asked && call.hour_cache);
    assert_eq!(call.features.len(), 1, "{:?}", call.features);
}

#[test]
fn fields_read_as_their_documentation_says() {
    let check = |more: Value, read: &dyn Fn(&Call) -> bool| assert!(read(&with(CHAT, &more)), "{more}");
    check(json!({"max_tokens": 7}), &|c| c.output_limit == Some(7));
    check(json!({"max_tokens": 7, "max_completion_tokens": 9}), &|c| {
        c.output_limit == Some(9)
    });
    check(json!({"max_tokens": 9, "max_completion_tokens": 7}), &|c| {
        c.output_limit == Some(9)
    });
    check(json!({"max_tokens": null, "max_completion_tokens": 7}), &|c| {
        c.output_limit == Some(7)
    });
    check(json!({"max_tokens": null}), &|c| c.output_limit.is_none());
    check(json!({"max_tokens": u64::MAX}), &|c| c.output_limit == Some(u64::MAX));
    check(json!({"stream": null}), &|c| !c.stream);
    check(json!({"n": null}), &|c| c.choices == 1);
    check(json!({"stream_options": null}), &|c| !c.usage_asked);
    check(json!({"stream_options": {}}), &|c| !c.usage_asked);
    check(json!({"stream_options": {"include_usage": null}}), &|c| !c.usage_asked);
    check(json!({"tools": null}), &|c| c.tools.is_empty() && c.features.is_empty());
    check(json!({"functions": [{"name": "f"}]}), &|c| c.tools == ["f"]);
    check(json!({"model": "ft:gpt-4o:acme:é/1"}), &|c| {
        c.model == "ft:gpt-4o:acme:é/1"
    });
    for (tier, read) in [
        ("auto", ServiceTier::Standard),
        ("default", ServiceTier::Standard),
        ("flex", ServiceTier::Flex),
        ("priority", ServiceTier::Priority),
        ("fast", ServiceTier::Priority),
    ] {
        check(json!({"service_tier": tier}), &|c| {
            c.tier == read && c.features.is_empty()
        });
    }
    for tier in ["auto", "standard_only"] {
        assert_eq!(with(MESSAGES, &json!({"service_tier": tier})).features, []);
    }
}

/// Everything whose cost the request's bytes do not bound, and how the refusal names it.
#[test]
fn features_are_found() {
    let check = |endpoint, more: Value, feature: Feature, count: u64, found: &str| {
        let features = with(endpoint, &more).features;
        let found = FeatureUse {
            feature,
            count,
            found: found.to_owned(),
        };
        assert_eq!(features, [found], "{more}");
    };
    let chat = |more, feature, found: &str| check(CHAT, more, feature, 1, found);
    let messages = |more, feature, found: &str| check(MESSAGES, more, feature, 1, found);
    let user = |part: Value| json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}, part]}]});

    chat(
        user(json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}})),
        Feature::Image,
        "messages[1].content[1].image_url",
    );
    chat(
        user(json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
        Feature::AudioInput,
        "messages[1].content[1].input_audio",
    );
    chat(
        user(json!({"type": "file", "file": {"file_id": "file-1"}})),
        Feature::File,
        "messages[1].content[1].file",
    );
    chat(
        user(json!({"type": "video_url", "video_url": {}})),
        Feature::UnpricedOption,
        "messages[1].content[1].type = \"video_url\"",
    );
    chat(
        user(json!({"image_url": {}})),
        Feature::UnpricedOption,
        "messages[1].content[1].type = \"\"",
    );
    chat(
        user(json!({"type": "text", "text": "", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}})),
        Feature::UnpricedOption,
        "messages[1].content[1].prompt_cache_breakpoint.ttl = \"12h\"",
    );
    chat(
        json!({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}),
        Feature::AudioInput,
        "messages[0].audio",
    );
    chat(
        json!({"modalities": ["text", "audio"]}),
        Feature::AudioOutput,
        "modalities[1] = \"audio\"",
    );
    chat(
        json!({"modalities": ["image"]}),
        Feature::UnpricedOption,
        "modalities[0] = \"image\"",
    );
    chat(
        json!({"audio": {"voice": "alloy", "format": "wav"}}),
        Feature::AudioOutput,
        "audio",
    );
    chat(
        json!({"web_search_options": {}}),
        Feature::HostedTool,
        "web_search_options",
    );
    chat(
        json!({"tools": [{"type": "web_search"}]}),
        Feature::HostedTool,
        "tools[0].type = \"web_search\"",
    );
    chat(
        json!({"search_parameters": {"mode": "auto"}}),
        Feature::HostedTool,
        "search_parameters",
    );
    chat(json!({"plugins": [{"id": "web"}]}), Feature::HostedTool, "plugins");
    chat(json!({"enable_search": true}), Feature::HostedTool, "enable_search");
    chat(
        json!({"prediction": {"type": "content", "content": "x"}}),
        Feature::UnpricedOption,
        "prediction",
    );
    chat(
        json!({"moderation": {"model": "omni-moderation-latest"}}),
        Feature::UnpricedOption,
        "moderation",
    );
    chat(json!({"models": ["a", "b"]}), Feature::UnpricedOption, "models");
    chat(json!({"best_of": 8}), Feature::UnpricedOption, "best_of");
    chat(
        json!({"service_tier": "scale"}),
        Feature::UnpricedOption,
        "service_tier = \"scale\"",
    );
    chat(
        json!({"previous_response_id": "resp_1"}),
        Feature::StoredConversation,
        "previous_response_id",
    );
    chat(
        json!({"service_tier": "a\n\"".repeat(40)}),
        Feature::UnpricedOption,
        &format!("service_tier = \"{}a…\"", "a\\n\\\"".repeat(21)),
    );

    messages(
        user(json!({"type": "image", "source": {"type": "url", "url": "https://x"}})),
        Feature::Image,
        "messages[1].content[1].image",
    );
    messages(
        user(json!({"type": "document", "source": {"type": "file", "file_id": "f"}})),
        Feature::File,
        "messages[1].content[1].document",
    );
    messages(
        user(json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]})),
        Feature::Image,
        "messages[1].content[1].content[0].image",
    );
    messages(
        user(json!({"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error"}})),
        Feature::HostedTool,
        "messages[1].content[1].web_search_tool_result",
    );
    messages(
        user(json!({"type": "tool_addition", "tool": {}})),
        Feature::UnpricedOption,
        "messages[1].content[1].type = \"tool_addition\"",
    );
    messages(
        json!({"system": [{"type": "image", "source": {}}]}),
        Feature::Image,
        "system[0].image",
    );
    messages(
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        Feature::HostedTool,
        "tools[0].type = \"web_search_20250305\"",
    );
    messages(
        json!({"mcp_servers": [{"type": "url", "url": "https://x"}]}),
        Feature::HostedTool,
        "mcp_servers",
    );
    messages(json!({"container": "container_1"}), Feature::HostedTool, "container");
    messages(json!({"speed": "fast"}), Feature::UnpricedOption, "speed");
    messages(json!({"inference_geo": "us"}), Feature::UnpricedOption, "inference_geo");
    messages(
        json!({"service_tier": "priority"}),
        Feature::UnpricedOption,
        "service_tier = \"priority\"",
    );
    messages(
        json!({"fallbacks": [{"model": "other"}]}),
        Feature::UnpricedOption,
        "fallbacks",
    );
    messages(
        json!({"thread": {"type": "create"}}),
        Feature::StoredConversation,
        "thread",
    );
    messages(
        json!({"context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "compact_20260112"}]}}),
        Feature::UnpricedOption,
        "context_management.edits[1].type = \"compact_20260112\"",
    );
    messages(
        json!({"cache_control": {"type": "ephemeral", "ttl": "24h"}}),
        Feature::UnpricedOption,
        "cache_control.ttl = \"24h\"",
    );

    let image = json!({"type": "image_url", "image_url": {}});
    let content = json!([image, image]);
    check(
        CHAT,
        json!({"messages": [{"role": "user", "content": content}, {"role": "user", "content": content}]}),
        Feature::Image,
        4,
        "messages[0].content[0].image_url",
    );
}

#[test]
fn options_that_ask_for_nothing_are_no_features() {
    for more in [
        json!({"modalities": ["text"], "audio": null, "prediction": null, "enable_search": false, "plugins": []}),
        json!({"messages": [{"role": "assistant", "content": ["plain"], "audio": null, "refusal": "no"}]}),
        json!({"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}, "logit_bias": {"1": 2}, "user": "u"}),
    ] {
        assert_eq!(with(CHAT, &more).features, [], "{more}");
    }
    for more in [
        json!({"container": null, "speed": null, "inference_geo": null, "mcp_servers": [ ], "context_management": null}),
        json!({"cache_control": {"type": "ephemeral"}, "n": "unknown here", "web_search_options": {}}),
    ] {
        let call = with(MESSAGES, &more);
        assert_eq!((call.features, call.hour_cache), (vec![], false), "{more}");
    }
}

#[test]
fn what_cannot_be_governed_is_refused() {
    let check = |endpoint, body: &str, message: &str| {
        assert_eq!(
            Call::parse(endpoint, body.as_bytes()).unwrap_err().to_string(),
            message,
            "{body}"
        );
    };
    let chat = |body: &str, message: &str| check(CHAT, body, message);
    chat("", "the request body is not valid JSON: expected a value at byte 0");
    chat("[]", "the request body must be a JSON object");
    chat("\"x\"", "the request body must be a JSON object");
    chat(
        r#"{"model":"m","messages":[]} {}"#,
        "the request body is not valid JSON: expected the end at byte 28",
    );
    chat("{}", "model is missing");
    chat(r#"{"model":"m"}"#, "messages is missing");
    check(MESSAGES, r#"{"model":"m","messages":[]}"#, "max_tokens is missing");
    check(
        MESSAGES,
        r#"{"model":"m","messages":[],"max_tokens":null}"#,
        "max_tokens is missing",
    );
    chat(r#"{"model":"m","model":"n","messages":[]}"#, "model is given twice");
    chat(
        r#"{"model":"m","messages":[],"mod\u0065l":"n"}"#,
        "model is given twice",
    );
    chat(r#"{"x":1,"y":2,"x":3}"#, "x is given twice");
    chat(
        r#"{"max_tokens":1,"Max_Tokens":999999}"#,
        "Max_Tokens is not a known field; did you mean max_tokens?",
    );
    chat(
        r#"{"messages":[{"content":"","content":[{"type":"image_url"}]}]}"#,
        "messages[0].content is given twice",
    );
    chat(
        r#"{"messages":[{"content":[{"type":"text","type":"image_url"}]}]}"#,
        "messages[0].content[0].type is given twice",
    );
    chat(
        r#"{"tools":[{"type":"function","Type":"web_search"}]}"#,
        "tools[0].Type is not a known field; did you mean type?",
    );
    chat(
        r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
        "stream_options.include_usage is given twice",
    );
    for (field, value, wanted) in [
        ("model", "null", "a string"),
        ("model", "1", "a string"),
        ("model", "\"\"", "1 to 256 bytes without control characters"),
        ("model", r#""a\u0000b""#, "1 to 256 bytes without control characters"),
        ("messages", "null", "an array"),
        ("messages", "{}", "an array"),
        ("stream", "1", "true or false"),
        ("stream", "\"true\"", "true or false"),
        ("n", "0", "at least 1"),
        ("n", "-1", "a whole number of at least 0"),
        ("n", "\"2\"", "a whole number of at least 0"),
        ("max_tokens", "-1", "a whole number of at least 0"),
        ("max_tokens", "1.5", "a whole number of at least 0"),
        ("max_tokens", "1e3", "a whole number of at least 0"),
        ("max_tokens", "18446744073709551616", "a whole number of at least 0"),
        ("max_completion_tokens", "[5]", "a whole number of at least 0"),
        ("stream_options", "true", "an object"),
        ("tools", "{}", "an array"),
        ("service_tier", "1", "a string"),
        ("modalities", "\"audio\"", "an array"),
    ] {
        chat(
            &format!("{{\"{field}\":{value}}}"),
            &format!("{field} must be {wanted}"),
        );
    }
    chat(r#"{"messages":["hi"]}"#, "messages[0] must be an object");
    chat(
        r#"{"messages":[{"content":1}]}"#,
        "messages[0].content must be a string or an array of parts",
    );
    chat(
        r#"{"messages":[{"content":[1]}]}"#,
        "messages[0].content[0] must be an object",
    );
    chat(
        r#"{"messages":[{"content":[{"type":1}]}]}"#,
        "messages[0].content[0].type must be a string",
    );
    chat(
        r#"{"tools":[{"type":"function","function":{}}]}"#,
        "tools[0].function.name is missing",
    );
    chat(
        r#"{"tools":[{"type":"function","name":"flat"}]}"#,
        "tools[0].function.name is missing",
    );
    chat(r#"{"functions":[{}]}"#, "functions[0].name is missing");
    chat(
        &format!("{{\"model\":\"{}\"}}", "m".repeat(257)),
        "model must be 1 to 256 bytes without control characters",
    );
    assert_eq!(
        Call::parse(CHAT, b"{\"model\":\"\xff\"}").unwrap_err().to_string(),
        "the request body is not valid UTF-8 at byte 10"
    );
}

#[test]
fn hostile_nesting_is_refused_wherever_it_hides() {
    let deep = "[".repeat(100_000);
    let objects = "{\"content\":[".repeat(100_000);
    for body in [
        deep.clone(),
        objects.clone(),
        format!("{{\"x\":{deep}"),
        format!("{{\"messages\":{deep}"),
        format!("{{\"messages\":[{{\"content\":{deep}"),
        format!("{{\"messages\":[{{\"content\":[{objects}"),
        format!("{{\"tools\":[{{\"type\":\"function\",\"function\":{{\"parameters\":{deep}"),
        format!("{{\"stream_options\":{{\"x\":{deep}"),
    ] {
        let error = Call::parse(CHAT, body.as_bytes()).unwrap_err();
        let refused = matches!(
            error,
            ParseError::Json(JsonError::TooDeep { .. }) | ParseError::Field { .. }
        );
        assert!(refused, "{error}: {}", &body[..40]);
    }
}

#[test]
fn unknown_fields_never_fail() {
    let body = br#"{"model":"m","messages":[{"role":"x","content":"","new":[{"type":1}]}],"future":{"a":[1e999,{"b":null}],"a":2},"":0}"#;
    assert!(Call::parse(CHAT, body).is_ok());
}

fn rewritten(endpoint: Endpoint, body: &str, edit: Edit) -> String {
    let call = Call::parse(endpoint, body.as_bytes()).unwrap();
    let body = call.rewrite(&Bytes::copy_from_slice(body.as_bytes()), edit);
    std::str::from_utf8(&body).unwrap().to_owned()
}

#[test]
fn rewriting_splices_only_what_is_missing() {
    let limit = Edit {
        output_limit: Some(64),
        ..Edit::default()
    };
    let legacy = Edit {
        legacy_output_limit: true,
        ..limit
    };
    let usage = Edit {
        include_usage: true,
        ..Edit::default()
    };
    let both = Edit {
        include_usage: true,
        ..limit
    };
    for (edit, body, expected) in [
        (
            limit,
            r#"{ "model":"m","messages":[]}"#,
            r#"{"max_completion_tokens":64, "model":"m","messages":[]}"#,
        ),
        (
            legacy,
            r#"{"model":"m","messages":[]}"#,
            r#"{"max_tokens":64,"model":"m","messages":[]}"#,
        ),
        (
            limit,
            r#"{"model":"m","messages":[],"max_tokens":5}"#,
            r#"{"model":"m","messages":[],"max_tokens":5}"#,
        ),
        (
            limit,
            r#"{"model":"m","messages":[],"max_completion_tokens": null }"#,
            r#"{"model":"m","messages":[],"max_completion_tokens": 64 }"#,
        ),
        (
            limit,
            r#"{"model":"m","messages":[],"max_tokens":null}"#,
            r#"{"max_completion_tokens":64,"model":"m","messages":[],"max_tokens":null}"#,
        ),
        (
            legacy,
            r#"{"max_tokens":null,"model":"m","messages":[]}"#,
            r#"{"max_tokens":64,"model":"m","messages":[]}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[]}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[],"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"m","messages":[],"stream":true}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{ }}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true }}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_obfuscation":false}}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage" : false}}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage" : true}}"#,
        ),
        (
            usage,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":null}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            both,
            r#"{"stream_options":{"include_usage":null},"model":"m","messages":[],"stream":true}"#,
            r#"{"max_completion_tokens":64,"stream_options":{"include_usage":true},"model":"m","messages":[],"stream":true}"#,
        ),
    ] {
        assert_eq!(rewritten(CHAT, body, edit), expected, "{body}");
    }
    let message = r#"{"model":"m","max_tokens":5,"messages":[],"stream":true}"#;
    assert_eq!(rewritten(MESSAGES, message, both), message);
}

#[test]
fn a_stream_is_asked_for_where_it_can_tell_the_reply() {
    let edit = Edit {
        include_usage: true,
        stream: true,
        ..Edit::default()
    };
    let usage = r#""stream_options":{"include_usage":true},"#;
    for (endpoint, body, expected) in [
        (
            CHAT,
            r#"{"model":"m","messages":[]}"#,
            format!(r#"{{"stream":true,{usage}"model":"m","messages":[]}}"#),
        ),
        (
            CHAT,
            r#"{"model":"m","messages":[],"stream" : false }"#,
            format!(r#"{{{usage}"model":"m","messages":[],"stream" : true }}"#),
        ),
        (
            MESSAGES,
            r#"{"stream":null,"model":"m","max_tokens":5,"messages":[]}"#,
            r#"{"stream":true,"model":"m","max_tokens":5,"messages":[]}"#.to_owned(),
        ),
        (
            Endpoint::Responses,
            r#"{"model":"m"}"#,
            r#"{"stream":true,"model":"m"}"#.to_owned(),
        ),
        (
            Endpoint::Completions,
            r#"{"model":"m","n":2,"best_of":2}"#,
            format!(r#"{{"stream":true,{usage}"model":"m","n":2,"best_of":2}}"#),
        ),
    ] {
        assert_eq!(rewritten(endpoint, body, edit), expected);
        assert!(Call::parse(endpoint, body.as_bytes()).unwrap().can_be_streamed());
    }
    for (endpoint, body) in [
        (Endpoint::Completions, r#"{"model":"m","n":2,"best_of":3}"#),
        (
            CHAT,
            r#"{"model":"m","messages":[],"modalities":["text","audio"],"audio":{"format":"wav"}}"#,
        ),
        (Endpoint::Embeddings, r#"{"model":"m","input":"a"}"#),
        (Endpoint::ImageGenerations, r#"{"model":"m","prompt":"a"}"#),
        (Endpoint::Speech, r#"{"model":"m","input":"a"}"#),
        (Endpoint::CountTokens, r#"{"model":"m","messages":[]}"#),
    ] {
        assert_eq!(rewritten(endpoint, body, edit), body);
        assert!(
            !Call::parse(endpoint, body.as_bytes()).unwrap().can_be_streamed(),
            "{body}"
        );
    }
}

#[test]
fn nothing_to_rewrite_copies_nothing() {
    let body = Bytes::from_static(
        br#"{"model":"m","messages":[],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}"#,
    );
    let call = Call::parse(CHAT, &body).unwrap();
    let edit = Edit {
        output_limit: Some(1),
        include_usage: true,
        ..Edit::default()
    };
    assert_eq!(call.rewrite(&body, edit).as_ptr(), body.as_ptr());
    assert_eq!(call.rewrite(&body, Edit::default()).as_ptr(), body.as_ptr());
}

#[test]
fn rewriting_another_body_does_not_panic() {
    let call = with(CHAT, &json!({"stream": true, "stream_options": null}));
    let edit = Edit {
        output_limit: Some(1),
        include_usage: true,
        ..Edit::default()
    };
    for other in ["", "{", "{}"] {
        let body = call.rewrite(&Bytes::from_static(other.as_bytes()), edit);
        assert!(serde_json::from_slice::<Value>(&body).is_err());
    }
}

/// Requests of all shapes, as text with the white space of a pretty printer or none.
fn any_request() -> impl Strategy<Value = String> {
    let content = prop_oneof![
        any::<String>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([{"type": "text", "text": "a\"b\\"}, {"type": "image_url", "image_url": {"url": "x"}}])),
    ];
    let limit = || {
        prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            any::<u32>().prop_map(|n| Some(n.into()))
        ]
    };
    let options = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({"include_obfuscation": false}))),
        Just(Some(json!({"include_usage": false, "z": [1]}))),
        Just(Some(json!({"a": {"include_usage": 1}, "include_usage": null}))),
        Just(Some(json!({"include_usage": true}))),
    ];
    let messages = proptest::collection::vec(content, 0..3);
    (
        messages,
        limit(),
        limit(),
        options,
        prop::option::of(any::<bool>()),
        any::<String>(),
        any::<bool>(),
    )
        .prop_map(|(messages, completion, plain, options, stream, user, pretty)| {
            let messages: Vec<_> = messages
                .into_iter()
                .map(|content| json!({"role": "user", "content": content}))
                .collect();
            let mut body = json!({"model": "m", "messages": messages, "user": user});
            let fields = [
                ("max_completion_tokens", completion),
                ("max_tokens", plain),
                ("stream_options", options),
                ("stream", stream.map(Value::from)),
            ];
            for (name, value) in fields {
                if let Some(value) = value {
                    body[name] = value;
                }
            }
            if pretty {
                serde_json::to_string_pretty(&body).unwrap()
            } else {
                body.to_string()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_rewritten_body_says_what_was_meant_and_is_otherwise_the_same(
        body in any_request(), limit in prop::option::of(1..9999_u64), legacy in any::<bool>(), include_usage in any::<bool>(),
        stream in any::<bool>(),
    ) {
        let edit = Edit { output_limit: limit, legacy_output_limit: legacy, include_usage, stream, ..Edit::default() };
        let before = Call::parse(CHAT, body.as_bytes()).unwrap();
        let text = rewritten(CHAT, &body, edit);
        let after = Call::parse(CHAT, text.as_bytes()).unwrap();
        prop_assert_eq!(after.output_limit, before.output_limit.or(limit));
        prop_assert_eq!(after.usage_asked, before.usage_asked || (include_usage && (before.stream || stream)));
        prop_assert_eq!(after.stream, before.stream || stream);
        prop_assert_eq!(rewritten(CHAT, &text, edit), text.clone(), "a second time changes nothing");

        // The same but for the fields that were meant.
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        if before.output_limit.is_none() && let Some(limit) = limit {
            expected[if legacy { "max_tokens" } else { "max_completion_tokens" }] = limit.into();
        }
        if stream && !before.stream {
            expected["stream"] = true.into();
        }
        if include_usage && (before.stream || stream) {
            expected["stream_options"]["include_usage"] = true.into();
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);

        // And every byte of the body still stands there in its order, but for replaced literals.
        let replaced = if body.contains("null") || body.contains("false") { "null".len() + 2 * "false".len() } else { 0 };
        prop_assert!(longest_common_subsequence(body.as_bytes(), text.as_bytes()) + replaced >= body.len());
    }

    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Call::parse(CHAT, &bytes);
        let _ = Call::parse(MESSAGES, &bytes);
    }

    #[test]
    fn parsing_damaged_requests_never_panics(
        body in any_request(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = body.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        for body in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(call) = Call::parse(CHAT, body) {
                let edit = Edit { output_limit: Some(1), include_usage: true, ..Edit::default() };
                let text = call.rewrite(&Bytes::copy_from_slice(body), edit);
                prop_assert!(Call::parse(CHAT, &text).is_ok());
            }
            let _ = Call::parse(MESSAGES, body);
        }
    }
}

fn longest_common_subsequence(a: &[u8], b: &[u8]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (at, y) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if x == y { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[b.len()]
}
