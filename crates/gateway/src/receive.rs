//! Reading what an upstream answered: passed on as it comes, read whole for what it cost, or told in the caller's dialect.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use control::{BodyEnd, Cause, Failure, Forwarded, Meter, Refusal, UpstreamSpec};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full};
use llm::Dialect;
use model::Reason;
use tokio::time::Instant;

use crate::{
    forward::{Call, Outgoing},
    headers, leaks,
    reply::{self, ReplyBody},
    stream::Passing,
    upstreams::UpstreamBody,
};

/// How long the end of a body is waited for after its stream has said that it is complete: so long, the connection may
/// yet serve again.
const END_WAIT: Duration = Duration::from_secs(1);
/// The longest error body that is passed on.
const ERROR_MAX: usize = 256 * 1024;

impl Outgoing<'_> {
    /// Takes a reply from its head on.
    pub(crate) async fn receive(
        &self,
        dialect: Dialect,
        name: &str,
        response: Response<UpstreamBody>,
        mut meter: Meter,
        call: &Call,
    ) -> Forwarded<Response<ReplyBody>> {
        let (mut head, body) = response.into_parts();
        meter.answered(head.status.as_u16());
        leaks::scrub(&call.upstream, &mut head.headers);
        if !is_final(head.status) {
            // Nothing that a provider answers a call with: who answered, and what came of the call, is not known.
            meter.lost(BodyEnd::Broken);
            let status = head.status.as_u16();
            let message = format!("Upstream {name} answered with status {status}, which is no answer.");
            let refusal = Refusal::upstream(self.id, Reason::UpstreamBroken, message);
            return Forwarded::Failed(Failure::of(Cause::Broken), reply::refusal(dialect, &refusal));
        }
        if head.status.is_success() {
            return Forwarded::Reply(self.receive_success(dialect, name, head, body, meter, call).await);
        }
        let failure = Failure {
            cause: Cause::Status(head.status.as_u16()),
            retry_after: headers::retry_after(&head.headers),
        };
        // Boxed, as it is seldom: what every call keeps while it waits would be as large.
        let reply = Box::pin(self.receive_error(dialect, name, head, body, meter, call)).await;
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
        if is_compressed(&head.headers) {
            meter.lost(BodyEnd::Broken);
            let message = format!("Upstream {name} compressed its answer although it was asked not to.");
            return failed(Reason::UpstreamBroken, message);
        }
        let mut headers = headers::to_caller(&head.headers);
        reply::allowed(&mut headers, self.id, call.attempts);
        reply::warnings(&mut headers, meter.warnings());
        reply::cautions(&mut headers, meter.cautions());
        if is_event_stream(&head.headers) && call.assembled {
            meter.assembling(head.status.as_u16());
            // Boxed, as it is seldom: what every call keeps while it waits would be as large.
            return match Box::pin(assemble(body, meter, call)).await {
                Ok((reply, _)) if leaks::quotes(&call.upstream, &reply) => {
                    let message = quoted(name);
                    failed(Reason::UpstreamBroken, message)
                }
                Ok((reply, settled)) => {
                    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    reply::cost(&mut headers, settled.cost, settled.remaining);
                    respond(head.status, headers, Either::Left(Full::new(reply)))
                }
                Err(control::Unassembled { reason, message }) => failed(reason, message),
            };
        }
        meter.not_streamed();
        if (is_event_stream(&head.headers) && call.stream) || (call.unread && !call.stream) {
            return respond(
                head.status,
                headers,
                Either::Right(Box::new(passing(body, meter, call))),
            );
        }
        match read_whole(body, call, call.reply_bytes).await {
            Whole::Read(bytes) | Whole::TooLong(bytes, _) if leaks::quotes(&call.upstream, &bytes) => {
                meter.lost(BodyEnd::Broken);
                let message = quoted(name);
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
                let passing = passing(rest, meter, call).after(read);
                respond(head.status, headers, Either::Right(Box::new(passing)))
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
            meter.upstream_error(status.as_u16(), &[]);
            if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && is_behind_proxy(&call.upstream) {
                tracing::error!(upstream.name = %name, "the proxy refused the proxy_auth configured for the upstream");
                return failed(format!(
                    "The proxy of upstream {name} refused the credential that Bailiwick has for it; an operator has to \
                     mend its proxy_auth."
                ));
            }
            tracing::error!(upstream.name = %name, "the upstream refused the credential configured for it");
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
        reply::allowed(&mut headers, self.id, call.attempts);
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

/// Whether answers may be a proxy's own. Through a tunnel they are the upstream's.
fn is_behind_proxy(upstream: &UpstreamSpec) -> bool {
    upstream.transport.declared().proxy.is_some() && upstream.base_url.starts_with("http://")
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

/// What is said of a reply with the operator's credential in it.
fn quoted(name: &str) -> String {
    format!("Upstream {name} quoted the credential that Bailiwick has for it in its answer.")
}

/// What is said of a reply that did not come to its end.
fn not_whole(end: BodyEnd) -> String {
    match end {
        BodyEnd::Timeout(bound) => format!("sent nothing more of its answer for {bound:?} ([timeouts] idle)"),
        BodyEnd::Overdue(bound) => format!("did not finish its answer within {bound:?} ([timeouts] total)"),
        BodyEnd::Revoked => "was left: this credential was revoked or has expired".to_owned(),
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

fn passing(body: UpstreamBody, meter: Meter, call: &Call) -> Passing {
    Passing::new(body, meter, call.cancel.clone(), call.bounds, call.upstream.clone())
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
        match next(&mut body, call, call.bounds.idle).await {
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
            END_WAIT.min(call.bounds.idle)
        } else {
            call.bounds.idle
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
        let due = call.bounds.deadline.min(Instant::now() + idle);
        let frame = tokio::select! {
            frame = tokio::time::timeout_at(due, body.frame()) => frame,
            () = call.cancel.cancelled() => return Err(BodyEnd::Revoked),
        };
        match frame {
            Err(_) if due < call.bounds.deadline => return Err(BodyEnd::Timeout(idle)),
            Err(_) => return Err(BodyEnd::Overdue(call.bounds.total)),
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
