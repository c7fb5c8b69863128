//! What callers can make the server hold in memory. Measured on a process of its own.

use std::{
    fs,
    io::ErrorKind,
    time::{Duration, Instant},
};

use entry::{Event, Status};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Agent, World, chat};

/// A figure of the server's `/proc/PID/status`, in KiB.
fn figure(world: &World, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// The most memory it ever had.
fn peak(world: &World) -> u64 {
    figure(world, "VmHWM:")
}

async fn connect(world: &World) -> TcpStream {
    let address = world.agents_url().trim_start_matches("http://");
    TcpStream::connect(address).await.unwrap()
}

fn head(key: &str, headers: &str) -> String {
    format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-type: \
         application/json\r\n{headers}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_100_mb_is_not_kept() {
    let world = World::builder()
        .configuration("[limits]\nrequest_size = \"1MiB\"\n")
        .start()
        .await;
    let key = world.key("worker");
    for _ in 0..20 {
        world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    }
    let before = peak(&world);
    let piece = [b' '; 100_000];
    for in_chunks in [false, true, false, true] {
        let mut stream = connect(&world).await;
        let headers = match in_chunks {
            true => "transfer-encoding: chunked\r\n".to_owned(),
            false => "content-length: 100000000\r\n".to_owned(),
        };
        stream.write_all(head(&key, &headers).as_bytes()).await.unwrap();
        for _ in 0..1_000 {
            if in_chunks {
                stream.write_all(b"186a0\r\n").await.unwrap();
            }
            stream.write_all(&piece).await.unwrap();
            if in_chunks {
                stream.write_all(b"\r\n").await.unwrap();
            }
        }
        let mut answer = Vec::new();
        // All was taken, and the answer is there although nothing was read before.
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 413 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let grown = peak(&world) - before;
    assert!(grown < 8 * 1024, "it grew by {grown} KiB");
    assert_eq!(world.calls().count().received, 20);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_never_read_hold_no_memory() {
    const CALLERS: usize = 20;
    let world = World::builder()
        .agent(Agent::new("worker", "1000 USD"))
        .configuration("[timeouts]\nidle = \"1s\"\n")
        .start()
        .await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let before = peak(&world);
    let body =
        r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"stream":true,"max_tokens":10000000}"#;
    let headers = format!(
        "fake-script: events=200000; bytes=1000\r\ncontent-length: {}\r\n",
        body.len()
    );
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let mut stream = connect(&world).await;
        stream
            .write_all(format!("{}{body}", head(&key, &headers)).as_bytes())
            .await
            .unwrap();
        callers.push(stream);
    }
    // 4 GB are on offer. The calls end because nothing of it is taken any more, while the callers are still there.
    world.calls().wait_finished(u64::try_from(CALLERS).unwrap() + 1).await;
    world.settled().await;
    let grown = peak(&world) - before;
    assert!(grown < 1024 * u64::try_from(CALLERS).unwrap(), "it grew by {grown} KiB");
    let outcomes = world
        .entries("default")
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Outcome(outcome) => Some(outcome.status),
            _ => None,
        });
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(
        outcomes.iter().filter(|status| **status == Status::ClientGone).count(),
        CALLERS,
        "{outcomes:?}"
    );
    drop(callers);
}

/// As many as 5,000, or as many files as this process may have open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_are_cheap_and_end() {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .unwrap();
    let files: usize = files.split_whitespace().next().unwrap().parse().unwrap_or(1_000_000);
    let count = 5_000.min(files.saturating_sub(300));
    let world = World::builder()
        .configuration("[timeouts]\nhead = \"10s\"\n")
        .start()
        .await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let before = figure(&world, "VmRSS:");
    let mut idle = Vec::new();
    for number in 0..count {
        let mut stream = connect(&world).await;
        if number % 2 == 1 {
            // Half a head, which has to be kept.
            stream.write_all(head(&key, "").trim_end().as_bytes()).await.unwrap();
        }
        idle.push(stream);
    }
    // Accepted after all of these, so all of these are there; and it does not wait behind them.
    let started = Instant::now();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let answered = started.elapsed();
    let bytes = (figure(&world, "VmRSS:").saturating_sub(before)) * 1024 / u64::try_from(count).unwrap();
    println!("{count} connections, {bytes} bytes each; a call beside them took {answered:?}");
    let open = |stream: &TcpStream| {
        stream
            .try_read(&mut [0])
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    assert!(idle.iter().all(open), "they were not open at once");
    assert!(bytes < 24 * 1024, "{bytes} bytes for each of {count} connections");
    assert!(answered < Duration::from_secs(2), "a call took {answered:?}");
    for mut stream in idle {
        let mut rest = Vec::new();
        assert!(
            matches!(stream.read_to_end(&mut rest).await, Ok(0) | Err(_)),
            "{rest:?}"
        );
    }
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
}
