//! One request, from its head to the head of its reply.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use control::{Ask, Control, Refusal, RepeatKey, Session, Unauthenticated, UpstreamSpec};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use llm::{Dialect, EndpointError};
use model::{ActionId, Reason, UpstreamName};
use tokio_util::task::TaskTracker;

use crate::{
    bodies::{Bodies, Unread},
    forward::Outgoing,
    headers,
    mount::{self, Mount},
    replays::{self, Entered, Recorded, Replays, Turn},
    reply::{self, ReplyBody},
    route::{Route, route},
    upstreams::Upstreams,
};

/// The longest body of a refused request that is read for the sake of the connection.
const SWALLOW_MAX: u64 = 256 * 1024;
/// How long that may take.
const SWALLOW_TIME: Duration = Duration::from_secs(1);

/// What requests share.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) control: Control,
    pub(crate) upstreams: Upstreams,
    pub(crate) replays: Arc<Replays>,
    pub(crate) bodies: Arc<Bodies>,
    /// Calls that are made to their end whatever becomes of their callers.
    pub(crate) detached: TaskTracker,
    /// Who answers what is neither the gateway's own nor an upstream's.
    pub(crate) mount: Option<Arc<dyn Mount>>,
}

impl Service {
    /// Answers a request. A refusal is an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Recorded> {
        let (head, body) = request.into_parts();
        let (name, rest) = match route(head.uri.path()) {
            Route::Health => return reply::plain(StatusCode::OK, "ok").map(Recorded::plain),
            Route::Ready => return self.ready().map(Recorded::plain),
            Route::Mounted => {
                if let Some(mount) = &self.mount {
                    let within = self.control.limits().request_timeout;
                    return mount::answer(mount.as_ref(), &head, body, self.bodies.clone(), within).await;
                }
                ("", "")
            }
            Route::Unknown => ("", ""),
            Route::Upstream { name, rest } => (name, rest),
        };
        let upstream = self.control.upstream(name);
        // Where the path does not say which dialect the caller speaks, its headers do.
        let dialect = upstream
            .as_ref()
            .map_or_else(|| guess_dialect(&head.headers), |upstream| upstream.kind);
        let mut body = Some(body);
        let in_chunks = head.headers.contains_key(header::TRANSFER_ENCODING);
        let mut response = match self.govern(&head, &mut body, upstream.clone(), name, rest).await {
            Ok(response) => response,
            Err(refusal) => {
                let mut response = reply::refusal(dialect, &refusal).map(Recorded::plain);
                if !read_over(&head.headers, refusal.reason == Reason::RequestTimeout, body).await {
                    // What was not read closes the connection, and a caller that is not told would use it again.
                    close(&mut response);
                    response.extensions_mut().insert(transport::Unread);
                }
                if refusal.reason == Reason::MethodNotAllowed
                    && let Some(upstream) = &upstream
                    && let Err(EndpointError::Method { allowed }) = upstream.find(head.method.as_str(), rest)
                {
                    response
                        .headers_mut()
                        .insert(header::ALLOW, http::HeaderValue::from_static(allowed));
                }
                response
            }
        };
        if in_chunks {
            // Whether it had a Content-Length besides, hyper does not tell. If so the connection has to end here (RFC 9112,
            // section 6.3): a proxy that believed the length would see another end of the request than we did.
            close(&mut response);
        }
        response
    }

    async fn govern(
        &self,
        head: &http::request::Parts,
        body: &mut Option<Incoming>,
        upstream: Option<Arc<UpstreamSpec>>,
        name: &str,
        rest: &str,
    ) -> Result<Response<Recorded>, Refusal> {
        let id = self.control.new_action();
        let credential = headers::credential(&head.headers).map_err(|headers::Ambiguous| reply::two_credentials());
        let session = match credential.and_then(|credential| self.control.authenticate(credential)) {
            Ok(session) => session,
            Err(unauthenticated) => return Err(self.unauthenticated(unauthenticated, id, name).await),
        };
        let Some(upstream) = upstream else {
            return Err(self.unknown_upstream(&session, id, name).await);
        };
        let at_edge = Edge {
            control: &self.control,
            session: &session,
            id,
            upstream: &upstream.name,
        };
        let target = match upstream.find(head.method.as_str(), rest) {
            Ok(target) => target,
            Err(error) => {
                let reason = match &error {
                    EndpointError::Unknown { .. } => Reason::UnknownEndpoint,
                    EndpointError::Method { .. } => Reason::MethodNotAllowed,
                };
                return Err(at_edge.refuse(reason, error.to_string()).await);
            }
        };
        let labels = headers::label(&head.headers, headers::RUN)
            .and_then(|run| Ok((run, headers::label(&head.headers, headers::TASK)?)));
        let (run, task) = match labels {
            Ok(labels) => labels,
            Err(message) => return Err(at_edge.refuse(Reason::InvalidRequest, message).await),
        };
        let repeat = match replays::key(&head.headers) {
            Ok(key) => key.map(|key| self.control.repeat_key(&session, key)),
            Err(message) => return Err(at_edge.refuse(Reason::InvalidRequest, message.to_owned()).await),
        };
        let content_type = match headers::content_type(&head.headers) {
            Ok(content_type) => content_type,
            Err(message) => return Err(at_edge.refuse(Reason::InvalidRequest, message).await),
        };
        let body = match self.read(&head.headers, body).await {
            Ok(body) => body,
            Err((Reason::Overloaded, message)) => return Err(at_edge.overloaded(message).await),
            Err((reason, message)) => return Err(at_edge.refuse(reason, message).await),
        };
        let (endpoint, target) = (target.endpoint, target.id.map(str::to_owned));
        let ask = Ask {
            id,
            upstream: upstream.clone(),
            endpoint,
            target,
            content_type: content_type.map(str::to_owned),
            body,
            run,
            task,
            idempotency: repeat,
            audience: None,
        };
        match ask.idempotency.clone() {
            None => self
                .forward(&session, ask, head)
                .await
                .map(|reply| reply.map(Recorded::plain)),
            Some(key) => Box::pin(self.once(&key, session, ask, head, rest)).await,
        }
    }

    async fn forward(
        &self,
        session: &Session,
        ask: Ask,
        head: &http::request::Parts,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let outgoing = Outgoing {
            upstreams: &self.upstreams,
            id: ask.id,
            query: head.uri.query(),
            headers: &head.headers,
        };
        self.control.run(session, ask, &outgoing).await
    }

    /// Makes a call that may be sent again: the first of its key is made, others wait for its reply. They wait once: where
    /// the first brought nothing to keep, one of them makes the call, and the others are told to come again. Else they
    /// would make a call that fails one after another, past every time-out.
    async fn once(
        &self,
        key: &RepeatKey,
        session: Session,
        ask: Ask,
        head: &http::request::Parts,
        path: &str,
    ) -> Result<Response<Recorded>, Refusal> {
        let query = head.uri.query().unwrap_or_default();
        let content_type = ask.content_type.as_deref().unwrap_or_default();
        let parts = [ask.upstream.name.as_str(), path, query, content_type].map(str::as_bytes);
        let print = self.control.fingerprint(&[&parts[..], &[&ask.body]].concat());
        let mut entered = self.replays.enter(key, &print);
        if let Entered::Running(mut first, seat) = entered {
            // Its end is the only change. It is bounded by its own time-outs.
            drop(first.changed().await);
            drop(seat);
            entered = self.replays.enter(key, &print);
        }
        match entered {
            Entered::First(turn, _seat) => self.first(turn, session, ask, head).await,
            Entered::Running(..) => {
                let at_edge = Edge {
                    control: &self.control,
                    session: &session,
                    id: ask.id,
                    upstream: &ask.upstream.name,
                };
                let message = "The call with this Idempotency-Key that this one waited for brought no reply to give again, and \
                               another is under way; nothing was forwarded. Send it again with the same key.";
                Err(at_edge.overloaded(message.to_owned()).await)
            }
            Entered::Kept(kept) => {
                self.control.replay(&session, &ask, kept.of).await?;
                Ok(kept.again())
            }
            Entered::OtherRequest => Err(self.control.refuse_other_request(&session, &ask).await),
        }
    }

    /// Makes the first call of a key, in a task of its own: a caller that gives up and sends it again finds the reply. One
    /// that waits for an administrator ends when nobody wants its reply any more.
    async fn first(
        &self,
        turn: Turn,
        session: Session,
        ask: Ask,
        head: &http::request::Parts,
    ) -> Result<Response<Recorded>, Refusal> {
        let id = ask.id;
        let ask = Ask {
            audience: Some(turn.audience.clone()),
            ..ask
        };
        let (service, head) = (self.clone(), head.clone());
        let made = self.detached.spawn(async move {
            let response = service.forward(&session, ask, &head).await?;
            Ok(turn.record(id, response).await)
        });
        made.await.unwrap_or_else(|_| {
            let message = "The call broke off inside the gateway.".to_owned();
            Err(Refusal::upstream(id, Reason::UpstreamBroken, message))
        })
    }

    /// Reads the body whole: it decides what the call may cost. Bounded in length and time, and in what all bodies take.
    /// Taken if it was read.
    async fn read(&self, headers: &HeaderMap, body: &mut Option<Incoming>) -> Result<Bytes, (Reason, String)> {
        let limits = self.control.limits();
        let Some(incoming) = body.as_mut() else {
            return Ok(Bytes::new());
        };
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        if encodings.any(|encoding| encoding != "identity") {
            let message = "A compressed request body cannot be read here; send it without Content-Encoding.";
            return Err((Reason::InvalidRequest, message.to_owned()));
        }
        let (most, within) = (limits.request_bytes, limits.request_timeout);
        let unread = match self.bodies.read(incoming, most, within).await {
            Ok(read) => {
                *body = None;
                return Ok(read);
            }
            Err(unread) => unread,
        };
        Err(match unread {
            Unread::TooLarge => (
                Reason::RequestTooLarge,
                format!("The request body has more than {most} bytes ([limits] request_size)."),
            ),
            Unread::NoRoom => (
                Reason::Overloaded,
                "The request bodies of calls in flight take all the memory that they may ([limits] bodies_size); nothing \
                 was forwarded."
                    .to_owned(),
            ),
            Unread::BrokenOff => (Reason::InvalidRequest, "The request body broke off.".to_owned()),
            Unread::Late => {
                let seconds = within.as_secs();
                (
                    Reason::RequestTimeout,
                    format!("The request body did not arrive within {seconds} seconds."),
                )
            }
        })
    }

    async fn unknown_upstream(&self, session: &Session, id: ActionId, name: &str) -> Refusal {
        let names: Vec<_> = self.control.upstream_names().iter().map(ToString::to_string).collect();
        let refusal = reply::nothing_here(&names);
        self.refuse(session, id, name, refusal).await
    }

    /// A credential that was revoked or has expired still says whose it was, so its use is recorded.
    async fn unauthenticated(&self, caller: Unauthenticated, id: ActionId, name: &str) -> Refusal {
        self.control.count_unauthenticated();
        match caller.known {
            Some(session) => self.refuse(&session, id, name, caller.refusal).await,
            // Nothing is recorded, but whoever asks an operator about it can name it.
            None => Refusal {
                id: Some(id),
                ..caller.refusal
            },
        }
    }

    async fn refuse(&self, session: &Session, id: ActionId, name: &str, refusal: Refusal) -> Refusal {
        // What is no name at all is recorded as such, not in the caller's words.
        match UpstreamName::new(name).or_else(|_| UpstreamName::new("_none")) {
            Ok(name) => {
                self.control
                    .refuse_at_edge(session, id, &name, refusal.reason, refusal.message)
                    .await
            }
            Err(_) => refusal,
        }
    }

    fn ready(&self) -> Response<ReplyBody> {
        match &self.control.health().borrow().trouble {
            None => reply::plain(StatusCode::OK, "ready"),
            Some(trouble) => reply::plain(StatusCode::SERVICE_UNAVAILABLE, trouble),
        }
    }
}

