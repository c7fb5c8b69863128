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

#[test]
fn azure_clients_name_the_deployment_in_the_path() {
    let deployed = |operation: &str| format!("/openai/deployments/my-dep.1/{operation}");
    for (method, path, endpoint, id) in [
        (
            "POST",
            deployed("chat/completions"),
            Endpoint::ChatCompletions,
            Some("my-dep.1"),
        ),
        ("POST", deployed("completions"), Endpoint::Completions, Some("my-dep.1")),
        ("POST", deployed("embeddings"), Endpoint::Embeddings, Some("my-dep.1")),
        (
            "POST",
            deployed("images/generations"),
            Endpoint::ImageGenerations,
            Some("my-dep.1"),
        ),
        ("POST", deployed("images/edits"), Endpoint::ImageEdits, Some("my-dep.1")),
        ("POST", deployed("audio/speech"), Endpoint::Speech, Some("my-dep.1")),
        (
            "POST",
            deployed("audio/transcriptions"),
            Endpoint::Transcriptions,
            Some("my-dep.1"),
        ),
        (
            "POST",
            deployed("audio/translations"),
            Endpoint::Translations,
            Some("my-dep.1"),
        ),
        ("POST", "/openai/responses".to_owned(), Endpoint::Responses, None),
        ("GET", "/openai/models".to_owned(), Endpoint::Models, None),
        (
            "GET",
            "/openai/models/gpt-4o".to_owned(),
            Endpoint::Model,
            Some("gpt-4o"),
        ),
        (
            "POST",
            "/openai/v1/chat/completions".to_owned(),
            Endpoint::ChatCompletions,
            None,
        ),
        (
            "GET",
            "/openai/v1/models/gpt-4o".to_owned(),
            Endpoint::Model,
            Some("gpt-4o"),
        ),
        (
            "POST",
            "/v1/chat/completions".to_owned(),
            Endpoint::ChatCompletions,
            None,
        ),
        ("GET", "/v1/models".to_owned(), Endpoint::Models, None),
    ] {
        assert_eq!(
            Endpoint::find_azure(method, &path),
            Ok(Target { endpoint, id }),
            "{path}"
        );
        for wrong in [if method == "POST" { "GET" } else { "POST" }, "post", "DELETE"] {
            let error = Err(EndpointError::Method { allowed: method });
            assert_eq!(Endpoint::find_azure(wrong, &path), error, "{wrong} {path}");
        }
        // No other upstream has these paths.
        if path.starts_with("/openai") {
            assert!(Endpoint::find(OpenAi, method, &path).is_err());
        }
    }
}

#[test]
fn azures_other_operations_are_refused() {
    for path in [
        "/openai/deployments/d/responses",
        "/openai/deployments/d/chat/completions/",
        "/openai/deployments/d/chat//completions",
        "/openai/deployments/d//chat/completions",
        "/openai/deployments//chat/completions",
        "/openai/deployments/../chat/completions",
        "/openai/deployments/./chat/completions",
        "/openai/deployments/%2e%2e/chat/completions",
        "/openai/deployments/a%2fb/chat/completions",
        "/openai/deployments/a/b/chat/completions",
        "/openai/deployments/a\\b/chat/completions",
        "/openai/deployments/a;b/chat/completions",
        "/openai/Deployments/d/chat/completions",
        "/OpenAI/deployments/d/chat/completions",
        "/openai/deployments/d/chat/Completions",
        "/openai/deployments/d/extensions/chat/completions",
        "/openai/deployments/d",
        "/openai/deployments",
        "/openai/deployments/{id}/chat/completions",
        "/openai/chat/completions",
        "/openai/files",
        "/openai/batches",
        "/openai/assistants",
        "/openai/threads",
        "/openai/fine_tuning/jobs",
        "/openai/realtime",
        "/openai/v1/files",
        "/openai/v1",
        "/openai/v1/../files",
        "/openai/v1//chat/completions",
        "/openai/openai/v1/chat/completions",
        "/openai//v1/chat/completions",
        "/openai",
        "/openai/",
        "",
    ] {
        for method in ["GET", "POST"] {
            let error = Endpoint::find_azure(method, path).unwrap_err().to_string();
            let says = format!("{path:?} is not a governed endpoint of this upstream; the governed ones are /v1/chat/");
            assert!(error.starts_with(&says), "{error}");
        }
    }
}

#[test]
fn operations_are_paths_below_the_version() {
    assert_eq!(Endpoint::ChatCompletions.operation(), "chat/completions");
    assert_eq!(Endpoint::Model.operation(), "models/{id}");
    for endpoint in Endpoint::ALL {
        assert_eq!(format!("/v1/{}", endpoint.operation()), endpoint.path());
    }
}
