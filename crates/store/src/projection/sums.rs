//! What is summed.

use entry::{Outcome, Status};
use model::{NanoUsd, Usage};

/// The most tokens of one class that are believed of one call. No model takes or gives as many; a provider that says more
/// must not make a sum overflow. What is *booked* for such a call is not bounded here: cost is exact.
pub const MAX_CALL_TOKENS: u64 = 1_000_000_000;
/// The longest duration of one call that is summed, in microseconds: eleven days.
const MAX_CALL_US: u64 = 1_000_000_000_000;

/// CostTokens by class, as in [`Usage`]: no token is in two classes, except that `reasoning` is a part of `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostTokens {
    /// Input at the plain price.
    pub input: u64,
    /// Input read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input written to the cache, for whatever time.
    pub cache_write: u64,
    /// Input of audio.
    pub audio_input: u64,
    /// Input of images.
    pub image_input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Of `output`, what was spent on reasoning.
    pub reasoning: u64,
    /// Output of audio.
    pub audio_output: u64,
    /// Output of images.
    pub image_output: u64,
}

impl CostTokens {
    fn of(usage: &Usage) -> Self {
        let believed = |count: u64| count.min(MAX_CALL_TOKENS);
        Self {
            input: believed(usage.input),
            cache_read: believed(usage.cache_read),
            cache_write: believed(usage.cache_write.saturating_add(usage.cache_write_1h)),
            audio_input: believed(usage.audio_input),
            image_input: believed(usage.image_input),
            output: believed(usage.output),
            reasoning: believed(usage.reasoning),
            audio_output: believed(usage.audio_output),
            image_output: believed(usage.image_output),
        }
    }

    /// All input and output.
    pub fn total(&self) -> u64 {
        [
            self.input,
            self.cache_read,
            self.cache_write,
            self.audio_input,
            self.image_input,
            self.output,
            self.audio_output,
            self.image_output,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    fn add(&mut self, other: &Self) {
        let Self {
            input,
            cache_read,
            cache_write,
            audio_input,
            image_input,
            output,
            reasoning,
            audio_output,
            image_output,
        } = self;
        for (sum, part) in [
            (input, other.input),
            (cache_read, other.cache_read),
            (cache_write, other.cache_write),
            (audio_input, other.audio_input),
            (image_input, other.image_input),
            (output, other.output),
            (reasoning, other.reasoning),
            (audio_output, other.audio_output),
            (image_output, other.image_output),
        ] {
            *sum = sum.saturating_add(part);
        }
    }
}

/// What calls used and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostSums {
    /// Attempts that have ended; a retry is an attempt of its own. What is in flight is not counted yet.
    pub calls: u64,
    /// Of these, the ones that did not end with the provider's whole answer delivered.
    pub failed: u64,
    /// What was booked.
    pub cost: NanoUsd,
    /// What the provider counted.
    pub tokens: CostTokens,
    /// From forwarding to the end, in microseconds, of all of them together.
    pub duration_us: u64,
}

impl CostSums {
    /// What one attempt adds.
    pub(super) fn of(outcome: &Outcome) -> Self {
        Self {
            calls: 1,
            failed: u64::from(outcome.status != Status::Ok),
            cost: outcome.cost,
            tokens: outcome.usage.as_ref().map(CostTokens::of).unwrap_or_default(),
            duration_us: outcome.duration_us.min(MAX_CALL_US),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        // As in the fold of the log: more than the largest amount is the largest.
        self.cost = self.cost.saturating_add(other.cost);
        self.tokens.add(&other.tokens);
        self.duration_us = self.duration_us.saturating_add(other.duration_us);
    }
}

impl std::iter::Sum for CostSums {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum.add(&part);
            sum
        })
    }
}