/// Refusals of an identified agent before the pipeline is reached.
struct Edge<'a> {
    control: &'a Control,
    session: &'a Session,
    id: ActionId,
    upstream: &'a UpstreamName,
}

impl Edge<'_> {
    async fn refuse(&self, reason: Reason, message: String) -> Refusal {
        self.control
            .refuse_at_edge(self.session, self.id, self.upstream, reason, message)
            .await
    }

    /// Refuses what may go better in a moment.
    async fn overloaded(&self, message: String) -> Refusal {
        let refusal = self.refuse(Reason::Overloaded, message).await;
        Refusal {
            retry_after: Some(Duration::from_secs(1)),
            ..refusal
        }
    }
}

/// Reads to its end what of a refused request is short and on its way anyhow, so that the connection can be used again.
/// Whether it was.
pub(crate) async fn read_over(headers: &HeaderMap, late: bool, body: Option<Incoming>) -> bool {
    let Some(body) = body.filter(|body| !http_body::Body::is_end_stream(body)) else {
        return true;
    };
    // Who waits to be asked for its body is not asked for what nobody wants, and who was late is not waited for again.
    if headers.contains_key(header::EXPECT) || late {
        return false;
    }
    if http_body::Body::size_hint(&body)
        .upper()
        .is_none_or(|upper| upper > SWALLOW_MAX)
    {
        return false;
    }
    tokio::time::timeout(SWALLOW_TIME, body.collect())
        .await
        .is_ok_and(|read| read.is_ok())
}

/// Says that the connection ends with this reply.
pub(crate) fn close<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, http::HeaderValue::from_static("close"));
}

fn guess_dialect(headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}
