//! What goes wrong and how it is told: problem details (RFC 9457), one conversion for each error of `control`.
//!
//! `AdminError`'s text is meant for the administrator and passes as it is. Nothing else of ours ever becomes a body.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use control::{AdminError, LoadProblem};
use http::{HeaderValue, StatusCode, header};

use crate::wire;

/// The problem types are names, not addresses: there is nothing to fetch behind them.
const TYPE_PREFIX: &str = "urn:bailiwick:problem:";

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    problems: Vec<LoadProblem>,
}

/// All kinds of problems. Their codes are stable: programs match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be read.
    Malformed,
    /// No credential, or none of ours.
    Unauthenticated,
    /// The role does not allow it.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// It contradicts what is there.
    Conflict,
    /// What is there is not what the request expects.
    Precondition,
    /// The body is too long.
    TooLarge,
    /// The body is not JSON.
    NotJson,
    /// The request is for another host.
    WrongHost,
    /// The request can be read but makes no sense.
    Invalid,
    /// The declarations do not load.
    Declarations,
    /// It took too long.
    Timeout,
    /// Nothing can be recorded or read now.
    Unavailable,
}

impl Kind {
    /// Status, code and title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed_request",
                "The request cannot be read",
            ),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "An administrator's credential is needed",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such thing"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path takes other methods",
            ),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "This contradicts what is there"),
            Self::Precondition => (
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "What is there is not what the request expects",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too long"),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "The body is of another content type",
            ),
            Self::WrongHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "wrong_host",
                "The request is for another host",
            ),
            Self::Invalid => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "The request makes no sense",
            ),
            Self::Declarations => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "declarations_invalid",
                "The declarations do not load",
            ),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout", "This took too long"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Nothing can be recorded or read now",
            ),
        }
    }
}

impl Problem {
    /// A problem with a sentence about this occurrence of it.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            problems: Vec::new(),
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let kind = match &error {
            AdminError::Unauthenticated => Kind::Unauthenticated,
            AdminError::Forbidden(_) => Kind::Forbidden,
            AdminError::NotFound { .. }
            | AdminError::LetGo { .. }
            | AdminError::AllLetGo { .. }
            | AdminError::Pruned { .. }
            | AdminError::NoBudget { .. }
            | AdminError::NotWaiting(_)
            | AdminError::NoOverrun { .. } => Kind::NotFound,
            AdminError::Invalid(_) => Kind::Invalid,
            AdminError::Conflict(_) => Kind::Conflict,
            AdminError::Precondition(_) => Kind::Precondition,
            AdminError::Problems(_) => Kind::Declarations,
            AdminError::Unavailable(_) => Kind::Unavailable,
        };
        let detail = error.to_string();
        let problems = match error {
            AdminError::Problems(problems) => problems,
            _ => Vec::new(),
        };
        Self { kind, detail, problems }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind.parts();
        if status.is_server_error() {
            // Whoever could not go on has logged why; a collector that asks each second must not fill the log.
            tracing::debug!(code, detail = self.detail, "an administrator's request failed");
        }
        let body = wire::Problem {
            kind: format!("{TYPE_PREFIX}{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: code.to_owned(),
            problems: self.problems,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"bailiwick administration\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use control::Actor;
    use entry::Role;
    use http_body_util::BodyExt as _;
    use model::AdminName;

    use super::*;

    fn load_problem() -> LoadProblem {
        LoadProblem {
            file: "governance/agents/a.yaml".to_owned(),
            line: Some(3),
            column: Some(1),
            message: "`owner` is missing".to_owned(),
            help: None,
        }
    }

    async fn check(error: AdminError, status: u16, code: &str, detail: &str) {
        let response = Problem::from(error).into_response();
        let headers = response.headers().clone();
        assert_eq!(response.status().as_u16(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: wire::Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (body.status, body.code.as_str(), body.detail.as_str()),
            (status, code, detail)
        );
        assert_eq!(body.kind, format!("urn:bailiwick:problem:{code}"));
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), status == 401);
        assert_eq!(headers.contains_key(header::RETRY_AFTER), status == 503);
        assert_eq!(body.problems.is_empty(), code != "declarations_invalid");
    }

    #[tokio::test]
    async fn each_error_has_its_status() {
        let viewer = Actor {
            name: AdminName::new("vera").unwrap(),
            role: Role::Viewer,
        };
        let missing = AdminError::NotFound {
            what: "agent",
            name: "nobody".to_owned(),
        };
        let unauthenticated = AdminError::Unauthenticated.to_string();
        check(AdminError::Unauthenticated, 401, "unauthenticated", &unauthenticated).await;
        let forbidden = "the role viewer of administrator vera does not allow this";
        check(AdminError::Forbidden(viewer), 403, "forbidden", forbidden).await;
        check(missing, 404, "not_found", "there is no agent \"nobody\"").await;
        let no_overrun = AdminError::NoOverrun {
            tenant: model::TenantName::default_tenant(),
            name: "openai/gpt-4o-mni".to_owned(),
            known: vec!["openai/gpt-4o-mini".to_owned()],
        };
        let detail = "there is no overrun of openai/gpt-4o-mni to accept in tenant default; there is one of \
                      openai/gpt-4o-mini";
        check(no_overrun, 404, "not_found", detail).await;
        check(AdminError::Conflict("twice".to_owned()), 409, "conflict", "twice").await;
        check(AdminError::Invalid("too long".to_owned()), 422, "invalid", "too long").await;
        let problems = AdminError::Problems(vec![load_problem()]);
        let detail = "this does not load; what was in effect stays";
        check(problems, 422, "declarations_invalid", detail).await;
        check(
            AdminError::Unavailable("disk full".to_owned()),
            503,
            "unavailable",
            "disk full",
        )
        .await;
    }
}
