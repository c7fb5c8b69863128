//! `[[prices]]`: what models cost that the shipped catalogue does not know, or knows wrongly.

use std::borrow::Cow;

use pricing::{Dollars, Override, PerMillion};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::limits::{OUTPUT_LIMITS, within};
use crate::{
    node::{Field, Placed},
    problem::Findings,
};

/// The longest name of a provider or a model.
const MAX_NAME: usize = 128;

/// A price for one model, in place of everything the catalogue says about that model's prices.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Price", extend("required" = ["provider", "model", "input", "output"]))]
pub(crate) struct RawPrice {
    /// The provider, by the name under which the upstream looks prices up (its `prices`).
    provider: Field<String>,
    /// The model, exactly as requests name it.
    model: Field<String>,
    /// US dollars per million input tokens. `"0"` says that it is free.
    input: Field<Rate>,
    /// US dollars per million output tokens, reasoning included. `"0"` says that it is free.
    output: Field<Rate>,
    /// US dollars per million tokens read from the cache. The input price if absent.
    cache_read: Field<Rate>,
    /// US dollars per million tokens written to the cache for its default lifetime. If absent, the input price; for
    /// Anthropic and for Claude models 1.25 times that.
    cache_write: Field<Rate>,
    /// US dollars per million tokens written to the cache for an hour. If absent, the `cache_write` price; for Anthropic
    /// and for Claude models 2 times the input price.
    cache_write_1h: Field<Rate>,
    /// US dollars per million tokens of audio sent. Audio is refused if absent.
    audio_input: Field<Rate>,
    /// US dollars per million tokens of audio produced. Audio is refused if absent.
    audio_output: Field<Rate>,
    /// US dollars per million tokens of images sent. The input price if absent.
    image_input: Field<Rate>,
    /// US dollars per million tokens of pictures made.
    image_output: Field<Rate>,
    /// US dollars per picture made, whatever its size. A model with this price and no `image_output` makes pictures and is
    /// refused for conversations, which may hold any number of them.
    per_image: Field<Amount>,
    /// US dollars per second of audio transcribed or spoken.
    per_second: Field<Amount>,
    /// US dollars per million characters spoken.
    per_character: Field<Rate>,
    /// US dollars per call, on top of everything else.
    per_request: Field<Amount>,
    /// The most output tokens that the model produces. The catalogue's figure if absent.
    #[schemars(extend("minimum" = OUTPUT_LIMITS.start(), "maximum" = OUTPUT_LIMITS.end()))]
    max_output_tokens: Field<u64>,
}

/// Dollars per million tokens, as text or a whole number.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rate(PerMillion);

/// Dollars for one of something, as text or a whole number.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Amount(Dollars);

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal()
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal()
    }
}

/// A decimal as text, or a whole number.
fn decimal() -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$" },
            { "type": "integer", "minimum": 0 },
        ],
    })
}

impl TryFrom<Placed<RawPrice>> for Override {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawPrice>) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let message = |key: &str| format!("the price has no `{key}`");
        let name = |key, field: Field<String>, help, findings: &mut Findings| {
            let name = field.required(Some(mark), message(key), help, findings)?;
            let message = match name.value.trim().len() {
                1..=MAX_NAME => return Some(name.value),
                0 => format!("`{key}` is empty"),
                _ => format!("`{key}` is longer than {MAX_NAME} characters"),
            };
            findings.add_with_help(name.mark, message, help);
            None
        };
        let rate = |key, field: Field<Rate>, findings: &mut Findings| {
            let help = "US dollars per million tokens, such as \"0.15\"; \"0\" says that it is free";
            let rate = field.required(Some(mark), message(key), help, findings)?;
            Some(rate.value.0)
        };
        let provider = name(
            "provider",
            raw.provider,
            "the provider under which upstreams look prices up",
            &mut findings,
        );
        let model = name(
            "model",
            raw.model,
            "the model, exactly as requests name it",
            &mut findings,
        );
        let input = rate("input", raw.input, &mut findings);
        let output = rate("output", raw.output, &mut findings);
        let max_output_tokens = within(raw.max_output_tokens, OUTPUT_LIMITS, &mut findings);
        let optional = |field: Field<Rate>| field.value().map(|rate| rate.0);
        let amount = |field: Field<Amount>| field.value().map(|amount| amount.0);
        let price = || {
            Some(Self {
                provider: provider?,
                model: model?,
                input: input?,
                output: output?,
                cache_read: optional(raw.cache_read),
                cache_write: optional(raw.cache_write),
                cache_write_1h: optional(raw.cache_write_1h),
                audio_input: optional(raw.audio_input),
                audio_output: optional(raw.audio_output),
                image_input: optional(raw.image_input),
                image_output: optional(raw.image_output),
                per_image: amount(raw.per_image),
                per_second: amount(raw.per_second),
                per_character: optional(raw.per_character),
                per_request: amount(raw.per_request),
                max_output_tokens,
            })
        };
        findings.conclude(price())
    }
}
