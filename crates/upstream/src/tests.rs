use super::*;

fn spec(preset: Preset) -> UpstreamSpec {
    let base_url = preset.base_url().unwrap_or("http://10.0.0.5:8000");
    preset.spec(UpstreamName::new("up").unwrap(), base_url).unwrap()
}

/// Every preset's templates are read, and say where a call goes.
#[test]
fn presets_know_their_servers() {
    let chat = Endpoint::ChatCompletions;
    for (preset, address, query, prices, legacy, usage, private) in [
        (
            Preset::Azure,
            "http://10.0.0.5:8000/openai/deployments/m/chat/completions",
            Some("api-version=2024-10-21"),
            "azure",
            false,
            true,
            false,
        ),
        (
            Preset::AzureV1,
            "http://10.0.0.5:8000/openai/v1/chat/completions",
            None,
            "azure",
            false,
            true,
            false,
        ),
        (
            Preset::Ollama,
            "http://10.0.0.5:8000/v1/chat/completions",
            None,
            "ollama",
            true,
            true,
            true,
        ),
        (
            Preset::Vllm,
            "http://10.0.0.5:8000/v1/chat/completions",
            None,
            "vllm",
            false,
            true,
            true,
        ),
        (
            Preset::Mistral,
            "https://api.mistral.ai/v1/chat/completions",
            None,
            "mistral",
            true,
            false,
            false,
        ),
        (
            Preset::Groq,
            "https://api.groq.com/openai/v1/chat/completions",
            None,
            "groq",
            false,
            true,
            false,
        ),
        (
            Preset::DeepSeek,
            "https://api.deepseek.com/v1/chat/completions",
            None,
            "deepseek",
            true,
            true,
            false,
        ),
    ] {
        let spec = spec(preset);
        assert_eq!(spec.address(chat, "m").as_deref(), Ok(address));
        assert_eq!(
            spec.query(Some("api-version=1").filter(|_| spec.azure_paths))
                .as_deref(),
            query
        );
        let found = (
            spec.prices.as_str(),
            spec.legacy_output_limit,
            spec.stream_usage_option,
            spec.private_network,
        );
        assert_eq!(found, (prices, legacy, usage, private), "{}", preset.name());
        let key = spec
            .headers
            .iter()
            .any(|header| header.name() == "api-key" && header.has_credential());
        assert_eq!(key, spec.azure_paths);
    }
    assert_eq!(Preset::ALL.map(Preset::name).len(), 7);
}

#[test]
fn azure_has_some_endpoints_elsewhere() {
    let spec = spec(Preset::Azure);
    for (endpoint, model, path) in [
        (Endpoint::Responses, "m", "/openai/responses"),
        (Endpoint::Models, "", "/openai/models"),
        (Endpoint::Model, "m", "/openai/models/m"),
        (Endpoint::Speech, "tts", "/openai/deployments/tts/audio/speech"),
    ] {
        assert_eq!(spec.address(endpoint, model), Ok(format!("http://10.0.0.5:8000{path}")));
    }
    for model in ["", ".", ".."] {
        assert_eq!(spec.address(Endpoint::Moderations, model), Err(NoSegment));
        assert_eq!(
            spec.address(Endpoint::Responses, model),
            Ok("http://10.0.0.5:8000/openai/responses".to_owned())
        );
    }
}

