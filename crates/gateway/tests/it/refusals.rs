//! Calls that are refused though nothing is wrong with them.

use model::Reason;

use crate::{
    harness::{Harness, Setup},
    raw_upstream::{Raw, Script},
};

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
