//! Calling the upstream: what was cleared goes out, what comes back is read or passed on.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use control::{BodyEnd, Cleared, Meter, Refusal, Upstream, UpstreamSpec};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Either, Full};
use llm::Dialect;
use model::{ActionId, Reason};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    headers, leaks,
    reply::{self, ReplyBody},
    stream::{Bounds, Passing},
    upstreams::{SendError, UpstreamBody, Upstreams},
};

/// What the holder of a credential is told that was revoked under way.
const REVOKED: &str = "This credential was revoked while the call was running.";
/// The longest error body that is passed on.
const ERROR_MAX: usize = 256 * 1024;

/// One request on its way: the parts of the caller's request that go along.
pub(crate) struct Outgoing<'a> {
    pub(crate) upstreams: &'a Upstreams,
    pub(crate) id: ActionId,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl Upstream for Outgoing<'_> {
    type Reply = Response<ReplyBody>;

    async fn forward(&self, cleared: Cleared) -> Self::Reply {
        let upstream = cleared.upstream().clone();
        let (dialect, name) = (upstream.kind, upstream.name.to_string());
        let limits = cleared.limits();
        let call = Call {
            upstream: upstream.clone(),
            stream: cleared.is_stream(),
            unread: cleared.is_unread(),
            bounds: Bounds {
                idle: limits.idle_timeout,
                total: limits.total_timeout,
                deadline: Instant::now() + limits.total_timeout,
            },
            first_byte: limits.first_byte_timeout,
            reply_bytes: limits.reply_bytes,
            cancel: cleared.cancelled(),
        };
        let failed = |reason, message: String| reply::refusal(dialect, &Refusal::upstream(self.id, reason, message));
        let request = match self.request(&cleared) {
            Ok(request) => request,
            // Nothing begins, so the hold ends in nothing.
            Err(error) => {
                return failed(
                    Reason::UpstreamUnreachable,
                    format!("The base URL of upstream {name} cannot be used: {error}."),
                );
            }
        };
        // Revocation cancels before it returns, so what is not cancelled here started before.
        if call.cancel.is_cancelled() {
            return failed(Reason::Revoked, REVOKED.to_owned());
        }
        let meter = cleared.begin();
        let due = call.bounds.deadline.min(Instant::now() + call.first_byte);
        let sent = tokio::select! {
            sent = tokio::time::timeout_at(due, self.upstreams.send(&upstream, request)) => sent,
            () = call.cancel.cancelled() => {
                meter.lost(BodyEnd::Revoked);
                return failed(Reason::Revoked, REVOKED.to_owned());
            }
        };
        match sent {
            Ok(Ok(response)) => self.receive(dialect, &name, response, meter, &call).await,
            Ok(Err(SendError::Connect(error))) => {
                tracing::warn!(upstream.name = %name, error, "the upstream cannot be reached");
                meter.unreachable();
                failed(
                    Reason::UpstreamUnreachable,
                    format!("Upstream {name} cannot be reached; nothing was used."),
                )
            }
            Ok(Err(SendError::Broken(error))) => {
                tracing::warn!(upstream.name = %name, error, "the upstream's connection broke");
                meter.lost(BodyEnd::Broken);
                failed(
                    Reason::UpstreamBroken,
                    format!("Upstream {name} closed the connection without an answer."),
                )
            }
            Err(_) => {
                let end = match due < call.bounds.deadline {
                    true => BodyEnd::Timeout(call.first_byte),
                    false => BodyEnd::Overdue(call.bounds.total),
                };
                meter.lost(end);
                let within = match end {
                    BodyEnd::Timeout(bound) => format!("{bound:?} ([timeouts] first_byte)"),
                    _ => format!("{:?} ([timeouts] total)", call.bounds.total),
                };
                failed(
                    Reason::UpstreamTimeout,
                    format!("Upstream {name} did not answer within {within}."),
                )
            }
        }
    }
}

/// The bounds of one call.
struct Call {
    upstream: Arc<UpstreamSpec>,
    stream: bool,
    /// Whether the reply need not be read before it is delivered.
    unread: bool,
    bounds: Bounds,
    first_byte: Duration,
    reply_bytes: usize,
    cancel: CancellationToken,
}

