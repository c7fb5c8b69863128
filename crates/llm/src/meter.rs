//! What has been used, as the events of a stream tell it.

use model::{ServiceTier, Usage};

use crate::json::Text;
use crate::reply::{Reading, believed, believed_with_echo, kept};
use crate::usage::{AnthropicUsage, OpenAiUsage, Shape};
use crate::{Dialect, Endpoint, anthropic, openai, responses, sse};

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
    /// How many pictures were asked for: the stream is complete when so many have come.
    pictures: u64,
    /// The text may repeat the prompt, so that it proves no output.
    echoes: bool,
    /// The largest running figure of output tokens the provider gave.
    running_output: u64,
    /// Cumulative usage was given, beside or behind the text (not only at the start).
    usage_seen: bool,
    /// The event with the last usage was one that closes the call.
    usage_closes: bool,
    /// Something came behind the last usage that it may not count.
    usage_outdated: bool,
}

/// The figures so far, in the way of the wire.
#[derive(Debug)]
enum Figures {
    /// Chunks with choices: the last usage replaces the ones before.
    Choices(Option<OpenAiUsage>),
    /// Events of the Responses API: the last one has the usage.
    Response {
        usage: Option<Usage>,
        /// Items that were done and are searches.
        searches: u64,
    },
    /// Events of speech and transcripts: the last one has the usage.
    Media(Shape, Option<Usage>),
    /// Events of pictures: each that is whole has its own usage. `None` if one had invalid figures.
    Pictures(Shape, Option<Usage>),
    /// Anthropic's events: each usage raises the ones before.
    Anthropic(AnthropicUsage),
}

impl Meter {
    /// `pictures` of an image stream were asked for. `echoes`: the text may repeat the prompt.
    pub(crate) fn new(endpoint: Endpoint, pictures: u64, echoes: bool) -> Self {
        let shape = Shape::of(endpoint);
        let figures = match (endpoint.dialect(), shape) {
            (Dialect::Anthropic, _) => Figures::Anthropic(AnthropicUsage::default()),
            (_, Shape::Image | Shape::ImageEdit) => Figures::Pictures(shape, Some(Usage::default())),
            (_, Shape::Speech | Shape::Transcript) => Figures::Media(shape, None),
            _ if endpoint == Endpoint::Responses => Figures::Response {
                usage: None,
                searches: 0,
            },
            _ => Figures::Choices(None),
        };
        Self {
            reading: Reading::default(),
            ended: false,
            error: None,
            figures,
            pictures,
            echoes,
            running_output: 0,
            usage_seen: false,
            usage_closes: false,
            usage_outdated: false,
        }
    }

    /// Whether the events carry pictures or sound as text.
    pub(crate) fn has_long_strings(&self) -> bool {
        !matches!(self.figures, Figures::Choices(_) | Figures::Anthropic(_))
    }

    /// Takes in an event. Returns whether it is OpenAI's extra usage chunk: usage, and an empty array of choices.
    pub(crate) fn observe(&mut self, event: &sse::Event<'_>) -> bool {
        if event.name == b"error" && self.error.is_none() {
            self.error = Some("an error without details".to_owned());
        }
        let is_done = event.data.trim_ascii_start().starts_with(b"[DONE]");
        let mut only_usage = false;
        let read = match self.figures {
            Figures::Anthropic(_) => self.observe_anthropic(event),
            _ if is_done => {
                self.ended = true;
                Some(())
            }
            Figures::Choices(_) => self.observe_chunk(event).map(|only| only_usage = only),
            Figures::Response { .. } => self.observe_response(event),
            Figures::Media(..) | Figures::Pictures(..) => self.observe_media(event),
        };
        self.usage_outdated |= read.is_none();
        self.settle();
        only_usage
    }

    /// Takes in that an event came which cannot be read: it may have held text.
    pub(crate) fn observe_unreadable(&mut self) {
        self.usage_outdated = true;
        self.settle();
    }

    pub(crate) fn proven_output_tokens(&self) -> u64 {
        let proof = if self.echoes { 0 } else { self.reading.output_text_bytes };
        self.running_output.max(tokens_at_least(proof))
    }

    /// Whether it is the extra usage chunk; `None` if it cannot be read.
    fn observe_chunk(&mut self, event: &sse::Event<'_>) -> Option<bool> {
        let document = openai::Document::read(event.data).ok()??;
        self.add_text(document.text_bytes);
        self.identify(document.id, document.model, document.tier);
        let failed = document.error.is_some();
        self.take_error(document.error);
        let Some(usage) = document.usage else {
            return Some(false);
        };
        let alone = document.choices == Some(0);
        self.running_output = self.running_output.max(usage.output_at_least());
        self.figures = Figures::Choices(Some(usage));
        self.take_usage(alone);
        Some(alone && !failed)
    }

