//! A price catalogue: JSON lines sorted by model name, searched where they lie and parsed one model at a time.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    compact::{CatalogueError, compact},
    picture::Key,
};

/// Made by `cargo xtask prices`; see `data/README.md`. Tests read every line of it.
pub(crate) const SHIPPED: &str = include_str!("../data/catalogue.jsonl");

/// The lines of a catalogue, in the order of their models' names.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    text: Cow<'static, str>,
    lines: Vec<Range<usize>>,
    /// The lines that price pictures of one size, by the model's name at the end of theirs.
    sizes: BTreeMap<String, Vec<usize>>,
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
        Self::of(Cow::Borrowed(SHIPPED))
    }

    /// Reads a catalogue in the shipped form or in the public one, and checks that it is one.
    pub(crate) fn read(text: &str) -> Result<Self, CatalogueError> {
        let is_compact = text
            .lines()
            .next()
            .is_some_and(|line| serde_json::from_str::<Line<'_>>(line).is_ok());
        if !is_compact {
            return Ok(Self::of(Cow::Owned(compact(text)?)));
        }
        let mut names = BTreeSet::new();
        for (at, written) in text.lines().enumerate() {
            let wrong = |detail: String| CatalogueError::new(format!("line {}: {detail}", at + 1));
            let line: Line<'_> = serde_json::from_str(written).map_err(|error| wrong(error.to_string()))?;
            // Where lines are searched, they are not parsed: in another spelling the model would not be found.
            if name(written) != line.model {
                return Err(wrong(format!(
                    "the line must begin with {{\"model\":\"NAME\" without blanks or escapes, for the model {:?}",
                    line.model
                )));
            }
            if names.last().is_some_and(|last| *last >= line.model) {
                return Err(wrong(format!(
                    "the model {:?} is out of order or listed twice",
                    line.model
                )));
            }
            names.insert(line.model);
        }
        Ok(Self::of(Cow::Owned(text.to_owned())))
    }

    fn of(text: Cow<'static, str>) -> Self {
        let mut lines = Vec::new();
        let mut sizes = BTreeMap::<String, Vec<usize>>::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let key = name(line);
            if key.contains("-x-")
                && let Some(key) = Key::read(key)
            {
                sizes.entry(key.model.to_owned()).or_default().push(lines.len());
            }
            let end = start + line.len();
            lines.push(start..end);
            start = end;
        }
        Self { text, lines, sizes }
    }

    /// The whole file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The line of exactly this name. `Err` is what is wrong with the line.
    pub(crate) fn line(&self, wanted: &str) -> Option<Result<Line<'_>, serde_json::Error>> {
        let at = self
            .lines
            .binary_search_by(|range| self.text.get(range.clone()).map_or("", name).cmp(wanted));
        self.nth(at.ok()?).map(serde_json::from_str)
    }

    /// The lines that price pictures of one size made by a model, with what their names say.
    pub(crate) fn sizes(&self, provider: &str, model: &str) -> impl Iterator<Item = (Key<'_>, Line<'_>)> {
        // Some repeat the provider's name before the model's.
        let qualified = format!("{provider}/{model}");
        let at = [model, &qualified].map(|name| self.sizes.get(name));
        let lines = at.into_iter().flatten().flatten().filter_map(|at| self.nth(*at));
        let provider = provider.to_owned();
        lines.filter_map(move |line| {
            let parsed: Line<'_> = serde_json::from_str(line).ok()?;
            (parsed.provider == provider).then_some((Key::read(name(line))?, parsed))
        })
    }

    /// Every name, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + '_ {
        self.lines
            .iter()
            .filter_map(|range| self.text.get(range.clone()))
            .map(name)
    }

    fn nth(&self, at: usize) -> Option<&str> {
        self.text.get(self.lines.get(at)?.clone())
    }
}

/// The name at the start of a line. Names need no unescaping: [`compact`] sees to that.
fn name(line: &str) -> &str {
    let name = line.strip_prefix(r#"{"model":""#).and_then(|rest| rest.split_once('"'));
    name.map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_would_not_be_found_is_refused() {
        let line = |model: &str| format!(r#"{{"model":{model},"provider":"p","prices":{{}}}}"#);
        assert!(Catalogue::read(&line(r#""a/b""#)).is_ok());
        for text in [
            line(r#""a\\b""#),
            line(r#""a\u002fb""#),
            line(r#" "a""#),
            line(r#""a""#).replacen('{', "{ ", 1),
        ] {
            let error = Catalogue::read(&text).unwrap_err().to_string();
            assert!(error.starts_with("line 1: the line must begin with"), "{text}: {error}");
        }
    }

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

    #[test]
    fn both_forms_are_read_and_others_are_not() {
        let public = r#"{"b": {"litellm_provider": "p", "mode": "chat"}, "a": {"litellm_provider": "p"}}"#;
        let read = Catalogue::read(public).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Catalogue::read(read.text()).unwrap().text(), read.text());
        assert_eq!(
            Catalogue::read(SHIPPED).unwrap().names().count(),
            Catalogue::shipped().names().count()
        );

        let line = |name: &str| format!("{{\"model\":{name:?},\"provider\":\"p\",\"prices\":{{}}}}\n");
        for (text, says) in [
            (String::new(), "EOF"),
            ("prices".to_owned(), "expected value"),
            (line("b") + &line("a"), "line 2: the model \"a\" is out of order"),
            (line("a") + &line("a"), "listed twice"),
            (line("a") + "{}\n", "line 2: missing field"),
            (line("a") + "\n" + &line("b"), "line 2: EOF"),
        ] {
            let error = Catalogue::read(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
