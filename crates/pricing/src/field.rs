//! Every price field of the catalogue and what becomes of it: the one table of what is computed, bounded and refused.

use model::{Feature, ServiceTier};

/// A class of tokens with a price of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Input, not cached.
    Input,
    /// Input read from the prompt cache.
    CacheRead,
    /// Input written to the cache for the default lifetime.
    CacheWrite,
    /// Input written to the cache for an hour.
    CacheWrite1h,
    /// Output.
    Output,
    /// The part of the output that is reasoning.
    Reasoning,
    /// Audio in.
    AudioInput,
    /// Audio read from the cache.
    AudioCacheRead,
    /// Audio written to the cache.
    AudioCacheWrite,
    /// Audio out.
    AudioOutput,
    /// Pictures in.
    ImageInput,
    /// Pictures read from the cache.
    ImageCacheRead,
    /// Pictures out.
    ImageOutput,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioCacheRead,
        Self::AudioCacheWrite,
        Self::AudioOutput,
        Self::ImageInput,
        Self::ImageCacheRead,
        Self::ImageOutput,
    ];
}

/// What a price that is not for tokens is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// One call.
    Call,
    /// A second of audio, in or out.
    Second,
    /// A character of text to be spoken.
    Character,
    /// A picture made.
    Picture,
    /// A picture: one made, for models that make pictures; one sent, for all others, which then refuse pictures.
    AnyPicture,
    /// A picture made whose longer edge has at most this many pixels.
    PictureUpTo(u32),
    /// A pixel of a picture made.
    Pixel,
}

/// What a price field of the catalogue means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Computed: the price of a class of tokens.
    Rate {
        /// The class.
        class: Class,
        /// The price holds for requests of more input tokens than this; 0 for every request.
        above: u64,
        /// The processing tier it belongs to.
        tier: ServiceTier,
    },
    /// Computed, for the kinds of work that are counted in it: a price that is not for tokens. Of several that state one
    /// charge in different units, one is charged: see [`crate::ModelPrices::cost`].
    Fee(Unit),
    /// Computed: a fee for each search of the web, by how much of what it finds is read.
    Search,
    /// Computed: prices by ranges of input tokens.
    Ranges,
    /// Computed: a factor on every price, by where the call is processed. See [`crate::Region`].
    Uplift(Place),
    /// Computed or never reached: `provider_specific_entry`. Its `us` is a factor for processing in the United States; its
    /// `fast` needs a request option, which is refused as [`Feature::UnpricedOption`]; prices do not depend on the rest.
    ProviderSpecific,
    /// Bounded: cheaper prices at certain hours. A call is priced without them, at the dearer list price.
    OffPeak,
    /// Refused with the feature: billed only when a request uses it.
    OnlyWith(Feature),
    /// Not reachable online: the price of work handed in as a batch, an endpoint that is refused.
    Offline,
    /// Refused with [`Feature::UnpricedOption`]: another processing tier, which a request has to ask for.
    OtherTier,
    /// No money: explains another field, or says the same in another currency or unit.
    Note,
    /// The model is refused, if above zero: billed in a unit that the usage figures do not hold.
    Unmetered,
}

/// Where a call is processed, as the catalogue names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The United States.
    Us,
    /// The European Union.
    Eu,
    /// Any endpoint that is bound to one region.
    AnyRegion,
}

/// Token classes. These names may carry a context threshold, then a tier: see [`Field::classify`].
const RATES: &[(&str, Class)] = &[
    ("input_cost_per_token", Class::Input),
    ("cache_read_input_token_cost", Class::CacheRead),
    // Two more names for it. Where a model lists several, the dearest counts.
    ("input_cost_per_token_cache_hit", Class::CacheRead),
    ("explicit_cache_read_input_token_cost", Class::CacheRead),
    ("cache_creation_input_token_cost", Class::CacheWrite),
    ("cache_creation_input_token_cost_above_1hr", Class::CacheWrite1h),
    ("output_cost_per_token", Class::Output),
    ("output_cost_per_reasoning_token", Class::Reasoning),
    ("input_cost_per_audio_token", Class::AudioInput),
    ("cache_read_input_audio_token_cost", Class::AudioCacheRead),
    ("cache_creation_input_audio_token_cost", Class::AudioCacheWrite),
    ("output_cost_per_audio_token", Class::AudioOutput),
    ("input_cost_per_image_token", Class::ImageInput),
    ("cache_read_input_image_token_cost", Class::ImageCacheRead),
    ("output_cost_per_image_token", Class::ImageOutput),
];

