//! Calls that are tried again, go elsewhere, or wait for a place: each attempt with its own hold and entry.

use std::time::Duration;

use control::{Cause, Fallback, ModelPattern, Places, Retry, RouteSpec};
use entry::{Event, Intent, Status};
use http_body_util::BodyExt as _;
use model::{NanoUsd, Reason, UpstreamName, UsageSource};

use crate::harness::{Harness, Setup, header};

fn upstream(name: &str) -> UpstreamName {
    UpstreamName::new(name).unwrap()
}

fn retry(tries: u8, on: &[Cause]) -> Retry {
    Retry {
        tries,
        on: on.to_vec(),
        backoff: Duration::from_millis(2),
        longest: Duration::from_secs(1),
    }
}

fn elsewhere(name: &str, model: Option<&str>) -> Fallback {
    Fallback {
        upstream: upstream(name),
        model: model.map(str::to_owned),
    }
}

async fn with(route: RouteSpec) -> Harness {
    Harness::with(Setup {
        routes: vec![route],
        ..Setup::default()
    })
    .await
}

async fn intents(harness: &Harness) -> Vec<Intent> {
    let entries = harness.entries().await.into_iter();
    let intent = |event| {
        if let Event::Intent(intent) = event {
            Some(intent)
        } else {
            None
        }
    };
    entries.filter_map(|entry| intent(entry.event)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_status_is_tried_again() {
    let harness = with(RouteSpec {
        retry: retry(3, &[Cause::Status(503)]),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    let response = harness
        .send(Harness::scripted(harness.chat(""), "status=503;first=2"))
        .await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "bailiwick-attempts"), "3");
    let id = header(&response, "bailiwick-request-id");
    drop(response.into_body().collect().await);
    let outcomes = harness.outcomes(3).await;
    let ends: Vec<_> = outcomes
        .iter()
        .map(|outcome| (outcome.attempt, outcome.status))
        .collect();
    assert_eq!(
        ends,
        [(0, Status::UpstreamError), (1, Status::UpstreamError), (2, Status::Ok)]
    );
    assert!(outcomes.iter().all(|outcome| outcome.action.to_string() == id));
    let intents = intents(&harness).await;
    let numbers: Vec<_> = intents
        .iter()
        .map(|intent| (intent.attempt, intent.action.seq))
        .collect();
    assert_eq!(numbers, [(0, 1), (1, 2), (2, 3)], "each attempt is an entry of its own");
    let state = harness.finish().await;
    assert!(state.open.is_empty());
    assert_eq!(state.spent, outcomes[2].cost, "what failed cost nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_and_the_caller_hears_the_last_failure() {
    let harness = with(RouteSpec {
        retry: retry(2, &[Cause::Status(429)]),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    for (script, status, attempts) in [
        // Once more, then enough.
        ("status=429", 429, 2),
        // Another status is not tried again.
        ("status=500", 500, 1),
        // Nobody waits a minute.
        ("status=429;retry-after=60", 429, 1),
    ] {
        let before = harness.provider.calls().snapshot().len();
        let (found, ..) = harness.call(Harness::scripted(harness.chat(""), script)).await;
        assert_eq!(found, status, "{script}");
        assert_eq!(harness.provider.calls().snapshot().len() - before, attempts, "{script}");
    }
    let state = harness.finish().await;
    assert_eq!((state.open.len(), state.spent), (0, NanoUsd::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_gone_is_replaced() {
    let harness = with(RouteSpec {
        retry: retry(2, &[Cause::Connect]),
        fallback: vec![elsewhere("openai", Some("gpt-4o"))],
        ..RouteSpec::plain(upstream("gone"))
    })
    .await;
    for stream in ["", r#","stream":true"#] {
        let body = format!(
            r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hi"}}],"max_tokens":50{stream}}}"#
        );
        let response = harness.send(harness.request("/gone/v1/chat/completions", body)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "bailiwick-attempts"), "3");
        drop(response.into_body().collect().await);
        assert_eq!(harness.provider.calls().snapshot().pop().unwrap().model, "gpt-4o");
    }
    let outcomes = harness.outcomes(6).await;
    let ends: Vec<_> = outcomes.iter().map(|outcome| outcome.status).collect();
    let once = [Status::Unreachable, Status::Unreachable, Status::Ok];
    assert_eq!(ends, [once, once].concat());
    let places: Vec<_> = intents(&harness)
        .await
        .into_iter()
        .map(|intent| format!("{}/{}", intent.action.upstream, intent.action.model))
        .collect();
    assert_eq!(places[..3], ["gone/gpt-4o-mini", "gone/gpt-4o-mini", "openai/gpt-4o"]);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_grants_nothing() {
    let harness = Harness::with(Setup {
        // The fallback's model is not among the permitted ones, and the second is beyond the budget.
        policy: r#"@id("mini") permit (principal == Agent::"tester", action == Action::"llm:generate", resource)
            when { resource.name == "gpt-4o-mini" || resource.name == "gpt-4" };"#,
        limit: "0.001 USD",
        routes: vec![RouteSpec {
            retry: retry(1, &[Cause::Connect]),
            fallback: vec![
                elsewhere("openai", Some("gpt-4o")),
                elsewhere("openai", Some("gpt-4")),
                elsewhere("anthropic", None),
            ],
            ..RouteSpec::plain(upstream("gone"))
        }],
        ..Setup::default()
    })
    .await;
    let body = r#"{"model":"gpt-4o-mini","messages":[],"max_tokens":50}"#;
    let (status, reason, _) = harness.call(harness.request("/gone/v1/chat/completions", body)).await;
    assert_eq!((status, reason.as_str()), (502, Reason::UpstreamUnreachable.code()));
    assert!(harness.provider.calls().snapshot().is_empty());
    let denials: Vec<_> = harness
        .denials()
        .await
        .into_iter()
        .map(|denial| denial.reason)
        .collect();
    assert_eq!(denials, [Reason::PolicyDenied, Reason::BudgetExhausted]);
    assert_eq!(harness.outcomes(1).await[0].status, Status::Unreachable);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_used_is_booked_before_it_is_tried_again() {
    let harness = with(RouteSpec {
        retry: retry(2, &[Cause::Broken, Cause::Timeout]),
        first_byte: Some(Duration::from_millis(100)),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    let (status, ..) = harness.call(Harness::scripted(harness.chat(""), "hang;first=1")).await;
    assert_eq!(status, 200);
    let outcomes = harness.outcomes(2).await;
    assert_eq!(
        (outcomes[0].status, outcomes[0].source),
        (Status::Timeout, UsageSource::Hold),
        "nobody knows what it used"
    );
    assert_eq!((outcomes[1].attempt, outcomes[1].status), (1, Status::Ok));
    let state = harness.finish().await;
    let booked = outcomes.iter().map(|outcome| outcome.cost);
    assert_eq!(state.spent, booked.fold(NanoUsd::ZERO, NanoUsd::saturating_add));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_total_bounds_all_attempts_together() {
    let harness = with(RouteSpec {
        retry: retry(5, &[Cause::Timeout]),
        first_byte: Some(Duration::from_millis(60)),
        total: Some(Duration::from_millis(150)),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    let started = std::time::Instant::now();
    let (status, reason, _) = harness.call(Harness::scripted(harness.chat(""), "hang")).await;
    assert_eq!((status, reason.as_str()), (504, Reason::UpstreamTimeout.code()));
    assert!(started.elapsed() < Duration::from_secs(5));
    let attempts = harness.provider.calls().snapshot().len();
    assert!((2..5).contains(&attempts), "{attempts}");
    harness.outcomes(attempts).await;
    assert!(harness.finish().await.open.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_few_and_waiting_is_bounded() {
    let harness = with(RouteSpec {
        name: "narrow".to_owned(),
        models: vec![ModelPattern::new("gpt-4o-m*")],
        places: Some(Places {
            running: 1,
            waiting: 1,
            patience: Duration::from_millis(50),
        }),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    let stream = harness
        .send(Harness::scripted(harness.chat(r#","stream":true"#), "hang-after=2"))
        .await;
    assert_eq!(stream.status(), 200);
    let (status, reason, body) = harness.call(harness.chat("")).await;
    assert_eq!((status, reason.as_str()), (503, Reason::Overloaded.code()));
    assert!(body.contains("narrow") && body.contains("queue_timeout"), "{body}");
    // Another model has another route.
    let other = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"max_tokens":50}"#;
    assert_eq!(
        harness
            .call(harness.request("/openai/v1/chat/completions", other))
            .await
            .0,
        200
    );
    // The place is given back with the stream.
    drop(stream);
    harness.outcomes(2).await;
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    let denials = harness.denials().await;
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0].reason, Reason::Overloaded);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_bounds_the_body() {
    let harness = with(RouteSpec {
        name: "short".to_owned(),
        request_bytes: Some(200),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    let (status, reason, body) = harness
        .call(harness.chat(&format!(r#","user":"{}""#, "x".repeat(200))))
        .await;
    assert_eq!((status, reason.as_str()), (413, Reason::RequestTooLarge.code()));
    assert!(body.contains("short"), "{body}");
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_without_a_model_is_asked_for_the_callers() {
    let harness = with(RouteSpec {
        retry: retry(1, &[Cause::Connect, Cause::Status(503)]),
        fallback: vec![elsewhere("openai", Some("gpt-4o")), elsewhere("openai", None)],
        ..RouteSpec::plain(upstream("gone"))
    })
    .await;
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":50}"#;
    let request = harness.request("/gone/v1/chat/completions", body);
    assert_eq!(
        harness.call(Harness::scripted(request, "status=503;first=1")).await.0,
        200
    );
    let models: Vec<_> = harness
        .provider
        .calls()
        .snapshot()
        .into_iter()
        .map(|call| call.model)
        .collect();
    assert_eq!(models, ["gpt-4o", "gpt-4o-mini"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_place_ends_with_the_call() {
    let harness = with(RouteSpec {
        total: Some(Duration::from_millis(80)),
        places: Some(Places {
            running: 1,
            waiting: 5,
            patience: Duration::from_secs(60),
        }),
        ..RouteSpec::plain(upstream("openai"))
    })
    .await;
    let (first, second) = tokio::join!(
        harness.call(Harness::scripted(harness.chat(""), "hang")),
        harness.call(Harness::scripted(harness.chat(""), "hang")),
    );
    // Whoever waits is told that no place came, or that the time was up just as one did.
    for (status, ..) in [&first, &second] {
        assert!(matches!(status, 503 | 504), "{status}");
    }
    assert_eq!(
        harness.provider.calls().count().received,
        1,
        "nothing is sent when the time is up"
    );
    let spent = harness
        .outcomes(1)
        .await
        .iter()
        .filter(|outcome| outcome.cost > NanoUsd::ZERO)
        .count();
    assert_eq!(spent, 1);
    harness.finish().await;
}
