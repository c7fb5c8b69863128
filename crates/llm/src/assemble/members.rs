//! The members of an object that is put together from pieces.

use std::collections::BTreeMap;

use crate::json::{Reader, Text};

use super::AssembleError;
use super::budget::Budget;
use super::tree::Node;

/// What a member takes in memory beside its value and twice its name, in bytes: the rest of its place in a vector that has
/// room for as many again, two allocations of names, and its place in [`Members::places`].
const OVERHEAD: usize = 128;

/// How many members are looked through one by one.
const FEW: usize = 16;

/// The members of an object, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    list: Vec<(String, Node)>,
    /// Where the members are by name, if they are more than [`FEW`]: a provider may send a million.
    #[expect(
        clippy::box_collection,
        reason = "nearly no object has it, and it makes every value larger"
    )]
    places: Option<Box<BTreeMap<String, usize>>>,
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Members {}

impl Members {
    /// Reads the object that comes next.
    pub(super) fn read(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, AssembleError> {
        let mut members = Self::default();
        reader.begin_object()?;
        while let Some(key) = reader.key()? {
            members.read_member(key, reader, budget)?;
        }
        Ok(members)
    }

    /// Reads a member whose key has been read.
    pub(super) fn read_member(
        &mut self,
        key: Text<'_>,
        reader: &mut Reader<'_>,
        budget: &mut Budget,
    ) -> Result<(), AssembleError> {
        let value = Node::read(reader, budget)?;
        let name = key.decoded();
        budget.charge(name_cost(&name))?;
        self.replace_member(&name, value, budget)
    }

    fn place(&self, name: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(name).copied(),
            None => self.list.iter().position(|(known, _)| known == name),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.place(name)
            .and_then(|at| self.list.get(at))
            .map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// The member, and whether it was there; it is made null first if it was not.
    fn entry(&mut self, name: &str) -> (&mut Node, bool) {
        let known = self.place(name);
        let at = known.unwrap_or(self.list.len());
        if known.is_none() {
            self.list.push((name.to_owned(), Node::null()));
            match &mut self.places {
                Some(places) => drop(places.insert(name.to_owned(), at)),
                None => self.find_places(),
            }
        }
        #[expect(clippy::indexing_slicing, reason = "it was found or put there just now")]
        (&mut self.list[at].1, known.is_some())
    }

    fn find_places(&mut self) {
        let names = self.list.iter().enumerate().map(|(at, (name, _))| (name.clone(), at));
        self.places = (self.list.len() > FEW).then(|| Box::new(names.collect()));
    }

    /// Sets a member of something that is not charged for.
    pub(super) fn set(&mut self, name: &str, value: Node) {
        *self.entry(name).0 = value;
    }

    /// Takes a member out. What [`Self::cost_of`] says is charged for it still.
    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.place(name)?;
        let (_, value) = self.list.remove(at);
        self.find_places();
        Some(value)
    }

    pub(super) fn index(&self) -> Option<u64> {
        self.get("index").and_then(Node::number)
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (String, Node)> {
        self.list.into_iter()
    }

    /// About how many bytes of memory they take.
    pub(super) fn cost(&self) -> usize {
        self.list.iter().map(|(name, value)| Self::cost_of(name, value)).sum()
    }

    /// About how many bytes of memory a member takes.
    pub(super) fn cost_of(name: &str, value: &Node) -> usize {
        name_cost(name) + value.cost()
    }

    /// See [`Node::grow`]. What names a thing is said once; some servers repeat it with each piece.
    pub(super) fn grow(&mut self, more: Self, budget: &mut Budget) -> Result<(), AssembleError> {
        for (name, piece) in more.list {
            let known = self.get(&name);
            let said = match name.as_str() {
                "id" | "type" | "role" | "format" | "index" => known.is_some_and(|known| !known.is_nothing()),
                "name" => known == Some(&piece),
                _ => false,
            };
            if said {
                budget.free(Self::cost_of(&name, &piece));
            } else {
                self.grow_member(&name, piece, budget)?;
            }
        }
        Ok(())
    }

    /// See [`Node::update`].
    pub(super) fn update(&mut self, more: Self, budget: &mut Budget) -> Result<(), AssembleError> {
        more.list
            .into_iter()
            .try_for_each(|(name, later)| self.update_member(&name, later, budget))
    }

    /// Lets the member `name` grow by a piece, which was charged for as a member of that name or a longer one.
    pub(super) fn grow_member(&mut self, name: &str, piece: Node, budget: &mut Budget) -> Result<(), AssembleError> {
        self.member(name, budget)?.grow(piece, budget)
    }

    /// Updates the member `name` with a later report, which was charged for as a member of that name.
    pub(super) fn update_member(&mut self, name: &str, later: Node, budget: &mut Budget) -> Result<(), AssembleError> {
        self.member(name, budget)?.update(later, budget)
    }

    /// Sets the member `name` to a value that was charged for as a member of that name.
    pub(super) fn replace_member(&mut self, name: &str, value: Node, budget: &mut Budget) -> Result<(), AssembleError> {
        let known = self.member(name, budget)?;
        budget.free(known.cost());
        *known = value;
        Ok(())
    }

    /// The member for one of the same name that was charged for: the name is paid for once.
    fn member(&mut self, name: &str, budget: &mut Budget) -> Result<&mut Node, AssembleError> {
        let (node, was_there) = self.entry(name);
        if was_there {
            budget.free(name_cost(name));
        } else {
            budget.charge(node.cost())?;
        }
        Ok(node)
    }

    /// Puts the items of array `name` into the order of their index, which then goes: whole replies have none.
    pub(super) fn order(&mut self, name: &str) {
        if let Some((_, Node::Array(items))) = self.list.iter_mut().find(|(known, _)| known == name) {
            items.order();
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('{');
        for (number, (name, value)) in self.list.iter().enumerate() {
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

/// Twice its length is in memory, or what escapes make of it when it is written.
fn name_cost(name: &str) -> usize {
    let controls = name.bytes().filter(u8::is_ascii_control).count();
    OVERHEAD + 2 * name.len() + 4 * controls
}

/// Writes a string that has been decoded.
pub(super) fn write_string(text: &str, out: &mut String) {
    // Strings always serialise.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
