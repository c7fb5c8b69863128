//! The prices of models that were asked for, read from the book once.

use std::{
    collections::{BTreeSet, HashMap},
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

    /// A credential that is narrowed to a model that none of these upstreams lists would work for nothing: most likely the
    /// name is misspelt. A listed model need not have a price.
    pub(crate) fn check_models(&self, upstreams: &[&Arc<UpstreamSpec>], models: &[String]) -> Result<(), String> {
        let lists = |upstream: &UpstreamSpec, model: &str| self.book.find(&upstream.prices, model).is_some();
        let listed = |model: &&String| upstreams.iter().any(|upstream| lists(upstream, model));
        match models.iter().find(|model| !listed(model)) {
            // Where no upstream is declared yet, nothing is known of their models.
            Some(unlisted) if !upstreams.is_empty() => {
                let providers = upstreams.iter().map(|upstream| upstream.prices.as_str()).collect();
                Err(self.explain_unlisted(unlisted, &providers))
            }
            _ => Ok(()),
        }
    }

    /// What to say about a model that none of these providers' prices list. Reads the whole book.
    fn explain_unlisted(&self, model: &str, providers: &BTreeSet<&str>) -> String {
        let models = self.book.models();
        let listed = models.filter(|listed| providers.contains(listed.provider()));
        // Where a name of the catalogue begins with its provider, requests leave that out.
        let names = listed.map(|listed| {
            let name = listed.model().strip_prefix(listed.provider());
            let name = name.and_then(|name| name.strip_prefix('/'));
            name.unwrap_or(listed.model()).to_owned()
        });
        let names: Vec<String> = names.collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = match model::nearest(model, &names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "one of your own needs a price under [[prices]] in bailiwick.toml".to_owned(),
        };
        format!("no upstream that the credential may reach has a model {model:?} in its prices: {hint}")
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
