//! The options among the top-level fields that change what a call can cost.

use model::{Feature, ServiceTier};

use super::ParseError;
use super::findings::{Fields, Findings, Place, each_item, enter_object, shown, word};
use crate::json::{Kind, Reader};
use crate::{Dialect, Endpoint};

/// An option that is a feature unless it asks for nothing.
pub(super) fn dear_option(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    feature: Feature,
    free: Option<&str>,
    findings: &mut Findings,
) -> Result<(), ParseError> {
    let asks_nothing = match reader.peek()? {
        Kind::String => {
            let value = reader.string()?.decoded();
            Some(&*value) == free
        }
        Kind::Null => reader.skip().map(|()| true)?,
        Kind::Bool => reader.raw()? == "false",
        Kind::Array => {
            let items = reader.raw()?;
            items
                .bytes()
                .all(|byte| matches!(byte, b'[' | b']') || byte.is_ascii_whitespace())
        }
        Kind::Number | Kind::Object => reader.skip().map(|()| false)?,
    };
    if !asks_nothing {
        findings.note(feature, || place.to_string());
    }
    Ok(())
}

/// `service_tier`. OpenAI serves `fast` as `priority`; `auto` is what the provider's account is set to.
pub(super) fn tier(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    endpoint: Endpoint,
    findings: &mut Findings,
) -> Result<ServiceTier, ParseError> {
    let Some(tier) = word(reader, place)? else {
        return Ok(ServiceTier::Standard);
    };
    Ok(match (endpoint.dialect(), &*tier) {
        (Dialect::OpenAi, "auto" | "default") | (Dialect::Anthropic, "auto" | "standard_only") => ServiceTier::Standard,
        (Dialect::OpenAi, "flex") => ServiceTier::Flex,
        (Dialect::OpenAi, "priority" | "fast") => ServiceTier::Priority,
        (_, other) => {
            findings.note(Feature::UnpricedOption, || format!("{place} = \"{}\"", shown(other)));
            ServiceTier::Standard
        }
    })
}

/// OpenAI `modalities`: what kinds of output are wanted.
pub(super) fn modalities(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Result<(), ParseError> {
    each_item(reader, place, |reader, place| {
        let modality = word(reader, place)?;
        let feature = match modality.as_deref() {
            None | Some("text") => return Ok(()),
            Some("audio") => Feature::AudioOutput,
            Some(_) => Feature::UnpricedOption,
        };
        let modality = modality.unwrap_or_default();
        findings.note(feature, || format!("{place} = \"{}\"", shown(&modality)));
        Ok(())
    })
    .map(|_| ())
}

/// `output_format` of pictures: animations and drawings cost other than the picture that was priced.
pub(super) fn picture_format(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Result<(), ParseError> {
    if let Some(format) = word(reader, place)?
        && !is_plain_picture(&format)
    {
        findings.note(Feature::UnpricedOption, || format!("{place} = \"{}\"", shown(&format)));
    }
    Ok(())
}

pub(super) fn is_plain_picture(format: &str) -> bool {
    matches!(format, "png" | "webp" | "jpeg")
}

/// Anthropic `context_management`: edits that clear are free, others (compaction) bill tokens beside the call's usage.
pub(super) fn context_management(
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Result<(), ParseError> {
    if reader.peek()? == Kind::Null {
        return reader.skip().map_err(Into::into);
    }
    enter_object(reader, place)?;
    let mut fields = Fields::new(&[("edits", ())]);
    while let Some(key) = reader.key()? {
        match fields.admit(key, place)? {
            Some((name, ())) => {
                each_item(reader, &place.member(name), |reader, place| {
                    edit(reader, place, findings)
                })?;
            }
            None => reader.skip()?,
        }
    }
    Ok(())
}

fn edit(reader: &mut Reader<'_>, place: &Place<'_>, findings: &mut Findings) -> Result<(), ParseError> {
    enter_object(reader, place)?;
    let mut fields = Fields::new(&[("type", ())]);
    let mut kind = None;
    while let Some(key) = reader.key()? {
        match fields.admit(key, place)? {
            Some((name, ())) => kind = word(reader, &place.member(name))?,
            None => reader.skip()?,
        }
    }
    let kind = kind.unwrap_or_default();
    if !kind.starts_with("clear_") {
        findings.note(Feature::UnpricedOption, || {
            format!("{place}.type = \"{}\"", shown(&kind))
        });
    }
    Ok(())
}
