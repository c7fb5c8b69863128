//! The prices of one model at one provider.

use model::{FeatureUse, ServiceTier, Work};

use crate::{
    Class, Override, Price, PriceError, Region, SearchContext,
    catalogue::Line,
    fee::{Fees, Searching},
    listed::{Listed, Uplifts},
    picture::{Priceless, Variant},
    sheet::{Rates, Sheet, Sheets},
};

mod bill;
mod bound;

/// What a request can make the provider do at most.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// What kind of work it asks for.
    pub work: &'a Work,
    /// Bytes of the request's body as sent upstream, not compressed; an audio file to be transcribed included. A text never
    /// has more tokens than bytes. The bytes of an inline image may be left out if `features` names the image: it is billed
    /// by its pixels. Those of inline audio may not: they bound how long it plays.
    pub request_bytes: u64,
    /// Output tokens that the request allows for each choice, as written into it. Of no account for other work than
    /// [`Work::Generate`].
    pub output_limit: u64,
    /// How many answers it asks for (`n`); 0 counts as 1.
    pub choices: u64,
    /// Searches of the web that it allows at most, by a tool with a declared maximum. A search tool without one is a
    /// [`model::Feature::HostedTool`], which is refused.
    pub searches: u64,
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
    tariff: Result<Tariff, PriceError>,
    region: Region,
    scope: Option<Scope>,
    search_context: Option<SearchContext>,
}

/// All that a model charges.
#[derive(Clone, Debug)]
struct Tariff {
    sheets: Sheets,
    fees: Fees,
    uplifts: Uplifts,
    /// Pictures sent are billed by the piece, which the usage figures do not count: they are refused.
    refuses_images: bool,
    /// The work it has prices for.
    kinds: Vec<Kind>,
}

/// A kind of work, without its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Generate,
    Embed,
    Images,
    Speech,
    Transcribe,
    Free,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Generate,
        Self::Embed,
        Self::Images,
        Self::Speech,
        Self::Transcribe,
        Self::Free,
    ];

    fn of(work: &Work) -> Self {
        match work {
            Work::Generate => Self::Generate,
            Work::Embed => Self::Embed,
            Work::Images { .. } => Self::Images,
            Work::Speech { .. } => Self::Speech,
            Work::Transcribe { .. } => Self::Transcribe,
            Work::Free => Self::Free,
        }
    }

    /// For messages and reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Generate => "text",
            Self::Embed => "embeddings",
            Self::Images => "pictures",
            Self::Speech => "speech",
            Self::Transcribe => "transcription",
            Self::Free => "free work",
        }
    }
}

/// What is known of the call that is priced.
#[derive(Clone, Debug)]
struct Scope {
    work: Work,
    /// It sends audio.
    audio: bool,
    /// It sends images.
    images: bool,
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
        self.tariff.as_ref().err()
    }

    /// The same prices where calls are processed in `region`. Without this, a model whose price depends on the region is
    /// priced at the dearest.
    #[must_use]
    pub fn in_region(self, region: Region) -> Self {
        Self { region, ..self }
    }

    /// The same prices for a call within `demand`: both its worst case and its cost. Without this, what depends on the
    /// request is priced at its dearest: a picture whose price depends on its size and quality, cached tokens that may have
    /// been audio or images.
    #[must_use]
    pub fn for_call(self, demand: &Demand<'_>) -> Self {
        let uses = |feature| demand.features.iter().any(|used| used.feature == feature);
        let scope = Scope {
            work: demand.work.clone(),
            audio: uses(model::Feature::AudioInput) || matches!(demand.work, Work::Transcribe { .. }),
            images: uses(model::Feature::Image),
        };
        Self {
            scope: Some(scope),
            ..self
        }
    }

    /// The same prices for calls whose searches read that much, where the reply says so. Without this, searches cost what
    /// the dearest costs.
    #[must_use]
    pub fn in_search_context(self, context: SearchContext) -> Self {
        Self {
            search_context: Some(context),
            ..self
        }
    }

    fn tariff(&self) -> Result<&Tariff, PriceError> {
        self.tariff.as_ref().map_err(Clone::clone)
    }

    fn sheet(&self, tier: ServiceTier) -> Result<&Sheet, PriceError> {
        let sheets = &self.tariff()?.sheets;
        match tier {
            ServiceTier::Standard => Ok(&sheets.standard),
            ServiceTier::Flex => Ok(&sheets.flex),
            ServiceTier::Priority => sheets.priority.as_ref().ok_or_else(|| {
                let (provider, model) = (self.provider.clone(), self.model.clone());
                PriceError::Tier { provider, model, tier }
            }),
        }
    }

    /// The price of a class, as a call like this one may be billed. Usage figures do not say what cached tokens were, so
    /// where the call may have sent audio or images, the dearest counts.
    fn rate(&self, rates: &Rates, class: Class) -> Option<Price> {
        let audio = self.scope.as_ref().is_none_or(|scope| scope.audio);
        let images = self.scope.as_ref().is_none_or(|scope| scope.images);
        let also = |may: bool, class| if may { rates.get(class) } else { None };
        let other = match class {
            Class::CacheRead => also(audio, Class::AudioCacheRead).max(also(images, Class::ImageCacheRead)),
            Class::CacheWrite | Class::CacheWrite1h => also(audio, Class::AudioCacheWrite),
            _ => None,
        };
        rates.get(class).max(other)
    }

    /// The price of a picture like those asked for; `None` if the model does not bill by the picture.
    fn picture(&self) -> Result<Option<Price>, PriceError> {
        let pictures = &self.tariff()?.fees.pictures;
        let (size, quality) = match self.scope.as_ref().map(|scope| &scope.work) {
            None => (None, None),
            Some(Work::Images { size, quality, .. }) => (size.clone(), quality.clone()),
            Some(_) => return Ok(None),
        };
        let hint = match pictures.price(size.as_deref(), quality.as_deref()) {
            Ok(price) => return Ok(Some(price)),
            Err(Priceless::NotByPicture) => return Ok(None),
            Err(Priceless::SizeNeeded) => "it is billed by the pixel, so the request must say the size",
            Err(Priceless::Unlisted) => "ask for a size and a quality that the price catalogue lists for it",
        };
        Err(PriceError::Picture {
            provider: self.provider.clone(),
            model: self.model.clone(),
            size,
            quality,
            hint,
        })
    }
}

