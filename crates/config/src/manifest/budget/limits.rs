//! `thresholds` and `at_limit`: what happens on the way to the limit, and there.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use ledger::{AtLimit, THRESHOLDS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    file::within,
    node::{Field, Placed},
    problem::Findings,
    quantity::{Percent, Span},
};

/// The most thresholds of one budget.
const MAX_THRESHOLDS: usize = 16;
/// How long a request waits for an administrator.
const DEFAULT_WAIT: Span = Span(5 * 60);
const WAITS: RangeInclusive<Span> = Span(1)..=Span(60 * 60);

/// The thresholds, rising.
pub(super) fn thresholds(field: Field<Vec<Field<Percent>>>, findings: &mut Findings) -> Vec<u8> {
    let Some(Placed { mark, value: items }) = field.given() else {
        return THRESHOLDS.into();
    };
    if items.len() > MAX_THRESHOLDS {
        let message = format!("there are {} thresholds, more than {MAX_THRESHOLDS}", items.len());
        findings.add_with_help(
            mark,
            message,
            "each one leaves an entry: keep those that somebody would act on",
        );
        return Vec::new();
    }
    let mut thresholds: Vec<u8> = Vec::new();
    for Placed {
        mark,
        value: Percent(value),
    } in items.into_iter().filter_map(Field::given)
    {
        match u8::try_from(value).ok().filter(|percent| (1..=100).contains(percent)) {
            Some(percent) if thresholds.contains(&percent) => {
                findings.add_with_help(mark, format!("the threshold {percent} is here twice"), "once is enough");
            }
            Some(percent) => thresholds.push(percent),
            None => {
                let help = "a threshold is a share of the limit in percent, from 1 to 100";
                findings.add_with_help(mark, format!("{value} is out of range"), help);
            }
        }
    }
    thresholds.sort_unstable();
    thresholds
}

/// What stands under `at_limit`.
#[derive(Debug)]
pub(super) enum AskOrDeny {
    Deny,
    /// For how long, if that is said.
    Ask(Field<Span>),
}

/// The mapping form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAsk {
    ask: Field<Span>,
}

impl AskOrDeny {
    /// `None` if it was reported.
    pub(super) fn check(field: Field<Self>, findings: &mut Findings) -> Option<AtLimit> {
        match field {
            Field::Absent => Some(AtLimit::Deny),
            Field::Bad(_) => None,
            Field::Given(Placed { value: Self::Deny, .. }) => Some(AtLimit::Deny),
            Field::Given(Placed {
                value: Self::Ask(Field::Absent),
                ..
            }) => Some(AtLimit::Ask { wait_s: DEFAULT_WAIT.0 }),
            Field::Given(Placed {
                value: Self::Ask(wait), ..
            }) => within(wait, WAITS, findings).map(|Span(wait_s)| AtLimit::Ask { wait_s }),
        }
    }
}

impl<'de> Deserialize<'de> for AskOrDeny {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AskVisitor;

        impl<'de> Visitor<'de> for AskVisitor {
            type Value = AskOrDeny;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`deny`, `ask` or `{ ask: 10 minutes }`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<AskOrDeny, E> {
                match word {
                    "deny" => Ok(AskOrDeny::Deny),
                    "ask" => Ok(AskOrDeny::Ask(Field::Absent)),
                    word => Err(E::unknown_variant(word, &["deny", "ask"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AskOrDeny, A::Error> {
                let RawAsk { ask } = RawAsk::deserialize(MapAccessDeserializer::new(map))?;
                Ok(AskOrDeny::Ask(ask))
            }
        }

        deserializer.deserialize_any(AskVisitor)
    }
}

impl JsonSchema for AskOrDeny {
    fn schema_name() -> Cow<'static, str> {
        "AtLimit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = generator.subschema_for::<Span>();
        json_schema!({
            "description": "What happens at the limit: the request is refused, or waits for an administrator, for 5 minutes or \
                            as long as is said (at most 1 hour).",
            "anyOf": [
                { "enum": ["deny", "ask"] },
                {
                    "type": "object",
                    "properties": { "ask": span },
                    "required": ["ask"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
