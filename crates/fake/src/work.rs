//! The endpoints that generate no text of their own accord: each is answered with one document, and pictures, speech and
//! transcripts also as a stream.

use bytes::Bytes;
use http::HeaderValue;

use crate::{
    calls::Billed,
    completion::{self, Moment},
    headers,
    refusal::{Dialect, Refusal},
    request,
    script::Script,
};

mod audio;
mod base64;
mod embeddings;
mod form;
mod images;
mod moderations;

/// What kind of work an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embeddings,
    Moderations,
    Images,
    ImageEdits,
    ImageVariations,
    Speech,
    Transcription,
    Translation,
    CountTokens,
}

/// Work that is asked for.
pub(crate) enum Job {
    Embeddings(embeddings::Job),
    Moderations(moderations::Job),
    Images(images::Job),
    Speech(audio::Speech),
    Transcription(audio::Transcription),
    CountTokens { model: String, tokens: u64 },
}

/// What comes of work.
pub(crate) enum Made {
    Whole(Done),
    Stream(Stream),
}

/// Work that is done piece by piece.
pub(crate) struct Stream {
    /// What is billed before the first event.
    pub(crate) begun: Billed,
    pub(crate) events: Vec<Event>,
}

/// One event of a stream.
pub(crate) struct Event {
    pub(crate) bytes: Bytes,
    /// What is billed once it has been produced.
    pub(crate) billed: Billed,
}

/// Work that is done.
pub(crate) struct Done {
    pub(crate) kind: HeaderValue,
    pub(crate) body: Bytes,
    pub(crate) billed: Billed,
}

impl Job {
    /// Reads the body of a request; a form's boundary stands in its content type.
    pub(crate) fn parse(kind: Kind, content_type: &str, body: &[u8]) -> Result<Self, Refusal> {
        match kind {
            Kind::Embeddings => read(body).map(Self::Embeddings),
            Kind::Moderations => read(body).map(Self::Moderations),
            Kind::Images => read(body).map(Self::Images),
            Kind::ImageEdits => images::Job::edit(content_type, body).map(Self::Images),
            Kind::ImageVariations => images::Job::variation(content_type, body).map(Self::Images),
            Kind::Speech => read(body).map(Self::Speech),
            Kind::Transcription => {
                audio::Transcription::parse(content_type, body, audio::Task::Transcribe).map(Self::Transcription)
            }
            Kind::Translation => {
                audio::Transcription::parse(content_type, body, audio::Task::Translate).map(Self::Transcription)
            }
            Kind::CountTokens => {
                let (model, tokens) = request::count_tokens(body)?;
                Ok(Self::CountTokens { model, tokens })
            }
        }
    }

    /// The model asked for; empty where it is left to the provider.
    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Embeddings(job) => &job.model,
            Self::Moderations(job) => job.model.as_deref().unwrap_or_default(),
            Self::Images(job) => &job.model,
            Self::Speech(job) => &job.model,
            Self::Transcription(job) => &job.model,
            Self::CountTokens { model, .. } => model,
        }
    }

    /// Whether its answer is to come as a stream.
    pub(crate) fn stream(&self) -> bool {
        match self {
            Self::Images(job) => job.stream(),
            Self::Speech(job) => job.stream(),
            Self::Transcription(job) => job.stream(),
            Self::Embeddings(_) | Self::Moderations(_) | Self::CountTokens { .. } => false,
        }
    }

    /// Does it.
    pub(crate) fn made(&self, script: &Script, moment: &Moment) -> Result<Made, Refusal> {
        let done = match self {
            Self::Embeddings(job) => job.done(script),
            Self::Moderations(job) => job.done(moment),
            Self::Images(job) => return job.made(script, moment),
            Self::Speech(job) => return job.made(script),
            Self::Transcription(job) => return Ok(job.made(script, moment)),
            Self::CountTokens { tokens, .. } => {
                let tokens = script.usage_input.unwrap_or(*tokens);
                let body = serde_json::json!({"input_tokens": tokens});
                Done::json(&body, Billed::default())
            }
        };
        Ok(Made::Whole(done))
    }
}

impl Done {
    fn json(body: &serde_json::Value, billed: Billed) -> Self {
        Self {
            kind: headers::JSON,
            body: Bytes::from(body.to_string()),
            billed,
        }
    }
}

impl Event {
    /// An event whose name stands in its data, too.
    fn new(kind: &str, mut data: serde_json::Value, billed: Billed) -> Self {
        if let serde_json::Value::Object(data) = &mut data {
            data.insert("type".to_owned(), kind.into());
        }
        Self {
            bytes: Bytes::from(format!("event: {kind}\ndata: {data}\n\n")),
            billed,
        }
    }
}

impl Stream {
    /// What all of it costs.
    pub(crate) fn billed(&self) -> Billed {
        self.events.last().map_or(self.begun, |event| event.billed)
    }

    /// What its first `events` events cost.
    pub(crate) fn billed_after(&self, events: u64) -> Billed {
        let last = usize::try_from(events)
            .ok()
            .and_then(|events| self.events.get(events.checked_sub(1)?));
        last.map_or(self.begun, |event| event.billed)
    }
}

fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| request::unreadable(Dialect::OpenAi, &error))
}

/// The input side of the bill for so many tokens of text.
fn input(tokens: u64, script: &Script) -> Billed {
    completion::input(Dialect::OpenAi, tokens, script)
}

/// About how many tokens a text has.
fn tokens(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX).div_ceil(4).max(1)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid(Dialect::OpenAi, message.into())
}
