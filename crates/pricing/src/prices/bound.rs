//! What a call can cost at most.

use model::{Feature, FeatureUse, NanoUsd, ServiceTier, Work};

use super::{Demand, Kind, ModelPrices, Tariff};
use crate::{
    Allowances, Class, Price, PriceError,
    amount::{Term, total},
    fee::Searching,
    sheet::Rates,
};

/// How much a request can bring in.
#[derive(Clone, Copy, Debug, Default)]
struct Input {
    /// Tokens of text, hidden preambles and search results included.
    text: u64,
    /// Tokens of images sent.
    images: u64,
    /// Milliseconds of audio, in or out.
    audio_ms: u64,
    /// Tokens of that audio.
    audio: u64,
    /// Searches.
    searches: u64,
}

impl ModelPrices {
    /// The most that a call within `demand` can cost. Ask it, like the cost, of the prices [`ModelPrices::for_call`].
    ///
    /// Text in is bounded by the request's bytes plus the allowances, priced at the dearest class it could be billed as, in
    /// any context step within reach; text out by its limit times the choices, at the dearest of what the model can put out.
    /// Audio is bounded by the bytes that hold it or the characters that are spoken, pictures by their number, searches by
    /// their declared maximum. Where one charge can be stated in several units, the dearest statement counts.
    ///
    /// Providers may serve a call in the standard tier instead of the one asked for (OpenAI says so of priority), and the
    /// reply tells: so the dearer of both counts.
    ///
    /// # Errors
    /// Every [`PriceError`] but `UnknownModel`, `Usage` and `Contradiction`.
    pub fn worst_case(&self, demand: &Demand<'_>, allowances: &Allowances) -> Result<NanoUsd, PriceError> {
        let tariff = self.tariff()?;
        let kind = Kind::of(demand.work);
        if kind != Kind::Free && !tariff.kinds.contains(&kind) {
            return Err(PriceError::Work {
                provider: self.provider.clone(),
                model: self.model.clone(),
                work: kind.word(),
            });
        }
        if kind == Kind::Free {
            return Ok(NanoUsd::ZERO);
        }
        let input = self.input(tariff, demand, allowances)?;
        let rates = self.reachable(demand, &input)?;
        self.check_features(tariff, demand, &rates)?;

        let mut terms = self.input_terms(&input, &rates);
        let (tokens, classes) = self.output_bound(demand, allowances, &input)?;
        let stated = self.other_statements(tariff, demand, &input)?;
        let flat = self.flat(tariff, &input);
        let factor = tariff.uplifts.factor(self.region);
        // Stated otherwise than in tokens, there may still be text beside it.
        let text = rates.dearest(&[Class::Output, Class::Reasoning]).unwrap_or_default();
        let audio_in = rates.get(Class::AudioInput).filter(|_| input.audio > 0);
        let in_tokens = [
            (input.audio, audio_in.max(self.dearest_text(&rates)).unwrap_or_default()),
            (tokens, rates.dearest(classes).unwrap_or_default()),
        ];
        let mut worst = NanoUsd::ZERO;
        let ways = stated.iter().map(|term| [*term, (tokens, text)]);
        for way in ways.chain([in_tokens]) {
            let common = terms.len();
            terms.extend(way);
            worst = worst.max(total(&terms, factor, &flat)?);
            terms.truncate(common);
        }
        Ok(worst)
    }

    /// The most tokens that a call within `demand` can be counted in and out: what its worst case is reckoned from.
    ///
    /// # Errors
    /// As [`ModelPrices::worst_case`].
    pub fn worst_tokens(&self, demand: &Demand<'_>, allowances: &Allowances) -> Result<(u64, u64), PriceError> {
        if *demand.work == Work::Free {
            return Ok((0, 0));
        }
        let input = self.input(self.tariff()?, demand, allowances)?;
        let (output, _) = self.output_bound(demand, allowances, &input)?;
        let heard = if matches!(demand.work, Work::Speech { .. }) {
            0
        } else {
            input.audio
        };
        let tokens = [input.images, heard].into_iter().try_fold(input.text, u64::checked_add);
        Ok((tokens.ok_or(PriceError::Overflow)?, output))
    }

