//! Replies that end early, or without figures.

use std::time::Duration;

use entry::Status;
use http_body_util::BodyExt as _;
use model::{NanoUsd, UsageSource};

use super::{ALL, intents, permitting};
use crate::harness::{Harness, Setup, header};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_breaks_off_ends_with_an_error() {
    let harness = permitting(ALL).await;
    for (script, status, source) in [
        ("cut-after=6", Status::Broken, UsageSource::Hold),
        ("output=4000; bytes=1000", Status::Cut, UsageSource::Hold),
    ] {
        let before = harness.outcomes(0).await.len();
        let body = r#"{"model":"gpt-4o-mini","input":"Hello","max_output_tokens":50,"stream":true}"#;
        let request = harness.request("/openai/v1/responses", body);
        let (_, _, text) = harness.call(Harness::scripted(request, script)).await;
        assert!(text.contains("\"error\""), "{text}");
        let outcome = harness.outcomes(before + 1).await.pop().unwrap();
        assert_eq!((outcome.status, outcome.source), (status, source));
    }
    harness.finish().await;
}

/// Speech that is billed by tokens tells none in its sound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_without_figures_books_its_hold() {
    let harness = permitting(ALL).await;
    let body = r#"{"model":"gpt-4o-mini-tts","input":"Hello","voice":"alloy"}"#;
    let (status, _, text) = harness.call(harness.request("/openai/v1/audio/speech", body)).await;
    assert_eq!(status, 200, "{text}");
    let outcome = harness.outcomes(1).await.pop().unwrap();
    assert_eq!((outcome.status, outcome.source), (Status::Ok, UsageSource::Hold));
    assert_eq!(outcome.cost, intents(&harness).await[0].hold);
    assert!(outcome.cost > NanoUsd::ZERO);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_ends_speech_under_way() {
    let harness = permitting(ALL).await;
    let body = r#"{"model":"tts-1","input":"Hello there","voice":"alloy"}"#;
    let request = harness.request("/openai/v1/audio/speech", body);
    let response = harness.send(Harness::scripted(request, "hang-after=1")).await;
    assert_eq!(
        (response.status(), header(&response, "content-type")),
        (http::StatusCode::OK, "audio/mpeg".to_owned())
    );
    let mut sound = response.into_body();
    sound.frame().await.unwrap().unwrap();
    let tenant = model::TenantName::default_tenant();
    harness
        .control
        .revoke_key(&harness.owner, tenant, harness.key_id.clone(), "lost".to_owned())
        .await
        .unwrap();
    // No event can be put into sound: the connection says that it is not whole.
    let rest = tokio::time::timeout(Duration::from_secs(5), sound.collect()).await;
    assert!(rest.unwrap().is_err());
    let outcome = harness.outcomes(1).await.pop().unwrap();
    assert_eq!((outcome.status, outcome.source), (Status::Revoked, UsageSource::Hold));
    harness.finish().await;
}

/// What is passed on as it comes and is no event stream must not look whole when it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_that_breaks_off_is_seen_to_be_broken() {
    let limits = control::Limits {
        idle_timeout: Duration::from_millis(200),
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        policy: ALL,
        limits,
        ..Setup::default()
    })
    .await;
    for (script, status) in [("cut-after=1", Status::Broken), ("hang-after=1", Status::Timeout)] {
        let before = harness.outcomes(0).await.len();
        let body = r#"{"model":"tts-1","input":"Hello there","voice":"alloy"}"#;
        let request = harness.request("/openai/v1/audio/speech", body);
        // The connection may end before the head was written, or in the middle of the body: never as if it were whole.
        let whole = match harness.try_send(Harness::scripted(request, script)).await {
            Ok(response) => response.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        assert!(!whole, "{script}");
        let outcome = harness.outcomes(before + 1).await.pop().unwrap();
        assert_eq!((outcome.status, outcome.source), (status, UsageSource::Hold));
    }
    harness.finish().await;
}
