//! The events of a streamed answer, whatever its form: how many there are, and each by its index.

use bytes::Bytes;
use http::StatusCode;

use crate::{
    anthropic,
    calls::Billed,
    completion::Completion,
    openai,
    out::Out,
    refusal::{Dialect, Refusal},
    responses, texts,
    wire::Wire,
    work,
};

/// Where the events of a stream come from.
pub(crate) enum Source {
    Words { answer: Box<Completion>, events: Events },
    Work(work::Stream),
}

impl Source {
    pub(crate) fn words(answer: Box<Completion>) -> Self {
        let events = Events::new(&answer);
        Self::Words { answer, events }
    }

    /// How many events there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Words { answer, events } => events.count(answer),
            Self::Work(stream) => u64::try_from(stream.events.len()).unwrap_or(u64::MAX),
        }
    }

    /// Writes event `index`.
    pub(crate) fn write(&self, index: u64, out: &mut Out) {
        match self {
            Self::Words { answer, events } => events.write(answer, index, out),
            Self::Work(stream) => {
                let event = usize::try_from(index).ok().and_then(|index| stream.events.get(index));
                if let Some(event) = event {
                    out.bytes(&event.bytes);
                }
            }
        }
    }

    /// Writes an error behind `index` events.
    pub(crate) fn write_error(&self, index: u64, request_id: &str, out: &mut Out) {
        match self {
            Self::Words { answer, events } => events.write_error(answer, index, request_id, out),
            Self::Work(_) => write_data(Dialect::OpenAi, "", request_id, out),
        }
    }

    /// What all of it costs.
    pub(crate) fn billed(&self) -> Billed {
        match self {
            Self::Words { answer, .. } => answer.billed,
            Self::Work(stream) => stream.billed(),
        }
    }

    /// What has been produced, and so is billed, with the first `events` events.
    pub(crate) fn billed_after(&self, produced: u64) -> Billed {
        match self {
            Self::Words { answer, events } => answer.billed_after(events.deltas_in(answer, produced)),
            Self::Work(stream) => stream.billed_after(produced),
        }
    }
}

/// The events of one answer.
pub(crate) enum Events {
    Chat(openai::Chunks),
    Responses,
    Text,
    Messages,
}

impl Events {
    pub(crate) fn new(answer: &Completion) -> Self {
        match answer.wire {
            Wire::Chat => Self::Chat(openai::Chunks::new(answer)),
            Wire::Responses => Self::Responses,
            Wire::Text => Self::Text,
            Wire::Messages => Self::Messages,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self, answer: &Completion) -> u64 {
        match self {
            Self::Chat(chunks) => chunks.count(),
            Self::Responses => responses::count(answer),
            Self::Text => texts::count(answer),
            Self::Messages => anthropic::count(answer),
        }
    }

    /// How many deltas the first `events` of them hold.
    pub(crate) fn deltas_in(&self, answer: &Completion, events: u64) -> u64 {
        match self {
            Self::Chat(chunks) => chunks.deltas_in(events),
            Self::Responses => responses::deltas_in(answer, events),
            Self::Text => texts::deltas_in(answer, events),
            Self::Messages => anthropic::deltas_in(answer, events),
        }
    }

    /// Writes event `index`.
    pub(crate) fn write(&self, answer: &Completion, index: u64, out: &mut Out) {
        match self {
            Self::Chat(chunks) => chunks.write(answer, index, out),
            Self::Responses => responses::write(answer, index, out),
            Self::Text => texts::write(answer, index, out),
            Self::Messages => anthropic::write(answer, index, out),
        }
    }

    /// Writes an error behind `index` events: OpenAI sends it as data, the others as an event of its own.
    pub(crate) fn write_error(&self, answer: &Completion, index: u64, request_id: &str, out: &mut Out) {
        let name = match self {
            Self::Responses => return responses::error(&failure(answer.wire.dialect()).message, index, out),
            Self::Chat(_) | Self::Text => "",
            Self::Messages => "event: error\n",
        };
        write_data(answer.wire.dialect(), name, request_id, out);
    }
}

fn failure(dialect: Dialect) -> Refusal {
    Refusal::scripted(dialect, StatusCode::INTERNAL_SERVER_ERROR)
}

/// Writes an error as the data of an event; `name` is the line before it.
fn write_data(dialect: Dialect, name: &str, request_id: &str, out: &mut Out) {
    out.text(name).text("data: ");
    out.bytes(&failure(dialect).json(request_id)).text("\n\n");
}

/// An answer as one document.
pub(crate) fn document(answer: &Completion) -> Bytes {
    let mut out = Out::with_capacity(answer.size_hint());
    match answer.wire {
        Wire::Chat => openai::document(answer, &mut out),
        Wire::Responses => responses::document(answer, &mut out),
        Wire::Text => texts::document(answer, &mut out),
        Wire::Messages => anthropic::document(answer, &mut out),
    }
    out.take()
}
