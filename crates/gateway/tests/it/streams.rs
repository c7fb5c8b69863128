//! Streams: what passes, when, and how they end.

use std::time::{Duration, Instant};

use entry::Status;
use http_body_util::BodyExt as _;
use model::UsageSource;

use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_priced_like_the_same_call_without() {
    let harness = Harness::start().await;
    for (plain, stream) in [
        (harness.chat(""), harness.chat(r#","stream":true"#)),
        (harness.messages(""), harness.messages(r#","stream":true"#)),
    ] {
        assert_eq!(
            harness
                .call(Harness::scripted(plain, "usage-input=40; cached=20"))
                .await
                .0,
            200
        );
        let (status, _, text) = harness
            .call(Harness::scripted(stream, "usage-input=40; cached=20"))
            .await;
        assert_eq!(status, 200);
        assert!(
            !text.contains("\"choices\":[]"),
            "the usage chunk that was not asked for is hidden: {text}"
        );
    }
    let outcomes = harness.outcomes(4).await;
    for pair in outcomes.chunks(2) {
        assert_eq!(pair[0].cost, pair[1].cost);
        assert_eq!(pair[0].usage, pair[1].usage);
        assert_eq!(pair[1].source, UsageSource::Provider);
    }
    harness.finish().await;
}

/// What the provider sends at once arrives at once: no packet waits for the acknowledgement of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_does_not_stall() {
    let harness = Harness::start().await;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let started = Instant::now();
        let response = harness.send(harness.chat(r#","stream":true"#)).await;
        response.into_body().collect().await.unwrap();
        fastest = fastest.min(started.elapsed());
    }
    // A stall of the kind meant here takes 40 ms every time; a busy machine does not slow all ten down.
    assert!(
        fastest < Duration::from_millis(25),
        "the fastest of ten streams took {fastest:?}"
    );
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_does_not_wait_for_the_last() {
    let harness = Harness::start().await;
    let response = harness
        .send(Harness::scripted(harness.chat(r#","stream":true"#), "hang-after=2"))
        .await;
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: "));
    // The provider never ends this stream: leaving it is noticed there, and booked in full here.
    drop(body);
    harness.provider.calls().wait_finished(1).await;
    let outcome = harness.outcomes(1).await.pop().unwrap();
    assert_eq!(
        (outcome.status, outcome.source),
        (Status::ClientGone, UsageSource::Hold)
    );
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_ignores_the_limit_is_cut() {
    let harness = Harness::start().await;
    for (request, end) in [
        (harness.chat(r#","stream":true"#), "data: [DONE]"),
        (harness.messages(r#","stream":true"#), "event: error"),
    ] {
        let (status, _, text) = harness
            .call(Harness::scripted(request, "output=4000; bytes=1000"))
            .await;
        assert_eq!(status, 200);
        assert!(
            text.contains("hold_exceeded") && text.contains(end),
            "{}",
            &text[text.len() - 600..]
        );
        assert!(text.len() < 3_000_000, "it was cut before its end");
    }
    for outcome in harness.outcomes(2).await {
        assert_eq!(outcome.status, Status::Cut);
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_ends_a_stream_under_way() {
    let harness = Harness::start().await;
    let response = harness
        .send(Harness::scripted(harness.chat(r#","stream":true"#), "hang-after=2"))
        .await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    let tenant = model::TenantName::default_tenant();
    harness
        .control
        .revoke_key(&harness.owner, tenant, harness.key_id.clone(), "lost".to_owned())
        .await
        .unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(5), body.collect())
        .await
        .unwrap()
        .unwrap()
        .to_bytes();
    assert!(String::from_utf8_lossy(&rest).contains("revoked"));
    assert_eq!(harness.outcomes(1).await[0].status, Status::Revoked);
    assert_eq!(harness.call(harness.chat("")).await.1, "revoked_credential");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_finishes_what_is_in_flight() {
    let mut harness = Harness::start().await;
    let response = harness
        .send(Harness::scripted(harness.chat(r#","stream":true"#), "chunk-delay=20ms"))
        .await;
    let gateway = harness.take_gateway();
    let drained = tokio::spawn(gateway.drain(Duration::from_secs(10)));
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    assert!(drained.await.unwrap());
    assert_eq!(harness.outcomes(1).await[0].status, Status::Ok);
    harness.finish().await;
}