#[test]
fn a_model_has_a_name_here_and_one_there() {
    let mut spec = spec(Preset::Azure);
    let models = [
        ("gpt-4o", "big"),
        ("gpt-4o-2024-08-06", "big"),
        ("gpt-4o-mini", "small one"),
        ("o1", "gpt-4.1"),
    ];
    spec.models = models.map(|(here, there)| (here.to_owned(), there.to_owned())).into();
    let path = "http://10.0.0.5:8000/openai/deployments/small%20one/embeddings";
    assert_eq!(spec.address(Endpoint::Embeddings, "gpt-4o-mini").as_deref(), Ok(path));
    assert_eq!(
        spec.address(Endpoint::Model, "gpt-4o").as_deref(),
        Ok("http://10.0.0.5:8000/openai/models/big")
    );
    assert_eq!(
        (spec.sent_as("o1"), spec.sent_as("gpt-4.1"), spec.sent_as("x")),
        ("gpt-4.1", "gpt-4.1", "x")
    );
    spec.models.insert("gpt-4o-mini".to_owned(), "small".to_owned());
    // A deployment's name stands for its model if that is the only one.
    for (asked, known) in [
        ("small", "gpt-4o-mini"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("big", "big"),
        ("x", "x"),
    ] {
        let path = format!("/openai/deployments/{asked}/chat/completions");
        let target = spec.find("POST", &path).unwrap();
        assert_eq!(
            (target.endpoint, target.id),
            (Endpoint::ChatCompletions, Some(known)),
            "{asked}"
        );
    }
    assert_eq!(spec.find("GET", "/openai/models/small").unwrap().id, Some("small"));
}

#[test]
fn only_upstreams_of_azure_know_its_paths() {
    let path = "/openai/deployments/m/chat/completions";
    for preset in Preset::ALL {
        let spec = spec(preset);
        assert_eq!(spec.find("POST", path).is_ok(), spec.azure_paths, "{}", preset.name());
        assert!(spec.find("POST", "/v1/chat/completions").is_ok());
        assert!(spec.find("POST", "/api/chat").is_err());
    }
}

#[test]
fn the_record_says_what_is_in_effect_and_no_secret() {
    let mut spec = spec(Preset::Azure);
    spec.credential = Some("sk-canary".to_owned().into());
    spec.models = [("a".to_owned(), "b".to_owned())].into();
    spec.private_network = true;
    let record = serde_json::to_string(&spec.record()).unwrap();
    let expected = concat!(
        r#"{"name":"up","kind":"openai","base_url":"http://10.0.0.5:8000","prices":"azure","#,
        r#""path":"/openai/deployments/{model}/{operation}","paths":{"models":"/openai/{operation}","#,
        r#""models/{id}":"/openai/{operation}","responses":"/openai/{operation}"},"query":"api-version=2024-10-21","#,
        r#""headers":{"api-key":"{api_key}"},"models":{"a":"b"},"azure_paths":true,"private_network":true}"#,
    );
    assert_eq!(record, expected);
    assert!(!format!("{spec:?}").contains("canary"));
    // One that says nothing of its own is recorded as it always was.
    let plain = UpstreamSpec::new(
        UpstreamName::new("openai").unwrap(),
        Dialect::OpenAi,
        "https://api.openai.com",
    );
    assert_eq!(
        serde_json::to_string(&plain.record()).unwrap(),
        r#"{"name":"openai","kind":"openai","base_url":"https://api.openai.com","prices":"openai"}"#
    );
}

#[test]
fn the_record_says_how_the_upstream_is_reached_and_no_secret() {
    let reached = |http2, host: &str, password: &str, key: &str| {
        let mut spec = spec(Preset::Vllm);
        spec.transport = Transport::new(TransportSpec {
            http2,
            proxy: Some(Proxy {
                host: host.to_owned(),
                port: 3128,
                credential: Some(Secret::from(password)),
            }),
            ca: Some("abc".to_owned()),
            identity: Some(ClientIdentity {
                certificate: String::new(),
                key: Secret::from(key),
            }),
        });
        serde_json::to_string(&spec.record()).unwrap()
    };
    let record = reached(Http2::Never, "::1", "canary", "canary");
    let expected = concat!(
        r#","proxy":"[::1]:3128","http2":"never","#,
        r#""ca":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
        r#""client_certificate":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#,
    );
    assert!(record.ends_with(expected), "{record}");
    assert!(!record.contains("canary"), "{record}");
    assert_eq!(record, reached(Http2::Never, "::1", "another", "another"));
    let record = reached(Http2::Auto, "proxy.example", "", "");
    assert!(record.contains(r#","proxy":"proxy.example:3128","ca""#), "{record}");
}
