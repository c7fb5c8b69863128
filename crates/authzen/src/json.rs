//! JSON as I-JSON (RFC 7493): UTF-8, unique member names, bounded nesting.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Invalid;

/// How deep arrays and objects of a request may nest, the outermost object counted.
pub const MAX_DEPTH: usize = 32;

/// A JSON object, and nothing behind it.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Invalid> {
    let text = std::str::from_utf8(bytes).map_err(|_| Invalid::new("the body is not UTF-8"))?;
    if text.trim_ascii().is_empty() {
        return Err(Invalid::new("the body is empty; it has to be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { left: MAX_DEPTH }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    match value.map_err(|error| Invalid::of_json(&error))? {
        Value::Object(members) => Ok(members),
        _ => Err(Invalid::new("the body has to be a JSON object")),
    }
}

/// Reads a value whose objects have no member twice and that nests no deeper than so many levels.
#[derive(Clone, Copy)]
struct Strict {
    left: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left }),
            None => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                // The name is not repeated: it is the caller's, and of any length.
                return Err(A::Error::custom("an object has two members of one name"));
            }
        }
        Ok(Value::Object(map))
    }
}
