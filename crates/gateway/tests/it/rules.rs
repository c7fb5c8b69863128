//! Rate limits and circuit breakers, seen by the agent that they stop and by who looks after it.

use std::time::Duration;

use bytes::Bytes;
use control::Governance;
use entry::Event;
use http::Request;
use http_body_util::Full;
use ledger::{
    Amount, BreakerSpec, ErrorRate, Label, Loops, Measure, Per, Rate, RateSpec, Scope, Selector, SpendRate, StepKind,
};
use model::{BreakerName, LimitName, NanoUsd, TenantName};
use serde_json::{Value, json};

use crate::harness::{Harness, ManualClock, Setup, header};

fn limit(name: &str, rate: Rate) -> RateSpec {
    RateSpec {
        name: LimitName::new(name).unwrap(),
        group: String::new(),
        select: Selector::default(),
        each: Vec::new(),
        rates: vec![rate],
    }
}

fn per_minute(measure: Measure, limit: i64, burst: i64) -> Rate {
    Rate {
        measure,
        limit: Amount(limit),
        per: Per::Minute,
        burst: Amount(burst),
    }
}

fn breaker(name: &str, scope: Scope) -> BreakerSpec {
    BreakerSpec {
        name: BreakerName::new(name).unwrap(),
        select: Selector::default(),
        scope,
        spend: None,
        surge: None,
        loops: None,
        steps: StepKind::Calls,
        errors: None,
        no_progress: None,
        cooldown_s: 60,
    }
}

fn limited_by(governance: &mut Governance, limits: Vec<RateSpec>) {
    for tenant in governance.tenants.values_mut() {
        tenant.limits.clone_from(&limits);
    }
}

fn watched_by(governance: &mut Governance, breaker: &BreakerSpec) {
    for tenant in governance.tenants.values_mut() {
        tenant.breakers.push(breaker.clone());
    }
}

async fn with(declare: fn(&mut Governance)) -> (Harness, ManualClock) {
    let clock = ManualClock::now();
    let harness = Harness::with(Setup {
        declare,
        clock: Some(clock.clone()),
        ..Setup::default()
    })
    .await;
    (harness, clock)
}

/// The refusal of a call: its reason, its waits in seconds and milliseconds, and its message.
async fn refused(harness: &Harness, request: Request<Full<Bytes>>) -> (String, Option<u64>, Option<u64>, String) {
    let response = harness.send(request).await;
    assert_eq!(response.status(), 429);
    let wait = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().unwrap().parse::<u64>().ok()
    };
    let waits = (wait("retry-after"), wait("retry-after-ms"));
    let retried = header(&response, "x-should-retry");
    let reason = header(&response, "bailiwick-reason");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    assert_eq!(retried == "true", reason == "rate_limited" && waits.0.is_some());
    (
        reason,
        waits.0,
        waits.1,
        body["error"]["message"].as_str().unwrap().to_owned(),
    )
}

