//! Calling the upstream: what was cleared goes out, what comes back is read or passed on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use control::{BodyEnd, Cause, Cleared, Failure, Forwarded, HeaderTemplate, Meter, Refusal, Upstream, UpstreamSpec};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Either, Full};
use llm::Dialect;
use model::{ActionId, Reason};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    headers,
    reply::{self, ReplyBody},
    stream::Passing,
    upstreams::{SendError, UpstreamBody, Upstreams},
};

/// What the holder of a credential is told that was revoked or expired under way.
const REVOKED: &str = "This credential was revoked or has expired while the call was running.";
/// How long the end of a body is waited for after its stream has said that it is complete: so long, the connection may
/// yet serve again.
const END_WAIT: Duration = Duration::from_secs(1);
/// The longest error body that is passed on.
const ERROR_MAX: usize = 256 * 1024;

/// One request on its way: the parts of the caller's request that go along.
pub(crate) struct Outgoing<'a> {
    pub(crate) upstreams: &'a Upstreams,
    pub(crate) id: ActionId,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl Upstream for Outgoing<'_> {
    type Reply = Response<ReplyBody>;

    async fn forward(&self, cleared: Cleared) -> Forwarded<Self::Reply> {
        let upstream = cleared.upstream().clone();
        let (dialect, name) = (upstream.kind, upstream.name.to_string());
        let bounds = *cleared.bounds();
        let call = Call {
            stream: cleared.is_stream(),
            assembled: cleared.is_assembled(),
            unread: cleared.is_unread(),
            deadline: cleared.deadline(),
            idle: bounds.idle,
            reply_bytes: bounds.reply_bytes,
            cancel: cleared.cancelled(),
            attempts: cleared.number() + 1,
        };
        let failed = |reason, message: String| reply::refusal(dialect, &Refusal::upstream(self.id, reason, message));
        let request = match self.request(&cleared) {
            Ok(request) => request,
            // Nothing begins, so the hold ends in nothing.
            Err(error) => {
                let message = format!("The URL or the headers of upstream {name} cannot be used: {error}.");
                let reply = failed(Reason::UpstreamUnreachable, message);
                return Forwarded::Failed(Failure::of(Cause::Connect), reply);
            }
        };
        // Revocation cancels before it returns, so what is not cancelled here started before.
        if call.cancel.is_cancelled() {
            return Forwarded::Reply(failed(Reason::Revoked, REVOKED.to_owned()));
        }
        let meter = cleared.begin();
        let due = call.deadline.min(Instant::now() + bounds.first_byte);
        let sent = tokio::select! {
            sent = tokio::time::timeout_at(due, self.upstreams.send(&upstream, request)) => sent,
            () = call.cancel.cancelled() => {
                meter.lost(BodyEnd::Revoked);
                return Forwarded::Reply(failed(Reason::Revoked, REVOKED.to_owned()));
            }
        };
        let (cause, reason, message) = match sent {
            Ok(Ok(response)) => return self.receive(dialect, &name, response, meter, &call).await,
            Ok(Err(SendError::Connect(error))) => {
                tracing::warn!(upstream.name = %name, error, "the upstream cannot be reached");
                meter.unreachable();
                let message = format!("Upstream {name} cannot be reached; nothing was used.");
                (Cause::Connect, Reason::UpstreamUnreachable, message)
            }
            Ok(Err(SendError::Broken(error))) => {
                tracing::warn!(upstream.name = %name, error, "the upstream's connection broke");
                meter.lost(BodyEnd::Broken);
                let message = format!("Upstream {name} closed the connection without an answer.");
                (Cause::Broken, Reason::UpstreamBroken, message)
            }
            Err(_) => {
                meter.lost(BodyEnd::Timeout);
                let message = format!(
                    "Upstream {name} did not answer within {:?}.",
                    bounds.first_byte.min(bounds.total)
                );
                (Cause::Timeout, Reason::UpstreamTimeout, message)
            }
        };
        Forwarded::Failed(Failure::of(cause), failed(reason, message))
    }
}

/// The bounds of one call.
struct Call {
    stream: bool,
    /// Whether the reply is asked for as a stream and delivered as JSON.
    assembled: bool,
    /// Whether the reply need not be read before it is delivered.
    unread: bool,
    deadline: Instant,
    idle: Duration,
    reply_bytes: usize,
    cancel: CancellationToken,
    /// How many attempts the action took, with this one.
    attempts: u16,
}

