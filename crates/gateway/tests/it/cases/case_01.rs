//! Case 1: checks before acts. Elsewhere, first calls in parallel passed a limit together (BerriAI/litellm#34732, #40095,
//! #18730).

use std::sync::Arc;

use entry::Event;
use model::{NanoUsd, Reason};

use super::*;
use crate::harness::at_once;

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

/// How many whole holds the limit of a row affords, and how many call at once.
const FITS: i64 = 5;
const AT_ONCE: usize = 30;

/// The first calls of whoever is new, at once and before there is a pot for him: each pot takes what fits, not a call more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_01_first_calls_of_whoever_is_new_stay_within_the_limit() {
    let probe = Harness::start().await;
    declare(&probe, vec![counting("tokens", Measure::Tokens)]).await;
    assert_eq!(probe.call(probe.chat("")).await.0, 200);
    let intent = super::intents(&probe).await.remove(0);
    let tokens = intent.tokens.unwrap();
    probe.finish().await;
    let limit_in = |unit| {
        let one = match unit {
            Measure::Money => intent.hold.0,
            Measure::Tokens => i64::try_from(tokens.input + tokens.output).unwrap(),
            Measure::InputTokens => i64::try_from(tokens.input).unwrap(),
            Measure::OutputTokens => i64::try_from(tokens.output).unwrap(),
            Measure::Calls => 1,
        };
        Amount(one * FITS + one - 1)
    };
    for (name, unit, each) in [
        ("a user's money", Measure::Money, vec![Label::User]),
        ("a user's calls", Measure::Calls, vec![Label::User]),
        ("a run's money", Measure::Money, vec![Label::Run]),
        ("a user's money in a run", Measure::Money, vec![Label::User, Label::Run]),
        ("tokens", Measure::Tokens, vec![]),
        ("a user's tokens in", Measure::InputTokens, vec![Label::User]),
        ("a run's tokens out", Measure::OutputTokens, vec![Label::Run]),
    ] {
        let harness = Harness::start().await;
        let window = Window::Calendar {
            unit: ledger::Unit::Year,
            zone: "UTC".to_owned(),
        };
        let pots = if each.is_empty() { 1 } else { 2 };
        let budget = BudgetSpec {
            limit: limit_in(unit),
            window,
            each,
            ..counting("new", unit)
        };
        declare(&harness, vec![budget]).await;
        let mut keys = Vec::new();
        for user in ["alice@acme.example", "bob@acme.example"] {
            keys.push(harness.issue(|order| order.user = Some(user.to_owned())).await.1);
        }
        let calls = (0..AT_ONCE).map(|number| {
            let request = Harness::scripted(harness.chat(""), "latency=1500ms");
            let mut request = as_caller(request, &keys[number % 2]);
            let run = format!("run-{}", number % 2);
            request.headers_mut().insert("bailiwick-run", run.parse().unwrap());
            harness.call(request)
        });
        let answers = futures_util::future::join_all(calls).await;
        let admitted = answers.iter().filter(|(status, ..)| *status == 200).count();
        assert_eq!(admitted, pots * usize::try_from(FITS).unwrap(), "{name}");
        let refused = answers
            .iter()
            .filter(|(status, reason, _)| (*status, reason.as_str()) == (402, "budget_exhausted"));
        assert_eq!(admitted + refused.count(), AT_ONCE, "{name}");
        harness.outcomes(admitted).await;
        // Reading the log again refuses what was granted above a limit.
        let state = harness.finish().await;
        assert_eq!(state.overrun, NanoUsd::ZERO, "{name}");
    }
}
