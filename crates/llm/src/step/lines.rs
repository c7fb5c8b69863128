//! The lines that a step is made of.

use super::canonical;
use super::element::{Call, Element, Part, Side};
use crate::json::{JsonError, Kind, Reader, Text};

/// What of an item changes although the item does not, or is said by the line's letter.
const UNSAID_OF_ITEMS: &[&str] = &["id", "call_id", "approval_request_id", "status", "encrypted_content"];
/// The same of an item that is called by its type.
const UNSAID_OF_CALLS: &[&str] = &["id", "call_id", "status", "type"];
/// The same of a part.
const UNSAID_OF_PARTS: &[&str] = &["id", "tool_use_id", "cache_control"];

/// Lines as they are written.
pub(super) struct Lines(Vec<u8>);

/// Where a part stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Message,
    /// What a tool returned: it holds no calls and no results of its own.
    Result,
}

impl Lines {
    /// None yet, of a step of this kind.
    pub(super) fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() <= 1
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    /// A line with a string, which is given as it stands between quotes.
    pub(super) fn string(&mut self, letter: u8, raw: &str) {
        self.0.push(letter);
        canonical::string(&mut self.0, raw);
        self.0.push(b'\n');
    }

    /// A line with any value.
    fn value(&mut self, letter: u8, text: &str, left_out: &[&str]) -> Result<(), JsonError> {
        self.0.push(letter);
        canonical::value(&mut self.0, text, left_out)?;
        self.0.push(b'\n');
        Ok(())
    }

    /// A line with a value that is there and not null.
    fn value_if_any(&mut self, letter: u8, text: Option<&str>) -> Result<(), JsonError> {
        match text {
            None | Some("null") => Ok(()),
            Some(text) => self.value(letter, text, &[]),
        }
    }

    /// The calls of the element that comes next; nothing if it is not the model's.
    pub(super) fn calls(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        let Some(element) = Element::read(reader)? else {
            return Ok(());
        };
        if element.head.is_call() {
            return self.item(&element);
        }
        if element.head.side() == Side::Model {
            if let Some(content) = element.content.filter(|content| content.starts_with('[')) {
                self.calls_among_parts(content)?;
            }
            self.called(&element)?;
        }
        Ok(())
    }

    /// All that the element that comes next says.
    pub(super) fn element(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        reader.peek()?;
        let start = reader.at();
        let Some(element) = Element::read(reader)? else {
            // A prompt's text, or its tokens.
            return self.text_or_part(reader.text_since(start));
        };
        let Some(role) = element.head.role else {
            return self.item(&element);
        };
        self.string(b'r', role.raw());
        self.value_if_any(b'n', element.name)?;
        self.content(element.content.unwrap_or("null"))?;
        self.value_if_any(b't', element.refusal)?;
        self.value_if_any(b'p', element.audio)?;
        self.called(&element)
    }

    /// An element without a role.
    fn item(&mut self, element: &Element<'_>) -> Result<(), JsonError> {
        let kind = element.head.kind.map(Text::decoded);
        match (kind.as_deref(), element.output) {
            (Some("reasoning"), _) => Ok(()),
            (Some("function_call" | "custom_tool_call"), _) => self.call(Call {
                name: element.name,
                arguments: element.arguments,
                input: element.input,
            }),
            (Some(_), Some(output)) if element.head.side() == Side::Result => {
                self.0.extend_from_slice(b"o\n");
                self.parts(output, Within::Result)
            }
            _ if element.head.is_call() => {
                self.string(b'c', element.head.kind.map_or("", Text::raw));
                self.value(b'a', element.raw, UNSAID_OF_CALLS)
            }
            _ if element.head.is_reference() => self.value(b'i', element.raw, &[]),
            _ => self.value(b'i', element.raw, UNSAID_OF_ITEMS),
        }
    }

    /// The calls that a message has beside its content.
    fn called(&mut self, element: &Element<'_>) -> Result<(), JsonError> {
        let mut reader = Reader::over(element.calls.unwrap_or("null"));
        if reader.array_or_skip()? {
            while reader.element()? {
                let call = Call::read(reader.raw()?)?;
                self.call(call)?;
            }
        }
        match element.call {
            None | Some("null") => Ok(()),
            Some(call) => self.call(Call::read(call)?),
        }
    }

    fn call(&mut self, call: Call<'_>) -> Result<(), JsonError> {
        self.value(b'c', call.name.unwrap_or("null"), &[])?;
        let arguments = call.arguments.or(call.input).unwrap_or("null");
        let Some(raw) = unquoted(arguments) else {
            return self.value(b'a', arguments, &[]);
        };
        let before = self.0.len();
        let mut reader = Reader::over(arguments);
        if self.value(b'a', &reader.string()?.decoded(), &[]).is_err() {
            self.0.truncate(before);
            self.string(b'x', raw);
        }
        Ok(())
    }

    /// The content of a message or of a field that is like one.
    pub(super) fn content(&mut self, text: &str) -> Result<(), JsonError> {
        self.parts(text, Within::Message)
    }

    fn parts(&mut self, text: &str, within: Within) -> Result<(), JsonError> {
        let mut reader = Reader::over(text);
        match reader.peek()? {
            Kind::Null => {}
            Kind::Array => {
                reader.begin_array()?;
                while reader.element()? {
                    self.part(&mut reader, within)?;
                }
            }
            _ => self.text_or_part(text)?,
        }
        Ok(())
    }

    /// A line with a text if the value is a string, or else one with all of it.
    fn text_or_part(&mut self, value: &str) -> Result<(), JsonError> {
        match unquoted(value) {
            Some(raw) => {
                self.string(b't', raw);
                Ok(())
            }
            None => self.value(b'p', value, &[]),
        }
    }

    fn part(&mut self, reader: &mut Reader<'_>, within: Within) -> Result<(), JsonError> {
        let part = Part::read(reader)?;
        if let Some(text) = unquoted(part.raw) {
            self.string(b't', text);
            return Ok(());
        }
        let kind = part.kind.map(Text::decoded);
        match (kind.as_deref(), part.text) {
            (Some("text" | "input_text" | "output_text"), Some(text)) => self.string(b't', text.raw()),
            (Some("thinking" | "redacted_thinking"), _) => {}
            (Some("tool_use"), _) if within == Within::Message => self.call(part.call)?,
            (Some("tool_result"), _) if within == Within::Message => {
                self.0.extend_from_slice(b"o\n");
                self.parts(part.content.unwrap_or("null"), Within::Result)?;
            }
            _ => self.value(b'p', part.raw, UNSAID_OF_PARTS)?,
        }
        Ok(())
    }

    fn calls_among_parts(&mut self, content: &str) -> Result<(), JsonError> {
        let mut reader = Reader::over(content);
        reader.begin_array()?;
        while reader.element()? {
            let part = Part::read(&mut reader)?;
            if part.kind.is_some_and(|kind| kind.decoded() == "tool_use") {
                self.call(part.call)?;
            }
        }
        Ok(())
    }
}

/// What stands between the quotes of a value that is a string.
fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}
