use super::*;
use Dialect::{Anthropic, OpenAi};

#[test]
fn finds_exactly_the_governed_paths() {
    for (dialect, method, path, endpoint, id) in [
        (OpenAi, "POST", "/v1/chat/completions", Endpoint::ChatCompletions, None),
        (OpenAi, "POST", "/v1/responses", Endpoint::Responses, None),
        (OpenAi, "POST", "/v1/completions", Endpoint::Completions, None),
        (OpenAi, "POST", "/v1/embeddings", Endpoint::Embeddings, None),
        (OpenAi, "POST", "/v1/moderations", Endpoint::Moderations, None),
        (
            OpenAi,
            "POST",
            "/v1/images/generations",
            Endpoint::ImageGenerations,
            None,
        ),
        (OpenAi, "POST", "/v1/images/edits", Endpoint::ImageEdits, None),
        (OpenAi, "POST", "/v1/images/variations", Endpoint::ImageVariations, None),
        (OpenAi, "POST", "/v1/audio/speech", Endpoint::Speech, None),
        (
            OpenAi,
            "POST",
            "/v1/audio/transcriptions",
            Endpoint::Transcriptions,
            None,
        ),
        (OpenAi, "POST", "/v1/audio/translations", Endpoint::Translations, None),
        (OpenAi, "GET", "/v1/models", Endpoint::Models, None),
        (
            OpenAi,
            "GET",
            "/v1/models/ft:gpt-4o:acme::Ab_1.2",
            Endpoint::Model,
            Some("ft:gpt-4o:acme::Ab_1.2"),
        ),
        (Anthropic, "POST", "/v1/messages", Endpoint::Messages, None),
        (
            Anthropic,
            "POST",
            "/v1/messages/count_tokens",
            Endpoint::CountTokens,
            None,
        ),
        (Anthropic, "GET", "/v1/models", Endpoint::AnthropicModels, None),
        (
            Anthropic,
            "GET",
            "/v1/models/claude-sonnet-4-5",
            Endpoint::AnthropicModel,
            Some("claude-sonnet-4-5"),
        ),
    ] {
        assert_eq!(Endpoint::find(dialect, method, path), Ok(Target { endpoint, id }));
        let other = if method == "POST" { "GET" } else { "POST" };
        for wrong in [other, "post", "get", "HEAD", "DELETE", ""] {
            assert_eq!(
                Endpoint::find(dialect, wrong, path),
                Err(EndpointError::Method { allowed: method }),
                "{wrong} {path}"
            );
        }
    }
}

#[test]
fn every_other_spelling_is_refused() {
    let long = format!("/v1/models/{}", "m".repeat(MAX_NAME_BYTES + 1));
    for (dialect, path) in [
        (OpenAi, "/v1/messages"),
        (OpenAi, "/v1/messages/count_tokens"),
        (Anthropic, "/v1/chat/completions"),
        (Anthropic, "/v1/responses"),
        (OpenAi, ""),
        (OpenAi, "/"),
        (OpenAi, "v1/chat/completions"),
        (OpenAi, "/v1/chat/completions/"),
        (OpenAi, "/v1//chat/completions"),
        (OpenAi, "//v1/chat/completions"),
        (OpenAi, "/v1/chat%2Fcompletions"),
        (OpenAi, "/v1/chat%2fcompletions"),
        (OpenAi, "/v1/chat/%63ompletions"),
        (OpenAi, "/v1/./chat/completions"),
        (OpenAi, "/v1/x/../chat/completions"),
        (OpenAi, "/v1/chat/completions/../../files"),
        (OpenAi, "/v1/chat/completions?x=1"),
        (OpenAi, "/v1/chat/completions;x"),
        (OpenAi, "/V1/chat/completions"),
        (OpenAi, "/v1/chat\\completions"),
        (OpenAi, "/v1/files"),
        (OpenAi, "/v1/batches"),
        (OpenAi, "/v1/realtime"),
        (OpenAi, "/v1/responses/resp_1"),
        (OpenAi, "/v1/responses/resp_1/cancel"),
        (OpenAi, "/v1/images"),
        (OpenAi, "/v1/models/"),
        (OpenAi, "/v1/models/."),
        (OpenAi, "/v1/models/.."),
        (OpenAi, "/v1/models/a/b"),
        (OpenAi, "/v1/models/a%2Fb"),
        (OpenAi, "/v1/models/a b"),
        (OpenAi, "/v1/models/é"),
        (OpenAi, "/v1/models/{id}"),
        (OpenAi, &long),
        (Anthropic, "/v1/messages/batches"),
        (Anthropic, "/v1/complete"),
    ] {
        for method in ["GET", "POST"] {
            assert!(
                matches!(
                    Endpoint::find(dialect, method, path),
                    Err(EndpointError::Unknown { .. })
                ),
                "{path}"
            );
        }
    }
}

#[test]
fn a_refusal_names_the_path_and_the_governed_ones() {
    let error = Endpoint::find(Anthropic, "POST", "/v1/complete").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"/v1/complete\" is not a governed endpoint of this upstream; the governed ones are /v1/messages, \
         /v1/messages/count_tokens, /v1/models, /v1/models/{id}"
    );
}

/// Each property of each endpoint, in one table: a new endpoint must say all of them.
#[test]
fn what_each_endpoint_is() {
    let marks = |endpoint: Endpoint| {
        [
            (endpoint.is_free(), 'f'),
            (endpoint.has_body(), 'b'),
            (endpoint.has_model(), 'm'),
            (endpoint.may_stream(), 's'),
            (endpoint.has_output_limit(), 'l'),
            (endpoint.has_usage_option(), 'u'),
            (endpoint.takes_json(), 'j'),
            (endpoint.takes_form(), 'p'),
        ]
        .into_iter()
        .filter_map(|(is, mark)| is.then_some(mark))
        .collect::<String>()
    };
    let table = [
        (Endpoint::ChatCompletions, "llm:generate", "bmsluj"),
        (Endpoint::Responses, "llm:generate", "bmslj"),
        (Endpoint::Completions, "llm:generate", "bmsluj"),
        (Endpoint::Embeddings, "llm:embed", "bmj"),
        (Endpoint::Moderations, "llm:moderate", "fbmj"),
        (Endpoint::ImageGenerations, "llm:image", "bmsj"),
        (Endpoint::ImageEdits, "llm:image", "bmsjp"),
        (Endpoint::ImageVariations, "llm:image", "bmp"),
        (Endpoint::Speech, "llm:speech", "bmsj"),
        (Endpoint::Transcriptions, "llm:transcribe", "bmsp"),
        (Endpoint::Translations, "llm:transcribe", "bmp"),
        (Endpoint::Models, "llm:list", "f"),
        (Endpoint::Model, "llm:list", "fm"),
        (Endpoint::Messages, "llm:generate", "bmslj"),
        (Endpoint::CountTokens, "llm:count", "fbmj"),
        (Endpoint::AnthropicModels, "llm:list", "f"),
        (Endpoint::AnthropicModel, "llm:list", "fm"),
    ];
    assert_eq!(table.map(|(endpoint, _, _)| endpoint), Endpoint::ALL);
    for (endpoint, action, expected) in table {
        assert_eq!(
            (endpoint.action(), marks(endpoint).as_str()),
            (action, expected),
            "{endpoint:?}"
        );
    }
}
