//! Connections to upstreams. Nothing here knows what is sent, or who pays for it.
//!
//! `origin.rs` keeps the connections to one origin, `connect.rs` makes them (`guard.rs` says where to, `proxy.rs` through
//! what), `http1.rs` and `http2.rs` are what is spoken on them, `body.rs` is the body of a reply. `turn.rs` lets a
//! connection and the reply on it share a task.

mod body;
mod connect;
mod guard;
mod http1;
mod http2;
mod origin;
mod proxy;
mod turn;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use control::{Transport, UpstreamSpec};
use http::{Request, Response, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout_at};
use transport::tls::{self, Trust};

pub(crate) use body::UpstreamBody;

use self::{
    http1::Http1,
    http2::{Http2, Place},
    origin::{Key, Opened, Origin},
};

/// How often connections that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// Why no reply came. The text is for the operator's log.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection could be made, or the upstream did nothing with the request: it was not used.
    Connect(String),
    /// The connection broke. Whether the request arrived is not known.
    Broken(String),
    /// The head of the reply did not come in time.
    Late,
}

/// How long sending may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// To connect.
    pub(crate) connect: Duration,
    /// From a connection to the head of the reply.
    pub(crate) first_byte: Duration,
    /// In all.
    pub(crate) deadline: Instant,
}

type Origins = Mutex<HashMap<Key, Arc<Origin>>>;

/// Connections to all upstreams.
#[derive(Clone)]
pub(crate) struct Upstreams {
    origins: Arc<Origins>,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

/// What sending on one connection came to.
enum Sent {
    Reply(Response<UpstreamBody>),
    Unsent(Request<Full<Bytes>>, String),
    Broken(hyper::Error),
}

impl Patience {
    /// When the head of a reply to a request that is sent now must have come.
    fn head(&self) -> Instant {
        self.deadline.min(Instant::now() + self.first_byte)
    }
}

impl Upstreams {
    /// Must be called on a tokio runtime.
    pub(crate) fn new() -> Self {
        let origins = Arc::default();
        tokio::spawn(sweep(Arc::downgrade(&origins)));
        Self { origins }
    }

    /// Sends a request whose URI is whole, and waits for the head of the reply. Dropped, it gives the attempt up: the
    /// connection is closed, or its stream reset.
    ///
    /// A request goes out once. Only one that provably was not looked at, because its connection had been closed, goes to
    /// another connection.
    pub(crate) async fn send(
        &self,
        upstream: &UpstreamSpec,
        request: Request<Full<Bytes>>,
        patience: Patience,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let uri = request.uri().clone();
        let origin = self.origin(&uri, upstream).map_err(SendError::Connect)?;
        let mut request = request;
        let kept = match origin.place() {
            Some((connection, place)) => Some(Opened::Http2(connection, place)),
            None => origin.idle().await.map(Opened::Http1),
        };
        if let Some(kept) = kept {
            match timeout_at(patience.head(), send_on(kept, &origin, &uri, request)).await {
                Err(_) => return Err(SendError::Late),
                Ok(Sent::Reply(reply)) => return Ok(reply),
                Ok(Sent::Unsent(back, _)) => request = back,
                Ok(Sent::Broken(error)) => return Err(SendError::Broken(chain(&error))),
            }
        }
        // A request that has no connection yet was not sent, however late it is.
        let due = patience.deadline.min(Instant::now() + patience.connect);
        let opened = timeout_at(due, origin.open()).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no connection within {:?}", patience.connect)));
        let opened = opened.map_err(SendError::Connect)?;
        match timeout_at(patience.head(), send_on(opened, &origin, &uri, request)).await {
            Err(_) => Err(SendError::Late),
            Ok(Sent::Reply(reply)) => Ok(reply),
            Ok(Sent::Unsent(_, error)) => Err(SendError::Connect(error)),
            Ok(Sent::Broken(error)) => Err(match connect::refused_certificate(&error) {
                Some(text) => SendError::Connect(text),
                None => SendError::Broken(chain(&error)),
            }),
        }
    }

    fn origin(&self, uri: &Uri, upstream: &UpstreamSpec) -> Result<Arc<Origin>, String> {
        let key = Key::of(uri, upstream).ok_or("its URL is neither of http nor of https")?;
        if let Some(origin) = self.lock().get(&key) {
            return Ok(origin.clone());
        }
        let origin = Arc::new(Origin::new(&key, &upstream.transport)?);
        Ok(self.lock().entry(key).or_insert(origin).clone())
    }

    // A thread that panicked left nothing half-done in it.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Origin>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that nobody uses, and forgets origins without any, as long as there are upstreams.
async fn sweep(origins: Weak<Origins>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(origins) = origins.upgrade() else { return };
        let mut origins = origins.lock().unwrap_or_else(PoisonError::into_inner);
        // One that a call uses has another owner.
        origins.retain(|_, origin| origin.sweep() || Arc::strong_count(origin) > 1);
    }
}

async fn send_on(connection: Opened, origin: &Arc<Origin>, uri: &Uri, request: Request<Full<Bytes>>) -> Sent {
    match connection {
        Opened::Http1(connection) => send_http1(connection, origin, uri, request).await,
        Opened::Http2(connection, place) => send_http2(connection, place, uri, request).await,
    }
}

async fn send_http1(connection: Http1, origin: &Arc<Origin>, uri: &Uri, mut request: Request<Full<Bytes>>) -> Sent {
    let (whole, credential) = origin.absolute_form();
    http1::address(&mut request, uri, credential, whole);
    match connection.send(request).await {
        http1::Sent::Reply(reply, connection) => {
            Sent::Reply(reply.map(|body| UpstreamBody::http1(body, connection, origin.clone())))
        }
        http1::Sent::Unsent(request, error) => Sent::Unsent(request, chain(&error)),
        http1::Sent::Broken(error) => Sent::Broken(error),
    }
}

async fn send_http2(connection: Http2, place: Place, uri: &Uri, mut request: Request<Full<Bytes>>) -> Sent {
    http2::address(&mut request, uri);
    match connection.send(place, request).await {
        http2::Sent::Reply(reply, place) => Sent::Reply(reply.map(|body| UpstreamBody::http2(body, place))),
        http2::Sent::Unsent(request, error) => Sent::Unsent(request, chain(&error)),
        http2::Sent::Broken(error) => Sent::Broken(error),
    }
}

/// TLS as a declaration wants it.
fn client_tls(transport: &Transport) -> Result<Arc<ClientConfig>, String> {
    let declared = transport.declared();
    let alpn: &[&[u8]] = match declared.http2 {
        control::Http2::Auto => &[tls::H2, tls::HTTP_1],
        control::Http2::Always => &[tls::H2],
        control::Http2::Never => &[tls::HTTP_1],
    };
    let identity = declared.identity.as_ref();
    let made = tls::client(&tls::Client {
        trust: match &declared.ca {
            Some(pem) => Trust::Authorities(pem.as_bytes()),
            None => Trust::Public,
        },
        identity: identity.map(|identity| (identity.certificate.as_bytes(), identity.key.expose_secret().as_bytes())),
        alpn,
    });
    made.map_err(|error| error.to_string())
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
