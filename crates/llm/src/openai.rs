//! What matters in OpenAI's replies and events, the Responses API's apart: they are flat objects with members of their
//! own, so that one reader does for all of them. A whole chat completion and one chunk of a stream have the same shape
//! but for the name of a choice's payload. Fields of a wrong type are passed over.

use model::ServiceTier;

use crate::json::{JsonError, Kind, Reader, Text};
use crate::reply::{error_line, read_error};
use crate::usage::{Count, OpenAiUsage, read_tier};

/// What a reply, a chunk or an event says.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    /// `type`, of an event.
    pub(crate) kind: Option<Text<'a>>,
    pub(crate) id: Option<Text<'a>>,
    pub(crate) model: Option<Text<'a>>,
    pub(crate) tier: Option<ServiceTier>,
    pub(crate) usage: Option<OpenAiUsage>,
    /// How many choices, if there is such an array.
    pub(crate) choices: Option<usize>,
    /// Bytes of generated text in all choices.
    pub(crate) text_bytes: u64,
    /// Bytes of `text`: a transcript.
    pub(crate) transcript_bytes: u64,
    /// Bytes of `delta`: a piece of a transcript.
    pub(crate) delta_bytes: u64,
    /// How many items `data` has: pictures, embeddings, models.
    pub(crate) items: u64,
    /// `duration`: the length of transcribed audio, in milliseconds.
    pub(crate) audio_ms: Count,
    /// Another model's work is billed beside `usage` (`svg_usage`).
    pub(crate) billed_beside: bool,
    pub(crate) error: Option<String>,
}

impl<'a> Document<'a> {
    /// Reads an object; `None` if the text is JSON but no object.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Option<Self>, JsonError> {
        let mut reader = Reader::new(bytes)?;
        let mut document = Self::default();
        let (mut code, mut message) = (None, None);
        if !reader.object_or_skip()? {
            return reader.end().map(|()| None);
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "type" => document.kind = reader.string_or_skip()?,
                "id" => document.id = reader.string_or_skip()?,
                "model" => document.model = reader.string_or_skip()?,
                "service_tier" => document.tier = read_tier(&mut reader)?,
                "usage" => document.usage = OpenAiUsage::read(&mut reader)?.or(document.usage),
                "x_groq" => document.read_groq(&mut reader)?,
                "choices" => document.read_choices(&mut reader)?,
                "text" => document.transcript_bytes = text(&mut reader)?,
                "delta" => document.delta_bytes = text(&mut reader)?,
                "data" => document.items = count(&mut reader)?,
                "duration" => document.audio_ms = Count::read_seconds(&mut reader)?,
                "svg_usage" => document.billed_beside = is_something(&mut reader)?,
                "error" => document.error = read_error(&mut reader)?,
                "code" => code = reader.string_or_skip()?,
                "message" => message = reader.string_or_skip()?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        if document.error.is_none() && document.kind.is_some_and(|kind| kind.decoded() == "error") {
            document.error = Some(error_line(code, message));
        }
        Ok(Some(document))
    }

    /// Groq's own member. A stream whose usage chunk was not asked for tells its usage there, with the last choice
    /// (<https://console.groq.com/docs/api-reference>).
    fn read_groq(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.object_or_skip()? {
            return Ok(());
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "usage" => self.usage = self.usage.or(OpenAiUsage::read(reader)?),
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    fn read_choices(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.array_or_skip()? {
            return Ok(());
        }
        let mut count = 0;
        while reader.element()? {
            count += 1;
            if !reader.object_or_skip()? {
                continue;
            }
            while let Some(key) = reader.key()? {
                match &*key.decoded() {
                    "delta" | "message" => self.text_bytes += message(reader)?,
                    // An older text completion.
                    "text" => self.text_bytes += text(reader)?,
                    _ => reader.skip()?,
                }
            }
        }
        self.choices = Some(count);
        Ok(())
    }
}

/// Bytes of generated text in a message or delta.
///
/// `reasoning_content` (DeepSeek, vLLM) and `reasoning` (OpenRouter, newer vLLM) may carry the same text, so only the
/// longer counts.
fn message(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    if !reader.object_or_skip()? {
        return Ok(0);
    }
    let (mut said, mut reasoned) = (0, 0);
    while let Some(key) = reader.key()? {
        match &*key.decoded() {
            "content" | "refusal" => said += text(reader)?,
            "reasoning_content" | "reasoning" => reasoned = text(reader)?.max(reasoned),
            "function_call" => said += member(reader, "arguments")?,
            "tool_calls" => said += tool_calls(reader)?,
            _ => reader.skip()?,
        }
    }
    Ok(said + reasoned)
}

fn tool_calls(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    let mut bytes = 0;
    if !reader.array_or_skip()? {
        return Ok(bytes);
    }
    while reader.element()? {
        if !reader.object_or_skip()? {
            continue;
        }
        while let Some(key) = reader.key()? {
            bytes += match &*key.decoded() {
                "function" => member(reader, "arguments")?,
                "custom" => member(reader, "input")?,
                _ => reader.skip().map(|()| 0)?,
            };
        }
    }
    Ok(bytes)
}

/// Bytes of the text member `name` of the object that comes next.
fn member(reader: &mut Reader<'_>, name: &str) -> Result<u64, JsonError> {
    let mut bytes = 0;
    if reader.object_or_skip()? {
        while let Some(key) = reader.key()? {
            if key.decoded() == name {
                bytes = text(reader)?;
            } else {
                reader.skip()?;
            }
        }
    }
    Ok(bytes)
}

/// How many items the array that comes next has; what is no array has none.
fn count(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    let mut count = 0;
    if reader.array_or_skip()? {
        while reader.element()? {
            reader.skip()?;
            count += 1;
        }
    }
    Ok(count)
}

fn is_something(reader: &mut Reader<'_>) -> Result<bool, JsonError> {
    let kind = reader.peek()?;
    reader.skip().map(|()| kind != Kind::Null)
}

/// Bytes that the string which comes next says; what is no string says nothing.
pub(crate) fn text(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    Ok(reader.string_or_skip()?.map_or(0, Text::decoded_len))
}
