//! What the caller gets that does not come from a provider.

use bytes::Bytes;
use control::{Refusal, Unauthenticated};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use llm::Dialect;
use model::{ActionId, NanoUsd, Reason};

use crate::stream::Passing;

/// The body of a reply: whole, or passing as it comes. What passes is boxed: every reply, and every future that makes one,
/// would be as large.
pub(crate) type ReplyBody = Either<Full<Bytes>, Box<Passing>>;

/// The action's id: also in the log.
const REQUEST_ID: &str = "bailiwick-request-id";
/// `allow` or `deny`.
const DECISION: &str = "bailiwick-decision";
/// How many attempts the action took.
const ATTEMPTS: &str = "bailiwick-attempts";
/// The stable code of a refusal.
const REASON: &str = "bailiwick-reason";
/// What the call cost, where that is known before the reply starts.
const COST: &str = "bailiwick-cost-usd";
/// What was left in the tightest budget once the call was reserved.
const REMAINING: &str = "bailiwick-budget-remaining-usd";

/// Which budgets of the call were past a threshold when it was reserved.
const WARNING: &str = "bailiwick-budget-warning";

/// Which circuit breakers are about to trip, and over what.
const CAUTION: &str = "bailiwick-breaker-warning";
/// When to come again, to the millisecond.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// A refusal, in the caller's dialect.
pub(crate) fn refusal(dialect: Dialect, refusal: &Refusal) -> Response<ReplyBody> {
    let reason = refusal.reason;
    let id = refusal.id.map(|id| id.to_string()).unwrap_or_default();
    let body = llm::error_body(dialect, reason.status(), reason, &refusal.message, &id);
    let mut response = whole(
        StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body,
    );
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set(headers, REQUEST_ID, &id);
    // A provider's failure is not a denial: the action had been allowed.
    let decision = if reason.fault() == model::Fault::Upstream {
        "allow"
    } else {
        "deny"
    };
    headers.insert(DECISION, HeaderValue::from_static(decision));
    headers.insert(REASON, HeaderValue::from_static(reason.code()));
    if let Some(remaining) = refusal.remaining {
        set(headers, REMAINING, &remaining.to_string());
    }
    if reason.status() == 401 {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"bailiwick\""),
        );
    }
    if let Some(after) = refusal.retry_after {
        // Whole seconds (RFC 9110, section 10.2.3) and, as the OpenAI and Azure SDKs read it, milliseconds: rounded up, so
        // that the wait is over by then.
        let millis = after.as_micros().div_ceil(1_000);
        set(
            headers,
            header::RETRY_AFTER.as_str(),
            &millis.div_ceil(1_000).max(1).to_string(),
        );
        set(headers, RETRY_AFTER_MS, &millis.to_string());
    }
    // The OpenAI and Anthropic SDKs heed this one before any rule of their own. A rate that no waiting helps against is not
    // worth another try.
    let helps = reason != Reason::RateLimited || refusal.retry_after.is_some();
    let retry = if reason.retryable() && helps { "true" } else { "false" };
    headers.insert("x-should-retry", HeaderValue::from_static(retry));
    response
}

/// The whole reply to what could not be read as an HTTP request. Nothing says which dialect its sender speaks, so it is the
/// one that most do.
pub(crate) fn unreadable(status: StatusCode, id: ActionId) -> Bytes {
    let message = match status {
        StatusCode::URI_TOO_LONG => "The request's target is longer than is read here.",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "The request's headers are more or longer than are read here: at most 100, of 64 KiB in all."
        }
        _ => "This cannot be read as an HTTP/1.1 request: its first line, a header or its length is malformed.",
    };
    let (id, reason) = (id.to_string(), Reason::InvalidRequest);
    let body = llm::error_body(Dialect::OpenAi, status.as_u16(), reason, message, &id);
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         {REQUEST_ID}: {id}\r\n{DECISION}: deny\r\n{REASON}: {reason}\r\nx-should-retry: false\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat().into()
}

/// What a caller is told who presents two credentials: whose it is cannot be known.
pub(crate) fn two_credentials() -> Unauthenticated {
    let message = "Two different credentials were sent (in Authorization and x-api-key headers). Send the Bailiwick \
                   credential alone, as `Authorization: Bearer bwk_...` or as `x-api-key`.";
    Unauthenticated {
        known: None,
        refusal: Refusal {
            id: None,
            reason: Reason::InvalidCredential,
            message: message.to_owned(),
            retry_after: None,
            remaining: None,
        },
    }
}

/// Marks a reply as allowed, and says how many attempts it took if it took more than one.
pub(crate) fn allowed(headers: &mut HeaderMap, id: ActionId, attempts: u16) {
    set(headers, REQUEST_ID, &id.to_string());
    headers.insert(DECISION, HeaderValue::from_static("allow"));
    if attempts > 1 {
        set(headers, ATTEMPTS, &attempts.to_string());
    }
}

/// Says what a call cost.
pub(crate) fn cost(headers: &mut HeaderMap, cost: NanoUsd, remaining: Option<NanoUsd>) {
    set(headers, COST, &cost.to_string());
    if let Some(remaining) = remaining {
        set(headers, REMAINING, &remaining.to_string());
    }
}

/// Says what circuit breakers are about to trip over: `runaway;rule=same_step`.
pub(crate) fn cautions(headers: &mut HeaderMap, cautions: &[control::Caution]) {
    if cautions.is_empty() {
        return;
    }
    let each = cautions
        .iter()
        .map(|caution| format!("{};rule={}", caution.breaker, caution.cause.rule()));
    set(headers, CAUTION, &each.collect::<Vec<_>>().join(", "));
}

/// Says which budgets are past a threshold: `data-team;percent=80, nightly;percent=95`.
pub(crate) fn warnings(headers: &mut HeaderMap, warnings: &[control::Warning]) {
    if warnings.is_empty() {
        return;
    }
    let warnings = warnings.iter();
    let each = warnings.map(|warning| format!("{};percent={}", warning.budget, warning.percent));
    set(headers, WARNING, &each.collect::<Vec<_>>().join(", "));
}

/// Says that a reply was delivered before. What it cost was told then.
pub(crate) fn replayed(headers: &mut HeaderMap) {
    headers.remove(COST);
    headers.remove(REMAINING);
    let (name, value) = crate::replays::REPLAYED;
    headers.insert(name, value);
}

/// Makes the headers of an upstream's error those of an error of ours, which stands in for its body.
pub(crate) fn instead(headers: &mut HeaderMap) {
    for name in [header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::ETAG] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// A short plain answer for probes.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let mut response = whole(status, Bytes::from(format!("{text}\n")));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A whole body.
pub(crate) fn whole(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response
}

/// Sets a header whose value is made of digits, dots and hexadecimal digits, which always fit.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A refusal for a path that names nothing.
pub(crate) fn nothing_here(names: &[String]) -> Refusal {
    let known = if names.is_empty() {
        "none is configured".to_owned()
    } else {
        names.join(", ")
    };
    Refusal {
        id: None,
        reason: Reason::UnknownUpstream,
        message: format!("The first path segment names an upstream ({known}), as in /openai/v1/chat/completions."),
        retry_after: None,
        remaining: None,
    }
}
