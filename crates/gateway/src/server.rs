//! The listener that agents talk to.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use control::Control;
use http::{Request, Response};
use hyper::body::Incoming;
use transport::{Bound, Listener, ServerTls, Settings};

use crate::{reply::ReplyBody, service::Service, upstreams::Upstreams};

/// How long a connection may take to send the head of a request, the wait for it included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The longest head of a request, and the size of a connection's read buffer.
const HEAD_BYTES: usize = 64 * 1024;
/// The most connections at once. More wait in the operating system's queue.
const CONNECTIONS: usize = 16_384;
/// The most requests at once on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// The listener that agents talk to.
#[derive(Debug)]
pub struct Gateway(Listener);

impl Gateway {
    /// Listens and starts to serve, without TLS.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(control: Control, addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(control, addr, None).await
    }

    /// Listens and starts to serve, with TLS if there is one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind_with(control: Control, addr: SocketAddr, tls: Option<ServerTls>) -> io::Result<Self> {
        let bound = Bound::bind(addr).await?;
        let settings = Settings {
            head_timeout: HEAD_TIMEOUT,
            head_bytes: HEAD_BYTES,
            connections: CONNECTIONS,
            streams: STREAMS,
            patience: control.limits().idle_timeout,
        };
        let upstreams = Upstreams::new(control.limits());
        let service = Arc::new(Service { control, upstreams });
        Ok(Self(bound.serve(settings, tls, Answers(service))))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// Stops accepting and finishes what is in flight. `false` if that took longer than `timeout`: what was left is cut
    /// off then.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.0.drain(timeout).await
    }
}

/// The service as hyper calls it.
#[derive(Clone)]
struct Answers(Arc<Service>);

impl hyper::service::Service<Request<Incoming>> for Answers {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