    fn input(&self, tariff: &Tariff, demand: &Demand<'_>, allowances: &Allowances) -> Result<Input, PriceError> {
        let mut input = Input {
            text: demand.request_bytes,
            ..Input::default()
        };
        let uses_audio = demand.features.iter().any(|used| used.feature == Feature::AudioInput);
        let bits = match demand.work {
            Work::Transcribe { file_bytes } => {
                // What stands around the file is text.
                input.text = demand.request_bytes.saturating_sub(*file_bytes);
                Some(*file_bytes)
            }
            Work::Generate if uses_audio => Some(demand.request_bytes),
            _ => None,
        };
        if let Some(bytes) = bits {
            input.audio_ms = over(u128::from(bytes) * 8_000, allowances.audio_bitrate)?;
        } else if let Work::Speech { characters } = demand.work {
            // A short text may be drawn out.
            let characters = u128::from(*characters).max(10);
            input.audio_ms = over(characters * u128::from(allowances.character_ms), 1)?;
        }
        input.audio = over(u128::from(input.audio_ms) * u128::from(allowances.audio_tokens), 1_000)?;
        input.searches = self.searches(tariff, demand, allowances)?;

        let mut text = u128::from(input.text) + u128::from(allowances.request);
        let mut images = 0;
        if input.searches > 0 {
            let each = allowances.search_input.ok_or_else(|| self.searches_refused(demand))?;
            text += u128::from(each) * u128::from(input.searches);
        }
        for used in demand.features {
            let (each, sum) = match used.feature {
                Feature::Tools => (allowances.tools, &mut text),
                Feature::Image => (allowances.image, &mut images),
                _ => continue,
            };
            let each = each.ok_or_else(|| self.refused(used))?;
            *sum += u128::from(each) * u128::from(used.count);
        }
        (input.text, input.images) = (over(text, 1)?, over(images, 1)?);
        Ok(input)
    }

    fn searches(&self, tariff: &Tariff, demand: &Demand<'_>, allowances: &Allowances) -> Result<u64, PriceError> {
        let unasked = match tariff.fees.searching {
            Searching::Unasked => allowances.searches.ok_or_else(|| PriceError::Searches {
                provider: self.provider.clone(),
                model: self.model.clone(),
            })?,
            Searching::Asked | Searching::EveryCall => 0,
        };
        let searches = unasked.max(demand.searches);
        if searches > 0 && tariff.fees.search.is_none() {
            return Err(self.searches_refused(demand));
        }
        Ok(searches)
    }

    fn searches_refused(&self, demand: &Demand<'_>) -> PriceError {
        PriceError::Feature {
            provider: self.provider.clone(),
            model: self.model.clone(),
            feature: Feature::HostedTool,
            found: format!("{} searches of the web", demand.searches),
        }
    }

    /// Class by class the dearest price of every tier and context step that the call can end up in.
    fn reachable(&self, demand: &Demand<'_>, input: &Input) -> Result<Rates, PriceError> {
        let audio = if matches!(demand.work, Work::Speech { .. }) {
            0
        } else {
            input.audio
        };
        let bound = [input.images, audio].into_iter().try_fold(input.text, u64::checked_add);
        let bound = bound.ok_or(PriceError::Overflow)?;
        let dearest = |tier| -> Result<Rates, PriceError> {
            let mut steps = self.sheet(tier)?.reachable(bound);
            let base = steps.next().copied().unwrap_or_default();
            Ok(steps.fold(base, |rates, step| rates.dearer(step)))
        };
        let (standard, asked) = (dearest(ServiceTier::Standard)?, dearest(demand.tier)?);
        // What the work is made of, whether or not a feature asks for it, has a price in both tiers or no bound.
        let made_of = match demand.work {
            Work::Generate | Work::Images { .. } => Some(Class::ImageOutput),
            Work::Speech { .. } => Some(Class::AudioOutput),
            Work::Transcribe { .. } => Some(Class::AudioInput),
            Work::Embed | Work::Free => None,
        };
        if made_of.is_some_and(|class| standard.get(class).is_some() && asked.get(class).is_none()) {
            let (provider, model) = (self.provider.clone(), self.model.clone());
            let tier = demand.tier;
            return Err(PriceError::Tier { provider, model, tier });
        }
        Ok(standard.both(&asked))
    }

