//! Callers that go away, half or whole, and callers that do not take what they asked for. In each the hold ends once, and
//! the outcome's entry says what happened.

use std::time::Duration;

use entry::{Event, Status};
use model::{Reason, UsageSource};
use tokio::io::AsyncWriteExt as _;

use crate::{
    harness::{Harness, Setup},
    raw::Raw,
};

/// A chat completion as bytes.
fn chat(harness: &Harness, script: &str, extra: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hello there"}}],"max_tokens":50{extra}}}"#
    );
    let (key, length) = (&harness.key, body.len());
    format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nfake-script: \
         {script}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

const STREAM: &str = r#","stream":true"#;

/// That there are as many outcomes as intents, one for each, and nothing else of theirs.
async fn each_ended_once(harness: &Harness, count: usize) -> Vec<entry::Outcome> {
    let outcomes = harness.outcomes(count).await;
    let intents = harness
        .entries()
        .await
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Intent(intent) => Some(intent.action.id),
            _ => None,
        });
    let mut ended: Vec<_> = outcomes.iter().map(|outcome| outcome.action).collect();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!((intents.count(), outcomes.len(), ended.len()), (count, count, count));
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_before_the_request_was_whole() {
    let harness = Harness::start().await;
    let whole = chat(&harness, "", "");
    let body = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    // Without a head nobody asked for anything.
    for length in [0, 1, 40, body - 1] {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&whole[..length]).await;
    }
    for (number, length) in (1..).zip([body, body + 1, whole.len() - 1]) {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&whole[..length]).await;
        drop(raw);
        let denials = harness.denied(number).await;
        assert_eq!(denials.last().unwrap().reason, Reason::InvalidRequest);
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    assert_eq!(harness.denials().await.len(), 3);
    harness.finish().await;
}

/// The connection ends with the request, before anybody can have answered. Whatever had begun by then ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_as_soon_as_it_was_asked() {
    let harness = Harness::start().await;
    for number in 0..60 {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&chat(&harness, "hang", if number % 2 == 0 { "" } else { STREAM }))
            .await;
        // Some wait a little, so that different steps are the last.
        for _ in 0..number * 20 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    let state = harness.finish().await;
    assert!(state.open.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_before_the_first_byte() {
    let harness = Harness::start().await;
    // No head; the head of a document without its first byte; half of it.
    for (number, (script, extra)) in (1..).zip([
        ("hang", ""),
        ("hang", STREAM),
        ("hang-after=0", ""),
        ("hang-after=1", ""),
    ]) {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&chat(&harness, script, extra)).await;
        harness.provider.calls().wait_for(number).await;
        drop(raw);
        harness.provider.calls().wait_finished(number).await;
        let outcomes = each_ended_once(&harness, usize::try_from(number).unwrap()).await;
        let outcome = outcomes.last().unwrap();
        assert_eq!(
            (outcome.status, outcome.source),
            (Status::ClientGone, UsageSource::Hold),
            "{script}"
        );
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_at_each_event() {
    let harness = Harness::start().await;
    for events in 1..=8 {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&chat(&harness, &format!("events=12; hang-after={events}"), STREAM))
            .await;
        assert!(raw.take_head().await.unwrap().starts_with("HTTP/1.1 200 "));
        let mut seen = Vec::new();
        while seen.windows(6).filter(|part| part == b"data: ").count() < events {
            seen.extend(raw.chunk().await.unwrap());
        }
        drop(raw);
        let outcomes = each_ended_once(&harness, events).await;
        let outcome = outcomes.last().unwrap();
        assert_eq!(
            (outcome.status, outcome.source),
            (Status::ClientGone, UsageSource::Hold),
            "{events}"
        );
        assert_eq!(outcome.bytes, u64::try_from(seen.len()).unwrap(), "{events}");
        harness
            .provider
            .calls()
            .wait_finished(u64::try_from(events).unwrap())
            .await;
    }
    harness.finish().await;
}

/// The reply had come whole and was only not taken: what it used is known, and that is what it costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_behind_the_last_event() {
    let harness = Harness::start().await;
    let mut raw = Raw::connect(&harness).await;
    raw.send(&chat(&harness, "", STREAM)).await;
    let outcome = each_ended_once(&harness, 1).await.pop().unwrap();
    drop(raw);
    assert_eq!((outcome.status, outcome.source), (Status::Ok, UsageSource::Provider));
    harness.finish().await;
}

/// A caller that says that it will send nothing more looks like one that has gone. It is answered, or the call ends and
/// is booked: never neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_while_it_waits() {
    let harness = Harness::start().await;
    for (number, (script, extra)) in (1..).zip([
        ("latency=100ms", ""),
        ("latency=100ms", STREAM),
        ("chunk-delay=5ms", STREAM),
    ]) {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&chat(&harness, script, extra)).await;
        harness.provider.calls().wait_for(u64::try_from(number).unwrap()).await;
        raw.stream.shutdown().await.unwrap();
        let reply = raw.reply().await;
        let answered = reply.is_some_and(|reply| reply.status == 200 && reply.whole);
        let outcome = each_ended_once(&harness, number).await.pop().unwrap();
        let expected = if answered {
            (Status::Ok, UsageSource::Provider)
        } else {
            (Status::ClientGone, UsageSource::Hold)
        };
        assert_eq!((outcome.status, outcome.source), expected, "{script}");
    }
    harness.finish().await;
}

/// What is not taken is not fetched: the provider is held up, and after the time that an idle reply has, the call ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_never_reads_holds_the_provider_up() {
    let limits = control::Limits {
        idle_timeout: Duration::from_millis(300),
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limit: "100 USD",
        limits,
        ..Setup::default()
    })
    .await;
    let mut raw = Raw::connect(&harness).await;
    let extra = r#","stream":true,"max_completion_tokens":10000000"#;
    raw.send(&chat(&harness, "events=200000; bytes=1000", extra)).await;
    let outcome = each_ended_once(&harness, 1).await.pop().unwrap();
    assert_eq!(
        (outcome.status, outcome.source),
        (Status::ClientGone, UsageSource::Hold)
    );
    // What the sockets between them hold, and not the 200 MB that were to come.
    assert!(outcome.bytes < 50_000_000, "{} bytes", outcome.bytes);
    harness.provider.calls().wait_finished(1).await;
    let call = harness.provider.calls().snapshot().pop().unwrap();
    assert_eq!(call.finished, fake::Finished::ClientGone);
    assert!(call.delivered_events < 100_000, "{} events", call.delivered_events);
    drop(raw);
    harness.finish().await;
}

/// A connection on which nothing happens, or half a head, ends by itself; so does one that was used before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_ends() {
    let limits = control::Limits {
        head_timeout: Duration::from_millis(300),
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut idle = Vec::new();
    for number in 0..60 {
        let mut raw = Raw::connect(&harness).await;
        let sent: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: ",
            _ => b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n",
        };
        raw.send(sent).await;
        if number % 3 == 2 {
            assert_eq!(raw.reply().await.unwrap().text(), "ok\n");
        }
        idle.push(raw);
    }
    // A call that takes longer than that is not idle.
    let (status, ..) = harness.call(Harness::scripted(harness.chat(""), "latency=600ms")).await;
    assert_eq!(status, 200);
    for raw in &mut idle {
        assert!(raw.closed().await);
    }
    harness.outcomes(1).await;
    harness.finish().await;
}
