//! Refusals and failures in the caller's dialect, so that every SDK raises its own exception with our words in it.

use bytes::Bytes;
use model::Reason;
use serde::Serialize;

use crate::Dialect;

/// OpenAI's error object. `code` is where its SDKs show ours.
#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiDetail<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct OpenAiDetail<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

/// Anthropic's error object has no field for a code of ours, so the message begins with it.
#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    error: AnthropicDetail,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicDetail {
    r#type: &'static str,
    message: String,
}

/// The JSON body of a refusal or failure that goes out with `status`. `message` is shown to the caller.
pub fn error_body(dialect: Dialect, status: u16, reason: Reason, message: &str, request_id: &str) -> Bytes {
    let body = match dialect {
        Dialect::OpenAi => serde_json::to_vec(&OpenAiError {
            error: OpenAiDetail {
                message,
                r#type: openai_type(status),
                param: None,
                code: reason.code(),
            },
            request_id,
        }),
        Dialect::Anthropic => serde_json::to_vec(&AnthropicError {
            r#type: "error",
            error: AnthropicDetail {
                r#type: anthropic_type(status),
                message: format!("{}: {message}", reason.code()),
            },
            request_id,
        }),
    };
    // Strings always serialise.
    Bytes::from(body.unwrap_or_default())
}

/// The last events of a stream that was cut. They must come at the start of an event:
/// see [`StreamObserver::mid_event`](crate::StreamObserver::mid_event).
pub fn stream_error(dialect: Dialect, reason: Reason, message: &str, request_id: &str) -> Bytes {
    let body = error_body(dialect, reason.status(), reason, message, request_id);
    let (before, after): (&[u8], &[u8]) = match dialect {
        Dialect::OpenAi => (b"data: ", b"\n\ndata: [DONE]\n\n"),
        Dialect::Anthropic => (b"event: error\ndata: ", b"\n\n"),
    };
    Bytes::from([before, &body, after].concat())
}

/// The error types OpenAI's API and SDKs use.
fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// The error types of Anthropic's error reference (<https://docs.claude.com/en/api/errors>).
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_shape_of_the_dialect() {
        let check = |dialect, reason: Reason, expected: &str| {
            let body = error_body(dialect, reason.status(), reason, "say \"why\"\n", "req_1");
            assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        };
        check(
            Dialect::OpenAi,
            Reason::BudgetExhausted,
            r#"{"error":{"message":"say \"why\"\n","type":"insufficient_quota","param":null,"code":"budget_exhausted"},"request_id":"req_1"}"#,
        );
        check(
            Dialect::Anthropic,
            Reason::BudgetExhausted,
            r#"{"type":"error","error":{"type":"billing_error","message":"budget_exhausted: say \"why\"\n"},"request_id":"req_1"}"#,
        );
    }

    #[test]
    fn every_reason_has_a_type_in_both_dialects() {
        for (status, openai, anthropic) in [
            (400, "invalid_request_error", "invalid_request_error"),
            (401, "authentication_error", "authentication_error"),
            (402, "insufficient_quota", "billing_error"),
            (403, "permission_error", "permission_error"),
            (404, "invalid_request_error", "not_found_error"),
            (405, "invalid_request_error", "invalid_request_error"),
            (408, "invalid_request_error", "timeout_error"),
            (413, "invalid_request_error", "request_too_large"),
            (429, "rate_limit_error", "rate_limit_error"),
            (500, "server_error", "api_error"),
            (502, "server_error", "api_error"),
            (503, "server_error", "overloaded_error"),
            (504, "server_error", "timeout_error"),
        ] {
            assert_eq!(openai_type(status), openai, "{status}");
            assert_eq!(anthropic_type(status), anthropic, "{status}");
        }
    }

    #[test]
    fn the_end_of_a_cut_stream_is_whole_events() {
        let end = |dialect| stream_error(dialect, Reason::HoldExceeded, "cut", "req_1");
        assert_eq!(
            end(Dialect::OpenAi),
            "data: {\"error\":{\"message\":\"cut\",\"type\":\"insufficient_quota\",\"param\":null,\
             \"code\":\"hold_exceeded\"},\"request_id\":\"req_1\"}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(
            end(Dialect::Anthropic),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\
             \"message\":\"hold_exceeded: cut\"},\"request_id\":\"req_1\"}\n\n"
        );
    }
}
