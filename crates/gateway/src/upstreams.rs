//! Connections to upstreams. Nothing here knows what is sent, or who pays for it.

use std::time::Duration;

use bytes::Bytes;
use control::{Limits, UpstreamSpec};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// An unused connection is closed after this time: before most servers close theirs, so that a request does not meet a
/// connection that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// The body of an upstream's reply, as its connection hands it over.
pub(crate) type UpstreamBody = Incoming;

/// Why no reply came. The text is for the operator's log.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection could be made, so nothing was sent.
    Connect(String),
    /// The connection broke. Whether the request arrived is not known.
    Broken(String),
}

/// Connections to all upstreams.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Upstreams {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Without this, a reply of several small packets waits for acknowledgements: 40 ms a stream.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits.connect_timeout));
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(tls.wrap_connector(tcp));
        Self { client }
    }

    /// Sends a request whose URI is whole, and waits for the head of the reply. Dropped, it gives the attempt up: the
    /// connection is closed unless it is between two requests.
    pub(crate) async fn send(
        &self,
        _upstream: &UpstreamSpec,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        self.client.request(request).await.map_err(|error| {
            let text = chain(&error);
            match error.is_connect() {
                true => SendError::Connect(text),
                false => SendError::Broken(text),
            }
        })
    }
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