async fn ok(harness: &Harness, request: Request<Full<Bytes>>) {
    let (status, _, body) = harness.call(request).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_says_to_the_millisecond_when_to_come_again() {
    let (harness, clock) = with(|governance| {
        limited_by(governance, vec![limit("slow", per_minute(Measure::Calls, 7, 2))]);
    })
    .await;
    ok(&harness, harness.chat("")).await;
    ok(&harness, harness.chat("")).await;
    harness.outcomes(2).await;
    let (reason, seconds, millis, message) = refused(&harness, harness.chat("")).await;
    // One of seven a minute: 8.571428... s.
    assert_eq!(
        (reason.as_str(), seconds, millis),
        ("rate_limited", Some(9), Some(8_572))
    );
    assert_eq!(
        message,
        "Rate limit \"slow\" allows 7 calls per minute, 2 at once, and this request of up to 1 call would go faster. Retry \
         in 8.572 s. Nothing was forwarded."
    );
    // What was refused took nothing: the same wait again, less what has passed.
    clock.pass(Duration::from_millis(8_571));
    assert_eq!(refused(&harness, harness.chat("")).await.2, Some(1));
    clock.pass(Duration::from_millis(1));
    ok(&harness, harness.chat("")).await;
    let denied = harness.denied(2).await;
    let limited = denied[0].limited.as_ref().unwrap();
    assert_eq!((limited.limit.as_str(), limited.asked), ("slow", Amount(1)));
    harness.finish().await;
}

/// A call with so many tokens of output at most.
fn asking_for(harness: &Harness, tokens: u32) -> Request<Full<Bytes>> {
    let messages = json!([{ "role": "user", "content": "Hello there" }]);
    let body = json!({ "model": "gpt-4o-mini", "max_tokens": tokens, "messages": messages });
    harness.request("/openai/v1/chat/completions", body.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_held_and_given_back() {
    let (harness, _clock) = with(|governance| {
        limited_by(
            governance,
            vec![limit("tokens", per_minute(Measure::Tokens, 3_000, 3_000))],
        );
    })
    .await;
    // Each call may take about a thousand tokens, and takes a few: what it did not use is there for the next ones.
    for calls in 1..=8 {
        ok(&harness, asking_for(&harness, 1_000)).await;
        harness.outcomes(calls).await;
    }
    let (_, seconds, _, message) = refused(&harness, asking_for(&harness, 4_000)).await;
    assert_eq!(seconds, None, "{message}");
    assert!(message.contains("more than may ever go at once"), "{message}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_specific_limit_counts() {
    let (harness, _clock) = with(|governance| {
        let open = limit("everybody", per_minute(Measure::Calls, 1, 1));
        let agent = RateSpec {
            select: Selector::of(Label::Agent, "tester"),
            ..limit("tester", per_minute(Measure::Calls, 60, 3))
        };
        let model = RateSpec {
            group: "models".to_owned(),
            select: Selector::of(Label::Model, "gpt-4o*"),
            ..limit("models", per_minute(Measure::Calls, 60, 2))
        };
        limited_by(governance, vec![open, agent, model]);
    })
    .await;
    ok(&harness, harness.chat("")).await;
    ok(&harness, harness.chat("")).await;
    // The agent's own limit counts instead of everybody's; the models' counts beside it.
    let (.., message) = refused(&harness, harness.chat("")).await;
    assert!(message.starts_with("Rate limit \"models\""), "{message}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_agents_of_a_user_share_a_bucket() {
    let (harness, _clock) = with(|governance| {
        let users = RateSpec {
            each: vec![Label::User],
            ..limit("users", per_minute(Measure::Calls, 1, 1))
        };
        limited_by(governance, vec![users]);
    })
    .await;
    let key = async |user: Option<&str>| harness.issue(|order| order.user = user.map(str::to_owned)).await.1;
    let (one, same, other, nobody) = (
        key(Some("alice@acme.example")).await,
        key(Some("alice@acme.example")).await,
        key(Some("bob@acme.example")).await,
        key(None).await,
    );
    let as_caller = |key: &str| {
        let mut request = harness.chat("");
        let bearer = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request
    };
    ok(&harness, as_caller(&one)).await;
    let (reason, ..) = refused(&harness, as_caller(&same)).await;
    assert_eq!(reason, "rate_limited");
    for free in [&other, &nobody, &nobody] {
        ok(&harness, as_caller(free)).await;
    }
    // The log knows nobody by name.
    for entry in harness.entries().await {
        assert!(!serde_json::to_string(&entry).unwrap().contains("alice@"), "{entry:?}");
    }
    harness.finish().await;
}

/// A conversation that ends in the answer of a tool that was called with these arguments.
fn tool_turn(harness: &Harness, arguments: &str, answered: &str) -> Request<Full<Bytes>> {
    let body = json!({
        "model": "gpt-4o-mini",
        "max_tokens": 20,
        "messages": [
            { "role": "user", "content": "find it" },
            { "role": "assistant", "tool_calls": [
                { "id": format!("call_{answered}"), "type": "function",
                  "function": { "name": "search", "arguments": arguments } },
            ] },
            { "role": "tool", "tool_call_id": format!("call_{answered}"), "content": answered },
        ],
    });
    let mut request = harness.request("/openai/v1/chat/completions", body.to_string());
    let run = "run-1".parse().unwrap();
    request.headers_mut().insert("bailiwick-run", run);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_is_warned_of_at_three_and_stopped_at_four() {
    let (harness, clock) = with(|governance| {
        let loops = BreakerSpec {
            loops: Some(Loops::default()),
            ..breaker("loops", Scope::Run)
        };
        watched_by(governance, &loops);
    })
    .await;
    // The same arguments in other spellings, and other answers each time.
    let spellings = [
        r#"{"q":"a","n":1}"#,
        r#"{ "n": 1.0, "q": "a" }"#,
        r#"{"n":1,"q":"\u0061"}"#,
    ];
    for (number, arguments) in (1..).zip(spellings) {
        let response = harness.send(tool_turn(&harness, arguments, &number.to_string())).await;
        assert_eq!(response.status(), 200);
        let warned = response.headers().get("bailiwick-breaker-warning");
        let warned = warned.map(|value| value.to_str().unwrap());
        assert_eq!(warned, (number == 3).then_some("loops;rule=same_step"), "call {number}");
        drop(http_body_util::BodyExt::collect(response.into_body()).await);
        harness.outcomes(number).await;
    }
    let (reason, seconds, _, message) = refused(&harness, tool_turn(&harness, spellings[0], "4")).await;
    assert_eq!((reason.as_str(), seconds), ("breaker_open", Some(60)));
    assert!(
        message.starts_with("Circuit breaker \"loops\" has stopped run tester/run-1 since "),
        "{message}"
    );
    assert!(message.contains("the same step 4 times within"), "{message}");
    // Whatever else the run asks is refused too; another run goes on.
    assert_eq!(
        refused(&harness, tool_turn(&harness, "{}", "x")).await.0,
        "breaker_open"
    );
    ok(&harness, harness.chat("")).await;
    let kinds: Vec<_> = harness.entries().await.iter().map(|entry| entry.event.kind()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count("breaker_warned"), count("breaker_tripped")), (1, 1));
    // After the cooldown one call shows that it goes on otherwise.
    clock.pass(Duration::from_secs(60));
    ok(&harness, tool_turn(&harness, r#"{"q":"b"}"#, "found")).await;
    harness.outcomes(5).await;
    let closed = harness.entries().await.into_iter().rev();
    let mut closed = closed.filter(|entry| matches!(entry.event, Event::BreakerClosed(_)));
    assert!(closed.next().is_some());
    ok(&harness, tool_turn(&harness, r#"{"q":"c"}"#, "more")).await;
    let metrics = harness.control.render_metrics();
    let tripped =
        r#"bailiwick_breaker_events_total{tenant="default",breaker="loops",event="tripped",rule="same_step"} 1"#;
    assert!(metrics.contains(tripped), "{metrics}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_results_is_not_stopped_by_other_ones() {
    let (harness, _clock) = with(|governance| {
        let loops = BreakerSpec {
            loops: Some(Loops::default()),
            steps: StepKind::Results,
            ..breaker("loops", Scope::Run)
        };
        watched_by(governance, &loops);
    })
    .await;
    for number in 1..=6 {
        ok(&harness, tool_turn(&harness, r#"{"t":"all"}"#, &number.to_string())).await;
        harness.outcomes(number).await;
    }
    for number in 7..=9 {
        ok(&harness, tool_turn(&harness, r#"{"t":"all"}"#, "same")).await;
        harness.outcomes(number).await;
    }
    let (reason, ..) = refused(&harness, tool_turn(&harness, r#"{"t":"all"}"#, "same")).await;
    assert_eq!(reason, "breaker_open");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spending_too_fast_stops_the_agent_until_somebody_resets_it() {
    let (harness, _clock) = with(|governance| {
        let spend = SpendRate {
            over: NanoUsd(1),
            within_s: 600,
        };
        let spending = BreakerSpec {
            spend: Some(spend),
            ..breaker("spending", Scope::Agent)
        };
        watched_by(governance, &spending);
    })
    .await;
    ok(&harness, harness.chat("")).await;
    harness.outcomes(1).await;
    let (reason, _, _, message) = refused(&harness, harness.chat("")).await;
    assert_eq!(reason, "breaker_open");
    assert!(message.contains("has stopped agent tester"), "{message}");
    let shown = harness.control.breakers(&harness.owner).await.unwrap();
    assert_eq!(shown[0].standings[0].state, "open");
    let reset = |note: &str| control::Reset {
        tenant: TenantName::default_tenant(),
        breaker: BreakerName::new("spending").unwrap(),
        of: None,
        note: note.to_owned(),
    };
    let error = harness
        .control
        .reset_breaker(&harness.owner, reset(" "))
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("say in the note why"), "{error}");
    harness
        .control
        .reset_breaker(&harness.owner, reset("checked by hand"))
        .await
        .unwrap();
    ok(&harness, harness.chat("")).await;
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_whose_calls_fail_is_stopped_and_one_probe_decides() {
    let (harness, clock) = with(|governance| {
        let errors = ErrorRate {
            percent: 50,
            calls: 4,
            within_s: 300,
        };
        let failing = BreakerSpec {
            errors: Some(errors),
            ..breaker("failing", Scope::Team)
        };
        watched_by(governance, &failing);
    })
    .await;
    let failing = || Harness::scripted(harness.chat(""), "status=500");
    for calls in 1..=4 {
        assert_eq!(harness.call(failing()).await.0, 500);
        harness.outcomes(calls).await;
    }
    assert_eq!(refused(&harness, harness.chat("")).await.0, "breaker_open");
    clock.pass(Duration::from_secs(60));
    // The probe fails, so it is open again; the next one goes well.
    assert_eq!(harness.call(failing()).await.0, 500);
    harness.outcomes(5).await;
    let (_, seconds, _, message) = refused(&harness, harness.chat("")).await;
    assert_eq!(seconds, Some(60), "{message}");
    clock.pass(Duration::from_secs(60));
    ok(&harness, harness.chat("")).await;
    harness.outcomes(6).await;
    ok(&harness, harness.chat("")).await;
    harness.finish().await;
}
