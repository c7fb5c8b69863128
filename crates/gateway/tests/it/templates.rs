//! Upstreams whose calls are addressed by templates, up to what the provider saw of them.

use control::{HeaderTemplate, PathTemplate, Preset, QueryTemplate, UpstreamSpec};
use entry::Event;
use http::{Method, Request};
use http_body_util::Full;
use llm::Dialect;
use model::{Reason, UpstreamName};
use pricing::Override;

use crate::harness::{Harness, Setup, UPSTREAM_KEY};

const ANY: &str = r#"@id("any") permit (principal == Agent::"tester", action in Action::"llm:use", resource);"#;
const HELLO: &str = r#"{"messages":[{"role":"user","content":"Hello there"}],"max_tokens":50}"#;

fn preset(preset: Preset, name: &str, base_url: &str) -> UpstreamSpec {
    UpstreamSpec {
        credential: Some(UPSTREAM_KEY.to_owned().into()),
        ..preset.spec(UpstreamName::new(name).unwrap(), base_url).unwrap()
    }
}

fn upstreams(provider: &str) -> Vec<UpstreamSpec> {
    let models = [
        ("gpt-4o-mini", "my-deployment"),
        ("gpt-4o", "big one/2"),
        ("whisper-1", "ears"),
    ];
    let models = models.map(|(here, there)| (here.to_owned(), there.to_owned()));
    let openai = |name: &str, base_url: &str| UpstreamSpec {
        credential: Some(UPSTREAM_KEY.to_owned().into()),
        ..UpstreamSpec::new(UpstreamName::new(name).unwrap(), Dialect::OpenAi, base_url)
    };
    vec![
        UpstreamSpec {
            models: models.clone().into(),
            ..preset(Preset::Azure, "azure", provider)
        },
        UpstreamSpec {
            models: models.clone().into(),
            ..preset(Preset::AzureV1, "azure-v1", provider)
        },
        preset(Preset::Mistral, "mistral", provider),
        preset(Preset::Ollama, "ollama", provider),
        UpstreamSpec {
            models: models.into(),
            path: PathTemplate::parse("/{operation}").unwrap(),
            query: QueryTemplate::parse("team=a%20b").unwrap(),
            headers: vec![
                HeaderTemplate::parse("Authorization", "Bearer {api_key}").unwrap(),
                HeaderTemplate::parse("X-Team", "agents").unwrap(),
            ],
            ..openai("odd", &format!("{provider}/v1"))
        },
    ]
}

async fn start() -> Harness {
    Harness::with(Setup {
        policy: ANY,
        upstreams,
        ..Setup::default()
    })
    .await
}

/// What the provider saw of the last call: method and path, model, body.
fn seen(harness: &Harness) -> (String, String, String) {
    let call = harness.provider.calls().snapshot().pop().unwrap();
    assert_eq!(call.credential.as_deref(), Some(UPSTREAM_KEY));
    let holding: Vec<_> = call
        .headers
        .iter()
        .filter(|(_, value)| value.contains(UPSTREAM_KEY))
        .collect();
    assert_eq!(holding.len(), 1, "the credential stands in one header");
    assert!(call.headers.iter().all(|(_, value)| !value.contains("bwk_")));
    let body = String::from_utf8(call.body.to_vec()).unwrap();
    (format!("{} {}", call.method, call.path), call.model, body)
}

fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}",{}"#, HELLO.trim_start_matches('{'))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_where_the_templates_say() {
    let harness = start().await;
    let version = "api-version=2024-10-21";
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: \
                form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nxxxxxxxxxxxxxxxx\r\n--b--\r\n";
    let embed = r#"{"model":"text-embedding-3-small","input":"x"}"#.to_owned();
    for (path, body, there, model) in [
        (
            "/azure/v1/chat/completions",
            chat("gpt-4o-mini"),
            format!("/openai/deployments/my-deployment/chat/completions?{version}"),
            "my-deployment",
        ),
        (
            "/azure/v1/chat/completions?api-version=2020-01-01&x=1",
            chat("gpt-4o"),
            format!("/openai/deployments/big%20one%2F2/chat/completions?x=1&{version}"),
            "big one/2",
        ),
        (
            "/azure/v1/embeddings",
            embed.clone(),
            format!("/openai/deployments/text-embedding-3-small/embeddings?{version}"),
            "text-embedding-3-small",
        ),
        (
            "/azure-v1/v1/chat/completions",
            chat("gpt-4o-mini"),
            "/openai/v1/chat/completions".to_owned(),
            "my-deployment",
        ),
        (
            "/azure-v1/v1/audio/transcriptions",
            form.to_owned(),
            "/openai/v1/audio/transcriptions".to_owned(),
            "ears",
        ),
        (
            "/odd/v1/chat/completions?team=mine",
            chat("gpt-4o-mini"),
            "/v1/chat/completions?team=a%20b".to_owned(),
            "my-deployment",
        ),
        (
            "/odd/v1/moderations",
            r#"{"model":"gpt-4o-mini","input":"x"}"#.to_owned(),
            "/v1/moderations?team=a%20b".to_owned(),
            "my-deployment",
        ),
        (
            "/openai/v1/chat/completions?beta=1",
            chat("gpt-4o-mini"),
            "/v1/chat/completions?beta=1".to_owned(),
            "gpt-4o-mini",
        ),
    ] {
        let mut request = harness.request(path, body);
        if path.ends_with("transcriptions") {
            let form = "multipart/form-data; boundary=b".parse().unwrap();
            request.headers_mut().insert("content-type", form);
        }
        request.headers_mut().insert("x-team", "theirs".parse().unwrap());
        let (status, _, text) = harness.call(request).await;
        assert_eq!(status, 200, "{path}: {text}");
        let (to, sent, _) = seen(&harness);
        assert_eq!((to, sent.as_str()), (format!("POST {there}"), model), "{path}");
        let call = harness.provider.calls().snapshot().pop().unwrap();
        let team = call.headers.iter().filter(|(name, _)| name == "x-team");
        let expected = if path.starts_with("/odd") { "agents" } else { "theirs" };
        assert_eq!(team.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), [expected]);
    }
    // Entries, policies and prices know the models by the names of agents.
    let entries = harness.entries().await;
    let intents = entries.iter().filter_map(|entry| match &entry.event {
        Event::Intent(intent) => Some(intent.action.model.as_str()),
        _ => None,
    });
    let models: Vec<_> = intents.collect();
    assert!(
        models.contains(&"gpt-4o-mini") && !models.contains(&"my-deployment"),
        "{models:?}"
    );
    harness.outcomes(8).await;
    harness.finish().await;
}

/// As Azure's clients ask: the deployment in the path, the credential in `api-key`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_clients_are_understood() {
    let harness = start().await;
    let classic = |model: &str| format!("POST /openai/deployments/{model}/chat/completions?api-version=2024-10-21");
    let v1 = "POST /openai/v1/chat/completions".to_owned();
    for (upstream, deployment, body, there, model) in [
        (
            "azure",
            "gpt-4o-mini",
            HELLO.to_owned(),
            classic("my-deployment"),
            "my-deployment",
        ),
        (
            "azure",
            "my-deployment",
            HELLO.to_owned(),
            classic("my-deployment"),
            "my-deployment",
        ),
        (
            "azure",
            "gpt-4o-mini",
            chat("gpt-4o-mini"),
            classic("my-deployment"),
            "my-deployment",
        ),
        // The path decides, as it does at Azure: what was permitted is what is sent.
        (
            "azure",
            "gpt-4o-mini",
            chat("o1-pro"),
            classic("my-deployment"),
            "my-deployment",
        ),
        ("azure-v1", "gpt-4o-mini", HELLO.to_owned(), v1.clone(), "my-deployment"),
        ("azure-v1", "my-deployment", chat("o1-pro"), v1, "my-deployment"),
        (
            "azure",
            "gpt-4.1-mini",
            HELLO.to_owned(),
            classic("gpt-4.1-mini"),
            "gpt-4.1-mini",
        ),
    ] {
        let path =
            format!("/{upstream}/openai/deployments/{deployment}/chat/completions?api-version=2025-01-01-preview");
        let mut request = harness.request(&path, body);
        request.headers_mut().remove("authorization");
        request.headers_mut().insert("api-key", harness.key.parse().unwrap());
        let (status, _, text) = harness.call(request).await;
        assert_eq!(status, 200, "{path}: {text}");
        let (to, sent, body) = seen(&harness);
        assert_eq!((to, sent.as_str()), (there, model), "{path}");
        assert!(!body.contains("o1-pro"), "{body}");
    }
    let outcomes = harness.outcomes(7).await;
    assert!(outcomes.iter().all(|outcome| outcome.cost.0 > 0));
    let list = Request::get(format!("{}/azure/openai/models?api-version=1", harness.url))
        .header("api-key", &harness.key)
        .body(Full::default())
        .unwrap();
    assert_eq!(harness.call(list).await.0, 200);
    assert_eq!(seen(&harness).0, "GET /openai/models?api-version=2024-10-21");
    let wrong = Request::get(format!("{}/azure/openai/deployments/m/chat/completions", harness.url))
        .header("api-key", &harness.key)
        .body(Full::default())
        .unwrap();
    let response = harness.send(wrong).await;
    assert_eq!(
        (response.status().as_u16(), crate::harness::header(&response, "allow")),
        (405, "POST".to_owned())
    );
    drop(response);
    harness.finish().await;
}