impl Outgoing<'_> {
    fn request(&self, cleared: &Cleared) -> Result<Request<Full<Bytes>>, http::Error> {
        let upstream = cleared.upstream();
        let method = Method::from_bytes(cleared.method().as_bytes())?;
        let mut uri = cleared.address().to_owned();
        if let Some(query) = upstream.query(self.query) {
            uri.push('?');
            uri.push_str(&query);
        }
        let mut request = Request::builder()
            .method(method)
            .uri(Uri::try_from(uri)?)
            .body(Full::new(cleared.body().clone()))?;
        *request.headers_mut() = headers::to_upstream(self.headers, own_headers(upstream)?);
        Ok(request)
    }

    async fn receive(
        &self,
        dialect: Dialect,
        name: &str,
        response: Response<UpstreamBody>,
        meter: Meter,
        call: &Call,
    ) -> Forwarded<Response<ReplyBody>> {
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Forwarded::Reply(self.receive_success(dialect, name, head, body, meter, call).await);
        }
        let failure = Failure {
            cause: Cause::Status(head.status.as_u16()),
            retry_after: headers::retry_after(&head.headers),
        };
        let reply = self.receive_error(dialect, name, head, body, meter, call).await;
        Forwarded::Failed(failure, reply)
    }

    async fn receive_success(
        &self,
        dialect: Dialect,
        name: &str,
        head: http::response::Parts,
        body: UpstreamBody,
        mut meter: Meter,
        call: &Call,
    ) -> Response<ReplyBody> {
        let failed = |reason, message: String| reply::refusal(dialect, &Refusal::upstream(self.id, reason, message));
        if head
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity")
        {
            meter.lost(BodyEnd::Broken);
            let message = format!("Upstream {name} compressed its answer although it was asked not to.");
            return failed(Reason::UpstreamBroken, message);
        }
        let mut headers = headers::to_caller(&head.headers);
        reply::allowed(&mut headers, self.id, call.attempts);
        if is_event_stream(&head.headers) && call.assembled {
            meter.assembling(head.status.as_u16());
            // Boxed, as it is seldom: what every call keeps while it waits would be as large.
            return match Box::pin(assemble(body, meter, call)).await {
                Ok((reply, settled)) => {
                    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    reply::cost(&mut headers, settled.cost, settled.remaining);
                    respond(head.status, headers, Either::Left(Full::new(reply)))
                }
                Err(control::Unassembled { reason, message }) => failed(reason, message),
            };
        }
        if (is_event_stream(&head.headers) && call.stream) || (call.unread && !call.stream) {
            meter.streaming(head.status.as_u16());
            return respond(head.status, headers, passing(body, meter, call));
        }
        match read_whole(body, call, call.reply_bytes).await {
            Whole::Read(bytes) => {
                let content_type = head
                    .headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok());
                let settled = meter.reply(head.status.as_u16(), content_type.unwrap_or_default(), &bytes);
                reply::cost(&mut headers, settled.cost, settled.remaining);
                respond(head.status, headers, Either::Left(Full::new(bytes)))
            }
            Whole::TooLong(read, rest) => {
                meter.streaming(head.status.as_u16());
                let Either::Right(passing) = passing(rest, meter, call) else {
                    return failed(Reason::UpstreamBroken, "The answer could not be passed on.".to_owned());
                };
                respond(head.status, headers, Either::Right(passing.after(read)))
            }
            Whole::Failed(end) => {
                meter.lost(end);
                let (reason, message) = match end {
                    BodyEnd::Timeout => (Reason::UpstreamTimeout, "did not finish its answer in time"),
                    BodyEnd::Revoked => (Reason::Revoked, "was left: this credential was revoked or has expired"),
                    BodyEnd::Broken | BodyEnd::Complete => (Reason::UpstreamBroken, "broke its answer off"),
                };
                failed(reason, format!("Upstream {name} {message}."))
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
        let body = match read_whole(body, call, ERROR_MAX).await {
            Whole::Read(bytes) => bytes,
            // The status says enough.
            Whole::TooLong(..) | Whole::Failed(_) => Bytes::new(),
        };
        let status = head.status;
        let failed =
            |message: String| reply::refusal(dialect, &Refusal::upstream(self.id, Reason::UpstreamBroken, message));
        if status == StatusCode::UNAUTHORIZED {
            // The body may quote a part of the operator's credential, and a caller would take it for a word on its own.
            tracing::error!(upstream.name = %name, "the upstream refused the credential configured for it");
            meter.upstream_error(status.as_u16(), &[]);
            return failed(format!(
                "Upstream {name} refused the credential that Bailiwick has for it; an operator has to mend its api_key."
            ));
        }
        if status.is_redirection() || status.is_informational() {
            meter.upstream_error(status.as_u16(), &[]);
            return failed(format!(
                "Upstream {name} answered with a redirection, which is not followed; an operator has to mend its base_url."
            ));
        }
        meter.upstream_error(status.as_u16(), &body);
        let mut headers = headers::to_caller(&head.headers);
        reply::allowed(&mut headers, self.id, call.attempts);
        respond(status, headers, Either::Left(Full::new(body)))
    }
}

