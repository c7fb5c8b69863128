//! Case 5: leaked reservations, which later refuse calls that there is money for (BerriAI/litellm#27639, #40050). Every way
//! in which a call can end releases its hold, once. (Crash and restart: `crates/bailiwick/tests/it`.)

use std::{sync::Arc, time::Duration};

use control::{Ask, Cleared, Forwarded, Limits, Session, Upstream};
use entry::{Outcome, Status};
use http_body_util::BodyExt as _;
use llm::Endpoint;
use model::{NanoUsd, UsageSource};

use super::{TEXTS, held, intents, text_call};
use crate::harness::{Harness, Setup};

/// Checks that the hold of the call that was just made was released once, and gives how.
async fn released(harness: &Harness, calls: usize) -> Outcome {
    let outcomes = harness.outcomes(calls).await;
    let intents = intents(harness).await;
    assert_eq!((outcomes.len(), intents.len()), (calls, calls), "one end for each hold");
    let outcome = outcomes.into_iter().next_back().unwrap();
    assert_eq!(Some(outcome.action), intents.last().map(|intent| intent.action.id));
    assert_eq!(held(harness).await, "0");
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_05_every_end_of_a_call_releases_its_hold_once() {
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut calls = 0;
    for text in TEXTS {
        for (stream, script, status, source) in [
            (false, "", Status::Ok, UsageSource::Provider),
            (true, "", Status::Ok, UsageSource::Provider),
            (false, "status=500", Status::UpstreamError, UsageSource::Nothing),
            (
                true,
                "status=429; retry-after=1",
                Status::UpstreamError,
                UsageSource::Nothing,
            ),
            (false, "status=504", Status::Timeout, UsageSource::Hold),
            (false, "hang", Status::Timeout, UsageSource::Hold),
            (true, "hang-after=4", Status::Timeout, UsageSource::Hold),
            (false, "cut-after=0", Status::Broken, UsageSource::Hold),
            (false, "cut-after=1", Status::Broken, UsageSource::Hold),
            (true, "cut-after=4", Status::Broken, UsageSource::Hold),
            (true, "error-after=4", Status::UpstreamError, UsageSource::Hold),
            (true, "output=9000; bytes=2000", Status::Cut, UsageSource::Hold),
        ] {
            let request = Harness::scripted(text_call(&harness, text, stream), script);
            drop(harness.send(request).await.into_body().collect().await);
            calls += 1;
            let outcome = released(&harness, calls).await;
            let found = (outcome.status, outcome.source);
            assert_eq!(found, (status, source), "{} {script}", text.0);
        }
        // The caller leaves: before an answer, and inside of one.
        for (stream, script) in [(false, "hang"), (true, "hang-after=4")] {
            let request = Harness::scripted(text_call(&harness, text, stream), script);
            let seen = harness.provider.calls();
            let before = seen.count().received;
            let sent = async {
                let mut body = harness.send(request).await.into_body();
                body.frame().await.unwrap().unwrap();
            };
            tokio::select! {
                () = sent => {}
                () = seen.wait_for(before + 1), if !stream => {}
            }
            calls += 1;
            let outcome = released(&harness, calls).await;
            assert_eq!(
                (outcome.status, outcome.source),
                (Status::ClientGone, UsageSource::Hold)
            );
        }
    }
    // Nothing was forwarded.
    let gone = harness.request(
        "/gone/v1/chat/completions",
        r#"{"model":"gpt-4o-mini","messages":[],"max_tokens":5}"#,
    );
    assert_eq!(harness.call(gone).await.0, 502);
    let outcome = released(&harness, calls + 1).await;
    assert_eq!((outcome.status, outcome.cost), (Status::Unreachable, NanoUsd::ZERO));
    harness.finish().await;
}

/// An edge that panics, before it uses the permit up or after.
struct Panicking {
    begun: bool,
}

impl Upstream for Panicking {
    type Reply = ();

    #[expect(clippy::panic, reason = "that is the test")]
    async fn forward(&self, cleared: Cleared) -> Forwarded<Self::Reply> {
        let _meter = if self.begun { Some(cleared.begin()) } else { None };
        panic!("a handler panics");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_05_a_panic_in_a_handler_releases_its_hold_once() {
    let harness = Arc::new(Harness::start().await);
    let session: Session = harness.control.authenticate(Some(&harness.key)).unwrap();
    for (calls, begun, status, source) in [
        (1, false, Status::NotForwarded, UsageSource::Nothing),
        (2, true, Status::ClientGone, UsageSource::Hold),
    ] {
        let ask = Ask {
            id: harness.control.new_action(),
            upstream: harness.control.upstream("openai").unwrap(),
            endpoint: Endpoint::ChatCompletions,
            target: None,
            content_type: None,
            body: r#"{"model":"gpt-4o-mini","messages":[],"max_tokens":5}"#.into(),
            run: None,
            task: None,
            idempotency: None,
            audience: None,
        };
        let (control, session) = (harness.control.clone(), session.clone());
        let handler = tokio::spawn(async move { control.run(&session, ask, &Panicking { begun }).await });
        assert!(handler.await.unwrap_err().is_panic());
        let outcome = released(&harness, calls).await;
        assert_eq!((outcome.status, outcome.source), (status, source));
        assert_eq!(outcome.cost > NanoUsd::ZERO, begun);
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    Arc::into_inner(harness).unwrap().finish().await;
}