/// No other path of an upstream is forwarded, however it is spelt: the provider's own count says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_side_door() {
    let harness = start().await;
    let mut refused = 0;
    for path in [
        "/azure/openai/files",
        "/azure/openai/batches",
        "/azure/openai/assistants",
        "/azure/openai/threads/t/runs",
        "/azure/openai/realtime",
        "/azure/openai/v1/files",
        "/azure/openai/v1/responses/resp_1",
        "/azure/openai/deployments/m/files",
        "/azure/openai/deployments/m/extensions/chat/completions",
        "/azure/openai/deployments/m/chat/completions/../../../files",
        "/azure/openai/deployments/../files",
        "/azure/openai/deployments/../chat/completions",
        "/azure/openai/deployments/%2e%2e/chat/completions",
        "/azure/openai/deployments/..%2ffiles/chat/completions",
        "/azure/openai/deployments/m%2f..%2fn/chat/completions",
        "/azure/openai/deployments/m;x/chat/completions",
        "/azure/openai/deployments/m\\n/chat/completions",
        "/azure/openai/deployments//chat/completions",
        "/azure/openai//deployments/m/chat/completions",
        "/azure/OpenAI/deployments/m/chat/completions",
        "/azure/openai/deployments/m/Chat/completions",
        "/azure/openai/deployments/m/chat/completions/",
        "/azure/openai/deployments/m/chat/completions;x=1",
        "/azure/openai/deployments/m/chat%2fcompletions",
        "/azure//openai/v1/chat/completions",
        "/azure/v1/../openai/files",
        "/ollama/api/chat",
        "/ollama/api/generate",
        "/ollama/api/pull",
        "/ollama/api/tags",
        "/ollama/v1/../api/chat",
        "/ollama/v1/%2e%2e/api/chat",
        "/ollama/v1//chat/completions",
        "/ollama/V1/chat/completions",
        "/ollama/openai/deployments/m/chat/completions",
        "/openai/openai/v1/chat/completions",
        "/openai/v1/files",
        "/openai/v1/batches",
        "/openai/v1/assistants",
        "/openai/v1/realtime",
        "/openai/v1/fine_tuning/jobs",
        "/openai/v1/organization/admin_api_keys",
        "/odd/chat/completions",
        "/odd/v1/v1/chat/completions",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let body = if method == Method::POST {
                chat("gpt-4o-mini")
            } else {
                String::new()
            };
            let mut request = harness.request("/", body);
            *request.method_mut() = method.clone();
            *request.uri_mut() = format!("{}{path}", harness.url).parse().unwrap();
            let (status, reason, text) = harness.call(request).await;
            assert_eq!(
                (status, reason.as_str()),
                (404, Reason::UnknownEndpoint.code()),
                "{method} {path}"
            );
            let inner = path.split_once('/').unwrap().1.split_once('/').unwrap().1;
            let named = serde_json::to_string(&format!("{:?}", format!("/{inner}"))).unwrap();
            assert!(text.contains(named.trim_matches('"')), "{text} does not name {inner}");
            refused += 1;
        }
    }
    assert_eq!(harness.denials().await.len(), refused);
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}

