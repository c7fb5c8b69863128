//! The words for all kinds of events, as the schema knows them.

use serde::{
    Deserialize as _, Deserializer,
    de::{Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};

use crate::Event;

impl Event {
    /// The words for all kinds, in the order of their declaration: what [`Event::kind`] can say.
    pub fn kinds() -> &'static [&'static str] {
        let mut kinds: &'static [&'static str] = &[];
        // It reads nothing: what is wanted is what it is asked to read one of.
        let _ = Event::deserialize(Asked(&mut kinds));
        kinds
    }
}

/// Notes the variants that a type asks for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing is here to be read"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_known() {
        let kinds = Event::kinds();
        assert!(kinds.len() > 40, "{kinds:?}");
        for kind in ["intent", "outcome", "decided", "started", "key_issued"] {
            assert!(kinds.contains(&kind), "{kind}");
        }
    }
}