    fn observe_response(&mut self, event: &sse::Event<'_>) -> Option<()> {
        let read = responses::Event::read(event.data).ok()??;
        let kind = read.kind.map(Text::decoded);
        let kind = kind.as_deref().map_or(event.name, str::as_bytes);
        self.add_text(read.text_bytes);
        self.take_error(read.error);
        let Figures::Response { usage, searches } = &mut self.figures else {
            return Some(());
        };
        *searches += u64::from(read.is_search && kind == b"response.output_item.done");
        let Some(response) = read.response else { return Some(()) };
        let closes = matches!(
            kind,
            b"response.completed" | b"response.incomplete" | b"response.failed" | b"response.cancelled"
        );
        if let Some(running) = &response.usage {
            self.running_output = self.running_output.max(running.output_at_least());
        }
        if closes {
            *usage = response.classes(*searches);
            self.ended = true;
            self.take_whole_text(response.text_bytes);
            self.take_usage(true);
        }
        self.identify(response.id, response.model, response.tier);
        self.take_error(response.error);
        Some(())
    }

    fn observe_media(&mut self, event: &sse::Event<'_>) -> Option<()> {
        let document = openai::Document::read(event.data).ok()??;
        let kind = document.kind.map(Text::decoded);
        let kind = kind.as_deref().map_or(event.name, str::as_bytes);
        self.identify(document.id, document.model, document.tier);
        match (&mut self.figures, kind) {
            (Figures::Media(shape, figures), b"transcript.text.done" | b"speech.audio.done") => {
                *figures = document.usage.and_then(|usage| usage.classes(*shape));
                self.ended = true;
                self.take_whole_text(document.transcript_bytes);
                self.take_usage(true);
            }
            (Figures::Media(..), b"transcript.text.delta") => self.add_text(document.delta_bytes),
            (Figures::Pictures(shape, sum), b"image_generation.completed" | b"image_edit.completed") => {
                let one = match document.usage {
                    Some(usage) => usage.classes(*shape),
                    None => Some(Usage::default()),
                };
                *sum = sum.zip(one).map(|(sum, one)| with_picture(sum, one));
                let all = sum.is_none_or(|sum| sum.images >= self.pictures);
                self.ended |= all;
                self.take_usage(all);
            }
            _ => {}
        }
        self.take_error(document.error);
        Some(())
    }

    fn observe_anthropic(&mut self, event: &sse::Event<'_>) -> Option<()> {
        let document = anthropic::Document::read(event.data).ok()??;
        let kind = document.kind.map(Text::decoded);
        self.ended |= match &kind {
            Some(kind) => kind == "message_stop",
            None => event.name == b"message_stop",
        };
        self.add_text(document.text_bytes);
        self.identify(document.id, document.model, None);
        self.take_error(document.error);
        let cumulative = document.usage.is_some();
        for usage in [document.start_usage, document.usage].into_iter().flatten() {
            self.running_output = self.running_output.max(usage.output_at_least());
            self.reading.tier = usage.tier.or(self.reading.tier);
            if usage.region.is_some() {
                self.reading.region.clone_from(&usage.region);
            }
            if let Figures::Anthropic(figures) = &mut self.figures {
                figures.raise(&usage);
            }
        }
        if cumulative {
            self.take_usage(document.stopped);
        }
        Some(())
    }

    fn identify(&mut self, id: Option<Text<'_>>, model: Option<Text<'_>>, tier: Option<ServiceTier>) {
        if self.reading.id.is_none() {
            self.reading.id = id.and_then(kept);
        }
        if self.reading.model.is_none() {
            self.reading.model = model.and_then(kept);
        }
        self.reading.tier = tier.or(self.reading.tier);
    }

    fn add_text(&mut self, bytes: u64) {
        self.reading.output_text_bytes = self.reading.output_text_bytes.saturating_add(bytes);
        self.usage_outdated |= bytes > 0;
    }

    /// The last event repeats the whole text.
    fn take_whole_text(&mut self, bytes: u64) {
        self.reading.output_text_bytes = self.reading.output_text_bytes.max(bytes);
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
        let text_bytes = self.reading.output_text_bytes;
        let believe = if self.echoes { believed_with_echo } else { believed };
        let classes = match &self.figures {
            _ if !complete => None,
            Figures::Choices(usage) => usage.and_then(|usage| usage.classes(Shape::Text)),
            Figures::Anthropic(usage) => usage.classes(),
            Figures::Response { usage, .. } | Figures::Media(_, usage) | Figures::Pictures(_, usage) => *usage,
        };
        self.reading.usage = believe(classes, text_bytes);
    }
}

/// The usage of pictures so far with one more.
fn with_picture(sum: Usage, one: Usage) -> Usage {
    Usage {
        input: sum.input.saturating_add(one.input),
        cache_read: sum.cache_read.saturating_add(one.cache_read),
        cache_write: sum.cache_write.saturating_add(one.cache_write),
        cache_write_1h: sum.cache_write_1h.saturating_add(one.cache_write_1h),
        output: sum.output.saturating_add(one.output),
        reasoning: sum.reasoning.saturating_add(one.reasoning),
        image_input: sum.image_input.saturating_add(one.image_input),
        image_output: sum.image_output.saturating_add(one.image_output),
        audio_input: sum.audio_input.saturating_add(one.audio_input),
        audio_output: sum.audio_output.saturating_add(one.audio_output),
        images: sum.images.saturating_add(1),
        ..sum
    }
}