/// A model that would be a step in a path is refused, not encoded: servers decode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_no_step_in_a_path() {
    let harness = start().await;
    for (path, body, status, reason) in [
        ("/azure/v1/chat/completions", chat(".."), 400, Reason::InvalidRequest),
        ("/azure/v1/chat/completions", chat("."), 400, Reason::InvalidRequest),
        (
            "/azure/v1/moderations",
            r#"{"input":"x"}"#.to_owned(),
            400,
            Reason::InvalidRequest,
        ),
        // This one is a model like any other, and nobody has a price for it.
        (
            "/azure/v1/chat/completions",
            chat("../../files"),
            403,
            Reason::UnpricedModel,
        ),
        ("/azure/v1/chat/completions", chat("%2e%2e"), 403, Reason::UnpricedModel),
    ] {
        let (found, code, text) = harness.call(harness.request(path, body)).await;
        assert_eq!((found, code.as_str()), (status, reason.code()), "{text}");
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}

/// Mistral refuses fields that it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_not_take_is_not_written() {
    let harness = start().await;
    let body = r#"{"model":"mistral-small-latest","messages":[{"role":"user","content":"Hi"}],"stream":true}"#;
    let (status, _, text) = harness
        .call(harness.request("/mistral/v1/chat/completions", body))
        .await;
    assert_eq!(status, 200, "{text}");
    let (_, _, sent) = seen(&harness);
    assert!(
        sent.starts_with("{\"max_tokens\":") && sent.ends_with(&body[1..]),
        "{sent}"
    );
    harness.outcomes(1).await;
    harness.finish().await;
}

fn free(model: &str) -> Override {
    let text = format!(r#"{{"provider":"ollama","model":"{model}","input":"0","output":"0"}}"#);
    serde_json::from_str(&text).unwrap()
}

/// litellm#14004, litellm#29912: a budget that is used up, or in debt, stops no model that costs nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_costs_nothing_needs_no_budget() {
    let harness = Harness::with(Setup {
        limit: "0.01 USD",
        policy: ANY,
        upstreams,
        prices: vec![free("llama3.2")],
        ..Setup::default()
    })
    .await;
    let own = |harness: &Harness| harness.request("/ollama/v1/chat/completions", chat("llama3.2"));
    assert_eq!(harness.call(own(&harness)).await.0, 200);
    // The provider bills far past the hold.
    let dear = Harness::scripted(harness.chat(""), "usage-output=1000000");
    assert_eq!(harness.call(dear).await.0, 200);
    let outcomes = harness.outcomes(2).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.overrun.0 > 0).count(), 1);
    let (status, reason, _) = harness.call(harness.chat("")).await;
    assert_eq!((status, reason.as_str()), (402, Reason::BudgetExhausted.code()));
    let response = harness.send(own(&harness)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        crate::harness::header(&response, "bailiwick-cost-usd").parse::<f64>(),
        Ok(0.0)
    );
    drop(response);
    // One without a price is refused, and told how to get one.
    let body = chat("qwen3:8b");
    let (status, reason, text) = harness.call(harness.request("/ollama/v1/chat/completions", body)).await;
    assert_eq!((status, reason.as_str()), (403, Reason::UnpricedModel.code()));
    for part in [
        "[[prices]]",
        r#"provider = \"ollama\""#,
        r#"model = \"qwen3:8b\""#,
        r#"(\"0\" if it is free)"#,
    ] {
        assert!(text.contains(part), "{text}");
    }
    let outcomes = harness.outcomes(3).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.cost.0 == 0).count(), 2);
    harness.finish().await;
}
