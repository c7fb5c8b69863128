//! Calls that wait for an administrator.

use std::{sync::Arc, time::Duration};

use control::{AdminError, AskReport, AskTopUp};
use entry::AskEnd;
use model::ActionId;
use tokio::task::JoinHandle;

use super::*;

/// A budget for one call that asks for the next.
async fn asking(wait_s: u32) -> Arc<Harness> {
    let declared: fn(&mut Governance) = match wait_s {
        1 => |governance| declare(governance, asks(1)),
        _ => |governance| declare(governance, asks(600)),
    };
    let harness = with(declared).await;
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(1).await;
    Arc::new(harness)
}

fn asks(wait_s: u32) -> BudgetSpec {
    BudgetSpec {
        at_limit: AtLimit::Ask { wait_s },
        ..team(Measure::Calls, 1)
    }
}

fn calling(harness: &Arc<Harness>) -> JoinHandle<(u16, String, String)> {
    let (harness, request) = (harness.clone(), harness.chat(""));
    tokio::spawn(async move { harness.call(request).await })
}

/// Waits until so many calls wait.
async fn waiting(harness: &Harness, count: usize) -> Vec<AskReport> {
    let tenant = TenantName::default_tenant();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let size = u64::try_from(harness.entries().await.len()).unwrap();
            let asks = harness.control.asks(&harness.owner, None).await.unwrap();
            if asks.len() == count {
                return asks;
            }
            harness.control.grown(&harness.owner, &tenant, size).await.unwrap();
        }
    });
    waited.await.expect("they come to wait in time")
}

fn action(ask: &AskReport) -> ActionId {
    ask.action.parse().unwrap()
}

async fn answer(harness: &Harness, ask: &AskReport, amount: Option<&str>) -> Result<String, AdminError> {
    let order = AskTopUp {
        tenant: TenantName::default_tenant(),
        action: action(ask),
        amount: amount.map(str::to_owned),
        note: "a test".to_owned(),
    };
    let topped_up = harness.control.top_up_ask(&harness.owner, order).await;
    topped_up.map(|(_, added)| added)
}

async fn refuse(harness: &Harness, ask: &AskReport, note: &str) -> Result<AskReport, AdminError> {
    let tenant = TenantName::default_tenant();
    let refused = harness
        .control
        .refuse_ask(&harness.owner, tenant, action(ask), note.to_owned());
    refused.await
}

async fn over(call: JoinHandle<(u16, String, String)>) -> (u16, String, String) {
    let answered = tokio::time::timeout(Duration::from_secs(20), call);
    answered.await.expect("it is answered in time").unwrap()
}

