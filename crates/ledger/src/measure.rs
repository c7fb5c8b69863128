//! What is counted: money, tokens and calls.

use std::fmt;

use model::NanoUsd;
use serde::{Deserialize, Serialize};

use crate::form::is_default;

/// What a budget or limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Nano-dollars.
    #[default]
    Money,
    /// Tokens, in and out.
    Tokens,
    /// Tokens in, from and to caches too.
    InputTokens,
    /// Tokens out.
    OutputTokens,
    /// Attempts that reached the provider.
    Calls,
}

impl Measure {
    /// The unit, as it stands behind a number.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Money => "USD",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Calls => "calls",
        }
    }

    /// The number without its unit: dollars are decimal text, everything else is whole.
    pub fn number(self, amount: Amount) -> String {
        match self {
            Self::Money => NanoUsd(amount.0).to_string(),
            _ => amount.0.to_string(),
        }
    }

    /// The number with its unit: `5 USD`, `1000 tokens`, `1 call`.
    pub fn show(self, amount: Amount) -> String {
        let unit = match self {
            Self::Money => self.unit(),
            _ if amount == Amount(1) => self.unit().trim_end_matches('s'),
            _ => self.unit(),
        };
        format!("{} {unit}", self.number(amount))
    }

    /// Whether it is money.
    pub fn is_money(&self) -> bool {
        *self == Self::Money
    }
}

/// A number of whatever a budget or limit counts: nano-dollars, tokens or calls. In entries an integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest.
    pub const MAX: Self = Self(i64::MAX);

    /// The sum, at most [`Amount::MAX`].
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Itself, or zero if it is less.
    pub fn at_least_zero(self) -> Self {
        Self(self.0.max(0))
    }
}

impl From<NanoUsd> for Amount {
    fn from(NanoUsd(nanos): NanoUsd) -> Self {
        Self(nanos)
    }
}

/// As an integer: the unit is the measure's to say ([`Measure::show`]).
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What an attempt takes, at most or in the end, of all that can be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Money.
    #[serde(default, skip_serializing_if = "is_default")]
    pub money: NanoUsd,
    /// Tokens in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: u64,
    /// Tokens out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: u64,
    /// Calls: 1, or 0 for one that never reached a provider.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calls: u64,
}

impl Charge {
    /// Nothing of anything.
    pub const NONE: Self = Self {
        money: NanoUsd::ZERO,
        input: 0,
        output: 0,
        calls: 0,
    };

    /// Money, and neither tokens nor calls.
    pub fn of_money(money: NanoUsd) -> Self {
        Self { money, ..Self::NONE }
    }

    /// What is left of it after a part of it; nothing where the part is more.
    pub(crate) fn less(&self, part: &Self) -> Self {
        Self {
            money: NanoUsd(self.money.0.saturating_sub(part.money.0).max(0)),
            input: self.input.saturating_sub(part.input),
            output: self.output.saturating_sub(part.output),
            calls: self.calls.saturating_sub(part.calls),
        }
    }

    /// What is left of it if so much was used. Tokens that went over on one side are taken from what is left on the other.
    pub(crate) fn unused(&self, used: &Self) -> Self {
        let left = self.less(used);
        let total = |charge: &Self| charge.input.saturating_add(charge.output);
        let tokens = total(self).saturating_sub(total(used));
        let input = left.input.min(tokens);
        let output = left.output.min(tokens - input);
        Self { input, output, ..left }
    }

    /// Both together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            money: self.money.saturating_add(other.money),
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            calls: self.calls.saturating_add(other.calls),
        }
    }

    /// Whether it is no more than another of all that a measure counts.
    pub(crate) fn is_within(&self, other: &Self, measure: Measure) -> bool {
        match measure {
            Measure::Money => self.money <= other.money,
            Measure::Tokens => self.input <= other.input && self.output <= other.output,
            Measure::InputTokens => self.input <= other.input,
            Measure::OutputTokens => self.output <= other.output,
            Measure::Calls => self.calls <= other.calls,
        }
    }

    /// How much that is of one measure.
    pub fn of(&self, measure: Measure) -> Amount {
        let count = match measure {
            Measure::Money => return Amount(self.money.0),
            Measure::Tokens => self.input.saturating_add(self.output),
            Measure::InputTokens => self.input,
            Measure::OutputTokens => self.output,
            Measure::Calls => self.calls,
        };
        Amount(i64::try_from(count).unwrap_or(i64::MAX))
    }
}
