//! The messages of a request, reduced while parsing to what matters here: how much text, and who spoke last.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What a list of messages amounts to.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) count: u64,
    pub(super) text_bytes: u64,
    pub(super) last_is_user: bool,
    /// Anthropic sends the result of a tool as a user's message.
    pub(super) last_has_tool_result: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    text: Option<TextLength>,
    /// What a tool answered, in a `tool_result`.
    content: Option<Content>,
}

/// A message's content: text, or a list of parts.
#[derive(Clone, Copy, Default)]
struct Content {
    text_bytes: u64,
    has_tool_result: bool,
}

/// The length in bytes of text given as a string or as parts, unescaped.
pub(super) struct TextLength(pub(super) u64);

impl<'de> Deserialize<'de> for TextLength {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Content::deserialize(input).map(|content| Self(content.text_bytes))
    }
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Fold;

        impl<'de> Visitor<'de> for Fold {
            type Value = Messages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Messages, A::Error> {
                let mut messages = Messages::default();
                while let Some(message) = list.next_element::<Message<'_>>()? {
                    let content = message.content.unwrap_or_default();
                    messages.count += 1;
                    messages.text_bytes += content.text_bytes;
                    messages.last_is_user = message.role == "user";
                    messages.last_has_tool_result = content.has_tool_result;
                }
                Ok(messages)
            }
        }

        input.deserialize_seq(Fold)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Fold;

        impl<'de> Visitor<'de> for Fold {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of content parts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                let text_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
                Ok(Content {
                    text_bytes,
                    has_tool_result: false,
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut content = Content::default();
                while let Some(part) = list.next_element::<Part<'_>>()? {
                    content.text_bytes += part.text.map_or(0, |text| text.0);
                    content.text_bytes += part.content.map_or(0, |inner| inner.text_bytes);
                    content.has_tool_result |= part.kind == "tool_result";
                }
                Ok(content)
            }

            /// Some results of tools that the provider runs are objects; a client may send them back.
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Content, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::default())
            }
        }

        input.deserialize_any(Fold)
    }
}
