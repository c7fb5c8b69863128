//! The tools the parts of the request reader share: where we are, what was found, which fields an object has had.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use model::{Feature, FeatureUse};

use super::ParseError;
use crate::json::{Kind, Reader, Text};

/// The longest name of a model or a tool, in bytes. Names reach policies and entries, so they must be bounded; OpenAI
/// allows 64 for a tool, Anthropic 128.
pub const MAX_NAME_BYTES: usize = 256;

/// A position in the request, kept on the stack while reading and spelled out only for a finding or an error.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Body,
    Member(&'p Place<'p>, &'static str),
    Item(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    pub(super) fn member(&'p self, name: &'static str) -> Place<'p> {
        Place::Member(self, name)
    }

    pub(super) fn item(&'p self, index: usize) -> Place<'p> {
        Place::Item(self, index)
    }

    pub(super) fn must_be(&self, wanted: &'static str) -> ParseError {
        ParseError::Field {
            field: self.to_string(),
            wanted,
        }
    }

    /// The name of a field here that we may not know.
    fn any_member(&self, name: &str) -> String {
        match self {
            Place::Body => shown(name),
            _ => format!("{self}.{}", shown(name)),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the request body"),
            Self::Member(Place::Body, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What of a key or a type name may be shown: its beginning, with nothing in it that could break a line.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 64;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// What was found in the request so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) features: Vec<FeatureUse>,
    pub(super) hour_cache: bool,
}

impl Findings {
    /// Counts one use of a feature; `found` says where and is asked only the first time.
    pub(super) fn note(&mut self, feature: Feature, found: impl FnOnce() -> String) {
        self.note_many(feature, 1, found);
    }

    pub(super) fn note_many(&mut self, feature: Feature, count: u64, found: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        match self.features.iter_mut().find(|known| known.feature == feature) {
            Some(known) => known.count = known.count.saturating_add(count),
            None => self.features.push(FeatureUse {
                feature,
                count,
                found: found(),
            }),
        }
    }
}

/// The fields of one kind of object that matter, and which of them one such object has had.
pub(super) struct Fields<'a, T: 'static> {
    table: &'static [(&'static str, T)],
    seen: u64,
    others: Option<BTreeSet<Cow<'a, str>>>,
}

impl<'a, T: Copy> Fields<'a, T> {
    /// None had yet. `table` has at most 64 rows.
    pub(super) fn new(table: &'static [(&'static str, T)]) -> Self {
        Self {
            table,
            seen: 0,
            others: None,
        }
    }

    /// Fields that do not matter may not come twice either.
    pub(super) fn refusing_every_duplicate(mut self) -> Self {
        self.others = Some(BTreeSet::new());
        self
    }

    /// The row of `key`, or `None` if it does not matter. A key that matters is refused the second time, and so is one
    /// that differs from it only in case: servers written in Go read both as the same, which would be a way around us.
    pub(super) fn admit(&mut self, key: Text<'a>, place: &Place<'_>) -> Result<Option<(&'static str, T)>, ParseError> {
        let key = key.decoded();
        let row = (0_u32..)
            .zip(self.table)
            .find(|(_, (name, _))| name.eq_ignore_ascii_case(&key));
        let Some((index, (name, field))) = row else {
            return match &mut self.others {
                Some(others) if others.contains(&key) => Err(ParseError::Duplicate(place.any_member(&key))),
                Some(others) => {
                    others.insert(key);
                    Ok(None)
                }
                None => Ok(None),
            };
        };
        if *name != key {
            return Err(ParseError::Case {
                found: place.any_member(&key),
                known: name,
            });
        }
        let bit = 1_u64.checked_shl(index).unwrap_or(0);
        if self.seen & bit != 0 {
            return Err(ParseError::Duplicate(place.any_member(name)));
        }
        self.seen |= bit;
        Ok(Some((name, *field)))
    }
}

impl<T> Fields<'_, T> {
    /// Whether the object has had the field `name`, which is in the table.
    pub(super) fn has(&self, name: &str) -> bool {
        let row = (0_u32..).zip(self.table).find(|(_, (known, _))| *known == name);
        row.is_some_and(|(index, _)| self.seen & 1_u64.checked_shl(index).unwrap_or(0) != 0)
    }
}

/// A boolean or null.
pub(super) fn flag(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<Option<bool>, ParseError> {
    match reader.peek()? {
        Kind::Bool => Ok(Some(reader.raw()? == "true")),
        Kind::Null => reader.skip().map(|()| None).map_err(Into::into),
        _ => Err(place.must_be("true or false")),
    }
}

/// A whole number of at least zero, or null. `1.0` and `1e3` are refused: providers differ on whether they are whole.
pub(super) fn whole(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<Option<u64>, ParseError> {
    let wanted = || place.must_be("a whole number of at least 0");
    match reader.peek()? {
        Kind::Number => reader.raw()?.parse().map(Some).map_err(|_| wanted()),
        Kind::Null => reader.skip().map(|()| None).map_err(Into::into),
        _ => Err(wanted()),
    }
}

/// A string or null.
pub(super) fn word<'a>(reader: &mut Reader<'a>, place: &Place<'_>) -> Result<Option<Cow<'a, str>>, ParseError> {
    match reader.peek()? {
        Kind::String => Ok(Some(reader.string()?.decoded())),
        Kind::Null => reader.skip().map(|()| None).map_err(Into::into),
        _ => Err(place.must_be("a string")),
    }
}

/// The name of a model or a tool.
pub(super) fn label(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<String, ParseError> {
    let name = word(reader, place)?.ok_or_else(|| place.must_be("a string"))?;
    as_label(&name, place)
}

/// `name` as the name of a model or a tool.
pub(super) fn as_label(name: &str, place: &Place<'_>) -> Result<String, ParseError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(place.must_be("1 to 256 bytes without control characters"));
    }
    Ok(name.to_owned())
}

/// A short string such as a size, or null.
pub(super) fn short_word(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<Option<String>, ParseError> {
    word(reader, place)?.map(|word| as_label(&word, place)).transpose()
}

/// Reads the array that comes next, or null as an empty one, and returns its length.
pub(super) fn each_item<'a>(
    reader: &mut Reader<'a>,
    place: &Place<'_>,
    mut read: impl FnMut(&mut Reader<'a>, &Place<'_>) -> Result<(), ParseError>,
) -> Result<usize, ParseError> {
    match reader.peek()? {
        Kind::Array => reader.begin_array()?,
        Kind::Null => return reader.skip().map(|()| 0).map_err(Into::into),
        _ => return Err(place.must_be("an array")),
    }
    let mut count = 0;
    while reader.element()? {
        read(reader, &place.item(count))?;
        count += 1;
    }
    Ok(count)
}

/// Goes into the object that comes next, which must be one.
pub(super) fn enter_object(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<(), ParseError> {
    match reader.peek()? {
        Kind::Object => reader.begin_object().map_err(Into::into),
        _ => Err(place.must_be("an object")),
    }
}
