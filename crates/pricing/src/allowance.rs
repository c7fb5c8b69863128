//! What may be added to a request's own bytes: hidden preambles, images, audio, searches.

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
    /// Tokens that each picture made is billed at most, text around it included. `None`: the model's own maximum of output
    /// tokens for each, or a refusal where that is not known either.
    pub picture: Option<PictureTokens>,
    /// Searches that a model makes at most in a call, where it searches without being asked to. `None`: such models are
    /// refused.
    pub searches: Option<u64>,
    /// Input tokens that each search adds at most. `None`: searches are refused, whoever asks for them.
    pub search_input: Option<u64>,
    /// Bits that a second of audio takes up at least: what bounds the length of a file whose size is known. Files that
    /// hold less (silence in a lossless or a discontinuous codec) can cost more than their hold; that is booked as the
    /// provider reports it.
    pub audio_bitrate: u64,
    /// Tokens that a second of audio is billed at most, in or out; also the most tokens that a second is transcribed to.
    pub audio_tokens: u64,
    /// Milliseconds that a character takes to speak at most.
    pub character_ms: u64,
}

/// The most tokens that a picture is billed, by the quality asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureTokens {
    /// Quality `low`.
    pub low: u64,
    /// Quality `medium`.
    pub medium: u64,
    /// Any other quality, and where the request leaves it open.
    pub any: u64,
}

impl PictureTokens {
    /// The bound for a quality as a request names it.
    pub fn of(&self, quality: Option<&str>) -> u64 {
        match quality {
            Some("low") => self.low,
            Some("medium") => self.medium,
            _ => self.any,
        }
    }
}

impl Allowances {
    /// For a provider whose habits are not known: no images, no searches.
    ///
    /// `request`: the longest fixed framing that the catalogue's source records is 100 tokens; open-weight chat
    /// templates (Harmony's system message among them) stay below it too. `tools`: as for Anthropic, the longest
    /// preamble that any provider publishes.
    ///
    /// `audio_bitrate`: 6 kbit/s, the lowest of Opus (RFC 6716, section 2.1.1); MP3 and AAC begin at 8.
    /// `audio_tokens`: Gemini counts 32 tokens a second (<https://ai.google.dev/gemini-api/docs/audio>), OpenAI 10 in and
    /// 20 out. Whisper's decoder, the most talkative transcriber there is, ends at 448 tokens for 30 seconds.
    /// `character_ms`: a Chinese character at a quarter of the normal speed.
    pub const OTHER: Self = Self {
        request: 256,
        tools: Some(1_024),
        image: None,
        picture: None,
        searches: None,
        search_input: None,
        audio_bitrate: 6_000,
        audio_tokens: 32,
        character_ms: 1_000,
    };

    /// For OpenAI.
    ///
    /// `tools`: unpublished; definitions are rewritten into a notation shorter than their JSON, plus a few dozen tokens.
    /// `image`: the dearest case of <https://developers.openai.com/api/docs/guides/images-vision>. Tile models scale an
    /// image into 2048 × 768, which is 8 tiles; `gpt-4o-mini` counts 2,833 + 8 × 5,667 = 48,169. Patch models count at most
    /// 10,000 patches × 2.46 = 24,600.
    /// `picture`: the calculator of <https://developers.openai.com/api/docs/guides/image-generation> gives `gpt-image-2`
    /// at most q² × (2,000,000 + pixels) / 4,000,000 tokens, with q 16, 48 or 96 by quality and up to 8,294,400 pixels:
    /// 659, 5,930 and 23,719. Its predecessors end at 408, 1,584 and 6,240. To that come 100 for each of up to three partial
    /// pictures of a stream.
    pub const OPENAI: Self = Self {
        tools: Some(512),
        image: Some(48_169),
        picture: Some(PictureTokens {
            low: 959,
            medium: 6_230,
            any: 24_019,
        }),
        ..Self::OTHER
    };

    /// For Anthropic.
    ///
    /// `tools`: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview> lists the preamble by model, up
    /// to some 900 tokens, and up to 735 for a tool that Anthropic defines and the client runs: each is one use.
    /// `image`: <https://platform.claude.com/docs/en/build-with-claude/vision> scales to 2,576 pixels on the long edge
    /// and counts patches of 28 × 28 pixels, at most 92 × 92 = 8,464.
    pub const ANTHROPIC: Self = Self {
        image: Some(8_464),
        ..Self::OTHER
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
