//! What matters in an Anthropic reply: a whole message, and the events of a stream, read by one reader because an event
//! is told from another only by which members it has. Fields of a wrong type are passed over.

use crate::json::{JsonError, Reader, Text};
use crate::reply::read_error;
use crate::usage::AnthropicUsage;

/// What a message or an event says.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    /// `type`.
    pub(crate) kind: Option<Text<'a>>,
    pub(crate) id: Option<Text<'a>>,
    pub(crate) model: Option<Text<'a>>,
    /// The usage of a message, or the cumulative one of a `message_delta`.
    pub(crate) usage: Option<AnthropicUsage>,
    /// The usage of the message inside a `message_start`: not final, it counts the first output token or so.
    pub(crate) start_usage: Option<AnthropicUsage>,
    /// A `message_delta` says why the model stopped.
    pub(crate) stopped: bool,
    /// Bytes of generated text.
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
                "type" => document.kind = reader.string_or_skip()?,
                "message" => document.read_start(&mut reader)?,
                "usage" => document.usage = AnthropicUsage::read(&mut reader)?,
                "delta" | "content_block" => document.read_block(&mut reader)?,
                "error" => document.error = read_error(&mut reader)?,
                other => document.read_common(&mut reader, other)?,
            }
        }
        reader.end()?;
        Ok(Some(document))
    }

    /// The message of a `message_start`.
    fn read_start(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        if reader.object_or_skip()? {
            while let Some(key) = reader.key()? {
                match &*key.decoded() {
                    "usage" => self.start_usage = AnthropicUsage::read(reader)?,
                    other => self.read_common(reader, other)?,
                }
            }
        }
        Ok(())
    }

    /// What a message has as a reply and inside of a `message_start`.
    fn read_common(&mut self, reader: &mut Reader<'a>, key: &str) -> Result<(), JsonError> {
        match key {
            "id" => self.id = reader.string_or_skip()?,
            "model" => self.model = reader.string_or_skip()?,
            "content" if reader.array_or_skip()? => {
                while reader.element()? {
                    self.read_block(reader)?;
                }
            }
            "content" => {}
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// A content block or a piece of one: `text_delta`, `thinking_delta`, `input_json_delta`. Signatures are not
    /// generated text. The `delta` of a `message_delta` has none of these but tells why the model stopped.
    fn read_block(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        if !reader.object_or_skip()? {
            return Ok(());
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "text" | "thinking" | "partial_json" => {
                    self.text_bytes += reader.string_or_skip()?.map_or(0, Text::decoded_len);
                }
                "stop_reason" => self.stopped = reader.string_or_skip()?.is_some(),
                _ => reader.skip()?,
            }
        }
        Ok(())
    }
}
