//! A small client of the administration API. It answers with what was asked for, or says in words why not.

use std::{sync::Arc, time::Duration};

use api::wire;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use transport::{Answer, Bounds, ClientError};
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
    server: transport::Client,
    credential: SecretString,
    /// Where the credential is from, for messages.
    source: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", self.server.base())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Of the server at `base`, which is reached with TLS if there is a configuration for it.
    pub(crate) fn new(base: Uri, credential: SecretString, source: String, tls: Option<Arc<ClientConfig>>) -> Self {
        let bounds = Bounds {
            connect: CONNECT_TIMEOUT,
            exchange: ANSWER_TIMEOUT,
            answer: ANSWER_MAX,
        };
        Self {
            server: transport::Client::new(base, tls, bounds),
            credential,
            source,
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
        let answered = self.server.send_within(most, request).await;
        self.receive(answered.map_err(|error| self.unanswered(&error))?)
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Request<Bytes>, Failure> {
        let bearer = Zeroizing::new(format!("Bearer {}", self.credential.expose_secret()));
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|_| Failure::failed(format!("{} holds something that is not a credential", self.source)))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, bearer);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Bytes::from(body.unwrap_or_default());
        request
            .body(body)
            .map_err(|error| Failure::failed(format!("no request: {error}")))
    }

    fn receive(&self, answer: Answer) -> Result<Bytes, Failure> {
        let body = answer.body.map_err(|error| match error {
            ClientError::Late(_) => self.unanswered(&error),
            error => Failure::failed(format!("the answer of {} is not whole: {error}", self.name())),
        })?;
        if answer.status.is_success() {
            return Ok(body);
        }
        let kind = answer
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        match serde_json::from_slice(&body) {
            Ok(problem) if kind == Some("application/problem+json") => Err(self.refused(answer.status, problem)),
            _ => Err(self.stranger(&format!("it answered {}", answer.status))),
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

    fn unanswered(&self, error: &ClientError) -> Failure {
        let name = self.name();
        Failure::failed(match error {
            ClientError::Connect(_) => format!(
                "no server answers at {name}: start it with `bailiwick serve`, or say with --admin URL where it is"
            ),
            ClientError::Tls(error) => format!(
                "no TLS with {name}: {error}. Name the authority its certificate is from with --ca FILE; if its files were \
                 just replaced, it takes a few seconds until they are in use"
            ),
            ClientError::Late(most) => format!("{name} did not answer within {} s", most.as_secs()),
            // What a server with TLS says to plain HTTP is an alert, which is no HTTP.
            ClientError::Broken(error) if !self.server.has_tls() && error.is_parse() => format!(
                "what answers at {name} does not speak plain HTTP, but probably TLS: write --admin https://{}",
                self.server.base().authority().map_or("", http::uri::Authority::as_str)
            ),
            error if error.wants_certificate() => format!(
                "{name} wants a certificate of its callers: name one and its key with --client-certificate FILE and \
                 --client-key FILE"
            ),
            error => format!("no answer of {name}: {error}"),
        })
    }

    fn stranger(&self, why: &str) -> Failure {
        Failure::failed(format!(
            "what answers at {} is not a Bailiwick server of this version: {}",
            self.name(),
            clean(why)
        ))
    }

    fn name(&self) -> String {
        self.server.base().to_string().trim_end_matches('/').to_owned()
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|error| Failure::failed(format!("no JSON: {error}")))
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
