//! What may be added to a request's own bytes: hidden preambles and images.

/// Input tokens that a request can cause beyond its own bytes. The defaults are upper bounds per provider family; where
/// a provider publishes none, the feature has no allowance and is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// Tokens that the provider adds to every request: the chat template, a default system text, the instructions for
    /// structured output. (What a template adds for each message is less than the JSON around that message.)
    pub request: u64,
    /// Tokens that the provider adds for each [`model::Feature::Tools`] use, on top of the bytes of the tool definitions
    /// themselves. `None`: tools are refused.
    pub tools: Option<u64>,
    /// Tokens that each [`model::Feature::Image`] is billed at most. `None`: images are refused.
    pub image: Option<u64>,
}

impl Allowances {
    /// For a provider whose habits are not known: no images.
    ///
    /// `request`: the longest fixed framing that the catalogue's source records is 100 tokens; open-weight chat
    /// templates (Harmony's system message among them) stay below it too. `tools`: as for Anthropic, the longest
    /// preamble that any provider publishes.
    pub const OTHER: Self = Self {
        request: 256,
        tools: Some(1_024),
        image: None,
    };

    /// For OpenAI.
    ///
    /// `tools`: unpublished; definitions are rewritten into a notation shorter than their JSON, plus a few dozen tokens.
    /// `image`: the dearest case of <https://developers.openai.com/api/docs/guides/images-vision>. Tile models scale an
    /// image into 2048 × 768, which is 8 tiles; `gpt-4o-mini` counts 2,833 + 8 × 5,667 = 48,169. Patch models count at most
    /// 10,000 patches × 2.46 = 24,600.
    pub const OPENAI: Self = Self {
        request: 256,
        tools: Some(512),
        image: Some(48_169),
    };

    /// For Anthropic.
    ///
    /// `tools`: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview> lists the preamble by model, up
    /// to some 900 tokens, and up to 735 for a tool that Anthropic defines and the client runs: each is one use.
    /// `image`: <https://platform.claude.com/docs/en/build-with-claude/vision> scales to 2,576 pixels on the long edge
    /// and counts patches of 28 × 28 pixels, at most 92 × 92 = 8,464.
    pub const ANTHROPIC: Self = Self {
        request: 256,
        tools: Some(1_024),
        image: Some(8_464),
    };

    /// The allowances for a provider by its name in the catalogue.
    pub fn for_provider(provider: &str) -> Self {
        match provider {
            "openai" | "azure" => Self::OPENAI,
            "anthropic" => Self::ANTHROPIC,
            _ => Self::OTHER,
        }
    }
}
