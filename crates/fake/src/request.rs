//! What a request asks for, read from either dialect. Fields that do not change the answer are not looked at.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(crate) use self::inputs::Inputs;
use self::{
    items::Items,
    messages::{Messages, TextLength},
};
use crate::{
    refusal::{Dialect, Refusal},
    tools::{self, ToolCall},
    wire::Wire,
};

mod inputs;
mod items;
mod messages;

/// A request for an answer, the same for all endpoints that generate text.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) wire: Wire,
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

/// The request of `POST /v1/messages/count_tokens`.
/// <https://docs.anthropic.com/en/api/messages-count-tokens>
#[derive(Deserialize)]
struct CountRequest<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    messages: Messages,
    system: Option<TextLength>,
    #[serde(borrow, default, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
}

/// The request of `POST /v1/responses`.
/// <https://platform.openai.com/docs/api-reference/responses/create>
#[derive(Deserialize)]
struct ResponsesRequest<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    input: Items,
    instructions: Option<TextLength>,
    max_output_tokens: Option<u64>,
    stream: Option<bool>,
    #[serde(borrow, default, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tool_choice: Option<&'a RawValue>,
}

/// The request of `POST /v1/completions`.
/// <https://platform.openai.com/docs/api-reference/completions/create>
#[derive(Deserialize)]
struct TextRequest<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    prompt: Inputs,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u64>,
    max_tokens: Option<u64>,
}

/// A `null` is as good as nothing.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<&'de RawValue>, D::Error> {
    let raw = <&RawValue>::deserialize(input)?;
    Ok(Some(raw).filter(|raw| raw.get() != "null"))
}

/// The most choices OpenAI gives.
const CHOICES_MAX: u64 = 128;
/// How long a text completion is that says nothing about it.
const TEXT_LIMIT: u64 = 16;

impl<'a> Ask<'a> {
    /// Reads the body of a request.
    pub(crate) fn parse(wire: Wire, body: &'a [u8]) -> Result<Self, Refusal> {
        match wire {
            Wire::Chat => Self::chat(body),
            Wire::Responses => Self::responses(body),
            Wire::Text => Self::text(body),
            Wire::Messages => Self::messages(body),
        }
    }

    fn chat(body: &'a [u8]) -> Result<Self, Refusal> {
        let dialect = Dialect::OpenAi;
        let request: ChatRequest<'_> = serde_json::from_slice(body).map_err(|error| unreadable(dialect, &error))?;
        let choices = choices(request.n)?;
        let limit = request.max_completion_tokens.or(request.max_tokens);
        above_zero("max_tokens", limit)?;
        let asks_for_tool = request.messages.last_is_user;
        Ok(Self {
            wire: Wire::Chat,
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

    fn responses(body: &'a [u8]) -> Result<Self, Refusal> {
        let dialect = Dialect::OpenAi;
        let request: ResponsesRequest<'_> =
            serde_json::from_slice(body).map_err(|error| unreadable(dialect, &error))?;
        above_zero("max_output_tokens", request.max_output_tokens)?;
        let Items(messages) = request.input;
        let asks_for_tool = messages.last_is_user;
        let instructions = request.instructions.map_or(0, |text| text.0);
        Ok(Self {
            wire: Wire::Responses,
            model: request.model,
            stream: request.stream.unwrap_or(false),
            include_usage: true,
            limit: request.max_output_tokens,
            choices: 1,
            input_tokens: input_tokens(dialect, &messages, instructions, request.tools)?,
            tool: tools::answer(dialect, request.tools.filter(|_| asks_for_tool), request.tool_choice)?,
        })
    }

    fn text(body: &'a [u8]) -> Result<Self, Refusal> {
        let dialect = Dialect::OpenAi;
        let request: TextRequest<'_> = serde_json::from_slice(body).map_err(|error| unreadable(dialect, &error))?;
        let choices = choices(request.n)?;
        Ok(Self {
            wire: Wire::Text,
            model: request.model,
            stream: request.stream.unwrap_or(false),
            include_usage: request
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            limit: Some(request.max_tokens.unwrap_or(TEXT_LIMIT)),
            choices: choices.saturating_mul(request.prompt.count),
            input_tokens: request.prompt.tokens,
            tool: None,
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
            wire: Wire::Messages,
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

/// How many tokens the request of `POST /v1/messages/count_tokens` has, and the model it names.
pub(crate) fn count_tokens(body: &[u8]) -> Result<(String, u64), Refusal> {
    let dialect = Dialect::Anthropic;
    let request: CountRequest<'_> = serde_json::from_slice(body).map_err(|error| unreadable(dialect, &error))?;
    let system = request.system.map_or(0, |text| text.0);
    let tokens = input_tokens(dialect, &request.messages, system, request.tools)?;
    Ok((request.model.into_owned(), tokens))
}

fn choices(n: Option<u64>) -> Result<u64, Refusal> {
    let choices = n.unwrap_or(1);
    if (1..=CHOICES_MAX).contains(&choices) {
        return Ok(choices);
    }
    let text = format!("Invalid 'n': expected a value from 1 to {CHOICES_MAX}.");
    Err(Refusal::invalid(Dialect::OpenAi, text))
}

fn above_zero(field: &str, limit: Option<u64>) -> Result<(), Refusal> {
    if limit == Some(0) {
        let text = format!("Invalid '{field}': integer below minimum value. Expected a value >= 1, but got 0 instead.");
        return Err(Refusal::invalid(Dialect::OpenAi, text));
    }
    Ok(())
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

/// What is told of a body that cannot be read.
pub(crate) fn unreadable(dialect: Dialect, error: &serde_json::Error) -> Refusal {
    if error.is_data() {
        Refusal::invalid(dialect, error.to_string())
    } else {
        Refusal::malformed(dialect)
    }
}

#[cfg(test)]
mod tests;
