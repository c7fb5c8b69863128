//! Calls that are refused though nothing is wrong with them.

use model::Reason;

use crate::harness::{Harness, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_may_be_in_flight_are_refused_and_recorded() {
    let limits = control::Limits {
        in_flight: 1,
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let first = harness
        .send(Harness::scripted(harness.chat(r#","stream":true"#), "hang-after=1"))
        .await;
    let response = harness.send(harness.chat("")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(crate::harness::header(&response, "bailiwick-reason"), "overloaded");
    assert_eq!(crate::harness::header(&response, "retry-after"), "1");
    assert_eq!(harness.denials().await[0].reason, Reason::Overloaded);
    drop(first);
    harness.outcomes(1).await;
    harness.finish().await;
}
