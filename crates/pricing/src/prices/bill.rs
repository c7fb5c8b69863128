//! What a call cost.

use model::{NanoUsd, ServiceTier, Usage, Work};

use super::ModelPrices;
use crate::{
    Class, Price, PriceError,
    amount::{Term, total},
    fee::Searching,
    sheet::Rates,
};

/// The terms of a bill while they are added up.
struct Bill<'a> {
    prices: &'a ModelPrices,
    terms: Vec<Term>,
    flat: Vec<Term>,
}

impl Bill<'_> {
    /// Bills `count` of the usage class of that name. No price for what was used is an error, never a zero.
    fn add(&mut self, class: &'static str, count: u64, price: Option<Price>) -> Result<(), PriceError> {
        match price {
            Some(price) => self.terms.push((count, price)),
            None if count == 0 => {}
            None => return Err(self.unpriced(class, count)),
        }
        Ok(())
    }

    fn unpriced(&self, class: &'static str, count: u64) -> PriceError {
        PriceError::Usage {
            provider: self.prices.provider.clone(),
            model: self.prices.model.clone(),
            class,
            count,
        }
    }

    /// Text in and out.
    fn text(&mut self, usage: &Usage, rates: &Rates) -> Result<(), PriceError> {
        let (reasoning, output) = (usage.reasoning, usage.output);
        let answer = output
            .checked_sub(reasoning)
            .ok_or(PriceError::Contradiction { reasoning, output })?;
        for (word, count, class) in [
            ("input", usage.input, Class::Input),
            ("cache_read", usage.cache_read, Class::CacheRead),
            ("cache_write", usage.cache_write, Class::CacheWrite),
            ("cache_write_1h", usage.cache_write_1h, Class::CacheWrite1h),
            ("output", answer, Class::Output),
            ("reasoning", reasoning, Class::Reasoning),
        ] {
            self.add(word, count, self.prices.rate(rates, class))?;
        }
        Ok(())
    }

    /// Audio is one charge, which the usage may state in tokens, in characters and in seconds: it is billed in the first of
    /// these that the model prices.
    fn audio(&mut self, usage: &Usage, rates: &Rates) -> Result<(), PriceError> {
        let fees = &self.prices.tariff()?.fees;
        let tokens = [
            ("audio_input", usage.audio_input, rates.get(Class::AudioInput)),
            ("audio_output", usage.audio_output, rates.get(Class::AudioOutput)),
        ];
        let mut counted = tokens.iter().filter(|(_, count, _)| *count > 0).peekable();
        if counted.peek().is_some() && counted.all(|(_, _, price)| price.is_some()) {
            return tokens
                .into_iter()
                .try_for_each(|(word, count, price)| self.add(word, count, price));
        }
        let millisecond = match fees.second {
            Some(price) => Some(price.per_thousand().ok_or(PriceError::Overflow)?),
            None => None,
        };
        let others = [
            ("characters", usage.characters, fees.character),
            ("audio_ms", usage.audio_ms, millisecond),
        ];
        let stated = others.into_iter().filter(|(_, count, _)| *count > 0);
        let used = tokens
            .into_iter()
            .filter(|(_, count, _)| *count > 0)
            .chain(stated.clone());
        let chosen = stated.clone().find(|(_, _, price)| price.is_some()).or_else(|| {
            // Nothing fits: the first that was used names what has no price.
            used.clone().find(|(_, _, price)| price.is_none())
        });
        chosen.map_or(Ok(()), |(word, count, price)| self.add(word, count, price))
    }

    /// Pictures made are one charge, stated in tokens or by the piece.
    fn pictures(&mut self, usage: &Usage, rates: &Rates) -> Result<(), PriceError> {
        self.add("image_input", usage.image_input, self.image_input(rates)?)?;
        match rates.get(Class::ImageOutput) {
            Some(price) if usage.image_output > 0 => self.add("image_output", usage.image_output, Some(price)),
            // The model is billed by tokens, of the prompt as well, and none were counted: the pieces are not all of it.
            Some(_) if usage.images > 0 && usage.input_total() == 0 => Err(self.unpriced("images", usage.images)),
            _ if usage.images > 0 => {
                let price = self.prices.picture()?;
                self.add("images", usage.images, price)
            }
            price => self.add("image_output", usage.image_output, price),
        }
    }

    fn image_input(&self, rates: &Rates) -> Result<Option<Price>, PriceError> {
        let refused = self.prices.tariff()?.refuses_images;
        Ok(rates.get(Class::ImageInput).filter(|_| !refused))
    }

    /// What does not depend on where the call is processed.
    fn fees(&mut self, usage: &Usage) -> Result<(), PriceError> {
        let fees = &self.prices.tariff()?.fees;
        let search = fees.search.map(|fees| fees.fee(self.prices.search_context));
        let free = self
            .prices
            .scope
            .as_ref()
            .is_some_and(|scope| matches!(scope.work, Work::Free));
        if !free {
            self.flat.extend(fees.call.map(|price| (1, price)));
        }
        match (fees.searching, search) {
            (Searching::EveryCall, Some(price)) if !free => self.flat.push((1, price)),
            (_, Some(price)) => self.flat.push((usage.searches, price)),
            (_, None) if usage.searches > 0 => return Err(self.unpriced("searches", usage.searches)),
            (_, None) => {}
        }
        Ok(())
    }
}

impl ModelPrices {
    /// What a call with this `usage` costs, served in `tier` (what the reply says, not what was asked for).
    ///
    /// A tier that the catalogue does not price: flex is billed at the standard prices, which are never below it; priority
    /// is an error. Cached reads without a price of their own are billed as input, as are cache writes (for Claude models
    /// at Anthropic's surcharges), reasoning as output, images sent as text.
    ///
    /// Providers state one charge in several units: a transcription in tokens of audio and in seconds, a picture in tokens
    /// and by the piece. Tokens are billed where the usage counts them and the model prices them; else what else it states.
    /// Pieces alone are not enough where the model prices tokens of pictures: its prompt is billed as well.
    ///
    /// # Errors
    /// `Usage`, `Contradiction`, `Picture`, `Tier`, `Overflow`, or the model's refusal. The right thing to book then is the
    /// hold, in full.
    pub fn cost(&self, usage: &Usage, tier: ServiceTier) -> Result<NanoUsd, PriceError> {
        let rates = self.sheet(tier)?.at(usage.input_total());
        let mut bill = Bill {
            prices: self,
            terms: Vec::new(),
            flat: Vec::new(),
        };
        bill.text(usage, rates)?;
        bill.audio(usage, rates)?;
        bill.pictures(usage, rates)?;
        bill.fees(usage)?;
        let factor = self.tariff()?.uplifts.factor(self.region);
        total(&bill.terms, factor, &bill.flat)
    }
}
