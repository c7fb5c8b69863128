//! Prices that the user gives.

use std::{borrow::Cow, fmt, str::FromStr};

use model::ServiceTier;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Class, Price, PriceTextError, fee::Fees, field::Unit, listed::writes, sheet::Gaps};

/// A price for one model, from the user: a `[[prices]]` table of `bailiwick.toml`. It stands in place of everything the
/// catalogue says about that model's prices, context tiers and fees included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The provider, by the name the upstream declares for looking prices up.
    pub provider: String,
    /// The model, exactly as requests name it.
    pub model: String,
    /// Dollars per million input tokens. `"0"` says that it is free.
    pub input: PerMillion,
    /// Dollars per million output tokens, reasoning included. `"0"` says that it is free.
    pub output: PerMillion,
    /// Dollars per million tokens read from the cache. The input price if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PerMillion>,
    /// Dollars per million tokens written to the cache for its default lifetime; at least the input price. If absent, the
    /// input price; for Anthropic and for Claude models 1.25 times that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PerMillion>,
    /// Dollars per million tokens written to the cache for an hour; at least the `cache_write` price. If absent, the same;
    /// for Anthropic and for Claude models 2 times the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PerMillion>,
    /// Dollars per million tokens of audio sent. Audio is refused if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<PerMillion>,
    /// Dollars per million tokens of audio produced. Audio is refused if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<PerMillion>,
    /// Dollars per million tokens of images sent. The input price if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input: Option<PerMillion>,
    /// Dollars per million tokens of pictures made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output: Option<PerMillion>,
    /// Dollars per picture made, whatever its size. A model with this price and no `image_output` makes pictures and is
    /// refused for conversations, which may hold any number of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_image: Option<Dollars>,
    /// Dollars per second of audio transcribed or spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<Dollars>,
    /// Dollars per million characters spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_character: Option<PerMillion>,
    /// Dollars per call, on top of everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Dollars>,
    /// The most output tokens that the model produces. The catalogue's figure if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

/// Why a set of overrides is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Two for the same model.
    #[error("there are two prices for the model {model:?} of the provider {provider:?}")]
    Twice {
        /// The provider named.
        provider: String,
        /// The model named.
        model: String,
    },
    /// An empty name.
    #[error("a price needs the name of a provider and of a model (provider = {provider:?}, model = {model:?})")]
    Nameless {
        /// The provider named.
        provider: String,
        /// The model named.
        model: String,
    },
    /// A model that cannot produce anything.
    #[error("max_output_tokens of the model {model:?} of the provider {provider:?} must be at least 1")]
    NoOutput {
        /// The provider named.
        provider: String,
        /// The model named.
        model: String,
    },
}

impl Override {
    pub(crate) fn check(&self) -> Result<(), OverrideError> {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        if provider.trim().is_empty() || model.trim().is_empty() {
            return Err(OverrideError::Nameless { provider, model });
        }
        if self.max_output_tokens == Some(0) {
            return Err(OverrideError::NoOutput { provider, model });
        }
        Ok(())
    }

    pub(crate) fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::new(writes(&self.provider, &self.model));
        for (class, price) in [
            (Class::Input, Some(self.input)),
            (Class::Output, Some(self.output)),
            (Class::CacheRead, self.cache_read),
            (Class::CacheWrite, self.cache_write),
            (Class::CacheWrite1h, self.cache_write_1h),
            (Class::AudioInput, self.audio_input),
            (Class::AudioOutput, self.audio_output),
            (Class::ImageInput, self.image_input),
            (Class::ImageOutput, self.image_output),
        ] {
            if let Some(price) = price {
                gaps.list(ServiceTier::Standard, 0, class, price.per_token());
            }
        }
        gaps
    }
}

impl Override {
    pub(crate) fn fees(&self) -> Fees {
        let mut fees = Fees::default();
        for (unit, price) in [
            (Unit::Call, self.per_request.map(Dollars::price)),
            (Unit::Second, self.per_second.map(Dollars::price)),
            (Unit::Character, self.per_character.map(PerMillion::per_token)),
            (Unit::Picture, self.per_image.map(Dollars::price)),
        ] {
            if let Some(price) = price {
                fees.list(unit, price, true);
            }
        }
        fees
    }
}

