//! A provider that bills more than was reserved, and one that is declared as not honouring output limits.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use control::{Acceptance, AdminError};
use entry::{Event, Intent, Overrun, Status};
use http::Request;
use http_body_util::Full;
use model::{NanoUsd, Reason, TenantName, UpstreamName, UsageSource};

use crate::harness::{Harness, Setup, at_once};

/// 5,000 tokens of output where 50 were allowed.
const OVER: &str = "usage-output=5000";
/// What gpt-4o-mini can produce, in tokens.
const MOST: u64 = 16_384;
/// What one token of it costs.
const EACH: i64 = 600;

fn chat_of(harness: &Harness, model: &str, limit: u64) -> Request<Full<Bytes>> {
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}],"max_tokens":{limit}}}"#);
    harness.request("/openai/v1/chat/completions", body)
}

async fn intents(harness: &Harness) -> Vec<Intent> {
    let entries = harness.entries().await.into_iter();
    let intents = entries.filter_map(|entry| match entry.event {
        Event::Intent(intent) => Some(intent),
        _ => None,
    });
    intents.collect()
}

async fn overruns(harness: &Harness) -> Vec<(u64, Overrun)> {
    let entries = harness.entries().await.into_iter();
    let overruns = entries.filter_map(|entry| match entry.event {
        Event::Overrun(overrun) => Some((entry.index, overrun)),
        _ => None,
    });
    overruns.collect()
}