fn message(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_listed_topped_up_and_goes_on() {
    let harness = asking(600).await;
    let call = calling(&harness);
    let asks = waiting(&harness, 1).await;
    let ask = &asks[0];
    assert_eq!((ask.agent.as_str(), ask.model.as_str()), ("tester", "gpt-4o-mini"));
    assert_eq!((ask.budget.as_str(), ask.unit.as_str()), ("team-data", "calls"));
    let numbers = [&ask.asked, &ask.missing, &ask.limit, &ask.spent, &ask.held];
    assert_eq!(numbers, ["1", "1", "1", "1", "0"]);
    let gauge = "bailiwick_asks_waiting 1\n";
    assert!(harness.control.render_metrics().contains(gauge));
    let wrong = answer(&harness, ask, Some("5 USD")).await.unwrap_err().to_string();
    assert!(wrong.starts_with("the budget counts calls, not USD"), "{wrong}");
    assert_eq!(answer(&harness, ask, None).await.unwrap(), "1 call");
    let (status, _, body) = over(call).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(waiting(&harness, 0).await, []);
    let late = answer(&harness, ask, None).await.unwrap_err().to_string();
    assert!(
        late.starts_with("nothing of action ") && late.contains("waits for an administrator"),
        "{late}"
    );
    harness.outcomes(2).await;
    let metrics = harness.control.render_metrics();
    assert!(metrics.contains("bailiwick_asks_answered_total{tenant=\"default\",answer=\"topped_up\"} 1\n"));
    Arc::into_inner(harness).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_is_told_why() {
    let harness = asking(600).await;
    let call = calling(&harness);
    let ask = waiting(&harness, 1).await.remove(0);
    let unsaid = refuse(&harness, &ask, "").await.unwrap_err().to_string();
    assert!(unsaid.starts_with("say in the note why"), "{unsaid}");
    refuse(&harness, &ask, "try again tomorrow").await.unwrap();
    let (status, reason, body) = over(call).await;
    assert_eq!((status, reason.as_str()), (402, "budget_exhausted"));
    assert_eq!(
        message(&body),
        "This request could take up to 1 call, but budget \"team-data\" has 0 calls left of 1 call (1 call spent, 0 calls \
         held by calls in flight). Administrator owner was asked and refused to top it up: try again tomorrow. Nothing was \
         forwarded."
    );
    assert_eq!(harness.denied(1).await.len(), 1);
    Arc::into_inner(harness).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_too_long_is_refused() {
    let harness = asking(1).await;
    let (status, reason, body) = over(calling(&harness)).await;
    assert_eq!((status, reason.as_str()), (402, "budget_exhausted"), "{body}");
    let kinds: Vec<_> = harness.entries().await.iter().map(|entry| entry.event.kind()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["asked", "denial"]);
    Arc::into_inner(harness).unwrap().finish().await;
}

/// Who waits goes on by itself when the budget has room again, whoever made it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_on_when_the_limit_is_raised() {
    let harness = asking(600).await;
    let calls: Vec<_> = (0..3).map(|_| calling(&harness)).collect();
    waiting(&harness, 3).await;
    change(&harness, "team-data", limit("4 calls")).await.unwrap();
    for call in calls {
        assert_eq!(over(call).await.0, 200);
    }
    harness.outcomes(4).await;
    Arc::into_inner(harness).unwrap().finish().await;
}

/// A paused budget asks nobody: no top-up would help. What waited already goes on waiting until it is resumed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_budget_asks_nobody() {
    let harness = asking(600).await;
    let call = calling(&harness);
    let ask = waiting(&harness, 1).await.remove(0);
    change(&harness, "team-data", BudgetChange::Pause).await.unwrap();
    let message = refused(&harness, harness.chat("")).await;
    assert!(
        message.starts_with("An administrator paused budget \"team-data\""),
        "{message}"
    );
    let told = answer(&harness, &ask, None).await.unwrap_err().to_string();
    assert!(told.contains("`bailiwick budget resume team-data`"), "{told}");
    change(&harness, "team-data", limit("4 calls")).await.unwrap();
    change(&harness, "team-data", BudgetChange::Resume).await.unwrap();
    assert_eq!(over(call).await.0, 200);
    harness.outcomes(2).await;
    Arc::into_inner(harness).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_waits_no_more() {
    let harness = asking(600).await;
    let call = calling(&harness);
    waiting(&harness, 1).await;
    call.abort();
    waiting(&harness, 0).await;
    let last = harness.entries().await.pop().unwrap();
    let Event::AskEnded(ended) = last.event else {
        panic!("{last:?}")
    };
    assert_eq!(ended.end, AskEnd::Withdrawn);
    Arc::into_inner(harness).unwrap().finish().await;
}

/// Only an administrator who may answer is told whose pot it is, and answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvers_answer_and_viewers_look() {
    let harness = asking(600).await;
    let actor = |role: entry::Role| control::Actor {
        name: model::AdminName::new(role.as_str()).unwrap(),
        role,
    };
    let call = calling(&harness);
    let ask = waiting(&harness, 1).await.remove(0);
    let order = AskTopUp {
        tenant: TenantName::default_tenant(),
        action: action(&ask),
        amount: None,
        note: "a test".to_owned(),
    };
    let viewer = harness
        .control
        .top_up_ask(&actor(entry::Role::Viewer), order.clone())
        .await;
    assert!(matches!(viewer, Err(AdminError::Forbidden(_))));
    assert_eq!(
        harness
            .control
            .asks(&actor(entry::Role::Viewer), None)
            .await
            .unwrap()
            .len(),
        1
    );
    // Who may not change budgets gives what is missing and no more.
    let more = AskTopUp {
        amount: Some("2 calls".to_owned()),
        ..order.clone()
    };
    let approver = actor(entry::Role::Approver);
    let told = harness
        .control
        .top_up_ask(&approver, more)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        "2 calls is more than what is missing, 1 call, and the role approver may give no more than that: leave the \
         amount out, or ask an operator"
    );
    let exact = AskTopUp {
        amount: Some("1 calls".to_owned()),
        ..order
    };
    harness.control.top_up_ask(&approver, exact).await.unwrap();
    assert_eq!(over(call).await.0, 200);
    harness.outcomes(2).await;
    Arc::into_inner(harness).unwrap().finish().await;
}

