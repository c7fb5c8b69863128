//! The paths that clients for Azure OpenAI ask for. The deployment in them stands for the model.
//!
//! Source: Azure OpenAI's REST API reference (<https://learn.microsoft.com/azure/ai-services/openai/reference>) and the
//! `AzureOpenAI` client of OpenAI's Python package (3.54), which writes the deployment into the paths of eight endpoints.

use super::{Dialect, Endpoint, EndpointError, Target};

/// What stands before the paths of Azure's v1 style, which are OpenAI's.
const PREFIX: &str = "/openai";

impl Endpoint {
    /// As [`find`](Self::find) in OpenAI's dialect, for an upstream whose clients may also be Azure's: besides
    /// `/v1/chat/completions` there are `/openai/v1/chat/completions` and
    /// `/openai/deployments/{deployment}/chat/completions`. These, too, must be equal byte for byte.
    pub fn find_azure<'p>(method: &str, path: &'p str) -> Result<Target<'p>, EndpointError> {
        let plain = path.strip_prefix(PREFIX).filter(|rest| rest.starts_with("/v1/"));
        let of_dialect = || {
            Self::ALL
                .into_iter()
                .filter(|endpoint| endpoint.dialect() == Dialect::OpenAi)
        };
        let target = of_dialect().find_map(|endpoint| endpoint.matches(endpoint.azure_path()?, path));
        match target {
            None => Self::find(Dialect::OpenAi, method, plain.unwrap_or(path)).map_err(|error| match error {
                EndpointError::Unknown { .. } => EndpointError::Unknown {
                    path: path.to_owned(),
                    known: of_dialect()
                        .map(Self::path)
                        .chain(of_dialect().filter_map(Self::azure_path))
                        .collect(),
                },
                EndpointError::Method { .. } => error,
            }),
            Some(target) if method == target.endpoint.method() => Ok(target),
            Some(target) => Err(EndpointError::Method {
                allowed: target.endpoint.method(),
            }),
        }
    }

    /// Its path in Azure's first style, with `{id}` where the deployment stands. `None` for what Azure does not have.
    fn azure_path(self) -> Option<&'static str> {
        Some(match self {
            Self::ChatCompletions => "/openai/deployments/{id}/chat/completions",
            Self::Completions => "/openai/deployments/{id}/completions",
            Self::Embeddings => "/openai/deployments/{id}/embeddings",
            Self::ImageGenerations => "/openai/deployments/{id}/images/generations",
            Self::ImageEdits => "/openai/deployments/{id}/images/edits",
            Self::Speech => "/openai/deployments/{id}/audio/speech",
            Self::Transcriptions => "/openai/deployments/{id}/audio/transcriptions",
            Self::Translations => "/openai/deployments/{id}/audio/translations",
            Self::Responses => "/openai/responses",
            Self::Models => "/openai/models",
            Self::Model => "/openai/models/{id}",
            Self::Moderations
            | Self::ImageVariations
            | Self::Messages
            | Self::CountTokens
            | Self::AnthropicModels
            | Self::AnthropicModel => return None,
        })
    }
}
