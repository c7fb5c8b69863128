//! Providers' usage figures, made into classes that do not overlap.
//!
//! Providers and their imitators nest the same words differently. The rule for every doubt: a token that may have been
//! billed is counted, once, in the dearer of the classes it may belong to.

use model::ServiceTier;

use crate::json::{JsonError, Kind, Reader};

mod anthropic;
mod openai;

pub(crate) use anthropic::AnthropicUsage;
pub(crate) use openai::{OpenAiUsage, Shape};

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

    /// Reads seconds as milliseconds, exactly, what is less than one rounded up: a decimal number, or a string of one.
    pub(crate) fn read_seconds(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        Ok(match reader.peek()? {
            Kind::Null => reader.skip().map(|()| Self::Absent)?,
            Kind::Number => milliseconds(reader.raw()?),
            Kind::String => milliseconds(&reader.string()?.decoded()),
            _ => reader.skip().map(|()| Self::Invalid)?,
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

    /// This figure, or `other` where there is none.
    fn or(self, other: Self) -> Self {
        if self == Self::Absent { other } else { self }
    }

    pub(crate) fn read_into(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.raise(Self::read(reader)?);
        Ok(())
    }

    /// The figure of a field that must be there.
    pub(crate) fn required(self) -> Option<u64> {
        match self {
            Self::Known(count) => Some(count),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The figure of a field that means zero if it is not there.
    pub(crate) fn optional(self) -> Option<u64> {
        match self {
            Self::Known(count) => Some(count),
            Self::Absent => Some(0),
            Self::Invalid => None,
        }
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

/// Decimal seconds as milliseconds. An exponent is no way to write a length of audio.
fn milliseconds(text: &str) -> Count {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Count::Invalid;
    }
    let (exact, rest) = fraction.split_at_checked(3).unwrap_or((fraction, ""));
    let up = u64::from(rest.bytes().any(|byte| byte != b'0'));
    let milliseconds = whole
        .parse::<u64>()
        .ok()
        .zip(format!("{exact:0<3}").parse::<u64>().ok());
    match milliseconds.and_then(|(whole, part)| whole.checked_mul(1_000)?.checked_add(part + up)) {
        Some(count) if count <= MOST_TOKENS => Count::Known(count),
        _ => Count::Invalid,
    }
}

#[cfg(test)]
mod tests;
