//! The events of a streamed answer, whatever its form: how many there are, and each by its index.

use bytes::Bytes;
use http::StatusCode;

use crate::{anthropic, completion::Completion, openai, out::Out, refusal::Refusal, responses, texts, wire::Wire};

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
        let refusal = Refusal::scripted(answer.wire.dialect(), StatusCode::INTERNAL_SERVER_ERROR);
        let name = match self {
            Self::Responses => return responses::error(&refusal.message, index, out),
            Self::Chat(_) | Self::Text => "",
            Self::Messages => "event: error\n",
        };
        let json = refusal.json(request_id);
        out.text(name)
            .text("data: ")
            .text(&String::from_utf8_lossy(&json))
            .text("\n\n");
    }
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
