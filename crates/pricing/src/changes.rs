//! What a new catalogue changes, to be read before it is trusted: prices have been entered a hundred times too low.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use serde_json::Value;

use crate::{ModelPrices, Price, PriceBook, catalogue::Line, report::class};

/// One difference between two catalogues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The catalogue's name of the model.
    pub model: String,
    /// What changed.
    pub what: What,
}

/// What changed about a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added {
        /// What becomes of it, as [`PriceBook::classes`] says.
        class: String,
    },
    /// It is gone: calls to it are refused from now on.
    Removed {
        /// What became of it so far.
        class: String,
    },
    /// Something else becomes of it.
    Class {
        /// So far.
        old: String,
        /// From now on.
        new: String,
    },
    /// A price, or what explains one.
    Field {
        /// The catalogue's name of the field; of a part of one, names and positions joined by dots.
        field: String,
        /// The old value as the catalogue writes it: decimal dollars, or text. `None`: there was none.
        old: Option<String>,
        /// The new value. `None`: there is none any more.
        new: Option<String>,
        /// New ÷ old to two decimals, where both are prices above zero.
        ratio: Option<String>,
        /// More than twice, or less than half: look at it. Also from zero and to zero.
        jump: bool,
    },
}

impl Change {
    /// Whether a person should look at it before the catalogue is trusted.
    pub fn is_jump(&self) -> bool {
        matches!(self.what, What::Field { jump: true, .. })
    }
}

/// What `new` changes, by model name; a model that stays unchanged is not named. Compares the catalogues, without the user's
/// own prices, which stand in front of either.
pub fn diff(old: &PriceBook, new: &PriceBook) -> Vec<Change> {
    let (old, new) = (Entries::of(old), Entries::of(new));
    let mut changes = Vec::new();
    let mut push = |model: &str, what| {
        let model = model.to_owned();
        changes.push(Change { model, what });
    };
    let mut names: Vec<&String> = old.0.keys().chain(new.0.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        match (old.0.get(name), new.0.get(name)) {
            (Some(old), None) => {
                let class = old.class.clone();
                push(name, What::Removed { class });
            }
            (None, Some(new)) => {
                let class = new.class.clone();
                push(name, What::Added { class });
            }
            (Some(old), Some(new)) => {
                if old.class != new.class {
                    let (old, new) = (old.class.clone(), new.class.clone());
                    push(name, What::Class { old, new });
                }
                fields(old, new).for_each(|what| push(name, what));
            }
            (None, None) => {}
        }
    }
    changes
}

/// A catalogue, taken apart.
struct Entries(BTreeMap<String, Entry>);

struct Entry {
    class: String,
    /// Values by field, flattened.
    fields: BTreeMap<String, String>,
}

impl Entries {
    fn of(book: &PriceBook) -> Self {
        let entry = |name: &str| {
            let prices: ModelPrices = book.named(name)?;
            let mut fields = BTreeMap::new();
            if let Some(Ok(line)) = book.catalogue.line(name) {
                flatten_line(&line, &mut fields);
            }
            let class = class(&prices);
            Some((name.to_owned(), Entry { class, fields }))
        };
        Self(book.catalogue.names().filter_map(entry).collect())
    }
}

fn flatten_line(line: &Line<'_>, fields: &mut BTreeMap<String, String>) {
    for (name, value) in &line.prices {
        match serde_json::from_str(value.get()) {
            Ok(value) => flatten(name, &value, fields),
            Err(_) => drop(fields.insert(name.to_string(), value.get().to_owned())),
        }
    }
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                flatten(&format!("{path}.{at}"), item, fields);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&format!("{path}.{name}"), member, fields);
            }
        }
        Value::String(text) => drop(fields.insert(path.to_owned(), text.clone())),
        other => drop(fields.insert(path.to_owned(), other.to_string())),
    }
}

fn fields<'a>(old: &'a Entry, new: &'a Entry) -> impl Iterator<Item = What> + 'a {
    let mut names: Vec<&String> = old.fields.keys().chain(new.fields.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|name| {
        let (old, new) = (old.fields.get(name), new.fields.get(name));
        if old == new {
            return None;
        }
        let price = |text: Option<&String>| text.and_then(|text| text.parse::<Price>().ok());
        let prices = price(old).zip(price(new));
        let (ratio, jump) = prices.map_or((None, false), |(old, new)| compare(old, new));
        Some(What::Field {
            field: name.clone(),
            old: old.cloned(),
            new: new.cloned(),
            ratio,
            jump,
        })
    })
}

