//! The endpoints that generate no text of their own accord: each is answered with one document, never as a stream.

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
    Speech,
    Transcription,
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
            Kind::Speech => read(body).map(Self::Speech),
            Kind::Transcription => audio::Transcription::parse(content_type, body).map(Self::Transcription),
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

    /// Does it.
    pub(crate) fn done(&self, script: &Script, moment: &Moment) -> Result<Done, Refusal> {
        match self {
            Self::Embeddings(job) => Ok(job.done(script)),
            Self::Moderations(job) => Ok(job.done(moment)),
            Self::Images(job) => job.done(script, moment),
            Self::Speech(job) => job.done(),
            Self::Transcription(job) => Ok(job.done(script, moment)),
            Self::CountTokens { tokens, .. } => {
                let tokens = script.usage_input.unwrap_or(*tokens);
                let body = serde_json::json!({"input_tokens": tokens});
                Ok(Done::json(&body, Billed::default()))
            }
        }
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
