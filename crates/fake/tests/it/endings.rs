//! Calls that do not end well: cut, hung, left.

use fake::{Billed, Finished, SeenCall};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Bench, CHAT, MESSAGES, hello, soon, with};

fn check(seen: &SeenCall, finished: Finished, events: u64, billed: (u64, u64)) {
    assert_eq!((seen.finished, seen.delivered_events), (finished, events));
    assert_eq!((seen.billed.input_total(), seen.billed.output), billed);
}

#[tokio::test]
async fn a_cut_stream_breaks_off_after_exactly_so_many_events() {
    let bench = Bench::start().await;
    for after in [0_usize, 1, 3, 5, 42, 43] {
        let reply = bench.ask(CHAT, &format!("cut-after={after}"), &hello(true)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.whole, reply.events().len()),
            (200, false, after)
        );
        let events = u64::try_from(after).unwrap();
        check(
            &bench.last().await,
            Finished::Cut,
            events,
            (15, events.saturating_sub(1).min(40)),
        );
    }
    // 43 events are the whole stream: what comes after them is never reached.
    assert!(bench.ask(CHAT, "cut-after=44", &hello(true)).await.whole);
    check(&bench.last().await, Finished::Completed, 43, (15, 40));
    // Each event is larger than the connection's buffer and the socket's.
    let huge = with(hello(true), &json!({"max_tokens": 10_000_000}));
    let reply = bench.ask(MESSAGES, "bytes=5000000; events=4; cut-after=5", &huge).await;
    assert_eq!((reply.whole, reply.events().len()), (false, 5));
    assert_eq!(bench.last().await.delivered_events, 5);
}

#[tokio::test]
async fn a_cut_document_breaks_off_in_the_middle() {
    let bench = Bench::start().await;
    let whole = bench.ask(MESSAGES, "", &hello(false)).await;
    let reply = bench.ask(MESSAGES, "cut-after=3", &hello(false)).await;
    assert!(!reply.whole);
    assert_eq!(reply.header("content-length"), whole.header("content-length"));
    assert_eq!(reply.body.len(), whole.body.len() / 2);
    check(&bench.last().await, Finished::Cut, 0, (15, 40));
    let reply = bench.ask(MESSAGES, "cut-after=0", &hello(false)).await;
    assert_eq!((reply.status.as_u16(), reply.whole, reply.body.len()), (200, false, 0));
}

#[tokio::test]
async fn a_stream_can_end_with_an_error() {
    let bench = Bench::start().await;
    let reply = bench.ask(MESSAGES, "error-after=4", &hello(true)).await;
    let (name, data) = reply.events().pop().unwrap();
    assert_eq!((reply.whole, name.as_str(), reply.events().len()), (true, "error", 5));
    assert!(data.contains(r#""type":"api_error""#) && data.contains(reply.header("request-id")));
    check(&bench.last().await, Finished::Error, 5, (15, 1));
    let reply = bench.ask(CHAT, "error-after=0", &hello(true)).await;
    let (name, data) = reply.events().pop().unwrap();
    assert_eq!((reply.whole, name.as_str(), reply.events().len()), (true, "", 1));
    assert!(data.contains("server_error"));
}

/// Reads what comes until so many bytes have come.
async fn read(body: &mut Incoming, bytes: usize) -> usize {
    let mut got = 0;
    while got < bytes {
        got += soon(body.frame()).await.unwrap().unwrap().into_data().unwrap().len();
    }
    got
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_noticed() {
    let bench = Bench::start().await;
    for (script, billed) in [("hang-after=4", (15, 3)), ("hang-after=4; bill-abandoned", (15, 40))] {
        let mut response = bench.open(bench.post(CHAT, script, &hello(true))).await;
        assert_eq!(response.status(), 200);
        let cut = bench.ask(CHAT, "cut-after=4", &hello(true)).await;
        assert_eq!(read(response.body_mut(), cut.body.len()).await, cut.body.len());
        let number = bench.calls.count().received - 1;
        let open = bench.calls.call(number).unwrap();
        assert_eq!((open.finished, open.status), (Finished::Open, Some(200)));
        drop(response);
        soon(bench.calls.wait_finished(number + 1)).await;
        check(&bench.calls.call(number).unwrap(), Finished::ClientGone, 4, billed);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_is_noticed() {
    let bench = Bench::start().await;
    let table = [("hang", 0), ("latency=600s", 0), ("hang; bill-abandoned", 40)];
    for (number, (script, billed)) in (1..).zip(table) {
        for stream in [false, true] {
            let number = 2 * number - u64::from(!stream);
            let request = bench.open(bench.post(MESSAGES, script, &hello(stream)));
            tokio::select! {
                _ = request => unreachable!("a call that hangs was answered"),
                () = bench.calls.wait_for(number) => {}
            }
            soon(bench.calls.wait_finished(number)).await;
            let seen = bench.calls.call(number).unwrap();
            assert_eq!(
                (seen.finished, seen.status, seen.billed.output),
                (Finished::ClientGone, None, billed)
            );
        }
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_is_no_call() {
    let bench = Bench::start().await;
    let mut socket = TcpStream::connect(bench.provider.addr()).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{\"model\"");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = vec![];
    // The provider closes the connection, with or without a word.
    let _ = soon(socket.read_to_end(&mut answer)).await;
    assert_eq!(bench.calls.count().received, 0);
}

#[tokio::test]
async fn a_hung_document_sends_half_and_waits() {
    let bench = Bench::start().await;
    let mut response = bench.open(bench.post(CHAT, "hang-after=1", &hello(false))).await;
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(read(response.body_mut(), length / 2).await, length / 2);
    assert_eq!(bench.calls.call(1).unwrap().status, Some(200));
    drop(response);
    check(&soon(bench.last()).await, Finished::ClientGone, 0, (15, 40));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_served_ahead() {
    let bench = Bench::start().await;
    let large = with(hello(true), &json!({"max_tokens": 50_000_000}));
    let response = bench.open(bench.post(CHAT, "bytes=100000; events=2000", &large)).await;
    drop(response);
    let seen = soon(bench.last()).await;
    assert_eq!(seen.finished, Finished::ClientGone);
    assert!(seen.delivered_events < 2000, "{seen:?}");
    assert_ne!(seen.billed, Billed::default());
}

#[tokio::test]
async fn a_provider_that_is_shut_down_cuts_what_is_in_flight() {
    let bench = Bench::start().await;
    let mut response = bench.open(bench.post(CHAT, "hang-after=2", &hello(true))).await;
    read(response.body_mut(), 1).await;
    let calls = bench.calls.clone();
    soon(bench.provider.shutdown()).await;
    assert_eq!(calls.call(1).unwrap().finished, Finished::Cut);
    while let Some(Ok(_)) = soon(response.body_mut().frame()).await {}
}
