//! Compacts the public price catalogue into the form that this crate ships: JSON lines, one model a line, sorted by name,
//! prices as exact decimal text.
//!
//! No price passes through a float: numbers are taken as the digits in the file. A field that is neither on the list of
//! what is left out nor known to [`crate::Field`] is kept, so that its model is refused, and a test fails, until someone has
//! decided what it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Entries of the catalogue that are not models.
const NOT_MODELS: &[&str] = &["sample_spec", "fallback_generalizations"];

/// Fields that say nothing about money or limits. Fields that begin with `supports_` are left out as well.
const LEFT_OUT: &[&str] = &[
    "audio_transcription_config",
    "bedrock_converse_supports_strict_tools",
    "bedrock_output_config_effort_ceiling",
    "comment",
    "default_reasoning_effort",
    "gemini_audio_only_live",
    "gemini_native_audio",
    "max_tokens",
    "metadata",
    "output_vector_size",
    "prompt_cache_min_tokens",
    "reasoning_effort_levels",
    "rpm",
    "source",
    "supported_audio_formats",
    "supported_endpoints",
    "supported_modalities",
    "supported_output_modalities",
    "supported_regions",
    "thinking_always_on",
    "token_count_framing",
    "token_count_model",
    "token_count_tokenizer",
    "tpm",
    "use_openai_responses_path",
    "uses_embed_content",
    "vertex_ai_audio_api",
];

/// Why a text is not a price catalogue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CatalogueError(String);

impl CatalogueError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The same, and where.
    fn within(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl From<serde_json::Error> for CatalogueError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// A JSON object whose keys are kept in order and must differ: a second price for a model would otherwise win silently.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut seen = BTreeSet::new();
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format_args!("the key {key:?} occurs twice")));
                    }
                    pairs.push((key, value));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// One line of the compacted catalogue. The field order is the file's.
#[derive(Default, Serialize)]
struct Line {
    model: String,
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation_date: Option<String>,
    prices: BTreeMap<String, Exact>,
}

/// A price field: every number in it, however deep, as decimal text.
#[derive(Serialize)]
#[serde(untagged)]
enum Exact {
    Text(String),
    List(Vec<Exact>),
    Map(BTreeMap<String, Exact>),
}

/// The public catalogue in the form that this crate ships. Running it on the same text again gives the same text.
///
/// # Errors
/// Anything but an object of models, a model listed twice, a price that is not a plain number.
pub fn compact(text: &str) -> Result<String, CatalogueError> {
    let Object(entries) = serde_json::from_str(text)?;
    let mut lines = BTreeMap::new();
    for (model, entry) in entries {
        if NOT_MODELS.contains(&model.as_str()) {
            continue;
        }
        // A line is found by its bytes, without unescaping.
        if !model.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
            return Err(CatalogueError(format!("the name {model:?} needs escapes")));
        }
        let line = self::line(&model, &entry).map_err(|error| error.within(format_args!("the model {model:?}")))?;
        lines.insert(model, serde_json::to_string(&line)?);
    }
    Ok(lines.into_values().flat_map(|line| [line, "\n".to_owned()]).collect())
}

fn line(model: &str, entry: &RawValue) -> Result<Line, CatalogueError> {
    let Object(fields) = serde_json::from_str(entry.get())?;
    let mut line = Line {
        model: model.to_owned(),
        ..Line::default()
    };
    for (name, value) in fields {
        let within = |error: CatalogueError| error.within(format_args!("the field {name}"));
        let text = || serde_json::from_str::<String>(value.get()).map_err(|error| within(error.into()));
        match name.as_str() {
            "litellm_provider" => line.provider = text()?,
            "mode" => line.mode = Some(text()?),
            "max_input_tokens" => line.max_input_tokens = Some(count(value.get()).map_err(within)?),
            "max_output_tokens" => line.max_output_tokens = Some(count(value.get()).map_err(within)?),
            "deprecation_date" => line.deprecation_date = Some(text()?),
            other if other.starts_with("supports_") || LEFT_OUT.contains(&other) => {}
            _ => {
                let exact = exact(&value).map_err(within)?;
                line.prices.insert(name, exact);
            }
        }
    }
    if line.provider.is_empty() {
        return Err(CatalogueError("no litellm_provider".to_owned()));
    }
    Ok(line)
}

