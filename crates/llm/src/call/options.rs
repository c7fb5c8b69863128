//! The top-level fields that matter, above all those that change what a call can cost.
//!
//! Sources: OpenAI's and Anthropic's API references and the parameter types of their Python packages (openai 3.54,
//! anthropic 2.12, November 2026); for the options of compatible servers, their own references (xAI, Azure OpenAI,
//! OpenRouter, Alibaba Model Studio, vLLM).

use model::{Feature, ServiceTier};

use super::ParseError;
use super::findings::{Fields, Findings, Place, each_item, enter_object, shown, word};
use crate::json::{Kind, Reader};
use crate::{Dialect, Endpoint};

/// How to read a top-level field.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Model,
    Messages,
    System,
    Stream,
    StreamOptions,
    Limit(LimitField),
    Choices,
    Tools,
    Functions,
    Tier,
    Modalities,
    ContextManagement,
    Cache,
    /// An option that makes the call a feature unless it is null, false, an empty array or the string `free`.
    Dear {
        feature: Feature,
        free: Option<&'static str>,
    },
}

/// The two spellings of the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitField {
    /// `max_completion_tokens`.
    Completion,
    /// `max_tokens`: OpenAI's older field, Anthropic's only one.
    Plain,
}

const fn dear(feature: Feature) -> Field {
    Field::Dear { feature, free: None }
}

pub(super) fn top_level(endpoint: Endpoint) -> &'static [(&'static str, Field)] {
    match endpoint {
        Endpoint::ChatCompletions => CHAT_COMPLETIONS,
        Endpoint::Messages => MESSAGES,
    }
}

const CHAT_COMPLETIONS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("messages", Field::Messages),
    ("stream", Field::Stream),
    ("stream_options", Field::StreamOptions),
    ("max_completion_tokens", Field::Limit(LimitField::Completion)),
    ("max_tokens", Field::Limit(LimitField::Plain)),
    ("n", Field::Choices),
    ("tools", Field::Tools),
    ("functions", Field::Functions),
    ("service_tier", Field::Tier),
    ("modalities", Field::Modalities),
    ("prompt_cache_options", Field::Cache),
    ("audio", dear(Feature::AudioOutput)),
    ("web_search_options", dear(Feature::HostedTool)),
    // Rejected prediction tokens are billed as output and are not under the output limit.
    ("prediction", dear(Feature::UnpricedOption)),
    ("moderation", dear(Feature::UnpricedOption)),
    // The Responses API's; compatible servers take them here too.
    ("previous_response_id", dear(Feature::StoredConversation)),
    ("conversation", dear(Feature::StoredConversation)),
    // xAI live search, Model Studio search, Azure's own data, OpenRouter's plugins: fees and input from elsewhere.
    ("search_parameters", dear(Feature::HostedTool)),
    ("enable_search", dear(Feature::HostedTool)),
    ("data_sources", dear(Feature::HostedTool)),
    ("plugins", dear(Feature::HostedTool)),
    // OpenRouter: another model than `model` may answer.
    ("models", dear(Feature::UnpricedOption)),
    // vLLM: candidates that are generated and thrown away.
    ("best_of", dear(Feature::UnpricedOption)),
];

const MESSAGES: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("messages", Field::Messages),
    ("system", Field::System),
    ("stream", Field::Stream),
    ("max_tokens", Field::Limit(LimitField::Plain)),
    ("tools", Field::Tools),
    ("service_tier", Field::Tier),
    ("context_management", Field::ContextManagement),
    ("cache_control", Field::Cache),
    ("mcp_servers", dear(Feature::HostedTool)),
    ("container", dear(Feature::HostedTool)),
    (
        "speed",
        Field::Dear {
            feature: Feature::UnpricedOption,
            free: Some("standard"),
        },
    ),
    (
        "inference_geo",
        Field::Dear {
            feature: Feature::UnpricedOption,
            free: Some("global"),
        },
    ),
    ("thread", dear(Feature::StoredConversation)),
    // Tokens of a compaction are billed beside the call's own usage.
    ("compaction", dear(Feature::UnpricedOption)),
    // Another model than `model` may answer.
    ("fallbacks", dear(Feature::UnpricedOption)),
    ("fallback_credit_token", dear(Feature::UnpricedOption)),
    ("billing_policy", dear(Feature::UnpricedOption)),
];

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
