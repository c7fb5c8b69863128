//! The listener that agents talk to.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use control::Control;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;
use transport::{Bound, Listener, ServerTls, Settings};

use crate::{
    bodies::Bodies,
    mount::Mount,
    replays::{Recorded, Replays},
    reply,
    service::Service,
    upstreams::Upstreams,
};

/// The longest head of a request, and the size of a connection's read buffer.
const HEAD_BYTES: usize = 64 * 1024;
/// The most connections at once. More wait in the operating system's queue.
const CONNECTIONS: usize = 16_384;
/// The most calls at once on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// The listener that agents talk to.
#[derive(Debug)]
pub struct Gateway {
    listener: Listener,
    /// Calls whose callers may be gone.
    detached: TaskTracker,
}

impl Gateway {
    /// Listens and starts to serve, without TLS.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(control: Control, addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(control, addr, None, |_| None).await
    }

    /// Listens and starts to serve, with TLS if there is one, and with somebody who answers what is not the gateway's: made
    /// once it is known where it listens.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind_with(
        control: Control,
        addr: SocketAddr,
        tls: Option<ServerTls>,
        mount: impl FnOnce(SocketAddr) -> Option<Arc<dyn Mount>>,
    ) -> io::Result<Self> {
        let bound = Bound::bind(addr).await?;
        let limits = control.limits();
        let settings = Settings {
            head_timeout: limits.head_timeout,
            head_bytes: HEAD_BYTES,
            connections: CONNECTIONS,
            streams: STREAMS,
            patience: limits.idle_timeout,
        };
        let ids = control.clone();
        let bound = bound.unreadable(move |status| reply::unreadable(status, ids.new_action()));
        let detached = TaskTracker::new();
        let service = Service {
            upstreams: Upstreams::new(),
            replays: Replays::new(limits.replay_bytes),
            bodies: Arc::new(Bodies::new(limits)),
            detached: detached.clone(),
            mount: mount(bound.addr()),
            control,
        };
        Ok(Self {
            listener: bound.serve(settings, tls, Answers(Arc::new(service))),
            detached,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// Stops accepting and finishes what is in flight. `false` if that took longer than `timeout`.
    pub async fn drain(self, timeout: Duration) -> bool {
        let until = tokio::time::Instant::now() + timeout;
        let in_time = self.listener.drain(timeout).await;
        self.detached.close();
        let detached = tokio::time::timeout_at(until, self.detached.wait()).await;
        in_time && detached.is_ok()
    }
}

/// The service as hyper calls it.
#[derive(Clone)]
struct Answers(Arc<Service>);

impl hyper::service::Service<Request<Incoming>> for Answers {
    type Response = Response<Recorded>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = self.0.clone();
        // Boxed: hyper keeps room for it as long as the connection lasts, and most are idle most of the time.
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
