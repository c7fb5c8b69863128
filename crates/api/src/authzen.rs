//! The AuthZEN Authorization API 1.0 on the agents' listener: HTTP around [`control`]'s decision point.
//!
//! No framework: the server that listens hands over what comes for `/access` and `/.well-known`, and a match on the path is
//! all the routing there is. `error.rs` has what goes wrong and which status it has, `caller.rs` what a request says of who
//! asks.
//!
//! # Statuses
//! A denial is 200. 400 is a request that cannot be read, 401 and 403 are about who asks, 413 is a body that is too long,
//! 429 too much at once, 503 a decision that cannot be recorded: then there is none. 404 and 405 are paths and methods that
//! are not of this API.

mod caller;
mod error;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use authzen::{Evaluation, Evaluations, Invalid, Search, WELL_KNOWN};
use bytes::Bytes;
use control::{Control, PepAnswer, PepError, PepSession};
use entry::PepRight;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};

pub use self::error::Unread;
use self::error::{Error, Kind};

/// The id of a request as whoever asks knows it (section 10.1.3).
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest of these that is said again.
const REQUEST_ID_MAX: usize = 256;
/// The id of the call in the log. It stands in a header only: the same question has the same body for an answer.
const DECISION_ID: HeaderName = HeaderName::from_static("bailiwick-decision-id");
/// How long what is public may be kept, and how long decisions may.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const PRIVATE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const METADATA: &str = WELL_KNOWN;
const KEYS: &str = "/.well-known/jwks.json";
const OPENAPI: &str = "/.well-known/openapi.json";
/// The description of this API and of the entities' (OpenAPI 3.1).
pub(crate) const OPENAPI_TEXT: &str = include_str!("../openapi.json");

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked<'a> {
    Evaluation,
    Evaluations,
    SearchSubject,
    SearchResource,
    SearchAction,
    /// What the decision point of a tenant says of itself.
    Metadata(Option<&'a str>),
    /// The keys it signs that with.
    Keys(Option<&'a str>),
    OpenApi,
}

impl<'a> Asked<'a> {
    fn at(path: &'a str) -> Option<Self> {
        Some(match path {
            "/access/v1/evaluation" => Self::Evaluation,
            "/access/v1/evaluations" => Self::Evaluations,
            "/access/v1/search/subject" => Self::SearchSubject,
            "/access/v1/search/resource" => Self::SearchResource,
            "/access/v1/search/action" => Self::SearchAction,
            METADATA => Self::Metadata(None),
            KEYS => Self::Keys(None),
            OPENAPI => Self::OpenApi,
            _ => {
                let below = |base: &str| path.strip_prefix(base)?.strip_prefix('/');
                let tenant = |name: &'a str| Some(name).filter(|name| !name.is_empty() && !name.contains('/'));
                return match (below(METADATA), below(KEYS)) {
                    (Some(name), _) => tenant(name).map(|name| Self::Metadata(Some(name))),
                    (_, Some(name)) => tenant(name).map(|name| Self::Keys(Some(name))),
                    _ => None,
                };
            }
        })
    }

    fn is_question(self) -> bool {
        !matches!(self, Self::Metadata(_) | Self::Keys(_) | Self::OpenApi)
    }

    fn right(self) -> PepRight {
        match self {
            Self::SearchSubject | Self::SearchResource | Self::SearchAction => PepRight::Search,
            _ => PepRight::Evaluate,
        }
    }

    fn method(self) -> Method {
        if self.is_question() { Method::POST } else { Method::GET }
    }
}

/// The API.
#[derive(Clone, Debug)]
pub struct Authzen {
    control: Control,
    /// Where enforcement points reach it; `None` if nobody said so and other machines cannot know.
    base: Option<String>,
}

impl Authzen {
    /// The API on a listener at this address.
    pub fn new(control: Control, addr: SocketAddr, has_tls: bool) -> Self {
        let scheme = if has_tls { "https" } else { "http" };
        let own = || {
            addr.ip()
                .to_canonical()
                .is_loopback()
                .then(|| format!("{scheme}://{addr}"))
        };
        let base = control.authzen().public_url.clone().or_else(own);
        Self { control, base }
    }

    /// Answers a request. `read` reads its body, with at most so many bytes.
    pub async fn answer<F>(&self, head: &Parts, read: impl FnOnce(usize) -> F) -> Response<Bytes>
    where
        F: Future<Output = Result<Bytes, Unread>>,
    {
        let answered = match Asked::at(head.uri.path()) {
            None => Err(Error::new(Kind::NotFound, "nothing is at this path")),
            Some(asked) if head.method != asked.method() => {
                let message = format!("this path takes {}", asked.method());
                Err(Error::new(Kind::MethodNotAllowed(asked.method()), message))
            }
            Some(asked) if asked.is_question() => self.question(asked, head, read).await,
            Some(asked) => self.public(asked),
        };
        let mut response = answered.unwrap_or_else(Error::into_response);
        if let Some(id) = request_id(&head.headers) {
            response.headers_mut().insert(REQUEST_ID, id.clone());
        }
        response
    }

    async fn question<F>(
        &self,
        asked: Asked<'_>,
        head: &Parts,
        read: impl FnOnce(usize) -> F,
    ) -> Result<Response<Bytes>, Error>
    where
        F: Future<Output = Result<Bytes, Unread>>,
    {
        let presented = caller::presented(head)?;
        let session = self.control.authenticate_pep(presented.borrow())?;
        // What is wrong with a question is told only to those who may ask it.
        session.require(asked.right())?;
        caller::check_type(&head.headers)?;
        let most = self.control.authzen().request_bytes;
        let body = read(most).await.map_err(|unread| Error::unread(unread, most))?;
        let answer = self.ask(asked, &session, &body).await?;
        let mut response = json(answer.answer.to_json(), PRIVATE);
        if let Ok(id) = HeaderValue::try_from(answer.id.to_string()) {
            response.headers_mut().insert(DECISION_ID, id);
        }
        Ok(response)
    }

    async fn ask(&self, asked: Asked<'_>, session: &PepSession, body: &[u8]) -> Result<PepAnswer, Error> {
        let control = &self.control;
        let search = |search: Result<Search, Invalid>| async {
            let search = search.map_err(|invalid| PepError::Invalid(invalid.to_string()))?;
            control.search(session, search).await
        };
        Ok(match asked {
            Asked::Evaluation => control.evaluate(session, &Evaluation::parse(body)?).await?,
            Asked::Evaluations => {
                let evaluations = Evaluations::parse(body, control.authzen().max_evaluations)?;
                control.evaluate_all(session, evaluations).await?
            }
            Asked::SearchSubject => search(Search::subjects(body)).await?,
            Asked::SearchResource => search(Search::resources(body)).await?,
            Asked::SearchAction => search(Search::actions(body)).await?,
            Asked::Metadata(_) | Asked::Keys(_) | Asked::OpenApi => {
                return Err(Error::new(Kind::NotFound, "no question"));
            }
        })
    }

    /// What anybody may read.
    fn public(&self, asked: Asked<'_>) -> Result<Response<Bytes>, Error> {
        let missing = |message: &str| Error::new(Kind::NotFound, message);
        let no_tenant = || missing("there is no such decision point here");
        match asked {
            Asked::OpenApi => Ok(json(OPENAPI_TEXT.as_bytes().to_vec(), PUBLIC)),
            Asked::Keys(tenant) => {
                let keys = self.control.pdp_keys(tenant).ok_or_else(no_tenant)?;
                Ok(json(keys.to_string().into_bytes(), PUBLIC))
            }
            Asked::Metadata(tenant) => {
                let base = self.base.as_deref();
                let base = base.ok_or_else(|| missing("nobody said by which address this decision point is known"))?;
                let metadata = self.control.pdp_metadata(tenant, base).ok_or_else(no_tenant)?;
                let text =
                    metadata.and_then(|metadata| serde_json::to_vec(&metadata).map_err(|error| error.to_string()));
                let text = text.map_err(|message| Error::new(Kind::Internal, message))?;
                Ok(json(text, PUBLIC))
            }
            _ => Err(missing("this is no document")),
        }
    }
}

fn json(body: Vec<u8>, cache: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, cache);
    response
}

/// What the caller calls its request. One that is too long, or of which there are two, is nobody's name.
fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut all = headers.get_all(&REQUEST_ID).iter();
    let id = all.next().filter(|id| id.len() <= REQUEST_ID_MAX)?;
    all.next().is_none().then_some(id)
}
