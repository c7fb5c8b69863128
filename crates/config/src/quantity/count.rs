//! What is counted: tokens, calls and money.

use std::{borrow::Cow, fmt};

use ledger::{Amount, Measure};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::amount;
use crate::{
    node::parse_text,
    suggest::{self, shown},
};

/// How much of what: `500 USD`, `2M tokens`, `300k input tokens`, `5000 calls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) amount: Amount,
    pub(crate) measure: Measure,
}

const UNITS: [&str; 5] = ["USD", "tokens", "input tokens", "output tokens", "calls"];

impl Counted {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | ','));
        let unit = unit.strip_prefix(['k', 'M', 'K', 'm']).unwrap_or(unit);
        let number = text.strip_suffix(unit).unwrap_or_default();
        let unit = unit.trim();
        if number.is_empty() {
            return Err(format!("`{}` is not an amount\n{}", shown(text), unit_help("")));
        }
        let measure = match unit {
            "USD" => Measure::Money,
            "tokens" | "token" => Measure::Tokens,
            "input tokens" | "input token" => Measure::InputTokens,
            "output tokens" | "output token" => Measure::OutputTokens,
            "calls" | "call" => Measure::Calls,
            _ => return Err(format!("`{}` is not an amount\n{}", shown(text), unit_help(unit))),
        };
        let amount = match measure {
            Measure::Money => amount(text)?.into(),
            _ => Amount(count(number)?),
        };
        Ok(Self { amount, measure })
    }
}

fn unit_help(unit: &str) -> String {
    let near = match unit {
        "request" | "requests" => Some("calls"),
        unit => suggest::nearest(unit, &UNITS),
    };
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "write it with its unit, such as `500 USD`, `2M tokens`, `300k input tokens` or `5000 calls`".to_owned()
        }
    }
}

/// A whole number, which may be written with `k` for a thousand or `M` for a million: `300k`, `1.5M`.
fn count(text: &str) -> Result<i64, String> {
    let form = |what: &str| {
        let help = "write it without separators; k is a thousand and M a million, as in `300k` and `1.5M`";
        format!("`{}` is {what}\n{help}", shown(text))
    };
    let (digits, zeros) = match (text.strip_suffix('k'), text.strip_suffix('M')) {
        (Some(digits), _) => (digits, 3),
        (_, Some(digits)) => (digits, 6),
        _ => (text, 0_usize),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return Err(form("not a number"));
    }
    let part = part.trim_end_matches('0');
    let zeros = zeros
        .checked_sub(part.len())
        .ok_or_else(|| form("not a whole number"))?;
    let number = format!("{whole}{part}{}", "0".repeat(zeros));
    number.parse().map_err(|_| form("too large"))
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "an amount such as `500 USD`, `2M tokens` or `5000 calls`";
        parse_text(deserializer, expecting, Self::parse)
    }
}

impl JsonSchema for Counted {
    fn schema_name() -> Cow<'static, str> {
        "Counted".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(\\.[0-9]{1,9})? ?USD|[0-9]+(\\.[0-9]+)?[kM]? ?((input |output )?tokens?|calls?))$",
        })
    }
}

/// A whole number, as a number or as text with `k` or `M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) i64);

impl Count {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        count(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;

        impl Visitor<'_> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number such as 60 or `100k`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
                let number = i64::try_from(number).map_err(|_| E::custom("the number is too large"))?;
                Ok(Count(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                Count::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(CountVisitor)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?[kM]?$" })
    }
}

/// A share in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Percent(pub(crate) u64);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PercentVisitor;

        impl Visitor<'_> for PercentVisitor {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of percent")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percent, E> {
                Ok(Percent(number))
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Percent, E> {
                Err(E::custom(
                    "expected a whole number of percent, found text\nwrite the number alone, such as 80",
                ))
            }
        }

        deserializer.deserialize_any(PercentVisitor)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 100 })
    }
}

/// A number with at most two decimals, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Times(pub(crate) u32);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimesVisitor;

        impl Visitor<'_> for TimesVisitor {
            type Value = Times;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 5 or 2.5")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Times, E> {
                let hundredths = number.checked_mul(100).and_then(|number| u32::try_from(number).ok());
                hundredths
                    .map(Times)
                    .ok_or_else(|| E::custom("the number is too large"))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Times, E> {
                // The shortest text of the number is how it was written, or another one of the same value.
                let text = number.to_string();
                let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
                let hundredths = if part.len() > 2 {
                    None
                } else {
                    format!("{whole}{part:0<2}").parse().ok()
                };
                hundredths
                    .map(Times)
                    .ok_or_else(|| E::custom(format!("{number} is not a number with at most two decimals")))
            }
        }

        deserializer.deserialize_any(TimesVisitor)
    }
}

impl JsonSchema for Times {
    fn schema_name() -> Cow<'static, str> {
        "Times".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        for (text, number, measure) in [
            ("500 USD", 500_000_000_000, Measure::Money),
            ("0.25USD", 250_000_000, Measure::Money),
            ("2000000 tokens", 2_000_000, Measure::Tokens),
            ("2M tokens", 2_000_000, Measure::Tokens),
            ("1.5M tokens", 1_500_000, Measure::Tokens),
            ("1 token", 1, Measure::Tokens),
            ("300k input tokens", 300_000, Measure::InputTokens),
            ("0.5k output tokens", 500, Measure::OutputTokens),
            ("5000 calls", 5_000, Measure::Calls),
            ("2.000 calls", 2, Measure::Calls),
        ] {
            let counted = Counted {
                amount: Amount(number),
                measure,
            };
            assert_eq!(Counted::parse(text), Ok(counted), "{text}");
        }
        let not_whole = "write it without separators; k is a thousand and M a million, as in `300k` and `1.5M`";
        for (text, message) in [
            (
                "5 requests",
                "`5 requests` is not an amount\ndid you mean `calls`?".to_owned(),
            ),
            (
                "2M tokns",
                "`2M tokns` is not an amount\ndid you mean `tokens`?".to_owned(),
            ),
            ("5 usd", "`5 usd` is not an amount\ndid you mean `USD`?".to_owned()),
            ("2m tokens", format!("`2m` is not a number\n{not_whole}")),
            ("2,000 tokens", format!("`2,000` is not a number\n{not_whole}")),
            ("1.5 calls", format!("`1.5` is not a whole number\n{not_whole}")),
            (
                "1.2345k tokens",
                format!("`1.2345k` is not a whole number\n{not_whole}"),
            ),
            (
                "99999999999999M tokens",
                format!("`99999999999999M` is too large\n{not_whole}"),
            ),
            (
                "-5 USD",
                "`-5 USD` is not an amount\nwrite it with its unit, such as `500 USD`, `2M tokens`, `300k input tokens` or \
                 `5000 calls`"
                    .to_owned(),
            ),
            (
                "2M USD",
                "`2M USD` is not an amount\nwrite US dollars, such as `5 USD` or `0.25 USD`".to_owned(),
            ),
        ] {
            assert_eq!(Counted::parse(text), Err(message), "{text}");
        }
        for bad in [
            "",
            "5",
            "USD",
            "tokens",
            "five tokens",
            "-5 tokens",
            "٣ calls",
            "5 EUR",
            "1..5M tokens",
        ] {
            assert!(Counted::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn multiples_are_shown_as_they_are_written() {
        for (hundredths, text) in [(500, "5"), (250, "2.5"), (205, "2.05"), (110, "1.1")] {
            assert_eq!(Times(hundredths).to_string(), text);
        }
    }
}
