//! What has been used, as the events of a stream tell it.

use crate::reply::{Reading, believed, kept};
use crate::sse::Event;
use crate::usage::{AnthropicUsage, OpenAiUsage};
use crate::{Endpoint, anthropic, openai};

/// The longest token of the known public vocabularies, in bytes: OpenAI's `cl100k_base` and `o200k_base`, and those
/// derived from them, have one of 128 spaces; none is known with a longer one. So a text of `n` bytes is at least
/// `n / 128` tokens, rounded up, whatever the model.
pub const LONGEST_TOKEN_BYTES: u64 = 128;

/// Tokens that a text of so many bytes is at least.
pub(crate) fn tokens_at_least(text_bytes: u64) -> u64 {
    text_bytes.div_ceil(LONGEST_TOKEN_BYTES)
}

/// Reads the events of one stream.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) reading: Reading,
    pub(crate) ended: bool,
    pub(crate) error: Option<String>,
    figures: Figures,
    /// The largest running figure of output tokens the provider gave.
    running_output: u64,
    /// Cumulative usage was given, beside or behind the text (not only at the start).
    usage_seen: bool,
    /// The event with the last usage was one that closes the call.
    usage_closes: bool,
    /// Something came behind the last usage that it may not count.
    usage_outdated: bool,
}

#[derive(Debug)]
enum Figures {
    /// The last usage replaces the ones before.
    OpenAi(Option<OpenAiUsage>),
    /// Each usage raises the ones before.
    Anthropic(AnthropicUsage),
}

impl Meter {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            reading: Reading::default(),
            ended: false,
            error: None,
            figures: match endpoint {
                Endpoint::ChatCompletions => Figures::OpenAi(None),
                Endpoint::Messages => Figures::Anthropic(AnthropicUsage::default()),
            },
            running_output: 0,
            usage_seen: false,
            usage_closes: false,
            usage_outdated: false,
        }
    }

    /// Takes in an event. Returns whether it is OpenAI's extra usage chunk: usage, and an empty array of choices.
    pub(crate) fn observe(&mut self, event: &Event<'_>) -> bool {
        if event.name == b"error" && self.error.is_none() {
            self.error = Some("an error without details".to_owned());
        }
        let only_usage = match self.figures {
            Figures::OpenAi(_) => self.observe_openai(event),
            Figures::Anthropic(_) => self.observe_anthropic(event),
        };
        self.settle();
        only_usage
    }

    /// Takes in that an event came which cannot be read: it may have held text.
    pub(crate) fn observe_unreadable(&mut self) {
        self.usage_outdated = true;
        self.settle();
    }

    pub(crate) fn proven_output_tokens(&self) -> u64 {
        self.running_output.max(tokens_at_least(self.reading.output_text_bytes))
    }

    fn observe_openai(&mut self, event: &Event<'_>) -> bool {
        if event.data.trim_ascii_start().starts_with(b"[DONE]") {
            self.ended = true;
            return false;
        }
        let Ok(Some(document)) = openai::Document::read(event.data) else {
            self.usage_outdated = true;
            return false;
        };
        self.add_text(document.text_bytes);
        if self.reading.id.is_none() {
            self.reading.id = document.id.and_then(kept);
        }
        if self.reading.model.is_none() {
            self.reading.model = document.model.and_then(kept);
        }
        self.reading.tier = document.tier.or(self.reading.tier);
        let failed = document.error.is_some();
        self.take_error(document.error);
        let Some(usage) = document.usage else { return false };
        let alone = document.choices == Some(0);
        self.running_output = self.running_output.max(usage.output_at_least());
        self.figures = Figures::OpenAi(Some(usage));
        self.take_usage(alone);
        alone && !failed
    }

    fn observe_anthropic(&mut self, event: &Event<'_>) -> bool {
        let Ok(Some(document)) = anthropic::Document::read(event.data) else {
            self.usage_outdated = true;
            return false;
        };
        let kind = document.kind.map(|kind| kind.decoded());
        self.ended |= match &kind {
            Some(kind) => kind == "message_stop",
            None => event.name == b"message_stop",
        };
        self.add_text(document.text_bytes);
        if self.reading.id.is_none() {
            self.reading.id = document.id.and_then(kept);
        }
        if self.reading.model.is_none() {
            self.reading.model = document.model.and_then(kept);
        }
        self.take_error(document.error);
        for usage in [document.start_usage, document.usage].into_iter().flatten() {
            self.running_output = self.running_output.max(usage.output_at_least());
            self.reading.tier = usage.tier.or(self.reading.tier);
            if let Figures::Anthropic(figures) = &mut self.figures {
                figures.raise(&usage);
            }
        }
        if document.usage.is_some() {
            self.take_usage(document.stopped);
        }
        false
    }

    fn add_text(&mut self, bytes: u64) {
        self.reading.output_text_bytes = self.reading.output_text_bytes.saturating_add(bytes);
        self.usage_outdated |= bytes > 0;
    }

    fn take_usage(&mut self, closes: bool) {
        self.usage_seen = true;
        self.usage_closes = closes;
        self.usage_outdated = false;
    }

    fn take_error(&mut self, error: Option<String>) {
        if error.is_some() {
            self.error = error;
        }
    }

    /// Shows the figures as the reading's usage once they are final: running figures of a stream that was cut count
    /// less than the provider bills.
    fn settle(&mut self) {
        let complete = self.usage_seen && !self.usage_outdated && (self.usage_closes || self.ended);
        let classes = match &self.figures {
            _ if !complete => None,
            Figures::OpenAi(usage) => usage.and_then(|usage| usage.classes()),
            Figures::Anthropic(usage) => usage.classes(),
        };
        self.reading.usage = believed(classes, self.reading.output_text_bytes);
    }
}