impl Outgoing<'_> {
    fn request(&self, cleared: &Cleared) -> Result<Request<Full<Bytes>>, http::Error> {
        let upstream = cleared.upstream();
        let method = Method::from_bytes(cleared.method().as_bytes())?;
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = Uri::try_from(format!("{}{}{query}", upstream.base_url, self.path))?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(cleared.body().clone()))?;
        *request.headers_mut() = headers::to_upstream(self.headers, credential(upstream)?);
        Ok(request)
    }

    async fn receive(
        &self,
        dialect: Dialect,
        name: &str,
        response: Response<UpstreamBody>,
        mut meter: Meter,
        call: &Call,
    ) -> Response<ReplyBody> {
        let (mut head, body) = response.into_parts();
        let failed = |reason, message: String| reply::refusal(dialect, &Refusal::upstream(self.id, reason, message));
        meter.answered(head.status.as_u16());
        leaks::scrub(&call.upstream, &mut head.headers);
        if !is_final(head.status) {
            // Nothing that a provider answers a call with: who answered, and what came of the call, is not known.
            meter.lost(BodyEnd::Broken);
            let message = format!(
                "Upstream {name} answered with status {}, which is no answer.",
                head.status.as_u16()
            );
            return failed(Reason::UpstreamBroken, message);
        }
        if !head.status.is_success() {
            return self.receive_error(dialect, name, head, body, meter, call).await;
        }
        if is_compressed(&head.headers) {
            meter.lost(BodyEnd::Broken);
            let message = format!("Upstream {name} compressed its answer although it was asked not to.");
            return failed(Reason::UpstreamBroken, message);
        }
        let mut headers = headers::to_caller(&head.headers);
        reply::allowed(&mut headers, self.id);
        if (is_event_stream(&head.headers) && call.stream) || (call.unread && !call.stream) {
            return respond(head.status, headers, passing(body, meter, call));
        }
        match read_whole(body, call, call.reply_bytes).await {
            Whole::Read(bytes) | Whole::TooLong(bytes, _) if leaks::quotes(&call.upstream, &bytes) => {
                meter.lost(BodyEnd::Broken);
                let message = format!("Upstream {name} quoted the credential that Bailiwick has for it in its answer.");
                failed(Reason::UpstreamBroken, message)
            }
            Whole::Read(bytes) => {
                let content_type = head
                    .headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok());
                let settled = meter.reply(head.status.as_u16(), content_type.unwrap_or_default(), &bytes);
                if !settled.readable {
                    let status = head.status.as_u16();
                    let message = format!("Upstream {name} answered with status {status}, and with no JSON object.");
                    return failed(Reason::UpstreamBroken, message);
                }
                reply::cost(&mut headers, settled.cost, settled.remaining);
                respond(head.status, headers, Either::Left(Full::new(bytes)))
            }
            Whole::TooLong(read, rest) => {
                let Either::Right(passing) = passing(rest, meter, call) else {
                    return failed(Reason::UpstreamBroken, "The answer could not be passed on.".to_owned());
                };
                respond(head.status, headers, Either::Right(passing.after(read)))
            }
            Whole::Failed(end) => {
                meter.lost(end);
                let reason = match end {
                    BodyEnd::Timeout(_) | BodyEnd::Overdue(_) => Reason::UpstreamTimeout,
                    BodyEnd::Revoked => Reason::Revoked,
                    BodyEnd::Broken | BodyEnd::Complete => Reason::UpstreamBroken,
                };
                failed(reason, format!("Upstream {name} {}.", not_whole(end)))
            }
        }
    }

    /// An answer that is not a success: passed on, unless it says something about Bailiwick and not about the request.
    async fn receive_error(
        &self,
        dialect: Dialect,
        name: &str,
        head: http::response::Parts,
        body: UpstreamBody,
        meter: Meter,
        call: &Call,
    ) -> Response<ReplyBody> {
        let status = head.status;
        let failed =
            |message: String| reply::refusal(dialect, &Refusal::upstream(self.id, Reason::UpstreamBroken, message));
        if matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        ) {
            // The body may quote a part of the operator's credential, and a caller would take it for a word on its own.
            tracing::error!(upstream.name = %name, "the upstream refused the credential configured for it");
            meter.upstream_error(status.as_u16(), &[]);
            return failed(format!(
                "Upstream {name} refused the credential that Bailiwick has for it; an operator has to mend its api_key."
            ));
        }
        if status.is_redirection() {
            meter.upstream_error(status.as_u16(), &[]);
            return failed(format!(
                "Upstream {name} answered with a redirection, which is not followed; an operator has to mend its base_url."
            ));
        }
        let body = match is_compressed(&head.headers) {
            true => Err("is compressed although that was not asked for"),
            false => error_body(body, call).await,
        };
        meter.upstream_error(status.as_u16(), body.as_deref().unwrap_or_default());
        let mut headers = headers::to_caller(&head.headers);
        reply::allowed(&mut headers, self.id);
        let body = body.unwrap_or_else(|why| {
            // The status is what SDKs act by; the rest is told in their dialect.
            reply::instead(&mut headers);
            let message = format!(
                "Upstream {name} answered with status {}; the text of its error {why}.",
                status.as_u16()
            );
            llm::error_body(
                dialect,
                status.as_u16(),
                Reason::UpstreamBroken,
                &message,
                &self.id.to_string(),
            )
        });
        respond(status, headers, Either::Left(Full::new(body)))
    }
}

