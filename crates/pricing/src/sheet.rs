//! The prices of one model at one processing tier: a complete set for each context-length step.
//!
//! The catalogue leaves gaps. They are filled here, once, so that computing a cost never meets one, and always upwards:
//! a filled-in price is never below what the provider would bill.

use std::collections::{BTreeMap, BTreeSet};

use model::ServiceTier;

use crate::{Class, Price};

/// The prices of the classes of tokens. A class without one cannot be billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates([Option<Price>; Class::ALL.len()]);

impl Rates {
    /// The price of a class, if it has one. Reasoning has the price of other output where none of its own is known.
    pub(crate) fn get(&self, class: Class) -> Option<Price> {
        let own = self.own(class);
        if class == Class::Reasoning {
            own.or(self.own(Class::Output))
        } else {
            own
        }
    }

    /// The highest price among some classes, if any of them has one.
    pub(crate) fn dearest(&self, classes: &[Class]) -> Option<Price> {
        classes.iter().filter_map(|class| self.get(*class)).max()
    }

    /// Class by class the dearer of the two, where both have a price.
    pub(crate) fn both(&self, other: &Self) -> Self {
        self.merge(other, |a, b| Some(a?.max(b?)))
    }

    /// Class by class the dearer of the two.
    pub(crate) fn dearer(&self, other: &Self) -> Self {
        self.merge(other, Ord::max)
    }

    /// A class is combined as it is billed, so reasoning that neither of the two prices apart is not priced apart.
    fn merge(&self, other: &Self, combine: impl Fn(Option<Price>, Option<Price>) -> Option<Price>) -> Self {
        let apart = self.own(Class::Reasoning).is_some() || other.own(Class::Reasoning).is_some();
        let mut merged = Self::default();
        for class in Class::ALL
            .into_iter()
            .filter(|class| apart || *class != Class::Reasoning)
        {
            merged.set(class, combine(self.get(class), other.get(class)));
        }
        merged
    }

    fn own(&self, class: Class) -> Option<Price> {
        self.0.get(class as usize).copied().flatten()
    }

    fn set(&mut self, class: Class, price: Option<Price>) {
        if let Some(slot) = self.0.get_mut(class as usize) {
            *slot = price;
        }
    }
}

/// The prices of one processing tier by context-length step: from each threshold (exclusive) up to the next. The first
/// threshold is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    base: Rates,
    steps: Vec<(u64, Rates)>,
}

impl Sheet {
    /// The prices of a request with this many input tokens in all: the whole request moves to the step it reaches, as
    /// OpenAI, Anthropic and Google bill it.
    pub(crate) fn at(&self, input_total: u64) -> &Rates {
        self.reachable(input_total).last().unwrap_or(&self.base)
    }

    /// The prices of every request with up to this many input tokens.
    pub(crate) fn reachable(&self, input_bound: u64) -> impl Iterator<Item = &Rates> {
        let steps = self.steps.iter().take_while(move |(above, _)| input_bound > *above);
        std::iter::once(&self.base).chain(steps.map(|(_, rates)| rates))
    }
}

/// The prices of all processing tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheets {
    pub(crate) standard: Sheet,
    pub(crate) flex: Sheet,
    /// `None`: the model has no priority prices.
    pub(crate) priority: Option<Sheet>,
}

/// How a missing price of a cache write is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Writing costs what other input costs.
    AsInput,
    /// Anthropic's rule: five minutes 1.25 times the input price, an hour 2 times
    /// (<https://platform.claude.com/docs/en/build-with-claude/prompt-caching>).
    Surcharged,
}

/// Prices as listed, with gaps.
#[derive(Clone, Debug)]
pub(crate) struct Gaps {
    listed: BTreeMap<(ServiceTier, u64), BTreeMap<Class, Price>>,
    writes: Writes,
}

impl Gaps {
    /// Nothing listed yet.
    pub(crate) fn new(writes: Writes) -> Self {
        Self {
            listed: BTreeMap::new(),
            writes,
        }
    }

    /// Lists a price; of two for the same thing the dearer counts.
    pub(crate) fn list(&mut self, tier: ServiceTier, above: u64, class: Class, price: Price) {
        let listed = self
            .listed
            .entry((tier, above))
            .or_default()
            .entry(class)
            .or_insert(price);
        *listed = price.max(*listed);
    }

    /// The price listed for every request of the standard tier.
    pub(crate) fn base(&self, class: Class) -> Option<Price> {
        self.get(ServiceTier::Standard, 0)?.get(&class).copied()
    }

    fn get(&self, tier: ServiceTier, above: u64) -> Option<&BTreeMap<Class, Price>> {
        self.listed.get(&(tier, above))
    }

    /// The complete prices, or `None` if a surcharge has too many digits. Whether a model without an input or an output
    /// price is priced at all is decided elsewhere.
    pub(crate) fn complete(&self) -> Option<Sheets> {
        let thresholds: BTreeSet<u64> = self
            .listed
            .keys()
            .map(|&(_, above)| above)
            .filter(|&above| above > 0)
            .collect();
        let mut build = Steps::new(self)?;
        for above in thresholds {
            build.push(above)?;
        }
        Some(build.sheets)
    }

