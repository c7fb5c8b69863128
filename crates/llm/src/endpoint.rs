//! Which endpoints are governed. What is not listed here is not metered, so it is not forwarded.

use std::fmt;

use crate::MAX_NAME_BYTES;

/// The wire format a caller and an upstream speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's API, and the many servers that imitate it.
    OpenAi,
    /// Anthropic's API.
    Anthropic,
}

/// A governed endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// OpenAI `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI `POST /v1/responses`.
    Responses,
    /// OpenAI `POST /v1/completions`, the older text completion.
    Completions,
    /// OpenAI `POST /v1/embeddings`.
    Embeddings,
    /// OpenAI `POST /v1/moderations`.
    Moderations,
    /// OpenAI `POST /v1/images/generations`.
    ImageGenerations,
    /// OpenAI `POST /v1/images/edits`.
    ImageEdits,
    /// OpenAI `POST /v1/images/variations`.
    ImageVariations,
    /// OpenAI `POST /v1/audio/speech`.
    Speech,
    /// OpenAI `POST /v1/audio/transcriptions`.
    Transcriptions,
    /// OpenAI `POST /v1/audio/translations`.
    Translations,
    /// OpenAI `GET /v1/models`.
    Models,
    /// OpenAI `GET /v1/models/{id}`.
    Model,
    /// Anthropic `POST /v1/messages`.
    Messages,
    /// Anthropic `POST /v1/messages/count_tokens`.
    CountTokens,
    /// Anthropic `GET /v1/models`.
    AnthropicModels,
    /// Anthropic `GET /v1/models/{id}`.
    AnthropicModel,
}

/// What a method and path name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'p> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The model, where the path names one: what stands for `{id}`, or for Azure's `{deployment}`. 1 to
    /// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) of `A-Z a-z 0-9 . _ : -`.
    pub id: Option<&'p str>,
}

/// Why a method and path name no governed endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No governed endpoint has this path.
    #[error("{path:?} is not a governed endpoint of this upstream; the governed ones are {}", known.join(", "))]
    Unknown {
        /// The path as asked for.
        path: String,
        /// The paths that are governed.
        known: Vec<&'static str>,
    },
    /// The endpoint is governed under another method.
    #[error("this endpoint wants {allowed}")]
    Method {
        /// The method it wants.
        allowed: &'static str,
    },
}

/// What a path has in place of an id.
const ID: &str = "{id}";

impl Endpoint {
    /// Every governed endpoint.
    pub const ALL: [Self; 17] = [
        Self::ChatCompletions,
        Self::Responses,
        Self::Completions,
        Self::Embeddings,
        Self::Moderations,
        Self::ImageGenerations,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::Models,
        Self::Model,
        Self::Messages,
        Self::CountTokens,
        Self::AnthropicModels,
        Self::AnthropicModel,
    ];

