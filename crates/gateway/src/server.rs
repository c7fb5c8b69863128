//! Accepting connections, and letting go of them.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use control::Control;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use crate::{
    linger::Lingering, patience::Patient, replays::Replays, reply::Unread, service::Service, unreadable::Unreadable,
    upstreams::Upstreams,
};

/// The longest head of a request, and the size of a connection's read buffer.
const HEAD_BYTES: usize = 64 * 1024;
/// The most connections at once. More wait in the operating system's queue.
const CONNECTIONS: usize = 16_384;
/// The wait after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listener that agents talk to.
#[derive(Debug)]
pub struct Gateway {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<GracefulShutdown>,
    /// Calls whose callers may be gone.
    detached: TaskTracker,
}

impl Gateway {
    /// Listens and starts to serve.
    pub async fn bind(control: Control, addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let upstreams = Upstreams::new(control.limits());
        let replays = Replays::new(control.limits().replay_bytes);
        let detached = TaskTracker::new();
        let service = Arc::new(Service {
            control,
            upstreams,
            replays,
            detached: detached.clone(),
        });
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, service, stopping));
        Ok(Self {
            addr,
            stop,
            accepting,
            detached,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting and finishes what is in flight. `false` if that took longer than `timeout`.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.stop.send_replace(true);
        let Ok(connections) = self.accepting.await else {
            return false;
        };
        let finished = async {
            connections.shutdown().await;
            self.detached.close();
            self.detached.wait().await;
        };
        tokio::time::timeout(timeout, finished).await.is_ok()
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>, mut stopping: watch::Receiver<bool>) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = async { (places.clone().acquire_owned().await, listener.accept().await) } => accepted,
            _ = stopping.wait_for(|stop| *stop) => return connections,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let served = serve(stream, service.clone(), &connections);
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => return connections,
        }
    }
}

fn serve(
    stream: TcpStream,
    service: Arc<Service>,
    connections: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    // Each event of a stream leaves when it is written, not when the one before was acknowledged.
    drop(stream.set_nodelay(true));
    let limits = service.control.limits();
    let (patience, head_timeout) = (limits.idle_timeout, limits.head_timeout);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES);
    let unread = Arc::new(AtomicBool::new(false));
    let stream = Lingering::new(Patient::new(stream, patience), unread.clone());
    let control = service.control.clone();
    let stream = Unreadable::new(stream, move || control.new_action());
    let answer = service_fn(move |request| {
        let (service, unread) = (service.clone(), unread.clone());
        async move {
            // Boxed: hyper keeps room for it as long as the connection lasts, and most are idle most of the time.
            let response = Box::pin(service.answer(request)).await;
            if response.extensions().get::<Unread>().is_some() {
                unread.store(true, Relaxed);
            }
            Ok::<_, Infallible>(response)
        }
    });
    // Boxed: every future around it would have room for it twice, once given and once awaited.
    let connection = Box::pin(connections.watch(http.serve_connection(TokioIo::new(stream), answer)));
    async move {
        // A caller that breaks off or sends nonsense is answered by hyper, and of no further interest.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
