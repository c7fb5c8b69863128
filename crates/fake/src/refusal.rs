//! Answers that are errors, in the shape and the words of each provider.
//!
//! OpenAI: <https://platform.openai.com/docs/guides/error-codes>. Anthropic: <https://docs.anthropic.com/en/api/errors>.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

/// An error answer.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) dialect: Dialect,
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// OpenAI's `code`, where it has one.
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

impl Refusal {
    fn new(dialect: Dialect, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            dialect,
            status,
            message: message.into(),
            code: None,
        }
    }

    /// The request is understood and wrong.
    pub(crate) fn invalid(dialect: Dialect, message: String) -> Self {
        Self::new(dialect, StatusCode::BAD_REQUEST, message)
    }

    /// The body is not JSON.
    pub(crate) fn malformed(dialect: Dialect) -> Self {
        let message = match dialect {
            Dialect::OpenAi => {
                "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
                 library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
            }
            Dialect::Anthropic => "The request body is not valid JSON.",
        };
        Self::new(dialect, StatusCode::BAD_REQUEST, message)
    }

    /// The request came without the right key. The key is not repeated, not even in part as OpenAI does.
    pub(crate) fn unauthorized(dialect: Dialect, key_given: bool) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        match (dialect, key_given) {
            (Dialect::OpenAi, true) => Self {
                code: Some("invalid_api_key"),
                ..Self::new(
                    dialect,
                    status,
                    "Incorrect API key provided: ********. You can find your API key at https://platform.openai.com/account/api-keys.",
                )
            },
            (Dialect::OpenAi, false) => Self::new(
                dialect,
                status,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using \
                 Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            ),
            (Dialect::Anthropic, true) => Self::new(dialect, status, "invalid x-api-key"),
            (Dialect::Anthropic, false) => Self::new(dialect, status, "x-api-key header is required"),
        }
    }

    /// The request came without Azure's header.
    pub(crate) fn unauthorized_at_azure() -> Self {
        Self {
            code: Some("401"),
            ..Self::new(
                Dialect::OpenAi,
                StatusCode::UNAUTHORIZED,
                "Access denied due to missing subscription key. Make sure to include subscription key when making requests \
                 to an API.",
            )
        }
    }

    /// There is no such model.
    pub(crate) fn no_model(dialect: Dialect, model: &str) -> Self {
        match dialect {
            Dialect::OpenAi => Self {
                code: Some("model_not_found"),
                ..Self::new(
                    dialect,
                    StatusCode::NOT_FOUND,
                    format!("The model `{model}` does not exist or you do not have access to it."),
                )
            },
            Dialect::Anthropic => Self::new(dialect, StatusCode::NOT_FOUND, format!("model: {model}")),
        }
    }

    /// There is nothing at that path.
    pub(crate) fn no_path(dialect: Dialect, method: &str, path: &str) -> Self {
        let message = match dialect {
            Dialect::OpenAi => format!("Invalid URL ({method} {path})"),
            Dialect::Anthropic => "Not Found".to_owned(),
        };
        Self::new(dialect, StatusCode::NOT_FOUND, message)
    }

    /// The path exists and has another method.
    pub(crate) fn wrong_method(dialect: Dialect, method: &str, path: &str) -> Self {
        let message = match dialect {
            Dialect::OpenAi => format!("Not allowed to {method} on {path}."),
            Dialect::Anthropic => "Method Not Allowed".to_owned(),
        };
        let code = Some("method_not_supported");
        Self {
            code,
            ..Self::new(dialect, StatusCode::METHOD_NOT_ALLOWED, message)
        }
    }

    /// An answer with the status that a script or the configuration asks for.
    pub(crate) fn scripted(dialect: Dialect, status: StatusCode) -> Self {
        let message = match (dialect, status.as_u16()) {
            (Dialect::OpenAi, 429) => "Rate limit reached for requests. Please try again later.",
            (Dialect::OpenAi, 503) => "The engine is currently overloaded, please try again later",
            (Dialect::OpenAi, 500..) => "The server had an error while processing your request. Sorry about that!",
            (Dialect::Anthropic, 413) => "Request exceeds the maximum size",
            (Dialect::Anthropic, 429) => "This request would exceed your account's rate limit. Please try again later.",
            (Dialect::Anthropic, 529) => "Overloaded",
            (Dialect::Anthropic, 500..) => "Internal server error",
            _ => status.canonical_reason().unwrap_or("Refused by the script of the call"),
        };
        let code = (status == StatusCode::TOO_MANY_REQUESTS).then_some("rate_limit_exceeded");
        Self {
            code,
            ..Self::new(dialect, status, message)
        }
    }

    /// The provider's word for this kind of error.
    fn kind(&self) -> &'static str {
        match (self.dialect, self.status.as_u16()) {
            (Dialect::OpenAi, 429) => "requests",
            (Dialect::OpenAi, 500..) => "server_error",
            (Dialect::OpenAi, _) => "invalid_request_error",
            (Dialect::Anthropic, 401) => "authentication_error",
            (Dialect::Anthropic, 402) => "billing_error",
            (Dialect::Anthropic, 403) => "permission_error",
            (Dialect::Anthropic, 404) => "not_found_error",
            (Dialect::Anthropic, 413) => "request_too_large",
            (Dialect::Anthropic, 429) => "rate_limit_error",
            (Dialect::Anthropic, 504) => "timeout_error",
            (Dialect::Anthropic, 529) => "overloaded_error",
            (Dialect::Anthropic, 500..) => "api_error",
            (Dialect::Anthropic, _) => "invalid_request_error",
        }
    }

    /// The body of the answer, as JSON. Also the data of an error event inside a stream.
    pub(crate) fn json(&self, request_id: &str) -> Bytes {
        let (kind, message) = (self.kind(), self.message.as_str());
        let json = match self.dialect {
            Dialect::OpenAi => {
                let param = self.code.filter(|code| *code == "model_not_found").map(|_| "model");
                serde_json::to_vec(&OpenAiBody {
                    error: OpenAiError {
                        message,
                        kind,
                        param,
                        code: self.code,
                    },
                })
            }
            Dialect::Anthropic => serde_json::to_vec(&AnthropicBody {
                kind: "error",
                error: AnthropicError { kind, message },
                request_id,
            }),
        };
        // Strings always serialise.
        Bytes::from(json.unwrap_or_default())
    }

    /// The body of the answer as a proxy in front of a provider writes it.
    pub(crate) fn html(&self) -> Bytes {
        let title = format!(
            "{} {}",
            self.status.as_u16(),
            self.status.canonical_reason().unwrap_or("Error")
        );
        Bytes::from(format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(refusal: &Refusal, status: u16, expected: &Value) {
        assert_eq!(refusal.status.as_u16(), status);
        assert_eq!(
            &serde_json::from_slice::<Value>(&refusal.json("req_1")).unwrap(),
            expected
        );
    }

    #[test]
    fn openai_bodies() {
        let body = |message: &str, kind, param: Option<&str>, code: Option<&str>| json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
        let openai = Dialect::OpenAi;
        let model = body(
            "The model `x` does not exist or you do not have access to it.",
            "invalid_request_error",
            Some("model"),
            Some("model_not_found"),
        );
        check(&Refusal::no_model(openai, "x"), 404, &model);
        let path = body("Invalid URL (GET /v2)", "invalid_request_error", None, None);
        check(&Refusal::no_path(openai, "GET", "/v2"), 404, &path);
        let server = body(
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
            None,
            None,
        );
        check(
            &Refusal::scripted(openai, StatusCode::INTERNAL_SERVER_ERROR),
            500,
            &server,
        );
    }

    #[test]
    fn anthropic_bodies() {
        let body = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
        let anthropic = Dialect::Anthropic;
        check(
            &Refusal::unauthorized(anthropic, true),
            401,
            &body("authentication_error", "invalid x-api-key"),
        );
        check(
            &Refusal::no_model(anthropic, "x"),
            404,
            &body("not_found_error", "model: x"),
        );
        let overloaded = Refusal::scripted(anthropic, StatusCode::from_u16(529).unwrap());
        check(&overloaded, 529, &body("overloaded_error", "Overloaded"));
        assert!(overloaded.html().starts_with(b"<html>"));
    }
}
