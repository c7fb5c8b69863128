//! Streams: what they hold passes byte for byte, whatever it is, and their end is always said.

use super::*;
use crate::raw_upstream::{Act, Then};

const EVENTS: &str = "200 OK\r\ncontent-type: text/event-stream";

/// A stream that ends before it says that it is over.
const fn broken(name: &'static str, script: fn(Wire) -> Script) -> Case {
    Case {
        name,
        wires: wire::ALL,
        stream: STREAM,
        script,
        told: Told::Ended(Reason::UpstreamBroken),
        status: Status::Broken,
        http: Some(200),
        booked: Booked::Hold,
    }
}

/// A stream that comes to its end.
const fn complete(name: &'static str, booked: Booked, script: fn(Wire) -> Script) -> Case {
    Case {
        told: Told::Passed(200),
        status: Status::Ok,
        booked,
        ..broken(name, script)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_end_too_early() {
    let mut world = World::start().await;
    world
        .check(&[
            broken("nothing at all", |_| Script::chunked(EVENTS, "")),
            broken("an empty body", |_| Script::whole(EVENTS, "")),
            broken("closed at once", |_| Script::open(EVENTS, "")),
            broken("line ends", |_| Script::chunked(EVENTS, "\n\n\r\n\r\n\r\r")),
            broken("keep-alives only", |_| {
                Script::chunked(EVENTS, ": keep-alive\n\n".repeat(40))
            }),
            broken("closed after an event", |wire| {
                Script::open(EVENTS, wire.opening() + &wire.delta("\"Hello\""))
            }),
            broken("ended after an event", |wire| {
                Script::chunked(EVENTS, wire.opening() + &wire.delta("\"Hello\""))
            }),
            broken("closed inside of an event", |wire| {
                Script::open(EVENTS, (wire.opening() + &wire.delta("\"Hello\""))[..25].to_owned())
            }),
            broken("ended inside of an event", |wire| {
                Script::chunked(EVENTS, (wire.opening() + &wire.delta("\"Hello\""))[..25].to_owned())
            }),
            broken("closed inside of a line end", |wire| {
                let text = wire.delta("\"Hello\"").replace('\n', "\r\n");
                Script::open(EVENTS, text[..text.len() - 1].to_owned())
            }),
            broken("a chunk of no size", |wire| {
                let body = wire.delta("\"Hello\"");
                let size = body.len();
                let text =
                    format!("HTTP/1.1 {EVENTS}\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\nzz\r\n");
                Script {
                    body: body.into(),
                    ..Script::bytes(text)
                }
            }),
            broken("a length too long", |wire| {
                let body = wire.delta("\"Hello\"");
                Script::framed(&format!("{EVENTS}\r\ncontent-length: 9999"), body).then(Then::Close)
            }),
            broken("reset when its first event has arrived", |wire| {
                Script::open(EVENTS, wire.delta("\"Hello\""))
                    .and(Act::Wait)
                    .then(Then::Reset)
            }),
            broken("HTTP/1.0, closed early", |wire| {
                let body = wire.delta("\"Hello\"");
                let text = format!("HTTP/1.0 {EVENTS}\r\n\r\n{body}");
                Script {
                    body: body.into(),
                    ..Script::bytes(text).then(Then::Close)
                }
            }),
        ])
        .await;
    world.finish().await;
}

/// The end has been said, so what the connection does then no longer matters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_end_is_unusual() {
    let mut world = World::start().await;
    let figures = Booked::Figures;
    world
        .check(&[
            complete("an ordinary stream", figures, |wire| {
                Script::chunked(EVENTS, wire.stream())
            }),
            complete("closed after its end", figures, |wire| {
                Script::open(EVENTS, wire.stream())
            }),
            complete("a length too long", figures, |wire| {
                Script::framed(&format!("{EVENTS}\r\ncontent-length: 9999"), wire.stream()).then(Then::Close)
            }),
            complete("HTTP/1.0 up to the close", figures, |wire| Script {
                body: wire.stream().into(),
                ..Script::bytes(format!("HTTP/1.0 {EVENTS}\r\n\r\n{}", wire.stream())).then(Then::Close)
            }),
            complete("figures, and no end", figures, |wire| {
                let stream = wire.stream();
                Script::chunked(EVENTS, stream.strip_suffix(wire.end()).unwrap().to_owned())
            }),
            complete("no line end behind the last line", figures, |wire| {
                Script::chunked(EVENTS, wire.stream().trim_end().to_owned())
            }),
            complete("data behind the end", figures, |wire| {
                Script::chunked(EVENTS, wire.stream() + "data: {\"late\":true}\n\n: bye\n\n")
            }),
            // What cannot be read may have been words, which the figures before it do not count.
            complete("rubbish behind the end", Booked::Hold, |wire| {
                Script::chunked(EVENTS, wire.stream() + "data: x\n\n" + wire.end())
            }),
            complete("trailers", figures, |wire| {
                let open = Script::open(&format!("{EVENTS}\r\ntrailer: x-cost"), wire.stream());
                open.then(Then::Keep).and(Act::Send("0\r\nx-cost: 1\r\n\r\n".into()))
            }),
            complete("a type with parameters", figures, |wire| {
                Script::chunked(
                    "200 OK\r\ncontent-type: Text/Event-Stream ; charset=utf-8",
                    wire.stream(),
                )
            }),
            complete("JSON where a stream was asked for", figures, |wire| {
                Script::whole("200 OK\r\ncontent-type: application/json", wire.document())
            }),
        ])
        .await;
    world.finish().await;
}

fn large(wire: Wire) -> String {
    wire.delta(&format!("\"{}\"", "x".repeat(10 << 20)))
}

/// Before the last events: read as far as it makes sense, and passed on whatever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_with_odd_events() {
    let mut world = World::start().await;
    let odd = |name, script| complete(name, Booked::Figures, script);
    world
        .check(&[
            odd("no object", |wire| {
                Script::chunked(EVENTS, wire.stream_with("data: 1\n\ndata: null\n\ndata: [{}]\n\ndata: \"x\"\n\n"))
            }),
            odd("no JSON", |wire| {
                Script::chunked(EVENTS, wire.stream_with("data: {\"choices\":[\n\ndata: <html>\n\ndata: \0\n\n"))
            }),
            odd("no UTF-8", |wire| {
                let odd = wire.delta("\"@\"");
                let text = wire.stream_with(&odd).into_bytes();
                let bytes: Vec<_> = text.into_iter().map(|byte| if byte == b'@' { 0xff } else { byte }).collect();
                Script::chunked(EVENTS, bytes)
            }),
            odd("empty events, comments, other fields", |wire| {
                Script::chunked(
                    EVENTS,
                    wire.stream_with("\n\n\n: ping\n\ndata\n\ndata:\n\nid: 7\n\nretry: 9\n\nevent: ping\n\nfoo: bar\n\n"),
                )
            }),
            odd("text that is a number", |wire| Script::chunked(EVENTS, wire.stream_with(&wire.delta("7")))),
            odd("text that is an object", |wire| {
                Script::chunked(EVENTS, wire.stream_with(&wire.delta("{\"a\":[\"Hello\"]}")))
            }),
            odd("text that is nothing", |wire| Script::chunked(EVENTS, wire.stream_with(&wire.delta("null")))),
            odd("half a character", |wire| {
                Script::chunked(EVENTS, wire.stream_with(&wire.delta(r#""\ud83d""#)))
            }),
            odd("another choice", |wire| {
                let another = wire.delta("\"Hello\"").replace("\"index\":0", "\"index\":7").replace("_index\":0", "_index\":-1");
                Script::chunked(EVENTS, wire.stream_with(&another))
            }),
            odd("choices that are none", |wire| {
                Script::chunked(
                    EVENTS,
                    wire.stream_with("data: {\"choices\":7}\n\ndata: {\"choices\":[null,\"x\",{},{\"delta\":[]}]}\n\n"),
                )
            }),
            odd("a tool's fragment of no call", |wire| {
                let odd = match wire {
                    Wire::Messages => {
                        r#"data: {"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{}"}}"#
                    }
                    Wire::Responses => r#"data: {"type":"response.function_call_arguments.delta","delta":"{}"}"#,
                    _ => r#"data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
                };
                Script::chunked(EVENTS, wire.stream_with(&format!("{odd}\n\n")))
            }),
            odd("arguments that are no text", |wire| {
                let odd = match wire {
                    Wire::Messages => {
                        r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":{"a":1}}}"#
                    }
                    Wire::Responses => r#"data: {"type":"response.function_call_arguments.delta","delta":{"a":1}}"#,
                    _ => r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":{"a":1}}},7]}}]}"#,
                };
                Script::chunked(EVENTS, wire.stream_with(&format!("{odd}\n\n")))
            }),
            odd("fields that nobody knows", |wire| {
                let known = wire.delta("\"Hello\"");
                let odd = known.replacen('{', r#"{"future":{"deep":[[1e400]]},"#, 1);
                Script::chunked(EVENTS, wire.stream_with(&odd))
            }),
            odd("deep", |wire| {
                Script::chunked(EVENTS, wire.stream_with(&format!("data: {}\n\n", "[".repeat(100_000))))
            }),
            Case {
                wires: &[Wire::Chat, Wire::Completions, Wire::Messages],
                ..odd("an event of 10 MB", |wire| Script::chunked(EVENTS, wire.stream_with(&large(wire))))
            },
            // Of a response's long strings the beginning is read, and it is longer than the figures say.
            Case {
                wires: &[Wire::Responses],
                ..complete("a response's event of 10 MB", Booked::Hold, |wire| {
                    Script::chunked(EVENTS, wire.stream_with(&large(wire)))
                })
            },
            odd("a comment of 10 MB", |wire| {
                Script::chunked(EVENTS, wire.stream_with(&format!(": {}\n\n", "x".repeat(10 << 20))))
            }),
            odd("a byte order mark", |wire| Script::chunked(EVENTS, format!("\u{feff}{}", wire.stream()))),
            odd("CR", |wire| Script::chunked(EVENTS, wire.stream().replace('\n', "\r"))),
            odd("CR and LF", |wire| Script::chunked(EVENTS, wire.stream().replace('\n', "\r\n"))),
            odd("byte by byte", |wire| {
                let bytes = wire.stream().into_bytes();
                let head = format!("HTTP/1.1 {EVENTS}\r\ntransfer-encoding: chunked\r\n\r\n");
                let chunk = |byte: &u8| Act::Send([b"1\r\n", &[*byte][..], b"\r\n"].concat().into());
                let mut script = Script::bytes(head);
                script.acts.extend(bytes.iter().map(chunk));
                script.acts.push(Act::Send("0\r\n\r\n".into()));
                Script {
                    body: bytes.into(),
                    ..script
                }
            }),
        ])
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_figures_are_odd() {
    let mut world = World::start().await;
    let odd = |name, script| complete(name, Booked::Hold, script);
    let cumulative: &[_] = &[Wire::Chat, Wire::Completions, Wire::Messages];
    world
        .check(&[
            odd("none", |wire| {
                Script::chunked(EVENTS, wire.opening() + &wire.delta("\"Hello\"") + wire.end_alone())
            }),
            odd("negative", |wire| {
                Script::chunked(EVENTS, wire.stream_of(&wire.usage("19", "-10")))
            }),
            odd("text", |wire| {
                Script::chunked(EVENTS, wire.stream_of(&wire.usage("\"19\"", "\"10\"")))
            }),
            odd("beyond 64 bits", |wire| {
                Script::chunked(EVENTS, wire.stream_of(&wire.usage("19", &"9".repeat(30))))
            }),
            odd("null", |wire| Script::chunked(EVENTS, wire.stream_of("\"usage\":null"))),
            odd("a list", |wire| {
                Script::chunked(EVENTS, wire.stream_of("\"usage\":[19,10]"))
            }),
            complete("twice", Booked::Figures, |wire| {
                let figures = wire.figures(&wire.usage("19", "10"));
                Script::chunked(EVENTS, wire.stream_with(&figures))
            }),
            Case {
                wires: cumulative,
                ..odd("in the middle only", |wire| {
                    let figures = wire.figures(&wire.usage("19", "3"));
                    let (before, behind) = (wire.delta("\"Hello\""), wire.delta("\", there\""));
                    Script::chunked(EVENTS, wire.opening() + &before + &figures + &behind + wire.end())
                })
            },
            Case {
                wires: cumulative,
                ..complete("in the middle and at the end", Booked::Figures, |wire| {
                    let odd = wire.figures(&wire.usage("19", "3")) + &wire.delta("\", there\"");
                    Script::chunked(EVENTS, wire.stream_with(&odd))
                })
            },
        ])
        .await;
    world.finish().await;
}

/// The provider says that it failed. What it says then still passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_in_which_the_provider_fails() {
    let mut world = World::start().await;
    let failed = |name, booked, script| Case {
        status: Status::UpstreamError,
        ..complete(name, booked, script)
    };
    world
        .check(&[
            failed("and ends", Booked::Hold, |wire| {
                Script::chunked(EVENTS, wire.opening() + &wire.delta("\"Hello\"") + wire.failure())
            }),
            failed("at once", Booked::Hold, |wire| Script::chunked(EVENTS, wire.failure())),
            failed("and goes on to its end", Booked::Figures, |wire| {
                Script::chunked(EVENTS, wire.stream_with(wire.failure()))
            }),
            failed("behind its end", Booked::Figures, |wire| {
                Script::chunked(EVENTS, wire.stream() + wire.failure())
            }),
        ])
        .await;
    // It failed, and then the connection did: the caller has to be told of that, too.
    world
        .check(&[broken("and breaks off", |wire| {
            Script::open(EVENTS, wire.opening() + wire.failure() + &wire.delta("\"Hello\""))
        })])
        .await;
    world.finish().await;
}
