//! What a request asks a model to do next, as bytes that are the same when the same is asked again.
//!
//! An agent in a loop says the same over and over, but its requests differ: the conversation grows, calls get new ids,
//! clients write the members of an object in another order. So the step is not the request but what is new in it:
//!
//! - `C`, calls: the conversation ends in what tools returned. The step is the tool calls of the model's last turn, each
//!   with name and arguments, in their order; not what they returned, for whoever polls hears something else each time
//!   and is in a loop all the same.
//! - `A`, answered calls: the same with what they returned, for who wants it so ([`Sameness::Results`]): a test that is run
//!   again after an edit is another step, and a loop in which the tools say something else each time is not seen.
//! - `R`, results: it ends so, but the calls are kept at the provider (`previous_response_id`, references to items). What
//!   the tools returned is all there is to see.
//! - `T`, turn: it ends in something else and the model has spoken before. The step is the model's last turn and all that
//!   follows: an agent that says the same and hears the same shows, while a user who answers "yes" to another question
//!   takes another step.
//! - `P`, prompt: the model has not spoken. The step is everything it is asked: instructions, messages, and which
//!   conversation at the provider they continue.
//!
//! A conversation that *ends* in the model's own words (prefilled with "{", or paused) is continued from the turn before:
//! a prefill is the same for every question.
//!
//! Left out everywhere is what changes without a change of what is asked: ids of calls and items, their status, thoughts
//! (signed or encrypted anew each time), cache breakpoints, annotations, the mark that a result is an error; and what is
//! not asked: model, sampling parameters, tools, metadata. Text is text, whether it stands as a string or as one part.
//! Arguments that are the text of JSON are compared as JSON, all JSON in one spelling ([`canonical`]); what nests deeper
//! than the reader goes stays text. Where an object has a key twice that has a meaning here, the last one is read.
//!
//! This is for agents that fail, not for agents that hide: whoever wants to can always say something else.
//!
//! The bytes are lines behind the tag of the case: a letter for what the line says, then canonical JSON, in which no line
//! end can stand, so different steps never make the same bytes:
//!
//! | letter | line |
//! | --- | --- |
//! | `k` | the name of a top-level field; its content follows |
//! | `r` | a message begins: its role |
//! | `n` | its name |
//! | `o` | what a tool returned begins |
//! | `t` | a text |
//! | `c` | a call: its name |
//! | `a`, `x` | the call's arguments: as JSON, or as a text that is none |
//! | `p`, `i` | any other part, any other item: all of it |

use crate::Endpoint;
use crate::call::may_be_json;
use crate::json::{JsonError, Kind, Reader};
use crate::step::element::Side;
use crate::step::lines::Lines;

mod canonical;
mod element;
mod lines;

/// What makes two steps the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// The same calls, whatever they returned.
    Calls,
    /// The same calls, and they returned the same.
    Results,
}

/// What a request asks a model to do next: bytes that are the same for requests that ask the same, and have no other
/// meaning.
///
/// They tell the tool calls whose results the request brings, with canonical arguments; or else what the model said last
/// and what followed; or else the whole prompt. Ids, sampling parameters and the spelling of JSON make no difference.
///
/// `None` for endpoints that generate no text, for forms and for bodies that cannot be read. Takes time and memory in
/// proportion to the body.
pub fn step(endpoint: Endpoint, content_type: Option<&str>, body: &[u8], sameness: Sameness) -> Option<Vec<u8>> {
    let fields = Fields::of(endpoint)?;
    if !may_be_json(content_type.unwrap_or_default()) {
        return None;
    }
    fields.read(body, sameness).ok()
}

/// The top-level fields of an endpoint that say what is asked.
struct Fields {
    /// Those beside the conversation, in the order in which they are written.
    beside: &'static [&'static str],
    /// The conversation, or what stands for one.
    conversation: &'static str,
}

impl Fields {
    fn of(endpoint: Endpoint) -> Option<Self> {
        let (beside, conversation): (&[_], _) = match endpoint {
            // The first two are the Responses API's; compatible servers take them here too.
            Endpoint::ChatCompletions => (&["previous_response_id", "conversation"], "messages"),
            Endpoint::Responses => (
                &["previous_response_id", "conversation", "prompt", "instructions"],
                "input",
            ),
            // A text to be filled in has an end too. vLLM takes prompts that are no text.
            Endpoint::Completions => (&["suffix", "prompt_embeds"], "prompt"),
            Endpoint::Messages => (&["thread", "system"], "messages"),
            _ => return None,
        };
        Some(Self { beside, conversation })
    }

