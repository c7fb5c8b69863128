//! Upstreams that keep the caller waiting. Each bound that ends a call is named to the caller, with its setting.

use std::time::Duration;

use super::*;
use crate::raw_upstream::{Act, Then};

const EVENTS: &str = "200 OK\r\ncontent-type: text/event-stream";

/// One form of each dialect: a wait takes its time, and is the same for all forms.
const DIALECTS: &[Wire] = &[Wire::Chat, Wire::Messages];

const fn late(name: &'static str, http: Option<u16>, script: fn(Wire) -> Script) -> Case {
    Case {
        name,
        wires: DIALECTS,
        stream: BOTH,
        script,
        told: Told::Refused(Reason::UpstreamTimeout),
        status: Status::Timeout,
        http,
        booked: Booked::Hold,
    }
}

const fn stalled(name: &'static str, script: fn(Wire) -> Script) -> Case {
    Case {
        stream: STREAM,
        told: Told::Ended(Reason::UpstreamTimeout),
        ..late(name, Some(200), script)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_upstreams() {
    let mut world = World::with(impatient()).await;
    world
        .check(&[
            late("before the head", None, |_| Script::bytes("").then(Then::Hang)),
            late("inside of the head", None, |_| {
                Script::bytes("HTTP/1.1 200 OK\r\ncontent-ty").then(Then::Hang)
            }),
            late("after a hint", None, |_| {
                Script::bytes("HTTP/1.1 103 Early Hints\r\n\r\n").then(Then::Hang)
            }),
            late("before the body", Some(200), |_| {
                Script::framed("200 OK\r\ncontent-length: 99", "").then(Then::Hang)
            }),
            late("inside of the body", Some(200), |wire| {
                Script::framed("200 OK\r\ncontent-length: 9999", wire.document()).then(Then::Hang)
            }),
            stalled("before the first event", |_| Script::open(EVENTS, "").then(Then::Hang)),
            stalled("between events", |wire| {
                Script::open(EVENTS, wire.opening() + &wire.delta("\"Hello\"")).then(Then::Hang)
            }),
            stalled("inside of an event", |wire| {
                Script::open(EVENTS, wire.delta("\"Hello\"")[..20].to_owned()).then(Then::Hang)
            }),
            // Its end was said, so it is complete: nothing is missing.
            Case {
                told: Told::Passed(200),
                status: Status::Ok,
                booked: Booked::Figures,
                ..stalled("after the end", |wire| {
                    Script::open(EVENTS, wire.stream()).then(Then::Hang)
                })
            },
        ])
        .await;
    world.finish().await;
}

/// Which bound it was stands in the message, with the name of its setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_time_out_is_named() {
    let short = Duration::from_millis(300);
    let impatient = |change: fn(&mut Limits, Duration)| {
        let mut limits = Limits::default();
        change(&mut limits, short);
        limits
    };
    let first_byte = impatient(|limits, short| limits.first_byte_timeout = short);
    let idle = impatient(|limits, short| limits.idle_timeout = short);
    let total = impatient(|limits, short| limits.total_timeout = short);
    let head = || Script::bytes("").then(Then::Hang);
    let body = || Script::framed("200 OK\r\ncontent-length: 99", "{").then(Then::Hang);
    let stream = || Script::open(EVENTS, ": hello\n\n").then(Then::Hang);
    for (limits, name, scripts) in [
        (first_byte, "[timeouts] first_byte", vec![head()]),
        (idle, "[timeouts] idle", vec![body(), stream()]),
        (total, "[timeouts] total", vec![head(), body(), stream()]),
    ] {
        let world = World::with(limits).await;
        for script in scripts {
            for wire in DIALECTS {
                world.raw.play(script.clone());
                let (_, _, text) = world.harness.call(wire.request(&world.harness, true)).await;
                assert!(text.contains(name) && text.contains("300ms"), "{wire:?}: {text}");
            }
        }
        world.finish().await;
    }
}

/// Keep-alives are what a provider sends while its model thinks, so they count as life: only the bound on the whole call
/// ends a stream that has nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alives_without_end_end_with_the_call() {
    let world = World::with(Limits {
        idle_timeout: Duration::from_millis(200),
        total_timeout: Duration::from_millis(600),
        ..Limits::default()
    })
    .await;
    for wire in DIALECTS {
        let comment = Act::Endless("e\r\n: keep-alive\n\n\r\n".into());
        world.raw.play(Script::open(EVENTS, "").and(comment));
        let started = std::time::Instant::now();
        let (status, _, text) = world.harness.call(wire.request(&world.harness, true)).await;
        assert!(
            started.elapsed() >= Duration::from_millis(600),
            "the idle time-out did not end it"
        );
        let last = &text[text.len() - 400..];
        assert!(status == 200 && last.contains("[timeouts] total"), "{last}");
    }
    for outcome in world.harness.outcomes(2).await {
        assert_eq!((outcome.status, outcome.source), (Status::Timeout, UsageSource::Hold));
    }
    world.finish().await;
}
