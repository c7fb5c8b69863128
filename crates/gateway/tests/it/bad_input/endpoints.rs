//! Every endpoint there is, and paths that are none.

use http::Method;
use llm::{Dialect, Endpoint};
use model::Reason;

use super::{After, CHAT, Case, GOOD, Want, case, check_all, post, request};
use crate::harness::{Harness, Setup};

fn at(endpoint: Endpoint) -> String {
    let upstream = match endpoint.dialect() {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
    };
    format!("/{upstream}{}", endpoint.path().replace("{id}", "m-1"))
}

/// What no endpoint does with anything: each gets the same.
fn of_endpoint(endpoint: Endpoint) -> Vec<Case> {
    let path = at(endpoint);
    let denied = |name: &str, bytes, reason| {
        case(
            format!("{name}, {endpoint:?}"),
            bytes,
            Want::Denied(reason),
            After::Open,
        )
    };
    let wrong = if endpoint.has_body() { Method::GET } else { Method::POST };
    let with_method = |method: &Method| request(&format!("{method} {path} HTTP/1.1"), "content-length: 0\r\n", "");
    let body = |body: &str| {
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        request(&format!("{} {path} HTTP/1.1", endpoint.method()), &headers, body)
    };
    let mut cases = vec![
        denied("malformed", body("{\"model\":"), Reason::InvalidRequest),
        denied("an array", body("[]"), Reason::InvalidRequest),
        denied("a byte", body("\0"), Reason::InvalidRequest),
        denied("another method", with_method(&wrong), Reason::MethodNotAllowed),
        denied(
            "below it",
            post(&format!("{path}/x/y"), "", GOOD),
            Reason::UnknownEndpoint,
        ),
        denied(
            "a slash behind",
            post(&format!("{path}/"), "", GOOD),
            Reason::UnknownEndpoint,
        ),
        denied(
            "two slashes",
            post(&path.replace("/v1", "//v1"), "", GOOD),
            Reason::UnknownEndpoint,
        ),
        denied(
            "in capitals",
            post(&path.replace("/v1", "/V1"), "", GOOD),
            Reason::UnknownEndpoint,
        ),
        denied(
            "another upstream",
            post(&format!("/nobody{path}"), "", GOOD),
            Reason::UnknownUpstream,
        ),
    ];
    // A moderation leaves its model to the provider.
    if endpoint.has_body() && endpoint != Endpoint::Moderations {
        cases.push(denied("no model", body("{}"), Reason::InvalidRequest));
    }
    if endpoint.has_body() {
        cases.push(denied("nothing", body(""), Reason::InvalidRequest));
    }
    let methods = [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    cases.extend(
        methods
            .iter()
            .map(|method| denied(method.as_str(), with_method(method), Reason::MethodNotAllowed)),
    );
    cases
}

fn paths() -> Vec<Case> {
    let to = |path: &str, reason| case(path, post(path, "", GOOD), Want::Denied(reason), After::Open);
    let endpoint = |path: &str| to(path, Reason::UnknownEndpoint);
    let upstream = |path: &str| to(path, Reason::UnknownUpstream);
    vec![
        endpoint("/openai/v1/files"),
        endpoint("/openai/v1/../v1/chat/completions"),
        endpoint("/openai/v1/chat/../chat/completions"),
        endpoint("/openai/v1/chat/completions/.."),
        endpoint("/openai/./v1/chat/completions"),
        endpoint("/openai/v1/%2e%2e/v1/chat/completions"),
        endpoint("/openai/v1/chat%2fcompletions"),
        endpoint("/openai/v1/chat%2Fcompletions"),
        endpoint("/openai/v1/chat%252fcompletions"),
        endpoint("/openai/v1/chat\\completions"),
        endpoint("/openai/v1/chat%5ccompletions"),
        endpoint("/openai/v1/chat;x=1/completions"),
        endpoint("/openai/v1/chat/completions;x=1"),
        endpoint("/openai/v1/chat/completions%00"),
        endpoint("/openai/v1/chat/completions%20"),
        endpoint("/openai/v1/chat/completions%3fx=1"),
        endpoint("/openai/v1/chat/%63ompletions"),
        endpoint("/openai/v1/messages"),
        endpoint("/anthropic/v1/chat/completions"),
        endpoint("/anthropic/v1/messages/batches"),
        endpoint("/anthropic/v1/../v1/messages"),
        endpoint("/openai"),
        endpoint("/openai/"),
        endpoint("/openai?/v1/chat/completions"),
        endpoint("/openai/v1/models/..%2ffiles"),
        endpoint("/openai/v1/models/m/../../files"),
        upstream("/"),
        upstream("//"),
        upstream("//openai/v1/chat/completions"),
        upstream("/../openai/v1/chat/completions"),
        upstream("/%6fpenai/v1/chat/completions"),
        upstream("/openai%2fv1/chat/completions"),
        upstream("/OpenAI/v1/chat/completions"),
        upstream("/openai./v1/chat/completions"),
        upstream("/nobody/v1/chat/completions"),
        upstream("/oauth2/token"),
        upstream("/_fake/calls"),
        upstream("/metrics"),
        upstream("/api/v1/keys"),
        upstream(&format!("/{}/v1", "u".repeat(10_000))),
        upstream("/u\u{308}ber/v1/chat/completions"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_refuses_what_is_none_of_it() {
    let harness = Harness::with(Setup {
        policy: r#"@id("all") permit (principal, action, resource);"#,
        ..Setup::default()
    })
    .await;
    for endpoint in Endpoint::ALL {
        check_all(&harness, of_endpoint(endpoint)).await;
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_that_could_mean_something_else_mean_nothing() {
    let harness = Harness::start().await;
    check_all(&harness, paths()).await;
    // What follows a question mark is the endpoint's, whatever it looks like; a fragment is not even sent.
    let odd = ["?x=/../files", "?%2e%2e", "?a=b&a=c#/v1/files"];
    let allowed = odd.map(|query| {
        case(
            query,
            post(&format!("{CHAT}{query}"), "", GOOD),
            Want::Allowed,
            After::Open,
        )
    });
    check_all(&harness, allowed.into()).await;
    for call in harness.provider.calls().snapshot() {
        assert!(call.path.starts_with("/v1/chat/completions?"), "{}", call.path);
    }
    harness.finish().await;
}
