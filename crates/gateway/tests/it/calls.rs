//! Calls that are allowed.

use entry::Status;
use http_body_util::BodyExt as _;
use model::UsageSource;

use crate::harness::{Harness, UPSTREAM_KEY, header};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_call_says_what_it_cost() {
    let harness = Harness::start().await;
    for request in [harness.chat(""), harness.messages("")] {
        let response = harness.send(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "bailiwick-decision"), "allow");
        assert_eq!(header(&response, "bailiwick-request-id").len(), 32);
        let cost: f64 = header(&response, "bailiwick-cost-usd").parse().unwrap();
        assert!(cost > 0.0);
        let remaining: f64 = header(&response, "bailiwick-budget-remaining-usd").parse().unwrap();
        assert!(remaining > 4.9 && remaining < 5.0);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&body).unwrap().contains("usage"));
    }
    let outcomes = harness.outcomes(2).await;
    for outcome in &outcomes {
        assert_eq!(
            (outcome.status, outcome.source, outcome.http),
            (Status::Ok, UsageSource::Provider, Some(200))
        );
        assert!(outcome.provider_id.is_some() && !outcome.reply.is_empty() && outcome.bytes > 0);
    }
    let state = harness.finish().await;
    assert_eq!(
        state.spent,
        outcomes
            .iter()
            .map(|outcome| outcome.cost)
            .fold(model::NanoUsd::ZERO, model::NanoUsd::saturating_add)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_exchanged_and_the_rest_passes() {
    let harness = Harness::start().await;
    let mut request = harness.chat(r#","x_unknown":{"a":[1,2.50,"é"]},"seed": 7 "#);
    request
        .headers_mut()
        .insert("x-stainless-lang", "test".parse().unwrap());
    request
        .headers_mut()
        .insert("x-forwarded-for", "10.1.1.1".parse().unwrap());
    request.headers_mut().insert("bailiwick-run", "run-1".parse().unwrap());
    assert_eq!(harness.call(request).await.0, 200);
    let seen = harness.provider.calls().snapshot().pop().unwrap();
    assert_eq!(seen.credential.as_deref(), Some(UPSTREAM_KEY));
    let names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x-stainless-lang"));
    assert!(!names.contains(&"x-forwarded-for") && !names.contains(&"bailiwick-run"));
    assert!(seen.headers.iter().all(|(_, value)| !value.contains("bwk_")));
    let body = String::from_utf8(seen.body.to_vec()).unwrap();
    assert!(
        body.ends_with(r#","max_tokens":50,"x_unknown":{"a":[1,2.50,"é"]},"seed": 7 }"#),
        "{body}"
    );
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_limit_is_written_where_the_client_gave_none() {
    let harness = Harness::start().await;
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}"#;
    assert_eq!(
        harness
            .call(harness.request("/openai/v1/chat/completions", body))
            .await
            .0,
        200
    );
    let seen = harness.provider.calls().snapshot().pop().unwrap();
    assert!(String::from_utf8_lossy(&seen.body).contains(r#""max_completion_tokens":4096"#));
    harness.finish().await;
}
