//! A closed-loop load generator: so many connections, each sending its next request when the last was answered.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Uri, uri::Authority};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// What to send, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to.
    pub url: Uri,
    /// The bearer credential.
    pub key: String,
    /// The bodies of the requests, sent in turn; never none.
    pub bodies: Vec<Bytes>,
    /// How many connections.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
}

/// What came of it. Times in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Requests answered with a success.
    pub answered: u64,
    /// Requests answered otherwise or not at all.
    pub failed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Requests a second.
    pub rate: f64,
    /// Median time to the last byte.
    pub p50_us: u64,
    /// 99th percentile of the time to the last byte.
    pub p99_us: u64,
    /// Median time to the first byte of the body.
    pub first_p50_us: u64,
    /// 99th percentile of the time to the first byte of the body.
    pub first_p99_us: u64,
}

#[derive(Default)]
struct Samples {
    first: Vec<u64>,
    last: Vec<u64>,
    failed: u64,
}

/// Runs a plan.
pub async fn run(plan: &Plan) -> io::Result<Report> {
    let started = Instant::now();
    let until = started + plan.duration;
    let workers: Vec<_> = (0..plan.connections)
        .map(|number| tokio::spawn(connection(plan.clone(), number, until)))
        .collect();
    let mut all = Samples::default();
    for worker in workers {
        let samples = worker.await.map_err(io::Error::other)??;
        all.first.extend(samples.first);
        all.last.extend(samples.last);
        all.failed += samples.failed;
    }
    let seconds = started.elapsed().as_secs_f64();
    all.first.sort_unstable();
    all.last.sort_unstable();
    let answered = u64::try_from(all.last.len()).unwrap_or(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = answered as f64 / seconds;
    Ok(Report {
        answered,
        failed: all.failed,
        seconds,
        rate,
        p50_us: percentile(&all.last, 50),
        p99_us: percentile(&all.last, 99),
        first_p50_us: percentile(&all.first, 50),
        first_p99_us: percentile(&all.first, 99),
    })
}

/// The value below which `percent` of the sorted values lie.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0)
}

async fn connect(url: &Uri) -> io::Result<(Authority, http1::SendRequest<Full<Bytes>>)> {
    let authority = url
        .authority()
        .ok_or_else(|| io::Error::other("the URL names no host"))?;
    let stream = TcpStream::connect(authority.as_str()).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok((authority.clone(), sender))
}

fn request(plan: &Plan, authority: &Authority, number: usize) -> io::Result<Request<Full<Bytes>>> {
    let body = plan.bodies.get(number % plan.bodies.len().max(1)).cloned();
    let path = plan.url.path_and_query().map_or("/", |path| path.as_str());
    Request::post(path)
        .header("host", authority.as_str())
        .header("authorization", format!("Bearer {}", plan.key))
        .header("content-type", "application/json")
        .body(Full::new(body.unwrap_or_default()))
        .map_err(io::Error::other)
}

async fn connection(plan: Plan, first: usize, until: Instant) -> io::Result<Samples> {
    let (authority, mut sender) = connect(&plan.url).await?;
    let mut samples = Samples::default();
    // Connections begin at different bodies.
    let mut number = first * 61;
    while Instant::now() < until {
        let request = request(&plan, &authority, number)?;
        number += 1;
        // The end of a stream may be read before its connection is free again.
        sender.ready().await.map_err(io::Error::other)?;
        let sent = Instant::now();
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let ok = response.status().is_success();
        let mut body = response.into_body();
        let mut first = None;
        while let Some(frame) = body.frame().await {
            frame.map_err(io::Error::other)?;
            first.get_or_insert_with(|| sent.elapsed());
        }
        if ok {
            samples.first.push(micros(first.unwrap_or_default()));
            samples.last.push(micros(sent.elapsed()));
        } else {
            samples.failed += 1;
        }
    }
    Ok(samples)
}

/// Streams that were begun and are neither read on nor left.
#[derive(Debug)]
pub struct Held {
    streams: Vec<hyper::body::Incoming>,
}

impl Held {
    /// How many.
    pub fn count(&self) -> usize {
        self.streams.len()
    }
}

/// Opens one stream on each connection, waits for the first event of each, and holds them all.
pub async fn hold(plan: &Plan, script: &str) -> io::Result<Held> {
    let mut streams = Vec::new();
    let opening = tokio::sync::Semaphore::new(OPENING);
    let opening = std::sync::Arc::new(opening);
    let tasks: Vec<_> = (0..plan.connections)
        .map(|_| {
            let (plan, script, opening) = (plan.clone(), script.to_owned(), opening.clone());
            tokio::spawn(async move {
                let _turn = opening.acquire().await.map_err(io::Error::other)?;
                held(plan, &script).await
            })
        })
        .collect();
    for task in tasks {
        streams.push(task.await.map_err(io::Error::other)??);
    }
    Ok(Held { streams })
}

/// How many streams are opened at the same time: the listeners' queues are no longer.
const OPENING: usize = 64;

async fn held(plan: Plan, script: &str) -> io::Result<hyper::body::Incoming> {
    let (authority, mut sender) = connect(&plan.url).await?;
    let request = request(&plan, &authority, 0)?;
    let (mut head, body) = request.into_parts();
    let script = script.parse().map_err(io::Error::other)?;
    head.headers.insert("fake-script", script);
    let sent = sender.send_request(Request::from_parts(head, body)).await;
    let response = sent.map_err(io::Error::other)?;
    if !response.status().is_success() {
        return Err(io::Error::other(format!("answered with {}", response.status())));
    }
    let mut body = response.into_body();
    match body.frame().await {
        Some(Ok(_)) => Ok(body),
        _ => Err(io::Error::other("a stream ended before its first event")),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_many() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[7], 99), 7);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (51, 100));
    }
}
