//! Money: integer billionths of a US dollar, never a float.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount in nano-dollars (10⁻⁹ USD). An `i64` holds about ±9.2 billion dollars. Serialised as an integer, the form
/// of entries; public JSON shows the decimal text of [`NanoUsd::to_string`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

/// Why a text is not an amount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MoneyError {
    /// Not a decimal number followed by `USD`.
    #[error("expected an amount such as \"5 USD\" or \"0.25 USD\", found {0:?}")]
    Form(String),
    /// More than nine digits after the point.
    #[error("an amount has at most 9 digits after the point: {0:?}")]
    TooFine(String),
    /// Above about 9.2 billion dollars.
    #[error("the amount is too large: {0:?}")]
    TooLarge(String),
}

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// The sum, or `None` if it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` if it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum, at most [`NanoUsd::MAX`]: only where more than the maximum means the same as the maximum.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least the smallest amount.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This amount or zero, whichever is more.
    pub fn at_least_zero(self) -> Self {
        Self(self.0.max(0))
    }
}

/// Decimal dollars without a sign for the currency and without trailing zeros: `0.0015`, `5`, `-2.5`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let mut text = String::new();
        if self.0 < 0 {
            text.push('-');
        }
        text.push_str(&(magnitude / 1_000_000_000).to_string());
        let fraction = format!("{:09}", magnitude % 1_000_000_000);
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        f.pad(&text)
    }
}

/// Reads `5 USD`, `0.25 USD`, `12USD`. Exact: what does not fit nine decimals is refused, not rounded.
impl FromStr for NanoUsd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let form = || MoneyError::Form(text.to_owned());
        let number = text.trim().strip_suffix("USD").ok_or_else(form)?.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(form());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(MoneyError::TooFine(text.to_owned()));
        }
        let too_large = || MoneyError::TooLarge(text.to_owned());
        let nano = |s: &str| s.parse::<i64>().map_err(|_| too_large());
        let whole = nano(whole)?.checked_mul(1_000_000_000).ok_or_else(too_large)?;
        whole
            .checked_add(nano(&format!("{fraction:0<9}"))?)
            .map(Self)
            .ok_or_else(too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_amounts_exactly() {
        for (text, nano) in [
            ("5 USD", 5_000_000_000),
            ("0.25 USD", 250_000_000),
            ("12USD", 12_000_000_000),
            ("0.000000001 USD", 1),
            ("1.500000000000 USD", 1_500_000_000),
            ("0 USD", 0),
        ] {
            assert_eq!(text.parse(), Ok(NanoUsd(nano)), "{text}");
        }
        for bad in [
            "",
            "5",
            "5 EUR",
            "-5 USD",
            "5. USD",
            ".5 USD",
            "1e3 USD",
            "5,0 USD",
            "0.0000000001 USD",
            "9223372037 USD",
        ] {
            assert!(bad.parse::<NanoUsd>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn shown_amounts_read_back(nano in 0..i64::MAX) {
            prop_assert_eq!(format!("{} USD", NanoUsd(nano)).parse(), Ok(NanoUsd(nano)));
        }
    }
}
