//! What a request asks for beyond its own text: each can add input the request's bytes do not show, or a fee.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a request whose cost is not bounded by the request's bytes. The codecs in `llm` find them; `pricing` either
/// has an allowance for one or refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Function tools: providers add a hidden preamble that explains them to the model.
    Tools,
    /// An image, inline or by URL: billed by its pixels.
    Image,
    /// A document, inline or by id: billed by pages the request does not show.
    File,
    /// Audio input.
    AudioInput,
    /// Audio output.
    AudioOutput,
    /// A conversation or response kept at the provider.
    StoredConversation,
    /// A tool the provider runs itself (web search, code execution, remote MCP servers): fees and remote input.
    HostedTool,
    /// A provider option that changes prices and that Bailiwick does not price.
    UnpricedOption,
}

impl Feature {
    /// The stable word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Image => "image",
            Self::File => "file",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::StoredConversation => "stored_conversation",
            Self::HostedTool => "hosted_tool",
            Self::UnpricedOption => "unpriced_option",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A feature found in a request: how often, and where, for the error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUse {
    /// Which feature.
    pub feature: Feature,
    /// How many times the request uses it (images, files); 1 where a count makes no sense.
    pub count: u64,
    /// What in the request asked for it, such as `messages[3].content[0].image_url` or `tools[0].type = "web_search"`.
    pub found: String,
}

/// What kind of work a call asks for, with the figures that bound its price where tokens do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// Text from text: priced by tokens.
    #[default]
    Generate,
    /// Vectors from text: input tokens only.
    Embed,
    /// Pictures.
    Images {
        /// How many.
        count: u64,
        /// Their size as the request says it, such as `1024x1024`.
        size: Option<String>,
        /// Their quality as the request says it, such as `hd`.
        quality: Option<String>,
    },
    /// Speech from text.
    Speech {
        /// Characters of the text.
        characters: u64,
    },
    /// Text from audio.
    Transcribe {
        /// The length of the audio file, in bytes.
        file_bytes: u64,
    },
    /// What providers do for nothing: listing models, counting tokens, moderation.
    Free,
}

/// The provider's processing tiers: they differ in price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The list price. Also what a request that names none is held at.
    #[default]
    Standard,
    /// Cheaper and slower.
    Flex,
    /// Dearer and faster.
    Priority,
}
