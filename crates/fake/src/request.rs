//! What a request asks for, read from either dialect. Fields that do not change the answer are not looked at.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use self::messages::{Messages, TextLength};
use crate::{
    refusal::{Dialect, Refusal},
    tools::{self, ToolCall},
};

mod messages;

/// A request for an answer, the same for both dialects.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) model: Cow<'a, str>,
    pub(crate) stream: bool,
    /// OpenAI only: whether the stream ends with a chunk of usage.
    pub(crate) include_usage: bool,
    /// The most output tokens of one choice.
    pub(crate) limit: Option<u64>,
    pub(crate) choices: u64,
    pub(crate) input_tokens: u64,
    /// The tool call that is the answer; otherwise it is text.
    pub(crate) tool: Option<ToolCall>,
}

/// The request of `POST /v1/chat/completions`.
/// <https://platform.openai.com/docs/api-reference/chat/create>
#[derive(Deserialize)]
struct ChatRequest<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    messages: Messages,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u64>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    #[serde(borrow, default, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tool_choice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The request of `POST /v1/messages`.
/// <https://docs.anthropic.com/en/api/messages>
#[derive(Deserialize)]
struct MessagesRequest<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    messages: Messages,
    max_tokens: u64,
    system: Option<TextLength>,
    stream: Option<bool>,
    #[serde(borrow, default, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tool_choice: Option<&'a RawValue>,
}

/// A `null` is as good as nothing.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<&'de RawValue>, D::Error> {
    let raw = <&RawValue>::deserialize(input)?;
    Ok(Some(raw).filter(|raw| raw.get() != "null"))
}

/// The most choices OpenAI gives.
const CHOICES_MAX: u64 = 128;

impl<'a> Ask<'a> {
    /// Reads the body of a request.
    pub(crate) fn parse(dialect: Dialect, body: &'a [u8]) -> Result<Self, Refusal> {
        match dialect {
            Dialect::OpenAi => Self::chat(body),
            Dialect::Anthropic => Self::messages(body),
        }
    }

    fn chat(body: &'a [u8]) -> Result<Self, Refusal> {
        let dialect = Dialect::OpenAi;
        let request: ChatRequest<'_> = serde_json::from_slice(body).map_err(|error| unreadable(dialect, &error))?;
        let choices = request.n.unwrap_or(1);
        if !(1..=CHOICES_MAX).contains(&choices) {
            return Err(Refusal::invalid(
                dialect,
                format!("Invalid 'n': expected a value from 1 to {CHOICES_MAX}."),
            ));
        }
        let limit = request.max_completion_tokens.or(request.max_tokens);
        if limit == Some(0) {
            let text = "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.";
            return Err(Refusal::invalid(dialect, text.to_owned()));
        }
        let asks_for_tool = request.messages.last_is_user;
        Ok(Self {
            model: request.model,
            stream: request.stream.unwrap_or(false),
            include_usage: request
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            limit,
            choices,
            input_tokens: input_tokens(dialect, &request.messages, 0, request.tools)?,
            tool: tools::answer(dialect, request.tools.filter(|_| asks_for_tool), request.tool_choice)?,
        })
    }

    fn messages(body: &'a [u8]) -> Result<Self, Refusal> {
        let dialect = Dialect::Anthropic;
        let request: MessagesRequest<'_> = serde_json::from_slice(body).map_err(|error| unreadable(dialect, &error))?;
        if request.max_tokens == 0 {
            let text = "max_tokens: Input should be greater than or equal to 1";
            return Err(Refusal::invalid(dialect, text.to_owned()));
        }
        let asks_for_tool = request.messages.last_is_user && !request.messages.last_has_tool_result;
        let system = request.system.map_or(0, |text| text.0);
        Ok(Self {
            model: request.model,
            stream: request.stream.unwrap_or(false),
            include_usage: true,
            limit: Some(request.max_tokens),
            choices: 1,
            input_tokens: input_tokens(dialect, &request.messages, system, request.tools)?,
            tool: tools::answer(dialect, request.tools.filter(|_| asks_for_tool), request.tool_choice)?,
        })
    }
}

