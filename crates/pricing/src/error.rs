//! Why a call has no price or no bound. The texts go to the caller: they name what is missing and how to add it.

use model::{Feature, ServiceTier};

/// Why a price cannot be told. Every case is a refusal under a money budget: an unknown price is never taken for zero.
///
/// The text is meant for the caller: it repeats names the caller sent, and nothing of the system's inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Neither the catalogue nor the user's prices have the model. See [`crate::PriceBook::require`].
    #[error(
        "no price is known for the model {model:?} of the provider {provider:?}. {}",
        add(provider, model)
    )]
    UnknownModel {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
    },
    /// The catalogue lists the model without the prices above zero that its kind needs. That is as often "not entered" as
    /// "free", so it is refused until someone says which.
    #[error(
        "the price catalogue has no complete price for the model {model:?} of the provider {provider:?}. {}",
        add(provider, model)
    )]
    Unpriced {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
    },
    /// The model is of a kind that is billed in ways no call here reports (video, realtime, reranking, search, OCR ...).
    #[error("models of the kind {mode:?}, such as {model:?} of the provider {provider:?}, are not priced")]
    Mode {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// The catalogue's word for the kind; `unknown` where it has none.
        mode: String,
    },
    /// The model has prices, but not for what the request wants of it: an embedding of a chat model, say.
    #[error("the model {model:?} of the provider {provider:?} has no price for {work}")]
    Work {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// What the request wants, in a word.
        work: &'static str,
    },
    /// The catalogue lists a price that the usage figures do not cover.
    #[error(
        "the model {model:?} of the provider {provider:?} is also billed by {field:?}, which is not priced. {} to price it without that",
        add(provider, model)
    )]
    Field {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// The catalogue's name of the price.
        field: String,
    },
    /// The model is billed by the picture, but no price is known for pictures like those asked for.
    #[error(
        "no price is known for pictures of the size {} and the quality {} by the model {model:?} of the provider {provider:?}; {hint}",
        open(size.as_deref()),
        open(quality.as_deref())
    )]
    Picture {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// The size asked for.
        size: Option<String>,
        /// The quality asked for.
        quality: Option<String>,
        /// What to do about it.
        hint: &'static str,
    },
    /// The model searches the web whenever it likes, for a fee each time.
    #[error(
        "the model {model:?} of the provider {provider:?} searches the web unasked, for a fee each time, and no maximum of searches is declared for it; use a model that searches only when asked"
    )]
    Searches {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
    },
    /// The catalogue's entry cannot be read.
    #[error(
        "the catalogue's prices of the model {model:?} of the provider {provider:?} cannot be read ({detail}). {}",
        add(provider, model)
    )]
    Entry {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The request uses something whose cost has no known bound.
    #[error(
        "the request uses {feature} ({found}), whose cost on the model {model:?} of the provider {provider:?} has no known bound; send the request without it"
    )]
    Feature {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// The feature.
        feature: Feature,
        /// Where in the request it was found, as [`model::FeatureUse::found`] says.
        found: String,
    },
    /// The model has no prices for the processing tier.
    #[error("the model {model:?} of the provider {provider:?} has no known {} prices; ask for the standard service tier", tier_word(*.tier))]
    Tier {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// The tier asked for.
        tier: ServiceTier,
    },
    /// The provider reports usage in a class for which the model has no price. Book the hold in full.
    #[error(
        "the usage has {count} in {class:?}, for which the model {model:?} of the provider {provider:?} has no price"
    )]
    Usage {
        /// The provider's name in the catalogue.
        provider: String,
        /// The model as asked for.
        model: String,
        /// The field of [`model::Usage`].
        class: &'static str,
        /// What it says.
        count: u64,
    },
    /// The usage figures contradict each other. Book the hold in full.
    #[error("the usage figures contradict each other: {reasoning} reasoning tokens in an output of {output}")]
    Contradiction {
        /// Reasoning tokens, which ought to be part of the output.
        reasoning: u64,
        /// Output tokens.
        output: u64,
    },
    /// The amount does not fit: above about 9.2 billion dollars.
    #[error("the amount is too large to compute; lower the output limit or shorten the request")]
    Overflow,
}

/// How to add a price: one sentence, for the end of a message.
fn add(provider: &str, model: &str) -> String {
    format!(
        "Add a [[prices]] table to bailiwick.toml with provider = {provider:?}, model = {model:?}, and input and output \
         in dollars per million tokens (\"0\" if it is free)"
    )
}

fn open(chosen: Option<&str>) -> String {
    chosen.map_or("left open".to_owned(), |text| format!("{text:?}"))
}

fn tier_word(tier: ServiceTier) -> &'static str {
    match tier {
        ServiceTier::Standard => "standard",
        ServiceTier::Flex => "flex",
        ServiceTier::Priority => "priority",
    }
}
