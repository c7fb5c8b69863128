//! A small client of the administration API. It answers with what was asked for, or says in words why not.

use std::{sync::Arc, time::Duration};

use api::wire;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use transport::Stream;
use zeroize::Zeroizing;

use super::{Failure, table::clean};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take: longer than the server lets a request take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// How long an answer may take for which the server reads its log from the beginning.
const LONG_ANSWER_TIMEOUT: Duration = Duration::from_secs(api::LONG_REQUEST_TIMEOUT.as_secs() + 10);
/// The longest answer: more than a full page of the longest entries.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// A client of one server, as one administrator.
pub(crate) struct Client {
    base: Uri,
    credential: SecretString,
    /// Where the credential is from, for messages.
    source: String,
    /// For a base of https.
    tls: Option<Arc<ClientConfig>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Of the server at `base`, which is reached with TLS if there is a configuration for it.
    pub(crate) fn new(base: Uri, credential: SecretString, source: String, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            base,
            credential,
            source,
            tls,
        }
    }

    /// Asks for something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let body = self.send(Method::GET, path, None).await?;
        self.read(&body)
    }

    /// Has something done, with a body where one is needed.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let body = body.map(json).transpose()?;
        let body = self.send(Method::POST, path, body).await?;
        self.read(&body)
    }

    /// Has something done for which the server reads its log from the beginning.
    pub(crate) async fn post_long<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = Some(json(body)?);
        let body = self.send_within(LONG_ANSWER_TIMEOUT, Method::POST, path, body).await?;
        self.read(&body)
    }

    /// Has something put in its place.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = self.send(Method::PUT, path, Some(json(body)?)).await?;
        self.read(&body)
    }

    /// Has something removed.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Bytes, Failure> {
        self.send_within(ANSWER_TIMEOUT, method, path, body).await
    }

    async fn send_within(
        &self,
        most: Duration,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, Failure> {
        let request = self.request(method, path, body)?;
        let answered = async {
            let stream = self.connect().await?;
            let broken = |error| self.broken(&error);
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            // It ends with the answer, whose error says more than its own.
            let connection = tokio::spawn(connection);
            let response = sender.send_request(request).await.map_err(broken)?;
            let received = self.receive(response).await;
            connection.abort();
            received
        };
        let answered = tokio::time::timeout(most, answered).await;
        answered.unwrap_or_else(|_| {
            let seconds = most.as_secs();
            Err(Failure::failed(format!(
                "{} did not answer within {seconds} s",
                self.name()
            )))
        })
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Request<Full<Bytes>>, Failure> {
        let bearer = Zeroizing::new(format!("Bearer {}", self.credential.expose_secret()));
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|_| Failure::failed(format!("{} holds something that is not a credential", self.source)))?;
        bearer.set_sensitive(true);
        let host = self.base.authority().map_or("", http::uri::Authority::as_str);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, bearer);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::from(body.unwrap_or_default());
        request
            .body(body)
            .map_err(|error| Failure::failed(format!("no request: {error}")))
    }

    async fn receive(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body
            .map_err(|error| Failure::failed(format!("the answer of {} broke off: {error}", self.name())))?
            .to_bytes();
        if head.status.is_success() {
            return Ok(body);
        }
        let kind = head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        match serde_json::from_slice(&body) {
            Ok(problem) if kind == Some("application/problem+json") => Err(self.refused(head.status, problem)),
            _ => Err(self.stranger(&format!("it answered {}", head.status))),
        }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| self.stranger(&error.to_string()))
    }

    /// What the server says is meant for people and passes on.
    fn refused(&self, status: StatusCode, problem: wire::Problem) -> Failure {
        let mut text = clean(&problem.detail).into_owned();
        if status == StatusCode::UNAUTHORIZED {
            text = format!(
                "{} does not know the credential of {}: {text}",
                self.name(),
                self.source
            );
        }
        for problem in &problem.problems {
            text.push_str(&format!("\n{problem}"));
        }
        Failure::Failed(text)
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        let host = self.base.host().unwrap_or_default();
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.base.port_u16().unwrap_or(usual);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, Stream::connect(host, port, self.tls.clone())).await;
        match connected {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(Failure::failed(format!(
                    "no TLS with {}: {error}. Name the authority its certificate is from with --ca FILE; if its files were \
                     just replaced, it takes a few seconds until they are in use",
                    self.name()
                )))
            }
            Ok(Err(_)) | Err(_) => Err(Failure::failed(format!(
                "no server answers at {}: start it with `bailiwick serve`, or say with --admin URL where it is",
                self.name()
            ))),
        }
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        // What a server with TLS says to plain HTTP is an alert, which is no HTTP.
        if self.tls.is_none() && error.is_parse() {
            return Failure::failed(format!(
                "what answers at {0} does not speak plain HTTP, but probably TLS: write --admin https://{1}",
                self.name(),
                self.base.authority().map_or("", http::uri::Authority::as_str)
            ));
        }
        if asks_for_certificate(error) {
            return Failure::failed(format!(
                "{} wants a certificate of its callers: name one and its key with --client-certificate FILE and \
                 --client-key FILE",
                self.name()
            ));
        }
        let cause = std::error::Error::source(error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        Failure::failed(format!("the connection to {} broke off: {error}{cause}", self.name()))
    }

    fn stranger(&self, why: &str) -> Failure {
        Failure::failed(format!(
            "what answers at {} is not a Bailiwick server of this version: {}",
            self.name(),
            clean(why)
        ))
    }

    fn name(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|error| Failure::failed(format!("no JSON: {error}")))
}

/// Whether a connection ended because the server wants to be shown a certificate (RFC 8446, section 6.2).
fn asks_for_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let required = |error: &rustls::Error| {
        matches!(
            error,
            rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)
        )
    };
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides the error that it wraps: its source is that error's source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if inner.or(error.downcast_ref()).is_some_and(required) {
            return true;
        }
        next = error.source();
    }
    false
}

/// A query: the parameters that are there, each encoded.
pub(crate) fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.push_str(&encode(&value));
    }
    query
}

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = text.bytes().map(|byte| match unreserved(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(query([("a", None)]), "");
        assert_eq!(
            query([("a", None), ("b", some("x y&z=ü")), ("c", some("1"))]),
            "?b=x%20y%26z%3D%C3%BC&c=1"
        );
    }

    #[test]
    fn debug_shows_no_credential() {
        let client = Client::new(
            "http://127.0.0.1:1".parse().unwrap(),
            SecretString::from("bwa_canary"),
            "a test".to_owned(),
            None,
        );
        let request = client.request(Method::GET, "/", None).unwrap();
        assert!(!format!("{client:?} {request:?}").contains("canary"));
    }
}
