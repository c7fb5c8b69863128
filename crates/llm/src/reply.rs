//! What a provider's reply says about itself, and a whole JSON reply read for it.

use model::{ServiceTier, Usage};

use crate::json::{JsonError, Kind, Reader, Text};
use crate::meter::tokens_at_least;
use crate::usage::Shape;
use crate::{Endpoint, anthropic, openai, responses};

/// The longest id, model name or error text kept from a reply, in bytes.
const MOST_BYTES: usize = 256;

/// What a reply says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The provider's final figures. `None` if it gave none, not all that are needed, invalid ones, or ones that cannot
    /// be true: no input at all, or less output than the text it sent. All zero for what is free.
    pub usage: Option<Usage>,
    /// The processing tier the call was served in, if the reply says and it is one we know.
    pub tier: Option<ServiceTier>,
    /// The provider's id of the reply; without control characters, at most 256 bytes.
    pub id: Option<String>,
    /// The model that answered, as the provider names it; bounded as the id is.
    pub model: Option<String>,
    /// Where the provider says it processed the call (Anthropic's `usage.inference_geo`); bounded as the id is.
    pub region: Option<String>,
    /// Bytes of generated text in the reply: content, refusals, reasoning that is shown, arguments of tool calls, a
    /// transcript. A text completion may repeat its prompt there.
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

/// Reads a whole reply that is not an event stream. Only what is no JSON object at all is an error; fields of a wrong type
/// count as absent.
///
/// `content_type` is the reply's header. It matters where a reply need not be JSON: speech is audio, and a transcript may
/// be plain text or subtitles, whose words nobody may take for figures; such a reply says nothing about itself. What
/// [`Endpoint::is_free`] serves has used nothing, whatever it says.
pub fn read_reply(endpoint: Endpoint, content_type: &str, body: &[u8]) -> Result<Reading, ReplyError> {
    match endpoint {
        Endpoint::Messages => read_message(body),
        Endpoint::Responses => read_response(body),
        Endpoint::Speech | Endpoint::Transcriptions | Endpoint::Translations if !is_json(content_type) => {
            Ok(Reading::default())
        }
        _ => read_flat(endpoint, body),
    }
}

fn read_message(body: &[u8]) -> Result<Reading, ReplyError> {
    let document = anthropic::Document::read(body)?.ok_or(ReplyError::NotAnObject)?;
    let usage = document.usage.unwrap_or_default();
    Ok(Reading {
        usage: believed(usage.classes(), document.text_bytes),
        tier: usage.tier,
        id: document.id.and_then(kept),
        model: document.model.and_then(kept),
        region: usage.region,
        output_text_bytes: document.text_bytes,
    })
}

fn read_response(body: &[u8]) -> Result<Reading, ReplyError> {
    let document = responses::Document::read(body)?.ok_or(ReplyError::NotAnObject)?;
    Ok(Reading {
        usage: believed(document.classes(0), document.text_bytes),
        tier: document.tier,
        id: document.id.and_then(kept),
        model: document.model.and_then(kept),
        region: None,
        output_text_bytes: document.text_bytes,
    })
}

fn read_flat(endpoint: Endpoint, body: &[u8]) -> Result<Reading, ReplyError> {
    let document = openai::Document::read(body)?.ok_or(ReplyError::NotAnObject)?;
    let shape = Shape::of(endpoint);
    let text_bytes = if shape == Shape::Transcript {
        document.transcript_bytes
    } else {
        document.text_bytes
    };
    let usage = if endpoint.is_free() {
        Some(Usage::default())
    } else if endpoint == Endpoint::Completions {
        believed_with_echo(document.classes(shape), text_bytes)
    } else {
        believed(document.classes(shape), text_bytes)
    };
    Ok(Reading {
        usage,
        tier: document.tier,
        id: document.id.and_then(kept),
        model: document.model.and_then(kept),
        region: None,
        output_text_bytes: text_bytes,
    })
}

impl openai::Document<'_> {
    /// The final figures of a whole reply.
    fn classes(&self, shape: Shape) -> Option<Usage> {
        if self.billed_beside {
            return None;
        }
        match (shape, self.usage) {
            (Shape::Image | Shape::ImageEdit, usage) => {
                let tokens = match usage {
                    Some(usage) => usage.classes(shape)?,
                    // Models that are priced by the picture count nothing else.
                    None => Usage::default(),
                };
                Some(Usage {
                    images: self.items,
                    ..tokens
                })
            }
            // A verbose transcript without usage still says how long the audio was. Billed is no less than whole seconds.
            (Shape::Transcript, None) => {
                let audio_ms = self.audio_ms.required()?.checked_next_multiple_of(1_000)?;
                Some(Usage {
                    audio_ms,
                    ..Usage::default()
                })
            }
            (_, usage) => usage?.classes(shape),
        }
    }
}

/// Whether a content type is JSON: `application/json` or a type that ends in `+json` (RFC 6839), whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

/// The figures if they can be true beside so much text. Every call has input, so all zeros are a placeholder. A
/// transcript that is billed by its audio's length is not billed by its text.
pub(crate) fn believed(usage: Option<Usage>, text_bytes: u64) -> Option<Usage> {
    usage.filter(|usage| {
        let by_length = usage.audio_ms > 0 && usage.output == 0;
        is_something(usage) && (by_length || usage.output >= tokens_at_least(text_bytes))
    })
}

/// The same, where the text may repeat the prompt: a text completion with `echo`.
pub(crate) fn believed_with_echo(usage: Option<Usage>, text_bytes: u64) -> Option<Usage> {
    usage.filter(|usage| {
        let tokens = usage.input_total().saturating_add(usage.output);
        is_something(usage) && tokens >= tokens_at_least(text_bytes)
    })
}

fn is_something(usage: &Usage) -> bool {
    usage.input_total() > 0 || usage.images > 0 || usage.audio_ms > 0
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
    Ok(Some(error_line(kind.or(code), message)))
}

/// What an error says, as a short line.
pub(crate) fn error_line(kind: Option<Text<'_>>, message: Option<Text<'_>>) -> String {
    let parts = [kind, message].into_iter().flatten();
    let line = parts
        .map(|part| one_line(&part.decoded()))
        .collect::<Vec<_>>()
        .join(": ");
    if line.is_empty() {
        "an error without details".to_owned()
    } else {
        line
    }
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
