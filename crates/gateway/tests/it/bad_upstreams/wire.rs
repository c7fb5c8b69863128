//! The four forms in which words go over the wire, as the upstream writes them and the caller sees errors in them.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use model::{NanoUsd, Reason};

use crate::harness::Harness;

/// How a model is asked for words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Chat,
    Responses,
    Completions,
    Messages,
}

pub(super) const ALL: &[Wire] = &[Wire::Chat, Wire::Responses, Wire::Completions, Wire::Messages];

/// What each good answer reports, unless a case says otherwise.
const INPUT: u64 = 19;
const OUTPUT: u64 = 10;

impl Wire {
    pub(super) fn request(self, harness: &Harness, stream: bool) -> Request<Full<Bytes>> {
        // Where usage is asked for, nothing of a stream is hidden.
        let (streamed, asked) = match stream {
            true => (r#","stream":true"#, r#","stream_options":{"include_usage":true}"#),
            false => ("", ""),
        };
        let (path, fields) = match self {
            Self::Chat => (
                "/openai/v1/chat/completions",
                format!(
                    r#""model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hello"}}],"max_tokens":50{asked}"#
                ),
            ),
            Self::Responses => (
                "/openai/v1/responses",
                r#""model":"gpt-4o-mini","input":"Hello","max_output_tokens":50"#.to_owned(),
            ),
            Self::Completions => (
                "/openai/v1/completions",
                format!(r#""model":"gpt-4o-mini","prompt":"Hello","max_tokens":50{asked}"#),
            ),
            Self::Messages => (
                "/anthropic/v1/messages",
                r#""model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hello"}],"max_tokens":50"#
                    .to_owned(),
            ),
        };
        harness.request(path, format!("{{{fields}{streamed}}}"))
    }

    /// The usage object with figures of one's own, which are JSON.
    pub(super) fn usage(self, input: &str, output: &str) -> String {
        match self {
            Self::Chat | Self::Completions => {
                format!(r#""usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}"#)
            }
            Self::Responses | Self::Messages => {
                format!(r#""usage":{{"input_tokens":{input},"output_tokens":{output}}}"#)
            }
        }
    }

    fn usual(self) -> String {
        self.usage(&INPUT.to_string(), &OUTPUT.to_string())
    }

    /// A whole reply around a part that may hold usage.
    pub(super) fn document_with(self, more: &str) -> String {
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(",{more}")
        };
        match self {
            Self::Chat => format!(
                r#"{{"id":"c1","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello"}},"finish_reason":"stop"}}]{more}}}"#
            ),
            Self::Responses => format!(
                r#"{{"id":"r1","object":"response","status":"completed","output":[{{"type":"message","content":[{{"type":"output_text","text":"Hello"}}]}}]{more}}}"#
            ),
            Self::Completions => format!(
                r#"{{"id":"t1","object":"text_completion","choices":[{{"index":0,"text":"Hello","finish_reason":"stop"}}]{more}}}"#
            ),
            Self::Messages => format!(
                r#"{{"id":"m1","type":"message","role":"assistant","content":[{{"type":"text","text":"Hello"}}],"stop_reason":"end_turn"{more}}}"#
            ),
        }
    }

    pub(super) fn document(self) -> String {
        self.document_with(&self.usual())
    }

    /// What a stream begins with; Anthropic's has figures of the input.
    pub(super) fn opening(self) -> String {
        match self {
            Self::Messages => {
                let usage = self.usage("19", "1");
                format!(
                    "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m1\",{usage}}}}}\n\n"
                )
            }
            Self::Responses => {
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}\n\n"
                    .to_owned()
            }
            Self::Chat | Self::Completions => String::new(),
        }
    }

    /// An event with this text, which is JSON (a string, or what it should not be).
    pub(super) fn delta(self, text: &str) -> String {
        match self {
            Self::Chat => {
                format!("data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
            }
            Self::Responses => format!(
                "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":{text}}}\n\n"
            ),
            Self::Completions => format!("data: {{\"id\":\"t1\",\"choices\":[{{\"index\":0,\"text\":{text}}}]}}\n\n"),
            Self::Messages => format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n"
            ),
        }
    }

    /// The event that tells the usage.
    pub(super) fn figures(self, usage: &str) -> String {
        match self {
            Self::Chat => format!("data: {{\"id\":\"c1\",\"choices\":[],{usage}}}\n\n"),
            Self::Completions => format!("data: {{\"id\":\"t1\",\"choices\":[],{usage}}}\n\n"),
            Self::Responses => format!(
                "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"r1\",\"status\":\"completed\",{usage}}}}}\n\n"
            ),
            Self::Messages => format!(
                "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},{usage}}}\n\n"
            ),
        }
    }

    /// What says that a stream is over and tells no usage; a response says both in one event.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Chat | Self::Completions => "data: [DONE]\n\n",
            Self::Responses => "",
            Self::Messages => "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        }
    }

    /// A stream with something odd before its last events.
    pub(super) fn stream_with(self, odd: &str) -> String {
        let (opening, delta) = (self.opening(), self.delta("\"Hello\""));
        let (figures, end) = (self.figures(&self.usual()), self.end());
        format!("{opening}{delta}{odd}{figures}{end}")
    }

    /// A stream that tells this usage.
    pub(super) fn stream_of(self, usage: &str) -> String {
        self.opening() + &self.delta("\"Hello\"") + &self.figures(usage) + self.end()
    }

    /// What ends a stream that told no usage.
    pub(super) fn end_alone(self) -> &'static str {
        match self {
            Self::Responses => "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n",
            _ => self.end(),
        }
    }

    pub(super) fn stream(self) -> String {
        self.stream_with("")
    }

    /// An event by which the provider says that it failed.
    pub(super) fn failure(self) -> &'static str {
        match self {
            Self::Chat | Self::Completions => {
                "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n"
            }
            Self::Responses => {
                "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"overloaded\"}\n\n"
            }
            Self::Messages => {
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"overloaded\"}}\n\n"
            }
        }
    }

    /// What the usual figures cost: $0.15 and $0.60 a million tokens, or $3 and $15.
    pub(super) fn cost(self) -> NanoUsd {
        match self {
            Self::Messages => NanoUsd(19 * 3_000 + 10 * 15_000),
            Self::Chat | Self::Responses | Self::Completions => NanoUsd(19 * 150 + 10 * 600),
        }
    }

    /// The data of the only event there is, framed as the last one of a stream that ends with an error.
    pub(super) fn last_event(self, text: &str) -> Option<&str> {
        let text = match self {
            Self::Messages => text.strip_prefix("event: error\n")?,
            _ => text.strip_suffix("data: [DONE]\n\n")?,
        };
        text.strip_prefix("data: ")?.strip_suffix("\n\n")
    }

    /// The message of an error in the dialect, if it is of this reason.
    pub(super) fn error(self, body: &[u8], reason: Reason) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        let error = body.get("error")?;
        let message = error.get("message")?.as_str()?;
        let named = match self {
            Self::Messages => body.get("type")? == "error" && message.starts_with(&format!("{}: ", reason.code())),
            _ => error.get("code")? == reason.code(),
        };
        (named && error.get("type")?.is_string()).then(|| message.to_owned())
    }
}
