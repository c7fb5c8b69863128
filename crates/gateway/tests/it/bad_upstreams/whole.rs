//! Replies that are no streams.

use super::*;
use crate::raw_upstream::{Act, Then};

const JSON: &str = "200 OK\r\ncontent-type: application/json";

/// A reply that makes no sense: refused, and the hold is booked.
const fn senseless(name: &'static str, script: fn(Wire) -> Script) -> Case {
    Case {
        name,
        wires: wire::ALL,
        stream: BOTH,
        script,
        told: Told::Refused(Reason::UpstreamBroken),
        status: Status::Broken,
        http: Some(200),
        booked: Booked::Hold,
    }
}

/// A reply that passes as it is, and how it is booked.
const fn passed(name: &'static str, booked: Booked, script: fn(Wire) -> Script) -> Case {
    Case {
        told: Told::Passed(200),
        status: Status::Ok,
        booked,
        ..senseless(name, script)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_make_no_sense() {
    let mut world = World::start().await;
    world
        .check(&[
            senseless("half a document", |wire| {
                Script::whole(JSON, wire.document()[..30].to_owned())
            }),
            senseless("a page", |_| {
                Script::whole("200 OK\r\ncontent-type: text/html", "<html>Welcome</html>")
            }),
            senseless("nothing", |_| Script::whole(JSON, "")),
            senseless("an array", |_| Script::whole(JSON, "[]")),
            senseless("a string", |_| Script::whole(JSON, "\"ok\"")),
            senseless("null", |_| Script::whole(JSON, "null")),
            senseless("two documents", |wire| Script::whole(JSON, wire.document().repeat(2))),
            senseless("deep", |_| Script::whole(JSON, "[".repeat(100_000))),
            senseless("rubbish", |_| Script::whole(JSON, vec![0xff; 300])),
            senseless("a length too long", |wire| {
                let body = wire.document();
                Script::framed(&format!("{JSON}\r\ncontent-length: {}", body.len() + 9), body).then(Then::Close)
            }),
            senseless("a length too short", |wire| {
                Script::framed(&format!("{JSON}\r\ncontent-length: 9"), wire.document()).then(Then::Close)
            }),
            senseless("cut between chunks", |wire| Script::open(JSON, wire.document())),
            senseless("reset between chunks", |wire| {
                Script::open(JSON, wire.document()).then(Then::Reset)
            }),
            senseless("a chunk of no size", |_| {
                Script::framed(
                    &format!("{JSON}\r\ntransfer-encoding: chunked"),
                    "zz\r\n{}\r\n0\r\n\r\n",
                )
            }),
            senseless("a chunk larger than memory", |_| {
                Script::framed(
                    &format!("{JSON}\r\ntransfer-encoding: chunked"),
                    "ffffffffffffffff\r\n{}\r\n0\r\n\r\n",
                )
                .then(Then::Close)
            }),
        ])
        .await;
    // A stream that was not asked for cannot be told from a mistake.
    world
        .check(&[Case {
            stream: PLAIN,
            ..senseless("a stream that was not asked for", |wire| {
                Script::chunked("200 OK\r\ncontent-type: text/event-stream", wire.stream())
            })
        }])
        .await;
    // A stream in name only: its type says otherwise.
    world
        .check(&[Case {
            stream: STREAM,
            ..senseless("a stream of plain text", |wire| {
                Script::chunked("200 OK\r\ncontent-type: text/plain", wire.stream())
            })
        }])
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_are_unusual() {
    let mut world = World::start().await;
    world
        .check(&[
            passed("another type", Booked::Figures, |wire| {
                Script::whole("200 OK\r\ncontent-type: text/html", wire.document())
            }),
            passed("no type", Booked::Figures, |wire| {
                Script::whole("200 OK", wire.document())
            }),
            passed("identity said", Booked::Figures, |wire| {
                Script::whole("200 OK\r\ncontent-encoding: identity", wire.document())
            }),
            passed("no type that is text", Booked::Figures, |wire| {
                Script::whole("200 OK\r\ncontent-type: /;;=", wire.document())
            }),
            passed("trailers", Booked::Figures, |wire| {
                let open = Script::open(&format!("{JSON}\r\ntrailer: x-cost"), wire.document());
                open.then(Then::Keep).and(Act::Send("0\r\nx-cost: 1\r\n\r\n".into()))
            }),
            passed("byte by byte", Booked::Figures, |wire| {
                let body = wire.document();
                let head = format!("HTTP/1.1 {JSON}\r\ncontent-length: {}\r\n\r\n", body.len());
                let bytes = head.into_bytes().into_iter().chain(body.bytes());
                let mut script = Script::bytes("");
                script.acts = bytes.map(|byte| Act::Send(vec![byte].into())).collect();
                Script {
                    body: body.into(),
                    ..script
                }
            }),
            passed("fields that nobody knows", Booked::Figures, |wire| {
                let usage = wire.usage("19", "10");
                let odd = r#""future":{"a":[1,2.50,1e400,"\ud800",null]}"#;
                Script::whole(JSON, wire.document_with(&format!("{usage},{odd}")))
            }),
        ])
        .await;
    world
        .check(&[Case {
            told: Told::Passed(201),
            http: Some(201),
            ..passed("created, not OK", Booked::Figures, |wire| {
                Script::whole("201 Created", wire.document())
            })
        }])
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_whose_figures_cannot_be_believed() {
    let mut world = World::start().await;
    let unbelievable = |name, script| passed(name, Booked::Hold, script);
    world
        .check(&[
            unbelievable("none", |wire| Script::whole(JSON, wire.document_with(""))),
            unbelievable("null", |wire| Script::whole(JSON, wire.document_with("\"usage\":null"))),
            unbelievable("negative", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("19", "-10")))
            }),
            unbelievable("negative input", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("-19", "10")))
            }),
            unbelievable("text", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("\"19\"", "\"10\"")))
            }),
            unbelievable("a fraction", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("19.5", "10")))
            }),
            unbelievable("beyond all numbers", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("19", "1e400")))
            }),
            unbelievable("beyond 64 bits", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("19", &"9".repeat(30))))
            }),
            unbelievable("beyond any price", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("19", "18446744073709551615")))
            }),
            unbelievable("a list", |wire| {
                Script::whole(JSON, wire.document_with("\"usage\":[19,10]"))
            }),
            unbelievable("nothing used", |wire| {
                Script::whole(JSON, wire.document_with(&wire.usage("0", "0")))
            }),
            // The text of a completion may be that of its prompt.
            Case {
                wires: &[Wire::Chat, Wire::Responses, Wire::Messages],
                ..unbelievable("no output for the text there is", |wire| {
                    Script::whole(JSON, wire.document_with(&wire.usage("19", "0")))
                })
            },
        ])
        .await;
    world.finish().await;
}