/// Everything else, without threshold and tier.
const OTHERS: &[(&str, Field)] = &[
    ("tiered_pricing", Field::Ranges),
    ("off_peak_pricing", Field::OffPeak),
    ("provider_specific_entry", Field::ProviderSpecific),
    ("regional_processing_uplift_multiplier_us", Field::Uplift(Place::Us)),
    ("regional_processing_uplift_multiplier_eu", Field::Uplift(Place::Eu)),
    ("regional_endpoint_uplift_multiplier", Field::Uplift(Place::AnyRegion)),
    // By the call.
    ("input_cost_per_query", Field::Fee(Unit::Call)),
    ("input_cost_per_request", Field::Fee(Unit::Call)),
    // Audio. Where a model lists seconds both in and out, they are one charge named twice.
    ("input_cost_per_second", Field::Fee(Unit::Second)),
    ("output_cost_per_second", Field::Fee(Unit::Second)),
    ("input_cost_per_character", Field::Fee(Unit::Character)),
    ("input_cost_per_audio_per_second", Field::OnlyWith(Feature::AudioInput)),
    // Pictures.
    ("input_cost_per_image", Field::Fee(Unit::AnyPicture)),
    ("output_cost_per_image", Field::Fee(Unit::Picture)),
    ("output_cost_per_image_0.5K", Field::Fee(Unit::PictureUpTo(512))),
    ("output_cost_per_image_512", Field::Fee(Unit::PictureUpTo(512))),
    ("output_cost_per_image_1K", Field::Fee(Unit::PictureUpTo(1_024))),
    ("output_cost_per_image_1024", Field::Fee(Unit::PictureUpTo(1_024))),
    ("output_cost_per_image_1536", Field::Fee(Unit::PictureUpTo(1_536))),
    ("output_cost_per_image_2K", Field::Fee(Unit::PictureUpTo(2_048))),
    ("output_cost_per_image_4K", Field::Fee(Unit::PictureUpTo(4_096))),
    // Made pictures both: the pixels of pictures sent are not priced by any model of the catalogue.
    ("input_cost_per_pixel", Field::Fee(Unit::Pixel)),
    ("output_cost_per_pixel", Field::Fee(Unit::Pixel)),
    // Searches. (Models that search unasked: see `listed`.)
    ("search_context_cost_per_query", Field::Search),
    // Video in: refused with the file that holds it.
    ("input_cost_per_video_token", Field::OnlyWith(Feature::File)),
    ("input_cost_per_video_per_second", Field::OnlyWith(Feature::File)),
    (
        "input_cost_per_video_per_second_above_8s_interval",
        Field::OnlyWith(Feature::File),
    ),
    (
        "input_cost_per_video_per_second_above_15s_interval",
        Field::OnlyWith(Feature::File),
    ),
    // Tools that the provider runs.
    (
        "google_maps_grounding_cost_per_query",
        Field::OnlyWith(Feature::HostedTool),
    ),
    (
        "code_interpreter_cost_per_session",
        Field::OnlyWith(Feature::HostedTool),
    ),
    (
        "computer_use_input_cost_per_1k_tokens",
        Field::OnlyWith(Feature::HostedTool),
    ),
    (
        "computer_use_output_cost_per_1k_tokens",
        Field::OnlyWith(Feature::HostedTool),
    ),
    ("file_search_cost_per_1k_calls", Field::OnlyWith(Feature::HostedTool)),
    ("file_search_cost_per_gb_per_day", Field::OnlyWith(Feature::HostedTool)),
    ("vector_store_cost_per_gb_per_day", Field::OnlyWith(Feature::HostedTool)),
    ("search_free_requests", Field::Note),
    ("web_search_billing_unit", Field::Note),
    // Databricks' own currency; the dollar prices stand beside it.
    ("input_dbu_cost_per_token", Field::Note),
    ("output_dbu_cost_per_token", Field::Note),
    // Units that a count of tokens does not hold.
    ("annotation_cost_per_page", Field::Unmetered),
    ("citation_cost_per_token", Field::Unmetered),
    ("cost_per_second", Field::Unmetered),
    ("guardrail_cost_per_unit", Field::Unmetered),
    ("input_cost_per_text_message", Field::Unmetered),
    ("ocr_cost_per_credit", Field::Unmetered),
    ("ocr_cost_per_page", Field::Unmetered),
    ("output_cost_per_character", Field::Unmetered),
    ("output_cost_per_second_480p", Field::Unmetered),
    ("output_cost_per_second_720p", Field::Unmetered),
    ("output_cost_per_second_768p", Field::Unmetered),
    ("output_cost_per_second_1080p", Field::Unmetered),
    ("output_cost_per_second_2k", Field::Unmetered),
    ("output_cost_per_second_4k", Field::Unmetered),
    ("output_cost_per_video_per_second", Field::Unmetered),
    ("output_cost_per_video_token", Field::Unmetered),
];