/// The body of an error if it can be passed on, or why it cannot.
async fn error_body(body: UpstreamBody, call: &Call) -> Result<Bytes, &'static str> {
    match read_whole(body, call, ERROR_MAX).await {
        Whole::Read(bytes) if leaks::quotes(&call.upstream, &bytes) => Err("quotes the operator's credential"),
        Whole::Read(bytes) => Ok(bytes),
        Whole::TooLong(..) => Err("is too long"),
        Whole::Failed(_) => Err("did not come to its end"),
    }
}

/// What is said of a reply that did not come to its end.
fn not_whole(end: BodyEnd) -> String {
    match end {
        BodyEnd::Timeout(bound) => format!("sent nothing more of its answer for {bound:?} ([timeouts] idle)"),
        BodyEnd::Overdue(bound) => format!("did not finish its answer within {bound:?} ([timeouts] total)"),
        BodyEnd::Revoked => "was left: this credential was revoked".to_owned(),
        BodyEnd::Broken | BodyEnd::Complete => "broke its answer off".to_owned(),
    }
}

/// Whether a status ends a call. One out of the range of RFC 9110, section 15, means nothing, and a change of protocols
/// (101) was not asked for.
fn is_final(status: StatusCode) -> bool {
    (200..600).contains(&status.as_u16())
}

/// Whether a body is encoded. It was asked for as it is, so no encoding is undone here.
fn is_compressed(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn credential(upstream: &UpstreamSpec) -> Result<Option<(HeaderName, HeaderValue)>, http::Error> {
    let Some(secret) = &upstream.credential else {
        return Ok(None);
    };
    Ok(Some(match upstream.kind {
        Dialect::OpenAi => (
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))?,
        ),
        Dialect::Anthropic => (
            HeaderName::from_static("x-api-key"),
            HeaderValue::from_str(secret.expose_secret())?,
        ),
    }))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    content_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn passing(body: UpstreamBody, meter: Meter, call: &Call) -> ReplyBody {
    let (cancel, spec) = (call.cancel.clone(), call.upstream.clone());
    Either::Right(Passing::new(body, meter, cancel, call.bounds, spec))
}

fn respond(status: StatusCode, headers: HeaderMap, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What reading a body came to.
enum Whole {
    Read(Bytes),
    TooLong(Bytes, UpstreamBody),
    Failed(BodyEnd),
}

async fn read_whole(mut body: UpstreamBody, call: &Call, most: usize) -> Whole {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    loop {
        let due = call.bounds.deadline.min(Instant::now() + call.bounds.idle);
        let frame = tokio::select! {
            frame = tokio::time::timeout_at(due, body.frame()) => frame,
            () = call.cancel.cancelled() => return Whole::Failed(BodyEnd::Revoked),
        };
        match frame {
            Err(_) if due < call.bounds.deadline => return Whole::Failed(BodyEnd::Timeout(call.bounds.idle)),
            Err(_) => return Whole::Failed(BodyEnd::Overdue(call.bounds.total)),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Whole::Failed(BodyEnd::Broken),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                // Most replies come in one piece, which then is not copied.
                if first.is_empty() && more.is_empty() {
                    first = data;
                } else {
                    if more.is_empty() {
                        more.extend_from_slice(&std::mem::take(&mut first));
                    }
                    more.extend_from_slice(&data);
                }
            }
        }
        if first.len() + more.len() > most {
            return Whole::TooLong(joined(first, more), body);
        }
    }
    Whole::Read(joined(first, more))
}

fn joined(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() { first } else { more.freeze() }
}
