//! In which form a model's words go over the wire: each generating endpoint has its own.

use crate::refusal::Dialect;

/// The form of a request for words and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// OpenAI's `POST /v1/chat/completions`.
    Chat,
    /// OpenAI's `POST /v1/responses`.
    Responses,
    /// OpenAI's `POST /v1/completions`.
    Text,
    /// Anthropic's `POST /v1/messages`.
    Messages,
}

impl Wire {
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Responses | Self::Text => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
        }
    }

    /// How the id of an answer begins, and how many letters and digits follow.
    pub(crate) fn id(self) -> (&'static str, usize) {
        match self {
            Self::Chat => ("chatcmpl-", 29),
            Self::Responses => ("resp_", 48),
            Self::Text => ("cmpl-", 29),
            Self::Messages => ("msg_01", 22),
        }
    }
}
