//! Case 8: callers that hang up are recorded at nothing, or at less than was billed, because the provider's connection was
//! cut before the frame with the figures (BerriAI/litellm#13245, #35958, PR #33736, #36008).

use http_body_util::BodyExt as _;
use llm::sse::{Block, Splitter};

use super::{TEXTS, billed_last, permitting, text_call};
use crate::harness::Harness;

/// The provider stands still behind each event in turn, and the caller leaves there; then it goes through to the end. It
/// bills what it has produced, or, as some do, the whole of what was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_08_a_hang_up_at_each_event_is_charged_at_least_what_was_billed() {
    let harness = permitting().await;
    let mut calls = 0;
    for text in TEXTS {
        for bills in ["", "; bill-abandoned"] {
            for events in 1.. {
                let script = format!("events=4; hang-after={events}{bills}");
                let response = harness
                    .send(Harness::scripted(text_call(&harness, text, true), &script))
                    .await;
                let mut body = response.into_body();
                let (mut splitter, mut seen, mut whole) = (Splitter::new(), 0, false);
                // Usage that was asked for by the gateway is hidden, so the caller may see an event less.
                while seen + 1 < events {
                    let Some(frame) = body.frame().await else {
                        whole = true;
                        break;
                    };
                    splitter.push(&frame.unwrap().into_data().unwrap(), |block, _| {
                        seen += u64::from(matches!(block, Block::Event(_)));
                    });
                }
                drop(body);
                calls += 1;
                harness.provider.calls().wait_finished(calls).await;
                let outcome = harness.outcomes(usize::try_from(calls).unwrap()).await.pop().unwrap();
                let billed = billed_last(&harness);
                assert!(billed.0 > 0);
                assert!(
                    outcome.cost >= billed,
                    "{} after {events} events: billed at {billed} USD, booked at {} USD",
                    text.0,
                    outcome.cost
                );
                if whole {
                    break;
                }
                assert!(events < 30, "{} has an end", text.0);
            }
        }
    }
    harness.finish().await;
}

/// A caller of JSON that leaves while the provider works, and is billed for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_08_a_hang_up_before_the_answer_is_charged_at_least_what_was_billed() {
    let harness = permitting().await;
    let mut calls = 0;
    for text in TEXTS {
        for script in ["latency=400ms; bill-abandoned", "hang-after=1; bill-abandoned", "hang"] {
            let sent = harness.try_send(Harness::scripted(text_call(&harness, text, false), script));
            calls += 1;
            let seen = harness.provider.calls();
            tokio::select! {
                _ = sent => {}
                () = seen.wait_for(calls) => {}
            }
            harness.provider.calls().wait_finished(calls).await;
            let outcome = harness.outcomes(usize::try_from(calls).unwrap()).await.pop().unwrap();
            let billed = billed_last(&harness);
            assert!(outcome.cost >= billed && outcome.cost.0 > 0, "{} {script}", text.0);
        }
    }
    harness.finish().await;
}
