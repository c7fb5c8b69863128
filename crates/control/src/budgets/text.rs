//! Amounts as administrators write them.

use ledger::{Amount, Measure};
use model::NanoUsd;

/// Reads an amount with its unit: `500 USD`, `2M tokens`, `300k input tokens`, `5000 calls`.
pub(super) fn counted(text: &str) -> Result<(Measure, Amount), String> {
    let text = text.trim();
    if text.ends_with("USD") {
        let money: NanoUsd = text.parse().map_err(|error: model::MoneyError| error.to_string())?;
        return Ok((Measure::Money, money.into()));
    }
    let all = [
        Measure::InputTokens,
        Measure::OutputTokens,
        Measure::Tokens,
        Measure::Calls,
    ];
    let number_of = |measure: Measure| {
        let (many, one) = (measure.unit(), measure.unit().trim_end_matches('s'));
        let number = text.strip_suffix(many).or_else(|| text.strip_suffix(one))?;
        Some((measure, number.trim_end()))
    };
    let found = all.into_iter().find_map(number_of);
    let number = found.and_then(|(measure, number)| Some((measure, Amount(whole(number)?))));
    number.ok_or_else(|| {
        format!("{text:?} is not an amount: write it with its unit, such as \"5 USD\", \"2M tokens\" or \"5000 calls\"")
    })
}

/// Reads an amount in a unit that is known.
pub(super) fn amount(text: &str, unit: Measure) -> Result<Amount, String> {
    let (found, amount) = counted(text)?;
    if found == unit {
        return Ok(amount);
    }
    Err(format!(
        "the budget counts {}, not {}: write the amount such as {:?}",
        unit.unit(),
        found.unit(),
        unit.show(example(unit))
    ))
}

fn example(unit: Measure) -> Amount {
    match unit {
        Measure::Money => Amount(5_000_000_000),
        Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => Amount(200_000),
        Measure::Calls => Amount(1_000),
    }
}

/// A whole number, with `k` for a thousand or `M` for a million.
fn whole(text: &str) -> Option<i64> {
    let (digits, times) = match (text.strip_suffix('k'), text.strip_suffix('M')) {
        (Some(digits), _) => (digits, 1_000),
        (_, Some(digits)) => (digits, 1_000_000),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<i64>().ok().filter(|_| is_number)?;
    number.checked_mul(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units() {
        for (text, expected) in [
            ("5 USD", Some((Measure::Money, 5_000_000_000))),
            ("0.25USD", Some((Measure::Money, 250_000_000))),
            ("2M tokens", Some((Measure::Tokens, 2_000_000))),
            ("300k input tokens", Some((Measure::InputTokens, 300_000))),
            (" 7 output tokens ", Some((Measure::OutputTokens, 7))),
            ("5000 calls", Some((Measure::Calls, 5_000))),
            ("1 call", Some((Measure::Calls, 1))),
            ("5", None),
            ("-5 USD", None),
            ("+5 calls", None),
            ("1.5M tokens", None),
            ("k calls", None),
            ("9223372036854775807k calls", None),
            ("5 EUR", None),
            ("", None),
        ] {
            let read = counted(text).ok().map(|(measure, Amount(number))| (measure, number));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn another_unit_is_told() {
        let told = amount("5 USD", Measure::Tokens).unwrap_err();
        assert_eq!(
            told,
            "the budget counts tokens, not USD: write the amount such as \"200000 tokens\""
        );
        assert_eq!(amount("5 calls", Measure::Calls), Ok(Amount(5)));
    }
}
