//! What is known of servers that speak OpenAI's dialect, so that an operator need not look it up.
//!
//! Sources, November 2026; `docs/operating/upstreams.md` tells them to operators:
//! - Azure OpenAI: <https://learn.microsoft.com/azure/ai-services/openai/reference> (paths, `api-key`, `api-version`) and
//!   <https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle> (the v1 style).
//! - Ollama: <https://docs.ollama.com/api/openai-compatibility> lists `max_tokens` and `stream_options.include_usage`.
//! - vLLM: `ChatCompletionRequest` of its `entrypoints/openai` takes `max_completion_tokens` and `stream_options`.
//! - Mistral: <https://docs.mistral.ai/api/> has `max_tokens`; fields it does not know, `max_completion_tokens` and
//!   `stream_options` among them, are answered with 422 (openai/openai-agents-python#442,
//!   editor-code-assistant/eca#231), and its streams end with their usage unasked.
//! - Groq: <https://console.groq.com/docs/api-reference> has `max_completion_tokens` and calls `max_tokens` deprecated.
//! - DeepSeek: <https://api-docs.deepseek.com/api/create-chat-completion> has `max_tokens` and
//!   `stream_options.include_usage`; `/v1` before its paths is allowed.

use llm::{Dialect, Endpoint};
use model::UpstreamName;

use super::{HeaderTemplate, PathTemplate, QueryTemplate, TemplateError, UpstreamSpec};

/// The version of Azure's API that its first style asks for unless another is configured: the last one that is generally
/// available.
const AZURE_VERSION: &str = "api-version=2024-10-21";

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Azure OpenAI with the deployment in the path and a dated version in the query.
    Azure,
    /// Azure OpenAI's v1 API: OpenAI's paths below `/openai`, the deployment as the model.
    AzureV1,
    /// Ollama.
    Ollama,
    /// vLLM.
    Vllm,
    /// Mistral.
    Mistral,
    /// Groq.
    Groq,
    /// DeepSeek.
    DeepSeek,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Azure,
        Self::AzureV1,
        Self::Ollama,
        Self::Vllm,
        Self::Mistral,
        Self::Groq,
        Self::DeepSeek,
    ];

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Azure => "azure",
            Self::AzureV1 => "azure-v1",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::Mistral => "mistral",
            Self::Groq => "groq",
            Self::DeepSeek => "deepseek",
        }
    }

    /// Where it is, if there is only one of it.
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Mistral => Some("https://api.mistral.ai"),
            Self::Groq => Some("https://api.groq.com/openai"),
            Self::DeepSeek => Some("https://api.deepseek.com"),
            Self::Azure | Self::AzureV1 | Self::Ollama | Self::Vllm => None,
        }
    }

    /// The provider whose prices apply. The catalogue has no prices of models on one's own machines; those that an
    /// operator gives stand under this name.
    pub fn prices(self) -> &'static str {
        match self {
            Self::Azure | Self::AzureV1 => "azure",
            other => other.name(),
        }
    }

    /// An upstream of this kind, without a credential.
    ///
    /// # Errors
    /// None: a test reads every template.
    pub fn spec(self, name: UpstreamName, base_url: &str) -> Result<UpstreamSpec, TemplateError> {
        let mut spec = UpstreamSpec {
            prices: self.prices().to_owned(),
            ..UpstreamSpec::new(name, Dialect::OpenAi, base_url)
        };
        match self {
            Self::Azure => {
                spec.azure_paths = true;
                spec.headers = vec![HeaderTemplate::parse("api-key", "{api_key}")?];
                spec.query = QueryTemplate::parse(AZURE_VERSION)?;
                spec.path = PathTemplate::parse("/openai/deployments/{model}/{operation}")?;
                for endpoint in [Endpoint::Responses, Endpoint::Models, Endpoint::Model] {
                    let path = PathTemplate::parse_for_one("/openai/{operation}")?;
                    spec.paths.push((endpoint, path));
                }
            }
            Self::AzureV1 => {
                spec.azure_paths = true;
                spec.headers = vec![HeaderTemplate::parse("api-key", "{api_key}")?];
                spec.path = PathTemplate::parse("/openai/{path}")?;
            }
            Self::Ollama => {
                spec.legacy_output_limit = true;
                spec.private_network = true;
            }
            Self::Vllm => spec.private_network = true,
            Self::Mistral => {
                spec.legacy_output_limit = true;
                spec.stream_usage_option = false;
            }
            Self::Groq => {}
            Self::DeepSeek => spec.legacy_output_limit = true,
        }
        Ok(spec)
    }
}
