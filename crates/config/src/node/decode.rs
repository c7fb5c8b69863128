//! From the tree to the raw structs, by way of serde.
//!
//! A [`Field`](super::Field) that does not fit is reported and left empty, and an unknown key is reported and left out,
//! so that one run finds every mistake. What is reported has the place of the value it is about.

use std::{cell::RefCell, fmt};

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, Error as _, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{BorrowedStrDeserializer, U32Deserializer},
    },
    forward_to_deserialize_any,
};

use super::{Format, Node, Value, field::FIELD};
use crate::{
    problem::{Findings, Mark},
    suggest,
};

/// Decodes a tree. Without a value there is a finding that says why; with one there may be findings too.
pub(crate) fn decode<'de, T: Deserialize<'de>>(node: &'de Node, format: Format) -> (Option<T>, Findings) {
    let findings = RefCell::default();
    let decoder = Decoder {
        node,
        format,
        findings: &findings,
    };
    let value = decoder.read(std::marker::PhantomData);
    (value.ok(), findings.into_inner())
}

/// Why a value could not be made.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is among the findings already.
    Reported,
    /// To be reported by whoever knows the place. A second line of `custom` text is the help.
    Here {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported => f.write_str("reported"),
            Self::Here { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    fn here(message: String, help: Option<String>) -> Self {
        Self::Here { message, help }
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        let text = text.to_string();
        match text.split_once('\n') {
            Some((message, help)) => Self::here(message.to_owned(), Some(help.to_owned())),
            None => Self::here(text, None),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // Never the text itself: it may be a secret in the wrong place.
        let found = match found {
            Unexpected::Str(_) | Unexpected::Bytes(_) => "text".to_owned(),
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(number) => format!("the number {number}"),
            Unexpected::Signed(number) => format!("the number {number}"),
            Unexpected::Float(number) => format!("the number {number}"),
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            _ => "keys and values".to_owned(),
        };
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "u64" | "u32" | "usize" | "u16" => "a whole number from 0",
            other => other,
        };
        Self::here(format!("expected {expected}, found {found}"), None)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        let message = format!("unknown value `{}`", suggest::shown(word));
        Self::here(message, Some(suggest::help(word, "values", known)))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let message = format!("unknown key `{}`", suggest::shown(key));
        Self::here(message, Some(suggest::help(key, "keys", known)))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::here(format!("`{key}` is missing"), None)
    }
}

/// One node, to be decoded.
#[derive(Clone, Copy)]
struct Decoder<'de, 'f> {
    node: &'de Node,
    format: Format,
    findings: &'f RefCell<Findings>,
}

impl<'de> Decoder<'de, '_> {
    fn of(self, node: &'de Node) -> Self {
        Self { node, ..self }
    }

    /// Decodes the node and reports what is wrong with it at its place.
    fn read<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self).map_err(|fault| {
            if let Fault::Here { message, help } = fault {
                self.report(self.node.mark, message, help);
            }
            Fault::Reported
        })
    }

    fn report(self, mark: Mark, message: String, help: Option<String>) {
        let mut findings = self.findings.borrow_mut();
        match help {
            Some(help) => findings.add_with_help(mark, message, help),
            None => findings.add(mark, message),
        }
    }

    fn expected(self, what: &str) -> Fault {
        let message = format!("expected {what}, found {}", self.node.word(self.format));
        Fault::here(message, None)
    }

    /// The entries whose key is among `known` (or all), without those whose key stood before.
    fn entries(self, map: &'de [(Node, Node)], known: Option<&'static [&'static str]>) -> Entries<'de> {
        let mut entries: Entries<'de> = Vec::new();
        for (key, value) in map {
            let Value::Text(name) = &key.value else { continue };
            if let Some(known) = known.filter(|known| !known.contains(&name.as_str())) {
                if let Fault::Here { message, help } = Fault::unknown_field(name, known) {
                    self.report(key.mark, message, help);
                }
                continue;
            }
            let same = |(earlier, _): &&(&Node, &Node)| matches!(&earlier.value, Value::Text(text) if text == name);
            match entries.iter().find(same) {
                Some((first, _)) => {
                    let message = format!("the key `{}` is here a second time", suggest::shown(name));
                    let help = format!("the first is in line {}; keep one of them", first.mark.line);
                    self.report(key.mark, message, Some(help));
                }
                None => entries.push((key, value)),
            }
        }
        entries
    }

    fn visit_map<V: Visitor<'de>>(
        self,
        map: &'de [(Node, Node)],
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(EntryAccess {
            decoder: self,
            entries: self.entries(map, known).into_iter(),
            value: None,
        })
    }
}

type Entries<'de> = Vec<(&'de Node, &'de Node)>;

impl<'de> Deserializer<'de> for Decoder<'de, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(Fault::custom("the number is too large")),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Date => Err(Fault::custom("expected something else, found a date")),
            Value::List(items) => visitor.visit_seq(ItemAccess {
                decoder: self,
                items: items.iter(),
            }),
            Value::Map(map) => self.visit_map(map, None, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Date => {
                let message = format!("expected text, found {}", self.node.word(self.format));
                Err(Fault::here(message, Some("put it in quotes".to_owned())))
            }
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.expected("text")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.expected("true or false")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Map(map) => self.visit_map(map, Some(fields), visitor),
            _ => {
                // What a derived visitor expects is "struct Name", unless the struct says it better.
                let expecting = (&visitor as &dyn Expected).to_string();
                Err(self.expected(match expecting.strip_prefix("struct ") {
                    Some(_) => self.format.map(),
                    None => &expecting,
                }))
            }
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Map(map) => self.visit_map(map, None, visitor),
            _ => Err(self.expected(self.format.map())),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::List(_) => self.deserialize_any(visitor),
            _ => Err(self.expected(self.format.list())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(word) => visitor.visit_enum(BorrowedStrDeserializer::new(word)),
            _ => {
                let words: Vec<String> = variants.iter().map(|word| format!("`{word}`")).collect();
                let message = format!(
                    "expected one of {}, found {}",
                    words.join(", "),
                    self.node.word(self.format)
                );
                let help = variants
                    .first()
                    .map(|word| format!("write one of them, such as \"{word}\""));
                Err(Fault::here(message, help))
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        if name == FIELD {
            visitor.visit_seq(FieldAccess { decoder: self, nth: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier
    }
}

/// The entries of a map, keys too as nodes with a place.
struct EntryAccess<'de, 'f> {
    decoder: Decoder<'de, 'f>,
    entries: std::vec::IntoIter<(&'de Node, &'de Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for EntryAccess<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        self.decoder.of(key).read(seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let value = self
            .value
            .take()
            .ok_or_else(|| Fault::custom("a value without a key"))?;
        self.decoder.of(value).read(seed)
    }
}

/// The items of a list.
struct ItemAccess<'de, 'f> {
    decoder: Decoder<'de, 'f>,
    items: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for ItemAccess<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let item = self.items.next();
        item.map(|item| self.decoder.of(item).read(seed)).transpose()
    }
}

/// What a [`Field`](super::Field) is made of: line, column, value.
struct FieldAccess<'de, 'f> {
    decoder: Decoder<'de, 'f>,
    nth: usize,
}

impl<'de> SeqAccess<'de> for FieldAccess<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let mark = self.decoder.node.mark;
        self.nth += 1;
        match self.nth {
            1 => seed.deserialize(U32Deserializer::new(mark.line)),
            2 => seed.deserialize(U32Deserializer::new(mark.column)),
            _ => self.decoder.read(seed),
        }
        .map(Some)
    }
}