/// `new` ÷ `old` for people, and whether it is above two or below a half.
fn compare(old: Price, new: Price) -> (Option<String>, bool) {
    if old.is_zero() || new.is_zero() {
        return (None, old != new);
    }
    let doubled = |price: Price| Price::new(2, 0).and_then(|two| price.checked_mul(two));
    // What cannot be doubled has so many digits that somebody should look at it anyway.
    let above = |a: Price, b: Price| doubled(b).is_none_or(|twice| a.cmp(&twice) == Ordering::Greater);
    (ratio(old, new), above(new, old) || above(old, new))
}

/// `new` ÷ `old`, rounded to two decimals; `None` if it takes too many digits to compute.
fn ratio(old: Price, new: Price) -> Option<String> {
    let (old_scale, new_scale) = (u32::from(old.scale()), u32::from(new.scale()));
    let raise = |price: Price, by: u32| u128::from(price.mantissa()).checked_mul(10_u128.checked_pow(by)?);
    let old_digits = raise(old, new_scale.saturating_sub(old_scale))?;
    let new_digits = raise(new, old_scale.saturating_sub(new_scale))?;
    let hundredths = new_digits
        .checked_mul(100)?
        .checked_add(old_digits / 2)?
        .checked_div(old_digits)?;
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.model;
        match &self.what {
            What::Added { class } => write!(f, "{model}: new ({class})"),
            What::Removed { class } => write!(f, "{model}: gone ({class})"),
            What::Class { old, new } => write!(f, "{model}: was {old}, is {new}"),
            What::Field {
                field,
                old,
                new,
                ratio,
                jump,
            } => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
                write!(f, "{model}: {field} {} -> {}", shown(old), shown(new))?;
                if let Some(ratio) = ratio {
                    write!(f, " (x {ratio})")?;
                }
                if *jump {
                    f.write_str("  LOOK: more than twice or less than half")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(text: &str) -> PriceBook {
        PriceBook::from_catalogue(text).unwrap()
    }

    #[test]
    fn every_difference_is_told_and_jumps_are_marked() {
        let old = book(
            r#"{
            "gone": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
            "jumps": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
            "same": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
            "steps": {"litellm_provider": "p", "mode": "chat",
                "tiered_pricing": [{"range": [0, 1000], "input_cost_per_token": 1e-6, "output_cost_per_token": 3e-6}]},
            "loses": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
        }"#,
        );
        let new = book(
            r#"{
            "jumps": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 2e-6, "output_cost_per_token": 2e-8,
                "cache_read_input_token_cost": 1e-7},
            "loses": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 0},
            "new": {"litellm_provider": "p", "mode": "rerank", "input_cost_per_query": 0.002},
            "same": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 0.000001, "output_cost_per_token": 2e-6},
            "steps": {"litellm_provider": "p", "mode": "chat",
                "tiered_pricing": [{"range": [0, 1000], "input_cost_per_token": 1.005e-6, "output_cost_per_token": 3e-6}]}
        }"#,
        );
        let changes = diff(&old, &new);
        let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "gone: gone (priced: text)",
                "jumps: cache_read_input_token_cost none -> 0.0000001",
                "jumps: input_cost_per_token 0.000001 -> 0.000002 (x 2.00)",
                "jumps: output_cost_per_token 0.000002 -> 0.00000002 (x 0.01)  LOOK: more than twice or less than half",
                "loses: was priced: text, is refused: no complete price",
                "loses: output_cost_per_token 0.000002 -> 0  LOOK: more than twice or less than half",
                "new: new (refused: the kind rerank)",
                "steps: tiered_pricing.0.input_cost_per_token 0.000001 -> 0.000001005 (x 1.01)",
            ]
        );
        assert_eq!(changes.iter().filter(|change| change.is_jump()).count(), 2);
        assert_eq!(diff(&new, &new), []);
    }
}