/// For reports.
impl ModelPrices {
    pub(crate) fn kinds(&self) -> &[Kind] {
        self.tariff.as_ref().map_or(&[], |tariff| &tariff.kinds)
    }

    pub(crate) fn searches_unasked(&self) -> bool {
        self.tariff
            .as_ref()
            .is_ok_and(|tariff| tariff.fees.searching == Searching::Unasked)
    }
}

/// Where prices come from.
impl ModelPrices {
    pub(crate) fn listed_provider(&self) -> &str {
        &self.listed_provider
    }

    /// A line of the catalogue, known as `provider` and `model`, with the entries that price pictures of one size.
    pub(crate) fn from_line(provider: &str, model: &str, line: &Line<'_>, variants: Vec<Variant>) -> Self {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let mut prices = Self {
            listed_provider: line.provider.to_string(),
            mode: owned(&line.mode),
            max_input_tokens: line.max_input_tokens,
            max_output_tokens: line.max_output_tokens,
            deprecation_date: owned(&line.deprecation_date),
            ..Self::unreadable(provider, model, "")
        };
        prices.tariff = prices.read(line, variants);
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
            tariff: Err(PriceError::Entry {
                provider: provider.clone(),
                model: model.clone(),
                detail,
            }),
            region: Region::Undeclared,
            scope: None,
            search_context: None,
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
            let mut tariff = Tariff {
                sheets,
                fees: own.fees(),
                uplifts: Uplifts::NONE,
                refuses_images: false,
                kinds: Vec::new(),
            };
            tariff.kinds = Kind::ALL.into_iter().filter(|kind| tariff.prices(*kind)).collect();
            prices.tariff = Ok(tariff);
        }
        prices
    }

    /// The line's prices, or why there are none.
    fn read(&self, line: &Line<'_>, variants: Vec<Variant>) -> Result<Tariff, PriceError> {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        let kinds: &[Kind] = match line.mode.as_deref() {
            Some("chat" | "responses" | "completion") => &[Kind::Generate],
            Some("embedding") => &[Kind::Embed],
            Some("image_generation") => &[Kind::Images, Kind::Generate],
            Some("audio_speech") => &[Kind::Speech],
            Some("audio_transcription") => &[Kind::Transcribe],
            Some("moderation") => &[Kind::Free],
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
        let mut listed = Listed::read(line).map_err(broken)?;
        if kinds == [Kind::Free] {
            listed.free_text();
        }
        let sheets = listed
            .gaps
            .complete()
            .ok_or_else(|| broken("a price has too many digits".to_owned()))?;
        listed.fees.pictures.variants = variants;
        let counts_pictures = sheets.standard.at(0).get(Class::ImageOutput).is_some();
        if kinds == [Kind::Generate] && listed.fees.pictures.is_priced() && !counts_pictures {
            // A conversation may hold any number of pictures.
            listed.unmetered.get_or_insert("output_cost_per_image".to_owned());
        }
        if let Some(field) = listed.unmetered {
            return Err(PriceError::Field { provider, model, field });
        }
        let mut tariff = Tariff {
            sheets,
            fees: listed.fees,
            uplifts: listed.uplifts,
            refuses_images: listed.images.is_some(),
            kinds: Vec::new(),
        };
        // Models that make pictures and say text prices only: those are for steps, not for conversations.
        let fits = |kind: Kind| kind != Kind::Generate || kinds == [Kind::Generate] || counts_pictures;
        tariff.kinds = kinds
            .iter()
            .copied()
            .filter(|kind| fits(*kind) && tariff.prices(*kind))
            .collect();
        if tariff.kinds.is_empty() {
            return Err(PriceError::Unpriced { provider, model });
        }
        Ok(tariff)
    }
}

impl Tariff {
    /// Whether there are prices for that kind of work.
    fn prices(&self, kind: Kind) -> bool {
        let base = self.sheets.standard.at(0);
        let has = |class| base.get(class).is_some();
        let fees = &self.fees;
        let spoken = fees.second.is_some();
        match kind {
            Kind::Generate => {
                let pictures = fees.pictures.is_priced() && !has(Class::ImageOutput);
                has(Class::Input) && has(Class::Output) && !pictures
            }
            Kind::Embed => has(Class::Input) || fees.call.is_some(),
            Kind::Images => fees.pictures.is_priced() || has(Class::ImageOutput),
            Kind::Speech => spoken || fees.character.is_some() || has(Class::AudioOutput),
            Kind::Transcribe => spoken || has(Class::AudioInput),
            Kind::Free => true,
        }
    }
}

#[cfg(test)]
mod tests;
