//! The HTTP client of the agents and of the demo's own questions: plain HTTP/1.1 over loopback, connections kept.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Nothing the demo asks for takes anywhere near as long; a hang must not become the viewer's.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any reply here.
const REPLY_MAX: usize = 4 << 20;

/// Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Http {
    /// A client without connections.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a request; the reply's body is still to come.
    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(url).body(Full::from(body))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        );
        let sent = tokio::time::timeout(PATIENCE, self.0.request(request)).await;
        let sent = sent.with_context(|| format!("{method} {url}: no answer"))?;
        sent.with_context(|| format!("{method} {url}"))
    }

    /// Sends a request and reads the whole reply.
    pub(crate) async fn ask(
        &self,
        method: &str,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> anyhow::Result<Whole> {
        let response = self.send(method, url, headers, body).await?;
        let status = response.status();
        let body = whole(response.into_body()).await?;
        Ok(Whole { status, body })
    }
}

/// The whole of a body.
pub(crate) async fn whole(body: Incoming) -> anyhow::Result<Bytes> {
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, REPLY_MAX).collect()).await;
    match collected.context("a reply did not end")? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => anyhow::bail!("a reply broke off: {error}"),
    }
}

/// The next part of a body that comes in pieces; `None` at its end.
pub(crate) async fn next(body: &mut Incoming) -> anyhow::Result<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame())
            .await
            .context("a stream stalled")?;
        match frame {
            None => return Ok(None),
            Some(frame) => {
                // Trailers carry nothing here.
                if let Ok(data) = frame.context("a stream broke off")?.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
