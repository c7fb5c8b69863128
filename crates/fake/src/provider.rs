//! The server: a listener, a task for each connection, and their end.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{server::conn::http1, service::service_fn};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    calls::Calls,
    config::Config,
    conn::{Conn, Socket},
    service::{self, State},
    turns::Turns,
};

/// How much of an answer waits in memory for a client that does not read, and how long a request's head may be.
const CONNECTION_BUFFER: usize = 64 << 10;

/// How long the listener rests when it cannot accept, such as when all file descriptors are in use.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// A running simulated provider. Dropping it stops it; [`Provider::shutdown`] also waits until it has stopped.
#[derive(Debug)]
pub struct Provider {
    addr: SocketAddr,
    calls: Calls,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Provider {
    /// Binds the address of `config` and answers calls on the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let calls = Calls::new(config.keep_calls, config.keep_bytes);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = since_1970.as_secs() << 32 ^ u64::from(since_1970.subsec_nanos()) ^ u64::from(addr.port()) << 48;
        let state = Arc::new(State {
            config,
            calls: calls.clone(),
            seed,
            turns: Turns::default(),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, state, stop.clone(), tasks.clone()));
        Ok(Self {
            addr,
            calls,
            stop,
            tasks,
        })
    }

    /// The address listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the root, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The record of the calls.
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Stops at once: closes the listener and all connections. Calls in flight end as [`Cut`](crate::Finished::Cut).
    pub async fn shutdown(self) {
        self.end();
        self.tasks.wait().await;
    }

    fn end(&self) {
        self.calls.close();
        self.stop.cancel();
        self.tasks.close();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, Arc::clone(&state));
                let stop = stop.clone();
                tasks.spawn(async move {
                    stop.run_until_cancelled(connection).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the simulated provider cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    // Without it a response in several writes can wait 40 ms for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let conn = Arc::new(Conn::default());
    let socket = Socket::new(stream, Arc::clone(&conn));
    let service = service_fn(|request| service::answer(Arc::clone(&state), Arc::clone(&conn), request));
    let served = http1::Builder::new()
        .max_buf_size(CONNECTION_BUFFER)
        // Idle connections stay open: whether to reuse them is the client's business.
        .header_read_timeout(None)
        .serve_connection(socket, service)
        .await;
    if let Err(error) = served {
        // Expected: scripts cut answers, and clients leave.
        tracing::debug!(%error, "a connection to the simulated provider ended early");
    }
}
