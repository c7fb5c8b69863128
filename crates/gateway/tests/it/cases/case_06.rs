//! Case 6: open when the store fails (BerriAI/litellm#33923, #26672).

use entry::Status;
use http_body_util::BodyExt as _;

use super::{TEXTS, text_call};
use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_06_without_its_ledger_nothing_is_admitted() {
    let harness = Harness::start().await;
    let stream = Harness::scripted(harness.chat(r#","stream":true"#), "chunk-delay=20ms");
    let under_way = harness.send(stream).await;
    // The database is gone from where it was: nothing can be written that would be found again.
    let (here, away) = (harness.data(), harness.data().with_extension("away"));
    std::fs::rename(&here, &away).unwrap();
    for text in TEXTS {
        for stream in [false, true] {
            let (status, reason, body) = harness.call(text_call(&harness, text, stream)).await;
            assert_eq!((status, reason.as_str()), (503, "governance_unavailable"), "{body}");
        }
    }
    assert_eq!(
        harness.provider.calls().count().received,
        1,
        "only what was admitted before"
    );
    // What was admitted before goes on to its end.
    let rest = under_way.into_body().collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    std::fs::rename(&away, &here).unwrap();
    let mut health = harness.control.health();
    health.wait_for(|health| health.trouble.is_none()).await.unwrap();
    // Its end was kept, and work resumes by itself.
    assert_eq!(harness.outcomes(1).await[0].status, Status::Ok);
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(2).await;
    harness.finish().await;
}
