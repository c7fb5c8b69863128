//! What goes wrong: an object with a stable code and a sentence, and the status of section 10.1.2.

use std::time::Duration;

use authzen::{Invalid, error_body};
use bytes::Bytes;
use control::PepError;
use http::{HeaderValue, Method, Response, StatusCode, header};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// Other bodies leave no room for it.
    NoRoom,
    /// The caller broke it off.
    BrokenOff,
    /// It took too long.
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed(Method),
    Late,
    TooLarge,
    Overloaded(Duration),
    Internal,
    Unavailable(Duration),
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    kind: Kind,
    message: String,
}

impl Error {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(super) fn unread(unread: Unread, most: usize) -> Self {
        match unread {
            Unread::TooLarge => {
                let message = format!("the body has more than {most} bytes ([authzen] request_size)");
                Self::new(Kind::TooLarge, message)
            }
            Unread::NoRoom => {
                let message =
                    "the bodies of requests in flight take all the memory that they may ([limits] bodies_size)";
                Self::new(Kind::Overloaded(Duration::from_secs(1)), message)
            }
            Unread::BrokenOff => Self::new(Kind::Invalid, "the body broke off"),
            Unread::Late => Self::new(Kind::Late, "the body did not arrive in time ([timeouts] request)"),
        }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let (status, code) = match &self.kind {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid_request"),
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Kind::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Kind::Late => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Kind::Overloaded(_) => (StatusCode::TOO_MANY_REQUESTS, "overloaded"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Kind::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        let mut response = Response::new(Bytes::from(error_body(code, &self.message)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, super::JSON);
        headers.insert(header::CACHE_CONTROL, super::PRIVATE);
        match &self.kind {
            Kind::Unauthenticated => {
                for challenge in [
                    "Bearer realm=\"bailiwick\"",
                    "Basic realm=\"bailiwick\", charset=\"UTF-8\"",
                ] {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            Kind::MethodNotAllowed(allowed) => {
                if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
                    headers.insert(header::ALLOW, allowed);
                }
            }
            Kind::Overloaded(after) | Kind::Unavailable(after) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
            }
            _ => {}
        }
        response
    }
}

impl From<PepError> for Error {
    fn from(error: PepError) -> Self {
        let after = error.retry_after().unwrap_or_default();
        let kind = match &error {
            PepError::Unauthenticated(_) => Kind::Unauthenticated,
            PepError::Forbidden(_) => Kind::Forbidden,
            PepError::Invalid(_) => Kind::Invalid,
            PepError::Overloaded => Kind::Overloaded(after),
            PepError::Unavailable => Kind::Unavailable(after),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::new(Kind::Invalid, invalid.to_string())
    }
}