async fn accept(harness: &Harness, model: &str) -> Result<(), AdminError> {
    let accepted = Acceptance {
        tenant: TenantName::default_tenant(),
        upstream: UpstreamName::new("openai").unwrap(),
        model: model.to_owned(),
        note: "credited".to_owned(),
    };
    harness.control.accept_overrun(&harness.owner, accepted).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overrun_is_booked_in_full_and_holds_the_maximum_until_it_is_accepted() {
    let harness = Harness::start().await;
    let (status, _, _) = harness.call(Harness::scripted(harness.chat(""), OVER)).await;
    assert_eq!(status, 200);
    let outcome = harness.outcomes(1).await.remove(0);
    let first = intents(&harness).await.remove(0);
    assert_eq!((outcome.status, outcome.source), (Status::Ok, UsageSource::Provider));
    assert!(outcome.cost > first.hold && outcome.cost.0 >= 5_000 * EACH);
    let (index, overrun) = overruns(&harness).await.remove(0);
    let expected = Overrun {
        action: outcome.action,
        attempt: 0,
        outcome: index - 1,
        agent: first.action.agent.clone(),
        upstream: first.action.upstream.clone(),
        model: "gpt-4o-mini".to_owned(),
        held: first.hold,
        booked: outcome.cost,
        limit: 50,
        bound: None,
        tokens_held: None,
        tokens: None,
    };
    assert_eq!(overrun, expected);
    // The picture follows the log by itself, before anybody asks again.
    let distrusted = "bailiwick_distrusted_models{tenant=\"default\",upstream=\"openai\"} 1";
    let followed = tokio::time::timeout(Duration::from_secs(20), async {
        while !harness.control.render_metrics().contains(distrusted) {
            tokio::task::yield_now().await;
        }
    });
    followed.await.expect("the picture follows");
    let counted = "bailiwick_overruns_total{tenant=\"default\",agent=\"tester\",upstream=\"openai\"} 1";
    assert!(harness.control.render_metrics().contains(counted));

    // The same call again, one of another model, and one that is accepted in between.
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    assert_eq!(harness.call(chat_of(&harness, "gpt-4o", 50)).await.0, 200);
    let typo = accept(&harness, "gpt-4o-mni").await.unwrap_err().to_string();
    let told =
        "there is no overrun of openai/gpt-4o-mni to accept in tenant default; there is one of openai/gpt-4o-mini";
    assert_eq!(typo, told);
    accept(&harness, "gpt-4o-mini").await.unwrap();
    assert!(accept(&harness, "gpt-4o-mini").await.is_err(), "once");
    assert!(
        !harness
            .control
            .render_metrics()
            .contains("bailiwick_distrusted_models{")
    );
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(4).await;
    let seen = intents(&harness).await;
    let limits: Vec<_> = seen.iter().map(|intent| (intent.limit, intent.bound)).collect();
    assert_eq!(limits, [(50, None), (50, Some(MOST)), (50, None), (50, None)]);
    let more = i64::try_from(MOST - 50).unwrap() * EACH;
    assert_eq!(seen[1].hold, NanoUsd(first.hold.0 + more));
    assert_eq!(seen[3].hold, first.hold);
    // What is sent is the caller's own limit all the while.
    for call in harness.provider.calls().snapshot() {
        let body = String::from_utf8_lossy(&call.body).into_owned();
        assert!(body.contains(r#""max_tokens":50"#), "{body}");
    }
    let state = harness.finish().await;
    assert_eq!(state.overrun, NanoUsd(outcome.cost.0 - first.hold.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_without_room_for_the_maximum_refuses_and_says_so() {
    let harness = Harness::with(Setup {
        limit: "0.008 USD",
        ..Setup::default()
    })
    .await;
    assert_eq!(harness.call(Harness::scripted(harness.chat(""), OVER)).await.0, 200);
    harness.outcomes(1).await;
    let (status, reason, body) = harness.call(harness.chat("")).await;
    assert_eq!((status, reason.as_str()), (402, "budget_exhausted"));
    for words in [
        "budget \\\"tester\\\" has",
        "the model's maximum of 16384 output tokens",
        "past what was reserved for it",
        "`bailiwick overrun list`",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }
    accept(&harness, "gpt-4o-mini").await.unwrap();
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.finish().await;
}

/// A stream that says at its end that more was used is cut there; its overrun counts as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_overruns_like_a_json_call() {
    let harness = Harness::start().await;
    let request = Harness::scripted(harness.chat(r#","stream":true"#), OVER);
    assert_eq!(harness.call(request).await.0, 200);
    let outcome = harness.outcomes(1).await.remove(0);
    let (_, overrun) = overruns(&harness).await.remove(0);
    assert_eq!((overrun.action, overrun.booked), (outcome.action, outcome.cost));
    assert!(outcome.cost > overrun.held);
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    assert_eq!(intents(&harness).await[1].bound, Some(MOST));
    harness.finish().await;
}

/// Many calls overrun while others are decided: each is recorded, and nobody is turned away for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_overruns_at_once_turn_nobody_away() {
    let harness = Arc::new(Harness::start().await);
    let call = |harness: Arc<Harness>| async move {
        let over = harness.call(Harness::scripted(harness.chat(""), OVER)).await;
        let within = harness.call(harness.chat("")).await;
        (over.0, within.0, within.1)
    };
    for answer in at_once(40, call, &harness).await {
        assert_eq!(answer, (200, 200, String::new()));
    }
    harness.outcomes(80).await;
    let seen = overruns(&harness).await;
    // Those that were admitted after the first overrun reserved enough.
    let over = intents(&harness)
        .await
        .into_iter()
        .filter(|intent| intent.bound.is_none());
    assert!(!seen.is_empty() && seen.len() <= over.count());
    let harness = Arc::into_inner(harness).unwrap();
    let state = harness.finish().await;
    let distrust = state.distrusted.values().next().unwrap();
    assert_eq!(distrust.count, u64::try_from(seen.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_honour_limits_is_held_at_the_maximum() {
    let harness = Harness::with(Setup {
        declare: |governance| governance.upstreams[0].honours_output_limit = false,
        ..Setup::default()
    })
    .await;
    assert_eq!(harness.call(Harness::scripted(harness.chat(""), OVER)).await.0, 200);
    // A client's own limit above what there is does not make the hold smaller.
    assert_eq!(harness.call(chat_of(&harness, "gpt-4o-mini", 20_000)).await.0, 200);
    assert_eq!(harness.call(harness.messages("")).await.0, 200);
    harness.outcomes(3).await;
    assert!(overruns(&harness).await.is_empty(), "the hold covered it");
    let bounds: Vec<_> = intents(&harness).await.iter().map(|intent| intent.bound).collect();
    assert_eq!(bounds, [Some(MOST), Some(20_000), None]);
    let records = harness.entries().await.into_iter().find_map(|entry| match entry.event {
        Event::UpstreamsLoaded { upstreams, .. } => Some(upstreams),
        _ => None,
    });
    let honours: Vec<_> = records
        .unwrap()
        .iter()
        .map(|record| record.honours_output_limit)
        .collect();
    assert_eq!(honours, [false, true, true]);
    assert!(
        harness
            .denials()
            .await
            .iter()
            .all(|denial| denial.reason != Reason::UnboundedOutput)
    );
    harness.finish().await;
}
