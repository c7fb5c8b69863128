//! One connection, from its first byte to its last.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{HttpService, Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{io::AsyncReadExt as _, net::TcpStream, sync::watch, time::Instant};
use tokio_rustls::TlsAcceptor;

use crate::{
    Settings, Stream,
    linger::{Lingering, Unread},
    listener::Phase,
    patience::Patient,
    tls::{self, ServerTls},
    unreadable::{Instead, Unreadable},
    watched::{Streams, Tasks},
};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What a client sends first that speaks HTTP/2 with prior knowledge (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a quiet HTTP/2 connection is asked whether its peer is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// How much of a request's body may be on its way on an HTTP/2 connection: per stream.
const WINDOW: u32 = 256 * 1024;
/// How much of a reply is taken from it before its caller has room for it, per stream: a frame's worth of what passes.
const SEND_BUFFER: usize = 64 * 1024;
/// How often an HTTP/2 connection is looked after, at the most and at the least.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// SHA-256 of the certificate (DER) that a caller has shown. An extension of its requests; the handshake has checked that
/// it comes from an authority that is trusted, and that the caller has its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub [u8; 32]);

impl PeerCertificate {
    fn of(stream: &Stream) -> Option<Self> {
        let hash = digest(&SHA256, stream.peer_certificate()?);
        hash.as_ref().first_chunk().copied().map(Self)
    }

    /// Notes on a request who sent it. One that no certificate stands behind stays as it is.
    fn note<B>(peer: Option<Self>, mut request: Request<B>) -> Request<B> {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request
    }
}

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Serving<S> {
    pub(crate) settings: Settings,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) service: S,
    /// What is said to peers whose requests are no HTTP/1.1.
    pub(crate) instead: Option<Instead>,
}

/// Serves one connection to its end, or until it is told to end.
pub(crate) async fn serve<S, B>(tcp: TcpStream, serving: Arc<Serving<S>>, mut phase: watch::Receiver<Phase>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Each event of a stream leaves when it is written, not when the one before was acknowledged.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let begun = tokio::select! {
        // Boxed: a handshake is large and short, and the connection would have room for it as long as it lasts.
        begun = Box::pin(begin(tcp, &serving)) => begun,
        // Nothing was asked yet.
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
    };
    let (stream, is_h2) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            tracing::debug!(%error, "a connection did not begin");
            return;
        }
    };
    let settings = &serving.settings;
    let peer = PeerCertificate::of(&stream);
    let stream = Patient::new(stream, settings.patience);
    let ended = if is_h2 {
        let io = TokioIo::new(stream);
        let streams = Streams::new();
        let (service, watching) = (serving.service.clone(), streams.clone());
        let watched = service_fn(move |request| {
            let request = PeerCertificate::note(peer, request);
            let (answer, open, streams) = (service.call(request), watching.open(), watching.clone());
            async move {
                answer
                    .await
                    .map(|response| response.map(|body| streams.watch(body, open)))
            }
        });
        let connection = Box::pin(http_2(settings).serve_connection(io, watched));
        drive(connection, &mut phase, Some((&streams, settings))).await
    } else {
        let unread = Arc::new(AtomicBool::new(false));
        let stream = Lingering::new(stream, unread.clone());
        let io = TokioIo::new(Unreadable::new(stream, serving.instead.clone()));
        let service = serving.service.clone();
        let noting = service_fn(move |request| {
            let answer = names_its_host(&request).then(|| service.call(PeerCertificate::note(peer, request)));
            let unread = unread.clone();
            async move {
                let Some(answer) = answer else {
                    unread.store(true, Relaxed);
                    return Ok(malformed());
                };
                let response = answer.await?;
                unread.fetch_or(response.extensions().get::<Unread>().is_some(), Relaxed);
                Ok::<_, S::Error>(response.map(|body| Answer::Given(Box::pin(body))))
            }
        });
        // Boxed: every future around it would have room for it twice, once given and once awaited.
        let connection = Box::pin(http_1(settings).serve_connection(io, noting));
        drive(connection, &mut phase, None).await
    };
    // A caller that breaks off or sends nonsense is answered by hyper, and of no further interest.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Whether there is one `Host`, as HTTP/1.1 requires (RFC 9112, section 3.2). HTTP/1.0 knows no such header.
