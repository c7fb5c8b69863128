//! Case 13: what is not text is billed at nothing, or to the wrong one, or twice (BerriAI/litellm PR #36914, #31080, #36071,
//! PR #39980). Whatever is produced is booked once in each budget that selects the call, and in no other; what would be
//! produced elsewhere or later (batches, realtime sessions) is refused. The prices: `case_13_*` in `crates/pricing`.

use std::collections::BTreeMap;

use http::Method;
use model::NanoUsd;

use super::*;
use crate::endpoints::priced;

const ALICE: &str = "alice@acme.example";

/// Budgets of the agent, the team, each user, an upstream and a model, in money and in calls; and some of others.
fn budgets() -> Vec<BudgetSpec> {
    let selecting = |name: &str, label, value: &str| BudgetSpec {
        select: Some(Selector::of(label, value)),
        ..counting(name, Measure::Money)
    };
    let each = |name: &str, unit| BudgetSpec {
        each: vec![Label::User],
        ..counting(name, unit)
    };
    vec![
        selecting("the-agent", Label::Agent, "tester"),
        selecting("the-team", Label::Team, "data"),
        selecting("the-upstream", Label::Upstream, "openai"),
        each("each-user", Measure::Money),
        each("each-users-calls", Measure::Calls),
        selecting("another-agent", Label::Agent, "somebody"),
        selecting("another-team", Label::Team, "sales"),
        selecting("another-upstream", Label::Upstream, "anthropic"),
    ]
}

/// What every pot has gained, where it has gained anything; a call as a dollar.
fn gained(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeMap<String, NanoUsd> {
    let money = |text: &String| format!("{text} USD").parse::<NanoUsd>().unwrap();
    let gained = after.iter().map(|(pot, now)| {
        let then = before.get(pot).map_or(NanoUsd::ZERO, money);
        (pot.clone(), NanoUsd(money(now).0 - then.0))
    });
    gained.filter(|(_, gained)| *gained != NanoUsd::ZERO).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_13_what_is_not_text_is_booked_once_to_each_whom_it_concerns() {
    let harness = permitting().await;
    declare(&harness, budgets()).await;
    let (_, alice) = harness.issue(|order| order.user = Some(ALICE.to_owned())).await;
    let (_, bob) = harness
        .issue(|order| order.user = Some("bob@acme.example".to_owned()))
        .await;
    // Bob has a pot, in which nothing of Alice's is to turn up.
    assert_eq!(harness.call(as_caller(harness.chat(""), &bob)).await.0, 200);
    harness.outcomes(1).await;
    let mut calls = 1;
    let mut total = harness.outcomes(1).await[0].cost;
    for row in priced() {
        let before = spent(&harness).await;
        let (status, _, text) = harness.call(as_caller(row.request(&harness), &alice)).await;
        assert_eq!(status, 200, "{}: {text}", row.path);
        calls += 1;
        let cost = harness.outcomes(calls).await.pop().unwrap().cost;
        assert!(cost > NanoUsd::ZERO, "{}", row.path);
        total = total.saturating_add(cost);
        let expected = ["tester", "the-agent", "the-team", "the-upstream"].map(str::to_owned);
        let mut expected: BTreeMap<_, _> = expected.into_iter().map(|pot| (pot, cost)).collect();
        expected.insert(format!("each-user of {ALICE}"), cost);
        expected.insert(format!("each-users-calls of {ALICE}"), NanoUsd(1_000_000_000));
        assert_eq!(gained(&before, &spent(&harness).await), expected, "{}", row.path);
    }
    let state = harness.finish().await;
    assert_eq!((state.spent, state.overrun), (total, NanoUsd::ZERO));
}

/// Work that the provider would do later or over another connection, and whose price no reply would tell.
const ELSEWHERE: [&str; 12] = [
    "/openai/v1/batches",
    "/openai/v1/batches/batch_1",
    "/openai/v1/files",
    "/openai/v1/uploads",
    "/openai/v1/realtime",
    "/openai/v1/realtime?model=gpt-realtime",
    "/openai/v1/realtime/sessions",
    "/openai/v1/realtime/client_secrets",
    "/openai/v1/realtime/transcription_sessions",
    "/openai/v1/videos",
    "/anthropic/v1/messages/batches",
    "/anthropic/v1/messages/batches/msgbatch_1/results",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_13_batches_and_realtime_are_refused_not_unmetered() {
    let harness = permitting().await;
    declare(&harness, budgets()).await;
    let (_, alice) = harness.issue(|order| order.user = Some(ALICE.to_owned())).await;
    for path in ELSEWHERE {
        for method in [Method::POST, Method::GET] {
            for upgrade in [false, true] {
                let body = r#"{"model":"gpt-4o-mini","input_file_id":"file-1","endpoint":"/v1/chat/completions"}"#;
                let mut request = as_caller(harness.request(path, body), &alice);
                *request.method_mut() = method.clone();
                if upgrade {
                    let headers = request.headers_mut();
                    headers.insert("connection", "Upgrade".parse().unwrap());
                    headers.insert("upgrade", "websocket".parse().unwrap());
                    headers.insert("sec-websocket-version", "13".parse().unwrap());
                    headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
                }
                let (status, _, text) = harness.call(request).await;
                assert!((400..500).contains(&status), "{method} {path}: {status} {text}");
            }
        }
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    assert!(intents(&harness).await.is_empty());
    assert!(spent(&harness).await.values().all(|spent| spent == "0"));
    harness.finish().await;
}
