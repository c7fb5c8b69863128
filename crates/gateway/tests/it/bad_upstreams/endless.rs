//! What never ends, or would be large if it were read: the gateway holds none of it.

use bytes::Bytes;

use super::*;
use crate::raw_upstream::{Act, Then};

const MEGABYTE: u64 = 1 << 20;
/// What sockets between two processes hold at most, here.
const BUFFERS: u64 = 24 * MEGABYTE;

/// The most memory that this process ever used, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// A bomb is not even received: the connection closes on its head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_bomb_is_left_unread() {
    let world = World::start().await;
    for (status, kind) in [
        ("200 OK", "application/json"),
        ("200 OK", "text/event-stream"),
        ("500 Oops", "text/html"),
    ] {
        let head = format!("{status}\r\ncontent-type: {kind}\r\ncontent-encoding: gzip");
        // Ten megabytes of zeros, compressed, begin like this.
        let bomb = Bytes::from(vec![0x1f; 1 << 16]);
        let before = world.raw.written();
        world.raw.play(Script::framed(&head, "").and(Act::Endless(bomb)));
        let (found, _, text) = world.harness.call(Wire::Chat.request(&world.harness, true)).await;
        assert!(found >= 500 && text.contains("compressed"), "{found}: {text}");
        assert!(world.raw.written() - before < BUFFERS);
    }
    world.harness.outcomes(3).await;
    world.finish().await;
}

/// One event of 200 MB passes through, and so does a document: neither is collected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(target_os = "linux")]
async fn large_replies_pass_in_flat_memory() {
    let world = World::start().await;
    let (chunk, count) = (vec![b'x'; 1 << 20], 200);
    let chunked = [b"100000\r\n".as_slice(), &chunk, b"\r\n"].concat();
    for (kind, stream) in [("text/event-stream", true), ("application/json", false)] {
        let mut script = Script::open(&format!("200 OK\r\ncontent-type: {kind}"), "data: \"").then(Then::Keep);
        let more = Act::Send(chunked.clone().into());
        script.acts.extend(std::iter::repeat_n(more, count));
        let script = script.and(Act::Send("0\r\n\r\n".into()));
        world.raw.play(script);
        let before = peak();
        let response = world.harness.send(Wire::Chat.request(&world.harness, stream)).await;
        assert_eq!(response.status(), 200);
        let (mut body, mut length) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        assert!(length >= count << 20, "{length}");
        let grown = peak() - before;
        assert!(grown < 80 * MEGABYTE, "{kind}: {grown} bytes more");
    }
    for (outcome, status) in world.harness.outcomes(2).await.iter().zip([Status::Broken, Status::Ok]) {
        assert_eq!((outcome.status, outcome.source), (status, UsageSource::Hold));
    }
    world.finish().await;
}

/// A caller that does not read does not make the gateway read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_does_not_take_is_not_fetched() {
    let world = World::start().await;
    let event = Wire::Chat.delta("\"\"").repeat(1_000);
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    world
        .raw
        .play(Script::open("200 OK\r\ncontent-type: text/event-stream", "").and(Act::Endless(chunk.into())));
    let response = world.harness.send(Wire::Chat.request(&world.harness, true)).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    // Until everything between is full: the count of what was written stands still for a while.
    let mut written = world.raw.written();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if world.raw.written() == written {
            break;
        }
        written = world.raw.written();
    }
    assert!(written < BUFFERS, "{written} bytes are on the way");
    drop(body);
    let outcome = world.harness.outcomes(1).await.pop().unwrap();
    assert_eq!(
        (outcome.status, outcome.source),
        (Status::ClientGone, UsageSource::Hold)
    );
    world.finish().await;
}
