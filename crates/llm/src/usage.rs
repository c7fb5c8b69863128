//! Providers' usage figures, made into classes that do not overlap.
//!
//! Providers and their imitators nest the same words differently. The rule for every doubt: a token that may have been
//! billed is counted, once, in the dearer of the classes it may belong to.

use model::{ServiceTier, Usage};

use crate::json::{JsonError, Kind, Reader};

/// More tokens than a call can use, by a factor of a thousand: a larger figure is an error, not a count.
const MOST_TOKENS: u64 = 0xffff_ffff;

/// One figure as the provider gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Count {
    /// Not there, or null.
    #[default]
    Absent,
    /// A whole number that can be true.
    Known(u64),
    /// Anything else: negative, fractional, too large, not a number.
    Invalid,
}

impl Count {
    /// Reads the value that comes next, whatever it is.
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let kind = reader.peek()?;
        let raw = reader.raw()?;
        Ok(match kind {
            Kind::Null => Self::Absent,
            Kind::Number => match raw.parse() {
                Ok(count) if count <= MOST_TOKENS => Self::Known(count),
                _ => Self::Invalid,
            },
            _ => Self::Invalid,
        })
    }

    /// Takes in a later figure of the same thing: the larger stays, and what was once invalid stays so.
    fn raise(&mut self, later: Self) {
        *self = match (*self, later) {
            (Self::Invalid, _) | (_, Self::Invalid) => Self::Invalid,
            (Self::Known(a), Self::Known(b)) => Self::Known(a.max(b)),
            (Self::Absent, other) | (other, Self::Absent) => other,
        };
    }

    fn read_into(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.raise(Self::read(reader)?);
        Ok(())
    }

    /// The figure of a field that must be there.
    fn required(self) -> Option<u64> {
        match self {
            Self::Known(count) => Some(count),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The figure of a field that means zero if it is not there.
    fn optional(self) -> Option<u64> {
        match self {
            Self::Known(count) => Some(count),
            Self::Absent => Some(0),
            Self::Invalid => None,
        }
    }
}

/// OpenAI's `usage` object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenAiUsage {
    prompt: Count,
    completion: Count,
    total: Count,
    cached: Count,
    cache_write: Count,
    reasoning: Count,
}

impl OpenAiUsage {
    /// Reads the value of `usage`; null is `None`, and what is not an object is a usage without valid figures.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let mut usage = Self::default();
        match reader.peek()? {
            Kind::Null => return reader.skip().map(|()| None),
            Kind::Object => reader.begin_object()?,
            _ => {
                usage.prompt = Count::Invalid;
                return reader.skip().map(|()| Some(usage));
            }
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "prompt_tokens" => usage.prompt.read_into(reader)?,
                "completion_tokens" => usage.completion.read_into(reader)?,
                "total_tokens" => usage.total.read_into(reader)?,
                "prompt_tokens_details" | "completion_tokens_details" => usage.read_details(reader)?,
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
                "cached_tokens" => self.cached.read_into(reader)?,
                "cache_write_tokens" => self.cache_write.read_into(reader)?,
                "reasoning_tokens" => self.reasoning.read_into(reader)?,
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    /// Output tokens used so far at the least.
    pub(crate) fn output_at_least(&self) -> u64 {
        let known = |count: Count| count.required().unwrap_or(0);
        known(self.completion).max(known(self.reasoning))
    }

    /// The figures in classes, or `None` if one that is needed is missing or one that is there is invalid.
    ///
    /// By OpenAI's reference `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning. Some
    /// imitators count them apart (xAI its reasoning, for one), which shows in two ways: a part is larger than its
    /// whole, or `total_tokens` is larger than prompt and completion by just that part. What a larger total leaves
    /// unexplained is taken for output.
    pub(crate) fn classes(&self) -> Option<Usage> {
        let prompt = self.prompt.required()?;
        let completion = self.completion.required()?;
        let total = self.total.optional()?;
        let cache_read = self.cached.optional()?;
        let cache_write = self.cache_write.optional()?;
        let reasoning = self.reasoning.optional()?;

        let cache = cache_read + cache_write;
        let beyond = total.saturating_sub(prompt + completion);
        let all_beyond = beyond > 0 && beyond == reasoning + cache;
        let reasoning_apart = reasoning > completion || all_beyond || (beyond > 0 && beyond == reasoning);
        let cache_apart = cache_read.max(cache_write) > prompt || all_beyond || (beyond > 0 && beyond == cache);

        let input = if cache_apart {
            prompt
        } else {
            prompt.saturating_sub(cache)
        };
        let output = completion + if reasoning_apart { reasoning } else { 0 };
        let unexplained = total.saturating_sub(input + cache + output);
        Some(Usage {
            input,
            cache_read,
            cache_write,
            cache_write_1h: 0,
            output: output + unexplained,
            reasoning,
            ..Usage::default()
        })
    }
}

/// Anthropic's `usage` object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnthropicUsage {
    input: Count,
    cache_read: Count,
    cache_write: Count,
    cache_write_5m: Count,
    cache_write_1h: Count,
    output: Count,
    thinking: Count,
    pub(crate) tier: Option<ServiceTier>,
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
                "cache_creation" | "output_tokens_details" => usage.read_details(reader)?,
                "service_tier" => usage.tier = read_tier(reader)?,
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
        self.tier = later.tier.or(self.tier);
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
            ..Usage::default()
        })
    }
}

/// The tier a reply says it was served in; `None` for those that have no price of their own here (`auto`, `scale`,
/// `batch`) and for what is no tier.
pub(crate) fn read_tier(reader: &mut Reader<'_>) -> Result<Option<ServiceTier>, JsonError> {
    let tier = reader.string_or_skip()?;
    Ok(tier.and_then(|tier| match &*tier.decoded() {
        "default" | "standard" => Some(ServiceTier::Standard),
        "flex" => Some(ServiceTier::Flex),
        "priority" | "fast" => Some(ServiceTier::Priority),
        _ => None,
    }))
}

#[cfg(test)]
mod tests;
