//! JSON values put together from pieces. Scalars and strings keep the spelling in which they came.

use std::collections::BTreeMap;

use crate::json::{Kind, Reader};

use super::AssembleError;
use super::budget::Budget;
use super::members::Members;

/// What a value takes in memory beside its text, in bytes: its place in a vector that has room for as many again, and the
/// smallest allocation that its text can have.
const OVERHEAD: usize = 96;

/// What an array or object takes beside that and what stands in it, in bytes.
const CONTAINER: usize = 64;

/// What an item takes beside that which carries an index, in bytes.
const INDEXED: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A number, `true`, `false`, `null`, or a value that nothing will be added to: its text.
    Raw(String),
    /// A string: its text between the quotes, with its escapes.
    Text(String),
    /// An array.
    Array(Items),
    /// An object, in the order in which its members came.
    Object(Members),
}

/// The items of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Items {
    list: Vec<Node>,
    /// Where the first item of each index is, if any has one: a provider may send a million.
    #[expect(
        clippy::box_collection,
        reason = "few arrays have it, and it makes every value larger"
    )]
    by_index: Option<Box<BTreeMap<u64, usize>>>,
}

impl Node {
    pub(super) fn null() -> Self {
        Self::Raw("null".to_owned())
    }

    /// A string of ours, which needs no escapes.
    pub(super) fn plain(text: &'static str) -> Self {
        Self::Text(text.to_owned())
    }

    /// An array of one item.
    pub(super) fn list(item: Self) -> Self {
        let mut items = Items::default();
        items.push(item);
        Self::Array(items)
    }

