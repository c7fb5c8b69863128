//! What a provider's reply says about itself, and a whole JSON reply read for it.

use model::{ServiceTier, Usage};

use crate::json::{JsonError, Kind, Reader, Text};
use crate::meter::tokens_at_least;
use crate::{Endpoint, anthropic, openai};

/// The longest id, model name or error text kept from a reply, in bytes.
const MOST_BYTES: usize = 256;

/// What a reply says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The provider's final figures. `None` if it gave none, not all that are needed, invalid ones, or ones that cannot
    /// be true: no input at all, or less output than the text it sent.
    pub usage: Option<Usage>,
    /// The processing tier the call was served in, if the reply says and it is one we know.
    pub tier: Option<ServiceTier>,
    /// The provider's id of the reply; without control characters, at most 256 bytes.
    pub id: Option<String>,
    /// The model that answered, as the provider names it; bounded as the id is.
    pub model: Option<String>,
    /// Bytes of generated text in the reply: content, refusals, reasoning that is shown, arguments of tool calls.
    pub output_text_bytes: u64,
}

/// Why a body is not a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The body is not acceptable JSON.
    #[error("the reply is {0}")]
    Json(#[from] JsonError),
    /// The body is JSON but no object.
    #[error("the reply is not a JSON object")]
    NotAnObject,
}

/// Reads a whole JSON reply. Only what is no JSON object at all is an error; fields of a wrong type count as absent.
pub fn read_reply(endpoint: Endpoint, body: &[u8]) -> Result<Reading, ReplyError> {
    match endpoint {
        Endpoint::ChatCompletions => {
            let document = openai::Document::read(body)?.ok_or(ReplyError::NotAnObject)?;
            Ok(Reading {
                usage: document
                    .usage
                    .and_then(|usage| believed(usage.classes(), document.text_bytes)),
                tier: document.tier,
                id: document.id.and_then(kept),
                model: document.model.and_then(kept),
                output_text_bytes: document.text_bytes,
            })
        }
        Endpoint::Messages => {
            let document = anthropic::Document::read(body)?.ok_or(ReplyError::NotAnObject)?;
            Ok(Reading {
                usage: document
                    .usage
                    .and_then(|usage| believed(usage.classes(), document.text_bytes)),
                tier: document.usage.and_then(|usage| usage.tier),
                id: document.id.and_then(kept),
                model: document.model.and_then(kept),
                output_text_bytes: document.text_bytes,
            })
        }
    }
}

/// The figures if they can be true beside so much text. Every call has input, so all zeros are a placeholder.
pub(crate) fn believed(usage: Option<Usage>, text_bytes: u64) -> Option<Usage> {
    usage.filter(|usage| usage.input_total() > 0 && usage.output >= tokens_at_least(text_bytes))
}

/// An id or a name fit to be kept.
pub(crate) fn kept(text: Text<'_>) -> Option<String> {
    let text = text.decoded();
    let fit = !text.is_empty() && text.len() <= MOST_BYTES && !text.chars().any(char::is_control);
    fit.then(|| text.into_owned())
}

/// The value of `error`, if there is one, as a short line: its type or code, and its message.
pub(crate) fn read_error(reader: &mut Reader<'_>) -> Result<Option<String>, JsonError> {
    let (mut kind, mut code, mut message) = (None, None, None);
    match reader.peek()? {
        Kind::Null => return reader.skip().map(|()| None),
        Kind::String => message = Some(reader.string()?),
        Kind::Object => {
            reader.begin_object()?;
            while let Some(key) = reader.key()? {
                match &*key.decoded() {
                    "type" => kind = reader.string_or_skip()?,
                    "code" => code = reader.string_or_skip()?,
                    "message" => message = reader.string_or_skip()?,
                    _ => reader.skip()?,
                }
            }
        }
        _ => reader.skip()?,
    }
    let parts = [kind.or(code), message].into_iter().flatten();
    let line = parts
        .map(|part| one_line(&part.decoded()))
        .collect::<Vec<_>>()
        .join(": ");
    Ok(Some(if line.is_empty() {
        "an error without details".to_owned()
    } else {
        line
    }))
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= MOST_BYTES).then_some(c)
        })
        .collect()
}

#[cfg(test)]
mod tests;
