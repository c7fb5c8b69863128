//! From YAML text to the tree.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned};

use super::{Node, Value};
use crate::problem::{Findings, Mark};

/// Reads the documents of a text; empty ones are left out. Aliases are expanded, within bounds: a few lines of them could
/// stand for more than fits the memory.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Findings> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // YAML 1.2: `no` and `on` are words.
        strict_booleans: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        // Reported with both places by whoever reads the tree.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let documents: Result<Vec<Spanned<Value>>, _> = serde_saphyr::from_multiple_with_options(text, options);
    documents
        .map(|documents| documents.into_iter().map(Node::from).collect())
        .map_err(|error| {
            let location = error.location();
            let mut message = error.without_snippet().to_string();
            // The place has a place of its own.
            if let Some(end) = message.rfind(" at line ") {
                message.truncate(end);
            }
            let mut findings = Findings::default();
            findings.add(
                location.as_ref().and_then(mark),
                format!("not valid YAML: {}", message.replace('\n', " ")),
            );
            findings
        })
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        let place = mark(&spanned.referenced).or_else(|| mark(&spanned.defined));
        Self {
            mark: place.unwrap_or(Mark { line: 1, column: 1 }),
            value: spanned.value,
        }
    }
}

fn mark(location: &Location) -> Option<Mark> {
    let number = |n: u64| u32::try_from(n).ok().filter(|&n| n > 0);
    Some(Mark {
        line: number(location.line())?,
        column: number(location.column())?,
    })
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(Node::from(item));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Value>>()? {
            let key = Spanned::new(Value::Text(key.value), key.referenced, key.defined);
            map.push((Node::from(key), Node::from(value)));
        }
        Ok(Value::Map(map))
    }
}
