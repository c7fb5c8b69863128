//! JSON values put together from pieces. Scalars and strings keep the spelling in which they came.

use crate::json::{JsonError, Kind, Reader, Text};

use super::AssembleError;

/// What a value takes in memory beside its text, in bytes: about the size of its place in a vector.
const OVERHEAD: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A number, `true`, `false`, `null`, or a value that nothing will be added to: its text.
    Raw(String),
    /// A string: its text between the quotes, with its escapes.
    Text(String),
    /// An array.
    Array(Vec<Node>),
    /// An object, in the order in which its members came.
    Object(Members),
}

/// The members of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members(Vec<(String, Node)>);

impl Node {
    pub(super) fn null() -> Self {
        Self::Raw("null".to_owned())
    }

    /// A string of ours, which needs no escapes.
    pub(super) fn plain(text: &'static str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Reads the value that comes next. It recurses no deeper than the reader lets values nest.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        Ok(match reader.peek()? {
            Kind::String => Self::Text(reader.string()?.raw().to_owned()),
            Kind::Array => {
                let mut items = Vec::new();
                reader.begin_array()?;
                while reader.element()? {
                    items.push(Self::read(reader)?);
                }
                Self::Array(items)
            }
            Kind::Object => Self::Object(Members::read(reader)?),
            _ => Self::Raw(reader.raw()?.to_owned()),
        })
    }

    /// About how many bytes of memory it takes.
    pub(super) fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Raw(text) | Self::Text(text) => text.len(),
                Self::Array(items) => items.iter().map(Self::cost).sum(),
                Self::Object(members) => members.cost(),
            }
    }

    /// Whether it says nothing: null, or an empty string.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Raw(text) => text == "null",
            Self::Text(text) => text.is_empty(),
            Self::Array(_) | Self::Object(_) => false,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Raw(text) if text == "null")
    }

    /// The whole number that it is.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Raw(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn members(&self) -> Option<&Members> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Takes in the next piece of the same value, as deltas are meant: strings and arrays continue, items that carry an
    /// `index` continue the item of that index, objects grow member by member, and other scalars replace. Gives about how
    /// many more bytes are held.
    pub(super) fn grow(&mut self, piece: Self) -> Result<usize, AssembleError> {
        if piece.is_null() {
            return Ok(0);
        }
        if self.is_null() {
            *self = match piece {
                Self::Array(_) => Self::Array(Vec::new()),
                Self::Object(_) => Self::Object(Members::default()),
                scalar => {
                    *self = scalar;
                    return Ok(self.cost());
                }
            };
        }
        match (self, piece) {
            (Self::Text(text), Self::Text(more)) => {
                text.push_str(&more);
                Ok(more.len())
            }
            (Self::Object(members), Self::Object(more)) => members.grow(more),
            (Self::Array(items), Self::Array(more)) => {
                let mut grown = 0;
                for item in more {
                    grown += grow_items(items, item)?;
                }
                Ok(grown)
            }
            (Self::Raw(scalar), Self::Raw(later)) => {
                *scalar = later;
                Ok(scalar.len())
            }
            _ => Err(AssembleError::Mixed),
        }
    }

    /// Takes in a later report of the same value: it replaces the one before, unless it says nothing; objects are
    /// reported member by member.
    pub(super) fn update(&mut self, later: Self) {
        match (&mut *self, later) {
            (Self::Object(members), Self::Object(more)) => members.update(more),
            (known, later) if later.is_nothing() && !known.is_null() => {}
            (known, later) => *known = later,
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Raw(text) => out.push_str(text),
            Self::Text(text) => {
                out.push('"');
                out.push_str(text);
                out.push('"');
            }
            Self::Array(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => members.write(out),
        }
    }
}

/// Whether fragments of one item need not carry its index: the one that opens it has an id or a name.
fn opens(item: &Members) -> bool {
    let said = |members: &Members, name| members.get(name).is_some_and(|value| !value.is_nothing());
    let function = item.get("function").and_then(Node::members);
    said(item, "id") || said(item, "name") || function.is_some_and(|function| said(function, "name"))
}

fn grow_items(items: &mut Vec<Node>, item: Node) -> Result<usize, AssembleError> {
    let same = match item.members() {
        Some(members) => continued(items, members)?,
        None => None,
    };
    match same {
        Some(known) => known.grow(item),
        None => {
            let grown = item.cost();
            items.push(item);
            Ok(grown)
        }
    }
}

/// The item that these members continue.
fn continued<'n>(items: &'n mut [Node], members: &Members) -> Result<Option<&'n mut Node>, AssembleError> {
    // Fragments of tool calls must say whose they are. Servers that send each call whole leave the index out.
    let is_fragment = members.has("function") || members.has("custom");
    match members.index() {
        Some(index) => Ok(items
            .iter_mut()
            .find(|known| known.members().and_then(Members::index) == Some(index))),
        None if is_fragment && !opens(members) => items.last_mut().ok_or(AssembleError::Fragment).map(Some),
        None => Ok(None),
    }
}

impl Members {
    /// Reads the object that comes next.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut members = Self::default();
        reader.begin_object()?;
        while let Some(key) = reader.key()? {
            let value = Node::read(reader)?;
            members.set(&key.decoded(), value);
        }
        Ok(members)
    }

    /// Reads a member whose key has been read.
    pub(super) fn read_member(&mut self, key: Text<'_>, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        let value = Node::read(reader)?;
        self.set(&key.decoded(), value);
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The member, made null first if it is not there.
    pub(super) fn entry(&mut self, name: &str) -> &mut Node {
        let at = match self.0.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                self.0.push((name.to_owned(), Node::null()));
                self.0.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or put there just now")]
        &mut self.0[at].1
    }

    pub(super) fn set(&mut self, name: &str, value: Node) {
        *self.entry(name) = value;
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn index(&self) -> Option<u64> {
        self.get("index").and_then(Node::number)
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (String, Node)> {
        self.0.into_iter()
    }

    pub(super) fn cost(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.cost()).sum()
    }

    /// See [`Node::grow`]. What names a thing is said once; some servers repeat it with each piece.
    pub(super) fn grow(&mut self, more: Self) -> Result<usize, AssembleError> {
        let before = self.0.len();
        let mut grown = 0;
        for (name, piece) in more.0 {
            let known = self.entry(&name);
            match name.as_str() {
                "id" | "type" | "role" | "format" | "index" if !known.is_nothing() => {}
                "name" if *known == piece => {}
                _ => grown += known.grow(piece)?,
            }
        }
        let names = self.0.iter().skip(before).map(|(name, _)| name.len() + OVERHEAD);
        Ok(grown + names.sum::<usize>())
    }

    /// See [`Node::update`].
    pub(super) fn update(&mut self, more: Self) {
        for (name, later) in more.0 {
            self.entry(&name).update(later);
        }
    }

    /// Puts the items of array `name` into the order of their index, which then goes: whole replies have none.
    pub(super) fn order(&mut self, name: &str) {
        let Some((_, Node::Array(items))) = self.0.iter_mut().find(|(known, _)| known == name) else {
            return;
        };
        let place = |item: &Node| item.members().and_then(Members::index).unwrap_or(u64::MAX);
        items.sort_by_key(place);
        for item in items {
            if let Node::Object(members) = item {
                members.take("index");
            }
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('{');
        for (number, (name, value)) in self.0.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            write_string(name, out);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

/// Writes a string that has been decoded.
pub(super) fn write_string(text: &str, out: &mut String) {
    // Strings always serialise.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
