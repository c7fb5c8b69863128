//! Requests to the endpoints other than chat completions and messages.

use model::Work;

use super::*;

const RESPONSES: Endpoint = Endpoint::Responses;
const COMPLETIONS: Endpoint = Endpoint::Completions;

fn read(endpoint: Endpoint, body: &Value) -> Call {
    parse(endpoint, body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn refused(endpoint: Endpoint, body: &str, message: &str) {
    let error = Call::parse(endpoint, body.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), message, "{body}");
}

fn target(endpoint: Endpoint) -> Target<'static> {
    Target { endpoint, id: None }
}

#[test]
fn reads_a_response() {
    let call = read(
        RESPONSES,
        &json!({
            "model": "gpt-5.6",
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": "Weather?"},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "in 東京"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "x"}], "encrypted_content": "gAAA"},
                {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "18 °C"},
                {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "x"}]},
                {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "18", "annotations": []}]},
            ],
            "tools": [
                {"type": "function", "name": "get_weather", "parameters": {"type": "object"}},
                {"type": "custom", "name": "run_sql"},
                {"type": "namespace", "name": "crm", "description": "", "tools": [
                    {"type": "function", "name": "find"}, {"type": "custom", "name": "note"}]},
            ],
            "max_output_tokens": 500,
            "stream": true,
            "stream_options": {"include_obfuscation": false},
            "service_tier": "priority",
            "background": false,
            "previous_response_id": null,
            "store": false,
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
        }),
    );
    assert_eq!((call.model.as_str(), &call.work), ("gpt-5.6", &Work::Generate));
    assert!(call.stream && !call.usage_asked);
    assert_eq!((call.output_limit, call.choices, call.messages), (Some(500), 1, 7));
    assert_eq!(call.tools, ["get_weather", "run_sql", "find", "note"]);
    assert_eq!(call.tier, ServiceTier::Priority);
    let tools = FeatureUse {
        feature: Feature::Tools,
        count: 4,
        found: "tools".into(),
    };
    assert_eq!(call.features, [tools]);
    assert_eq!(read(RESPONSES, &json!({"model": "m", "input": "hi"})).messages, 1);
}

#[test]
fn features_of_a_response_are_found() {
    let check = |more: Value, feature: Feature, found: &str| {
        let mut body = json!({"model": "m", "input": "hi"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let found = FeatureUse {
            feature,
            count: 1,
            found: found.to_owned(),
        };
        assert_eq!(read(RESPONSES, &body).features, [found], "{more}");
    };
    for (field, value, feature) in [
        ("previous_response_id", json!("resp_1"), Feature::StoredConversation),
        ("conversation", json!({"id": "conv_1"}), Feature::StoredConversation),
        ("prompt", json!({"id": "pmpt_1"}), Feature::UnpricedOption),
        ("background", json!(true), Feature::UnpricedOption),
        (
            "context_management",
            json!([{"type": "compaction"}]),
            Feature::UnpricedOption,
        ),
        ("moderation", json!({"model": "m"}), Feature::UnpricedOption),
        ("models", json!(["a"]), Feature::UnpricedOption),
        ("audio", json!({"voice": "alloy"}), Feature::AudioOutput),
        ("plugins", json!([{"id": "web"}]), Feature::HostedTool),
    ] {
        check(json!({field: value}), feature, field);
    }
    check(
        json!({"prompt_cache_options": {"ttl": "12h"}}),
        Feature::UnpricedOption,
        "prompt_cache_options.ttl = \"12h\"",
    );
    for kind in [
        "web_search",
        "file_search",
        "code_interpreter",
        "mcp",
        "image_generation",
        "shell",
        "tool_search",
    ] {
        check(
            json!({"tools": [{"type": kind}]}),
            Feature::HostedTool,
            &format!("tools[0].type = \"{kind}\""),
        );
    }
    check(
        json!({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "namespace", "name": "m", "tools": [[[]]]}]}]}),
        Feature::HostedTool,
        "tools[0].tools[0].type = \"namespace\"",
    );
    let item = |item: Value, feature, found: &str| {
        check(
            json!({"input": [{"role": "user", "content": "a"}, item]}),
            feature,
            found,
        );
    };
    let part = |part: Value| json!({"role": "user", "content": [{"type": "input_text", "text": "b"}, part]});
    item(
        part(json!({"type": "input_image", "image_url": "https://x/y.png"})),
        Feature::Image,
        "input[1].content[1].input_image",
    );
    item(
        part(json!({"type": "input_file", "file_id": "file-1"})),
        Feature::File,
        "input[1].content[1].input_file",
    );
    item(
        part(json!({"type": "input_audio", "input_audio": {}})),
        Feature::AudioInput,
        "input[1].content[1].input_audio",
    );
    item(
        part(json!({"type": "input_video"})),
        Feature::UnpricedOption,
        "input[1].content[1].type = \"input_video\"",
    );
    item(
        json!({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "file_id": "f"}]}),
        Feature::Image,
        "input[1].output[0].input_image",
    );
    item(
        json!({"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "file_id": "f"}}),
        Feature::Image,
        "input[1].output.computer_screenshot",
    );
    for (kind, feature) in [
        ("item_reference", Feature::StoredConversation),
        ("image_generation_call", Feature::Image),
        ("web_search_call", Feature::HostedTool),
        ("mcp_approval_response", Feature::HostedTool),
        ("program", Feature::HostedTool),
        ("compaction", Feature::UnpricedOption),
        ("of_the_future", Feature::UnpricedOption),
    ] {
        item(
            json!({"type": kind, "id": "x"}),
            feature,
            &format!("input[1].type = \"{kind}\""),
        );
    }
    item(
        json!({"id": "msg_1"}),
        Feature::StoredConversation,
        "input[1].type = \"item_reference\"",
    );
    let brought = json!({"model": "m", "input": [
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]}]});
    assert_eq!(read(RESPONSES, &brought).tools, ["late"]);
}

