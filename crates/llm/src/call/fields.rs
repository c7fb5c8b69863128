//! The top-level fields that matter, endpoint by endpoint, above all those that change what a call can cost.
//!
//! Sources: OpenAI's and Anthropic's API references and the parameter types of their Python packages (openai 3.54,
//! anthropic 2.12, November 2026); for the options of compatible servers, their own references (xAI, Azure OpenAI,
//! OpenRouter, Alibaba Model Studio, vLLM).

use model::Feature;

use crate::Endpoint;

/// How to read a top-level field.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Model,
    /// `messages` of a conversation.
    Messages,
    /// `input` of the Responses API.
    Items,
    /// `prompt` of a text completion.
    Prompts,
    /// `input` of embeddings.
    Inputs,
    /// `input` of speech.
    Spoken,
    System,
    Stream,
    StreamOptions,
    Limit(LimitField),
    Choices,
    BestOf,
    Echo,
    /// `partial_images`.
    PartialPictures,
    Size,
    Quality,
    PictureFormat,
    /// `images` of an edit in JSON.
    Pictures,
    /// One more picture given with an edit.
    Picture,
    /// `stream_format` of speech.
    StreamFormat,
    Tools,
    Functions,
    Tier,
    Modalities,
    ContextManagement,
    Cache,
    /// An option that makes the call a feature unless it is null, false, an empty array or the string `free`.
    Dear {
        feature: Feature,
        free: Option<&'static str>,
    },
}

/// The spellings of the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitField {
    /// `max_completion_tokens`.
    Completion,
    /// `max_tokens`: OpenAI's older field, Anthropic's only one, and the only one of text completions.
    Plain,
    /// `max_output_tokens`.
    Output,
}

impl LimitField {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Completion => "max_completion_tokens",
            Self::Plain => "max_tokens",
            Self::Output => "max_output_tokens",
        }
    }
}

const fn dear(feature: Feature) -> Field {
    Field::Dear { feature, free: None }
}

pub(super) fn top_level(endpoint: Endpoint) -> &'static [(&'static str, Field)] {
    match endpoint {
        Endpoint::ChatCompletions => CHAT_COMPLETIONS,
        Endpoint::Responses => RESPONSES,
        Endpoint::Completions => COMPLETIONS,
        Endpoint::Embeddings => EMBEDDINGS,
        Endpoint::Moderations => MODERATIONS,
        Endpoint::ImageGenerations => IMAGE_GENERATIONS,
        Endpoint::ImageEdits => IMAGE_EDITS,
        Endpoint::Speech => SPEECH,
        Endpoint::Messages | Endpoint::CountTokens => MESSAGES,
        Endpoint::ImageVariations
        | Endpoint::Transcriptions
        | Endpoint::Translations
        | Endpoint::Models
        | Endpoint::Model
        | Endpoint::AnthropicModels
        | Endpoint::AnthropicModel => &[],
    }
}

/// The fields without which a request cannot be judged.
pub(super) fn required(endpoint: Endpoint) -> &'static [&'static str] {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::CountTokens => &["model", "messages"],
        Endpoint::Messages => &["model", "messages", "max_tokens"],
        Endpoint::Embeddings | Endpoint::Speech => &["model", "input"],
        Endpoint::Responses | Endpoint::Completions | Endpoint::ImageGenerations | Endpoint::ImageEdits => &["model"],
        Endpoint::ImageVariations => &["model", "image"],
        Endpoint::Transcriptions | Endpoint::Translations => &["model", "file"],
        // The provider has a default, and it is free.
        Endpoint::Moderations => &[],
        Endpoint::Models | Endpoint::Model | Endpoint::AnthropicModels | Endpoint::AnthropicModel => &[],
    }
}

const CHAT_COMPLETIONS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("messages", Field::Messages),
    ("stream", Field::Stream),
    ("stream_options", Field::StreamOptions),
    ("max_completion_tokens", Field::Limit(LimitField::Completion)),
    ("max_tokens", Field::Limit(LimitField::Plain)),
    ("n", Field::Choices),
    ("tools", Field::Tools),
    ("functions", Field::Functions),
    ("service_tier", Field::Tier),
    ("modalities", Field::Modalities),
    ("prompt_cache_options", Field::Cache),
    ("audio", dear(Feature::AudioOutput)),
    ("web_search_options", dear(Feature::HostedTool)),
    // Rejected prediction tokens are billed as output and are not under the output limit.
    ("prediction", dear(Feature::UnpricedOption)),
    ("moderation", dear(Feature::UnpricedOption)),
    // The Responses API's; compatible servers take them here too.
    ("previous_response_id", dear(Feature::StoredConversation)),
    ("conversation", dear(Feature::StoredConversation)),
    // xAI live search, Model Studio search, Azure's own data, OpenRouter's plugins: fees and input from elsewhere.
    ("search_parameters", dear(Feature::HostedTool)),
    ("enable_search", dear(Feature::HostedTool)),
    ("data_sources", dear(Feature::HostedTool)),
    ("plugins", dear(Feature::HostedTool)),
    // OpenRouter: another model than `model` may answer.
    ("models", dear(Feature::UnpricedOption)),
    // vLLM: candidates that are generated and thrown away.
    ("best_of", dear(Feature::UnpricedOption)),
];

