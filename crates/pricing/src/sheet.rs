//! The prices of one model at one processing tier: a complete set for each context-length step.
//!
//! The catalogue leaves gaps. They are filled here, once, so that computing a cost never meets one, and always upwards:
//! a filled-in price is never below what the provider would bill.

use std::collections::{BTreeMap, BTreeSet};

use model::ServiceTier;

use crate::{Class, Price};

/// The price of every class of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) input: Price,
    pub(crate) cache_read: Price,
    pub(crate) cache_write: Price,
    pub(crate) cache_write_1h: Price,
    pub(crate) output: Price,
    /// `None`: as other output.
    pub(crate) reasoning: Option<Price>,
}

impl Rates {
    /// The most that a token of input can cost.
    pub(crate) fn dearest_input(&self) -> Price {
        self.input
            .max(self.cache_read)
            .max(self.cache_write)
            .max(self.cache_write_1h)
    }

    /// The most that a token of output can cost.
    pub(crate) fn dearest_output(&self) -> Price {
        self.reasoning
            .map_or(self.output, |reasoning| reasoning.max(self.output))
    }

    /// Class by class the dearer of the two.
    fn dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            output: self.output.max(other.output),
            // `None` stands for the output price, and is below no other.
            reasoning: (self.reasoning.is_some() || other.reasoning.is_some())
                .then(|| self.dearest_reasoning().max(other.dearest_reasoning())),
        }
    }

    fn dearest_reasoning(&self) -> Price {
        self.reasoning.unwrap_or(self.output)
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

    /// The complete prices, or `None` if a surcharge has too many digits. A missing input or output price counts as zero
    /// here: whether a model without one is priced at all is decided elsewhere.
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

    /// The prices listed in `own`, gaps filled: input and output from `lower` (the step below), cached input from the
    /// input price. Cached reads without a price are billed as input; writes never below it (some models list 0 for
    /// "nothing on top of the input price").
    fn fill(&self, own: &BTreeMap<Class, Price>, lower: Option<&Rates>) -> Option<Rates> {
        let get = |class| own.get(&class).copied();
        let input = get(Class::Input)
            .or(lower.map(|rates| rates.input))
            .unwrap_or(Price::ZERO);
        let output = get(Class::Output)
            .or(lower.map(|rates| rates.output))
            .unwrap_or(Price::ZERO);
        let (write, write_1h) = match self.writes {
            Writes::AsInput => (input, input),
            Writes::Surcharged => (
                input.checked_mul(Price::new(125, 2)?)?,
                input.checked_mul(Price::new(2, 0)?)?,
            ),
        };
        let cache_write = get(Class::CacheWrite).unwrap_or(write).max(input);
        let cache_write_1h = get(Class::CacheWrite1h).unwrap_or(write_1h).max(cache_write);
        // A reasoning price that is not raised with the output price: the dearer of the two.
        let carried = lower
            .and_then(|rates| rates.reasoning)
            .map(|reasoning| reasoning.max(output));
        Some(Rates {
            input,
            cache_read: get(Class::CacheRead).unwrap_or(input),
            cache_write,
            cache_write_1h,
            output,
            reasoning: get(Class::Reasoning).or(carried),
        })
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
                Some(over(gaps.fill(own, None)?.dearer(standard), Some(own)))
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
            priority
                .steps
                .push((above, over(lower.dearer(list), own(ServiceTier::Priority))));
        }
        Some(())
    }
}

/// `rates`, with what is listed in `own` instead. Writes stay at least at the input price.
fn over(rates: Rates, own: Option<&BTreeMap<Class, Price>>) -> Rates {
    let get = |class, price| own.and_then(|own| own.get(&class)).copied().unwrap_or(price);
    let input = get(Class::Input, rates.input);
    let cache_write = get(Class::CacheWrite, rates.cache_write).max(input);
    Rates {
        input,
        cache_read: get(Class::CacheRead, rates.cache_read),
        cache_write,
        cache_write_1h: get(Class::CacheWrite1h, rates.cache_write_1h).max(cache_write),
        output: get(Class::Output, rates.output),
        reasoning: own
            .and_then(|own| own.get(&Class::Reasoning))
            .copied()
            .or(rates.reasoning),
    }
}

#[cfg(test)]
mod tests;
