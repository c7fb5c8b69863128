//! The endpoints that answer with one document: what it says, and what it is billed at.

use fake::{Billed, Finished};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{Bench, Reply};

/// Asks, and checks what is billed.
async fn check(bench: &Bench, path: &str, script: &str, body: &Value, billed: Billed) -> Value {
    let reply = bench.ask(path, script, body).await;
    assert_eq!(reply.status, 200, "{path}: {}", String::from_utf8_lossy(&reply.body));
    let seen = bench.last().await;
    assert_eq!((seen.billed, seen.finished), (billed, Finished::Completed), "{path}");
    assert_eq!(seen.model, body["model"].as_str().unwrap_or_default());
    reply.json()
}

async fn transcribe(bench: &Bench, model: &str, format: &str, script: &str) -> Reply {
    let fields = [("model", model), ("response_format", format)];
    let sound = "\0".repeat(40_000);
    bench
        .form("/v1/audio/transcriptions", script, &fields, ("file", &sound))
        .await
}

#[tokio::test]
async fn embeddings_bill_their_input() {
    let bench = Bench::start().await;
    let billed = Billed {
        input: 5,
        ..Billed::default()
    };
    let body = json!({"model": "m", "input": ["12345678", "123456789"], "dimensions": 4});
    let reply = check(&bench, "/v1/embeddings", "", &body, billed).await;
    assert_eq!(reply["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    assert_eq!(reply["data"].as_array().unwrap().len(), 2);
    assert_eq!(reply["data"][1]["embedding"].as_array().unwrap().len(), 4);
    let body = json!({"model": "m", "input": [1, 2, 3, 4, 5], "dimensions": 3, "encoding_format": "base64"});
    let reply = check(&bench, "/v1/embeddings", "", &body, billed).await;
    assert_eq!(reply["data"][0]["embedding"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn what_is_free_bills_nothing() {
    let bench = Bench::start().await;
    let body = json!({"input": ["a", "b"]});
    let reply = check(&bench, "/v1/moderations", "", &body, Billed::default()).await;
    assert_eq!(reply["results"].as_array().unwrap().len(), 2);
    assert_eq!(reply["results"][0]["flagged"], false);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "12345678"}]});
    let reply = check(&bench, "/v1/messages/count_tokens", "", &body, Billed::default()).await;
    assert_eq!(reply, json!({"input_tokens": 5}));
}

#[tokio::test]
async fn pictures_are_billed_by_tokens_or_by_number() {
    let bench = Bench::start().await;
    let body = json!({"model": "gpt-image-1", "prompt": "a bailiwick!", "n": 2, "quality": "low"});
    let billed = Billed {
        input: 3,
        image_output: 544,
        images: 2,
        ..Billed::default()
    };
    let reply = check(&bench, "/v1/images/generations", "", &body, billed).await;
    assert!(
        reply["data"][1]["b64_json"]
            .as_str()
            .unwrap()
            .starts_with("iVBORw0KGgo")
    );
    assert_eq!(reply["usage"]["output_tokens"], 544);
    assert_eq!(reply["usage"]["total_tokens"], 547);
    let body = json!({"model": "dall-e-3", "prompt": "a bailiwick!"});
    let billed = Billed {
        images: 1,
        ..Billed::default()
    };
    let reply = check(&bench, "/v1/images/generations", "", &body, billed).await;
    assert!(reply.get("usage").is_none());
}

#[tokio::test]
async fn speech_is_sound_and_billed_by_the_character() {
    let bench = Bench::start().await;
    for (format, kind, start, length) in [
        ("mp3", "audio/mpeg", &b"\xff\xfb"[..], 5 * 2 * 417),
        ("wav", "audio/wav", b"RIFF", 44 + 5 * 2_400),
        ("pcm", "audio/pcm", b"\0\0", 5 * 2_400),
    ] {
        let body = json!({"model": "tts-1", "voice": "alloy", "input": "Grüße", "response_format": format});
        let reply = bench.ask("/v1/audio/speech", "", &body).await;
        assert_eq!((reply.header("content-type"), reply.body.len()), (kind, length));
        assert!(reply.body.starts_with(start));
        assert_eq!(bench.last().await.billed.characters, 5);
    }
    let body = json!({"model": "tts-1", "voice": "alloy", "input": "Hi", "response_format": "opus"});
    assert_eq!(bench.ask("/v1/audio/speech", "", &body).await.status, 400);
}

#[tokio::test]
async fn transcripts_are_billed_by_tokens_or_by_the_second() {
    let bench = Bench::start().await;
    let reply = transcribe(&bench, "gpt-4o-transcribe", "json", "").await.json();
    let usage = json!({
        "type": "tokens", "input_tokens": 30, "input_token_details": {"text_tokens": 0, "audio_tokens": 30},
        "output_tokens": 9, "total_tokens": 39,
    });
    assert_eq!(reply["usage"], usage);
    let seen = bench.last().await;
    assert_eq!(
        (seen.billed.audio_input, seen.billed.output, seen.billed.input),
        (30, 9, 0)
    );
    assert_eq!(seen.model, "gpt-4o-transcribe");

    let reply = transcribe(&bench, "whisper-1", "verbose_json", "").await.json();
    assert_eq!(reply["usage"], json!({"type": "duration", "seconds": 3}));
    assert_eq!(reply["duration"], 3);
    assert_eq!(bench.last().await.billed.audio_ms, 3_000);

    let reply = transcribe(&bench, "whisper-1", "text", "").await;
    assert!(reply.header("content-type").starts_with("text/plain"));
    assert!(reply.body.starts_with(b"An agent with"));
    let reply = transcribe(&bench, "whisper-1", "json", "omit-usage").await.json();
    assert!(reply.get("usage").is_none());
}

#[tokio::test]
async fn scripts_and_refusals_reach_every_endpoint() {
    let bench = Bench::start().await;
    for path in [
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/audio/speech",
    ] {
        let body = json!({"model": "no-such-model", "input": "a", "prompt": "a", "voice": "alloy"});
        assert_eq!(bench.ask(path, "", &body).await.status, 404, "{path}");
        assert_eq!(bench.ask(path, "status=429", &body).await.status, 429, "{path}");
        assert_eq!(bench.ask(path, "", &json!({"model": 7})).await.status, 400, "{path}");
        let body = json!({"model": "m", "input": "a", "prompt": "a", "voice": "alloy"});
        assert!(!bench.ask(path, "cut-after=1", &body).await.whole, "{path}");
        assert_eq!(bench.last().await.finished, Finished::Cut, "{path}");
        let request = Request::builder().method(Method::GET).uri(bench.provider.url() + path);
        assert_eq!(bench.send(request.body(Full::default()).unwrap()).await.status, 405);
    }
}

#[tokio::test]
async fn a_model_is_found_by_its_id() {
    let bench = Bench::start().await;
    let body = bench.get("/v1/models/gpt-4o").await.json();
    assert_eq!((&body["id"], &body["object"]), (&json!("gpt-4o"), &json!("model")));
    assert_eq!(bench.last().await.model, "gpt-4o");
    let request = Request::get(bench.provider.url() + "/v1/models/claude-haiku-4-5").header("anthropic-version", "1");
    let body = bench.send(request.body(Full::default()).unwrap()).await.json();
    assert_eq!(
        (&body["type"], &body["display_name"]),
        (&json!("model"), &json!("Claude Haiku 4.5"))
    );
    assert_eq!(bench.get("/v1/models/no-such-model").await.status, 404);
    assert_eq!(bench.get("/v1/models/a/b").await.status, 404);
}