/// A provider that says that it used more than the request allows bills it: booked, with the overrun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_above_the_hold_are_booked() {
    let mut world = World::start().await;
    let million = |wires, cost| Case {
        wires,
        ..passed("a million tokens", Booked::Cost(cost), |wire| {
            Script::whole(JSON, wire.document_with(&wire.usage("19", "1000000")))
        })
    };
    let openai = &[Wire::Chat, Wire::Responses, Wire::Completions];
    let cases = [
        million(openai, 19 * 150 + 600_000_000),
        million(&[Wire::Messages], 19 * 3_000 + 15_000_000_000),
    ];
    world.check(&cases).await;
    world.finish().await;
}

/// Asked for `identity`, so anything else is a mistake or an attack: refused unread, and never decompressed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_replies_are_refused() {
    let mut world = World::start().await;
    world
        .check(&[
            senseless("gzip", |_| {
                Script::whole(&format!("{JSON}\r\ncontent-encoding: gzip"), &b"\x1f\x8b\x08\0"[..])
            }),
            senseless("brotli", |_| {
                Script::whole(&format!("{JSON}\r\ncontent-encoding: br"), "x")
            }),
            senseless("twice", |_| {
                Script::whole(&format!("{JSON}\r\ncontent-encoding: identity, gzip"), "x")
            }),
            senseless("on a second line", |_| {
                Script::whole(
                    &format!("{JSON}\r\ncontent-encoding: identity\r\ncontent-encoding: gzip"),
                    "x",
                )
            }),
            senseless("a compressed stream", |_| {
                Script::chunked(
                    "200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip",
                    &b"\x1f\x8b\x08\0"[..],
                )
            }),
        ])
        .await;
    world.finish().await;
}
