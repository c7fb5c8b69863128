//! What a provider says was used.

use serde::{Deserialize, Serialize};

/// What one call used, in classes that do not overlap (except `reasoning`, a part of `output`), whatever the provider's
/// own way of nesting them. The codecs in `llm` convert. Counts are tokens unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Input tokens billed at the plain input price.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Input tokens written to the cache with the default lifetime (five minutes).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Input tokens written to the cache with a lifetime of one hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Of `output`, the tokens spent on reasoning. For information; never added.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Input tokens of audio, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Output tokens of audio, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Input tokens of images, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Output tokens of images, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_output: u64,
    /// Pictures delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Audio processed or produced, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
    /// Characters spoken.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub characters: u64,
    /// Searches that the provider ran.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub searches: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// All input tokens, cached or not, of any kind: what context-length price tiers look at.
    pub fn input_total(&self) -> u64 {
        [
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.audio_input,
            self.image_input,
        ]
        .into_iter()
        .fold(self.input, u64::saturating_add)
    }
}

/// Where the figures of a settlement come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageSource {
    /// The provider's own final figures.
    Provider,
    /// The provider gave none, or not all: the hold is booked in full.
    Hold,
    /// Nothing was used: the call never reached the provider, or the provider refused it.
    Nothing,
}
