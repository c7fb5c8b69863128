//! Models that the path names, and names that providers have for models.

use super::*;

const FORM: &str = "multipart/form-data; boundary=b";

fn named<'a>(endpoint: Endpoint, id: &'a str) -> Target<'a> {
    Target { endpoint, id: Some(id) }
}

/// What is sent of a body for which the path names a model, or which is sent under another name.
fn check(target: Target<'_>, content_type: &str, body: &str, model: Option<&str>, expected: &str) {
    let call =
        Call::read(target, Some(content_type), body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
    let edit = Edit {
        model,
        ..Edit::default()
    };
    let sent = call.rewrite(&Bytes::copy_from_slice(body.as_bytes()), edit);
    assert_eq!(std::str::from_utf8(&sent).unwrap(), expected);
    // What was sent says what was meant, to whom reads the body alone.
    if target.endpoint.has_body() {
        let plain = Target { id: None, ..target };
        let again = Call::read(plain, Some(content_type), &sent).unwrap();
        assert_eq!(again.model, model.unwrap_or(&call.model));
        assert_eq!((again.work, again.messages), (call.work, call.messages));
    }
}

#[test]
fn a_model_is_sent_under_its_name_at_the_provider() {
    let plain = |endpoint| Target { endpoint, id: None };
    let chat = plain(Endpoint::ChatCompletions);
    for (target, body, model, expected) in [
        (
            chat,
            r#"{ "messages":[], "model" : "gpt\u002d4o" ,"seed":1.50}"#,
            Some("my-deployment"),
            r#"{ "messages":[], "model" : "my-deployment" ,"seed":1.50}"#,
        ),
        (
            chat,
            r#"{"model":"m","messages":[]}"#,
            Some(r#"a "b" \ é"#),
            r#"{"model":"a \"b\" \\ é","messages":[]}"#,
        ),
        (
            chat,
            r#"{"model":"m","messages":[]}"#,
            Some("m"),
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            chat,
            r#"{"model":"m","messages":[]}"#,
            None,
            r#"{"model":"m","messages":[]}"#,
        ),
        // One that leaves the model to the provider still does.
        (
            plain(Endpoint::Moderations),
            r#"{"input":"x"}"#,
            None,
            r#"{"input":"x"}"#,
        ),
        // There is no body to write into.
        (named(Endpoint::Model, "m"), "", Some("other"), ""),
    ] {
        check(target, "application/json", body, model, expected);
    }
    check(
        plain(Endpoint::Transcriptions),
        FORM,
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"a\"\r\n\r\nwhisper-1\r\n--b--\r\n",
        Some("ears"),
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nears\r\n--b\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"a\"\r\n\r\nwhisper-1\r\n--b--\r\n",
    );
}

#[test]
fn a_model_in_the_path_is_the_model() {
    let chat = named(Endpoint::ChatCompletions, "gpt-4o");
    for (target, body, expected) in [
        (chat, r#"{"messages":[]}"#, r#"{"model":"gpt-4o","messages":[]}"#),
        (
            chat,
            r#"{"model":"gpt-4o","messages":[]}"#,
            r#"{"model":"gpt-4o","messages":[]}"#,
        ),
        (
            chat,
            r#"{"model":"o1-pro","messages":[]}"#,
            r#"{"model":"gpt-4o","messages":[]}"#,
        ),
        (
            named(Endpoint::Completions, "m"),
            r#"{"prompt":"x"}"#,
            r#"{"model":"m","prompt":"x"}"#,
        ),
    ] {
        check(target, "application/json", body, None, expected);
    }
    check(
        chat,
        "application/json",
        r#"{"model":"o1-pro","messages":[]}"#,
        Some("dep"),
        r#"{"model":"dep","messages":[]}"#,
    );
    check(
        named(Endpoint::Transcriptions, "whisper-1"),
        FORM,
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--",
        None,
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--",
    );
}

#[test]
fn other_fields_are_wanted_all_the_same() {
    for (endpoint, body, message) in [
        (Endpoint::ChatCompletions, "{}", "model is missing"),
        (Endpoint::Completions, "{ }", "model is missing"),
        (Endpoint::ChatCompletions, r#"{"seed":1}"#, "messages is missing"),
        (
            Endpoint::ChatCompletions,
            r#"{"model":null,"messages":[]}"#,
            "model must be a string",
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"Model":"x","messages":[]}"#,
            "Model is not a known field; did you mean model?",
        ),
    ] {
        let error = Call::read(named(endpoint, "m"), None, body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message, "{body}");
    }
}

proptest! {
    /// Whatever the names are, the body is the same but for the model, and says it.
    #[test]
    fn any_name_can_be_written(model in "[^\\p{Cc}]{1,20}", sent in "[^\\p{Cc}]{1,20}", path in prop::option::of("[a-z.:_-]{1,9}")) {
        let body = json!({"messages": [], "model": model, "x": 1}).to_string();
        let target = Target { endpoint: Endpoint::ChatCompletions, id: path.as_deref() };
        let call = Call::read(target, None, body.as_bytes()).unwrap();
        prop_assert_eq!(&call.model, path.as_ref().unwrap_or(&model));
        let edit = Edit { model: Some(&sent), output_limit: Some(7), ..Edit::default() };
        let rewritten = call.rewrite(&Bytes::from(body), edit);
        let value: Value = serde_json::from_slice(&rewritten).unwrap();
        prop_assert_eq!(value, json!({"messages": [], "model": sent, "x": 1, "max_completion_tokens": 7}));
    }
}
