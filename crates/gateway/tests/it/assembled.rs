//! Upstreams that do not keep to output limits are called with streams, which can be cut; the caller gets its JSON.

use std::time::Duration;

use bytes::Bytes;
use entry::Status;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use llm::{Assembler, Endpoint};
use model::{NanoUsd, UsageSource};
use serde_json::Value;

use crate::harness::{Harness, Setup, header, loose};

/// Permits all that agents can do.
const ALL: &str = r#"@id("all") permit (principal == Agent::"tester", action in Action::"llm:use", resource);"#;

/// Calls that ask for JSON: endpoint, body, and what the provider is to do.
const CALLS: [(Endpoint, &str, &str); 10] = [
    (
        Endpoint::ChatCompletions,
        r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":50"#,
        "",
    ),
    (
        Endpoint::ChatCompletions,
        r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"n":3,"stream": false"#,
        "usage-input=9; cached=4",
    ),
    (
        Endpoint::ChatCompletions,
        r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":50,"n":2,"tools":[{"type":"function","function":
        {"name":"f","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]"#,
        "bytes=3",
    ),
    (
        Endpoint::Responses,
        r#""input":"Hi","max_output_tokens":50"#,
        "usage-input=9; cached=4; reasoning=7",
    ),
    (Endpoint::Responses, r#""input":"Hi","max_output_tokens":5"#, ""),
    (
        Endpoint::Responses,
        r#""input":"Hi","max_output_tokens":50,"stream":null,"tools":[{"type":"function","name":"f","parameters":{}}]"#,
        "",
    ),
    (Endpoint::Completions, r#""prompt":"Once","max_tokens":50,"n":2"#, ""),
    (
        Endpoint::Messages,
        r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":50"#,
        "cached=2; cache-write-1h=1",
    ),
    (
        Endpoint::Messages,
        r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":5"#,
        "reasoning=3",
    ),
    (
        Endpoint::Messages,
        r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":50,"tools":[{"name":"f","input_schema":{"type":"object",
        "properties":{"city":{"type":"string"}},"required":["city"]}}]"#,
        "",
    ),
];

fn body(endpoint: Endpoint, fields: &str, more: &str) -> String {
    let model = match endpoint {
        Endpoint::Messages => "claude-sonnet-4-5",
        _ => "gpt-4o-mini",
    };
    format!(r#"{{"model":"{model}",{fields}{more}}}"#)
}

fn upstream(endpoint: Endpoint, loose: bool) -> &'static str {
    match (endpoint, loose) {
        (Endpoint::Messages, false) => "anthropic",
        (Endpoint::Messages, true) => "loose-anthropic",
        (_, false) => "openai",
        (_, true) => "loose",
    }
}

/// A reply without what differs between any two calls, and without the empty list of annotations, which only a whole reply
/// of a chat completion has.
fn comparable(mut reply: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, value| match name.as_str() {
                    "id" | "created" | "created_at" | "call_id" => false,
                    "annotations" => *value != Value::Array(Vec::new()),
                    _ => true,
                });
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut reply);
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caller_gets_the_json_that_it_asked_for() {
    let harness = Harness::with(Setup {
        policy: ALL,
        declare: loose,
        ..Setup::default()
    })
    .await;
    for (number, (endpoint, fields, script)) in CALLS.into_iter().enumerate() {
        let mut replies = Vec::new();
        for loose in [false, true] {
            let path = format!("/{}{endpoint}", upstream(endpoint, loose));
            let request = Harness::scripted(harness.request(&path, body(endpoint, fields, "")), script);
            let response = harness.send(request).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(header(&response, "content-type"), "application/json");
            let cost: NanoUsd = format!("{} USD", header(&response, "bailiwick-cost-usd"))
                .parse()
                .unwrap();
            let reply = response.into_body().collect().await.unwrap().to_bytes();
            replies.push((cost, comparable(serde_json::from_slice(&reply).unwrap())));
            let seen = harness.provider.calls().snapshot().pop().unwrap();
            assert_eq!(seen.stream, loose, "{path}");
        }
        assert_eq!(replies[0], replies[1], "{endpoint}: {fields}");
        let outcomes = harness.outcomes(2 * number + 2).await;
        let pair = &outcomes[2 * number..];
        assert_eq!(pair[0].usage, pair[1].usage);
        for (outcome, (cost, _)) in pair.iter().zip(&replies) {
            let found = (outcome.status, outcome.source, outcome.http, outcome.cost);
            assert_eq!(found, (Status::Ok, UsageSource::Provider, Some(200), *cost));
            assert!(outcome.provider_id.is_some() && !outcome.reply.is_empty());
        }
    }
    harness.finish().await;
}

