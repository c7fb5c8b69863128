//! What is denied or refused, and that nothing of it is forwarded.

use super::{ALL, form, free, get, permitting, priced};
use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_policy_permits_is_denied_by_its_action() {
    // It permits nothing but `llm:generate`.
    let harness = Harness::start().await;
    let mut rows = priced().split_off(2);
    rows.extend(free());
    let denied = rows.len();
    for row in rows {
        let (status, reason, text) = harness.call(row.request(&harness)).await;
        assert_eq!(
            (status, reason.as_str()),
            (403, "policy_denied"),
            "{}: {text}",
            row.path
        );
        assert!(text.contains(row.action), "{text}");
        let denial = harness.denials().await.pop().unwrap();
        assert_eq!(
            (denial.action.name.as_str(), denial.action.model.as_str()),
            (row.action, row.model)
        );
    }
    let (status, reason, text) = harness.call(get(&harness, "/openai/v1/models")).await;
    assert_eq!((status, reason.as_str()), (403, "policy_denied"), "{text}");
    assert_eq!(harness.denials().await.len(), denied + 1);
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_such_call_is_refused() {
    let harness = permitting(ALL).await;
    let mut wrong_form = form("/openai/v1/audio/transcriptions", "whisper-1").request(&harness);
    wrong_form
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    for (request, status, reason) in [
        (harness.request("/openai/v1/batches", "{}"), 404, "unknown_endpoint"),
        (
            harness.request("/openai/v1/responses/resp_1", "{}"),
            404,
            "unknown_endpoint",
        ),
        (get(&harness, "/openai/v1/models/.."), 404, "unknown_endpoint"),
        (get(&harness, "/openai/v1/models/a/b"), 404, "unknown_endpoint"),
        (get(&harness, "/openai/v1/models/"), 404, "unknown_endpoint"),
        (harness.request("/openai/v1/messages", "{}"), 404, "unknown_endpoint"),
        (get(&harness, "/openai/v1/embeddings"), 405, "method_not_allowed"),
        (harness.request("/openai/v1/models", "{}"), 405, "method_not_allowed"),
        (wrong_form, 400, "invalid_request"),
        (
            harness.request("/openai/v1/embeddings", r#"{"model":"text-embedding-3-small"}"#),
            400,
            "invalid_request",
        ),
        (
            harness.request("/openai/v1/embeddings", r#"{"model":"gpt-4o-mini","input":"a"}"#),
            403,
            "unpriced_model",
        ),
        (
            harness.request(
                "/openai/v1/responses",
                r#"{"model":"gpt-4o-mini","input":"a","tools":[{"type":"web_search"}]}"#,
            ),
            403,
            "unbounded_feature",
        ),
    ] {
        let path = request.uri().path().to_owned();
        let (found, code, text) = harness.call(request).await;
        assert_eq!((found, code.as_str()), (status, reason), "{path}: {text}");
    }
    assert_eq!(harness.denials().await.len(), 12);
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}
