//! The tools a request offers to the model.

use std::borrow::Cow;

use model::Feature;

use super::ParseError;
use super::content::cache_lifetime;
use super::findings::{Fields, Findings, Place, each_item, enter_object, label, shown, word};
use crate::json::Reader;
use crate::{Dialect, Endpoint};

#[derive(Clone, Copy)]
enum ToolField {
    Type,
    Name,
    /// OpenAI nests the name: `{"type":"function","function":{"name":...}}`.
    Function,
    Custom,
    /// The tools inside of a namespace.
    Tools,
    Cache,
}

/// Where a tool's name stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Chat completions: inside of a member named like the tool's type.
    Nested,
    /// The Responses API: in the tool itself. Tools can be grouped in namespaces.
    Flat,
    /// Inside of a namespace: in the tool itself.
    Inside,
    /// Anthropic: in the tool itself; the type is `custom` or absent.
    Anthropic,
}

impl Style {
    pub(super) fn of(endpoint: Endpoint) -> Self {
        match (endpoint.dialect(), endpoint) {
            (Dialect::Anthropic, _) => Self::Anthropic,
            (_, Endpoint::Responses) => Self::Flat,
            _ => Self::Nested,
        }
    }
}

const TOOL: &[(&str, ToolField)] = &[
    ("type", ToolField::Type),
    ("name", ToolField::Name),
    ("function", ToolField::Function),
    ("custom", ToolField::Custom),
    ("tools", ToolField::Tools),
    ("cache_control", ToolField::Cache),
];

#[derive(Default)]
struct Tool<'a> {
    kind: Option<Cow<'a, str>>,
    name: Option<String>,
    function: Option<String>,
    custom: Option<String>,
    /// Names of the tools inside.
    inside: Vec<String>,
}

/// The `tools` array: the names of the tools the client runs. Any other is noted as hosted, also those that a provider
/// defines and the client runs (Anthropic's bash or computer): their hidden preambles differ from tool to tool.
pub(super) fn tools(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    style: Style,
    findings: &mut Findings,
) -> Result<Vec<String>, ParseError> {
    let mut names = Vec::new();
    each_item(reader, place, |reader, place| {
        let Tool {
            kind,
            name,
            function,
            custom,
            inside,
        } = tool(reader, place, style, findings)?;
        let (name, field) = match (style, kind.as_deref()) {
            (Style::Nested, None | Some("function")) => (function, "function.name"),
            (Style::Nested, Some("custom")) => (custom, "custom.name"),
            (Style::Anthropic, None | Some("custom")) => (name, "name"),
            (Style::Flat | Style::Inside, None | Some("function" | "custom")) => (name, "name"),
            (Style::Flat, Some("namespace")) => {
                names.extend(inside);
                return Ok(());
            }
            (_, Some(other)) => {
                findings.note(Feature::HostedTool, || format!("{place}.type = \"{}\"", shown(other)));
                return Ok(());
            }
        };
        names.push(name.ok_or_else(|| ParseError::Missing(place.member(field).to_string()))?);
        Ok(())
    })?;
    Ok(names)
}

/// OpenAI's older `functions` array.
pub(super) fn functions(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<Vec<String>, ParseError> {
    let mut names = Vec::new();
    each_item(reader, place, |reader, place| {
        let name = named(reader, place)?;
        names.push(name.ok_or_else(|| ParseError::Missing(place.member("name").to_string()))?);
        Ok(())
    })?;
    Ok(names)
}

fn tool<'a>(
    reader: &mut Reader<'a>,
    place: &Place<'_>,
    style: Style,
    findings: &mut Findings,
) -> Result<Tool<'a>, ParseError> {
    enter_object(reader, place)?;
    let mut fields = Fields::new(TOOL);
    let mut tool = Tool::default();
    while let Some(key) = reader.key()? {
        let Some((name, field)) = fields.admit(key, place)? else {
            reader.skip()?;
            continue;
        };
        let place = place.member(name);
        match field {
            ToolField::Type => tool.kind = word(reader, &place)?,
            ToolField::Name => tool.name = Some(label(reader, &place)?),
            ToolField::Function => tool.function = named(reader, &place)?,
            ToolField::Custom => tool.custom = named(reader, &place)?,
            // No namespace stands in another: one that does is noted as hosted.
            ToolField::Tools if style == Style::Flat => tool.inside = tools(reader, &place, Style::Inside, findings)?,
            ToolField::Tools => reader.skip()?,
            ToolField::Cache => cache_lifetime(reader, &place, findings)?,
        }
    }
    Ok(tool)
}

/// The `name` of an object.
fn named(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<Option<String>, ParseError> {
    enter_object(reader, place)?;
    let mut fields = Fields::new(&[("name", ())]);
    let mut found = None;
    while let Some(key) = reader.key()? {
        match fields.admit(key, place)? {
            Some((name, ())) => found = Some(label(reader, &place.member(name))?),
            None => reader.skip()?,
        }
    }
    Ok(found)
}
