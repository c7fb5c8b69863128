//! What is to be continued, embedded or judged: a text, a list of texts, or token ids in place of either.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What an input amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// How many texts; a list of token ids is one.
    pub(crate) count: u64,
    /// About a quarter of the bytes of each text; a token id is one.
    pub(crate) tokens: u64,
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match Item::deserialize(input)? {
            Item::Text(tokens) => Ok(Self { count: 1, tokens }),
            Item::Id => Err(Error::custom("expected a text or a list")),
            Item::List { ids: true, count } => Ok(Self {
                count: 1,
                tokens: count,
            }),
            Item::Lists(inputs) => Ok(inputs),
            Item::List { ids: false, .. } => Err(Error::custom("expected a list that is not empty")),
        }
    }
}

/// One value, whatever it is.
enum Item {
    Text(u64),
    Id,
    List { ids: bool, count: u64 },
    Lists(Inputs),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Fold;

        impl<'de> Visitor<'de> for Fold {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list of texts, or token ids")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
                let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
                Ok(Item::Text(bytes.div_ceil(4).max(1)))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Item, E> {
                Ok(Item::Id)
            }

            /// A part of a moderation's input that is no text, such as a picture, or a text with a name.
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Item, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Item::Text(1))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
                let (mut ids, mut inputs) = (0, Inputs::default());
                while let Some(item) = list.next_element::<Item>()? {
                    match item {
                        Item::Id => ids += 1,
                        Item::Text(tokens) => {
                            inputs.count += 1;
                            inputs.tokens += tokens;
                        }
                        Item::List { ids: true, count } => {
                            inputs.count += 1;
                            inputs.tokens += count;
                        }
                        Item::List { ids: false, .. } | Item::Lists(_) => {
                            return Err(Error::custom("expected no deeper lists"));
                        }
                    }
                }
                match (ids, inputs.count) {
                    (0, 0) => Ok(Item::List { ids: false, count: 0 }),
                    (0, _) => Ok(Item::Lists(inputs)),
                    (count, 0) => Ok(Item::List { ids: true, count }),
                    _ => Err(Error::custom("expected texts or token ids, not both")),
                }
            }
        }

        input.deserialize_any(Fold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_token_ids_are_counted() {
        for (text, expected) in [
            (r#""12345""#, Some((1, 2))),
            (r#"["1234","12345678"]"#, Some((2, 3))),
            ("[1,2,3]", Some((1, 3))),
            ("[[1,2],[3]]", Some((2, 3))),
            (r#"[{"type":"text","text":"1234"}]"#, Some((1, 1))),
            ("[]", None),
            ("7", None),
            (r#"["a",1]"#, None),
            ("[[[1]]]", None),
        ] {
            let read = serde_json::from_str::<Inputs>(text).ok();
            assert_eq!(read.map(|inputs| (inputs.count, inputs.tokens)), expected, "{text}");
        }
    }
}
