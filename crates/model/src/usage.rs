//! What a provider says was used.

use serde::{Deserialize, Serialize};

/// Token counts of one call, in classes that do not overlap (except `reasoning`, a part of `output`), whatever the
/// provider's own way of nesting them. The codecs in `llm` convert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens billed at the plain input price.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to the cache with the default lifetime (five minutes).
    pub cache_write: u64,
    /// Input tokens written to the cache with a lifetime of one hour.
    pub cache_write_1h: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Of `output`, the tokens spent on reasoning. For information; never added.
    pub reasoning: u64,
}

impl Usage {
    /// All input tokens, cached or not: what context-length price tiers look at.
    pub fn input_total(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_1h)
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
