//! OpenAI's usage figures, and those of its imitators: one object under many names.

use model::Usage;

use super::Count;
use crate::Endpoint;
use crate::json::{JsonError, Kind, Reader};

/// What kind of reply a usage object belongs to: it decides what tokens are that the object does not tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text, unless the details say otherwise.
    Text,
    /// Input only.
    Embedding,
    /// Pictures from text.
    Image,
    /// Pictures from pictures.
    ImageEdit,
    /// Audio from text.
    Speech,
    /// Text from audio: tokens, or the length of the audio.
    Transcript,
}

impl Shape {
    pub(crate) fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Embeddings => Self::Embedding,
            Endpoint::ImageGenerations => Self::Image,
            Endpoint::ImageEdits | Endpoint::ImageVariations => Self::ImageEdit,
            Endpoint::Speech => Self::Speech,
            Endpoint::Transcriptions | Endpoint::Translations => Self::Transcript,
            _ => Self::Text,
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
    /// Of `cache_write`, what is kept for twelve hours.
    cache_write_long: Count,
    reasoning: Count,
    input: Details,
    output: Details,
    /// The length of audio that was transcribed, in milliseconds.
    audio_ms: Count,
}

/// What one side's tokens are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Details {
    text: Count,
    audio: Count,
    image: Count,
}

/// Tokens of one side that are not text.
#[derive(Clone, Copy, Debug, Default)]
struct Media {
    audio: u64,
    image: u64,
}

impl Media {
    fn total(self) -> u64 {
        self.audio + self.image
    }
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
                "prompt_tokens" | "input_tokens" => usage.prompt.read_into(reader)?,
                "completion_tokens" | "output_tokens" => usage.completion.read_into(reader)?,
                "total_tokens" => usage.total.read_into(reader)?,
                // DeepSeek tells it here, and newer versions in the details too.
                "prompt_cache_hit_tokens" => usage.cached.read_into(reader)?,
                "seconds" => usage.audio_ms.raise(Count::read_seconds(reader)?),
                "prompt_tokens_details" | "input_tokens_details" | "input_token_details" => {
                    usage.read_details(reader, |usage| &mut usage.input)?;
                }
                "completion_tokens_details" | "output_tokens_details" | "output_token_details" => {
                    usage.read_details(reader, |usage| &mut usage.output)?;
                }
                _ => reader.skip()?,
            }
        }
        Ok(Some(usage))
    }

    fn read_details(
        &mut self,
        reader: &mut Reader<'_>,
        side: impl Fn(&mut Self) -> &mut Details,
    ) -> Result<(), JsonError> {
        if !reader.object_or_skip()? {
            return Ok(());
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "cached_tokens" => self.cached.read_into(reader)?,
                "cache_write_tokens" => self.cache_write.read_into(reader)?,
                "cache_write_tokens_details" => self.read_lifetimes(reader)?,
                "reasoning_tokens" => self.reasoning.read_into(reader)?,
                "text_tokens" => side(self).text.read_into(reader)?,
                "audio_tokens" => side(self).audio.read_into(reader)?,
                "image_tokens" => side(self).image.read_into(reader)?,
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    fn read_lifetimes(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.object_or_skip()? {
            return Ok(());
        }
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "ttl_12h_tokens" => self.cache_write_long.read_into(reader)?,
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
    /// By OpenAI's reference `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning; audio and
    /// images are parts of theirs. Some imitators count them apart (xAI its reasoning, for one), which shows in two
    /// ways: a part is larger than its whole, or `total_tokens` is larger than prompt and completion by just that part.
    /// What a larger total leaves unexplained is taken for output. Parts of one whole that overlap are all counted.
    pub(crate) fn classes(&self, shape: Shape) -> Option<Usage> {
        if shape == Shape::Transcript && self.prompt == Count::Absent && self.completion == Count::Absent {
            return Some(Usage {
                audio_ms: self.audio_ms.required()?,
                ..Usage::default()
            });
        }
        let total = self.total.optional()?;
        let (prompt, completion) = match shape {
            Shape::Embedding => (self.prompt.or(self.total).required()?, self.completion.optional()?),
            _ => (self.prompt.required()?, self.completion.required()?),
        };
        let cache_read = self.cached.optional()?;
        let cache_write = self.cache_write.optional()?;
        let cache_write_1h = self.cache_write_long.optional()?.min(cache_write);
        let reasoning = self.reasoning.optional()?;
        let (heard, spoken) = self.media(shape, prompt, completion)?;

        let cache = cache_read + cache_write;
        let beyond = total.saturating_sub(prompt + completion);
        let all_beyond = beyond > 0 && beyond == reasoning + cache;
        let reasoning_apart = reasoning > completion || all_beyond || (beyond > 0 && beyond == reasoning);
        let cache_apart = cache_read.max(cache_write) > prompt || all_beyond || (beyond > 0 && beyond == cache);

        let input = without(prompt, if cache_apart { 0 } else { cache });
        let input = without_media(input, prompt, heard);
        let output = without_media(completion, completion, spoken) + if reasoning_apart { reasoning } else { 0 };
        let told = input + cache + heard.total() + output + spoken.total();
        let mut usage = Usage {
            input,
            cache_read,
            cache_write: cache_write - cache_write_1h,
            // The dearer of the lifetimes that there are prices for.
            cache_write_1h,
            output,
            reasoning: reasoning.min(output),
            audio_input: heard.audio,
            image_input: heard.image,
            audio_output: spoken.audio,
            image_output: spoken.image,
            ..Usage::default()
        };
        let unexplained = total.saturating_sub(told);
        match shape {
            Shape::Text | Shape::Transcript => usage.output += unexplained,
            Shape::Embedding => usage.input += unexplained,
            Shape::Image | Shape::ImageEdit => usage.image_output += unexplained,
            Shape::Speech => usage.audio_output += unexplained,
        }
        Some(usage)
    }

    /// What of input and output is audio or image. Where the details do not say, the shape does: of audio and text, or
    /// image and text, what was not said to be text is the dearer.
    fn media(&self, shape: Shape, prompt: u64, completion: u64) -> Option<(Media, Media)> {
        let rest = |whole: u64, text: Count| Some(whole.saturating_sub(text.optional()?));
        let mut heard = Media {
            audio: self.input.audio.optional()?,
            image: self.input.image.optional()?,
        };
        let mut spoken = Media {
            audio: self.output.audio.optional()?,
            image: self.output.image.optional()?,
        };
        match shape {
            Shape::Transcript if self.input.audio == Count::Absent => heard.audio = rest(prompt, self.input.text)?,
            Shape::ImageEdit if self.input.image == Count::Absent => heard.image = rest(prompt, self.input.text)?,
            _ => {}
        }
        match shape {
            Shape::Speech if self.output.audio == Count::Absent => spoken.audio = rest(completion, self.output.text)?,
            Shape::Image | Shape::ImageEdit if self.output.image == Count::Absent => {
                spoken.image = rest(completion, self.output.text)?;
            }
            _ => {}
        }
        Some((heard, spoken))
    }
}

fn without(whole: u64, part: u64) -> u64 {
    whole.saturating_sub(part)
}

/// `left` of `whole` without its audio and images; more of them than the whole are counted beside it.
fn without_media(left: u64, whole: u64, media: Media) -> u64 {
    if media.total() > whole {
        left
    } else {
        without(left, media.total())
    }
}
