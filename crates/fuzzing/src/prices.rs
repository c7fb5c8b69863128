//! Money: decimals, catalogues, and the bond between the worst case and the cost.

use std::{cmp::Ordering, sync::LazyLock};

use model::{NanoUsd, ServiceTier, Usage, Work};
use pricing::{Allowances, Demand, Override, Price, PriceBook, compact};

use serde_json::Value;

use crate::must;

/// The prices that the program ships.
static SHIPPED: LazyLock<PriceBook> = LazyLock::new(PriceBook::builtin);

/// Two decimals, one a line: read exactly or refused, shown as they are read, compared as they are.
pub fn amounts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, "1"));
    for text in [first, second] {
        if let Ok(amount) = text.parse::<NanoUsd>() {
            assert_eq!(
                amount.to_string().parse(),
                Ok(amount),
                "{text:?} is shown as another amount"
            );
        }
        match text.parse::<Price>() {
            Ok(price) => {
                let shown = price.to_string();
                assert_eq!(shown.parse(), Ok(price), "{text:?} is shown as {shown}");
                assert_eq!(plain(&shown), plain(text), "{text:?} is not {shown}");
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(!is_short(text), "{text:?} was refused: {error}");
            }
        }
    }
    if let (Ok(first), Ok(second)) = (first.parse::<Price>(), second.parse::<Price>()) {
        assert_eq!(first.cmp(&second), compare(&first.to_string(), &second.to_string()));
        assert_eq!(first.cmp(&second), second.cmp(&first).reverse());
        assert_eq!(first == second, first.cmp(&second) == Ordering::Equal);
    }
}

/// A decimal as its digits and the power of ten of the last; `None` if it is none.
fn plain(text: &str) -> Option<(String, i64)> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let power = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let kept = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let kept = kept.trim_start_matches('0');
    if kept.is_empty() {
        return Some((String::new(), 0));
    }
    Some((kept.to_owned(), power + dropped))
}

/// Whether it is a plain decimal so short that it must fit.
fn is_short(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction)
}

/// Compares two plain decimals as texts.
fn compare(first: &str, second: &str) -> Ordering {
    let (whole, fraction) = first.split_once('.').unwrap_or((first, ""));
    let (other_whole, other_fraction) = second.split_once('.').unwrap_or((second, ""));
    let by_whole = whole.len().cmp(&other_whole.len()).then_with(|| whole.cmp(other_whole));
    by_whole.then_with(|| format!("{fraction:0<40}").cmp(&format!("{other_fraction:0<40}")))
}

/// A price catalogue, as it is published and as it is shipped.
pub fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match compact(text) {
        // No model at all is no catalogue.
        Ok(compacted) if compacted.is_empty() => {}
        Ok(compacted) => {
            let book = must(PriceBook::from_catalogue(&compacted), "what was compacted is read");
            assert_eq!(Some(names(&book)), names_in(&compacted));
            ask(&book);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(book) = PriceBook::from_catalogue(text) {
        assert!(
            names_in(text).is_none_or(|listed| listed == names(&book)),
            "not the models that are listed"
        );
        ask(&book);
    }
}

fn names(book: &PriceBook) -> Vec<String> {
    book.models().map(|prices| prices.model().to_owned()).collect()
}

/// The models of a catalogue in the shipped form, if it is in that form.
fn names_in(text: &str) -> Option<Vec<String>> {
    let name = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("prices")?.as_object()?;
        line.get("model")?.as_str().map(ToOwned::to_owned)
    };
    text.lines().map(name).collect()
}

fn ask(book: &PriceBook) {
    for prices in book.models() {
        if let Some(found) = book.find(prices.provider(), prices.model()) {
            assert_eq!((found.provider(), found.model()), (prices.provider(), prices.model()));
        }
        let (input, output) = (1_000, 500);
        let usage = Usage {
            input,
            output,
            ..Usage::default()
        };
        let cost = prices.cost(&usage, ServiceTier::Standard);
        if let Ok(cost) = cost {
            assert!(cost >= NanoUsd::ZERO, "{cost} for a call");
        }
        let demand = demand(&Work::Generate, input, output, 1);
        if let (Ok(cost), Ok(most)) = (
            cost,
            prices.worst_case(&demand, &Allowances::for_provider(prices.provider())),
        ) {
            assert!(cost <= most, "{cost} is more than the worst case {most}");
        }
    }
}

/// A price of one's own in the first line and a usage in the second, both as JSON: no usage within a demand costs more
/// than the demand's worst case.
pub fn price_bond(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (price, usage) = data.split_at(at);
    let (Ok(price), Ok(usage)) = (
        serde_json::from_slice::<Override>(price),
        serde_json::from_slice::<Usage>(usage),
    ) else {
        return;
    };
    let (provider, model) = (price.provider.clone(), price.model.clone());
    let Ok(book) = SHIPPED.clone().with_overrides(vec![price]) else {
        return;
    };
    let Some(prices) = book.find(&provider, &model) else {
        return;
    };
    let Ok(cost) = prices.cost(&usage, ServiceTier::Standard) else {
        return;
    };
    assert!(cost >= NanoUsd::ZERO);
    // Only what a request of text alone can use.
    let text = Usage {
        input: usage.input,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        cache_write_1h: usage.cache_write_1h,
        output: usage.output,
        reasoning: usage.reasoning.min(usage.output),
        ..Usage::default()
    };
    for choices in [0, 1, 3] {
        let limit = text.output.div_ceil(choices.max(1));
        let demand = demand(&Work::Generate, text.input_total(), limit, choices);
        let cost = prices.cost(&text, ServiceTier::Standard);
        if let (Ok(cost), Ok(most)) = (
            cost,
            prices.worst_case(&demand, &Allowances::for_provider(prices.provider())),
        ) {
            assert!(cost <= most, "{cost} is more than the worst case {most}");
        }
    }
}

fn demand(work: &Work, request_bytes: u64, output_limit: u64, choices: u64) -> Demand<'_> {
    Demand {
        work,
        request_bytes,
        output_limit,
        choices,
        searches: 0,
        features: &[],
        tier: ServiceTier::Standard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oracles_are_right() {
        assert_eq!(plain("0.150"), Some(("15".to_owned(), -2)));
        assert_eq!(plain("15e-2"), plain("0.15"));
        assert_eq!(plain("300"), plain("3e2"));
        assert_eq!(plain("0.000"), plain("0"));
        assert_eq!(compare("10", "9.5"), Ordering::Greater);
        assert_eq!(compare("0.2", "0.15"), Ordering::Greater);
        assert!(is_short("0.15") && is_short("3") && !is_short("0.") && !is_short("1e5"));
    }
}
