//! Prices that are not for tokens.

use crate::{Price, field::Unit, picture::Pictures};

/// What one model charges besides tokens. What is absent has no price; zeros of the catalogue are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fees {
    /// For each call.
    pub(crate) call: Option<Price>,
    /// For a second of audio.
    pub(crate) second: Option<Price>,
    /// For a character spoken.
    pub(crate) character: Option<Price>,
    /// For pictures made.
    pub(crate) pictures: Pictures,
    /// For a search, by what is read of its results.
    pub(crate) search: Option<SearchFees>,
    /// When searches are charged.
    pub(crate) searching: Searching,
}

/// Who decides that a search is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Searching {
    /// The request, by offering a tool for it.
    #[default]
    Asked,
    /// The model, as often as it likes.
    Unasked,
    /// Nobody: the fee is part of every call, whatever is searched.
    EveryCall,
}

/// How much of the results of a search the model reads: the caller's option `search_context_size`, and what the fee
/// depends on at some providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchContext {
    /// Little.
    Low,
    /// The default of most providers.
    Medium,
    /// Much.
    High,
}

/// The fee of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SearchFees {
    pub(crate) low: Price,
    pub(crate) medium: Price,
    pub(crate) high: Price,
}

impl SearchFees {
    /// Where the context is not known, the dearest.
    pub(crate) fn fee(&self, context: Option<SearchContext>) -> Price {
        match context {
            Some(SearchContext::Low) => self.low,
            Some(SearchContext::Medium) => self.medium,
            Some(SearchContext::High) => self.high,
            None => self.low.max(self.medium).max(self.high),
        }
    }
}

impl Fees {
    /// Lists a price; of two for the same thing the dearer counts. `makes_pictures`: whether the model is one that makes
    /// pictures, see [`Unit::AnyPicture`].
    pub(crate) fn list(&mut self, unit: Unit, price: Price, makes_pictures: bool) {
        let slot = match unit {
            Unit::Call => &mut self.call,
            Unit::Second => &mut self.second,
            Unit::Character => &mut self.character,
            Unit::Picture => &mut self.pictures.each,
            Unit::AnyPicture if makes_pictures => &mut self.pictures.each,
            Unit::AnyPicture => return,
            Unit::Pixel => &mut self.pictures.pixel,
            Unit::PictureUpTo(edge) => {
                self.pictures.up_to.push((edge, price));
                return;
            }
        };
        *slot = Some(price).max(*slot);
    }
}
