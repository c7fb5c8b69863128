//! Every price there is: the shipped catalogue and the user's own.

use std::sync::Arc;

use model::Digest;

use crate::{
    CatalogueError, ModelPrices, Override, OverrideError, PriceError, catalogue::Catalogue, listed::Listed,
    picture::Variant,
};

/// The prices in force. Cheap to make and to ask: nothing is parsed before it is asked for.
#[derive(Clone, Debug)]
pub struct PriceBook {
    pub(crate) catalogue: Arc<Catalogue>,
    /// In order of provider and model.
    overrides: Vec<Override>,
}

impl PriceBook {
    /// The prices that this program ships.
    pub fn builtin() -> Self {
        Self {
            catalogue: Arc::new(Catalogue::shipped()),
            overrides: Vec::new(),
        }
    }

    /// The prices of another catalogue, in the form that this program ships or in the public one
    /// (`model_prices_and_context_window.json`), to compare with before it is trusted.
    ///
    /// # Errors
    /// What in the text is no catalogue. A single price that is not understood is no error here: its model is refused.
    pub fn from_catalogue(text: &str) -> Result<Self, CatalogueError> {
        Ok(Self {
            catalogue: Arc::new(Catalogue::read(text)?),
            overrides: Vec::new(),
        })
    }

    /// The same book with the user's own prices in front of the catalogue, in place of any it had.
    ///
    /// # Errors
    /// Two prices for one model, an empty name, a model without output.
    pub fn with_overrides(self, overrides: Vec<Override>) -> Result<Self, OverrideError> {
        let mut overrides = overrides;
        overrides.iter().try_for_each(Override::check)?;
        overrides.sort_by(|a, b| key(a).cmp(&key(b)));
        let pairs = overrides.iter().zip(overrides.iter().skip(1));
        if let Some((twice, _)) = pairs.into_iter().find(|(a, b)| key(a) == key(b)) {
            let (provider, model) = (twice.provider.clone(), twice.model.clone());
            return Err(OverrideError::Twice { provider, model });
        }
        Ok(Self { overrides, ..self })
    }

    /// What this book is known by in entries: the SHA-256 of the catalogue, followed by the overrides as JSON lines in
    /// the order of provider and model. Without overrides it is the digest of the file itself: for the
    /// shipped one `data/catalogue.jsonl`.
    ///
    /// Hashes the whole book (over a megabyte): ask once for each book.
    pub fn digest(&self) -> Digest {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(self.catalogue.text().as_bytes());
        for own in &self.overrides {
            // Text and integers only: there is nothing in an override that JSON cannot say.
            let line = serde_json::to_string(own).unwrap_or_else(|error| error.to_string());
            context.update(line.as_bytes());
            context.update(b"\n");
        }
        let mut digest = Digest([0; 32]);
        for (to, from) in digest.0.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        digest
    }

    /// The prices of a model, or `None` if nobody lists it. A model may be listed and still have no price:
    /// [`ModelPrices::refusal`] says so, and every computation with it.
    ///
    /// `provider` is a name of the catalogue's (`openai`, `anthropic`, `azure`, `mistral` ...), `model` the name that
    /// requests use. The catalogue's entry is `provider/model`, or else `model` if it is of that provider, or of what the
    /// catalogue calls `text-completion-` and that provider. Names must match exactly: a dated snapshot is found if it is listed, never by what its name begins with, since a later snapshot may
    /// well have another price.
    pub fn find(&self, provider: &str, model: &str) -> Option<ModelPrices> {
        let listed = self.listed(provider, model);
        match self.overrides.binary_search_by(|own| key(own).cmp(&(provider, model))) {
            Ok(at) => self
                .overrides
                .get(at)
                .map(|own| ModelPrices::from_override(own, listed.as_ref())),
            Err(_) => listed,
        }
    }

    /// As [`PriceBook::find`], for a call that needs a price.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`], or why the model has no price.
    pub fn require(&self, provider: &str, model: &str) -> Result<ModelPrices, PriceError> {
        let unknown = || PriceError::UnknownModel {
            provider: provider.to_owned(),
            model: model.to_owned(),
        };
        let prices = self.find(provider, model).ok_or_else(unknown)?;
        match prices.refusal() {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(prices),
        }
    }

    /// Every model of the catalogue, by the catalogue's name, then every override: for reports. Parses them all.
    pub fn models(&self) -> impl Iterator<Item = ModelPrices> + '_ {
        let listed = self.catalogue.names().filter_map(|name| self.named(name));
        listed.chain(
            self.overrides
                .iter()
                .filter_map(|own| self.find(&own.provider, &own.model)),
        )
    }

    /// The catalogue's entry of that name, under its own names.
    pub(crate) fn named(&self, name: &str) -> Option<ModelPrices> {
        self.entry(name, None)
    }

    fn listed(&self, provider: &str, model: &str) -> Option<ModelPrices> {
        let qualified = self.entry(&format!("{provider}/{model}"), Some((provider, model)));
        let listed = qualified.or_else(|| {
            // A name that is already qualified belongs to the model of the shorter name.
            let is_qualified = model.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'));
            let plain = if is_qualified {
                None
            } else {
                self.entry(model, Some((provider, model)))
            };
            plain.filter(|prices| sells(prices.listed_provider(), provider))
        });
        // Some models are listed by the sizes of their pictures alone.
        listed.or_else(|| {
            let (_, mut line) = self.catalogue.sizes(provider, model).next()?;
            line.prices.clear();
            Some(ModelPrices::from_line(
                provider,
                model,
                &line,
                self.variants(provider, model),
            ))
        })
    }

    /// The catalogue's entry of that name, to be known as the provider and model of `asked`, or under its own names.
    fn entry(&self, name: &str, asked: Option<(&str, &str)>) -> Option<ModelPrices> {
        let (provider, model) = asked.unzip();
        Some(match self.catalogue.line(name)? {
            Ok(line) => {
                let (provider, model) = (provider.unwrap_or(&line.provider), model.unwrap_or(name));
                let variants = if line.mode.as_deref() == Some("image_generation") {
                    let bare = model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
                    self.variants(provider, bare.unwrap_or(model))
                } else {
                    Vec::new()
                };
                ModelPrices::from_line(provider, model, &line, variants)
            }
            Err(error) => {
                ModelPrices::unreadable(provider.unwrap_or_default(), model.unwrap_or(name), &error.to_string())
            }
        })
    }

    /// The entries that price pictures of one size made by a model. One that cannot be read or has no price is left out: a
    /// request for that size is refused.
    fn variants(&self, provider: &str, model: &str) -> Vec<Variant> {
        let sizes = self.catalogue.sizes(provider, model);
        let variant = |(key, line): (crate::picture::Key<'_>, crate::catalogue::Line<'_>)| {
            let size = key.size.map(|(width, height)| format!("{width}x{height}"));
            let pictures = Listed::read(&line).ok()?.fees.pictures;
            Some(Variant {
                price: pictures.price(size.as_deref(), None).ok()?,
                size: key.size,
                quality: key.quality.filter(|quality| *quality != provider).map(str::to_owned),
            })
        };
        sizes.filter_map(variant).collect()
    }
}

/// Whether what the catalogue lists under `listed` is sold by `provider`. The catalogue has models that only complete
/// texts under names of their own (`text-completion-openai` has `gpt-3.5-turbo-instruct`): one server sells both.
fn sells(listed: &str, provider: &str) -> bool {
    listed.strip_prefix("text-completion-").unwrap_or(listed) == provider || listed == provider
}

fn key(own: &Override) -> (&str, &str) {
    (&own.provider, &own.model)
}

#[cfg(test)]
mod tests;
