//! The prices of one model: what a call can cost at most, and what it cost.

use model::{Feature, FeatureUse, NanoUsd, ServiceTier, Usage};

use crate::{
    Allowances, Class, Override, Price, PriceError, Region,
    amount::total,
    catalogue::Line,
    listed::{Listed, Uplifts},
    sheet::{Sheet, Sheets},
};

/// What a request can make the provider do at most.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Bytes of the request's body as sent upstream, not compressed. A text never has more tokens than bytes. The bytes of
    /// an inline image may be left out if `features` names the image: it is billed by its pixels.
    pub request_bytes: u64,
    /// Output tokens that the request allows for each choice, as written into it.
    pub output_limit: u64,
    /// How many answers it asks for (`n`); 0 counts as 1.
    pub choices: u64,
    /// What it uses whose cost its bytes do not show.
    pub features: &'a [FeatureUse],
    /// The processing tier it asks for.
    pub tier: ServiceTier,
}

/// The prices of one model at one provider, ready to compute with.
#[derive(Clone, Debug)]
pub struct ModelPrices {
    provider: String,
    model: String,
    listed_provider: String,
    mode: Option<String>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    deprecation_date: Option<String>,
    sheets: Result<Sheets, PriceError>,
    /// Why images are refused on this model, if they are.
    images: Option<String>,
    uplifts: Uplifts,
    region: Region,
}

impl ModelPrices {
    /// The provider asked for; for [`crate::PriceBook::models`] the catalogue's.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The model asked for; for [`crate::PriceBook::models`] the catalogue's name of the entry.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The catalogue's word for what kind of model it is (`chat`, `embedding` ...), if it is listed there.
    pub fn mode(&self) -> Option<&str> {
        self.mode.as_deref()
    }

    /// The most input tokens that the model takes, if known. For information: a provider's refusal of longer requests is
    /// no bound to rely on.
    pub fn max_input_tokens(&self) -> Option<u64> {
        self.max_input_tokens
    }

    /// The most output tokens that the model produces, if known. Zero is not a known maximum.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens.filter(|max| *max > 0)
    }

    /// The day on which the provider stops serving the model, as `YYYY-MM-DD`, if known. Prices stay.
    pub fn deprecation_date(&self) -> Option<&str> {
        self.deprecation_date.as_deref()
    }

    /// Why no call to this model can be priced, if so.
    pub fn refusal(&self) -> Option<&PriceError> {
        self.sheets.as_ref().err()
    }

    /// The same prices where calls are processed in `region`. Without this, a model whose price depends on the region is
    /// priced at the dearest.
    #[must_use]
    pub fn in_region(self, region: Region) -> Self {
        Self { region, ..self }
    }

    /// The most that a call within `demand` can cost.
    ///
    /// Input is bounded by the request's bytes plus the allowances, priced at the dearest class it could be billed as, in
    /// any context step within reach; output by its limit times the choices, at the dearer of output and reasoning.
    /// Providers may serve a call in the standard tier instead of the one asked for (OpenAI says so of priority), and the
    /// reply tells: so the dearer of both counts.
    ///
    /// # Errors
    /// Every [`PriceError`] but `UnknownModel` and `Usage`.
    pub fn worst_case(&self, demand: &Demand<'_>, allowances: &Allowances) -> Result<NanoUsd, PriceError> {
        let input = self.input_bound(demand, allowances)?;
        let output = demand
            .output_limit
            .checked_mul(demand.choices.max(1))
            .ok_or(PriceError::Overflow)?;
        let (mut input_price, mut output_price) = (Price::ZERO, Price::ZERO);
        for tier in [ServiceTier::Standard, demand.tier] {
            for rates in self.sheet(tier)?.reachable(input) {
                input_price = input_price.max(rates.dearest_input());
                output_price = output_price.max(rates.dearest_output());
            }
        }
        total(
            &[(input, input_price), (output, output_price)],
            self.uplifts.factor(self.region),
        )
    }

    /// What a call with this `usage` costs, served in `tier` (what the reply says, not what was asked for).
    ///
    /// A tier that the catalogue does not price: flex is billed at the standard prices, which are never below it; priority
    /// is an error. Cached reads without a price of their own are billed as input, as are cache writes (for Claude models
    /// at Anthropic's surcharges), reasoning as output.
    ///
    /// # Errors
    /// `Usage`, `Tier`, `Overflow`, or the model's refusal. The right thing to book then is the hold, in full.
    pub fn cost(&self, usage: &Usage, tier: ServiceTier) -> Result<NanoUsd, PriceError> {
        let rates = self.sheet(tier)?.at(usage.input_total());
        let answer = usage.output.checked_sub(usage.reasoning).ok_or(PriceError::Usage {
            reasoning: usage.reasoning,
            output: usage.output,
        })?;
        let terms = [
            (usage.input, rates.input),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write, rates.cache_write),
            (usage.cache_write_1h, rates.cache_write_1h),
            (answer, rates.output),
            (usage.reasoning, rates.reasoning.unwrap_or(rates.output)),
        ];
        total(&terms, self.uplifts.factor(self.region))
    }

    fn input_bound(&self, demand: &Demand<'_>, allowances: &Allowances) -> Result<u64, PriceError> {
        let mut bound = demand
            .request_bytes
            .checked_add(allowances.request)
            .ok_or(PriceError::Overflow)?;
        for used in demand.features {
            let each = match used.feature {
                Feature::Tools => allowances.tools,
                Feature::Image if self.images.is_none() => allowances.image,
                _ => None,
            };
            let each = each.ok_or_else(|| self.refused(used))?;
            let more = each.checked_mul(used.count).ok_or(PriceError::Overflow)?;
            bound = bound.checked_add(more).ok_or(PriceError::Overflow)?;
        }
        Ok(bound)
    }

    fn refused(&self, used: &FeatureUse) -> PriceError {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        PriceError::Feature {
            provider,
            model,
            feature: used.feature,
            found: used.found.clone(),
        }
    }

    fn sheet(&self, tier: ServiceTier) -> Result<&Sheet, PriceError> {
        let sheets = self.sheets.as_ref().map_err(Clone::clone)?;
        match tier {
            ServiceTier::Standard => Ok(&sheets.standard),
            ServiceTier::Flex => Ok(&sheets.flex),
            ServiceTier::Priority => sheets.priority.as_ref().ok_or_else(|| {
                let (provider, model) = (self.provider.clone(), self.model.clone());
                PriceError::Tier { provider, model, tier }
            }),
        }
    }
}

