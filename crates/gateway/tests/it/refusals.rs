//! Calls that are refused though nothing is wrong with them.

use std::{sync::Arc, time::Duration};

use model::Reason;

use crate::{
    harness::{Harness, Setup},
    raw_upstream::{Act, Raw, Script},
};

const REPLY: &str = r#"{"id":"c","object":"chat.completion","model":"gpt-4o-mini","choices":[],
    "usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_find_no_room_are_refused_and_recorded() {
    let upstream = Raw::start().await;
    let mut script = Script::whole("200 OK\r\ncontent-type: application/json", REPLY);
    script.acts.insert(0, Act::Wait);
    upstream.play(script);
    let limits = control::Limits {
        request_bytes: 8 * 1024,
        bodies_bytes: 8 * 1024,
        ..control::Limits::default()
    };
    let setup = Setup {
        limits,
        base_url: Some(upstream.url()),
        ..Setup::default()
    };
    let harness = Arc::new(Harness::with(setup).await);
    let long = format!(r#","user":"{}""#, "x".repeat(5 * 1024));
    for round in 1..=3 {
        let (caller, request) = (harness.clone(), harness.chat(&long));
        let first = tokio::spawn(async move { caller.call(request).await });
        let arrived = async {
            while upstream.requests() < round {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), arrived).await.unwrap();
        let response = harness.send(harness.chat(&long)).await;
        assert_eq!(response.status(), 503, "{round}");
        assert_eq!(crate::harness::header(&response, "bailiwick-reason"), "overloaded");
        assert_eq!(crate::harness::header(&response, "retry-after"), "1");
        upstream.go_on();
        let (status, _, body) = first.await.unwrap();
        assert_eq!(status, 200, "{round}: {body}");
    }
    let denials = harness.denied(3).await;
    assert!(denials.iter().all(|denial| denial.reason == Reason::Overloaded));
    harness.outcomes(3).await;
    Arc::into_inner(harness).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_wants_another_credential_is_named() {
    let proxy = Raw::start().await;
    proxy.play(Script::whole("407 Proxy Authentication Required", "no"));
    let setup = Setup {
        base_url: Some(proxy.url()),
        declare: |governance| {
            for upstream in &mut governance.upstreams {
                let at: std::net::SocketAddr = upstream.base_url.trim_start_matches("http://").parse().unwrap();
                upstream.transport = control::Transport::new(control::TransportSpec {
                    proxy: Some(control::Proxy {
                        host: at.ip().to_string(),
                        port: at.port(),
                        credential: None,
                    }),
                    ..control::TransportSpec::default()
                });
            }
        },
        ..Setup::default()
    };
    let harness = Harness::with(setup).await;
    let (status, reason, body) = harness.call(harness.chat("")).await;
    assert_eq!((status, reason.as_str()), (502, Reason::UpstreamBroken.code()));
    assert!(body.contains("proxy_auth") && !body.contains("api_key"), "{body}");
    harness.outcomes(1).await;
    harness.finish().await;
}
