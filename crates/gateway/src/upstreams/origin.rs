//! One origin as one declaration reaches it, and the connections to it that can be used again.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use control::{Fingerprint, Proxy, Transport, UpstreamSpec};
use http::{HeaderValue, Uri};
use rustls::ClientConfig;
use tokio::time::Instant;
use transport::{Stream, tls};

use super::{
    connect::connect,
    http1::Http1,
    http2::{Http2, Place},
    proxy,
};

/// An unused connection is closed after this time: before most servers close theirs, so that a request does not meet a
/// connection that is being closed.
const IDLE: Duration = Duration::from_secs(20);
/// The most unused connections. More than this many calls at once leave no more of them behind.
const IDLE_MAX: usize = 512;

/// What connections are shared by: calls with the same key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tls: bool,
    host: String,
    port: u16,
    private: bool,
    transport: Fingerprint,
}

impl Key {
    /// `None` if the URI has no host or another scheme.
    pub(super) fn of(uri: &Uri, upstream: &UpstreamSpec) -> Option<Self> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = uri.host().filter(|host| !host.is_empty())?;
        Some(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            private: upstream.private_network,
            transport: upstream.transport.fingerprint(),
        })
    }
}

/// Where to connect, and how.
pub(super) struct Target {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether its name may lead inside the network.
    pub(super) private: bool,
    pub(super) proxy: Option<Proxy>,
    pub(super) http2: control::Http2,
    tls: bool,
}

impl Target {
    /// Whether a proxy is given whole requests and not asked for a tunnel.
    pub(super) fn is_absolute_form(&self) -> bool {
        self.proxy.is_some() && !self.tls && self.http2 != control::Http2::Always
    }

    /// Host and port, as a proxy is told them.
    pub(super) fn authority(&self) -> String {
        let brackets = self.host.contains(':');
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        format!("{open}{}{close}:{}", self.host, self.port)
    }
}

/// An origin and the connections to it.
pub(super) struct Origin {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    /// On every request that goes through a proxy without a tunnel.
    proxy_credential: Option<HeaderValue>,
    idle: Mutex<VecDeque<(Instant, Http1)>>,
    shared: Mutex<Vec<Http2>>,
    /// Held while it is found out whether the origin speaks HTTP/2, so that one connection is made and not one a call.
    opening: tokio::sync::Mutex<()>,
    /// Whether it chose HTTP/1.1 when last asked.
    is_http1: AtomicBool,
}

/// A new connection.
pub(super) enum Opened {
    Http1(Http1),
    Http2(Http2, Place),
}

impl Origin {
    pub(super) fn new(key: &Key, transport: &Transport) -> Result<Self, String> {
        let declared = transport.declared();
        let target = Target {
            host: key.host.clone(),
            port: key.port,
            private: key.private,
            proxy: declared.proxy.clone(),
            http2: declared.http2,
            tls: key.tls,
        };
        let tls = key.tls.then(|| super::client_tls(transport)).transpose()?;
        let proxy_credential = declared.proxy.as_ref().filter(|_| target.is_absolute_form());
        Ok(Self {
            proxy_credential: proxy_credential.and_then(proxy::credential),
            is_http1: AtomicBool::new(!Self::may_be_http2(&target)),
            target,
            tls,
            idle: Mutex::default(),
            shared: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        })
    }

    fn may_be_http2(target: &Target) -> bool {
        match target.http2 {
            control::Http2::Always => true,
            control::Http2::Auto => target.tls,
            control::Http2::Never => false,
        }
    }

    /// The header for a proxy that is given whole requests, and whether it is.
    pub(super) fn absolute_form(&self) -> (bool, Option<&HeaderValue>) {
        (self.target.is_absolute_form(), self.proxy_credential.as_ref())
    }

    /// A connection that nobody uses and that is open as far as is known here.
    pub(super) async fn idle(&self) -> Option<Http1> {
        poll_fn(|cx| {
            loop {
                // The one used last is the one most likely to be open.
                let Some((since, mut connection)) = self.lock_idle().pop_back() else {
                    return Poll::Ready(None);
                };
                if since.elapsed() < IDLE && connection.is_open(cx) {
                    return Poll::Ready(Some(connection));
                }
            }
        })
        .await
    }

    /// Keeps a connection for the next call.
    pub(super) fn keep(&self, connection: Http1) {
        let mut idle = self.lock_idle();
        if idle.len() >= IDLE_MAX {
            idle.pop_front();
        }
        idle.push_back((Instant::now(), connection));
    }

    /// A place on a connection that others use as well.
    pub(super) fn place(&self) -> Option<(Http2, Place)> {
        let mut shared = self.lock_shared();
        if shared.is_empty() {
            return None;
        }
        shared.retain(Http2::is_open);
        shared.iter_mut().find_map(Http2::take_place)
    }

    /// Makes a connection. The error is for the operator's log.
    pub(super) async fn open(&self) -> Result<Opened, String> {
        if self.is_http1.load(Relaxed) {
            return self.connect().await;
        }
        let turn = self.opening.lock().await;
        if let Some((connection, place)) = self.place() {
            return Ok(Opened::Http2(connection, place));
        }
        if self.is_http1.load(Relaxed) {
            // Found out meanwhile. Nobody shares what is opened now, so nobody waits for it.
            drop(turn);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Opened, String> {
        let stream = connect(&self.target, self.tls.as_ref()).await?;
        let begun = |error: String| format!("no HTTP with {}: {error}", self.target.host);
        let is_http2 = self.is_http2(&stream);
        self.is_http1.store(!is_http2, Relaxed);
        if !is_http2 {
            return Ok(Opened::Http1(
                Http1::begin(stream)
                    .await
                    .map_err(|error| begun(super::chain(&error)))?,
            ));
        }
        let mut connection = Http2::begin(stream).await.map_err(begun)?;
        let taken = connection.take_place();
        self.lock_shared().push(connection);
        let (connection, place) = taken.ok_or_else(|| format!("{} takes no requests", self.target.host))?;
        Ok(Opened::Http2(connection, place))
    }

    fn is_http2(&self, stream: &Stream) -> bool {
        match self.tls {
            Some(_) => stream.alpn() == Some(tls::H2),
            None => self.target.http2 == control::Http2::Always,
        }
    }

    /// Closes what was not used for long. Whether anything is left.
    pub(super) fn sweep(&self) -> bool {
        let Some(since) = Instant::now().checked_sub(IDLE) else {
            return true;
        };
        let mut idle = self.lock_idle();
        idle.retain(|(used, _)| *used > since);
        let mut shared = self.lock_shared();
        shared.retain(|connection| connection.is_open() && !connection.is_unused_since(since));
        !idle.is_empty() || !shared.is_empty()
    }

    // A thread that panicked left nothing half-done in either.
    fn lock_idle(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, Http1)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_shared(&self) -> std::sync::MutexGuard<'_, Vec<Http2>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
