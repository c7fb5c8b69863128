//! What matters in replies and events of OpenAI's Responses API. An event is told from another by its `type`; the last
//! one carries the whole response. Fields of a wrong type are passed over.

use model::{ServiceTier, Usage};

use crate::json::{JsonError, Reader, Text};
use crate::openai::text;
use crate::reply::{error_line, read_error};
use crate::usage::{Count, OpenAiUsage, Shape, read_tier};

/// What a response says.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    pub(crate) id: Option<Text<'a>>,
    pub(crate) model: Option<Text<'a>>,
    pub(crate) tier: Option<ServiceTier>,
    pub(crate) usage: Option<OpenAiUsage>,
    /// Bytes of generated text.
    pub(crate) text_bytes: u64,
    /// Items of `output` that are a search.
    searches: u64,
    /// What `tool_usage` says about searches.
    searches_billed: Count,
    /// Tokens of another model, that drew pictures: what they cost is not told by this one's prices.
    drawn: Count,
    pub(crate) error: Option<String>,
}

impl<'a> Document<'a> {
    /// Reads an object; `None` if the text is JSON but no object.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Option<Self>, JsonError> {
        let mut reader = Reader::new(bytes)?;
        let document = Self::read_next(&mut reader)?;
        reader.end()?;
        Ok(document)
    }

    fn read_next(reader: &mut Reader<'a>) -> Result<Option<Self>, JsonError> {
        let mut document = Self::default();
        if !reader.object_or_skip()? {
            return Ok(None);
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "id" => document.id = reader.string_or_skip()?,
                "model" => document.model = reader.string_or_skip()?,
                "service_tier" => document.tier = read_tier(reader)?,
                "usage" => document.usage = OpenAiUsage::read(reader)?,
                "output" => document.read_output(reader)?,
                "tool_usage" => document.read_tool_usage(reader)?,
                "error" => document.error = read_error(reader)?,
                _ => reader.skip()?,
            }
        }
        Ok(Some(document))
    }

    /// The final figures, with `searches` seen elsewhere if they are more.
    pub(crate) fn classes(&self, searches: u64) -> Option<Usage> {
        if self.drawn.optional()? > 0 {
            return None;
        }
        let billed = self.searches_billed.optional()?;
        let usage = self.usage?.classes(Shape::Text)?;
        Some(Usage {
            searches: billed.max(self.searches).max(searches),
            ..usage
        })
    }

    fn read_output(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.array_or_skip()? {
            return Ok(());
        }
        while reader.element()? {
            let item = Item::read(reader)?;
            self.text_bytes += item.text_bytes;
            self.searches += u64::from(item.is_search);
        }
        Ok(())
    }

    fn read_tool_usage(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.object_or_skip()? {
            return Ok(());
        }
        while let Some(key) = reader.key()? {
            let (count, name) = match &*key.decoded() {
                "web_search" => (&mut self.searches_billed, "num_requests"),
                "image_gen" => (&mut self.drawn, "total_tokens"),
                _ => {
                    reader.skip()?;
                    continue;
                }
            };
            if !reader.object_or_skip()? {
                continue;
            }
            while let Some(key) = reader.key()? {
                if key.decoded() == name {
                    count.read_into(reader)?;
                } else {
                    reader.skip()?;
                }
            }
        }
        Ok(())
    }
}

/// An item of a response's output.
#[derive(Debug, Default)]
struct Item {
    /// Bytes of text that the model generated: words, arguments, code. Summaries of reasoning are another's.
    text_bytes: u64,
    is_search: bool,
}

impl Item {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut item = Self::default();
        let mut in_page = false;
        if !reader.object_or_skip()? {
            return Ok(item);
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "type" => {
                    let kind = reader.string_or_skip()?;
                    item.is_search = kind.is_some_and(|kind| kind.decoded() == "web_search_call");
                }
                "action" => in_page = is_in_page(reader)?,
                "arguments" | "input" | "code" => item.text_bytes += text(reader)?,
                "content" => item.text_bytes += blocks(reader)?,
                _ => reader.skip()?,
            }
        }
        item.is_search &= !in_page;
        Ok(item)
    }
}

/// Whether the `action` of a search call only reads a page, which is not billed as a search
/// (<https://developers.openai.com/api/docs/guides/tools-web-search>).
fn is_in_page(reader: &mut Reader<'_>) -> Result<bool, JsonError> {
    let mut in_page = false;
    if reader.object_or_skip()? {
        while let Some(key) = reader.key()? {
            if key.decoded() == "type" {
                let kind = reader.string_or_skip()?;
                in_page = kind.is_some_and(|kind| matches!(&*kind.decoded(), "open_page" | "find_in_page"));
            } else {
                reader.skip()?;
            }
        }
    }
    Ok(in_page)
}

/// Bytes of text in the content of a message or of shown reasoning.
fn blocks(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    let mut bytes = 0;
    if !reader.array_or_skip()? {
        return Ok(bytes);
    }
    while reader.element()? {
        if !reader.object_or_skip()? {
            continue;
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "text" | "refusal" => bytes += text(reader)?,
                _ => reader.skip()?,
            }
        }
    }
    Ok(bytes)
}

/// What an event of a streamed response says.
#[derive(Debug, Default)]
pub(crate) struct Event<'a> {
    /// `type`.
    pub(crate) kind: Option<Text<'a>>,
    /// Bytes of generated text in this piece.
    pub(crate) text_bytes: u64,
    /// The response so far; whole in the last event.
    pub(crate) response: Option<Document<'a>>,
    /// The item that the event is about is a search.
    pub(crate) is_search: bool,
    pub(crate) error: Option<String>,
}

impl<'a> Event<'a> {
    /// Reads an object; `None` if the text is JSON but no object.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Option<Self>, JsonError> {
        let mut reader = Reader::new(bytes)?;
        let mut event = Self::default();
        let (mut delta_bytes, mut code, mut message) = (0, None, None);
        if !reader.object_or_skip()? {
            return reader.end().map(|()| None);
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "type" => event.kind = reader.string_or_skip()?,
                "delta" => delta_bytes = text(&mut reader)?,
                "response" => event.response = Document::read_next(&mut reader)?,
                "item" => event.is_search = Item::read(&mut reader)?.is_search,
                "error" => event.error = read_error(&mut reader)?,
                "code" => code = reader.string_or_skip()?,
                "message" => message = reader.string_or_skip()?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        let kind = event.kind.map(Text::decoded).unwrap_or_default();
        if is_generated(&kind) {
            event.text_bytes = delta_bytes;
        }
        if kind == "error" && event.error.is_none() {
            event.error = Some(error_line(code, message));
        }
        Ok(Some(event))
    }
}

/// Whether the `delta` of such an event is text that the model generated and is billed for: not audio, not a summary.
fn is_generated(kind: &str) -> bool {
    matches!(
        kind,
        "response.output_text.delta"
            | "response.refusal.delta"
            | "response.reasoning_text.delta"
            | "response.function_call_arguments.delta"
            | "response.custom_tool_call_input.delta"
            | "response.mcp_call_arguments.delta"
            | "response.code_interpreter_call_code.delta"
    )
}
