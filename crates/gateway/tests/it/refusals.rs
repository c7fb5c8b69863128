//! Calls that are refused: nothing is forwarded, and where an agent was identified, an entry says why.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use model::Reason;

use crate::harness::{Harness, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_its_status_and_reason() {
    let limits = control::Limits {
        request_bytes: 2_000,
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let chat = "/openai/v1/chat/completions";
    let model = |model: &str| format!(r#"{{"model":"{model}","messages":[],"max_tokens":5}}"#);
    for (path, body, status, reason) in [
        (chat, model("gpt-4"), 403, Reason::PolicyDenied),
        (chat, model("gpt-4o-nonesuch"), 403, Reason::UnpricedModel),
        (chat, "{".to_owned(), 400, Reason::InvalidRequest),
        (chat, "[]".to_owned(), 400, Reason::InvalidRequest),
        (
            chat,
            r#"{"model":"gpt-4o","model":"gpt-4o","messages":[]}"#.to_owned(),
            400,
            Reason::InvalidRequest,
        ),
        (chat, "x".repeat(3_000), 413, Reason::RequestTooLarge),
        (
            chat,
            r#"{"model":"gpt-4o","messages":[],"web_search_options":{}}"#.to_owned(),
            403,
            Reason::UnboundedFeature,
        ),
        ("/openai/v1/files", model("gpt-4o"), 404, Reason::UnknownEndpoint),
        (
            "/openai/v1/chat%2fcompletions",
            model("gpt-4o"),
            404,
            Reason::UnknownEndpoint,
        ),
        (
            "/openai/v1/x/../chat/completions",
            model("gpt-4o"),
            404,
            Reason::UnknownEndpoint,
        ),
        (
            "/nobody/v1/chat/completions",
            model("gpt-4o"),
            404,
            Reason::UnknownUpstream,
        ),
    ] {
        let (found, code, text) = harness.call(harness.request(path, body)).await;
        assert_eq!((found, code.as_str()), (status, reason.code()), "{path}: {text}");
        assert!(text.contains(&format!("\"code\":\"{}\"", reason.code())), "{text}");
    }
    assert_eq!(harness.denials().await.len(), 11);
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_do_not_authenticate() {
    let harness = Harness::start().await;
    let (id, revoked) = harness.issue(|_| {}).await;
    harness
        .control
        .revoke_key(&harness.owner, model::TenantName::default_tenant(), id, String::new())
        .await
        .unwrap();
    let (_, narrow) = harness.issue(|order| order.models = vec!["gpt-4o".to_owned()]).await;
    let bearer = |key: &str| Some(format!("Bearer {key}"));
    let mut slip = harness.key.clone();
    slip.replace_range(10..11, if &slip[10..11] == "a" { "b" } else { "a" });
    for (credential, status, reason) in [
        (None, 401, "missing_credential"),
        (bearer("sk-foreign"), 401, "invalid_credential"),
        (bearer(&slip), 401, "invalid_credential"),
        (bearer(&revoked), 401, "revoked_credential"),
        (bearer(&narrow), 403, "credential_scope"),
    ] {
        let mut request: Request<Full<Bytes>> = harness.chat("");
        request.headers_mut().remove("authorization");
        if let Some(credential) = credential {
            request
                .headers_mut()
                .insert("authorization", credential.parse().unwrap());
        }
        let (found, code, _) = harness.call(request).await;
        assert_eq!((found, code.as_str()), (status, reason));
    }
    // Whose the revoked and the narrowed ones are is known, so their use is recorded.
    let recorded: Vec<_> = harness.denials().await.iter().map(|denial| denial.reason).collect();
    assert_eq!(recorded, [Reason::RevokedCredential, Reason::CredentialScope]);
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}

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
