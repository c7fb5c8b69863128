//! Anthropic's usage figures.

use model::{ServiceTier, Usage};

use super::{Count, read_tier};
use crate::json::{JsonError, Kind, Reader};
use crate::reply::kept;

/// Anthropic's `usage` object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnthropicUsage {
    input: Count,
    cache_read: Count,
    cache_write: Count,
    cache_write_5m: Count,
    cache_write_1h: Count,
    output: Count,
    thinking: Count,
    searches: Count,
    pub(crate) tier: Option<ServiceTier>,
    /// Where the provider says it processed the call.
    pub(crate) region: Option<String>,
}

impl AnthropicUsage {
    /// Reads the value of `usage`; null is `None`, and what is not an object is a usage without valid figures.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let mut usage = Self::default();
        match reader.peek()? {
            Kind::Null => return reader.skip().map(|()| None),
            Kind::Object => reader.begin_object()?,
            _ => {
                usage.input = Count::Invalid;
                return reader.skip().map(|()| Some(usage));
            }
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "input_tokens" => usage.input.read_into(reader)?,
                "output_tokens" => usage.output.read_into(reader)?,
                "cache_read_input_tokens" => usage.cache_read.read_into(reader)?,
                "cache_creation_input_tokens" => usage.cache_write.read_into(reader)?,
                "cache_creation" | "output_tokens_details" | "server_tool_use" => usage.read_details(reader)?,
                "service_tier" => usage.tier = read_tier(reader)?,
                "inference_geo" => usage.region = reader.string_or_skip()?.and_then(kept),
                _ => reader.skip()?,
            }
        }
        Ok(Some(usage))
    }

    fn read_details(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.object_or_skip()? {
            return Ok(());
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "ephemeral_5m_input_tokens" => self.cache_write_5m.read_into(reader)?,
                "ephemeral_1h_input_tokens" => self.cache_write_1h.read_into(reader)?,
                "thinking_tokens" => self.thinking.read_into(reader)?,
                "web_search_requests" => self.searches.read_into(reader)?,
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    /// Takes in a later, cumulative report of the same call. No figure ever goes down.
    pub(crate) fn raise(&mut self, later: &Self) {
        self.input.raise(later.input);
        self.cache_read.raise(later.cache_read);
        self.cache_write.raise(later.cache_write);
        self.cache_write_5m.raise(later.cache_write_5m);
        self.cache_write_1h.raise(later.cache_write_1h);
        self.output.raise(later.output);
        self.thinking.raise(later.thinking);
        self.searches.raise(later.searches);
        self.tier = later.tier.or(self.tier);
        if later.region.is_some() {
            self.region.clone_from(&later.region);
        }
    }

    /// Output tokens used so far at the least.
    pub(crate) fn output_at_least(&self) -> u64 {
        self.output.required().unwrap_or(0)
    }

    /// The figures in classes, or `None` if one that is needed is missing or one that is there is invalid.
    ///
    /// By Anthropic's reference `input_tokens` excludes what was read from or written to the cache, and `output_tokens`
    /// includes thinking. Cache writes that the split by lifetime does not cover are taken for the dearer lifetime that
    /// it mentions; without a split they have the default lifetime.
    pub(crate) fn classes(&self) -> Option<Usage> {
        let input = self.input.required()?;
        let output = self.output.required()?;
        let thinking = self.thinking.optional()?;
        let five_minutes = self.cache_write_5m.optional()?;
        let hour = self.cache_write_1h.optional()?;
        let unsplit = self.cache_write.optional()?.saturating_sub(five_minutes + hour);
        let (cache_write, cache_write_1h) = match hour {
            0 => (five_minutes + unsplit, 0),
            hour => (five_minutes, hour + unsplit),
        };
        Some(Usage {
            input,
            cache_read: self.cache_read.optional()?,
            cache_write,
            cache_write_1h,
            output: output + if thinking > output { thinking } else { 0 },
            reasoning: thinking,
            searches: self.searches.optional()?,
            ..Usage::default()
        })
    }
}
