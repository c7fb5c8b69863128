//! Elements of a conversation: messages of chat completions and of Anthropic, items of the Responses API.
//!
//! They are read by one reader, because they are told apart by what they have: a message has a role, an item has none
//! (but for messages among items, which have both).

use crate::json::{JsonError, Kind, Reader, Text};

/// Who speaks in an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The model: what it said, thought, called.
    Model,
    /// A tool: what a call returned.
    Result,
    /// Somebody else.
    Other,
}

impl Side {
    /// Reads over an element.
    pub(super) fn of(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        if !reader.object_or_skip()? {
            return Ok(Self::Other);
        }
        let mut head = Head::default();
        let mut has_result = false;
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "content" => has_result = holds_a_result(reader)?,
                key => {
                    if !head.read(key, reader)? {
                        reader.skip()?;
                    }
                }
            }
        }
        Ok(match head.side() {
            Self::Other if has_result => Self::Result,
            side => side,
        })
    }
}

/// Whether a message's content has a part that is what a tool returned, as Anthropic's users say it.
fn holds_a_result(reader: &mut Reader<'_>) -> Result<bool, JsonError> {
    let mut found = false;
    if !reader.array_or_skip()? {
        return Ok(false);
    }
    while reader.element()? {
        if !reader.object_or_skip()? {
            continue;
        }
        while let Some(key) = reader.key()? {
            if key.decoded() == "type" {
                found |= reader
                    .string_or_skip()?
                    .is_some_and(|kind| kind.decoded() == "tool_result");
            } else {
                reader.skip()?;
            }
        }
    }
    Ok(found)
}

/// The members of an element that say what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) role: Option<Text<'a>>,
    pub(super) kind: Option<Text<'a>>,
    has_call_id: bool,
    has_id: bool,
}

impl<'a> Head<'a> {
    /// Reads a member if it is one of these. Whether it was.
    pub(super) fn read(&mut self, key: &str, reader: &mut Reader<'a>) -> Result<bool, JsonError> {
        match key {
            "role" => self.role = reader.string_or_skip()?,
            "type" => self.kind = reader.string_or_skip()?,
            "call_id" => {
                self.has_call_id = reader.peek()? != Kind::Null;
                reader.skip()?;
            }
            "id" => {
                self.has_id = true;
                reader.skip()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn side(&self) -> Side {
        if let Some(role) = self.role {
            return match &*role.decoded() {
                "assistant" => Side::Model,
                "tool" | "function" => Side::Result,
                _ => Side::Other,
            };
        }
        match self.kind.map(Text::decoded).as_deref() {
            Some(kind) if kind.ends_with("_output") => Side::Result,
            Some(kind) if self.has_call_id || kind.ends_with("_call") => Side::Model,
            Some("reasoning" | "mcp_approval_request") => Side::Model,
            // What clients leave at the provider is what the model said.
            _ if self.is_reference() => Side::Model,
            _ => Side::Other,
        }
    }

    /// Whether it is an item that a client answers: calls that the provider answers itself have no id but the item's.
    pub(super) fn is_call(&self) -> bool {
        self.role.is_none() && self.has_call_id && self.side() == Side::Model
    }

    /// Whether it refers to an item at the provider by nothing but its id. The type may be left out.
    pub(super) fn is_reference(&self) -> bool {
        let kind = self.kind.map(Text::decoded);
        self.role.is_none() && self.has_id && kind.is_none_or(|kind| kind == "item_reference")
    }
}

/// An element of which everything has been passed over once.
#[derive(Default)]
pub(super) struct Element<'a> {
    pub(super) head: Head<'a>,
    pub(super) name: Option<&'a str>,
    pub(super) content: Option<&'a str>,
    pub(super) refusal: Option<&'a str>,
    pub(super) audio: Option<&'a str>,
    pub(super) calls: Option<&'a str>,
    /// Of a message from before there were several calls.
    pub(super) call: Option<&'a str>,
    /// Of an item that is a call.
    pub(super) arguments: Option<&'a str>,
    pub(super) input: Option<&'a str>,
    /// Of an item that is a result.
    pub(super) output: Option<&'a str>,
    pub(super) raw: &'a str,
}

impl<'a> Element<'a> {
    /// Reads the value that comes next if it is an object; anything else is passed over.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, JsonError> {
        reader.peek()?;
        let start = reader.at();
        if !reader.object_or_skip()? {
            return Ok(None);
        }
        let mut element = Self::default();
        while let Some(key) = reader.key()? {
            let slot = match &*key.decoded() {
                "name" => &mut element.name,
                "content" => &mut element.content,
                "refusal" => &mut element.refusal,
                "audio" => &mut element.audio,
                "tool_calls" => &mut element.calls,
                "function_call" => &mut element.call,
                "arguments" => &mut element.arguments,
                "input" => &mut element.input,
                "output" => &mut element.output,
                key => {
                    if !element.head.read(key, reader)? {
                        reader.skip()?;
                    }
                    continue;
                }
            };
            *slot = Some(reader.raw()?);
        }
        element.raw = reader.text_since(start);
        Ok(Some(element))
    }
}

/// A tool call, as it is written in the request.
#[derive(Clone, Copy, Default)]
pub(super) struct Call<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
    /// What some calls have in place of arguments.
    pub(super) input: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// Reads a call of a message: what the object in it says, or itself if there is none.
    pub(super) fn read(text: &'a str) -> Result<Self, JsonError> {
        let (mut function, mut custom) = (None, None);
        let outer = Self::members(text, |name, value| match name {
            "function" => function = Some(value),
            "custom" => custom = Some(value),
            _ => {}
        })?;
        match function.or(custom) {
            Some(inner) => Self::members(inner, |_, _| {}),
            None => Ok(outer),
        }
    }

    fn members(text: &'a str, mut other: impl FnMut(&str, &'a str)) -> Result<Self, JsonError> {
        let mut call = Self::default();
        let mut reader = Reader::over(text);
        if reader.object_or_skip()? {
            while let Some(key) = reader.key()? {
                let value = reader.raw()?;
                match &*key.decoded() {
                    "name" => call.name = Some(value),
                    "arguments" => call.arguments = Some(value),
                    "input" => call.input = Some(value),
                    name => other(name, value),
                }
            }
        }
        Ok(call)
    }
}

/// A part of a content, if it is an object; otherwise only its text is there.
#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) kind: Option<Text<'a>>,
    pub(super) text: Option<Text<'a>>,
    pub(super) content: Option<&'a str>,
    pub(super) call: Call<'a>,
    pub(super) raw: &'a str,
}

impl<'a> Part<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        reader.peek()?;
        let start = reader.at();
        let mut part = Self::default();
        if reader.object_or_skip()? {
            while let Some(key) = reader.key()? {
                match &*key.decoded() {
                    "type" => part.kind = reader.string_or_skip()?,
                    "text" => part.text = reader.string_or_skip()?,
                    "content" => part.content = Some(reader.raw()?),
                    "name" => part.call.name = Some(reader.raw()?),
                    "input" => part.call.input = Some(reader.raw()?),
                    _ => reader.skip()?,
                }
            }
        }
        part.raw = reader.text_since(start);
        Ok(part)
    }
}
