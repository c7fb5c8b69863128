//! Every governed endpoint through the whole: admitted, forwarded byte for byte, settled at the provider's figures.

use bytes::Bytes;
use entry::{Event, Status};
use fake::Billed;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use model::{NanoUsd, ServiceTier, Usage, UsageSource};
use pricing::{PriceBook, Region};

use crate::harness::{Harness, Setup, header};

mod ends;
mod media;
mod refused;

/// Permits all that agents can do.
pub(crate) const ALL: &str =
    r#"@id("all") permit (principal == Agent::"tester", action in Action::"llm:use", resource);"#;
const FORM: &str = "multipart/form-data; boundary=b0";

async fn permitting(policy: &'static str) -> Harness {
    Harness::with(Setup {
        policy,
        ..Setup::default()
    })
    .await
}

/// A call: where to, with what, for which action and model.
pub(crate) struct Row {
    pub(crate) path: &'static str,
    body: String,
    action: &'static str,
    model: &'static str,
}

fn row(path: &'static str, action: &'static str, model: &'static str, fields: &str) -> Row {
    let body = format!(r#"{{"model":"{model}",{fields}, "x_unknown": [1, 2.50]}}"#);
    Row {
        path,
        body,
        action,
        model,
    }
}

fn form(path: &'static str, model: &'static str) -> Row {
    let head = "--b0\r\nContent-Disposition: form-data; name=";
    let sound = "\0".repeat(40_000);
    let body = format!(
        "{head}\"model\"\r\n\r\n{model}\r\n{head}\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n{sound}\
         \r\n--b0--\r\n"
    );
    Row {
        path,
        body,
        action: "llm:transcribe",
        model,
    }
}

/// Calls that cost something, none of which has anything written into it.
pub(crate) fn priced() -> Vec<Row> {
    vec![
        row(
            "/openai/v1/responses",
            "llm:generate",
            "gpt-4o-mini",
            r#""input":"Hello there","max_output_tokens":50"#,
        ),
        row(
            "/openai/v1/completions",
            "llm:generate",
            "gpt-4o-mini",
            r#""prompt":["Once upon","a time"],"max_tokens":50"#,
        ),
        row(
            "/openai/v1/embeddings",
            "llm:embed",
            "text-embedding-3-small",
            r#""input":["Hello there","Hello again"]"#,
        ),
        row(
            "/openai/v1/images/generations",
            "llm:image",
            "gpt-image-1",
            r#""prompt":"A bailiwick","n":2,"quality":"low""#,
        ),
        row(
            "/openai/v1/audio/speech",
            "llm:speech",
            "tts-1",
            r#""input":"Grüße","voice":"alloy""#,
        ),
        form("/openai/v1/audio/transcriptions", "gpt-4o-transcribe"),
        form("/openai/v1/audio/transcriptions", "whisper-1"),
    ]
}

/// Calls that providers do for nothing.
fn free() -> Vec<Row> {
    vec![
        row(
            "/openai/v1/moderations",
            "llm:moderate",
            "omni-moderation-latest",
            r#""input":"Hello""#,
        ),
        row(
            "/anthropic/v1/messages/count_tokens",
            "llm:count",
            "claude-sonnet-4-5",
            r#""messages":[{"role":"user","content":"Hello"}]"#,
        ),
    ]
}

impl Row {
    pub(crate) fn request(&self, harness: &Harness) -> Request<Full<Bytes>> {
        let mut request = harness.request(self.path, self.body.clone());
        if self.body.starts_with("--b0") {
            request.headers_mut().insert("content-type", FORM.parse().unwrap());
        }
        request
    }

    /// Sends it, and checks all that can be seen of it. Gives its cost.
    async fn check(&self, harness: &Harness) -> NanoUsd {
        let before = harness.outcomes(0).await.len();
        let response = harness.send(self.request(harness)).await;
        let (status, told) = (response.status(), header(&response, "bailiwick-cost-usd"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, 200, "{}: {}", self.path, String::from_utf8_lossy(&body));
        assert!(!body.is_empty());

        let seen = harness.provider.calls().snapshot().pop().unwrap();
        assert_eq!(seen.body, self.body.as_bytes(), "{} arrives byte for byte", self.path);
        assert!(self.path.ends_with(&seen.path));

        let outcome = harness.outcomes(before + 1).await.pop().unwrap();
        let found = (outcome.status, outcome.source, outcome.http);
        assert_eq!(found, (Status::Ok, UsageSource::Provider, Some(200)), "{}", self.path);
        assert_eq!(outcome.usage, Some(usage(seen.billed)), "{}", self.path);
        // Speech is passed on as it comes, so its head cannot tell.
        if self.action != "llm:speech" {
            assert_eq!(told, outcome.cost.to_string());
        }
        let intent = intents(harness).await.pop().unwrap();
        let action = &intent.action;
        assert_eq!((action.name.as_str(), action.model.as_str()), (self.action, self.model));
        outcome.cost
    }
}

pub(crate) async fn intents(harness: &Harness) -> Vec<entry::Intent> {
    let intent = |event| {
        if let Event::Intent(intent) = event {
            Some(intent)
        } else {
            None
        }
    };
    let entries = harness.entries().await;
    entries.into_iter().filter_map(|entry| intent(entry.event)).collect()
}

fn usage(billed: Billed) -> Usage {
    let Billed {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        output,
        reasoning,
        audio_input,
        image_input,
        audio_output,
        image_output,
        images,
        audio_ms,
        characters,
    } = billed;
    Usage {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        output,
        reasoning,
        audio_input,
        image_input,
        audio_output,
        image_output,
        images,
        audio_ms,
        characters,
        ..Usage::default()
    }
}

fn get(harness: &Harness, path: &str) -> Request<Full<Bytes>> {
    let mut request = harness.request(path, "");
    *request.method_mut() = Method::GET;
    request.headers_mut().remove("content-type");
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_priced_settles_at_the_catalogues_price() {
    let harness = permitting(ALL).await;
    let prices = PriceBook::builtin();
    for row in priced() {
        let cost = row.check(&harness).await;
        let seen = harness.provider.calls().snapshot().pop().unwrap();
        let model = prices.require("openai", row.model).unwrap();
        let expected = model
            .in_region(Region::of_host("127.0.0.1"))
            .cost(&usage(seen.billed), ServiceTier::Standard)
            .unwrap();
        assert_eq!(cost, expected, "{}", row.path);
        assert!(cost > NanoUsd::ZERO, "{}", row.path);
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_free_is_recorded_at_nothing() {
    let harness = permitting(ALL).await;
    for row in free() {
        assert_eq!(row.check(&harness).await, NanoUsd::ZERO, "{}", row.path);
    }
    assert_eq!(harness.finish().await.spent, NanoUsd::ZERO);
}

/// The prices as OpenAI and the catalogue state them, once by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_by_hand() {
    let harness = permitting(ALL).await;
    for (number, nano) in [
        // 3 + 3 tokens at $0.02 a million.
        (2, 120),
        // 3 tokens of text at $5 and 544 of pictures at $40 a million.
        (3, 15_000 + 21_760_000),
        // 5 characters at $15 a million.
        (4, 75_000),
        // 30 tokens heard at $2.50 and 9 written at $10 a million.
        (5, 75_000 + 90_000),
        // 3 seconds at $0.006 a minute.
        (6, 300_000),
    ] {
        let row = priced().swap_remove(number);
        assert_eq!(row.check(&harness).await, NanoUsd(nano), "{}", row.path);
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_costs_what_the_same_call_does_without() {
    let harness = permitting(ALL).await;
    let script = "usage-input=40; cached=20; reasoning=7";
    for (path, body, end) in [
        (
            "/openai/v1/responses",
            r#""input":"Hello there","max_output_tokens":50"#,
            "response.completed",
        ),
        (
            "/openai/v1/completions",
            r#""prompt":"Once upon","max_tokens":50"#,
            "[DONE]",
        ),
    ] {
        for stream in ["", r#","stream":true"#] {
            let body = format!(r#"{{"model":"gpt-4o-mini",{body}{stream}}}"#);
            let (status, _, text) = harness
                .call(Harness::scripted(harness.request(path, body), script))
                .await;
            assert_eq!(status, 200, "{text}");
            assert!(stream.is_empty() || text.contains(end), "{text}");
            assert!(!text.contains("\"choices\":[]"), "the usage chunk is hidden");
        }
    }
    let outcomes = harness.outcomes(4).await;
    for pair in outcomes.chunks(2) {
        assert_eq!((pair[0].cost, pair[0].usage), (pair[1].cost, pair[1].usage));
        assert_eq!(pair[1].source, UsageSource::Provider);
        assert!(pair[0].cost > NanoUsd::ZERO);
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_limits_are_written_in_their_own_spelling() {
    let harness = permitting(ALL).await;
    for (path, fields, written) in [
        (
            "/openai/v1/responses",
            r#""input":"Hello""#,
            r#""max_output_tokens":4096"#,
        ),
        ("/openai/v1/completions", r#""prompt":"Hello""#, r#""max_tokens":4096"#),
    ] {
        let body = format!(r#"{{"model":"gpt-4o-mini",{fields}}}"#);
        assert_eq!(harness.call(harness.request(path, body)).await.0, 200);
        let seen = harness.provider.calls().snapshot().pop().unwrap();
        let sent = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(sent.contains(written), "{sent}");
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_listed_and_looked_up() {
    let harness = permitting(ALL).await;
    let (_, narrow) = harness.issue(|order| order.models = vec!["gpt-4o".to_owned()]).await;
    for (path, key, status, model) in [
        ("/openai/v1/models?limit=2", &harness.key, 200, ""),
        ("/anthropic/v1/models", &harness.key, 200, ""),
        ("/openai/v1/models/gpt-4o", &harness.key, 200, "gpt-4o"),
        (
            "/anthropic/v1/models/claude-haiku-4-5",
            &harness.key,
            200,
            "claude-haiku-4-5",
        ),
        // A list is no model's use; a look at another model is.
        ("/openai/v1/models", &narrow, 200, ""),
        ("/openai/v1/models/gpt-4o", &narrow, 200, "gpt-4o"),
        ("/openai/v1/models/gpt-4o-mini", &narrow, 403, ""),
    ] {
        let mut request = get(&harness, path);
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {key}").parse().unwrap());
        request
            .headers_mut()
            .insert("anthropic-version", "2023-06-01".parse().unwrap());
        let (found, reason, text) = harness.call(request).await;
        assert_eq!(found, status, "{path}: {text}");
        if status == 403 {
            assert_eq!(reason, "credential_scope");
            continue;
        }
        let seen = harness.provider.calls().snapshot().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.body.len()), ("GET", 0));
        assert!(path.ends_with(&seen.path), "the query goes along: {}", seen.path);
        let intent = intents(&harness).await.pop().unwrap();
        let action = &intent.action;
        assert_eq!((action.name.as_str(), action.model.as_str()), ("llm:list", model));
    }
    let (_, elsewhere) = harness
        .issue(|order| order.upstreams = vec![model::UpstreamName::new("anthropic").unwrap()])
        .await;
    let mut request = get(&harness, "/openai/v1/models");
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {elsewhere}").parse().unwrap());
    assert_eq!(harness.call(request).await.1, "credential_scope");
    assert_eq!(harness.finish().await.spent, NanoUsd::ZERO);
}
