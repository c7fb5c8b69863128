//! Budgets that select requests: what they refuse, how they are changed while traffic flows, and who waits for that.

mod asking;
mod changes;

use std::collections::BTreeMap;

use bytes::Bytes;
use control::{BudgetChange, BudgetEdit, BudgetPage, Governance};
use entry::Event;
use http::Request;
use http_body_util::Full;
use ledger::{Amount, AtLimit, BudgetSpec, Label, Measure, Selector, Unit, Window};
use model::{BudgetName, NanoUsd, TenantName, Timestamp};

use crate::harness::{Harness, Setup, header};

fn named(name: &str) -> BudgetSpec {
    BudgetSpec {
        select: Some(Selector::of(Label::Team, "data")),
        ..BudgetSpec::money(BudgetName::new(name).unwrap(), Amount(0), Window::Total)
    }
}

/// A budget for the team that the tester is in.
fn team(unit: Measure, limit: i64) -> BudgetSpec {
    BudgetSpec {
        unit,
        limit: Amount(limit),
        ..named("team-data")
    }
}

fn declare(governance: &mut Governance, budget: BudgetSpec) {
    for tenant in governance.tenants.values_mut() {
        tenant.budgets.push(budget.clone());
    }
}

async fn with(declare: fn(&mut Governance)) -> Harness {
    Harness::with(Setup {
        declare,
        ..Setup::default()
    })
    .await
}

async fn change(harness: &Harness, budget: &str, change: BudgetChange) -> Result<BudgetPage, control::AdminError> {
    let edit = BudgetEdit {
        tenant: TenantName::default_tenant(),
        budget: budget.to_owned(),
        change,
        note: "a test".to_owned(),
    };
    harness.control.edit_budget(&harness.owner, edit).await
}

fn limit(text: &str) -> BudgetChange {
    BudgetChange::Limit(text.to_owned())
}

fn top_up(text: &str, of: &[(&str, &str)]) -> BudgetChange {
    let of = of
        .iter()
        .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
    BudgetChange::TopUp {
        amount: text.to_owned(),
        of: of.collect::<BTreeMap<_, _>>(),
    }
}

/// The message of a refusal.
async fn refused(harness: &Harness, request: Request<Full<Bytes>>) -> String {
    let (status, reason, body) = harness.call(request).await;
    assert_eq!((status, reason.as_str()), (402, "budget_exhausted"), "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["error"]["message"].as_str().unwrap().to_owned()
}

fn as_caller(mut request: Request<Full<Bytes>>, key: &str) -> Request<Full<Bytes>> {
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_teams_budget_refuses_and_says_how_it_stands() {
    let harness = with(|governance| declare(governance, team(Measure::Money, 1_000_000_000))).await;
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    let cost = harness.outcomes(1).await[0].cost;
    let entries = harness.entries().await;
    let hold = entries.into_iter().find_map(|entry| match entry.event {
        Event::Intent(intent) => Some(intent.hold),
        _ => None,
    });
    let hold = hold.unwrap();
    // A nano-dollar less than what the next call needs.
    let (left, all) = (NanoUsd(hold.0 - 1), NanoUsd(cost.0 + hold.0 - 1));
    change(&harness, "team-data", limit(&format!("{all} USD")))
        .await
        .unwrap();
    let message = refused(&harness, harness.chat("")).await;
    let expected = format!(
        "This request could cost up to {hold} USD, but budget \"team-data\" has {left} USD left of {all} USD ({cost} USD \
         spent, 0 USD held by calls in flight). It does not reset by itself. Nothing was forwarded."
    );
    assert_eq!(message, expected);
    // The agent's own budget had room for it, and holds nothing.
    let page = harness
        .control
        .budgets(&harness.owner, control::BudgetQuery::default())
        .await
        .unwrap();
    let pots: Vec<_> = page
        .budgets
        .iter()
        .map(|pot| (pot.name.as_str(), pot.held.as_str()))
        .collect();
    assert_eq!(pots, [("team-data", "0"), ("tester", "0")]);
    assert_eq!(page.budgets[0].selects, "team data");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_resets_says_when() {
    let harness = with(|governance| {
        let window = Window::Calendar {
            unit: Unit::Year,
            zone: "UTC".to_owned(),
        };
        declare(
            governance,
            BudgetSpec {
                window,
                ..team(Measure::Calls, 0)
            },
        );
    })
    .await;
    let message = refused(&harness, harness.chat("")).await;
    let expected = format!(
        "This request could take up to 1 call, but budget \"team-data\" has 0 calls left of 0 calls (0 calls spent, 0 calls \
         held by calls in flight). It resets at {}-01-01T00:00:00Z. Nothing was forwarded.",
        this_year() + 1
    );
    assert_eq!(message, expected);
    harness.finish().await;
}

/// The year, as reports write it.
fn this_year() -> i64 {
    let now = store::Clock::now(&store::SystemClock::new());
    let now = control::rfc3339(now);
    now.split('-').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_calls_are_counted() {
    let harness = with(|governance| {
        declare(governance, team(Measure::Calls, 2));
        let name = BudgetName::new("output").unwrap();
        declare(
            governance,
            BudgetSpec {
                name,
                ..team(Measure::OutputTokens, 100)
            },
        );
    })
    .await;
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    let used = harness.outcomes(1).await[0].usage.unwrap().output;
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}],"max_tokens":100}"#;
    let message = refused(&harness, harness.request("/openai/v1/chat/completions", body)).await;
    let expected = format!(
        "This request could take up to 100 output tokens, but budget \"output\" has {} output tokens left of 100 output \
         tokens ({used} output tokens spent, 0 output tokens held by calls in flight). It does not reset by itself. Nothing \
         was forwarded.",
        100 - used
    );
    assert_eq!(message, expected);
    change(&harness, "output", top_up("1k output tokens", &[]))
        .await
        .unwrap();
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(2).await;
    let message = refused(&harness, harness.chat("")).await;
    assert!(
        message.contains("budget \"team-data\" has 0 calls left of 2 calls"),
        "{message}"
    );
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_threshold_is_an_entry_a_header_and_a_number() {
    let harness = with(|governance| {
        let thresholds = vec![50, 80];
        declare(
            governance,
            BudgetSpec {
                thresholds,
                ..team(Measure::Calls, 4)
            },
        );
    })
    .await;
    let mut warnings = Vec::new();
    for nth in 1..=4 {
        let response = harness.send(harness.chat("")).await;
        assert_eq!(response.status(), 200);
        warnings.push(header(&response, "bailiwick-budget-warning"));
        drop(response);
        harness.outcomes(nth).await;
    }
    assert_eq!(warnings, ["", "", "team-data;percent=50", "team-data;percent=50"]);
    let entries = harness.entries().await.into_iter();
    let reached: Vec<_> = entries
        .filter_map(|entry| match entry.event {
            Event::ThresholdReached(reached) => Some((reached.reached.percent, reached.reached.spent)),
            _ => None,
        })
        .collect();
    assert_eq!(reached, [(50, Amount(2)), (80, Amount(4))]);
    let metrics = harness.control.render_metrics();
    for line in [
        "bailiwick_budget_thresholds_total{tenant=\"default\",budget=\"team-data\",percent=\"50\"} 1\n",
        "bailiwick_budget_thresholds_total{tenant=\"default\",budget=\"team-data\",percent=\"80\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    harness.finish().await;
}
