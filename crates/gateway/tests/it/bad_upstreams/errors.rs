//! Answers by which the upstream refuses or fails.

use super::*;
use crate::raw_upstream::{Act, Then};

/// An error that is the caller's to see, as the provider told it. Providers do not bill it.
const fn passed(name: &'static str, http: u16, script: fn(Wire) -> Script) -> Case {
    Case {
        name,
        wires: wire::ALL,
        stream: BOTH,
        script,
        told: Told::Passed(http),
        status: Status::UpstreamError,
        http: Some(http),
        booked: Booked::Nothing,
    }
}

/// An error whose body is not passed on.
const fn replaced(name: &'static str, http: u16, script: fn(Wire) -> Script) -> Case {
    Case {
        told: Told::Replaced(http),
        ..passed(name, http, script)
    }
}

/// An error that is the operator's to mend.
const fn operators(name: &'static str, http: u16, script: fn(Wire) -> Script) -> Case {
    Case {
        told: Told::Refused(Reason::UpstreamBroken),
        ..passed(name, http, script)
    }
}

const ERROR: &str = r#"{"error":{"message":"no","type":"e"}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_pass_and_cost_nothing() {
    let mut world = World::start().await;
    world
        .check(&[
            passed("400", 400, |_| Script::whole("400 Bad Request", ERROR)),
            passed("403", 403, |_| Script::whole("403 Forbidden", ERROR)),
            passed("404", 404, |_| Script::whole("404 Not Found", ERROR)),
            passed("408", 408, |_| Script::whole("408 Request Timeout", ERROR)),
            passed("413", 413, |_| Script::whole("413 Too Large", ERROR)),
            passed("422 and no body", 422, |_| Script::whole("422 Unprocessable", "")),
            passed("429", 429, |_| Script::whole("429 Too Many Requests", ERROR)),
            passed("500 with a page", 500, |_| {
                Script::whole("500 Oops\r\ncontent-type: text/html", "<html>Oops</html>")
            }),
            passed("500 as a stream", 500, |wire| {
                Script::chunked("500 Oops\r\ncontent-type: text/event-stream", wire.failure())
            }),
            passed("503 in HTTP/1.0", 503, |_| Script {
                body: ERROR.into(),
                ..Script::bytes(format!("HTTP/1.0 503 Unavailable\r\n\r\n{ERROR}")).then(Then::Close)
            }),
            passed("529", 529, |_| Script::whole("529 Overloaded", ERROR)),
            passed("599 of bytes", 599, |_| Script::whole("599 Last", vec![0xff; 99])),
        ])
        .await;
    // Something between here and the provider gave up waiting: the provider may have worked on, and bill it.
    let gave_up = |name, http, script| Case {
        status: Status::Timeout,
        booked: Booked::Hold,
        ..passed(name, http, script)
    };
    world
        .check(&[
            gave_up("504", 504, |_| Script::whole("504 Gateway Timeout", ERROR)),
            gave_up("524", 524, |_| Script::whole("524 A Timeout Occurred", ERROR)),
        ])
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_pause_is_the_providers_to_say() {
    let world = World::start().await;
    for after in ["2", "0", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"] {
        for wire in wire::ALL {
            world
                .raw
                .play(Script::whole(&format!("429 Too Many\r\nretry-after: {after}"), ERROR));
            let response = world.harness.send(wire.request(&world.harness, true)).await;
            assert_eq!(
                (response.status().as_u16(), header(&response, "retry-after")),
                (429, after.to_owned())
            );
            response.into_body().collect().await.unwrap();
        }
    }
    world.raw.play(Script::whole("429 Too Many", ERROR));
    let response = world.harness.send(Wire::Chat.request(&world.harness, false)).await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "retry-after")),
        (429, String::new())
    );
    drop(response);
    world.harness.outcomes(17).await;
    world.finish().await;
}

/// The caller keeps the status, which SDKs act by, and is told in its dialect why the rest is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_bodies_that_cannot_be_passed_on() {
    let mut world = World::with(impatient()).await;
    world
        .check(&[
            replaced("compressed", 500, |_| {
                Script::whole("500 Oops\r\ncontent-encoding: gzip", &b"\x1f\x8b\x08\0"[..])
            }),
            replaced("endless", 500, |_| {
                Script::framed("500 Oops", "").and(Act::Endless("x".repeat(1 << 16).into()))
            }),
            replaced("cut", 503, |_| {
                Script::framed("503 Unavailable\r\ncontent-length: 99", "{").then(Then::Close)
            }),
            replaced("hung", 400, |_| {
                Script::framed("400 Bad\r\ncontent-length: 99", "{").then(Then::Hang)
            }),
        ])
        .await;
    world.finish().await;
}

/// The operator's credential is between the operator and the upstream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstreams_credential_does_not_leak() {
    let mut world = World::start().await;

    // `check` looks for the credential in every answer.
    world
        .check(&[
            operators("401", 401, |_| {
                Script::whole(
                    "401 Unauthorized\r\nwww-authenticate: Bearer",
                    format!("bad key {UPSTREAM_KEY}"),
                )
            }),
            operators("407", 407, |_| {
                Script::whole("407 Proxy Authentication Required\r\nproxy-authenticate: Basic", ERROR)
            }),
            replaced("403 that quotes it", 403, |_| {
                Script::whole(
                    "403 Forbidden",
                    format!("{{\"error\":\"Incorrect API key provided: {UPSTREAM_KEY}\"}}"),
                )
            }),
            replaced("400 that quotes it", 400, |_| {
                Script::whole(
                    "400 Bad Request",
                    format!("{{\"error\":\"Incorrect API key provided: {UPSTREAM_KEY}\"}}"),
                )
            }),
            replaced("502 that quotes it", 502, |_| {
                Script::whole(
                    "502 Bad Gateway\r\ncontent-type: text/html",
                    format!("<pre>Authorization: Bearer {UPSTREAM_KEY}</pre>"),
                )
            }),
            passed("a header that quotes it", 500, |_| {
                Script::whole(&format!("500 Oops\r\nx-request: key={UPSTREAM_KEY}"), ERROR)
            }),
            Case {
                told: Told::Refused(Reason::UpstreamBroken),
                status: Status::Broken,
                booked: Booked::Hold,
                ..passed("a reply that quotes it", 200, |wire| {
                    let seen = format!("{},\"headers\":\"{UPSTREAM_KEY}\"", wire.usage("19", "10"));
                    Script::whole("200 OK", wire.document_with(&seen))
                })
            },
            Case {
                stream: STREAM,
                told: Told::Ended(Reason::UpstreamBroken),
                status: Status::Broken,
                booked: Booked::Hold,
                ..passed("a stream that quotes it", 200, |wire| {
                    let begun = wire.opening() + &wire.delta("\"Hello\"");
                    let quoted = wire.delta(&format!("\"{UPSTREAM_KEY}\""));
                    let head = "200 OK\r\ncontent-type: text/event-stream";
                    let more = format!("{:x}\r\n{quoted}\r\n", quoted.len());
                    Script::open(head, begun).and(Act::Wait).and(Act::Send(more.into()))
                })
            },
            Case {
                told: Told::Passed(200),
                status: Status::Ok,
                booked: Booked::Figures,
                ..passed("a reply whose header quotes it", 200, |wire| {
                    Script::whole(&format!("200 OK\r\nx-request: {UPSTREAM_KEY}"), wire.document())
                })
            },
        ])
        .await;
    for entry in world.harness.entries().await {
        assert!(!format!("{entry:?}").contains(UPSTREAM_KEY));
    }
    world.finish().await;
}