const RESPONSES: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("input", Field::Items),
    ("stream", Field::Stream),
    ("max_output_tokens", Field::Limit(LimitField::Output)),
    ("tools", Field::Tools),
    ("service_tier", Field::Tier),
    ("modalities", Field::Modalities),
    ("prompt_cache_options", Field::Cache),
    ("audio", dear(Feature::AudioOutput)),
    ("previous_response_id", dear(Feature::StoredConversation)),
    ("conversation", dear(Feature::StoredConversation)),
    // A template kept at the provider, with text and tools that the request does not show.
    ("prompt", dear(Feature::UnpricedOption)),
    // Its end cannot be awaited on this connection, so neither can its usage.
    ("background", dear(Feature::UnpricedOption)),
    ("background_options", dear(Feature::UnpricedOption)),
    // Tokens of a compaction are billed beside the response's own.
    ("context_management", dear(Feature::UnpricedOption)),
    ("moderation", dear(Feature::UnpricedOption)),
    ("web_search_options", dear(Feature::HostedTool)),
    ("search_parameters", dear(Feature::HostedTool)),
    ("enable_search", dear(Feature::HostedTool)),
    ("data_sources", dear(Feature::HostedTool)),
    ("plugins", dear(Feature::HostedTool)),
    ("models", dear(Feature::UnpricedOption)),
];

const COMPLETIONS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("prompt", Field::Prompts),
    ("stream", Field::Stream),
    ("stream_options", Field::StreamOptions),
    ("max_tokens", Field::Limit(LimitField::Plain)),
    ("n", Field::Choices),
    ("best_of", Field::BestOf),
    ("echo", Field::Echo),
    ("service_tier", Field::Tier),
    // vLLM: a prompt that is no text, and candidates that are generated and thrown away.
    ("prompt_embeds", dear(Feature::UnpricedOption)),
    ("use_beam_search", dear(Feature::UnpricedOption)),
    ("models", dear(Feature::UnpricedOption)),
    ("plugins", dear(Feature::HostedTool)),
];

const EMBEDDINGS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("input", Field::Inputs),
    // vLLM: a conversation in place of the input, which may hold images.
    ("messages", dear(Feature::UnpricedOption)),
    ("models", dear(Feature::UnpricedOption)),
];

const MODERATIONS: &[(&str, Field)] = &[("model", Field::Model)];

const IMAGE_GENERATIONS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("n", Field::Choices),
    ("size", Field::Size),
    ("quality", Field::Quality),
    ("stream", Field::Stream),
    ("partial_images", Field::PartialPictures),
    ("output_format", Field::PictureFormat),
    // Another model draws, and is billed beside.
    ("svg", dear(Feature::UnpricedOption)),
    ("frame_count", dear(Feature::UnpricedOption)),
];

const IMAGE_EDITS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("images", Field::Pictures),
    ("mask", Field::Picture),
    ("markup", Field::Picture),
    ("n", Field::Choices),
    ("size", Field::Size),
    ("quality", Field::Quality),
    ("stream", Field::Stream),
    ("partial_images", Field::PartialPictures),
    ("output_format", Field::PictureFormat),
    ("svg", dear(Feature::UnpricedOption)),
    ("frame_count", dear(Feature::UnpricedOption)),
];

const SPEECH: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("input", Field::Spoken),
    ("stream_format", Field::StreamFormat),
];

const MESSAGES: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("messages", Field::Messages),
    ("system", Field::System),
    ("stream", Field::Stream),
    ("max_tokens", Field::Limit(LimitField::Plain)),
    ("tools", Field::Tools),
    ("service_tier", Field::Tier),
    ("context_management", Field::ContextManagement),
    ("cache_control", Field::Cache),
    ("mcp_servers", dear(Feature::HostedTool)),
    ("container", dear(Feature::HostedTool)),
    (
        "speed",
        Field::Dear {
            feature: Feature::UnpricedOption,
            free: Some("standard"),
        },
    ),
    (
        "inference_geo",
        Field::Dear {
            feature: Feature::UnpricedOption,
            free: Some("global"),
        },
    ),
    ("thread", dear(Feature::StoredConversation)),
    // Tokens of a compaction are billed beside the call's own usage.
    ("compaction", dear(Feature::UnpricedOption)),
    // Another model than `model` may answer.
    ("fallbacks", dear(Feature::UnpricedOption)),
    ("fallback_credit_token", dear(Feature::UnpricedOption)),
    ("billing_policy", dear(Feature::UnpricedOption)),
];
