//! An outgoing HTTP/1.1 client for small exchanges: every wait and every answer is bounded, redirects are not followed.
//!
//! What agents say to upstreams does not go through here: streams, pools, proxies and HTTP/2 are the gateway's.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::{
    task::JoinHandle,
    time::{Instant as Deadline, timeout_at},
};

use crate::Stream;

/// The longest head of an answer, in bytes.
const HEAD: usize = 64 * 1024;
/// How long a connection that nobody uses is kept: less than what servers usually close after.
const IDLE: Duration = Duration::from_secs(3);

/// How much of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long connecting may take, the TLS handshake included.
    pub connect: Duration,
    /// How long an exchange may take in all, connecting included.
    pub exchange: Duration,
    /// The longest body of an answer, in bytes.
    pub answer: usize,
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the address, or it has none.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke off: {}", chain(.0))]
    Broken(#[source] hyper::Error),
    /// The answer's body is longer than its bound.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// It took longer than its bound.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
}

impl ClientError {
    /// Whether the connection ended because the server wants to be shown a certificate (RFC 8446, section 6.2).
    pub fn wants_certificate(&self) -> bool {
        use rustls::{AlertDescription as Alert, Error};
        let wanted = |error: &Error| matches!(error, Error::AlertReceived(Alert::CertificateRequired));
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            // An I/O error hides the error that it wraps: its source is that error's source.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let inner = inner.and_then(|inner| inner.downcast_ref::<Error>());
            if inner.or(error.downcast_ref()).is_some_and(wanted) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// hyper's own text leaves out what it was caused by.
fn chain(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// An answer whose head came.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or why not all of it came. Whoever only asks for a status may do without.
    pub body: Result<Bytes, ClientError>,
}

/// A client of one server. It keeps one connection for a moment between exchanges; exchanges at the same time have one
/// each.
#[derive(Debug)]
pub struct Client {
    base: Uri,
    tls: Option<Arc<ClientConfig>>,
    bounds: Bounds,
    idle: Mutex<Option<(Instant, Connection)>>,
}

impl Client {
    /// Of the server at `base`, of which scheme, host and port count. It is reached with TLS exactly if there is a
    /// configuration for it, whatever the scheme; that configuration should offer [`HTTP_1`](crate::tls::HTTP_1) or nothing.
    pub fn new(base: Uri, tls: Option<Arc<ClientConfig>>, bounds: Bounds) -> Self {
        Self {
            base,
            tls,
            bounds,
            idle: Mutex::default(),
        }
    }

    /// The server.
    pub fn base(&self) -> &Uri {
        &self.base
    }

    /// Whether it is reached with TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Sends a request, whose URI is a path with or without a query, and reads the answer. The `host` header is added.
    /// Dropped before its end, it closes the connection.
    ///
    /// # Errors
    /// When there is no answer. Whether the request was acted upon is unknown then, unless there was no connection.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, ClientError> {
        self.send_within(self.bounds.exchange, request).await
    }

    /// The same with a bound of its own for the whole exchange.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_within(&self, most: Duration, request: Request<Bytes>) -> Result<Answer, ClientError> {
        let by = Deadline::now() + most;
        let late = |_| ClientError::Late(most);
        let (mut connection, response) = timeout_at(by, self.exchange(request)).await.map_err(late)??;
        let (head, body) = response.into_parts();
        let read = timeout_at(by, self.read(body)).await.map_err(late);
        let body = read.and_then(|read| read);
        // The rest of a body that nobody reads would be taken for the next answer.
        if body.is_ok() && timeout_at(by, connection.sender.ready()).await.is_ok_and(|r| r.is_ok()) {
            *self.lock() = Some((Instant::now(), connection));
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Until the head of the answer.
    async fn exchange(&self, request: Request<Bytes>) -> Result<(Connection, Response<Incoming>), ClientError> {
        let mut request = request.map(Full::new);
        if let Some(host) = self.base.authority().map(http::uri::Authority::as_str)
            && let Ok(host) = HeaderValue::from_str(host)
        {
            request.headers_mut().entry(header::HOST).or_insert(host);
        }
        let kept = self.lock().take();
        if let Some((since, mut connection)) = kept
            && since.elapsed() < IDLE
        {
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut error) => match error.take_message() {
                    // Nothing of it left: the connection had been closed meanwhile.
                    Some(unsent) => request = unsent,
                    None => return Err(ClientError::Broken(error.into_error())),
                },
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.sender.send_request(request).await;
        Ok((connection, response.map_err(ClientError::Broken)?))
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let host = self.base.host().unwrap_or_default();
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.base.port_u16().unwrap_or(usual);
        let connecting = Stream::connect(host, port, self.tls.clone());
        let stream = match tokio::time::timeout(self.bounds.connect, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                return Err(ClientError::Tls(error));
            }
            Ok(Err(error)) => return Err(ClientError::Connect(error)),
            Err(_) => {
                let text = format!("not within {} ms", self.bounds.connect.as_millis());
                return Err(ClientError::Connect(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
        };
        let begun = Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = begun.map_err(ClientError::Broken)?;
        let task = tokio::spawn(async move {
            // Whoever waits for the answer is told why there is none.
            let _ = connection.await;
        });
        Ok(Connection { sender, task })
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, ClientError> {
        match Limited::new(body, self.bounds.answer).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLong(self.bounds.answer)),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(ClientError::Broken(*error)),
                Err(_) => Err(ClientError::TooLong(self.bounds.answer)),
            },
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Connection)>> {
        // A thread that panicked left nothing half-done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection and the task that drives it, which ends with it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
