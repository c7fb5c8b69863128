//! Accepting connections, and letting go of them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use control::Control;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::routes;

/// How long a connection may take to send the head of a request, the wait for it included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest head of a request, and the size of a connection's read buffer.
const HEAD_BYTES: usize = 32 * 1024;
/// The most connections at once. More wait in the operating system's queue.
const CONNECTIONS: usize = 256;
/// The wait after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What handlers know. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// The one door to everything.
    pub(crate) control: Control,
    /// Where the listener is.
    pub(crate) addr: SocketAddr,
    /// Whether the listener is about to close: long polls end then.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Shared {
    /// Whether only this machine can reach the listener.
    pub(crate) fn is_local(&self) -> bool {
        self.addr.ip().to_canonical().is_loopback()
    }
}

/// The listener that administrators talk to. Dropping it stops accepting; [`Api::drain`] also waits for answers.
#[derive(Debug)]
pub struct Api {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<GracefulShutdown>,
}

impl Api {
    /// Listens and starts to serve on the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(control: Control, addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            control,
            addr,
            stopping: stopping.clone(),
        };
        let accepting = tokio::spawn(accept(listener, routes::router(shared), stopping));
        Ok(Self { addr, stop, accepting })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, ends long polls and finishes what is in flight. `false` if that took longer than `timeout`.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.stop.send_replace(true);
        let Ok(connections) = self.accepting.await else {
            return false;
        };
        tokio::time::timeout(timeout, connections.shutdown()).await.is_ok()
    }
}

async fn accept(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = async { (places.clone().acquire_owned().await, listener.accept().await) } => accepted,
            // Also when the listener's owner is gone.
            _ = stopping.wait_for(|stop| *stop) => return connections,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let served = serve(stream, router.clone(), &connections);
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "an administrator's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => return connections,
        }
    }
}

fn serve(stream: TcpStream, router: Router, connections: &GracefulShutdown) -> impl Future<Output = ()> + Send + use<> {
    // An answer leaves when it is written, not when the one before was acknowledged. Without it all still works.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = connections.watch(connection);
    async move {
        // A caller that breaks off or sends nonsense is answered by hyper, and of no further interest.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an administrator's connection ended early");
        }
    }
}
