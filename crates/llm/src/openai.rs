//! What matters in an OpenAI reply: a whole chat completion and one chunk of a stream have the same shape but for the
//! name of a choice's payload. Fields of a wrong type are passed over.

use model::ServiceTier;

use crate::json::{JsonError, Reader, Text};
use crate::reply::read_error;
use crate::usage::{OpenAiUsage, read_tier};

/// What a completion or a chunk says.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    pub(crate) id: Option<Text<'a>>,
    pub(crate) model: Option<Text<'a>>,
    pub(crate) tier: Option<ServiceTier>,
    pub(crate) usage: Option<OpenAiUsage>,
    /// How many choices, if there is such an array.
    pub(crate) choices: Option<usize>,
    /// Bytes of generated text in all choices.
    pub(crate) text_bytes: u64,
    pub(crate) error: Option<String>,
}

impl<'a> Document<'a> {
    /// Reads an object; `None` if the text is JSON but no object.
    pub(crate) fn read(text: &'a [u8]) -> Result<Option<Self>, JsonError> {
        let mut reader = Reader::new(text)?;
        let mut document = Self::default();
        if !reader.object_or_skip()? {
            return reader.end().map(|()| None);
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "id" => document.id = reader.string_or_skip()?,
                "model" => document.model = reader.string_or_skip()?,
                "service_tier" => document.tier = read_tier(&mut reader)?,
                "usage" => document.usage = OpenAiUsage::read(&mut reader)?,
                "choices" => document.read_choices(&mut reader)?,
                "error" => document.error = read_error(&mut reader)?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        Ok(Some(document))
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

fn text(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    Ok(reader.string_or_skip()?.map_or(0, Text::decoded_len))
}
