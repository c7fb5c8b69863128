//! A witness over HTTP.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use transport::{Bound, Listener, ServerTls, Settings, Unread};

use crate::{ADD_CHECKPOINT_PATH, Answer, MAX_REQUEST_BYTES, Refusal, Witness};

/// The bounds of the listener: a log asks every few seconds at the most, and there are not many logs.
const SETTINGS: Settings = Settings {
    head_timeout: Duration::from_secs(20),
    head_bytes: 16 * 1024,
    connections: 256,
    streams: 8,
    patience: Duration::from_secs(20),
};
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests may wait for the disk at once.
const AT_ONCE: usize = 32;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// A listener that answers for a witness. Dropping it stops accepting.
#[derive(Debug)]
pub struct Server(Listener);

impl Server {
    /// Listens and starts to serve on the current tokio runtime, with TLS if there is one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(witness: Arc<Witness>, addr: SocketAddr, tls: Option<ServerTls>) -> io::Result<Self> {
        let bound = Bound::bind(addr).await?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self(bound.serve(SETTINGS, tls, Service { witness, turns })))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// Stops accepting and finishes what is in flight. `false` if that took longer than `timeout`.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.0.drain(timeout).await
    }
}

#[derive(Clone)]
struct Service {
    witness: Arc<Witness>,
    turns: Arc<Semaphore>,
}

type Reply = Response<Full<Bytes>>;

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.reply(request).await) })
    }
}

impl Service {
    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        let log = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
        match (request.method(), path, log) {
            (&Method::POST, ADD_CHECKPOINT_PATH, _) => self.add_checkpoint(request.into_body()).await,
            (&Method::GET | &Method::HEAD, "/healthz", _) => text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, _, Some(log)) => match self.witness.checkpoint(log) {
                Some(note) => cached_briefly(text(StatusCode::OK, note.as_ref())),
                None => text(StatusCode::NOT_FOUND, "nothing was cosigned of this log\n"),
            },
            (_, ADD_CHECKPOINT_PATH, _) => method("POST"),
            (_, "/healthz", _) | (_, _, Some(_)) => method("GET, HEAD"),
            _ => text(
                StatusCode::NOT_FOUND,
                "this is a witness (c2sp.org/tlog-witness): POST /add-checkpoint, GET /<SHA-256 of a log's name>/checkpoint\n",
            ),
        }
    }

    async fn add_checkpoint(&self, body: Incoming) -> Reply {
        let body = Limited::new(body, MAX_REQUEST_BYTES).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return unread(refused(Refusal::Malformed(crate::RequestError::TooLong.to_string())));
            }
            Ok(Err(_)) => return unread(refused(Refusal::Malformed("the request broke off".to_owned()))),
            Err(_) => return unread(text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n")),
        };
        let turn = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait for the disk\n");
        };
        let Ok(time) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            tracing::error!("the clock stands before 1970: nothing is cosigned");
            return refused(Refusal::Storage);
        };
        let witness = self.witness.clone();
        // Whoever asked may leave, and what was begun is finished all the same: else a checkpoint could be stored behind
        // one that was cosigned meanwhile.
        let answering = tokio::task::spawn_blocking(move || {
            let answer = witness.add_checkpoint(&body, time.as_secs());
            drop(turn);
            answer
        });
        match answering.await {
            Ok(answer) => reply(&answer),
            Err(error) => {
                tracing::error!(%error, "a request was not answered");
                refused(Refusal::Storage)
            }
        }
    }
}

fn reply(answer: &Answer) -> Reply {
    let (kind, body) = answer.body();
    let mut reply = text(answer.status(), body);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

fn refused(refusal: Refusal) -> Reply {
    reply(&Answer::Refused(refusal))
}

fn text(status: StatusCode, body: impl Into<String>) -> Reply {
    let mut reply = Response::new(Full::from(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn cached_briefly(mut reply: Reply) -> Reply {
    let headers = reply.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=2"));
    reply
}

fn method(allowed: &'static str) -> Reply {
    let mut reply = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "the header `Allow` names the methods that this path takes\n",
    );
    reply
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    unread(reply)
}

/// Says of a reply that not all of its request was read.
fn unread(mut reply: Reply) -> Reply {
    reply.extensions_mut().insert(Unread);
    reply
}

#[cfg(test)]
mod tests;