/// About a quarter of the bytes of the text and the tools, and three for each message. A message takes far more than
/// that of the request, so the sum stays below the request's length in bytes, as with any real tokenizer.
fn input_tokens(dialect: Dialect, messages: &Messages, system: u64, tools: Option<&RawValue>) -> Result<u64, Refusal> {
    if messages.count == 0 {
        let text = match dialect {
            Dialect::OpenAi => {
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
            }
            Dialect::Anthropic => "messages: at least one message is required",
        };
        return Err(Refusal::invalid(dialect, text.to_owned()));
    }
    let tools = tools.map_or(0, |tools| u64::try_from(tools.get().len()).unwrap_or(u64::MAX));
    let text = messages.text_bytes.saturating_add(system).saturating_add(tools);
    Ok(text.div_ceil(4).saturating_add(messages.count.saturating_mul(3)))
}

fn unreadable(dialect: Dialect, error: &serde_json::Error) -> Refusal {
    if error.is_data() {
        Refusal::invalid(dialect, error.to_string())
    } else {
        Refusal::malformed(dialect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Ask<'_> {
        Ask::parse(Dialect::OpenAi, body.as_bytes()).unwrap()
    }

    #[test]
    fn a_chat_request_is_read() {
        let ask = chat(
            r#"{"model":"gpt-4o","messages":[{"role":"system","content":"12345678"},
            {"role":"user","content":[{"type":"text","text":"1234"},{"type":"image_url","image_url":{"url":"x"}}]}],
            "stream":true,"stream_options":{"include_usage":true},"n":2,"max_tokens":7,"max_completion_tokens":9,
            "tools":null,"unknown":{"deep":[1,2]}}"#,
        );
        assert_eq!((&*ask.model, ask.stream, ask.include_usage), ("gpt-4o", true, true));
        assert_eq!((ask.limit, ask.choices, ask.input_tokens), (Some(9), 2, 3 + 6));
        assert!(ask.tool.is_none());
    }

    #[test]
    fn a_messages_request_is_read() {
        let body = r#"{"model":"claude-x","max_tokens":5,"system":[{"type":"text","text":"1234"}],
            "messages":[{"role":"user","content":"1234"}]}"#;
        let ask = Ask::parse(Dialect::Anthropic, body.as_bytes()).unwrap();
        assert_eq!(
            (&*ask.model, ask.stream, ask.limit, ask.input_tokens),
            ("claude-x", false, Some(5), 2 + 3)
        );
    }

    #[test]
    fn bad_requests_are_refused_with_400() {
        let table = [
            (Dialect::OpenAi, "{", "We could not parse the JSON body"),
            (Dialect::OpenAi, r#"{"model":"m"}"#, "missing field `messages`"),
            (Dialect::OpenAi, r#"{"model":"m","messages":[]}"#, "empty array"),
            (
                Dialect::OpenAi,
                r#"{"model":7,"messages":[{"role":"user","content":""}]}"#,
                "invalid type",
            ),
            (
                Dialect::OpenAi,
                r#"{"model":"m","n":0,"messages":[{"role":"user"}]}"#,
                "Invalid 'n'",
            ),
            (
                Dialect::OpenAi,
                r#"{"model":"m","max_tokens":0,"messages":[{"role":"user"}]}"#,
                "Invalid 'max_tokens'",
            ),
            (
                Dialect::OpenAi,
                r#"{"model":"m","messages":[{"role":"user"}],"tools":[7]}"#,
                "tools",
            ),
            (Dialect::Anthropic, "[", "valid JSON"),
            (
                Dialect::Anthropic,
                r#"{"model":"m","messages":[{"role":"user","content":""}]}"#,
                "max_tokens",
            ),
            (
                Dialect::Anthropic,
                r#"{"model":"m","max_tokens":0,"messages":[{"role":"user"}]}"#,
                "max_tokens",
            ),
        ];
        for (dialect, body, part) in table {
            let refusal = Ask::parse(dialect, body.as_bytes()).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400, "{body}");
            assert!(refusal.message.contains(part), "{body}: {}", refusal.message);
        }
    }

    proptest::proptest! {
        #[test]
        fn input_tokens_never_exceed_the_bytes_of_the_request(texts in proptest::collection::vec(".{0,40}", 1..6)) {
            let messages: Vec<_> = texts.iter().map(|text| serde_json::json!({"role":"user","content":text})).collect();
            for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
                let body = serde_json::json!({"model":"m","max_tokens":9,"messages":messages}).to_string();
                let ask = Ask::parse(dialect, body.as_bytes()).unwrap();
                proptest::prop_assert!(ask.input_tokens <= u64::try_from(body.len()).unwrap());
                proptest::prop_assert!(ask.input_tokens >= 1);
            }
        }
    }
}