fn names_its_host<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_11 || request.headers().get_all(header::HOST).iter().count() == 1
}

/// What hyper itself says to what it cannot read, which [`Unreadable`] exchanges for the words of the listener's owner.
fn malformed<B>() -> Response<Answer<B>> {
    let mut response = Response::new(Answer::None);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The body of a reply on HTTP/1.1.
enum Answer<B> {
    /// The service's.
    Given(Pin<Box<B>>),
    /// There is none.
    None,
}

/// The TLS handshake, where there is one, and which protocol is spoken.
async fn begin<S>(tcp: TcpStream, serving: &Serving<S>) -> io::Result<(Stream, bool)> {
    let stream = match &serving.tls {
        Some(tls) => {
            let handshake = TlsAcceptor::from(tls.current()).accept(tcp);
            let stream = tokio::time::timeout(HANDSHAKE, handshake).await;
            Stream::tls(stream.map_err(|_| late("the TLS handshake"))??.into())
        }
        None => Stream::plain(tcp),
    };
    if stream.is_tls() {
        let is_h2 = stream.alpn() == Some(tls::H2);
        return Ok((stream, is_h2));
    }
    let read = tokio::time::timeout(serving.settings.head_timeout, preface(stream)).await;
    read.map_err(|_| late("the first request"))?
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} took too long"))
}

/// Reads until it is known whether the client begins with the preface of HTTP/2.
async fn preface(mut stream: Stream) -> io::Result<(Stream, bool)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let more = PREFACE.len() - read.len();
        let mut part = (&mut stream).take(u64::try_from(more).unwrap_or(0));
        if part.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    let is_h2 = &read[..] == PREFACE;
    Ok((stream.after(read.freeze()), is_h2))
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut *self {
            Self::Given(body) => body.as_mut().poll_frame(cx),
            Self::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Given(body) => body.is_end_stream(),
            Self::None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Given(body) => body.size_hint(),
            Self::None => SizeHint::with_exact(0),
        }
    }
}

fn http_1(settings: &Settings) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_buf_size(settings.head_bytes);
    http
}

fn http_2(settings: &Settings) -> http2::Builder<Tasks> {
    let mut http = http2::Builder::new(Tasks);
    http.timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(settings.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(settings.streams)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(WINDOW)
        // No request waits because others are not read.
        .initial_connection_window_size(WINDOW.saturating_mul(settings.streams))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    http
}

/// A connection that can be told to finish.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> Graceful for http1::Connection<I, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Graceful for http2::Connection<I, S, Tasks>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive(
    mut connection: Pin<Box<impl Graceful>>,
    phase: &mut watch::Receiver<Phase>,
    streams: Option<(&Arc<Streams>, &Settings)>,
) -> hyper::Result<()> {
    let patience = streams.map_or(LOOK.1, |(_, settings)| settings.patience);
    let mut look = tokio::time::interval((patience / 4).clamp(LOOK.0, LOOK.1));
    let mut busy = Instant::now();
    let (mut finishing, mut draining, mut left) = (false, false, false);
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            told = phase.wait_for(|phase| *phase == Phase::Closed || (*phase == Phase::Draining && !draining)), if !left => {
                match told.map(|phase| *phase) {
                    Ok(Phase::Closed) => return Ok(()),
                    Ok(_) => draining = true,
                    // The owner is gone, so nobody will say when time is up.
                    Err(_) => left = true,
                }
                if !finishing {
                    (finishing, busy) = (true, Instant::now());
                    connection.as_mut().finish();
                }
            }
            now = look.tick(), if streams.is_some() => {
                let Some((streams, settings)) = streams else { continue };
                streams.drop_stalled(settings.patience);
                let quiet = now.saturating_duration_since(busy);
                if !streams.is_quiet() {
                    busy = now;
                } else if finishing && quiet > settings.patience {
                    // What is still to be written waits for a window that the caller does not grant.
                    tracing::debug!("a caller did not let its connection finish");
                    return Ok(());
                } else if !finishing && quiet > settings.head_timeout {
                    (finishing, busy) = (true, now);
                    connection.as_mut().finish();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
