//! Failures of other gateways that were public, each as a test named after its number in our list of them
//! (`docs/failures-elsewhere.md`, which says where the others are): with the whole gateway, a real database and a simulated
//! provider that counts for itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use entry::Event;
use fake::SeenCall;
use http::Request;
use http_body_util::Full;
use ledger::{Amount, BudgetSpec, Label, Measure, Selector, Window};
use model::{BudgetName, NanoUsd, ServiceTier, Usage};
use pricing::{PriceBook, Region};

use crate::harness::{Harness, Setup, loose};

mod case_01;
mod case_05;
mod case_06;
mod case_07;
mod case_08;
mod case_11;
mod case_12;
mod case_13;
mod case_14;
mod further;
mod section_3;

/// Permits all that agents can do.
const ALL: &str = r#"@id("all") permit (principal == Agent::"tester", action in Action::"llm:use", resource);"#;

async fn permitting() -> Harness {
    Harness::with(Setup {
        policy: ALL,
        declare: loose,
        ..Setup::default()
    })
    .await
}

/// The endpoints that generate text, and a body for each. The models differ, so that what one of them overran does not
/// raise the holds of another.
const TEXTS: [(&str, &str); 4] = [
    (
        "/openai/v1/chat/completions",
        r#""model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":50"#,
    ),
    (
        "/openai/v1/responses",
        r#""model":"gpt-4o","input":"Hi","max_output_tokens":50"#,
    ),
    (
        "/openai/v1/completions",
        r#""model":"gpt-4o-mini-2024-07-18","prompt":"Hi","max_tokens":50"#,
    ),
    (
        "/anthropic/v1/messages",
        r#""model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}],"max_tokens":50"#,
    ),
];

fn text_call(harness: &Harness, (path, fields): (&str, &str), stream: bool) -> Request<Full<Bytes>> {
    let stream = if stream { r#","stream":true"# } else { "" };
    harness.request(path, format!("{{{fields}{stream}}}"))
}

async fn intents(harness: &Harness) -> Vec<entry::Intent> {
    let intent = |event| match event {
        Event::Intent(intent) => Some(intent),
        _ => None,
    };
    let entries = harness.entries().await;
    entries.into_iter().filter_map(|entry| intent(entry.event)).collect()
}

/// What the provider charges for the call it saw last, by the shipped prices.
fn billed_last(harness: &Harness) -> NanoUsd {
    billed(&harness.provider.calls().snapshot().pop().unwrap())
}

/// What the provider charges for all calls it saw.
fn billed_all(harness: &Harness) -> NanoUsd {
    let seen = harness.provider.calls().snapshot();
    seen.iter().map(billed).fold(NanoUsd::ZERO, NanoUsd::saturating_add)
}

fn billed(seen: &SeenCall) -> NanoUsd {
    let provider = if seen.path.ends_with("messages") {
        "anthropic"
    } else {
        "openai"
    };
    let prices = PriceBook::builtin().require(provider, &seen.model).unwrap();
    let usage = Usage {
        input: seen.billed.input,
        cache_read: seen.billed.cache_read,
        output: seen.billed.output,
        ..Usage::default()
    };
    let prices = prices.in_region(Region::of_host("127.0.0.1"));
    prices.cost(&usage, ServiceTier::Standard).unwrap()
}

/// What is held in all budgets.
async fn held(harness: &Harness) -> String {
    let held = pots(harness).await.into_iter().map(|pot| pot.held);
    held.collect::<Vec<_>>().join(" ")
}

/// All pots of all budgets.
async fn pots(harness: &Harness) -> Vec<control::BudgetReport> {
    let query = control::BudgetQuery::default();
    harness.control.budgets(&harness.owner, query).await.unwrap().budgets
}

/// What is spent in each pot, by the names of the budget and of the user or whoever it belongs to; all are without holds.
async fn spent(harness: &Harness) -> BTreeMap<String, String> {
    let named = |pot: control::BudgetReport| {
        assert_eq!(pot.held, "0", "{}", pot.name);
        let of: String = pot.of.values().map(|value| format!(" of {value}")).collect();
        (format!("{}{of}", pot.name), pot.spent)
    };
    pots(harness).await.into_iter().map(named).collect()
}

/// A budget of all requests, without a limit that matters.
fn counting(name: &str, unit: Measure) -> BudgetSpec {
    BudgetSpec {
        select: Some(Selector::default()),
        unit,
        ..BudgetSpec::money(BudgetName::new(name).unwrap(), Amount(1_000_000_000_000), Window::Total)
    }
}

/// Declares these budgets, and no others beside the agent's own.
async fn declare(harness: &Harness, budgets: Vec<BudgetSpec>) {
    harness.declare(|governance| {
        for tenant in governance.tenants.values_mut() {
            tenant.budgets.clone_from(&budgets);
        }
    });
    harness.control.reload(&harness.owner).await.unwrap();
}

fn as_caller(mut request: Request<Full<Bytes>>, key: &str) -> Request<Full<Bytes>> {
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}