    fn read(&self, body: &[u8], sameness: Sameness) -> Result<Vec<u8>, JsonError> {
        let mut reader = Reader::new(body)?;
        reader.begin_object()?;
        let mut beside = vec![None; self.beside.len()];
        let mut conversation = None;
        while let Some(key) = reader.key()? {
            let key = key.decoded();
            let known = self.beside.iter().zip(&mut beside).find(|(name, _)| **name == key);
            if let Some((_, value)) = known {
                *value = Some(reader.raw()?);
            } else if key == self.conversation {
                conversation = Some(Conversation::read(&mut reader)?);
            } else {
                reader.skip()?;
            }
        }
        reader.end()?;
        let conversation = conversation.unwrap_or(Conversation::Other("null"));
        if let Conversation::Elements(elements) = &conversation
            && let Some(step) = elements.step(sameness)?
        {
            return Ok(step);
        }
        let mut lines = Lines::new(b'P');
        for (name, value) in self.beside.iter().zip(beside) {
            if let Some(value) = value.filter(|value| *value != "null") {
                lines.string(b'k', name);
                lines.content(value)?;
            }
        }
        match conversation {
            Conversation::Elements(elements) => each(elements.first, None, |reader| lines.element(reader))?,
            Conversation::Other(value) => lines.content(value)?,
        }
        Ok(lines.done())
    }
}

/// The field that is, or stands for, the conversation.
enum Conversation<'a> {
    Elements(Elements<'a>),
    /// One text, or something that is no conversation.
    Other(&'a str),
}

/// Where the parts of a conversation begin, each as a reader in front of its first element.
struct Elements<'a> {
    first: Option<Reader<'a>>,
    /// The model's last turn, however many messages or items it has.
    turn: Option<Reader<'a>>,
    /// The turn before.
    earlier: Option<Reader<'a>>,
    /// What tools returned last.
    results: Option<Reader<'a>>,
    /// Whose the last element is.
    last: Side,
}

impl<'a> Conversation<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        if reader.peek()? != Kind::Array {
            return reader.raw().map(Self::Other);
        }
        reader.begin_array()?;
        let mut found = Elements {
            first: None,
            turn: None,
            earlier: None,
            results: None,
            last: Side::Other,
        };
        while reader.element()? {
            let here = reader.clone();
            found.first.get_or_insert_with(|| here.clone());
            let side = Side::of(reader)?;
            match side {
                Side::Model if found.last != Side::Model => found.earlier = found.turn.replace(here),
                Side::Result if found.last != Side::Result => found.results = Some(here),
                _ => {}
            }
            found.last = side;
        }
        Ok(Self::Elements(found))
    }
}

impl Elements<'_> {
    /// The step, if it is not everything.
    fn step(&self, sameness: Sameness) -> Result<Option<Vec<u8>>, JsonError> {
        let (tag, from) = match self.last {
            Side::Result => {
                let mut calls = Lines::new(match sameness {
                    Sameness::Calls => b'C',
                    Sameness::Results => b'A',
                });
                let until = self.results.as_ref().map(Reader::at);
                each(self.turn.clone(), until, |reader| calls.calls(reader))?;
                if !calls.is_empty() {
                    if sameness == Sameness::Results {
                        each(self.results.clone(), None, |reader| calls.element(reader))?;
                    }
                    return Ok(Some(calls.done()));
                }
                (b'R', &self.results)
            }
            Side::Model => (b'T', &self.earlier),
            Side::Other => (b'T', &self.turn),
        };
        let mut lines = Lines::new(tag);
        each(from.clone(), None, |reader| lines.element(reader))?;
        Ok(from.is_some().then(|| lines.done()))
    }
}

/// Reads the elements of an array: `from` stands in front of one. Up to the offset `until`, or all.
fn each<'a>(
    from: Option<Reader<'a>>,
    until: Option<usize>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let Some(mut reader) = from else {
        return Ok(());
    };
    while until.is_none_or(|until| reader.at() < until) {
        read(&mut reader)?;
        if !reader.element()? {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
