//! The listener that administrators talk to, and what its handlers know.

use std::{io, net::SocketAddr, time::Duration};

use control::Control;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use transport::{Bound, Listener, ServerTls, Settings};

use crate::routes;

/// The bounds of the listener. Few talk to it, and none of them sends long heads.
const SETTINGS: Settings = Settings {
    head_timeout: Duration::from_secs(20),
    head_bytes: 32 * 1024,
    connections: 256,
    streams: 32,
    patience: Duration::from_secs(60),
};

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
pub struct Api(Listener);

impl Api {
    /// Listens and starts to serve on the current tokio runtime, without TLS.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(control: Control, addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(control, addr, None).await
    }

    /// The same, with TLS if there is one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind_with(control: Control, addr: SocketAddr, tls: Option<ServerTls>) -> io::Result<Self> {
        let bound = Bound::bind(addr).await?;
        let shared = Shared {
            control,
            addr: bound.addr(),
            stopping: bound.stopping(),
        };
        let service = TowerToHyperService::new(routes::router(shared));
        Ok(Self(bound.serve(SETTINGS, tls, service)))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// Stops accepting, ends long polls and finishes what is in flight. `false` if that took longer than `timeout`: what
    /// was left is cut off then.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.0.drain(timeout).await
    }
}
