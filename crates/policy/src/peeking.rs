//! Policies that look into personal texts.
//!
//! The log has pseudonyms in place of personal texts, so a replay can say whether two of them are the same and nothing
//! else. What it says of a policy that does more with one is worth nothing, and has to be told.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

use crate::{
    Bundle,
    schema::Terms,
    shape::{Shape, Type},
};

/// How deep a policy is gone into. Cedar's own parser stops far above.
const MAX_DEPTH: usize = 256;

impl Bundle {
    /// The ids of the policies of which a replay over pseudonyms may say something else than they do: they look into
    /// personal texts (`like`), or compare them with what is not personal. Sorted. That one is named that does not is
    /// harmless.
    pub fn peeking(&self) -> Vec<Arc<str>> {
        let texts = Texts::of(&self.terms);
        if texts.personal.is_empty() && texts.others.is_empty() {
            return Vec::new();
        }
        let peeks = |id: &&Arc<str>| {
            let policy = self.rules.get(&***id).map(|facts| facts.policy.to_json().ok());
            match policy {
                Some(Some(json)) => json.get("conditions").is_some_and(|node| texts.peeks(node, 0)),
                _ => true,
            }
        };
        self.ids.iter().filter(peeks).cloned().collect()
    }
}

/// The attributes that hold personal texts, by name.
#[derive(Default)]
struct Texts<'a> {
    /// Those that are texts or sets of them: two can be compared.
    personal: HashSet<&'a str>,
    /// Those of which nothing can be said: records with such texts, names of what is not personal by itself, and names
    /// that stand for something else elsewhere.
    others: HashSet<&'a str>,
}

impl<'a> Texts<'a> {
    fn of(terms: &'a Terms) -> Self {
        let (mut found, mut plain) = (Self::default(), HashSet::new());
        let kinds = terms.kinds.values().map(|kind| &kind.shape);
        for shape in kinds.chain(terms.actions.values().map(|deed| &deed.context)) {
            found.collect(terms, shape, false, &mut plain);
        }
        let Self { personal, others } = &mut found;
        others.extend(personal.intersection(&plain));
        personal.retain(|name| !others.contains(name));
        found
    }

    /// Whether there are personal texts in the shape.
    fn collect(&mut self, terms: &Terms, shape: &'a Shape, all: bool, plain: &mut HashSet<&'a str>) -> bool {
        let mut any = false;
        for (name, attribute) in &shape.0 {
            let personal = all || attribute.personal;
            let mut of = &attribute.of;
            while let Type::Set(inner) = of {
                of = inner;
            }
            any |= match of {
                Type::String if personal => {
                    self.personal.insert(name);
                    true
                }
                Type::String => {
                    plain.insert(name.as_str());
                    false
                }
                // Where the type itself is personal, its names are pseudonyms everywhere.
                Type::Entity(kind) => {
                    let blurred = personal && terms.kinds.get(kind).is_none_or(|kind| !kind.personal);
                    if blurred {
                        self.others.insert(name);
                    }
                    blurred
                }
                Type::Record(shape) => {
                    let within = self.collect(terms, shape, personal, plain);
                    if within {
                        self.others.insert(name);
                    }
                    within
                }
                Type::Bool | Type::Long | Type::Extension(_) | Type::Set(_) => false,
            };
        }
        any
    }

    /// Walks Cedar's JSON form of an expression (<https://docs.cedarpolicy.com/policies/json-format.html>).
    fn peeks(&self, node: &Value, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return true;
        }
        let depth = depth + 1;
        match node {
            Value::Array(items) => items.iter().any(|item| self.peeks(item, depth)),
            Value::Object(members) => members.iter().any(|(operator, operands)| match operator.as_str() {
                "." => {
                    let name = operands.get("attr").and_then(Value::as_str).unwrap_or_default();
                    self.personal.contains(name) || self.others.contains(name) || self.passes(operands, depth)
                }
                "has" => self.passes(operands, depth),
                "==" | "!=" | "contains" | "containsAll" | "containsAny" => self.compares(operands, depth),
                // As a whole, with all that is in it.
                "Var" => operands.as_str() == Some("context"),
                _ => self.peeks(operands, depth),
            }),
            _ => false,
        }
    }

    /// What an attribute is taken of: going through a record is not looking into it.
    fn passes(&self, operands: &Value, depth: usize) -> bool {
        let left = operands.get("left");
        match left.and_then(|left| left.get(".")) {
            Some(inner) => self.passes(inner, depth + 1),
            None if left.is_some_and(|left| left.get("Var").is_some()) => false,
            None => left.is_none_or(|left| self.peeks(left, depth)),
        }
    }

    fn compares(&self, operands: &Value, depth: usize) -> bool {
        let (left, right) = (operands.get("left"), operands.get("right"));
        let sides = [left, right].map(|side| side.and_then(|side| self.text(side)));
        match sides {
            [None, None] => [left, right].into_iter().flatten().any(|side| self.peeks(side, depth)),
            [Some(access), None] => !right.is_some_and(is_literal) || self.passes(access, depth),
            [None, Some(access)] => !left.is_some_and(is_literal) || self.passes(access, depth),
            [Some(one), Some(other)] => self.passes(one, depth) || self.passes(other, depth),
        }
    }

    /// The operands of an access to a personal text.
    fn text<'v>(&self, node: &'v Value) -> Option<&'v Value> {
        let access = node.get(".")?;
        let name = access.get("attr").and_then(Value::as_str)?;
        self.personal.contains(name).then_some(access)
    }
}

/// A literal, or a set of them: those are replaced by pseudonyms as well.
fn is_literal(node: &Value) -> bool {
    let item = |node: &Value| node.get("Value").is_some();
    item(node)
        || node
            .get("Set")
            .and_then(Value::as_array)
            .is_some_and(|items| items.iter().all(item))
}
