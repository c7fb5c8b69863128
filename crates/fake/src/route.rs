//! What a path and a method lead to.

use http::{Method, request::Parts};

use crate::{refusal::Dialect, wire::Wire, work::Kind};

/// A place that requests can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    Generate(Wire),
    Work(Kind),
    Models,
    /// One model, by its id.
    Model(&'a str),
    Nowhere,
    WrongMethod,
}

/// The dialect is known by the path; where both have the same path, by the header that Anthropic requires. `azure` is what
/// [`azure::path_of`](crate::azure::path_of) says of the path.
pub(crate) fn route<'a>(parts: &'a Parts, azure: Option<Result<&'a str, &()>>) -> (Dialect, Endpoint<'a>) {
    let anthropic = parts.headers.contains_key("anthropic-version") || parts.headers.contains_key("x-api-key");
    let guess = if anthropic { Dialect::Anthropic } else { Dialect::OpenAi };
    let path = match azure {
        None => parts.uri.path(),
        Some(Ok(path)) => path,
        Some(Err(&())) => return (Dialect::OpenAi, Endpoint::Nowhere),
    };
    let guess = if azure.is_some() { Dialect::OpenAi } else { guess };
    let (dialect, method, endpoint) = match path {
        "/v1/chat/completions" => (Dialect::OpenAi, Method::POST, Endpoint::Generate(Wire::Chat)),
        "/v1/responses" => (Dialect::OpenAi, Method::POST, Endpoint::Generate(Wire::Responses)),
        "/v1/completions" => (Dialect::OpenAi, Method::POST, Endpoint::Generate(Wire::Text)),
        "/v1/messages" => (Dialect::Anthropic, Method::POST, Endpoint::Generate(Wire::Messages)),
        "/v1/messages/count_tokens" => (Dialect::Anthropic, Method::POST, Endpoint::Work(Kind::CountTokens)),
        "/v1/embeddings" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::Embeddings)),
        "/v1/moderations" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::Moderations)),
        "/v1/images/generations" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::Images)),
        "/v1/images/edits" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::ImageEdits)),
        "/v1/images/variations" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::ImageVariations)),
        "/v1/audio/speech" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::Speech)),
        "/v1/audio/transcriptions" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::Transcription)),
        "/v1/audio/translations" => (Dialect::OpenAi, Method::POST, Endpoint::Work(Kind::Translation)),
        "/v1/models" => (guess, Method::GET, Endpoint::Models),
        _ => match path.strip_prefix("/v1/models/") {
            Some(id) if !id.is_empty() && !id.contains('/') => (guess, Method::GET, Endpoint::Model(id)),
            _ => return (guess, Endpoint::Nowhere),
        },
    };
    let endpoint = if parts.method == method {
        endpoint
    } else {
        Endpoint::WrongMethod
    };
    (dialect, endpoint)
}
