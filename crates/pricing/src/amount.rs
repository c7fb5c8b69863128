//! The sum of a call: units × price, exactly, rounded up to a nano-dollar once at the end.

use model::NanoUsd;

use crate::{Price, PriceError};

/// Units and the price of one.
pub(crate) type Term = (u64, Price);

/// The nano-dollars of all `terms` times `factor`, and of all `flat` ones as they are; rounded up.
///
/// # Errors
/// [`PriceError::Overflow`] if it does not fit; never a wrapped or saturated amount.
pub(crate) fn total(terms: &[Term], factor: Price, flat: &[Term]) -> Result<NanoUsd, PriceError> {
    let scale_of = |terms: &[Term]| terms.iter().map(|(_, price)| price.scale()).max().unwrap_or(0);
    let (scale, flat_scale) = (u32::from(scale_of(terms)), u32::from(scale_of(flat)));
    let common = (scale + u32::from(factor.scale())).max(flat_scale);
    let sum = || {
        let terms = sum_at(terms, scale)?
            .checked_mul(i128::from(factor.mantissa()))?
            .checked_mul(10_i128.checked_pow(common - scale - u32::from(factor.scale()))?)?;
        let flat = sum_at(flat, flat_scale)?.checked_mul(10_i128.checked_pow(common - flat_scale)?)?;
        nano(terms.checked_add(flat)?, common)
    };
    sum().ok_or(PriceError::Overflow)
}

/// The sum of `terms` in units of 10⁻ˢᶜᵃˡᵉ dollars; no price among them has a larger scale.
fn sum_at(terms: &[Term], scale: u32) -> Option<i128> {
    terms.iter().try_fold(0_i128, |sum, (units, price)| {
        let raise = 10_i128.checked_pow(scale.checked_sub(u32::from(price.scale()))?)?;
        let term = i128::from(*units)
            .checked_mul(i128::from(price.mantissa()))?
            .checked_mul(raise)?;
        sum.checked_add(term)
    })
}

/// `sum` × 10⁻ˢᶜᵃˡᵉ dollars (never negative) as nano-dollars, rounded up.
fn nano(sum: i128, scale: u32) -> Option<NanoUsd> {
    /// A nano-dollar is 10⁻⁹ dollars.
    const NANO: u32 = 9;
    let nano = match scale.checked_sub(NANO) {
        None => sum.checked_mul(10_i128.checked_pow(NANO - scale)?)?,
        Some(digits) => {
            let unit = 10_i128.checked_pow(digits)?;
            sum / unit + i128::from(sum % unit != 0)
        }
    };
    i64::try_from(nano).ok().map(NanoUsd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_up_once() {
        let price = |text: &str| text.parse::<Price>().unwrap();
        for (terms, factor, nano) in [
            (vec![], "1", 0),
            (vec![(0, "5")], "1", 0),
            (vec![(1, "0.0000000275")], "1", 28),
            // Rounded once, not for each term: 27.5 + 27.5 = 55.
            (vec![(1, "0.0000000275"), (1, "0.0000000275")], "1", 55),
            (vec![(1, "0.000000000000000000000000000001")], "1", 1),
            (
                vec![(1_000_000, "0.00000015"), (2_000_000, "0.0000006")],
                "1",
                1_350_000_000,
            ),
            (vec![(1_000_000, "0.00000015")], "1.1", 165_000_000),
            (vec![(3, "2")], "1", 6_000_000_000),
        ] {
            let terms: Vec<_> = terms.iter().map(|&(units, text)| (units, price(text))).collect();
            assert_eq!(total(&terms, price(factor), &[]).unwrap(), NanoUsd(nano), "{terms:?}");
        }
        for terms in [
            vec![(u64::MAX, price("1"))],
            vec![(10_000_000_000, price("1"))],
            vec![(u64::MAX, price("18446744073709551615")), (1, price("1e-30"))],
        ] {
            assert!(
                matches!(total(&terms, Price::ONE, &[]), Err(PriceError::Overflow)),
                "{terms:?}"
            );
        }
    }

    /// A natural number as decimal digits, least first: slow, and too simple to be wrong.
    #[derive(Clone, PartialEq, Debug)]
    struct Digits(Vec<u8>);

    impl Digits {
        fn of(number: impl ToString) -> Self {
            Self(number.to_string().bytes().rev().map(|b| b - b'0').collect()).trimmed()
        }

        fn trimmed(mut self) -> Self {
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
            self
        }

        fn plus(&self, other: &Self) -> Self {
            let (mut out, mut carry) = (Vec::new(), 0);
            for place in 0..=self.0.len().max(other.0.len()) {
                let digit = |number: &Self| number.0.get(place).copied().unwrap_or(0);
                let sum = digit(self) + digit(other) + carry;
                out.push(sum % 10);
                carry = sum / 10;
            }
            Self(out).trimmed()
        }

        fn times(&self, other: &Self) -> Self {
            let mut out = Self(Vec::new());
            for (place, &digit) in other.0.iter().enumerate() {
                let shifted = Self([vec![0; place], self.0.clone()].concat());
                out = (0..digit).fold(out, |sum, _| sum.plus(&shifted));
            }
            out.trimmed()
        }

        fn shifted(&self, by: usize) -> Self {
            Self([vec![0; by], self.0.clone()].concat()).trimmed()
        }

        /// Divided by 10 ^ `by`, rounded up.
        fn unshifted_up(&self, by: usize) -> Self {
            let rest = self.0.iter().take(by).any(|&digit| digit != 0);
            let whole = Self(self.0.iter().skip(by).copied().collect());
            if rest { whole.plus(&Self::of(1)) } else { whole }
        }
    }

    fn price() -> impl Strategy<Value = Price> {
        (any::<u64>(), 0..64_u32, 0..=24_u8).prop_filter_map("too long", |(m, shift, s)| Price::new(m >> shift, s))
    }

    proptest! {
        #[test]
        fn equals_the_sum_by_hand(
            terms in prop::collection::vec((0..1_u64 << 40, price()), 0..7),
            flat in prop::collection::vec((0..1_u64 << 40, price()), 0..3),
            factor in 1..300_u64,
        ) {
            const WIDE: usize = 40;
            let factor = Price::new(factor, 2).unwrap();
            let by_hand = |terms: &[Term]| terms.iter().fold(Digits(Vec::new()), |sum, (units, price)| {
                let term = Digits::of(units).times(&Digits::of(price.mantissa()));
                sum.plus(&term.shifted(WIDE - usize::from(price.scale())))
            });
            let flat_by_hand = by_hand(&flat).shifted(usize::from(factor.scale()));
            let by_hand = by_hand(&terms).times(&Digits::of(factor.mantissa())).plus(&flat_by_hand).shifted(9);
            let by_hand = by_hand.unshifted_up(WIDE + usize::from(factor.scale()));
            match total(&terms, factor, &flat) {
                Ok(NanoUsd(nano)) => prop_assert_eq!(by_hand, Digits::of(nano)),
                Err(_) => prop_assert!(by_hand.0.len() >= 13, "refused although it is small: {:?}", by_hand),
            }
        }
    }
}