/// What the provider itself says with and without a stream, however the stream is cut into pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_cut_of_a_stream_makes_the_reply_of_the_same_call() {
    let harness = Harness::start().await;
    let direct = |endpoint: Endpoint, body: String, script: &str| {
        let request = Request::post(format!("{}{endpoint}", harness.provider.url()))
            .header("authorization", format!("Bearer {}", crate::harness::UPSTREAM_KEY))
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .body(Full::new(Bytes::from(body)));
        let request = Harness::scripted(request.unwrap(), script);
        let harness = &harness;
        async move {
            let response = harness.send(request).await;
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes()
        }
    };
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for (endpoint, fields, script) in CALLS {
        let plain = fields
            .replace(r#","stream": false"#, "")
            .replace(r#","stream":null"#, "");
        let reply = direct(endpoint, body(endpoint, &plain, ""), script).await;
        let reply = comparable(serde_json::from_slice(&reply).unwrap());
        let usage = if endpoint.has_usage_option() {
            r#","stream_options":{"include_usage":true}"#
        } else {
            ""
        };
        let more = format!(r#","stream":true{usage}"#);
        let stream = direct(endpoint, body(endpoint, &plain, &more), script).await;
        for _ in 0..20 {
            let mut assembler = Assembler::new(endpoint, 1 << 20).unwrap();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let most = [2, 9, 80, 900][usize::try_from(random >> 40).unwrap() % 4];
                let (piece, behind) = rest.split_at(rest.len().min(1 + usize::try_from(random >> 33).unwrap() % most));
                assembler.push(piece).unwrap();
                rest = behind;
            }
            let assembled = assembler.finish().unwrap();
            assert_eq!(
                comparable(serde_json::from_slice(&assembled).unwrap()),
                reply,
                "{endpoint}: {fields}"
            );
        }
    }
    harness.finish().await;
}

/// Even a hold of the model's maximum is passed by what the provider produces of these in a test.
fn long_calls(harness: &Harness) -> Vec<Request<Full<Bytes>>> {
    let chat = r#"{"model":"gpt-4o-2024-05-13","messages":[{"role":"user","content":"Hi"}],"max_tokens":50}"#;
    let response = r#"{"model":"gpt-4o-2024-05-13","input":"Hi","max_output_tokens":50}"#;
    let message = r#"{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"Hi"}],"max_tokens":50}"#;
    vec![
        harness.request("/loose/v1/chat/completions", chat),
        harness.request("/loose/v1/responses", response),
        harness.request("/loose-anthropic/v1/messages", message),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_call_is_cut_when_it_passes_its_hold() {
    let limits = control::Limits {
        reply_bytes: 32 << 20,
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        declare: loose,
        ..Setup::default()
    })
    .await;
    for (number, request) in long_calls(&harness).into_iter().enumerate() {
        let path = request.uri().path().to_owned();
        let request = Harness::scripted(request, "output=2000000; bytes=9000");
        let (status, reason, text) = harness.call(request).await;
        assert_eq!((status, reason.as_str()), (402, "hold_exceeded"), "{path}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains("cut"), "{text}");
        let outcome = harness.outcomes(number + 1).await.pop().unwrap();
        let found = (outcome.status, outcome.source, outcome.http);
        assert_eq!(found, (Status::Cut, UsageSource::Hold, Some(200)));
        let hold = holds(&harness).await[number];
        assert!(outcome.cost >= hold && hold > NanoUsd::ZERO);
    }
    harness.finish().await;
}

async fn holds(harness: &Harness) -> Vec<NanoUsd> {
    let entries = harness.entries().await.into_iter();
    let hold = |event| match event {
        entry::Event::Intent(intent) => Some(intent.hold),
        _ => None,
    };
    entries.filter_map(|entry| hold(entry.event)).collect()
}

/// A stream that goes wrong is a failed call to a caller that asked for JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_assembled_is_an_error_in_the_callers_dialect() {
    let limits = control::Limits {
        idle_timeout: Duration::from_millis(300),
        reply_bytes: 30_000,
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        declare: loose,
        ..Setup::default()
    })
    .await;
    let calls = [
        (
            "/loose/v1/chat/completions",
            r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":9000"#,
            "gpt-4o-mini",
        ),
        (
            "/loose/v1/responses",
            r#""input":"Hi","max_output_tokens":9000"#,
            "gpt-4o-mini",
        ),
        (
            "/loose/v1/completions",
            r#""prompt":"Hi","max_tokens":9000"#,
            "gpt-4o-mini",
        ),
        (
            "/loose-anthropic/v1/messages",
            r#""messages":[{"role":"user","content":"Hi"}],"max_tokens":9000"#,
            "claude-sonnet-4-5",
        ),
    ];
    let mut made = 0;
    for (script, http, reason, status) in [
        ("cut-after=4", 502, "upstream_broken", Status::Broken),
        ("error-after=4", 502, "upstream_broken", Status::UpstreamError),
        ("hang-after=4", 504, "upstream_timeout", Status::Timeout),
        ("output=8900; events=10", 502, "upstream_broken", Status::Broken),
    ] {
        for (path, fields, model) in calls {
            let body = format!(r#"{{"model":"{model}",{fields}}}"#);
            let (found, code, text) = harness
                .call(Harness::scripted(harness.request(path, body), script))
                .await;
            assert_eq!((found, code.as_str()), (http, reason), "{path} {script}: {text}");
            let error: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(error["type"] == "error", path.ends_with("messages"), "{text}");
            made += 1;
            let outcome = harness.outcomes(made).await.pop().unwrap();
            assert_eq!((outcome.status, outcome.http), (status, Some(200)), "{path} {script}");
            assert_eq!(outcome.source, UsageSource::Hold, "{path} {script}");
            assert_eq!(outcome.cost, holds(&harness).await[made - 1]);
        }
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_stream_goes_as_it_is() {
    let harness = Harness::with(Setup {
        policy: ALL,
        declare: loose,
        ..Setup::default()
    })
    .await;
    for (path, body) in [
        (
            "/loose/v1/embeddings",
            r#"{"model":"text-embedding-3-small","input":"Hi"}"#,
        ),
        (
            "/loose/v1/moderations",
            r#"{"model":"omni-moderation-latest","input":"Hi"}"#,
        ),
        (
            "/loose/v1/completions",
            r#"{"model":"gpt-4o-mini","prompt":"Hi","max_tokens":5,"n":1,"best_of":2}"#,
        ),
        (
            "/loose-anthropic/v1/messages/count_tokens",
            r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}]}"#,
        ),
    ] {
        let (status, _, text) = harness.call(harness.request(path, body)).await;
        assert_eq!(status, 200, "{path}: {text}");
        let seen = harness.provider.calls().snapshot().pop().unwrap();
        assert_eq!(seen.body, body.as_bytes(), "{path}");
    }
    // A caller's own stream passes as it comes, with the usage chunk hidden that it did not ask for.
    let chat = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"stream":true}"#;
    let (status, _, text) = harness.call(harness.request("/loose/v1/chat/completions", chat)).await;
    assert!(
        status == 200 && text.ends_with("data: [DONE]\n\n") && !text.contains("\"choices\":[]"),
        "{text}"
    );
    harness.finish().await;
}

/// A caller that leaves is booked as with any call, and the provider is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_ends_the_stream_behind_it() {
    let harness = Harness::with(Setup {
        declare: loose,
        ..Setup::default()
    })
    .await;
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#;
    let request = Harness::scripted(harness.request("/loose/v1/chat/completions", body), "hang-after=2");
    let sent = harness.try_send(request);
    tokio::select! {
        _ = sent => panic!("it hangs"),
        () = async { while harness.provider.calls().count().received == 0 { tokio::task::yield_now().await } } => {}
    }
    harness.provider.calls().wait_finished(1).await;
    let outcome = harness.outcomes(1).await.pop().unwrap();
    assert_eq!(
        (outcome.status, outcome.source),
        (Status::ClientGone, UsageSource::Hold)
    );
    harness.finish().await;
}
