//! Case 7: routes that nobody meters (maximhq/bifrost#2873; BerriAI/litellm PR #34590). Whatever reaches the provider has an
//! intent in the log and a hold in the budget, or is free; everything else is refused.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use llm::{Dialect, Endpoint};
use model::NanoUsd;

use super::{ALL, intents, permitting};
use crate::harness::{Harness, Setup};

/// A request that the provider would answer, to each endpoint there is.
fn request(harness: &Harness, endpoint: Endpoint) -> Request<Full<Bytes>> {
    let upstream = match endpoint.dialect() {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
    };
    let path = format!("/{upstream}{}", endpoint.path().replace("{id}", "gpt-4o-mini"));
    let form = |model: &str, part: &str| {
        let head = "--b0\r\nContent-Disposition: form-data; name=";
        format!(
            "{head}\"model\"\r\n\r\n{model}\r\n{head}\"{part}\"; filename=\"a\"\r\nContent-Type: application/octet-stream\
             \r\n\r\n{}\r\n--b0--\r\n",
            "\0".repeat(30_000)
        )
    };
    let chat = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#;
    let message = r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#;
    let body = match endpoint {
        Endpoint::ChatCompletions => chat.to_owned(),
        Endpoint::Responses => r#"{"model":"gpt-4o-mini","input":"Hi","max_output_tokens":5}"#.to_owned(),
        Endpoint::Completions => r#"{"model":"gpt-4o-mini","prompt":"Hi","max_tokens":5}"#.to_owned(),
        Endpoint::Embeddings => r#"{"model":"text-embedding-3-small","input":"Hi"}"#.to_owned(),
        Endpoint::Moderations => r#"{"model":"omni-moderation-latest","input":"Hi"}"#.to_owned(),
        Endpoint::ImageGenerations => r#"{"model":"gpt-image-1","prompt":"Hi","quality":"low"}"#.to_owned(),
        Endpoint::Speech => r#"{"model":"tts-1","input":"Hi","voice":"alloy"}"#.to_owned(),
        Endpoint::ImageEdits | Endpoint::ImageVariations => form("gpt-image-1", "image"),
        Endpoint::Transcriptions | Endpoint::Translations => form("whisper-1", "file"),
        Endpoint::Messages | Endpoint::CountTokens => message.to_owned(),
        Endpoint::Models | Endpoint::Model | Endpoint::AnthropicModels | Endpoint::AnthropicModel => String::new(),
    };
    let is_form = body.starts_with("--b0");
    let mut request = harness.request(&path, body);
    *request.method_mut() = endpoint.method().parse().unwrap();
    if is_form {
        let form = "multipart/form-data; boundary=b0".parse().unwrap();
        request.headers_mut().insert("content-type", form);
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_07_every_route_that_reaches_the_provider_is_budgeted_or_free() {
    let harness = permitting().await;
    let mut forwarded = 0;
    for endpoint in Endpoint::ALL {
        let (status, reason, text) = harness.call(request(&harness, endpoint)).await;
        // The simulated provider has no pictures from pictures and no translations, and says so itself: it was asked.
        let governed = reason.is_empty();
        assert!(governed || status == 403, "{endpoint}: {status} {reason} {text}");
        forwarded += u64::from(governed);
        assert_eq!(harness.provider.calls().count().received, forwarded, "{endpoint}");
        let intents = intents(&harness).await;
        assert_eq!(u64::try_from(intents.len()).unwrap(), forwarded, "{endpoint}");
        if governed {
            let hold = intents.last().unwrap().hold;
            assert_eq!(hold == NanoUsd::ZERO, endpoint.is_free(), "{endpoint} held {hold}");
        }
    }
    assert!(forwarded >= 14, "{forwarded}");
    harness.outcomes(usize::try_from(forwarded).unwrap()).await;
    harness.finish().await;
}

/// With a budget that affords nothing, nothing that costs anything gets through, by whatever endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_07_without_money_only_what_is_free_reaches_the_provider() {
    let harness = Harness::with(Setup {
        policy: ALL,
        limit: "0.000000001 USD",
        ..Setup::default()
    })
    .await;
    for endpoint in Endpoint::ALL {
        let before = harness.provider.calls().count().received;
        let (status, reason, text) = harness.call(request(&harness, endpoint)).await;
        let reached = harness.provider.calls().count().received - before;
        assert_eq!(reached == 1, endpoint.is_free(), "{endpoint}: {status} {reason} {text}");
        if !endpoint.is_free() {
            let refused = status == 402 && reason == "budget_exhausted" || status == 403;
            assert!(refused, "{endpoint}: {status} {reason} {text}");
        }
    }
    let free = Endpoint::ALL.into_iter().filter(|endpoint| endpoint.is_free()).count();
    harness.outcomes(free).await;
    harness.finish().await;
}

/// Paths that providers have, or once had, or that some server between might take for one that they have.
const PATHS: [&str; 40] = [
    "/v1/files",
    "/v1/batches",
    "/v1/uploads",
    "/v1/fine_tuning/jobs",
    "/v1/vector_stores",
    "/v1/assistants",
    "/v1/threads/runs",
    "/v1/realtime",
    "/v1/realtime/sessions",
    "/v1/realtime/client_secrets",
    "/v1/videos",
    "/v1/containers",
    "/v1/evals",
    "/v1/conversations",
    "/v1/organization/costs",
    "/v1/responses/resp_1",
    "/v1/responses/resp_1/cancel",
    "/v1/responses/input_tokens",
    "/v1/responses/compact",
    "/v1/chat/completions/chatcmpl-1",
    "/v1/edits",
    "/v1/engines/gpt-4o-mini/completions",
    "/v1/complete",
    "/v1/messages/batches",
    "/v1/rerank",
    "/v1/score",
    "/chat/completions",
    "/v1/chat/completions/",
    "/v1//chat/completions",
    "/v1/./chat/completions",
    "/v1/chat/../chat/completions",
    "/v1/chat%2Fcompletions",
    "/v1/chat/completions%00",
    "/V1/chat/completions",
    "/v1/chat/Completions",
    "/v1/chat/completions;x=1",
    "/v1/models/../chat/completions",
    "/v1/models/%2e%2e",
    "/openai/deployments/gpt-4o-mini/chat/completions",
    "/",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_07_no_other_path_reaches_the_provider() {
    let harness = permitting().await;
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#;
    let mut refused = 0;
    for upstream in ["openai", "anthropic"] {
        for path in PATHS {
            for method in [Method::POST, Method::GET, Method::DELETE] {
                let mut request = harness.request(&format!("/{upstream}{path}"), body);
                *request.method_mut() = method.clone();
                let (status, reason, text) = harness.call(request).await;
                let known = (status, reason.as_str()) == (404, "unknown_endpoint");
                assert!(known, "{method} {upstream}{path}: {status} {reason} {text}");
                refused += 1;
            }
        }
        // A known path by another method.
        for endpoint in Endpoint::ALL
            .into_iter()
            .filter(|endpoint| endpoint.dialect() == Dialect::OpenAi)
        {
            let mut request = request(&harness, endpoint);
            *request.method_mut() = Method::PUT;
            assert_eq!(harness.call(request).await.0, 405, "{endpoint}");
            refused += 1;
        }
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    assert_eq!(harness.denials().await.len(), refused, "each is in the log");
    assert!(intents(&harness).await.is_empty());
    harness.finish().await;
}
