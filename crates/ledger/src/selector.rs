//! Selectors: which requests a rule is about.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap as _};

use crate::{Label, Labels};

/// The most values that a selector names for one label.
pub const MAX_VALUES: usize = 32;

/// Which requests a rule is about: those that have one of the values of every label named. One that names no label selects
/// all requests. A value that ends in `*` stands for all that begin so.
///
/// In entries and files it is a map from labels to lists of values. There may be many thousands, each with few values, so it
/// is kept as one text: a map of lists of texts would take several times the memory.
///
/// The text has an item for each value, by label and then in the order the values were given in: a letter for the label, the
/// length of the value in bytes, a colon, the value. A label without values has one item without a length and a value.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector(Box<str>);

/// The values that a selector names for one label, in the order they were given in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Values<'a>(Items<'a>);

/// The items of a part of a selector's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Items<'a>(&'a str);

impl<'a> Items<'a> {
    /// The first, and what is behind it.
    fn first(self) -> Option<(Label, Option<&'a str>, Self)> {
        let (head, rest) = self.0.split_once(':')?;
        let (letter, length) = head.split_at_checked(1)?;
        let label = letter_labels().find(|(known, _)| letter.starts_with(*known))?.1;
        if length.is_empty() {
            return Some((label, None, Self(rest)));
        }
        let (value, rest) = rest.split_at_checked(length.parse().ok()?)?;
        Some((label, Some(value), Self(rest)))
    }
}

fn letter_labels() -> impl Iterator<Item = (char, Label)> {
    ('A'..).zip(Label::ALL)
}

impl<'a> Values<'a> {
    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (_, value, behind) = rest.first()?;
            rest = behind;
            value
        })
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is none: then no request is selected.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Copies, to change.
    pub fn to_vec(self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }

    fn matches(self, value: &str) -> bool {
        self.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => value.starts_with(prefix),
            None => pattern == value,
        })
    }

    /// Whether some value fits both one of these and this pattern.
    fn meets(self, pattern: &str) -> bool {
        let Some(prefix) = pattern.strip_suffix('*') else {
            return self.matches(pattern);
        };
        self.iter().any(|other| match other.strip_suffix('*') {
            Some(other) => other.starts_with(prefix) || prefix.starts_with(other),
            None => other.starts_with(prefix),
        })
    }
}

impl Selector {
    /// The requests with one value of one label.
    pub fn of(label: Label, value: &str) -> Self {
        Self::from_iter([(label, vec![value.to_owned()])])
    }

    /// Names these values for a label, in place of those that it named.
    pub fn set(&mut self, label: Label, values: Vec<String>) {
        let before = self.iter().map(|(label, values)| (label, values.to_vec()));
        *self = before.chain([(label, values)]).collect();
    }

    /// The values that it names for a label, if it names the label.
    pub fn get(&self, label: Label) -> Option<Values<'_>> {
        self.iter().find(|(other, _)| *other == label).map(|(_, values)| values)
    }

    /// The labels it names with their values, in order of the labels.
    pub fn iter(&self) -> impl Iterator<Item = (Label, Values<'_>)> + Clone {
        let mut rest = Items(&self.0);
        std::iter::from_fn(move || {
            let (label, _, mut behind) = rest.first()?;
            while let Some((other, _, next)) = behind.first()
                && other == label
            {
                behind = next;
            }
            let values = rest.0.strip_suffix(behind.0)?;
            rest = behind;
            Some((label, Values(Items(values))))
        })
    }

    /// The labels it names.
    pub fn labels(&self) -> impl Iterator<Item = Label> {
        self.iter().map(|(label, _)| label)
    }

    /// Whether it names no label, and so selects all requests.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is about a request with these labels.
    pub fn selects(&self, labels: &Labels<'_>) -> bool {
        self.iter().all(|(label, values)| match label {
            Label::Tool => labels.tools.iter().any(|tool| values.matches(tool)),
            _ => labels.get(label).is_some_and(|value| values.matches(value)),
        })
    }

    /// Whether it could be about a request of which only these labels are known: those that vary from one request of an agent
    /// to the next are not asked for.
    pub fn may_select(&self, known: &Labels<'_>) -> bool {
        let mut fixed = self.iter().filter(|(label, _)| label.is_fixed());
        fixed.all(|(label, values)| known.get(label).is_some_and(|value| values.matches(value)))
    }

    /// Whether some request could be selected by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.iter().all(|(label, values)| {
            let others = other.get(label);
            // A request may offer the tools of both.
            label == Label::Tool || others.is_none_or(|others| values.iter().any(|value| others.meets(value)))
        })
    }

    /// Whether it is about any request at all: not if a label has no value that a request can have.
    pub fn can_select(&self) -> bool {
        self.iter()
            .all(|(_, values)| values.iter().any(|value| !value.is_empty()))
    }
}

/// Of a label that comes twice, the values that come last are named.
impl FromIterator<(Label, Vec<String>)> for Selector {
    fn from_iter<T: IntoIterator<Item = (Label, Vec<String>)>>(labels: T) -> Self {
        let labels: BTreeMap<_, _> = labels.into_iter().collect();
        let mut text = String::new();
        for (letter, label) in letter_labels() {
            let Some(values) = labels.get(&label) else { continue };
            if values.is_empty() {
                text.extend([letter, ':']);
            }
            for value in values {
                let _ = write!(text, "{letter}{}:{value}", value.len());
            }
        }
        Self(text.into())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.iter().count()))?;
        for (label, values) in self.iter() {
            map.serialize_entry(&label, &values)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<Label, Vec<String>>::deserialize(deserializer)?;
        Ok(labels.into_iter().collect())
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// `team data, environment production or test`; `all requests`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all requests");
        }
        for (at, (label, values)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{label} {}", values.to_vec().join(" or "))?;
        }
        Ok(())
    }
}
