//! Accepting connections, and letting go of them.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    connection::{Serving, serve},
    tls::ServerTls,
    unreadable::Instead,
};

/// The wait after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A trouble with accepting is over when there was no error for this long.
const CALM: Duration = Duration::from_secs(10);
/// How long what is cut off at the end of a drain may take to notice.
const CUT_OFF: Duration = Duration::from_secs(1);

/// The bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a connection may take to send the head of a request, the wait for it included.
    pub head_timeout: Duration,
    /// The longest head of a request, in bytes.
    pub head_bytes: usize,
    /// The most connections at once. More wait in the operating system's queue.
    pub connections: usize,
    /// The most requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// How long a peer may take to read what is written.
    pub patience: Duration,
}

/// Whether a listener serves, finishes or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Closed,
}

/// An address that is listened on, but not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    phase: watch::Sender<Phase>,
    stop: watch::Sender<bool>,
    instead: Option<Instead>,
}

impl Bound {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let phase = watch::Sender::new(Phase::Serving);
        let stop = watch::Sender::new(false);
        Ok(Self {
            listener,
            addr,
            phase,
            stop,
            instead: None,
        })
    }

    /// Has `reply` say what hyper says with nothing but a status: a whole HTTP/1.1 reply that closes the connection.
    #[must_use]
    pub fn unreadable(self, reply: impl Fn(StatusCode) -> Bytes + Send + Sync + 'static) -> Self {
        Self {
            instead: Some(Instead(Arc::new(reply))),
            ..self
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Becomes true when the listener is about to close. Long polls end then.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Serves what comes with `service`, on the current tokio runtime, through TLS if there is one.
    pub fn serve<S, B>(self, settings: Settings, tls: Option<ServerTls>, service: S) -> Listener
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let serving = Arc::new(Serving {
            settings,
            tls,
            service,
            instead: self.instead,
        });
        let accepting = tokio::spawn(accept(self.listener, serving, self.phase.subscribe()));
        Listener {
            addr: self.addr,
            phase: self.phase,
            stop: self.stop,
            accepting,
        }
    }
}

/// An address that is served. Dropping it stops accepting and finishes what is in flight; [`Listener::drain`] also waits.
#[derive(Debug)]
pub struct Listener {
    addr: SocketAddr,
    phase: watch::Sender<Phase>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<TaskTracker>,
}

impl Listener {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, has callers told that their connections end, and finishes what is in flight. `false` if that took
    /// longer than `timeout`: then what is left is cut off.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.stop.send_replace(true);
        self.phase.send_replace(Phase::Draining);
        let Ok(connections) = self.accepting.await else {
            return false;
        };
        connections.close();
        let in_time = tokio::time::timeout(timeout, connections.wait()).await.is_ok();
        self.phase.send_replace(Phase::Closed);
        if !in_time {
            // Whatever is cut off here books what it used when it is dropped.
            let _ = tokio::time::timeout(CUT_OFF, connections.wait()).await;
        }
        in_time
    }
}

/// A time of errors of `accept`: said once, and once that it is over. When files run out, each connection that ends lets
/// one in, and the next error follows at once.
#[derive(Debug, Default)]
struct Trouble {
    /// When the last error was, until it is over.
    last: Option<Instant>,
}

impl Trouble {
    /// Whether this error is the first.
    fn begins(&mut self, now: Instant) -> bool {
        self.last.replace(now).is_none()
    }

    /// Whether it is over with this connection.
    fn is_over(&mut self, now: Instant) -> bool {
        self.last
            .take_if(|last| now.saturating_duration_since(*last) >= CALM)
            .is_some()
    }
}

async fn accept<S, B>(listener: TcpListener, serving: Arc<Serving<S>>, phase: watch::Receiver<Phase>) -> TaskTracker
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(serving.settings.connections));
    let mut stopping = phase.clone();
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            accepted = async { (places.clone().acquire_owned().await, listener.accept().await) } => accepted,
            // Also when the listener's owner is gone.
            _ = stopping.wait_for(|phase| *phase != Phase::Serving) => return connections,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                if trouble.is_over(Instant::now()) {
                    tracing::info!("connections are accepted again");
                }
                let served = serve(stream, serving.clone(), phase.clone());
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                if trouble.begins(Instant::now()) {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => return connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_errors_is_told_once_and_its_end_once() {
        let begun = Instant::now();
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over(begun), "nothing was wrong");
        assert!(trouble.begins(begun));
        for count in 1..100 {
            let now = begun + ACCEPT_PAUSE * count;
            assert!(!trouble.begins(now));
            assert!(!trouble.is_over(now), "one is let in between two errors");
        }
        let calm = begun + ACCEPT_PAUSE * 99 + CALM;
        assert!(trouble.is_over(calm));
        assert!(!trouble.is_over(calm));
        assert!(trouble.begins(calm), "another one");
    }
}