/// The headers that the operator wants on every request. The credential stands where a template says, and if none does
/// where the upstream's dialect has it.
fn own_headers(upstream: &UpstreamSpec) -> Result<Vec<(HeaderName, HeaderValue)>, http::Error> {
    let mut headers = Vec::with_capacity(upstream.headers.len() + 1);
    let credential = upstream.credential.as_ref();
    if let Some(secret) = credential.filter(|_| !upstream.headers.iter().any(HeaderTemplate::has_credential)) {
        let secret = secret.expose_secret();
        headers.push(match upstream.kind {
            Dialect::OpenAi => (
                header::AUTHORIZATION,
                HeaderValue::from_str(&format!("Bearer {secret}"))?,
            ),
            Dialect::Anthropic => (HeaderName::from_static("x-api-key"), HeaderValue::from_str(secret)?),
        });
    }
    for template in &upstream.headers {
        if let Some(value) = template.value(credential) {
            let name = HeaderName::from_bytes(template.name().as_bytes())?;
            headers.push((name, HeaderValue::from_str(value.expose_secret())?));
        }
    }
    Ok(headers)
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
    Either::Right(Passing::new(body, meter, call.cancel.clone(), call.idle, call.deadline))
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
        match next(&mut body, call, call.idle).await {
            Err(BodyEnd::Complete) => break,
            Err(end) => return Whole::Failed(end),
            // Most replies come in one piece, which then is not copied.
            Ok(data) if first.is_empty() && more.is_empty() => first = data,
            Ok(data) => {
                if more.is_empty() {
                    more.extend_from_slice(&std::mem::take(&mut first));
                }
                more.extend_from_slice(&data);
            }
        }
        if first.len() + more.len() > most {
            return Whole::TooLong(joined(first, more), body);
        }
    }
    Whole::Read(joined(first, more))
}

/// Reads a stream to its end and makes a JSON reply of it.
async fn assemble(
    mut body: UpstreamBody,
    mut meter: Meter,
    call: &Call,
) -> Result<(Bytes, control::Settled), control::Unassembled> {
    let end = loop {
        let idle = if meter.is_gathered() {
            END_WAIT.min(call.idle)
        } else {
            call.idle
        };
        match next(&mut body, call, idle).await {
            Ok(data) => meter.gather(data)?,
            Err(end) => break end,
        }
    };
    meter.assembled(end)
}

/// The next piece of a body, or how it ended.
async fn next(body: &mut UpstreamBody, call: &Call, idle: Duration) -> Result<Bytes, BodyEnd> {
    loop {
        let due = call.deadline.min(Instant::now() + idle);
        let frame = tokio::select! {
            frame = tokio::time::timeout_at(due, body.frame()) => frame,
            () = call.cancel.cancelled() => return Err(BodyEnd::Revoked),
        };
        match frame {
            Err(_) => return Err(BodyEnd::Timeout),
            Ok(None) => return Err(BodyEnd::Complete),
            Ok(Some(Err(_))) => return Err(BodyEnd::Broken),
            Ok(Some(Ok(frame))) => {
                // Trailers belong to the upstream's connection.
                if let Ok(data) = frame.into_data() {
                    return Ok(data);
                }
            }
        }
    }
}

fn joined(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() { first } else { more.freeze() }
}