    /// The endpoint that `method` and `path` name. The path is what follows the upstream's segment, without the query.
    ///
    /// It must equal a governed path byte for byte, but for the id at the end of some. That alone keeps out encoded
    /// slashes, dot segments, doubled and trailing slashes: spellings that an upstream might resolve to an endpoint
    /// nobody meters.
    pub fn find<'p>(dialect: Dialect, method: &str, path: &'p str) -> Result<Target<'p>, EndpointError> {
        let of_dialect = || Self::ALL.into_iter().filter(|endpoint| endpoint.dialect() == dialect);
        let Some(target) = of_dialect().find_map(|endpoint| endpoint.at(path)) else {
            return Err(EndpointError::Unknown {
                path: path.to_owned(),
                known: of_dialect().map(Self::path).collect(),
            });
        };
        if method == target.endpoint.method() {
            Ok(target)
        } else {
            Err(EndpointError::Method {
                allowed: target.endpoint.method(),
            })
        }
    }

    fn at(self, path: &str) -> Option<Target<'_>> {
        self.matches(self.path(), path)
    }

    /// Whether a path has this form, which holds [`ID`] at most once.
    fn matches<'p>(self, form: &str, path: &'p str) -> Option<Target<'p>> {
        let id = match form.split_once(ID) {
            None if path == form => None,
            None => return None,
            Some((before, behind)) => Some(path.strip_prefix(before)?.strip_suffix(behind).filter(|id| is_id(id))?),
        };
        Some(Target { endpoint: self, id })
    }

    /// The wire format it belongs to.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::CountTokens | Self::AnthropicModels | Self::AnthropicModel => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }

    /// The HTTP method it wants.
    pub fn method(self) -> &'static str {
        if self.has_body() { "POST" } else { "GET" }
    }

    /// Its path under the upstream, with `{id}` where an id stands.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Moderations => "/v1/moderations",
            Self::ImageGenerations => "/v1/images/generations",
            Self::ImageEdits => "/v1/images/edits",
            Self::ImageVariations => "/v1/images/variations",
            Self::Speech => "/v1/audio/speech",
            Self::Transcriptions => "/v1/audio/transcriptions",
            Self::Translations => "/v1/audio/translations",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Models | Self::AnthropicModels => "/v1/models",
            Self::Model | Self::AnthropicModel => "/v1/models/{id}",
        }
    }

    /// Its path below `/v1/`, with `{id}` where an id stands: what templates of paths and their exceptions are about.
    pub fn operation(self) -> &'static str {
        self.path().strip_prefix("/v1/").unwrap_or_default()
    }

    /// The action's name in policies: what kind of work the endpoint does, whatever the provider calls it.
    pub fn action(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Responses | Self::Completions | Self::Messages => "llm:generate",
            Self::Embeddings => "llm:embed",
            Self::Moderations => "llm:moderate",
            Self::ImageGenerations | Self::ImageEdits | Self::ImageVariations => "llm:image",
            Self::Speech => "llm:speech",
            Self::Transcriptions | Self::Translations => "llm:transcribe",
            Self::CountTokens => "llm:count",
            Self::Models | Self::Model | Self::AnthropicModels | Self::AnthropicModel => "llm:list",
        }
    }

    /// Whether providers do it for nothing: its calls are [`Work::Free`](model::Work::Free).
    pub fn is_free(self) -> bool {
        self == Self::Moderations || self == Self::CountTokens || !self.has_body()
    }

    /// Whether a request has a body.
    pub fn has_body(self) -> bool {
        !matches!(
            self,
            Self::Models | Self::Model | Self::AnthropicModels | Self::AnthropicModel
        )
    }

    /// Whether a request names a model, in its body or its path. (A moderation may leave it to the provider.)
    pub fn has_model(self) -> bool {
        !matches!(self, Self::Models | Self::AnthropicModels)
    }

    /// Whether a request can ask for an event stream.
    pub fn may_stream(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions
                | Self::Responses
                | Self::Completions
                | Self::ImageGenerations
                | Self::ImageEdits
                | Self::Speech
                | Self::Transcriptions
                | Self::Messages
        )
    }

    /// Whether a request can bound its output in tokens, so that [`Call::rewrite`](crate::Call::rewrite) writes a bound
    /// that is missing.
    pub fn has_output_limit(self) -> bool {
        self.action() == Self::ChatCompletions.action()
    }

    /// Whether a stream tells its usage only if asked to (`stream_options.include_usage`).
    pub fn has_usage_option(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Completions)
    }

    /// Whether a body may be JSON.
    pub(crate) fn takes_json(self) -> bool {
        self.has_body() && !matches!(self, Self::ImageVariations | Self::Transcriptions | Self::Translations)
    }

    /// Whether a body may be `multipart/form-data`.
    pub(crate) fn takes_form(self) -> bool {
        matches!(
            self,
            Self::ImageEdits | Self::ImageVariations | Self::Transcriptions | Self::Translations
        )
    }
}

/// No dot segment either: an upstream would take it for a step in the path.
fn is_id(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(letters) && text != "." && text != ".."
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

mod azure;

#[cfg(test)]
mod tests;