    /// Features that this model has no price for, or that nothing bounds.
    fn check_features(&self, tariff: &Tariff, demand: &Demand<'_>, rates: &Rates) -> Result<(), PriceError> {
        let generates = *demand.work == Work::Generate;
        let has = |class| rates.get(class).is_some();
        for used in demand.features {
            let bounded = match used.feature {
                Feature::Tools => generates,
                Feature::Image => !tariff.refuses_images && has(Class::ImageInput),
                Feature::AudioInput => generates && has(Class::AudioInput),
                Feature::AudioOutput => generates && has(Class::AudioOutput),
                _ => false,
            };
            if !bounded {
                return Err(self.refused(used));
            }
        }
        Ok(())
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

    fn dearest_text(&self, rates: &Rates) -> Option<Price> {
        let classes = [Class::Input, Class::CacheRead, Class::CacheWrite, Class::CacheWrite1h];
        classes.into_iter().filter_map(|class| self.rate(rates, class)).max()
    }

    /// Input that is billed in tokens in any case.
    fn input_terms(&self, input: &Input, rates: &Rates) -> Vec<Term> {
        // A model without a price for text is not billed by it; if its usage says otherwise, that has no price.
        let text = self.dearest_text(rates);
        let image = rates.get(Class::ImageInput).max(text);
        let terms = [(input.text, text), (input.images, image)].into_iter();
        terms.filter_map(|(count, price)| Some((count, price?))).collect()
    }

    /// How many tokens the call can put out, and the classes they can be of.
    fn output_bound(
        &self,
        demand: &Demand<'_>,
        allowances: &Allowances,
        input: &Input,
    ) -> Result<(u64, &'static [Class]), PriceError> {
        const TEXT: &[Class] = &[Class::Output, Class::Reasoning, Class::ImageOutput];
        const AUDIO: &[Class] = &[Class::Output, Class::Reasoning, Class::ImageOutput, Class::AudioOutput];
        let speaks = demand.features.iter().any(|used| used.feature == Feature::AudioOutput);
        Ok(match demand.work {
            Work::Generate => {
                let tokens = demand.output_limit.checked_mul(demand.choices.max(1));
                (tokens.ok_or(PriceError::Overflow)?, if speaks { AUDIO } else { TEXT })
            }
            Work::Images { count, quality, .. } => {
                let each = self.picture_tokens(allowances, quality.as_deref())?;
                (each.checked_mul((*count).max(1)).ok_or(PriceError::Overflow)?, TEXT)
            }
            Work::Speech { .. } => (input.audio, AUDIO),
            Work::Transcribe { .. } => (input.audio.max(self.max_output_tokens().unwrap_or(0)), TEXT),
            Work::Embed | Work::Free => (0, TEXT),
        })
    }

    /// The most tokens a picture is billed; 0 for a model that is not billed by tokens at all.
    fn picture_tokens(&self, allowances: &Allowances, quality: Option<&str>) -> Result<u64, PriceError> {
        let base = self.sheet(ServiceTier::Standard)?.at(0);
        let by_tokens = base.get(Class::ImageOutput).is_some() || base.get(Class::Output).is_some();
        let known = allowances.picture.map(|picture| picture.of(quality));
        match known.or(self.max_output_tokens()) {
            Some(tokens) => Ok(tokens),
            None if !by_tokens => Ok(0),
            None => Err(PriceError::Picture {
                provider: self.provider.clone(),
                model: self.model.clone(),
                size: None,
                quality: quality.map(str::to_owned),
                hint: "it is billed by tokens, and how many a picture takes is not known",
            }),
        }
    }

    /// What the usage may state instead of tokens of audio and pictures.
    fn other_statements(&self, tariff: &Tariff, demand: &Demand<'_>, input: &Input) -> Result<Vec<Term>, PriceError> {
        let mut stated = Vec::new();
        match demand.work {
            Work::Images { count, .. } => {
                let by_tokens = self
                    .sheet(ServiceTier::Standard)?
                    .at(0)
                    .get(Class::ImageOutput)
                    .is_some();
                let price = match self.picture() {
                    // Tokens bound it as well; a usage without them then has no price.
                    Err(_) if by_tokens => None,
                    price => price?,
                };
                stated.extend(price.map(|price| ((*count).max(1), price)));
            }
            Work::Speech { .. } | Work::Transcribe { .. } => {
                if let Some(price) = tariff.fees.second {
                    stated.push((input.audio_ms, price.per_thousand().ok_or(PriceError::Overflow)?));
                }
            }
            Work::Generate | Work::Embed | Work::Free => {}
        }
        if let (Work::Speech { characters }, Some(price)) = (demand.work, tariff.fees.character) {
            stated.push((*characters, price));
        }
        Ok(stated)
    }

    /// What does not depend on where the call is processed.
    fn flat(&self, tariff: &Tariff, input: &Input) -> Vec<Term> {
        let fees = &tariff.fees;
        let search = fees.search.map(|fees| fees.fee(self.search_context));
        let searches = match fees.searching {
            Searching::EveryCall => 1,
            Searching::Asked | Searching::Unasked => input.searches,
        };
        let call = fees.call.map(|price| (1, price));
        call.into_iter().chain(search.map(|price| (searches, price))).collect()
    }
}

/// `sum` / `by`, rounded up.
fn over(sum: u128, by: u64) -> Result<u64, PriceError> {
    let by = u128::from(by);
    let whole = sum.checked_next_multiple_of(by).and_then(|sum| sum.checked_div(by));
    whole
        .and_then(|whole| u64::try_from(whole).ok())
        .ok_or(PriceError::Overflow)
}