/// Endings that name a processing tier, and what becomes of its prices.
const TIERS: &[(&str, Result<ServiceTier, Field>)] = &[
    ("_flex", Ok(ServiceTier::Flex)),
    ("_priority", Ok(ServiceTier::Priority)),
    ("_batches", Err(Field::Offline)),
    ("_balanced", Err(Field::OtherTier)),
    ("_decisions", Err(Field::OtherTier)),
    ("_ultrafast", Err(Field::OtherTier)),
];

impl Field {
    /// What the field called `name` means, or `None` if nobody has decided that yet; a model that has such a field is
    /// refused, and a test keeps the shipped catalogue free of them.
    ///
    /// The grammar of a name is `base [_above_<N>k_tokens] [_<tier>]`.
    pub fn classify(name: &str) -> Option<Self> {
        let tier = TIERS
            .iter()
            .find_map(|&(ending, tier)| Some((name.strip_suffix(ending)?, tier)));
        let (rest, tier) = tier.unwrap_or((name, Ok(ServiceTier::Standard)));
        let (base, above) = split_threshold(rest);
        let class = RATES.iter().find(|(rate, _)| *rate == base).map(|&(_, class)| class);
        let other = || OTHERS.iter().find(|(other, _)| *other == base).map(|&(_, field)| field);
        match (class, tier) {
            (Some(class), Ok(tier)) => Some(Self::Rate { class, above, tier }),
            (None, Ok(_)) => other(),
            (Some(_), Err(unreached)) => Some(unreached),
            (None, Err(unreached)) => other().map(|_| unreached),
        }
    }
}

/// `x_above_200k_tokens` is `x` above 200,000 tokens; any other name is itself above 0.
fn split_threshold(name: &str) -> (&str, u64) {
    name.strip_suffix("k_tokens")
        .and_then(|rest| rest.rsplit_once("_above_"))
        .and_then(|(base, thousands)| Some((base, thousands.parse::<u64>().ok()?.checked_mul(1_000)?)))
        .unwrap_or((name, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let rate = |class, above, tier| Some(Field::Rate { class, above, tier });
        for (name, field) in [
            ("input_cost_per_token", rate(Class::Input, 0, ServiceTier::Standard)),
            ("input_cost_per_token_flex", rate(Class::Input, 0, ServiceTier::Flex)),
            (
                "output_cost_per_token_above_272k_tokens_priority",
                rate(Class::Output, 272_000, ServiceTier::Priority),
            ),
            (
                "cache_creation_input_token_cost_above_1hr",
                rate(Class::CacheWrite1h, 0, ServiceTier::Standard),
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                rate(Class::CacheWrite1h, 200_000, ServiceTier::Standard),
            ),
            ("input_cost_per_token_batches", Some(Field::Offline)),
            ("ocr_cost_per_page_batches", Some(Field::Offline)),
            (
                "input_cost_per_token_above_272k_tokens_ultrafast",
                Some(Field::OtherTier),
            ),
            (
                "input_cost_per_audio_token_priority",
                rate(Class::AudioInput, 0, ServiceTier::Priority),
            ),
            (
                "input_cost_per_image_above_128k_tokens",
                Some(Field::Fee(Unit::AnyPicture)),
            ),
            ("input_cost_per_request", Some(Field::Fee(Unit::Call))),
            ("output_cost_per_image_2K", Some(Field::Fee(Unit::PictureUpTo(2_048)))),
            (
                "code_interpreter_cost_per_session",
                Some(Field::OnlyWith(Feature::HostedTool)),
            ),
            ("citation_cost_per_token", Some(Field::Unmetered)),
            ("input_cost_per_token_above_1m_tokens", None),
            ("input_cost_per_token_turbo", None),
            ("supports_vision", None),
            ("", None),
        ] {
            assert_eq!(Field::classify(name), field, "{name}");
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        let mut names: Vec<_> = RATES
            .iter()
            .map(|(name, _)| name)
            .chain(OTHERS.iter().map(|(name, _)| name))
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
