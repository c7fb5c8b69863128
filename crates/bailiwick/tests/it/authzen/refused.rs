//! Questions that get no decision: bodies that are too long or too late, too much at once, and a log that cannot be
//! written.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Pdp;
use crate::{
    harness::PATIENCE,
    storage::{becomes, machine, not_here},
};

fn question() -> Value {
    json!({ "subject": { "type": "user", "id": "alice" }, "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" } })
}

/// A connection on which the head of a question was sent, and a part of its body.
async fn begun(pdp: &Pdp, framing: &str, part: &str) -> TcpStream {
    let address = pdp.world.agents_url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n{framing}\r\nx-request-id: r-1\r\nconnection: close\r\n\r\n{part}",
        pdp.key("default")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The status and the body of what comes before the connection ends.
async fn answered(stream: &mut TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nx-request-id: r-1\r\n"), "{head}");
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come() {
    let pdp = Pdp::with("[timeouts]\nrequest = \"20ms\"\n", "").await;
    for framing in ["content-length: 500", "transfer-encoding: chunked"] {
        let mut stream = begun(&pdp, framing, "").await;
        let (status, body) = answered(&mut stream).await;
        assert_eq!((status, &body["error"]), (408, &json!("request_timeout")));
    }
    assert_eq!(pdp.decided().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_end() {
    let pdp = Pdp::with("[authzen]\nrequest_size = \"1KiB\"\n", "").await;
    // Whether its length was said before or not.
    let long = " ".repeat(1_025);
    for (framing, part) in [
        ("content-length: 1025", long.clone()),
        ("transfer-encoding: chunked", format!("401\r\n{long}\r\n0\r\n\r\n")),
    ] {
        let mut stream = begun(&pdp, framing, &part).await;
        let (status, body) = answered(&mut stream).await;
        assert_eq!((status, &body["error"]), (413, &json!("too_large")));
    }
    // The longest that there may be.
    let question = question().to_string();
    let padded = format!("{question}{}", " ".repeat(1_024 - question.len()));
    let mut stream = begun(&pdp, "content-length: 1024", &padded).await;
    assert_eq!(answered(&mut stream).await, (200, json!({ "decision": true })));
}

/// A body that comes slowly takes room from others, and gives it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_another_body() {
    let limits = "[limits]\nrequest_size = \"1KiB\"\nbodies_size = \"1KiB\"\n";
    let pdp = Pdp::with(limits, "").await;
    let text = question().to_string();
    let (first, rest) = text.split_at(20);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let part = chunk(first);
    let slow = || begun(&pdp, "transfer-encoding: chunked", &part);
    // Whichever comes first has the room. Neither is at its end, so what is answered is that there is none.
    let (mut one, mut other) = (slow().await, slow().await);
    let ((status, body), mut placed) = tokio::select! {
        answer = answered(&mut one) => (answer, other),
        answer = answered(&mut other) => (answer, one),
    };
    assert_eq!((status, &body["error"]), (429, &json!("overloaded")));
    let refused = pdp.ask("default", "evaluation", &question()).await.is(429);
    assert_eq!(refused.header("retry-after"), "1");
    placed
        .write_all(format!("{}0\r\n\r\n", chunk(rest)).as_bytes())
        .await
        .unwrap();
    assert_eq!(answered(&mut placed).await, (200, json!({ "decision": true })));
    pdp.ask("default", "evaluation", &question()).await.is(200);
}

/// A question that waits for the disk takes a place, and others are refused instead of queued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_at_once_as_may_be() {
    let pdp = Pdp::with("[limits]\nin_flight = 1\n", "").await;
    let question = question();
    let (started, mut permits, mut refused) = (Instant::now(), 0, 0);
    while refused == 0 {
        let all = join_all((0..8).map(|_| pdp.ask("default", "evaluation", &question))).await;
        for reply in all {
            if reply.status == 200 {
                permits += 1;
                continue;
            }
            let reply = reply.is(429);
            assert_eq!(reply.json()["error"], "overloaded");
            assert_eq!(reply.header("retry-after"), "1");
            refused += 1;
        }
        assert!(started.elapsed() < PATIENCE, "nothing is refused");
    }
    // A batch and a search take a place as well, and find one when it is free.
    let batch = json!({ "evaluations": [question] });
    pdp.ask("default", "evaluations", &batch).await.is(200);
    let search = json!({ "subject": { "type": "user" }, "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" } });
    pdp.ask("default", "search/subject", &search).await.is(200);
    assert_eq!(pdp.decided().len(), permits + 2);
    let counted = format!("bailiwick_decisions_total{{call=\"evaluation\",outcome=\"overloaded\"}} {refused}\n");
    let metrics = pdp.metrics().await;
    assert!(metrics.contains(&counted), "{refused}: {metrics}");
}

/// Waits until what was answered before it was durable is, and makes sure that nothing of it was lost.
async fn written(pdp: &Pdp) {
    let started = Instant::now();
    loop {
        let metrics = pdp.metrics().await;
        assert!(metrics.contains("\nbailiwick_decisions_lost_total 0\n"), "{metrics}");
        if metrics.contains("\nbailiwick_decisions_waiting 0\n") {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{metrics}");
        tokio::task::yield_now().await;
    }
}

/// What cannot be recorded is not decided, whenever answers leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written() {
    for record in ["durable", "buffered"] {
        let pdp = Pdp::with(&format!("[authzen]\nrecord = \"{record}\"\n"), "").await;
        let pid = pdp.world.pid().to_string();
        let limit = |size: &str| machine("prlimit", &["--pid", &pid, &format!("--fsize={size}")]);
        if !limit("unlimited:unlimited") {
            return not_here("limit the size of files");
        }
        pdp.ask("default", "evaluation", &question()).await.is(200);
        assert!(limit("1:unlimited"));
        let first = pdp.ask("default", "evaluation", &question()).await;
        // One that need not be durable was answered before anybody could know; it is recorded later.
        let late = usize::from(first.status == 200);
        assert!(late == 0 || record == "buffered");
        becomes(&pdp.world, 503, "disk I/O error").await;
        let search = json!({ "subject": { "type": "user" }, "action": { "name": "read" },
            "resource": { "type": "record", "id": "record-1" } });
        let batch = json!({ "evaluations": [question()] });
        for (endpoint, call, body) in [
            ("evaluation", "evaluation", question()),
            ("evaluations", "evaluations", batch),
            ("search/subject", "search_subject", search),
        ] {
            let refused = pdp.ask("default", endpoint, &body).await.is(503);
            assert_eq!(refused.json()["error"], "unavailable");
            assert_eq!(refused.header("retry-after"), "1");
            assert!(refused.json().get("decision").is_none());
            let counted = format!("bailiwick_decisions_total{{call=\"{call}\",outcome=\"unavailable\"}} ");
            assert!(pdp.metrics().await.contains(&counted), "{call}");
        }
        assert!(limit("unlimited:unlimited"));
        becomes(&pdp.world, 200, "ready").await;
        pdp.ask("default", "evaluation", &question()).await.is(200);
        written(&pdp).await;
        let decided = pdp.decided();
        let numbers: Vec<_> = decided.iter().map(|decided| decided.seq).collect();
        assert_eq!(numbers, (1..=2 + late as u64).collect::<Vec<_>>(), "{record}");
    }
}
