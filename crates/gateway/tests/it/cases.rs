//! Failures of other gateways that were public, each as a test named after its number in our list of them: with the whole
//! gateway, a real database and a simulated provider that counts for itself. Cases 9 and 10 are among the golden vectors
//! (`vectors.rs`), the crashes of cases 5 and 15 in `crates/bailiwick/tests/it`, the alarm of case 12 and case 13 with the
//! prices (`crates/pricing`).

use bytes::Bytes;
use entry::Event;
use http::Request;
use http_body_util::Full;
use model::{NanoUsd, ServiceTier, Usage};
use pricing::{PriceBook, Region};

use crate::harness::{Harness, Setup, loose};

mod case_01;
mod case_05;
mod case_06;
mod case_07;
mod case_08;
mod case_11;
mod case_12;

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
    let seen = harness.provider.calls().snapshot().pop().unwrap();
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
    let page = harness
        .control
        .budgets(&harness.owner, control::BudgetQuery::default())
        .await
        .unwrap();
    let held = page.budgets.into_iter().map(|budget| budget.held);
    held.collect::<Vec<_>>().join(" ")
}