    /// The prices listed in `own`, gaps filled: each class from `lower` (the step below), raised with text; cached input
    /// from the input price. Cached reads without a price are billed as input; writes never below it (some models list 0
    /// for "nothing on top of the input price"). Pictures without a price are billed as the text that providers count
    /// them as; audio without one is not billed.
    fn fill(&self, own: &BTreeMap<Class, Price>, lower: Option<&Rates>) -> Option<Rates> {
        let get = |class| own.get(&class).copied();
        let below = |class| lower.and_then(|rates| rates.own(class));
        // What is not raised with the text: the dearer of the two.
        let carried = |class, text: Option<Price>| get(class).or(below(class).and_then(|price| Some(price).max(text)));
        let input = get(Class::Input).or(below(Class::Input));
        let output = get(Class::Output).or(below(Class::Output));
        let (write, write_1h) = match (self.writes, input) {
            (Writes::Surcharged, Some(input)) => (
                Some(input.checked_mul(Price::new(125, 2)?)?),
                Some(input.checked_mul(Price::new(2, 0)?)?),
            ),
            _ => (input, input),
        };
        let cache_write = get(Class::CacheWrite).or(write).max(input);
        let audio = carried(Class::AudioInput, input);
        let image = carried(Class::ImageInput, input).or(input);
        // Of a model that lists no price for cached text either, no audio is cached.
        let audio_if = |class| audio.filter(|_| self.base(class).is_some());
        let image_cached = get(Class::ImageCacheRead).or(image.filter(|image| Some(*image) > input));
        let mut rates = Rates::default();
        for (class, price) in [
            (Class::Input, input),
            (Class::CacheRead, get(Class::CacheRead).or(input)),
            (Class::CacheWrite, cache_write),
            (
                Class::CacheWrite1h,
                get(Class::CacheWrite1h).or(write_1h).max(cache_write),
            ),
            (Class::Output, output),
            (Class::Reasoning, carried(Class::Reasoning, output)),
            (Class::AudioInput, audio),
            (
                Class::AudioCacheRead,
                get(Class::AudioCacheRead).or(audio_if(Class::CacheRead)),
            ),
            (
                Class::AudioCacheWrite,
                get(Class::AudioCacheWrite).or(audio_if(Class::CacheWrite)),
            ),
            (Class::AudioOutput, carried(Class::AudioOutput, output)),
            (Class::ImageInput, image),
            (Class::ImageCacheRead, image_cached),
            (Class::ImageOutput, carried(Class::ImageOutput, output)),
        ] {
            rates.set(class, price);
        }
        Some(rates)
    }

    /// `rates` of a dearer tier without the classes that the list price prices and the tier does not: what is missing
    /// there is dearer than standard, by nobody knows how much.
    fn only_listed(&self, rates: Rates, tier: ServiceTier) -> Rates {
        let listed = |class| self.get(tier, 0).is_some_and(|own| own.contains_key(&class));
        let mut rates = rates;
        for (class, dependent) in [
            (Class::AudioInput, &[Class::AudioCacheRead, Class::AudioCacheWrite][..]),
            (Class::AudioOutput, &[]),
            (Class::ImageInput, &[Class::ImageCacheRead]),
            (Class::ImageOutput, &[]),
        ] {
            if self.base(class).is_some() && !listed(class) {
                for class in [class].iter().chain(dependent) {
                    rates.set(*class, None);
                }
            }
        }
        rates
    }
}

/// The sheets while they are built, step by step upwards.
struct Steps<'a> {
    gaps: &'a Gaps,
    sheets: Sheets,
}

impl<'a> Steps<'a> {
    fn new(gaps: &'a Gaps) -> Option<Self> {
        let none = BTreeMap::new();
        let own = |tier| gaps.get(tier, 0);
        let standard = gaps.fill(own(ServiceTier::Standard).unwrap_or(&none), None)?;
        let flex = over(standard, own(ServiceTier::Flex));
        let priority = match own(ServiceTier::Priority) {
            Some(own) if own.contains_key(&Class::Input) && own.contains_key(&Class::Output) => {
                let rates = over(gaps.fill(own, None)?.dearer(&standard), Some(own));
                Some(gaps.only_listed(rates, ServiceTier::Priority))
            }
            _ => None,
        };
        let sheet = |base| Sheet {
            base,
            steps: Vec::new(),
        };
        let sheets = Sheets {
            standard: sheet(standard),
            flex: sheet(flex),
            priority: priority.map(sheet),
        };
        Some(Self { gaps, sheets })
    }

    /// Adds the step above a threshold to every tier. A tier that lists nothing there keeps its prices, unless a tier it
    /// leans on changes.
    fn push(&mut self, above: u64) -> Option<()> {
        let own = |tier| self.gaps.get(tier, above);
        let Sheets {
            standard,
            flex,
            priority,
        } = &mut self.sheets;

        let changed = own(ServiceTier::Standard);
        let lower = *standard.at(u64::MAX);
        let list = changed.map_or(Some(lower), |own| self.gaps.fill(own, Some(&lower)))?;
        standard.steps.push((above, list));

        // Flex is never dearer than standard, so standard prices bound what flex does not list.
        let lower = *flex.at(u64::MAX);
        let from = if changed.is_some() { list } else { lower };
        flex.steps.push((above, over(from, own(ServiceTier::Flex))));

        // Priority is never cheaper than standard, nor cheaper than for a shorter request.
        if let Some(priority) = priority {
            let lower = *priority.at(u64::MAX);
            let rates = over(lower.dearer(&list), own(ServiceTier::Priority));
            priority
                .steps
                .push((above, self.gaps.only_listed(rates, ServiceTier::Priority)));
        }
        Some(())
    }
}

/// `rates`, with what is listed in `own` instead. Writes stay at least at the input price.
fn over(rates: Rates, own: Option<&BTreeMap<Class, Price>>) -> Rates {
    let mut rates = rates;
    for (class, price) in own.into_iter().flatten() {
        rates.set(*class, Some(*price));
    }
    let write = rates.own(Class::CacheWrite).max(rates.own(Class::Input));
    rates.set(Class::CacheWrite, write);
    rates.set(Class::CacheWrite1h, rates.own(Class::CacheWrite1h).max(write));
    rates
}

#[cfg(test)]
mod tests;