fn count(literal: &str) -> Result<u64, CatalogueError> {
    let whole = || CatalogueError(format!("not a whole number: {literal}"));
    decimal(literal)?.parse().map_err(|_| whole())
}

fn exact(value: &RawValue) -> Result<Exact, CatalogueError> {
    let text = value.get();
    Ok(match text.bytes().next() {
        Some(b'"') => Exact::Text(serde_json::from_str(text)?),
        Some(b'[') => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text)?;
            Exact::List(items.iter().map(|item| exact(item)).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let Object(pairs) = serde_json::from_str(text)?;
            let pairs = pairs.into_iter().map(|(key, item)| Ok((key, exact(&item)?)));
            Exact::Map(pairs.collect::<Result<_, CatalogueError>>()?)
        }
        Some(b'0'..=b'9') => Exact::Text(decimal(text)?),
        _ => return Err(CatalogueError(format!("unexpected value {text}"))),
    })
}

/// The same number as plain decimal text, digit for digit: `7.50e-08` is `0.000000075`.
fn decimal(literal: &str) -> Result<String, CatalogueError> {
    let bad = || CatalogueError(format!("not a plain number: {literal}"));
    let (number, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let exponent: i8 = exponent.parse().map_err(|_| bad())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || !(-40..=40).contains(&exponent) {
        return Err(bad());
    }

    // The digits, and where among them the point stands; zeros on either side make room to move it.
    let moved = usize::from(exponent.unsigned_abs());
    let zeros = "0".repeat(moved);
    let digits = format!("{zeros}{whole}{fraction}{zeros}");
    let point = if exponent < 0 {
        whole.len()
    } else {
        moved + whole.len() + moved
    };
    let (whole, fraction) = digits.split_at_checked(point).ok_or_else(bad)?;
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_exact_decimals() {
        for (literal, text) in [
            ("0", "0"),
            ("0.0", "0"),
            ("7.5e-08", "0.000000075"),
            ("1.5000020000000002e-05", "0.000015000020000000002"),
            ("3e+2", "300"),
            ("1.25E1", "12.5"),
            ("256000.0", "256000"),
            ("0.01", "0.01"),
            ("2e-0", "2"),
        ] {
            assert_eq!(decimal(literal).unwrap(), text, "{literal}");
        }
        for bad in ["", "-1", "1e", "e5", ".5", "1e99", "NaN", "1_0"] {
            assert!(decimal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_model_becomes_a_line() {
        let source = r#"{
            "sample_spec": {"litellm_provider": "one of", "max_tokens": "text"},
            "b": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-06, "supports_vision": true,
                  "source": "x", "max_tokens": 5, "max_output_tokens": 4096.0, "deprecation_date": "2027-01-01"},
            "a": {"litellm_provider": "p", "tiered_pricing": [{"range": [0, 256000.0], "input_cost_per_token": 5e-08}],
                  "web_search_billing_unit": "per_query"}
        }"#;
        let expected = concat!(
            r#"{"model":"a","provider":"p","prices":{"tiered_pricing":[{"input_cost_per_token":"0.00000005","range":["0","256000"]}],"web_search_billing_unit":"per_query"}}"#,
            "\n",
            r#"{"model":"b","provider":"p","mode":"chat","max_output_tokens":4096,"deprecation_date":"2027-01-01","prices":{"input_cost_per_token":"0.000001"}}"#,
            "\n"
        );
        assert_eq!(compact(source).unwrap(), expected);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (source, says) in [
            (
                r#"{"a": {"litellm_provider": "p"}, "a": {"litellm_provider": "p"}}"#,
                "occurs twice",
            ),
            (r#"{"a": {"mode": "chat"}}"#, "no litellm_provider"),
            (r#"{"a b": {"litellm_provider": "p"}}"#, "needs escapes"),
            (
                r#"{"a": {"litellm_provider": "p", "input_cost_per_token": -1}}"#,
                "unexpected value -1",
            ),
            (
                r#"{"a": {"litellm_provider": "p", "new_price": null}}"#,
                "the field new_price",
            ),
            (
                r#"{"a": {"litellm_provider": "p", "max_input_tokens": 1.5}}"#,
                "not a whole number",
            ),
        ] {
            let error = compact(source).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
