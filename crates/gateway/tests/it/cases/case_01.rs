//! Case 1: checks before acts. Elsewhere, first calls in parallel passed a limit together (BerriAI/litellm#34732, #40095,
//! #18730).

use std::sync::Arc;

use entry::Event;
use model::{NanoUsd, Reason};

use crate::harness::{Harness, Setup, at_once};

/// 200 identical requests at once against a budget that affords 37 of them: exactly those are admitted, and the log
/// shows that settled + held never passed the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_01_first_calls_in_parallel_stay_within_the_limit() {
    // What one such request is held at, found by making one.
    let probe = Harness::start().await;
    assert_eq!(probe.call(probe.chat("")).await.0, 200);
    let hold = probe.entries().await.into_iter().find_map(|entry| match entry.event {
        Event::Intent(intent) => Some(intent.hold),
        _ => None,
    });
    let hold = hold.unwrap();
    probe.finish().await;

    // Nothing settles while the provider waits, so 37 holds fill it, with a remainder too small for one more.
    let limit = NanoUsd(hold.0 * 37 + hold.0 - 1);
    let limit: &'static str = Box::leak(format!("{limit} USD").into_boxed_str());
    let harness = Arc::new(
        Harness::with(Setup {
            limit,
            ..Setup::default()
        })
        .await,
    );
    let call = |harness: Arc<Harness>| async move {
        let request = Harness::scripted(harness.chat(""), "latency=1500ms");
        let (status, reason, _) = harness.call(request).await;
        (status, reason)
    };
    let answers = at_once(200, call, &harness).await;
    let admitted = answers.iter().filter(|(status, _)| *status == 200).count();
    let refused = answers
        .iter()
        .filter(|(status, reason)| *status == 402 && reason == "budget_exhausted")
        .count();
    assert_eq!((admitted, refused), (37, 163));
    assert_eq!(harness.provider.calls().count().received, 37);
    let mut used = 0;
    let mut open = std::collections::HashMap::new();
    let limit = hold.0 * 37 + hold.0 - 1;
    for entry in harness.entries().await {
        match entry.event {
            Event::Intent(intent) => {
                used += intent.hold.0;
                open.insert(intent.action.id, intent.hold.0);
            }
            Event::Outcome(outcome) => used += outcome.cost.0 - open.remove(&outcome.action).unwrap(),
            _ => {}
        }
        assert!(
            used <= limit,
            "settled + held passed the limit at entry {}",
            entry.index
        );
    }
    let denied = harness.denials().await;
    assert_eq!(
        denied
            .iter()
            .filter(|denial| denial.reason == Reason::BudgetExhausted && denial.over.is_some())
            .count(),
        163
    );
    let harness = Arc::into_inner(harness).unwrap();
    let state = harness.finish().await;
    assert_eq!(state.overrun, NanoUsd::ZERO);
}