    /// Reads the value that comes next, and charges for it. It recurses no deeper than the reader lets values nest.
    pub(super) fn read(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, AssembleError> {
        Ok(match reader.peek()? {
            Kind::String => {
                let text = reader.string()?.raw();
                budget.charge(OVERHEAD + text.len())?;
                Self::Text(text.to_owned())
            }
            Kind::Array => {
                budget.charge(OVERHEAD + CONTAINER)?;
                let mut items = Items::default();
                reader.begin_array()?;
                while reader.element()? {
                    let item = Self::read_item(reader, budget)?;
                    budget.charge(index_cost(&item))?;
                    items.push(item);
                }
                Self::Array(items)
            }
            Kind::Object => {
                budget.charge(OVERHEAD + CONTAINER)?;
                Self::Object(Members::read(reader, budget)?)
            }
            _ => Self::read_text(reader, budget)?,
        })
    }

    fn read_text(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, AssembleError> {
        let text = reader.raw()?;
        budget.charge(OVERHEAD + text.len())?;
        Ok(Self::Raw(text.to_owned()))
    }

    /// Reads an item of an array. What no later piece can continue is kept as its text, which takes a fraction of the
    /// memory: the probabilities of tokens are many times larger than the tokens.
    fn read_item(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, AssembleError> {
        if reader.peek()? != Kind::Object {
            return Self::read_text(reader, budget);
        }
        let start = reader.at();
        let item = Self::read(reader, budget)?;
        if item.members().is_none_or(may_go_on) {
            return Ok(item);
        }
        budget.free(item.cost());
        let text = reader.text_since(start);
        budget.charge(OVERHEAD + text.len())?;
        Ok(Self::Raw(text.to_owned()))
    }

    /// About how many bytes of memory it takes.
    pub(super) fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Raw(text) | Self::Text(text) => text.len(),
                Self::Array(items) => CONTAINER + items.cost(),
                Self::Object(members) => CONTAINER + members.cost(),
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
    /// `index` continue the item of that index, objects grow member by member, and other scalars replace. The piece was
    /// charged for.
    pub(super) fn grow(&mut self, piece: Self, budget: &mut Budget) -> Result<(), AssembleError> {
        if piece.is_null() {
            budget.free(piece.cost());
            return Ok(());
        }
        if self.is_null() {
            budget.free(self.cost());
            *self = match piece {
                Self::Array(_) => Self::Array(Items::default()),
                Self::Object(_) => Self::Object(Members::default()),
                scalar => {
                    *self = scalar;
                    return Ok(());
                }
            };
            budget.charge(self.cost())?;
        }
        match (self, piece) {
            (Self::Text(text), Self::Text(more)) => {
                budget.free(OVERHEAD);
                text.push_str(&more);
                Ok(())
            }
            (Self::Object(members), Self::Object(more)) => {
                budget.free(OVERHEAD + CONTAINER);
                members.grow(more, budget)
            }
            (Self::Array(items), Self::Array(more)) => {
                budget.free(OVERHEAD + CONTAINER);
                more.list.into_iter().try_for_each(|item| items.grow(item, budget))
            }
            (Self::Raw(scalar), Self::Raw(later)) => {
                budget.free(OVERHEAD + scalar.len());
                *scalar = later;
                Ok(())
            }
            _ => Err(AssembleError::Mixed),
        }
    }

    /// Takes in a later report of the same value: it replaces the one before, unless it says nothing; objects are
    /// reported member by member. The report was charged for.
    pub(super) fn update(&mut self, later: Self, budget: &mut Budget) -> Result<(), AssembleError> {
        match (&mut *self, later) {
            (Self::Object(members), Self::Object(more)) => {
                budget.free(OVERHEAD + CONTAINER);
                return members.update(more, budget);
            }
            (known, later) if later.is_nothing() && !known.is_null() => budget.free(later.cost()),
            (known, later) => {
                budget.free(known.cost());
                *known = later;
            }
        }
        Ok(())
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
                for (number, item) in items.list.iter().enumerate() {
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

/// Whether these are fragments of a tool call.
fn is_fragment(item: &Members) -> bool {
    item.has("function") || item.has("custom")
}

/// Whether a later piece may continue the item.
fn may_go_on(item: &Members) -> bool {
    item.index().is_some() || is_fragment(item) || opens(item)
}

fn index_of(item: &Node) -> Option<u64> {
    item.members().and_then(Members::index)
}

fn index_cost(item: &Node) -> usize {
    index_of(item).map_or(0, |_| INDEXED)
}

impl Items {
    pub(super) fn push(&mut self, item: Node) {
        if let Some(index) = index_of(&item) {
            let places = self.by_index.get_or_insert_default();
            places.entry(index).or_insert(self.list.len());
        }
        self.list.push(item);
    }

    fn cost(&self) -> usize {
        self.list.iter().map(|item| item.cost() + index_cost(item)).sum()
    }

    /// Takes in a piece of an item, or another item, which was charged for as an item.
    fn grow(&mut self, item: Node, budget: &mut Budget) -> Result<(), AssembleError> {
        let same = match item.members() {
            Some(members) => self.continued(members)?,
            None => None,
        };
        match same {
            Some(known) => {
                budget.free(index_cost(&item));
                known.grow(item, budget)
            }
            None => {
                self.push(item);
                Ok(())
            }
        }
    }

    /// The item that these members continue.
    fn continued(&mut self, members: &Members) -> Result<Option<&mut Node>, AssembleError> {
        match members.index() {
            Some(index) => {
                let at = self.by_index.as_ref().and_then(|places| places.get(&index));
                Ok(at.and_then(|at| self.list.get_mut(*at)))
            }
            // Fragments of tool calls must say whose they are. Servers that send each call whole leave the index out.
            None if is_fragment(members) && !opens(members) => {
                self.list.last_mut().ok_or(AssembleError::Fragment).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Puts the items into the order of their index, which then goes.
    pub(super) fn order(&mut self) {
        self.by_index = None;
        self.list.sort_by_key(|item| index_of(item).unwrap_or(u64::MAX));
        for item in &mut self.list {
            if let Node::Object(members) = item {
                members.take("index");
            }
        }
    }
}