/// Where prices come from.
impl ModelPrices {
    pub(crate) fn listed_provider(&self) -> &str {
        &self.listed_provider
    }

    /// A line of the catalogue, known as `provider` and `model`.
    pub(crate) fn from_line(provider: &str, model: &str, line: &Line<'_>) -> Self {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let mut prices = Self {
            listed_provider: line.provider.to_string(),
            mode: owned(&line.mode),
            max_input_tokens: line.max_input_tokens,
            max_output_tokens: line.max_output_tokens,
            deprecation_date: owned(&line.deprecation_date),
            ..Self::unreadable(provider, model, "")
        };
        prices.sheets = prices.read(line);
        prices
    }

    /// A line of the catalogue that is not what it should be.
    pub(crate) fn unreadable(provider: &str, model: &str, detail: &str) -> Self {
        let (provider, model, detail) = (provider.to_owned(), model.to_owned(), detail.to_owned());
        Self {
            listed_provider: provider.clone(),
            mode: None,
            max_input_tokens: None,
            max_output_tokens: None,
            deprecation_date: None,
            sheets: Err(PriceError::Entry {
                provider: provider.clone(),
                model: model.clone(),
                detail,
            }),
            images: None,
            uplifts: Uplifts::NONE,
            region: Region::Undeclared,
            provider,
            model,
        }
    }

    /// The user's own price, with the catalogue's word on all but money.
    pub(crate) fn from_override(own: &Override, listed: Option<&Self>) -> Self {
        let mut prices = Self::unreadable(&own.provider, &own.model, "a price has too many digits");
        if let Some(listed) = listed {
            prices.mode.clone_from(&listed.mode);
            prices.max_input_tokens = listed.max_input_tokens;
            prices.max_output_tokens = listed.max_output_tokens;
            prices.deprecation_date.clone_from(&listed.deprecation_date);
        }
        prices.max_output_tokens = own.max_output_tokens.or(prices.max_output_tokens);
        if let Some(sheets) = own.gaps().complete() {
            prices.sheets = Ok(sheets);
        }
        prices
    }

    /// The line's prices, or why there are none. Also takes over what the line says of images and regions.
    fn read(&mut self, line: &Line<'_>) -> Result<Sheets, PriceError> {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        let needed: &[Class] = match line.mode.as_deref() {
            Some("chat" | "responses" | "completion") => &[Class::Input, Class::Output],
            Some("embedding") => &[Class::Input],
            other => {
                let mode = other.unwrap_or("unknown").to_owned();
                return Err(PriceError::Mode { provider, model, mode });
            }
        };
        let broken = |detail: String| PriceError::Entry {
            provider: self.provider.clone(),
            model: self.model.clone(),
            detail,
        };
        let listed = Listed::read(line).map_err(broken)?;
        let sheets = listed
            .gaps
            .complete()
            .ok_or_else(|| broken("a price has too many digits".to_owned()))?;
        (self.images, self.uplifts) = (listed.images, listed.uplifts);
        if let Some(field) = listed.unmetered {
            return Err(PriceError::Field { provider, model, field });
        }
        if needed.iter().any(|class| listed.gaps.base(*class).is_none()) {
            return Err(PriceError::Unpriced { provider, model });
        }
        Ok(sheets)
    }
}

#[cfg(test)]
mod tests;