/// A price in dollars per million tokens or characters, as people and price lists write it: `"0.15"`. A text or a whole number;
/// never a fraction that has been through a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PerMillion(Price);

impl PerMillion {
    /// The price of one token, or whatever else it is a price of.
    pub fn per_token(self) -> Price {
        self.0
    }
}

impl FromStr for PerMillion {
    type Err = PriceTextError;

    fn from_str(text: &str) -> Result<Self, PriceTextError> {
        let price: Price = text.trim().parse()?;
        price
            .per_million()
            .map(Self)
            .ok_or_else(|| PriceTextError::TooLong(text.to_owned()))
    }
}

/// Dollars per million, as a plain decimal.
impl fmt::Display for PerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It was made from a price per million, so there is one; the other text says the same per token.
        match self.0.times_million() {
            Some(price) => price.fmt(f),
            None => write!(f, "{}e6", self.0),
        }
    }
}

impl Serialize for PerMillion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(Text("dollars per million tokens as text, such as \"0.15\""))?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A price in dollars for one of something: `"0.04"`. A text or a whole number, like [`PerMillion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dollars(Price);

impl Dollars {
    /// The price.
    pub fn price(self) -> Price {
        self.0
    }
}

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(Text("dollars as text, such as \"0.04\""))?;
        text.trim().parse().map(Self).map_err(de::Error::custom)
    }
}

/// Reads a number as it is written. What it expects, for the message.
struct Text(&'static str);

impl de::Visitor<'_> for Text {
    type Value = Cow<'static, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(number.to_string().into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(number.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Config {
        prices: Vec<Override>,
    }

    fn parse(text: &str) -> Result<Override, String> {
        let config: Config = toml::from_str(&format!("[[prices]]\n{text}")).map_err(|error| error.to_string())?;
        Ok(config.prices.into_iter().next().unwrap())
    }

    #[test]
    fn a_table_of_the_configuration_is_read() {
        let own =
            parse("provider = 'local'\nmodel = 'qwen3'\ninput = '0.15'\noutput = 3\nmax_output_tokens = 8192").unwrap();
        assert_eq!(own.input.per_token(), "1.5e-7".parse().unwrap());
        assert_eq!(own.output.per_token(), "3e-6".parse().unwrap());
        assert_eq!((own.cache_read, own.max_output_tokens), (None, Some(8_192)));
        assert_eq!(
            serde_json::to_string(&own).unwrap(),
            r#"{"provider":"local","model":"qwen3","input":"0.15","output":"3","max_output_tokens":8192}"#
        );
    }

    #[test]
    fn what_is_not_text_can_be_priced_as_well() {
        let own = parse(
            "provider = 'local'\nmodel = 'tts'\ninput = 0\noutput = 0\nper_character = 15\nper_image = '0.040'\n\
             per_second = '0.0001'\nper_request = 1\naudio_input = '40'",
        )
        .unwrap();
        assert_eq!(own.per_character.unwrap().per_token(), "0.000015".parse().unwrap());
        assert_eq!(own.per_image.unwrap().price(), "0.04".parse().unwrap());
        assert_eq!(
            serde_json::to_string(&own).unwrap(),
            r#"{"provider":"local","model":"tts","input":"0","output":"0","audio_input":"40","per_image":"0.04","per_second":"0.0001","per_character":"15","per_request":"1"}"#
        );
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said() {
        for (text, says) in [
            (
                "provider = 'p'\nmodel = 'm'\ninput = 0.15\noutput = '1'",
                "as text, such as \"0.15\"",
            ),
            (
                "provider = 'p'\nmodel = 'm'\ninput = '0,15'\noutput = '1'",
                "expected a decimal number",
            ),
            (
                "provider = 'p'\nmodel = 'm'\ninput = -1\noutput = '1'",
                "expected a decimal number",
            ),
            ("provider = 'p'\nmodel = 'm'\ninput = '1'", "missing field `output`"),
            (
                "provider = 'p'\nmodel = 'm'\ninput = '1'\noutput = '1'\nper_image = 0.04",
                "as text, such as \"0.04\"",
            ),
            (
                "provider = 'p'\nmodel = 'm'\ninput = '1'\noutput = '1'\ncached = '1'",
                "unknown field `cached`",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
