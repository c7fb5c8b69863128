//! Case 11: no usage frame, and so nothing charged (Portkey-AI/gateway#1259, #1180), or a recount that is too low
//! (BerriAI/litellm#39088). Without figures the hold is booked, or what is proven if that is more, and the entry says so.

use entry::{Outcome, Status};
use model::{NanoUsd, UsageSource};

use super::{TEXTS, billed_last, intents, permitting, text_call};
use crate::harness::Harness;

/// Makes a call whose provider tells no usage. Gives its outcome and its hold.
async fn without_usage(
    harness: &Harness,
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
) -> (Outcome, NanoUsd) {
    let before = harness.outcomes(0).await.len();
    let (status, _, text) = harness.call(request).await;
    assert_eq!(status, 200, "{text}");
    let outcome = harness.outcomes(before + 1).await.pop().unwrap();
    let hold = intents(harness).await.pop().unwrap().hold;
    assert!(hold > NanoUsd::ZERO);
    assert!(outcome.cost >= billed_last(harness), "no less than the provider bills");
    (outcome, hold)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_11_without_a_usage_frame_the_hold_is_booked_in_full() {
    let harness = permitting().await;
    let loose = TEXTS.map(|(path, fields)| {
        let path = path
            .replacen("/openai", "/loose", 1)
            .replacen("/anthropic", "/loose-anthropic", 1);
        (path, fields)
    });
    let mut texts: Vec<_> = TEXTS.map(|(path, fields)| (path.to_owned(), fields)).into();
    texts.extend(loose);
    for (path, fields) in texts {
        for stream in [false, true] {
            let request = Harness::scripted(text_call(&harness, (&path, fields), stream), "omit-usage");
            let (outcome, hold) = without_usage(&harness, request).await;
            let found = (outcome.status, outcome.source, outcome.usage, outcome.cost);
            assert_eq!(found, (Status::Ok, UsageSource::Hold, None, hold), "{path} {stream}");
        }
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_11_what_is_not_text_is_booked_in_full_too() {
    let harness = permitting().await;
    for (path, body) in [
        (
            "/openai/v1/embeddings",
            r#"{"model":"text-embedding-3-small","input":"Hi"}"#,
        ),
        (
            "/openai/v1/audio/speech",
            r#"{"model":"gpt-4o-mini-tts","input":"Hi","voice":"alloy"}"#,
        ),
    ] {
        let before = harness.outcomes(0).await.len();
        let request = Harness::scripted(harness.request(path, body), "omit-usage");
        assert_eq!(harness.call(request).await.0, 200);
        let outcome = harness.outcomes(before + 1).await.pop().unwrap();
        let hold = intents(&harness).await.pop().unwrap().hold;
        let found = (outcome.source, outcome.usage, outcome.cost);
        assert_eq!(found, (UsageSource::Hold, None, hold), "{path}");
        assert!(hold > NanoUsd::ZERO);
    }
    harness.finish().await;
}

/// A provider that ignores the output limit and tells no figures: the text itself proves more than the hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_11_what_the_text_proves_is_booked_where_it_is_more_than_the_hold() {
    let harness = permitting().await;
    for text in TEXTS {
        let request = Harness::scripted(text_call(&harness, text, false), "omit-usage; output=40000");
        let before = harness.outcomes(0).await.len();
        assert_eq!(harness.call(request).await.0, 200);
        let outcome = harness.outcomes(before + 1).await.pop().unwrap();
        let hold = intents(&harness).await.pop().unwrap().hold;
        assert_eq!((outcome.status, outcome.source), (Status::Ok, UsageSource::Hold));
        assert!(
            outcome.cost > hold,
            "{}: {} is no more than {hold}",
            text.0,
            outcome.cost
        );
        let proven = outcome.usage.unwrap().output;
        // The prose of the simulated provider has some 5 bytes a token.
        assert!((1_000..2_500).contains(&proven), "{}: {proven} tokens proven", text.0);
        assert_eq!(outcome.overrun, NanoUsd(outcome.cost.0 - hold.0));
    }
    // Echoed text may be the prompt, so it proves nothing.
    let echoed = harness.request(
        "/openai/v1/completions",
        r#"{"model":"gpt-4o-mini","prompt":"Hi","max_tokens":50,"echo":true}"#,
    );
    let before = harness.outcomes(0).await.len();
    assert_eq!(
        harness
            .call(Harness::scripted(echoed, "omit-usage; output=40000"))
            .await
            .0,
        200
    );
    let outcome = harness.outcomes(before + 1).await.pop().unwrap();
    let hold = intents(&harness).await.pop().unwrap().hold;
    assert_eq!((outcome.cost, outcome.usage), (hold, None));
    harness.finish().await;
}

/// Figures that cannot be true beside the text are no figures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_11_figures_lower_than_the_text_are_not_believed() {
    let harness = permitting().await;
    for text in TEXTS.into_iter().filter(|(path, _)| !path.ends_with("/v1/completions")) {
        for stream in [false, true] {
            let script = "events=20; bytes=300; usage-output=3";
            let request = Harness::scripted(text_call(&harness, text, stream).map(long), script);
            let (outcome, hold) = without_usage(&harness, request).await;
            assert_eq!(
                (outcome.source, outcome.cost),
                (UsageSource::Hold, hold),
                "{} {stream}",
                text.0
            );
        }
    }
    harness.finish().await;
}

/// The same body with room for six thousand bytes.
fn long(body: http_body_util::Full<bytes::Bytes>) -> http_body_util::Full<bytes::Bytes> {
    use http_body_util::BodyExt as _;
    let collected = futures_util::FutureExt::now_or_never(body.collect())
        .unwrap()
        .unwrap()
        .to_bytes();
    let text = String::from_utf8(collected.to_vec()).unwrap();
    http_body_util::Full::new(text.replace("tokens\":50", "tokens\":5000").into())
}
