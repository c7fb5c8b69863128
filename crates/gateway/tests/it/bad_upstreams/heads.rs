//! What comes before a reply's body, or instead of it.

use super::*;
use crate::raw_upstream::{Act, Then};

const BROKEN: Told = Told::Refused(Reason::UpstreamBroken);

/// An answer that is none: nobody knows what was used.
const fn none(name: &'static str, script: fn(Wire) -> Script) -> Case {
    Case {
        name,
        wires: wire::ALL,
        stream: BOTH,
        script,
        told: BROKEN,
        status: Status::Broken,
        http: None,
        booked: Booked::Hold,
    }
}

/// The usual answer behind something unusual.
const fn usual(name: &'static str, script: fn(Wire) -> Script) -> Case {
    Case {
        told: Told::Passed(200),
        status: Status::Ok,
        http: Some(200),
        booked: Booked::Figures,
        stream: PLAIN,
        ..none(name, script)
    }
}

fn before(prefix: &str, wire: Wire) -> Script {
    let reply = Script::whole("200 OK\r\ncontent-type: application/json", wire.document());
    let mut acts = vec![Act::Send(prefix.to_owned().into())];
    acts.extend(reply.acts);
    Script { acts, ..reply }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_books_the_hold() {
    let mut world = World::start().await;
    world
        .check(&[
            none("closed", |_| Script::bytes("").then(Then::Close)),
            none("reset", |_| Script::bytes("").then(Then::Reset)),
            none("another protocol", |_| {
                Script::bytes("SSH-2.0-OpenSSH_9.9\r\n").then(Then::Hang)
            }),
            none("TLS alert", |_| {
                Script::bytes(&b"\x15\x03\x01\x00\x02\x02\x46"[..]).then(Then::Close)
            }),
            none("status line cut", |_| Script::bytes("HTTP/1.1 20").then(Then::Close)),
            none("headers cut", |_| {
                Script::bytes("HTTP/1.1 200 OK\r\ncontent-type: appl").then(Then::Close)
            }),
            none("headers reset", |_| {
                Script::bytes("HTTP/1.1 200 OK\r\ncontent-").then(Then::Reset)
            }),
            none("status 0", |_| Script::whole("0 Zero", "{}")),
            none("status 000", |_| Script::whole("000 Zero", "{}")),
            none("status 99", |_| Script::whole("99 Low", "{}")),
            none("status 1000", |_| Script::whole("1000 High", "{}")),
            none("no number", |_| Script::whole("OK", "{}")),
            none("another version", |_| {
                Script::bytes("HTTP/3.7 200 OK\r\ncontent-length: 0\r\n\r\n")
            }),
            none("a header with a zero byte", |_| {
                Script::whole("200 OK\r\nx-a: \0", "{}")
            }),
            none("a name with a space", |_| Script::whole("200 OK\r\nx a: 1", "{}")),
            none("two lengths", |_| Script::whole("200 OK\r\ncontent-length: 1", "{}")),
            none("a negative length", |_| {
                Script::framed("200 OK\r\ncontent-length: -2", "{}")
            }),
            none("a header of 1 MB", |_| {
                Script::whole(&format!("200 OK\r\nx-long: {}", "x".repeat(1 << 20)), "{}")
            }),
            none("10,000 headers", |_| {
                Script::whole(&format!("200 OK{}", "\r\nx-a: 1".repeat(10_000)), "{}")
            }),
        ])
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_heads_of_usual_answers() {
    let mut world = World::start().await;
    world
        .check(&[
            usual("an ordinary answer", |wire| before("", wire)),
            usual("100 first", |wire| before("HTTP/1.1 100 Continue\r\n\r\n", wire)),
            usual("a storm of hints", |wire| {
                before(
                    &"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n".repeat(50),
                    wire,
                )
            }),
            usual("HTTP/1.0 up to the close", |wire| {
                let body = wire.document();
                let reply = Script::bytes(format!(
                    "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{body}"
                ));
                Script {
                    body: body.into(),
                    ..reply.then(Then::Close)
                }
            }),
            usual("no reason phrase", |wire| {
                Script::whole("200\r\ncontent-type: application/json", wire.document())
            }),
            usual("a header that is not text", |wire| {
                let head = b"HTTP/1.1 200 OK\r\nx-name: \xff\xfe\r\ncontent-type: application/json\r\n";
                let body = wire.document();
                let bytes = [head, format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes()].concat();
                Script {
                    body: body.into(),
                    ..Script::bytes(bytes)
                }
            }),
            usual("the same length twice", |wire| {
                let body = wire.document();
                let length = body.len();
                Script::whole(&format!("200 OK\r\ncontent-length: {length}"), body)
            }),
            usual("chunked, and a length", |wire| {
                Script::chunked("200 OK\r\ncontent-length: 3", wire.document())
            }),
        ])
        .await;
    world.finish().await;
}

/// What a proxy may do, and no provider: the request's fate is not known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_that_answer_nothing() {
    let mut world = World::start().await;
    let odd = |name, http, script| Case {
        http: Some(http),
        ..none(name, script)
    };
    let redirected = |name, http, script| Case {
        status: Status::UpstreamError,
        booked: Booked::Nothing,
        ..odd(name, http, script)
    };
    world
        .check(&[
            odd("switching protocols", 101, |_| {
                Script::bytes("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nhello")
            }),
            odd("status 600", 600, |_| Script::whole("600 Beyond", "{}")),
            odd("status 999", 999, |_| Script::whole("999 Denied", "{}")),
            odd("204", 204, |_| Script::framed("204 No Content", "")),
            odd("204 with a body", 204, |_| {
                Script::whole("204 No Content", "{\"a\":1}").then(Then::Close)
            }),
            odd("205", 205, |_| Script::whole("205 Reset Content", "")),
            odd("205 with a body", 205, |_| {
                Script::whole("205 Reset Content", "not JSON")
            }),
            redirected("300", 300, |_| Script::whole("300 Multiple Choices", "")),
            redirected("301", 301, |_| {
                Script::whole("301 Moved\r\nlocation: http://127.0.0.1:1/", "<html>")
            }),
            redirected("302 to a secret", 302, |_| {
                Script::whole(&format!("302 Found\r\nlocation: /?key={UPSTREAM_KEY}"), "")
            }),
            redirected("304", 304, |_| Script::framed("304 Not Modified\r\netag: \"a\"", "")),
            redirected("304 with a body", 304, |_| {
                Script::whole("304 Not Modified", "{\"a\":1}").then(Then::Close)
            }),
            redirected("307", 307, |_| {
                Script::whole("307 Temporary Redirect\r\nlocation: /", "")
            }),
            redirected("308", 308, |_| {
                Script::whole("308 Permanent Redirect\r\nlocation: /", "")
            }),
        ])
        .await;
    world.finish().await;
}

/// What comes behind a reply on its connection is no reply to the next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_behind_a_reply_are_nobodys() {
    let mut world = World::start().await;
    world
        .check(&[
            usual("another reply behind it", |wire| {
                let reply = Script::whole("200 OK", wire.document());
                reply.and(Act::Send(
                    "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"stolen\":1}".into(),
                ))
            }),
            usual("the next call has its own", |wire| before("", wire)),
            usual("rubbish behind it", |wire| {
                Script::whole("200 OK", wire.document()).and(Act::Send("rubbish".repeat(1_000).into()))
            }),
            usual("the next call after that", |wire| before("", wire)),
        ])
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_costs_nothing() {
    let world = World::start().await;
    let body = r#"{"model":"gpt-4o-mini","messages":[],"max_tokens":5}"#;
    let request = world.harness.request("/gone/v1/chat/completions", body);
    let (status, reason, text) = world.harness.call(request).await;
    assert_eq!((status, reason.as_str()), (502, "upstream_unreachable"), "{text}");
    let outcome = world.harness.outcomes(1).await.pop().unwrap();
    let found = (outcome.status, outcome.http, outcome.source, outcome.cost);
    assert_eq!(found, (Status::Unreachable, None, UsageSource::Nothing, NanoUsd::ZERO));
    world.finish().await;
}
