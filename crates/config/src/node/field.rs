//! Fields of raw structs: a value, its place, and whether it was there and fitted.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use crate::problem::{Findings, Mark};

/// The name by which the decoder knows that a [`Field`] wants its place.
pub(super) const FIELD: &str = "$field";

/// A value that was there and fitted, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    /// Where.
    pub(crate) mark: Mark,
    /// What.
    pub(crate) value: T,
}

/// A key's value. Reading one never fails: what does not fit is among the findings, and the field is [`Field::Bad`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there, and its value was reported.
    Bad(Mark),
    /// The key is there with a value that fits.
    Given(Placed<T>),
}

impl<T> Field<T> {
    /// The value, if it was there and fitted.
    pub(crate) fn given(self) -> Option<Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Bad(_) => None,
        }
    }

    /// The value without its place, if it was there and fitted.
    pub(crate) fn value(self) -> Option<T> {
        self.given().map(|placed| placed.value)
    }

    /// Whether the key is there.
    pub(crate) fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Where the value is, if the key is there.
    pub(crate) fn mark(&self) -> Option<Mark> {
        match self {
            Self::Absent => None,
            Self::Bad(mark) => Some(*mark),
            Self::Given(placed) => Some(placed.mark),
        }
    }

    /// The value, or a finding that it is missing: `message` says of what, `help` why it must be there.
    pub(crate) fn required(
        self,
        at: Option<Mark>,
        message: impl Into<String>,
        help: &str,
        findings: &mut Findings,
    ) -> Option<Placed<T>> {
        if !self.is_present() {
            findings.add_with_help(at, message, help);
        }
        self.given()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldVisitor<T> {
            type Value = Field<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Field<T>, A::Error> {
                let short = |have: usize| de::Error::invalid_length(have, &"line, column and value");
                let line = parts.next_element()?.ok_or_else(|| short(0))?;
                let column = parts.next_element()?.ok_or_else(|| short(1))?;
                let mark = Mark { line, column };
                // The decoder has reported the error before it got here.
                Ok(match parts.next_element() {
                    Ok(Some(value)) => Field::Given(Placed { mark, value }),
                    Ok(None) | Err(_) => Field::Bad(mark),
                })
            }
        }

        deserializer.deserialize_newtype_struct(FIELD, FieldVisitor(PhantomData))
    }
}

/// In a schema, a field is what its value is.
impl<T: JsonSchema> JsonSchema for Field<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A table whose keys are names that the user chose, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyed<T>(pub(crate) Vec<(Placed<String>, Field<T>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyedVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for KeyedVisitor<T> {
            type Value = Keyed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keyed<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Field<String>, Field<T>>()? {
                    entries.extend(key.given().map(|key| (key, value)));
                }
                Ok(Keyed(entries))
            }
        }

        deserializer.deserialize_map(KeyedVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Keyed<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// Reads a value that is written as text. Another kind of value is "expected `expecting`, found ..."; a second line of
/// the error that `parse` returns is its help.
pub(crate) fn parse_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    struct TextVisitor<T> {
        expecting: &'static str,
        parse: fn(&str) -> Result<T, String>,
    }

    impl<T> Visitor<'_> for TextVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expecting)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.parse)(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(TextVisitor { expecting, parse })
}
