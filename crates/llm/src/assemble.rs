//! The reply that a call would have had, made of the event stream that it had.
//!
//! An upstream that does not keep to output limits is called with streams, because only a stream can be cut. A caller that
//! asked for JSON is answered with what is put together here. Texts are joined as they were written, escapes and all, and
//! numbers keep their spelling; members that nobody here knows are kept by the rules of [`tree`].
//!
//! Sources: the references of chat completions, completions, responses and messages with their streaming guides, and how
//! the providers' own Python packages accumulate (`openai.lib.streaming`, `anthropic.lib.streaming`).

use bytes::Bytes;

use crate::json::{JsonError, Reader};
use crate::sse::{Block, Event, Splitter};
use crate::{Call, Endpoint};

mod budget;
mod choices;
mod members;
mod message;
mod response;
mod tree;

use budget::Budget;
use choices::Choices;
use message::Message;
use response::Response;

/// Why a stream is not the stream of a reply. The texts quote nothing of it, but for what the provider itself gave as its
/// error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// The provider ended the stream with an error; what it said, on one line of at most some 500 bytes.
    #[error("the provider failed: {0}")]
    Failed(String),
    /// An event is not acceptable JSON.
    #[error("an event is {0}")]
    Json(#[from] JsonError),
    /// An event is JSON but no object.
    #[error("an event is not a JSON object")]
    NotAnObject,
    /// Pieces of one value are of different kinds.
    #[error("the pieces of a value are of different kinds")]
    Mixed,
    /// A piece does not say, or says wrongly, what it is a piece of.
    #[error("a piece belongs to nothing that was begun")]
    Fragment,
    /// What an event needs to have a meaning is not there.
    #[error("an event has no usable {0}")]
    Missing(&'static str),
    /// The stream ended before the reply did.
    #[error("the stream ended before the reply was complete")]
    Unfinished,
    /// The reply is larger than the bound that was given.
    #[error("the reply is larger than it may be")]
    TooLarge,
}

impl AssembleError {
    /// A stable word for logs, which must not quote what a provider said.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Json(_) => "json",
            Self::NotAnObject => "not-an-object",
            Self::Mixed => "mixed",
            Self::Fragment => "fragment",
            Self::Missing(_) => "missing",
            Self::Unfinished => "unfinished",
            Self::TooLarge => "too-large",
        }
    }
}

/// Puts one reply together. What it holds, counted with its places in memory, stays within the bound it is given, as does
/// an event that is being received; buffers that grow may have as much again in reserve.
#[derive(Debug)]
pub struct Assembler {
    splitter: Splitter,
    parts: Parts,
    budget: Budget,
    failed: Option<AssembleError>,
}

#[derive(Debug)]
enum Parts {
    Choices(Choices),
    Message(Message),
    Response(Response),
}

impl Parts {
    fn take(&mut self, event: &Event<'_>, budget: &mut Budget) -> Result<(), AssembleError> {
        match self {
            Self::Choices(choices) => choices.take(event, budget),
            Self::Message(message) => message.take(event, budget),
            Self::Response(response) => response.take(event, budget),
        }
    }

    /// What should be charged for, counted anew.
    #[cfg(test)]
    fn cost(&self) -> usize {
        match self {
            Self::Choices(choices) => choices.cost(),
            Self::Message(message) => message.cost(),
            Self::Response(response) => response.cost(),
        }
    }
}

impl Assembler {
    /// An assembler of the replies of `endpoint`, which may have `most` bytes. `None` where a stream does not tell the
    /// reply (pictures, sound) or there are no streams.
    pub fn new(endpoint: Endpoint, most: usize) -> Option<Self> {
        let parts = match endpoint {
            Endpoint::ChatCompletions => Parts::Choices(Choices::chat()),
            Endpoint::Completions => Parts::Choices(Choices::text()),
            Endpoint::Messages => Parts::Message(Message::default()),
            Endpoint::Responses => Parts::Response(Response::default()),
            _ => return None,
        };
        Some(Self {
            splitter: Splitter::keeping(most),
            parts,
            budget: Budget::new(most),
            failed: None,
        })
    }

    /// An assembler for a call that asked for JSON and whose stream tells its reply, see [`Call::can_be_streamed`].
    pub fn for_call(call: &Call, most: usize) -> Option<Self> {
        call.can_be_streamed().then(|| Self::new(call.endpoint, most)).flatten()
    }

    /// Takes in the next bytes of the body. After an error nothing more is taken in.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), AssembleError> {
        let (parts, failed, budget) = (&mut self.parts, &mut self.failed, &mut self.budget);
        self.splitter.push(chunk, |block, _| take(parts, failed, budget, block));
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// The reply, when the body has ended.
    pub fn finish(mut self) -> Result<Bytes, AssembleError> {
        let (parts, failed, budget) = (&mut self.parts, &mut self.failed, &mut self.budget);
        self.splitter.finish(|block, _| take(parts, failed, budget, block));
        if let Some(error) = self.failed {
            return Err(error);
        }
        let reply = match self.parts {
            Parts::Choices(choices) => choices.finish(),
            Parts::Message(message) => message.finish(),
            Parts::Response(response) => response.finish(),
        };
        reply.map(Bytes::from)
    }
}

fn take(parts: &mut Parts, failed: &mut Option<AssembleError>, budget: &mut Budget, block: Block<'_>) {
    if failed.is_some() {
        return;
    }
    let taken = match block {
        Block::Nothing => Ok(()),
        Block::TooLarge => Err(AssembleError::TooLarge),
        Block::Event(event) => parts.take(&event, budget),
    };
    *failed = taken.err();
}

/// A reader inside of the object that an event is.
fn object<'a>(event: &Event<'a>) -> Result<Reader<'a>, AssembleError> {
    let mut reader = Reader::new(event.data)?;
    if reader.object_or_skip()? {
        Ok(reader)
    } else {
        Err(AssembleError::NotAnObject)
    }
}

#[cfg(test)]
mod tests;
