//! The shipped catalogue: JSON lines sorted by model name, searched where they lie and parsed one model at a time.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

/// Made by `cargo xtask prices`; see `data/README.md`. Tests read every line of it.
pub(crate) const SHIPPED: &str = include_str!("../data/catalogue.jsonl");

/// The lines of a catalogue, in the order of their models' names.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    lines: Vec<&'static str>,
}

/// One line. Prices are parsed when they are needed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line<'a> {
    /// The catalogue's own name of the entry.
    #[serde(borrow)]
    pub(crate) model: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) provider: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) mode: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) max_input_tokens: Option<u64>,
    #[serde(default)]
    pub(crate) max_output_tokens: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) deprecation_date: Option<Cow<'a, str>>,
    /// By the catalogue's name of the field; every number in a value is decimal text.
    #[serde(borrow)]
    pub(crate) prices: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

impl Catalogue {
    /// The catalogue that this program ships.
    pub(crate) fn shipped() -> Self {
        Self {
            lines: SHIPPED.lines().collect(),
        }
    }

    /// The line of exactly this name. `Err` is what is wrong with the line.
    pub(crate) fn line(&self, name: &str) -> Option<Result<Line<'static>, serde_json::Error>> {
        let at = self.lines.binary_search_by(|line| key(line).cmp(name)).ok()?;
        self.lines.get(at).map(|line| serde_json::from_str(line))
    }

    /// Every name, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.lines.iter().map(|line| key(line))
    }
}

/// The name at the start of a line. Names need no unescaping: `cargo xtask prices` sees to that.
fn key(line: &str) -> &str {
    let name = line.strip_prefix(r#"{"model":""#).and_then(|rest| rest.split_once('"'));
    name.map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_order_and_is_found_by_its_name() {
        let catalogue = Catalogue::shipped();
        let names: Vec<_> = catalogue.names().collect();
        assert!(names.len() > 4_000, "{}", names.len());
        assert!(names.is_sorted_by(|a, b| a < b));
        for name in names {
            assert_eq!(catalogue.line(name).unwrap().unwrap().model, name);
        }
        assert!(catalogue.line("gpt-4o-min").is_none());
        assert!(catalogue.line("").is_none());
    }
}
