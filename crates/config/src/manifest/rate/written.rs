//! How a rate is written: `60 per minute`, `{ limit: 60, per: minute, burst: 10 }`, or a list of such.

use std::{borrow::Cow, fmt, marker::PhantomData};

use ledger::Per;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    node::{Field, Placed, parse_text},
    problem::Mark,
    quantity::{Amount, Count, amount},
    suggest::{self, shown},
};

/// What a rate counts: a number or money.
pub(super) trait Part: Sized {
    /// A rate of it.
    const EXAMPLE: &'static str;
    /// The same as a mapping.
    const TABLE: &'static str;

    fn read(text: &str) -> Result<Self, String>;
    fn amount(&self) -> ledger::Amount;
}

impl Part for Count {
    const EXAMPLE: &'static str = "60 per minute";
    const TABLE: &'static str = "limit: 60, per: minute, burst: 10";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn amount(&self) -> ledger::Amount {
        ledger::Amount(self.0)
    }
}

impl Part for Amount {
    const EXAMPLE: &'static str = "1 USD per hour";
    const TABLE: &'static str = "limit: 1 USD, per: hour, burst: 0.5 USD";

    fn read(text: &str) -> Result<Self, String> {
        amount(text).map(Self)
    }

    fn amount(&self) -> ledger::Amount {
        self.0.into()
    }
}

/// The length that a rate is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RatePer(pub(super) Per);

impl RatePer {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "second" => Ok(Self(Per::Second)),
            "minute" => Ok(Self(Per::Minute)),
            "hour" => Ok(Self(Per::Hour)),
            "day" | "week" | "month" | "year" => Err(format!(
                "a rate is per second, minute or hour\nwhat may be used in a {word} is a budget: `kind: Budget` with `per: \
                 {word}`"
            )),
            word => {
                let help = suggest::help(word, "lengths", &["second", "minute", "hour"]);
                Err(format!("unknown length `{}`\n{help}", shown(word)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for RatePer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, "`second`, `minute` or `hour`", Self::read)
    }
}

/// One rate. Of the written form, the places are not known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct RawTable<T> {
    limit: Field<T>,
    per: Field<RatePer>,
    burst: Field<T>,
}

impl<T> Default for RawTable<T> {
    fn default() -> Self {
        Self {
            limit: Field::Absent,
            per: Field::Absent,
            burst: Field::Absent,
        }
    }
}

/// One rate in either form.
#[derive(Debug)]
pub(super) enum RawOne<T> {
    Written(T, RatePer),
    Table(RawTable<T>),
}

/// One rate, each part with its place.
pub(super) struct RawRate<T> {
    pub(super) limit: Field<T>,
    pub(super) per: Field<RatePer>,
    pub(super) burst: Field<T>,
}

impl<T: Part> RawOne<T> {
    fn written(text: &str) -> Result<Self, String> {
        let Some((number, per)) = text.split_once(" per ") else {
            return Err(format!(
                "`{}` is not a rate\nwrite a rate such as `{}`",
                shown(text),
                T::EXAMPLE
            ));
        };
        let number = T::read(number.trim())?;
        Ok(Self::Written(number, RatePer::read(per.trim())?))
    }

    fn placed(self, mark: Mark) -> Placed<RawRate<T>> {
        let value = match self {
            Self::Written(limit, per) => RawRate {
                limit: Field::Given(Placed { mark, value: limit }),
                per: Field::Given(Placed { mark, value: per }),
                burst: Field::Absent,
            },
            Self::Table(RawTable { limit, per, burst }) => RawRate { limit, per, burst },
        };
        Placed { mark, value }
    }
}

/// The rates of one measure.
#[derive(Debug)]
pub(super) enum RawRates<T> {
    One(RawOne<T>),
    Many(Vec<Field<RawOne<T>>>),
}

impl<T: Part> RawRates<T> {
    /// Those that fitted. `mark` is the place of the whole.
    pub(super) fn placed(self, mark: Mark) -> Vec<Placed<RawRate<T>>> {
        match self {
            Self::One(one) => vec![one.placed(mark)],
            Self::Many(many) => {
                let given = many.into_iter().filter_map(Field::given);
                given.map(|one| one.value.placed(one.mark)).collect()
            }
        }
    }
}

struct OneVisitor<T>(PhantomData<T>);

impl<'de, T: Part + Deserialize<'de>> Visitor<'de> for OneVisitor<T> {
    type Value = RawOne<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a rate such as `{}`", T::EXAMPLE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawOne<T>, E> {
        RawOne::written(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawOne<T>, A::Error> {
        RawTable::deserialize(MapAccessDeserializer::new(map)).map(RawOne::Table)
    }
}

impl<'de, T: Part + Deserialize<'de>> Deserialize<'de> for RawOne<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneVisitor(PhantomData))
    }
}

impl<'de, T: Part + Deserialize<'de>> Deserialize<'de> for RawRates<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RatesVisitor<T>(PhantomData<T>);

        impl<'de, T: Part + Deserialize<'de>> Visitor<'de> for RatesVisitor<T> {
            type Value = RawRates<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a rate such as `{}`, or a list of such", T::EXAMPLE)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawRates<T>, E> {
                OneVisitor(PhantomData).visit_str(text).map(RawRates::One)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRates<T>, A::Error> {
                OneVisitor(PhantomData).visit_map(map).map(RawRates::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawRates<T>, A::Error> {
                let mut many = Vec::new();
                while let Some(item) = items.next_element()? {
                    many.push(item);
                }
                if many.is_empty() {
                    let text = format!(
                        "the list is empty\nwrite a rate such as `{}`, or leave the key out",
                        T::EXAMPLE
                    );
                    return Err(de::Error::custom(text));
                }
                Ok(RawRates::Many(many))
            }
        }

        deserializer.deserialize_any(RatesVisitor(PhantomData))
    }
}

impl<T: Part + JsonSchema> JsonSchema for RawRates<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("RatesOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let part = generator.subschema_for::<T>();
        let one = [
            json_schema!({ "type": "string", "pattern": "^.+ per (second|minute|hour)$" }),
            json_schema!({
                "type": "object",
                "properties": {
                    "limit": part,
                    "per": { "enum": ["second", "minute", "hour"] },
                    "burst": part,
                },
                "required": ["limit", "per"],
                "additionalProperties": false,
            }),
        ];
        let [text, table] = &one;
        json_schema!({
            "description": format!("A rate such as `{}`, or a list of such.", T::EXAMPLE),
            "anyOf": [text, table, { "type": "array", "items": { "anyOf": one }, "minItems": 1 }],
        })
    }
}
