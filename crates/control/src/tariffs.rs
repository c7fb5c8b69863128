//! The prices of models that were asked for, read from the book once.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use pricing::{ModelPrices, PriceBook, PriceError, Region};

use crate::UpstreamSpec;

/// A price book and what was looked up in it. It belongs to one picture, so a new book starts with nothing looked up;
/// models that the book does not know are not kept, so it never holds more than the book has.
#[derive(Debug)]
pub(crate) struct Tariffs {
    book: Arc<PriceBook>,
    found: RwLock<HashMap<(String, String), ModelPrices>>,
}

impl Tariffs {
    pub(crate) fn new(book: Arc<PriceBook>) -> Self {
        Self {
            book,
            found: RwLock::default(),
        }
    }

    /// The prices of a model behind an upstream, or why its calls cannot be priced.
    pub(crate) fn of(&self, upstream: &UpstreamSpec, model: &str) -> Result<ModelPrices, PriceError> {
        let key = (upstream.name.to_string(), model.to_owned());
        // A poisoned lock only means that somebody died while looking up: what is there is right.
        let found = self
            .found
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some(prices) = found {
            return Ok(prices);
        }
        let prices = self
            .book
            .require(&upstream.prices, model)?
            .in_region(Region::of_host(upstream.host()));
        let mut known = self.found.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(key, prices.clone());
        Ok(prices)
    }
}