#[test]
fn a_text_completion_is_generated_for_every_prompt_and_candidate() {
    for (more, choices, messages) in [
        (json!({}), 1, 0),
        (json!({"prompt": "a"}), 1, 1),
        (json!({"prompt": null}), 1, 1),
        (json!({"prompt": ["a", "b"]}), 2, 2),
        (json!({"prompt": [1, 2, 3]}), 1, 1),
        (json!({"prompt": [[1, 2], [3], []]}), 3, 3),
        (json!({"prompt": ["a", [1]]}), 2, 2),
        (json!({"prompt": "a", "n": 3}), 3, 1),
        (json!({"prompt": "a", "best_of": 5}), 5, 1),
        (json!({"prompt": ["a", "b"], "n": 2, "best_of": 5}), 10, 2),
        (json!({"prompt": ["a", "b"], "n": 5, "best_of": null}), 10, 2),
        (json!({"prompt": ["a", "b"], "n": u64::MAX}), u64::MAX, 2),
    ] {
        let mut body = json!({"model": "gpt-3.5-turbo-instruct"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let call = read(COMPLETIONS, &body);
        assert_eq!((call.choices, call.messages), (choices, messages), "{more}");
        assert_eq!((&call.work, call.features.len()), (&Work::Generate, 0));
    }
    assert!(read(COMPLETIONS, &json!({"model": "m", "prompt": "a", "echo": true})).echo);
    let wanted = "prompt must be a string, an array of strings, an array of tokens, or an array of arrays of tokens";
    for prompt in [
        "1",
        "{}",
        "[]",
        "[1,\"a\"]",
        "[{}]",
        "[[\"a\"]]",
        "[[[1]]]",
        "[null]",
        "true",
    ] {
        refused(COMPLETIONS, &format!("{{\"model\":\"m\",\"prompt\":{prompt}}}"), wanted);
    }
    refused(
        COMPLETIONS,
        r#"{"model":"m","best_of":0}"#,
        "best_of must be at least 1",
    );
    refused(COMPLETIONS, r#"{"prompt":"a"}"#, "model is missing");
    for field in ["use_beam_search", "prompt_embeds", "models"] {
        let call = read(COMPLETIONS, &json!({"model": "m", field: true}));
        assert_eq!(call.features[0].feature, Feature::UnpricedOption);
    }
}

#[test]
fn reads_embeddings_and_moderations() {
    for (input, messages) in [
        (json!("a"), 1),
        (json!(["a", "b"]), 2),
        (json!([1, 2, 3]), 3),
        (json!([[1], [2]]), 2),
        (json!([]), 0),
    ] {
        let call = read(
            Endpoint::Embeddings,
            &json!({"model": "text-embedding-3-small", "input": input}),
        );
        assert_eq!((call.work, call.messages), (Work::Embed, messages));
        assert_eq!((call.output_limit, call.choices, call.features), (None, 1, vec![]));
    }
    let images = read(
        Endpoint::Embeddings,
        &json!({"model": "m", "input": ["a", {"image": "https://x"}]}),
    );
    assert_eq!(
        (images.features[0].feature, images.features[0].found.as_str()),
        (Feature::UnpricedOption, "input[1]")
    );
    refused(Endpoint::Embeddings, r#"{"model":"m"}"#, "input is missing");
    refused(
        Endpoint::Embeddings,
        r#"{"model":"m","input":{}}"#,
        "input must be a string or an array",
    );
    refused(Endpoint::Embeddings, r#"{"input":"a"}"#, "model is missing");

    let call = read(
        Endpoint::Moderations,
        &json!({"input": "a", "model": "omni-moderation-latest"}),
    );
    assert_eq!((call.work, call.model.as_str()), (Work::Free, "omni-moderation-latest"));
    assert_eq!(read(Endpoint::Moderations, &json!({"input": ["a"]})).model, "");
    refused(Endpoint::Moderations, r#"{"model":null}"#, "model must be a string");

    let count = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}], "tools": [{"name": "f"}]});
    let call = read(Endpoint::CountTokens, &count);
    assert_eq!((call.work, call.messages, call.tools.len()), (Work::Free, 1, 1));
    refused(Endpoint::CountTokens, r#"{"model":"m"}"#, "messages is missing");
    refused(
        Endpoint::CountTokens,
        r#"{"model":"m","messages":[],"stream":true}"#,
        "stream must be false: this endpoint does not stream",
    );
}

#[test]
fn reads_pictures() {
    let images = |count, size: Option<&str>, quality: Option<&str>| Work::Images {
        count,
        size: size.map(ToOwned::to_owned),
        quality: quality.map(ToOwned::to_owned),
    };
    let call = read(
        Endpoint::ImageGenerations,
        &json!({"model": "gpt-image-2", "prompt": "a cat", "n": 2, "size": "1024x1024", "quality": "high",
            "output_format": "webp", "background": "transparent"}),
    );
    assert_eq!(call.work, images(2, Some("1024x1024"), Some("high")));
    assert_eq!((call.choices, call.stream, call.features), (1, false, vec![]));
    let call = read(
        Endpoint::ImageGenerations,
        &json!({"model": "gpt-image-2", "prompt": "a cat", "n": 2, "stream": true, "partial_images": 3, "size": null}),
    );
    assert_eq!(
        (&call.work, call.stream, call.pictures),
        (&images(8, None, None), true, 2)
    );
    for (field, value) in [
        ("svg", json!({"model": "gpt-5.6"})),
        ("frame_count", json!(9)),
        ("output_format", json!("gif")),
    ] {
        let call = read(
            Endpoint::ImageGenerations,
            &json!({"model": "m", "prompt": "", field: value}),
        );
        assert_eq!(call.features[0].feature, Feature::UnpricedOption, "{field}");
    }
    refused(Endpoint::ImageGenerations, r#"{"prompt":"a"}"#, "model is missing");
    refused(
        Endpoint::ImageGenerations,
        r#"{"model":"m","n":0}"#,
        "n must be at least 1",
    );
    refused(
        Endpoint::ImageGenerations,
        r#"{"model":"m","size":7}"#,
        "size must be a string",
    );

    let edit = json!({"model": "gpt-image-2", "prompt": "a hat", "images": [{"file_id": "f"}, {"image_url": "https://x"}], "mask": {"file_id": "g"}});
    let call = read(Endpoint::ImageEdits, &edit);
    assert_eq!(call.work, images(1, None, None));
    assert_eq!((call.features[0].feature, call.features[0].count), (Feature::Image, 3));
}

#[test]
fn reads_speech() {
    let call = read(
        Endpoint::Speech,
        &json!({"model": "tts-1", "input": "Grüße, 東京 😀\n", "voice": "alloy"}),
    );
    assert_eq!(call.work, Work::Speech { characters: 12 });
    assert!(!call.stream);
    assert_eq!(call.spoken().unwrap().characters, 12);
    assert_eq!(with(CHAT, &json!({})).spoken(), None);
    let escaped = Call::parse(
        Endpoint::Speech,
        br#"{"model":"m","input":"\u00e9\ud83d\ude00","stream_format":"sse"}"#,
    )
    .unwrap();
    assert_eq!((&escaped.work, escaped.stream), (&Work::Speech { characters: 2 }, true));
    refused(Endpoint::Speech, r#"{"model":"m"}"#, "input is missing");
    refused(
        Endpoint::Speech,
        r#"{"model":"m","input":["a"]}"#,
        "input must be a string",
    );
}

const TYPE: &str = "multipart/form-data; boundary=xYz";

fn form(fields: &[(&str, Option<&str>, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (name, file, content) in fields {
        let file = file.map(|file| format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream"));
        body += &format!(
            "--xYz\r\nContent-Disposition: form-data; name=\"{name}\"{}\r\n\r\n{content}\r\n",
            file.unwrap_or_default()
        );
    }
    (body + "--xYz--\r\n").into_bytes()
}

#[test]
fn reads_a_transcription() {
    let body = form(&[
        ("file", Some("speech.mp3"), &"x".repeat(1000)),
        ("model", None, "gpt-4o-transcribe"),
        ("stream", None, "True"),
        ("response_format", None, "json"),
        ("timestamp_granularities[]", None, "word"),
        ("timestamp_granularities[]", None, "segment"),
        ("known_speaker_references[]", None, "data:audio/wav;base64,AAAA"),
    ]);
    let call = Call::read(target(Endpoint::Transcriptions), Some(TYPE), &body).unwrap();
    assert_eq!((call.model.as_str(), call.stream), ("gpt-4o-transcribe", true));
    assert_eq!(call.work, Work::Transcribe { file_bytes: 1026 });
    assert_eq!((call.file_bytes, call.features.len()), (1026, 0));
    let edit = Edit {
        output_limit: Some(1),
        include_usage: true,
        ..Edit::default()
    };
    let sent = Bytes::from(body);
    assert_eq!(call.rewrite(&sent, edit).as_ptr(), sent.as_ptr());
}

#[test]
fn reads_an_edit() {
    let body = form(&[
        ("image[]", Some("a.png"), "1234"),
        ("image[]", Some("b.png"), "12"),
        ("mask", Some("m.png"), "1"),
        ("prompt", None, "a hat; model=other"),
        ("model", None, "gpt-image-2"),
        ("n", None, "2"),
        ("size", None, "auto"),
        ("partial_images", None, "1"),
        ("output_format", None, "gif"),
        ("extra", Some("x"), "123"),
    ]);
    let call = Call::read(target(Endpoint::ImageEdits), Some(TYPE), &body).unwrap();
    let work = Work::Images {
        count: 4,
        size: Some("auto".to_owned()),
        quality: None,
    };
    assert_eq!((call.work, call.file_bytes, call.pictures), (work, 7, 2));
    let found: Vec<_> = call
        .features
        .iter()
        .map(|found| (found.feature, found.count, found.found.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (Feature::Image, 3, "image"),
            (Feature::UnpricedOption, 1, "output_format = \"gif\"")
        ]
    );
    let variation = form(&[("image", Some("a.png"), "1234"), ("model", None, "dall-e-2")]);
    let call = Call::read(target(Endpoint::ImageVariations), Some(TYPE), &variation).unwrap();
    assert!(matches!(call.work, Work::Images { count: 1, .. }));
}

#[test]
fn forms_that_cannot_be_governed_are_refused() {
    let file = ("file", Some("a.mp3"), "x");
    let model = ("model", None, "whisper-1");
    for (fields, message) in [
        (vec![file], "model is missing"),
        (vec![model], "file is missing"),
        (vec![file, model, model], "model is given twice"),
        (vec![file, file, model], "file is given twice"),
        (vec![model, ("file", None, "x")], "file must be a file"),
        (
            vec![file, ("model", Some("m"), "whisper-1")],
            "model must be plain text and no file",
        ),
        (
            vec![file, model, ("Model", None, "x")],
            "Model is not a known field; did you mean model?",
        ),
        (
            vec![file, model, ("model[]", None, "x")],
            "model[] is not a known field; did you mean model?",
        ),
        (
            vec![file, model, ("model.x", None, "x")],
            "model.x is not a known field; did you mean model?",
        ),
        (
            vec![file, ("model", None, "")],
            "model must be 1 to 256 bytes without control characters",
        ),
        (
            vec![file, ("model", None, "a\r\nb")],
            "model must be 1 to 256 bytes without control characters",
        ),
        (
            vec![file, model, ("stream", None, "yes")],
            "stream must be true or false",
        ),
        (
            vec![file, model, ("_charset_", None, "utf-16")],
            "_charset_ must be left out: fields are in UTF-8",
        ),
    ] {
        let error = Call::parse_multipart(Endpoint::Transcriptions, TYPE, &form(&fields)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    for (field, value, message) in [
        ("n", "0", "n must be at least 1"),
        ("n", "+1", "n must be a whole number of at least 0"),
        ("n", "", "n must be a whole number of at least 0"),
        ("n", "18446744073709551616", "n must be a whole number of at least 0"),
        ("n[]", "1", "n[] is not a known field; did you mean n?"),
    ] {
        let body = form(&[("image", Some("a"), "x"), ("model", None, "m"), (field, None, value)]);
        let error = Call::parse_multipart(Endpoint::ImageEdits, TYPE, &body).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let stream = |value| form(&[file, model, ("stream", None, value)]);
    let error = Call::parse_multipart(Endpoint::Translations, TYPE, &stream("true")).unwrap_err();
    assert_eq!(error.to_string(), "stream must be false: this endpoint does not stream");
    assert!(Call::parse_multipart(Endpoint::Translations, TYPE, &stream("false")).is_ok());
    let mut odd = form(&[file, ("model", None, "mXdel")]);
    let at = odd.iter().position(|byte| *byte == b'X').unwrap();
    odd[at] = 0xff;
    let error = Call::parse_multipart(Endpoint::Transcriptions, TYPE, &odd).unwrap_err();
    assert_eq!(error.to_string(), "model must be in UTF-8");
    let error = Call::parse_multipart(Endpoint::Transcriptions, TYPE, b"{}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the request body is not valid multipart/form-data: expected the boundary at byte 0"
    );
}

#[test]
fn a_request_has_the_body_its_endpoint_takes() {
    let json = Some("application/json; charset=utf-8");
    for (endpoint, content_type, body, message) in [
        (Endpoint::Models, None, "{}", "this endpoint takes no request body"),
        (
            Endpoint::AnthropicModel,
            json,
            "x",
            "this endpoint takes no request body",
        ),
        (CHAT, Some(TYPE), "{}", "the content type must be application/json"),
        (
            CHAT,
            Some("text/plain"),
            "{}",
            "the content type must be application/json",
        ),
        (
            CHAT,
            Some("application/x-www-form-urlencoded"),
            "{}",
            "the content type must be application/json",
        ),
        (
            Endpoint::ImageEdits,
            Some("text/plain"),
            "{}",
            "the content type must be application/json or multipart/form-data",
        ),
        (
            Endpoint::Transcriptions,
            json,
            "{}",
            "the content type must be multipart/form-data",
        ),
        (
            Endpoint::Transcriptions,
            None,
            "{}",
            "the content type must be multipart/form-data",
        ),
        (
            Endpoint::Transcriptions,
            Some("multipart/form-data; charset=x"),
            "",
            "the content type must be multipart/form-data with a boundary and no other parameter",
        ),
    ] {
        let error = Call::read(target(endpoint), content_type, body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message, "{endpoint:?}");
    }
    let body = br#"{"model":"m","messages":[]}"#;
    for content_type in [None, json, Some("Application/JSON")] {
        assert_eq!(Call::read(target(CHAT), content_type, body), Call::parse(CHAT, body));
    }
    let call = Call::read(target(Endpoint::Models), None, b"").unwrap();
    assert_eq!((call.model.as_str(), &call.work), ("", &Work::Free));
    let model = Target {
        endpoint: Endpoint::AnthropicModel,
        id: Some("claude-sonnet-4-5"),
    };
    assert_eq!(Call::read(model, None, b"").unwrap().model, "claude-sonnet-4-5");
}

#[test]
fn the_output_limit_goes_where_the_endpoint_has_it() {
    let both = Edit {
        output_limit: Some(64),
        include_usage: true,
        ..Edit::default()
    };
    let legacy = Edit {
        legacy_output_limit: true,
        ..both
    };
    for edit in [both, legacy] {
        for (endpoint, body, expected) in [
            (
                RESPONSES,
                r#"{"model":"m","stream":true}"#,
                r#"{"max_output_tokens":64,"model":"m","stream":true}"#,
            ),
            (
                RESPONSES,
                r#"{"model":"m","max_output_tokens":null}"#,
                r#"{"model":"m","max_output_tokens":64}"#,
            ),
            (
                RESPONSES,
                r#"{"model":"m","max_output_tokens":5}"#,
                r#"{"model":"m","max_output_tokens":5}"#,
            ),
            (
                RESPONSES,
                r#"{"model":"m","max_tokens":5}"#,
                r#"{"max_output_tokens":64,"model":"m","max_tokens":5}"#,
            ),
            (COMPLETIONS, r#"{"model":"m"}"#, r#"{"max_tokens":64,"model":"m"}"#),
            (
                COMPLETIONS,
                r#"{"max_tokens":null,"model":"m","stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"max_tokens":64,"model":"m","stream":true}"#,
            ),
            (
                Endpoint::Embeddings,
                r#"{"model":"m","input":""}"#,
                r#"{"model":"m","input":""}"#,
            ),
            (Endpoint::Moderations, "{}", "{}"),
            (
                Endpoint::ImageGenerations,
                r#"{"model":"m","stream":true}"#,
                r#"{"model":"m","stream":true}"#,
            ),
            (
                Endpoint::Speech,
                r#"{"model":"m","input":""}"#,
                r#"{"model":"m","input":""}"#,
            ),
            (
                Endpoint::CountTokens,
                r#"{"model":"m","messages":[]}"#,
                r#"{"model":"m","messages":[]}"#,
            ),
        ] {
            assert_eq!(rewritten(endpoint, body, edit), expected, "{body}");
        }
    }
}

/// Keys and values that mean something somewhere, in any order and nesting.
fn any_body() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "model",
        "messages",
        "input",
        "prompt",
        "tools",
        "type",
        "content",
        "output",
        "role",
        "n",
        "best_of",
        "stream",
        "images",
        "max_output_tokens",
        "max_tokens",
        "size",
        "name",
        "partial_images",
        "conversation",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "message",
            "function",
            "namespace",
            "input_image",
            "item_reference"
        ])
        .prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    });
    value.prop_map(|value| value.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_never_panics_whatever_the_endpoint(
        body in prop_oneof![
            any_body().prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..64),
            proptest::collection::vec(any::<u8>(), 0..64).prop_map(|noise| {
                let noise = String::from_utf8_lossy(&noise).into_owned();
                form(&[("file", Some("f"), &noise), ("image", Some("f"), "x"), ("model", None, "m"), ("n", None, &noise)])
            }),
        ],
        content_type in prop::sample::select(vec![None, Some("application/json"), Some(TYPE)]),
        limit in 1..9999_u64,
    ) {
        let edit = Edit { output_limit: Some(limit), include_usage: true, ..Edit::default() };
        for endpoint in Endpoint::ALL {
            let Ok(call) = Call::read(target(endpoint), content_type, &body) else { continue };
            prop_assert_eq!(call.endpoint, endpoint);
            // What is sent is governed by what was read.
            let text = call.rewrite(&Bytes::copy_from_slice(&body), edit);
            let sent = Call::read(target(endpoint), content_type, &text).unwrap();
            let limited = endpoint.has_output_limit().then_some(limit);
            prop_assert_eq!(sent.output_limit, call.output_limit.or(limited));
            prop_assert_eq!((sent.model, sent.work, sent.choices), (call.model, call.work, call.choices));
        }
    }
}
