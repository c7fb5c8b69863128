//! Calling the upstream: what was cleared goes out. What comes back is for `receive.rs`.

use std::sync::Arc;

use bytes::Bytes;
use control::{BodyEnd, Cause, Cleared, Failure, Forwarded, HeaderTemplate, Refusal, Upstream, UpstreamSpec};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use llm::Dialect;
use model::{ActionId, Reason};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    headers,
    reply::{self, ReplyBody},
    stream,
    upstreams::{Patience, SendError, Upstreams},
};

/// What the holder of a credential is told that was revoked or expired under way.
const REVOKED: &str = "This credential was revoked or has expired while the call was running.";

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
            upstream: upstream.clone(),
            stream: cleared.is_stream(),
            assembled: cleared.is_assembled(),
            unread: cleared.is_unread(),
            bounds: stream::Bounds {
                idle: bounds.idle,
                total: bounds.total,
                deadline: cleared.deadline(),
            },
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
        if call.bounds.deadline <= Instant::now() {
            // Nothing begins, so the hold ends in nothing.
            let message = format!(
                "The call was not over after {:?} ([timeouts] total); nothing was sent.",
                bounds.total
            );
            let reply = failed(Reason::UpstreamTimeout, message);
            return Forwarded::Failed(Failure::of(Cause::Connect), reply);
        }
        // Revocation cancels before it returns, so what is not cancelled here started before.
        if call.cancel.is_cancelled() {
            return Forwarded::Reply(failed(Reason::Revoked, REVOKED.to_owned()));
        }
        let patience = Patience {
            connect: bounds.connect,
            first_byte: bounds.first_byte,
            deadline: call.bounds.deadline,
        };
        let meter = cleared.begin();
        let sent = tokio::select! {
            sent = self.upstreams.send(&upstream, request, patience) => sent,
            () = call.cancel.cancelled() => {
                meter.lost(BodyEnd::Revoked);
                return Forwarded::Reply(failed(Reason::Revoked, REVOKED.to_owned()));
            }
        };
        let (cause, reason, message) = match sent {
            Ok(response) => return self.receive(dialect, &name, response, meter, &call).await,
            Err(SendError::Connect(error)) => {
                tracing::warn!(upstream.name = %name, error, "the upstream cannot be reached");
                meter.unreachable();
                let message = format!("Upstream {name} cannot be reached; nothing was used.");
                (Cause::Connect, Reason::UpstreamUnreachable, message)
            }
            Err(SendError::Broken(error)) => {
                tracing::warn!(upstream.name = %name, error, "the upstream's connection broke");
                meter.lost(BodyEnd::Broken);
                let message = format!("Upstream {name} closed the connection without an answer.");
                (Cause::Broken, Reason::UpstreamBroken, message)
            }
            Err(SendError::Late) => {
                let (end, within) = match Instant::now() < call.bounds.deadline {
                    true => (
                        BodyEnd::Timeout(bounds.first_byte),
                        format!("{:?} ([timeouts] first_byte)", bounds.first_byte),
                    ),
                    false => (
                        BodyEnd::Overdue(bounds.total),
                        format!("{:?} ([timeouts] total)", bounds.total),
                    ),
                };
                meter.lost(end);
                let message = format!("Upstream {name} did not answer within {within}.");
                (Cause::Timeout, Reason::UpstreamTimeout, message)
            }
        };
        Forwarded::Failed(Failure::of(cause), failed(reason, message))
    }
}

/// What receiving a reply has to know of its call.
pub(crate) struct Call {
    pub(crate) upstream: Arc<UpstreamSpec>,
    pub(crate) stream: bool,
    /// Whether the reply is asked for as a stream and delivered as JSON.
    pub(crate) assembled: bool,
    /// Whether the reply need not be read before it is delivered.
    pub(crate) unread: bool,
    pub(crate) bounds: stream::Bounds,
    pub(crate) reply_bytes: usize,
    pub(crate) cancel: CancellationToken,
    /// How many attempts the action took, with this one.
    pub(crate) attempts: u16,
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
