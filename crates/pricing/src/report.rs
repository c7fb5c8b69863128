//! What becomes of each model of a catalogue.

use std::{collections::BTreeMap, fmt};

use crate::{ModelPrices, PriceBook, PriceError};

/// The models of a price book by what becomes of them. Shown, it is a table of classes and how many models are in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(BTreeMap<String, Vec<String>>);

impl PriceBook {
    /// Which models are priced, and for what, and which are refused, and why. Parses the whole catalogue.
    pub fn classes(&self) -> Classes {
        let mut classes = BTreeMap::<String, Vec<String>>::new();
        for prices in self.models() {
            let name = prices.model().to_owned();
            classes.entry(class(&prices)).or_default().push(name);
        }
        Classes(classes)
    }
}

impl Classes {
    /// The classes in alphabetical order, each with the catalogue's names of its models.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(class, models)| (class.as_str(), models.as_slice()))
    }
}

/// What becomes of a model, in a few words.
pub(crate) fn class(prices: &ModelPrices) -> String {
    match prices.refusal() {
        None => {
            let kinds: Vec<&str> = prices.kinds().iter().map(|kind| kind.word()).collect();
            let searches = if prices.searches_unasked() {
                ", where a maximum of searches is declared"
            } else {
                ""
            };
            format!("priced: {}{searches}", kinds.join(" and "))
        }
        Some(PriceError::Unpriced { .. }) => "refused: no complete price".to_owned(),
        Some(PriceError::Field { field, .. }) => format!("refused: also billed by {field}"),
        Some(PriceError::Mode { mode, .. }) => format!("refused: the kind {mode}"),
        Some(_) => "refused: its prices cannot be read".to_owned(),
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (class, models) in self.iter() {
            writeln!(f, "{:>6}  {class}", models.len())?;
        }
        Ok(())
    }
}
