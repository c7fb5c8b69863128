//! The conversation: which of its parts cost more than their bytes show.

use model::Feature;

use super::ParseError;
use super::findings::{Fields, Findings, Place, each_item, enter_object, shown, word};
use crate::json::{Kind, Reader};

/// The `messages` array. Returns how many there are.
pub(super) fn messages(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Result<usize, ParseError> {
    if reader.peek()? == Kind::Null {
        return Err(place.must_be("an array"));
    }
    each_item(reader, place, |reader, place| message(reader, place, findings))
}

#[derive(Clone, Copy)]
enum MessageField {
    Content,
    Audio,
}

fn message(reader: &mut Reader<'_>, place: &Place<'_>, findings: &mut Findings) -> Result<(), ParseError> {
    enter_object(reader, place)?;
    let mut fields = Fields::new(&[("content", MessageField::Content), ("audio", MessageField::Audio)]);
    while let Some(key) = reader.key()? {
        match fields.admit(key, place)? {
            Some((name, MessageField::Content)) => content(reader, &place.member(name), findings)?,
            // OpenAI: an earlier spoken reply, by id; its audio is input that the request does not show.
            Some((name, MessageField::Audio)) if reader.peek()? != Kind::Null => {
                findings.note(Feature::AudioInput, || place.member(name).to_string());
                reader.skip()?;
            }
            _ => reader.skip()?,
        }
    }
    Ok(())
}

/// The content of a message or of Anthropic's `system`: text, or an array of parts.
pub(super) fn content(reader: &mut Reader<'_>, place: &Place<'_>, findings: &mut Findings) -> Result<(), ParseError> {
    match reader.peek()? {
        Kind::String | Kind::Null => reader.skip().map_err(Into::into),
        Kind::Array => parts(reader, place, findings),
        _ => Err(place.must_be("a string or an array of parts")),
    }
}

pub(super) fn parts(reader: &mut Reader<'_>, place: &Place<'_>, findings: &mut Findings) -> Result<(), ParseError> {
    each_item(reader, place, |reader, place| match reader.peek()? {
        // Some compatible servers take plain strings as parts.
        Kind::String => reader.skip().map_err(Into::into),
        _ => part(reader, place, findings),
    })
    .map(|_| ())
}

#[derive(Clone, Copy)]
enum PartField {
    Type,
    Content,
    Cache,
}

const PART: &[(&str, PartField)] = &[
    ("type", PartField::Type),
    ("content", PartField::Content),
    ("cache_control", PartField::Cache),
    ("prompt_cache_breakpoint", PartField::Cache),
];

pub(super) fn part(reader: &mut Reader<'_>, place: &Place<'_>, findings: &mut Findings) -> Result<(), ParseError> {
    enter_object(reader, place)?;
    let mut fields = Fields::new(PART);
    let mut kind = None;
    while let Some(key) = reader.key()? {
        match fields.admit(key, place)? {
            Some((name, PartField::Type)) => kind = word(reader, &place.member(name))?,
            // What a tool returned may hold images. What is not an array of parts is judged by the part's type alone.
            Some((name, PartField::Content)) if reader.peek()? == Kind::Array => {
                parts(reader, &place.member(name), findings)?;
            }
            Some((name, PartField::Cache)) => cache_lifetime(reader, &place.member(name), findings)?,
            _ => reader.skip()?,
        }
    }
    judge(kind.as_deref(), place, findings);
    Ok(())
}

/// Notes a part whose cost its bytes do not bound. A kind we do not know is taken for one: providers add kinds, and the
/// new ones are seldom cheaper.
fn judge(kind: Option<&str>, place: &Place<'_>, findings: &mut Findings) {
    let (feature, kind) = match kind {
        // Words, or what stands for words at no less than their length.
        Some(
            "text" | "refusal" | "thinking" | "redacted_thinking" | "tool_use" | "tool_result" | "search_result"
            | "input_text" | "output_text" | "summary_text" | "reasoning_text",
        ) => return,
        Some(kind @ ("image_url" | "image" | "input_image" | "computer_screenshot")) => (Feature::Image, kind),
        Some(kind @ ("file" | "document" | "input_file")) => (Feature::File, kind),
        Some(kind @ "input_audio") => (Feature::AudioInput, kind),
        Some(kind @ ("server_tool_use" | "mcp_tool_use" | "container_upload")) => (Feature::HostedTool, kind),
        Some(kind) if kind.ends_with("_tool_result") => (Feature::HostedTool, kind),
        other => {
            let other = other.unwrap_or_default();
            findings.note(Feature::UnpricedOption, || {
                format!("{place}.type = \"{}\"", shown(other))
            });
            return;
        }
    };
    findings.note(feature, || format!("{place}.{}", shown(kind)));
}

/// Anthropic's `cache_control`, OpenAI's `prompt_cache_options` and `prompt_cache_breakpoint`: their `ttl` decides what
/// writing to the cache costs.
pub(super) fn cache_lifetime(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Result<(), ParseError> {
    if reader.peek()? == Kind::Null {
        return reader.skip().map_err(Into::into);
    }
    enter_object(reader, place)?;
    let mut fields = Fields::new(&[("ttl", ())]);
    while let Some(key) = reader.key()? {
        let Some((name, ())) = fields.admit(key, place)? else {
            reader.skip()?;
            continue;
        };
        let place = place.member(name);
        match word(reader, &place)?.as_deref() {
            None | Some("5m" | "30m") => {}
            Some("1h") => findings.hour_cache = true,
            Some(other) => findings.note(Feature::UnpricedOption, || format!("{place} = \"{}\"", shown(other))),
        }
    }
    Ok(())
}
