//! Case 12: models without a price that are never charged, and so never stopped (BerriAI/litellm PR #36561, #25874;
//! maximhq/bifrost#5243). The alarm about wrong prices is `pricing::prices::tests::golden::case_12_*`.

use model::Reason;

use super::{intents, permitting};
use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_12_a_model_without_a_price_is_denied_and_nothing_is_sent() {
    let harness = permitting().await;
    let call = |harness: &Harness, path: &str, fields: &str| {
        harness.request(&format!("/openai/v1/{path}"), format!("{{{fields}}}"))
    };
    let calls = [
        // Nobody lists it; a snapshot that is not listed has no price because its name begins like another's.
        ("chat/completions", r#""model":"gpt-99","messages":[],"max_tokens":5"#),
        (
            "chat/completions",
            r#""model":"gpt-4o-2099-01-01","messages":[],"max_tokens":5"#,
        ),
        (
            "chat/completions",
            r#""model":"ft:gpt-4o-mini:acme::1","messages":[],"max_tokens":5,"stream":true"#,
        ),
        ("responses", r#""model":"gpt-99","input":"Hi""#),
        ("completions", r#""model":"gpt-99","prompt":"Hi""#),
        ("embeddings", r#""model":"text-embedding-99","input":"Hi""#),
        // Listed, but not for this kind of work.
        ("embeddings", r#""model":"gpt-4o-mini","input":"Hi""#),
        (
            "chat/completions",
            r#""model":"whisper-1","messages":[],"max_tokens":5"#,
        ),
        ("images/generations", r#""model":"gpt-4o-mini","prompt":"Hi""#),
        ("audio/speech", r#""model":"gpt-4o-mini","input":"Hi","voice":"alloy""#),
    ];
    for (path, fields) in calls {
        let (status, reason, text) = harness.call(call(&harness, path, fields)).await;
        assert_eq!((status, reason.as_str()), (403, "unpriced_model"), "{fields}: {text}");
    }
    let denials = harness.denials().await;
    assert_eq!(denials.len(), calls.len());
    assert!(denials.iter().all(|denial| denial.reason == Reason::UnpricedModel));
    assert_eq!(harness.provider.calls().count().received, 0);
    assert!(intents(&harness).await.is_empty());
    harness.finish().await;
}
