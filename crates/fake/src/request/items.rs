//! The `input` of the Responses API: a text, or a list of messages, tool calls and their outputs.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use super::messages::{Messages, TextLength};

/// The items of an input, reduced to what they amount to.
#[derive(Debug, Default)]
pub(super) struct Items(pub(super) Messages);

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    content: Option<TextLength>,
    /// What a tool was called with.
    arguments: Option<TextLength>,
    /// What a tool answered.
    output: Option<TextLength>,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Fold;

        impl<'de> Visitor<'de> for Fold {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of input items")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Items, E> {
                Ok(Items(Messages {
                    count: 1,
                    text_bytes: u64::try_from(text.len()).unwrap_or(u64::MAX),
                    last_is_user: true,
                    last_has_tool_result: false,
                }))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
                let mut messages = Messages::default();
                while let Some(item) = list.next_element::<Item<'_>>()? {
                    let texts = [item.content, item.arguments, item.output];
                    messages.count += 1;
                    messages.text_bytes += texts.into_iter().flatten().map(|text| text.0).sum::<u64>();
                    messages.last_is_user = item.role.is_some_and(|role| role == "user");
                }
                Ok(Items(messages))
            }
        }

        input.deserialize_any(Fold)
    }
}
