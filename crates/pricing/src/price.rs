//! A price: an exact decimal number of dollars for one unit.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Dollars per unit (a token, if nothing else is said), exactly: `mantissa` × 10⁻ˢᶜᵃˡᵉ. Some prices are fractions of a
/// nano-dollar, so an integer of a fixed unit would not do. Never negative, never a float.
///
/// The mantissa has no trailing zeros (and zero has scale 0), so equal prices are equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Price {
    mantissa: u64,
    scale: u8,
}

/// Why a text is not a price.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PriceTextError {
    /// Not a plain decimal number.
    #[error("expected a decimal number such as \"0.15\", found {0:?}")]
    Form(String),
    /// More digits than a price can hold.
    #[error("the price {0:?} has too many digits")]
    TooLong(String),
}

impl Price {
    /// Free.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// One dollar a unit; as a factor, what changes nothing.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// The most digits after the point.
    pub const MAX_SCALE: u8 = 30;

    /// The digits, without the point.
    pub fn mantissa(self) -> u64 {
        self.mantissa
    }

    /// How many of the digits stand after the point; at most [`Price::MAX_SCALE`].
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether this is nothing.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// `mantissa` × 10⁻ˢᶜᵃˡᵉ, or `None` if it has too many digits.
    pub(crate) fn new(mantissa: u64, scale: u8) -> Option<Self> {
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > 0 && mantissa % 10 == 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        (scale <= Self::MAX_SCALE).then_some(Self { mantissa, scale })
    }

    /// The product, exactly, or `None` if it has too many digits.
    pub(crate) fn checked_mul(self, other: Self) -> Option<Self> {
        Self::new(
            self.mantissa.checked_mul(other.mantissa)?,
            self.scale.checked_add(other.scale)?,
        )
    }

    /// This price for a million units as a price for one, or `None` if it has too many digits.
    pub(crate) fn per_million(self) -> Option<Self> {
        Self::new(self.mantissa, self.scale.checked_add(6)?)
    }

    /// This price for a thousand units as a price for one, or `None` if it has too many digits.
    pub(crate) fn per_thousand(self) -> Option<Self> {
        Self::new(self.mantissa, self.scale.checked_add(3)?)
    }

    /// The price of a million units for this price of one, or `None` if it has too many digits.
    pub(crate) fn times_million(self) -> Option<Self> {
        self.checked_mul(Self {
            mantissa: 1_000_000,
            scale: 0,
        })
    }
}

/// Reads plain decimals and exponents: `0.15`, `3`, `7.5e-08`. Exact: what does not fit is refused, never rounded.
impl FromStr for Price {
    type Err = PriceTextError;

    fn from_str(text: &str) -> Result<Self, PriceTextError> {
        let form = || PriceTextError::Form(text.to_owned());
        let too_long = || PriceTextError::TooLong(text.to_owned());
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());

        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if !digits(whole) || !digits(fraction) || !digits(unsigned) {
            return Err(form());
        }
        let exponent: i16 = exponent.parse().map_err(|_| too_long())?;
        let fraction = fraction.trim_end_matches('0');
        let mantissa: u64 = format!("{whole}{fraction}").parse().map_err(|_| too_long())?;
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        let scale = i16::try_from(fraction.len())
            .ok()
            .and_then(|len| len.checked_sub(exponent))
            .ok_or_else(too_long)?;
        match u8::try_from(scale) {
            Ok(scale) => Self::new(mantissa, scale),
            Err(_) => 10_u64
                .checked_pow(u32::from(scale.unsigned_abs()))
                .and_then(|power| mantissa.checked_mul(power))
                .and_then(|mantissa| Self::new(mantissa, 0)),
        }
        .ok_or_else(too_long)
    }
}

/// The plain decimal, without an exponent and without trailing zeros: `0.000000075`, `3`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.mantissa, width = scale + 1);
        match digits.split_at_checked(digits.len() - scale) {
            Some((whole, fraction)) if !fraction.is_empty() => f.pad(&format!("{whole}.{fraction}")),
            _ => f.pad(&digits),
        }
    }
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> Ordering {
        // Bring both to the larger scale. A product above 128 bits is above every 64-bit mantissa.
        let raised = |price: &Self, by: u8| {
            10_u128
                .checked_pow(u32::from(by))
                .and_then(|power| power.checked_mul(u128::from(price.mantissa)))
        };
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => self.mantissa.cmp(&other.mantissa),
            Ordering::Less => raised(self, other.scale - self.scale)
                .map_or(Ordering::Greater, |raised| raised.cmp(&u128::from(other.mantissa))),
            Ordering::Greater => other.cmp(self).reverse(),
        }
    }
}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_decimals_exactly() {
        for (text, mantissa, scale, shown) in [
            ("0", 0, 0, "0"),
            ("0.000", 0, 0, "0"),
            ("0e-99", 0, 0, "0"),
            ("3", 3, 0, "3"),
            ("300", 300, 0, "300"),
            ("0.15", 15, 2, "0.15"),
            ("0.150", 15, 2, "0.15"),
            ("7.5e-08", 75, 9, "0.000000075"),
            ("2.75E-8", 275, 10, "0.0000000275"),
            ("1.5e+2", 150, 0, "150"),
            (
                "1.5000020000000002e-05",
                15_000_020_000_000_002,
                21,
                "0.000015000020000000002",
            ),
            ("18446744073709551615", u64::MAX, 0, "18446744073709551615"),
            ("1e-30", 1, 30, "0.000000000000000000000000000001"),
        ] {
            let price: Price = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((price.mantissa(), price.scale()), (mantissa, scale), "{text}");
            assert_eq!(price.to_string(), shown, "{text}");
        }
        for bad in [
            "", ".", "-1", "+1", "1.", ".5", "1e", "e5", "1e-", "0x1", "1_000", "1,5", " 1", "NaN", "1e5e5", "$1",
        ] {
            assert_eq!(bad.parse::<Price>(), Err(PriceTextError::Form(bad.to_owned())), "{bad}");
        }
        for long in [
            "18446744073709551616",
            "1e-31",
            "1e20",
            "1e99999",
            "0.0000000000000000000000000000001",
        ] {
            assert_eq!(
                long.parse::<Price>(),
                Err(PriceTextError::TooLong(long.to_owned())),
                "{long}"
            );
        }
    }

    fn price() -> impl Strategy<Value = Price> {
        (any::<u64>(), 0..64_u32, 0..=Price::MAX_SCALE)
            .prop_filter_map("too long", |(m, shift, s)| Price::new(m >> shift, s))
    }

    proptest! {
        #[test]
        fn shown_prices_read_back(price in price()) {
            prop_assert_eq!(price.to_string().parse(), Ok(price));
        }

        #[test]
        fn order_is_that_of_the_numbers(a in price(), b in price()) {
            // Pad the plain decimals to the same shape; then text order is number order.
            let shape = |price: Price| {
                let text = price.to_string();
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole:0>40}.{fraction:0<40}")
            };
            prop_assert_eq!(a.cmp(&b), shape(a).cmp(&shape(b)));
        }
    }
}