fn calling_with_key(harness: &Arc<Harness>) -> JoinHandle<(u16, String, String)> {
    let (harness, mut request) = (harness.clone(), harness.chat(""));
    request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    tokio::spawn(async move {
        let response = harness.send(request).await;
        let again = header(&response, "idempotent-replayed");
        let status = response.status().as_u16();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        (status, again, String::from_utf8(body.to_bytes().to_vec()).unwrap())
    })
}

/// A caller who gives up and sends the call again under its key waits on for the same answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_with_the_key_waits_on() {
    let harness = asking(600).await;
    let call = calling_with_key(&harness);
    let ask = waiting(&harness, 1).await.remove(0);
    call.abort();
    let call = calling_with_key(&harness);
    answer(&harness, &ask, None).await.unwrap();
    let (status, _, body) = over(call).await;
    assert_eq!(status, 200, "{body}");
    let outcomes = harness.outcomes(2).await;
    assert_eq!(outcomes[1].action, action(&ask), "it is the call that waited");
    let asked = harness.entries().await.into_iter();
    let asked = asked.filter(|entry| matches!(entry.event, Event::Asked(_) | Event::AskEnded(_)));
    assert_eq!(asked.count(), 1);
    Arc::into_inner(harness).unwrap().finish().await;
}

/// What waits for an answer that nobody wants is withdrawn, with a key too, and the key is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_under_a_key_ends_when_nobody_comes_back() {
    let harness = asking(600).await;
    let call = calling_with_key(&harness);
    let first = waiting(&harness, 1).await.remove(0);
    call.abort();
    waiting(&harness, 0).await;
    let last = harness.entries().await.pop().unwrap();
    let Event::AskEnded(ended) = last.event else {
        panic!("{last:?}")
    };
    assert_eq!(ended.end, AskEnd::Withdrawn);
    let call = calling_with_key(&harness);
    let second = waiting(&harness, 1).await.remove(0);
    assert_ne!(first.action, second.action);
    change(&harness, "team-data", limit("2 calls")).await.unwrap();
    let (status, again, body) = over(call).await;
    assert_eq!((status, again.as_str()), (200, ""), "{body}");
    harness.outcomes(2).await;
    Arc::into_inner(harness).unwrap().finish().await;
}

/// What waits for a budget that counts something else since waits for that, and is topped up in its unit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_budget_of_another_unit_is_asked_anew() {
    let harness = asking(600).await;
    let call = calling(&harness);
    waiting(&harness, 1).await;
    harness.declare(|governance| {
        let tokens = BudgetSpec {
            unit: Measure::Tokens,
            ..asks(600)
        };
        for tenant in governance.tenants.values_mut() {
            tenant.budgets = vec![tokens.clone()];
        }
    });
    harness.control.reload(&harness.owner).await.unwrap();
    let moved = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let size = u64::try_from(harness.entries().await.len()).unwrap();
            let ask = waiting(&harness, 1).await.remove(0);
            if ask.unit == "tokens" {
                return ask;
            }
            let tenant = TenantName::default_tenant();
            harness.control.grown(&harness.owner, &tenant, size).await.unwrap();
        }
    });
    let ask = moved.await.expect("it is asked anew in time");
    let told = answer(&harness, &ask, None).await.unwrap();
    assert_eq!(told, format!("{} tokens", ask.missing));
    assert_eq!(over(call).await.0, 200);
    harness.outcomes(2).await;
    Arc::into_inner(harness).unwrap().finish().await;
}
