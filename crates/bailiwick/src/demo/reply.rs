//! What an agent reads in a reply, in either dialect, whole or event by event.

use serde_json::Value;

/// The dialect of an upstream. Its word is the upstream's name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// <https://platform.openai.com/docs/api-reference/chat>
    OpenAi,
    /// <https://docs.anthropic.com/en/api/messages>
    Anthropic,
}

impl Dialect {
    /// The upstream that speaks it, as the demo's configuration names it.
    pub(crate) fn upstream(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// Where calls go, from the gateway's root.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/openai/v1/chat/completions",
            Self::Anthropic => "/anthropic/v1/messages",
        }
    }
}

/// What was read of a reply so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The text.
    pub(crate) text: String,
    /// The tool it calls.
    pub(crate) tool: Option<ToolCall>,
    /// Input tokens.
    pub(crate) input_tokens: u64,
    /// Output tokens.
    pub(crate) output_tokens: u64,
    /// Why it is no use, if so.
    pub(crate) error: Option<String>,
}

/// A call of one of the request's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolCall {
    /// What its result refers to.
    pub(crate) id: String,
    /// Which tool.
    pub(crate) name: String,
    /// A JSON object, as text.
    pub(crate) arguments: String,
}

impl Reply {
    /// Reads a whole JSON reply, or its error.
    pub(crate) fn read(dialect: Dialect, body: &[u8]) -> Self {
        let mut reply = Self::default();
        match serde_json::from_slice(body) {
            Ok(value) => match dialect {
                Dialect::OpenAi => reply.openai(&value, "message"),
                Dialect::Anthropic => reply.anthropic(&value),
            },
            Err(_) => reply.error = Some(String::from_utf8_lossy(body).into_owned()),
        }
        reply
    }

    /// Takes in the data of one event of a stream.
    pub(crate) fn event(&mut self, dialect: Dialect, data: &[u8]) {
        // OpenAI's last event is not JSON: `[DONE]`.
        let Ok(value) = serde_json::from_slice::<Value>(data) else {
            return;
        };
        match dialect {
            Dialect::OpenAi => self.openai(&value, "delta"),
            Dialect::Anthropic => self.anthropic(&value),
        }
    }

    /// How many words the text has.
    pub(crate) fn words(&self) -> u64 {
        u64::try_from(self.text.split_whitespace().count()).unwrap_or(u64::MAX)
    }

    fn openai(&mut self, value: &Value, message: &str) {
        let at = |path: &str| text(value, &format!("/choices/0/{message}/{path}"));
        if let Some(more) = at("content") {
            self.text.push_str(more);
        }
        let call = |part: &str| at(&format!("tool_calls/0/{part}")).map(str::to_owned);
        if let (Some(id), Some(name), Some(arguments)) = (call("id"), call("function/name"), call("function/arguments"))
        {
            self.tool = Some(ToolCall { id, name, arguments });
        }
        self.tokens(value, "/usage/prompt_tokens", "/usage/completion_tokens");
        self.failure(value);
    }

    fn anthropic(&mut self, value: &Value) {
        for path in ["/content/0/text", "/delta/text"] {
            self.text.push_str(text(value, path).unwrap_or_default());
        }
        // `message_delta` has the final figures; those of `message_start` come before it.
        self.tokens(value, "/message/usage/input_tokens", "/message/usage/output_tokens");
        self.tokens(value, "/usage/input_tokens", "/usage/output_tokens");
        self.failure(value);
    }

    fn tokens(&mut self, value: &Value, input: &str, output: &str) {
        let count = |path| value.pointer(path).and_then(Value::as_u64);
        self.input_tokens = count(input).unwrap_or(self.input_tokens);
        self.output_tokens = count(output).unwrap_or(self.output_tokens);
    }

    /// The message of an error, without the code that leads it in Anthropic's dialect: the header has that.
    fn failure(&mut self, value: &Value) {
        if let Some(message) = text(value, "/error/message") {
            let coded = message.split_once(": ").filter(|(code, _)| !code.contains(' '));
            self.error = Some(coded.map_or(message, |(_, rest)| rest).to_owned());
        }
    }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(dialect: Dialect, events: &[&str]) -> Reply {
        let mut reply = Reply::default();
        for data in events {
            reply.event(dialect, data.as_bytes());
        }
        reply
    }

    fn expected(text: &str, input_tokens: u64, output_tokens: u64) -> Reply {
        Reply {
            text: text.to_owned(),
            input_tokens,
            output_tokens,
            ..Reply::default()
        }
    }

    #[test]
    fn reads_whole_replies() {
        let openai = br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"An agent","refusal":null}}],
            "usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
        assert_eq!(Reply::read(Dialect::OpenAi, openai), expected("An agent", 9, 2));
        let anthropic =
            br#"{"content":[{"type":"text","text":"An agent"}],"usage":{"input_tokens":9,"output_tokens":2}}"#;
        assert_eq!(Reply::read(Dialect::Anthropic, anthropic), expected("An agent", 9, 2));
    }

    #[test]
    fn reads_tool_calls() {
        let body = br#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"call_1","type":"function",
            "function":{"name":"query_sales","arguments":"{}"}}]}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
        let tool = ToolCall {
            id: "call_1".to_owned(),
            name: "query_sales".to_owned(),
            arguments: "{}".to_owned(),
        };
        let reply = Reply::read(Dialect::OpenAi, body);
        assert_eq!(
            reply,
            Reply {
                tool: Some(tool),
                ..expected("", 9, 2)
            }
        );
    }

    #[test]
    fn reads_streams() {
        let openai = [
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"An"}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":" agent"}}],"usage":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#,
            "[DONE]",
        ];
        let reply = streamed(Dialect::OpenAi, &openai);
        assert_eq!((reply.words(), reply), (2, expected("An agent", 9, 2)));
        let anthropic = [
            r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":9,"output_tokens":1}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"An agent"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        ];
        assert_eq!(streamed(Dialect::Anthropic, &anthropic), expected("An agent", 9, 2));
    }

    #[test]
    fn reads_errors() {
        for (dialect, body, message) in [
            (
                Dialect::OpenAi,
                r#"{"error":{"message":"It is: over.","code":"budget_exhausted"}}"#,
                "It is: over.",
            ),
            (
                Dialect::Anthropic,
                r#"{"type":"error","error":{"message":"policy_denied: No."}}"#,
                "No.",
            ),
            (Dialect::OpenAi, "<html>", "<html>"),
        ] {
            assert_eq!(Reply::read(dialect, body.as_bytes()).error.as_deref(), Some(message));
        }
    }
}
