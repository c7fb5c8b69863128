//! HTTP/2 connections, shared by requests. Each is driven by a task of its own, since it outlives every one of them.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, Version, header};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;
use transport::Stream;

use super::{chain, connect::refused_certificate};

/// The most requests at once on one connection, also where the server would take more (RFC 9113, section 5.1.2, advises
/// servers to take at least as many).
const STREAMS: usize = 100;
/// How much of a reply may be on its way, per stream. Replies that callers take slowly hold back no others.
const WINDOW: u32 = 128 * 1024;
/// How often the server of a reply that pauses is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// How often it is looked whether the server's settings are there.
const LOOK: Duration = Duration::from_millis(1);
/// The longest head of a reply.
const HEAD_BYTES: u32 = 64 * 1024;

/// A connection.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    load: Arc<Load>,
    used: Instant,
}

/// How much there is to do on a connection.
#[derive(Debug)]
struct Load {
    /// How many requests are open.
    open: AtomicUsize,
    /// How many the server takes, as it last said.
    most: AtomicUsize,
}

/// A request's place on a connection. The connection has room again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Load>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What sending a request came to.
pub(super) enum Sent {
    Reply(Response<Incoming>, Place),
    Unsent(Request<Full<Bytes>>, hyper::Error),
    Broken(hyper::Error),
}

impl Http2 {
    /// Begins to speak, and waits until the server has said how much it takes.
    pub(super) async fn begin(stream: Stream) -> Result<Self, String> {
        let window = u32::try_from(STREAMS).map_or(u32::MAX, |streams| WINDOW.saturating_mul(streams));
        let (sender, mut connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(window)
            .max_header_list_size(HEAD_BYTES)
            // Until the server's settings are there.
            .initial_max_send_streams(0)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| said(&error))?;
        // The settings are read by a task of hyper's, which wakes nobody for them. They come with the server's first bytes.
        let mut look = tokio::time::interval(LOOK);
        while connection.current_max_send_streams() == 0 {
            tokio::select! {
                ended = &mut connection => {
                    return Err(ended.map_or_else(|error| said(&error), |()| "it closed before it began".to_owned()));
                }
                _ = look.tick() => {}
            }
        }
        let load = Arc::new(Load {
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(connection.current_max_send_streams()),
        });
        let told = load.clone();
        // It ends when the last of its users is gone, or the server's ping stays unanswered.
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                told.most.store(connection.current_max_send_streams(), Relaxed);
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        Ok(Self {
            sender,
            load,
            used: Instant::now(),
        })
    }

    /// Whether it still takes requests: it does not once either side said that it closes (GOAWAY).
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether nobody has used it since.
    pub(super) fn is_unused_since(&self, since: Instant) -> bool {
        self.load.open.load(Relaxed) == 0 && self.used < since
    }

    /// Takes a place, if there is one.
    pub(super) fn take_place(&mut self) -> Option<(Self, Place)> {
        let place = Place(self.load.clone());
        let most = STREAMS.min(self.load.most.load(Relaxed));
        if self.load.open.fetch_add(1, Relaxed) >= most {
            return None;
        }
        self.used = Instant::now();
        Some((self.clone(), place))
    }

    pub(super) async fn send(mut self, place: Place, request: Request<Full<Bytes>>) -> Sent {
        // The server may say that it did not look at a request at all, when that has been handed over already.
        let copy = request.clone();
        match self.sender.try_send_request(request).await {
            Ok(response) => Sent::Reply(response, place),
            Err(mut error) => match error.take_message() {
                Some(request) => Sent::Unsent(request, error.into_error()),
                None => match error.into_error() {
                    error if was_refused(&error) => Sent::Unsent(copy, error),
                    error => Sent::Broken(error),
                },
            },
        }
    }
}

/// Why a connection did not begin.
fn said(error: &hyper::Error) -> String {
    refused_certificate(error).unwrap_or_else(|| chain(error))
}

/// Whether the server says that it did nothing with the request (RFC 9113, section 8.7).
fn was_refused(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<h2::Error>());
    causes.any(|error| error.is_remote() && error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Writes a request's head as HTTP/2 wants it (RFC 9113, section 8.3.1).
pub(super) fn address(request: &mut Request<Full<Bytes>>, uri: &Uri) {
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri.clone();
    request.headers_mut().remove(header::HOST);
}
