//! Requests, and replies read to their end.

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// A client without a pool: no request depends on the one before.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// A reply, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Fails the test unless the reply has this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The stable code of a refusal, empty if it is none.
    pub(crate) fn reason(&self) -> &str {
        self.header("bailiwick-reason")
    }
}

impl Http {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
        )
    }

    /// Sends a request and reads the reply to its end.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let response = self.0.request(request).await.map_err(|error| format!("{error:?}"))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    /// Sends a JSON document with a bearer credential.
    pub(crate) async fn post(&self, url: &str, key: &str, script: &str, body: &Value) -> Result<Reply, String> {
        let uri: Uri = url.parse().unwrap();
        let mut request = Request::post(uri)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"));
        if !script.is_empty() {
            request = request.header(fake::SCRIPT_HEADER, script);
        }
        self.send(request.body(Full::from(body.to_string())).unwrap()).await
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, url: &str) -> Result<Reply, String> {
        let uri: Uri = url.parse().unwrap();
        self.send(Request::get(uri).body(Full::default()).unwrap()).await
    }
}
