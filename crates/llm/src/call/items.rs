//! The inputs that are no conversation of messages: items of the Responses API, prompts of text completions, texts to
//! embed.

use model::Feature;

use super::ParseError;
use super::content::{content, part, parts};
use super::findings::{Fields, Findings, Place, each_item, enter_object, shown, word};
use super::tools::{self, Style};
use crate::json::{Kind, Reader};

/// `input` of the Responses API: text, or an array of items. Returns how many there are. Names of tools that items bring
/// along are added to `tools`.
pub(super) fn items(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
    tools: &mut Vec<String>,
) -> Result<usize, ParseError> {
    match reader.peek()? {
        Kind::String => reader.skip().map(|()| 1).map_err(Into::into),
        Kind::Array | Kind::Null => each_item(reader, place, |reader, place| item(reader, place, findings, tools)),
        _ => Err(place.must_be("a string or an array of items")),
    }
}

#[derive(Clone, Copy)]
enum ItemField {
    Type,
    Role,
    Content,
    Output,
    Tools,
}

const ITEM: &[(&str, ItemField)] = &[
    ("type", ItemField::Type),
    ("role", ItemField::Role),
    ("content", ItemField::Content),
    ("output", ItemField::Output),
    ("tools", ItemField::Tools),
];

fn item(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
    names: &mut Vec<String>,
) -> Result<(), ParseError> {
    enter_object(reader, place)?;
    let mut fields = Fields::new(ITEM);
    let (mut kind, mut is_message) = (None, false);
    while let Some(key) = reader.key()? {
        let Some((name, field)) = fields.admit(key, place)? else {
            reader.skip()?;
            continue;
        };
        let place = place.member(name);
        match field {
            ItemField::Type => kind = word(reader, &place)?,
            ItemField::Role => {
                is_message = true;
                reader.skip()?;
            }
            ItemField::Content => {
                is_message = true;
                content(reader, &place, findings)?;
            }
            // What a tool returned may hold images.
            ItemField::Output => match reader.peek()? {
                Kind::Array => parts(reader, &place, findings)?,
                Kind::Object => part(reader, &place, findings)?,
                _ => reader.skip()?,
            },
            ItemField::Tools => names.extend(tools::tools(reader, &place, Style::Flat, findings)?),
        }
    }
    judge(kind.as_deref(), is_message, place, findings);
    Ok(())
}

/// Notes an item whose cost its bytes do not bound. A kind we do not know is taken for one.
fn judge(kind: Option<&str>, is_message: bool, place: &Place<'_>, findings: &mut Findings) {
    let feature = match kind {
        // Words, or what stands for words at no less than their length.
        None if is_message => return,
        Some(
            "message"
            | "reasoning"
            | "function_call"
            | "function_call_output"
            | "custom_tool_call"
            | "custom_tool_call_output"
            | "computer_call"
            | "computer_call_output"
            | "local_shell_call"
            | "local_shell_call_output"
            | "apply_patch_call"
            | "apply_patch_call_output"
            | "additional_tools",
        ) => return,
        // An id and nothing else is a reference too.
        None | Some("item_reference") => Feature::StoredConversation,
        Some("image_generation_call") => Feature::Image,
        Some(kind) if kind.starts_with("mcp_") || kind.ends_with("_call") => Feature::HostedTool,
        Some("shell_call_output" | "tool_search_output" | "program" | "program_output") => Feature::HostedTool,
        Some(_) => Feature::UnpricedOption,
    };
    let kind = kind.unwrap_or("item_reference");
    findings.note(feature, || format!("{place}.type = \"{}\"", shown(kind)));
}

/// `prompt` of a text completion: text, one array of tokens, or an array of either. Returns how many prompts there are;
/// none is one empty prompt.
pub(super) fn prompts(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<usize, ParseError> {
    const WANTED: &str = "a string, an array of strings, an array of tokens, or an array of arrays of tokens";
    match reader.peek()? {
        Kind::String | Kind::Null => return reader.skip().map(|()| 1).map_err(Into::into),
        Kind::Array => {}
        _ => return Err(place.must_be(WANTED)),
    }
    let (mut texts, mut tokens) = (0_usize, false);
    each_item(reader, place, |reader, _| {
        match reader.peek()? {
            Kind::Number => {
                tokens = true;
                reader.skip()?;
            }
            Kind::String => {
                texts += 1;
                reader.skip()?;
            }
            Kind::Array => {
                texts += 1;
                reader.begin_array()?;
                while reader.element()? {
                    if reader.peek()? != Kind::Number {
                        return Err(place.must_be(WANTED));
                    }
                    reader.skip()?;
                }
            }
            _ => return Err(place.must_be(WANTED)),
        }
        Ok(())
    })?;
    match (texts, tokens) {
        (0, true) => Ok(1),
        (1.., false) => Ok(texts),
        _ => Err(place.must_be(WANTED)),
    }
}

/// `input` of embeddings: as prompts are, but a compatible server may take objects, which may be images. Returns how many
/// there are.
pub(super) fn inputs(reader: &mut Reader<'_>, place: &Place<'_>, findings: &mut Findings) -> Result<usize, ParseError> {
    if reader.peek()? == Kind::String {
        return reader.skip().map(|()| 1).map_err(Into::into);
    }
    if reader.peek()? != Kind::Array {
        return Err(place.must_be("a string or an array"));
    }
    each_item(reader, place, |reader, place| {
        if reader.peek()? == Kind::Object {
            findings.note(Feature::UnpricedOption, || place.to_string());
        }
        reader.skip().map_err(Into::into)
    })
}
