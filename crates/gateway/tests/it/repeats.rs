//! Calls that are sent again under the same idempotency key are paid for once.

use std::time::Duration;

use bytes::Bytes;
use entry::{Event, Status};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use model::Reason;

use crate::harness::{Harness, Setup, header};

fn keyed(mut request: Request<Full<Bytes>>, key: &str) -> Request<Full<Bytes>> {
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

/// Status, reason, whether it is a reply once more, and the body.
async fn told(harness: &Harness, request: Request<Full<Bytes>>) -> (u16, String, bool, Bytes) {
    let response = harness.send(request).await;
    let reason = header(&response, "bailiwick-reason");
    let again = header(&response, "idempotent-replayed") == "true";
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map(|body| body.to_bytes());
    (status, reason, again, body.unwrap_or_default())
}

fn calls(harness: &Harness) -> usize {
    harness.provider.calls().snapshot().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_gets_the_reply_of_the_first() {
    let harness = Harness::start().await;
    for (extra, path) in [("", "json"), (r#","stream":true"#, "stream")] {
        let before = calls(&harness);
        let (status, _, again, first) = told(&harness, keyed(harness.chat(extra), path)).await;
        assert_eq!((status, again), (200, false), "{path}");
        let (status, _, again, second) = told(&harness, keyed(harness.chat(extra), path)).await;
        assert_eq!((status, again), (200, true), "{path}");
        assert_eq!(first, second, "{path}");
        assert_eq!(calls(&harness) - before, 1, "{path}");
    }
    let outcomes = harness.outcomes(2).await;
    let replays: Vec<_> = harness
        .entries()
        .await
        .into_iter()
        .filter_map(|entry| {
            if let Event::Replay(replay) = entry.event {
                Some(replay)
            } else {
                None
            }
        })
        .collect();
    let of: Vec<_> = replays.iter().map(|replay| replay.of).collect();
    assert_eq!(of, [outcomes[0].action, outcomes[1].action]);
    assert!(replays.iter().all(|replay| replay.why.policies == ["tester-models"]));
    let state = harness.finish().await;
    assert_eq!(state.spent, outcomes[0].cost.saturating_add(outcomes[1].cost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_is_made() {
    let harness = Harness::start().await;
    let call = || {
        told(
            &harness,
            keyed(Harness::scripted(harness.chat(""), "latency=50ms"), "k"),
        )
    };
    let answers = futures_util::future::join_all((0..20).map(|_| call())).await;
    assert!(answers.iter().all(|(status, ..)| *status == 200));
    assert_eq!(answers.iter().filter(|(_, _, again, _)| !again).count(), 1);
    assert_eq!(calls(&harness), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_names_one_request() {
    let harness = Harness::start().await;
    assert_eq!(told(&harness, keyed(harness.chat(""), "k")).await.0, 200);
    let (status, reason, ..) = told(&harness, keyed(harness.chat(r#","seed":2"#), "k")).await;
    assert_eq!((status, reason.as_str()), (422, Reason::IdempotencyKeyReused.code()));
    let (status, reason, ..) = told(&harness, keyed(harness.chat(""), "two words")).await;
    assert_eq!((status, reason.as_str()), (400, Reason::InvalidRequest.code()));
    assert_eq!(calls(&harness), 1);
    assert_eq!(harness.denials().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_gave_up_finds_the_reply() {
    let harness = Harness::start().await;
    let request = || keyed(Harness::scripted(harness.chat(""), "latency=200ms"), "k");
    let gave_up = tokio::time::timeout(Duration::from_millis(50), harness.send(request())).await;
    assert!(gave_up.is_err());
    let (status, _, again, _) = told(&harness, request()).await;
    assert_eq!((status, again), (200, true));
    assert_eq!(calls(&harness), 1);
    let outcomes = harness.outcomes(1).await;
    assert_eq!(outcomes[0].status, Status::Ok, "the call went on without its caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_used_nothing_may_be_sent_again() {
    let harness = Harness::start().await;
    let request = || keyed(Harness::scripted(harness.chat(""), "status=500;first=1"), "k");
    assert_eq!(told(&harness, request()).await.0, 500);
    harness.outcomes(1).await;
    let (status, _, again, _) = told(&harness, request()).await;
    assert_eq!((status, again), (200, false));
    assert_eq!(calls(&harness), 2);
}

/// Equal calls that fail: nobody waits for more than one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_call_that_fails_waits_once() {
    const CALLS: usize = 15;
    let harness = Harness::start().await;
    let request = || keyed(Harness::scripted(harness.chat(""), "status=400;latency=200ms"), "k");
    let answers = futures_util::future::join_all((0..CALLS).map(|_| told(&harness, request()))).await;
    let made = answers.iter().filter(|(status, ..)| *status == 400).count();
    let sent_away = answers
        .iter()
        .filter(|(status, reason, ..)| (*status, reason.as_str()) == (503, Reason::Overloaded.code()))
        .count();
    assert_eq!(made + sent_away, CALLS, "{answers:?}");
    // Who comes late finds one call ended and makes the next. All fifteen never wait for one another.
    assert!((2..CALLS / 2).contains(&made), "{answers:?}");
    assert_eq!(calls(&harness), made);
    assert_eq!(harness.denied(sent_away).await[0].reason, Reason::Overloaded);
    harness.outcomes(made).await;
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_for_and_not_kept_is_refused() {
    let limits = control::Limits {
        replay_bytes: 0,
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let broken = Harness::scripted(harness.chat(r#","stream":true"#), "cut-after=3");
    for (request, key) in [(harness.chat(""), "not-kept"), (broken, "broken")] {
        let before = calls(&harness);
        let (status, _, _, first) = told(&harness, keyed(request.clone(), key)).await;
        assert_eq!(status, 200);
        drop(first);
        harness.outcomes(before + 1).await;
        let (status, reason, _, body) = told(&harness, keyed(request, key)).await;
        assert_eq!(
            (status, reason.as_str()),
            (409, Reason::IdempotencyKeyUsed.code()),
            "{key}"
        );
        assert!(String::from_utf8_lossy(&body).contains("another key"));
        assert_eq!(calls(&harness) - before, 1, "{key}");
    }
    let state = harness.finish().await;
    assert!(state.open.is_empty());
}
