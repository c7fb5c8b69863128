//! The values that a clause reads.

use cedar_policy::{Entities, EntityUid, EvalResult, Expression, Request, eval_expression};
use serde_json::Value;

use super::{
    Read,
    clauses::shortened,
    scope::{Side, Sides},
};

/// The most values that are told of one clause.
const MAX_READS: usize = 12;

/// What clauses are evaluated against.
pub(crate) struct World<'a> {
    pub(crate) request: &'a Request,
    pub(crate) entities: &'a Entities,
    pub(crate) sides: &'a Sides,
}

/// What a clause reads: attributes by way of others (`resource.owner.team`), and the names themselves.
pub(super) fn of(body: &Value, world: &World<'_>) -> Vec<Read> {
    let mut reader = Reader {
        world,
        found: Vec::new(),
    };
    reader.walk(body);
    reader.found
}

struct Reader<'a> {
    world: &'a World<'a>,
    found: Vec<Read>,
}

impl Reader<'_> {
    /// Walks Cedar's JSON form of an expression (<https://docs.cedarpolicy.com/policies/json-format.html>).
    fn walk(&mut self, node: &Value) {
        if let Some(chain) = Chain::of(node) {
            return self.chain(&chain);
        }
        match node {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(members) => {
                for (operator, operands) in members {
                    match operator.as_str() {
                        "Value" | "Slot" | "Unknown" => {}
                        "has" => self.has(operands),
                        "in" => self.within(operands),
                        _ => self.walk(operands),
                    }
                }
            }
            _ => {}
        }
    }

    fn has(&mut self, operands: &Value) {
        let Some(left) = operands.get("left") else { return };
        let Some(mut chain) = Chain::of(left) else {
            return self.walk(left);
        };
        match operands.get("attr") {
            Some(Value::String(name)) => chain.attributes.push(name.clone()),
            Some(Value::Array(names)) => chain
                .attributes
                .extend(names.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
        self.chain(&chain);
    }

    /// What the left side is in says more than its name.
    fn within(&mut self, operands: &Value) {
        let sides = self.world.sides;
        let left = operands.get("left");
        let side = left
            .and_then(|left| left.get("Var"))
            .and_then(Value::as_str)
            .and_then(|name| match name {
                "principal" => Some((name, &sides.principal)),
                "action" => Some((name, &sides.action)),
                "resource" => Some((name, &sides.resource)),
                _ => None,
            });
        match (side, left) {
            (Some((name, side)), _) => self.add(within(name, side)),
            (None, Some(left)) => self.walk(left),
            (None, None) => {}
        }
        if let Some(right) = operands.get("right") {
            self.walk(right);
        }
    }

    fn chain(&mut self, chain: &Chain) {
        // The context as a whole says nothing that its attributes would not, and a name says itself what it is.
        if chain.attributes.is_empty() && (chain.root == "context" || chain.names()) {
            return;
        }
        let read = match self.evaluate(&chain.text(chain.attributes.len())) {
            Some(value) => {
                let expression = chain.text(chain.attributes.len());
                let value = shortened(&value.to_string());
                let words = format!("{expression} is {value}");
                Read {
                    expression,
                    value: Some(value),
                    words,
                }
            }
            None => self.missing(chain),
        };
        self.add(read);
    }

    /// Which link of the chain is not there.
    fn missing(&self, chain: &Chain) -> Read {
        let lengths = 0..chain.attributes.len();
        let last = lengths
            .rev()
            .find_map(|length| Some((length, self.evaluate(&chain.text(length))?)));
        let words = match last {
            Some((0, EvalResult::EntityUid(uid))) if chain.names() && self.world.entities.get(&uid).is_none() => {
                format!("nothing is known of {}", shortened(&uid.to_string()))
            }
            Some((length, EvalResult::EntityUid(uid))) if self.world.entities.get(&uid).is_none() => {
                let owner = chain.text(length);
                format!("{owner} is {}, of which nothing is known", shortened(&uid.to_string()))
            }
            Some((length, _)) => {
                let attribute = chain.attributes.get(length).map_or("", String::as_str);
                format!("{} has no attribute {}", chain.text(length), shortened(attribute))
            }
            // The context is a record and no value by itself.
            None => format!("{} has no value", chain.text(chain.attributes.len())),
        };
        Read {
            expression: chain.text(chain.attributes.len()),
            value: None,
            words,
        }
    }

    fn evaluate(&self, text: &str) -> Option<EvalResult> {
        let expression: Expression = text.parse().ok()?;
        eval_expression(self.world.request, self.world.entities, &expression).ok()
    }

    fn add(&mut self, read: Read) {
        if self.found.len() < MAX_READS && !self.found.contains(&read) {
            self.found.push(read);
        }
    }
}

fn within(name: &str, side: &Side) -> Read {
    let uid = super::scope::shown(&side.uid);
    Read {
        expression: name.to_owned(),
        words: format!("{name} is {uid}, which is in {}", side.groups()),
        value: Some(uid),
    }
}

/// A variable or an entity's name, and attributes by way of each other.
struct Chain {
    root: String,
    attributes: Vec<String>,
}

impl Chain {
    fn of(node: &Value) -> Option<Self> {
        if let Some(access) = node.get(".") {
            let mut chain = Self::of(access.get("left")?)?;
            chain.attributes.push(access.get("attr")?.as_str()?.to_owned());
            return Some(chain);
        }
        let root = match (
            node.get("Var"),
            node.get("Value").and_then(|value| value.get("__entity")),
        ) {
            (Some(name), _) => name.as_str()?.to_owned(),
            (None, Some(entity)) => EntityUid::from_json(entity.clone()).ok()?.to_string(),
            (None, None) => return None,
        };
        Some(Self {
            root,
            attributes: Vec::new(),
        })
    }

    /// Whether it begins with the name of an entity.
    fn names(&self) -> bool {
        self.root.contains("::\"")
    }

    /// The first `length` links as Cedar text.
    fn text(&self, length: usize) -> String {
        let mut text = self.root.clone();
        for attribute in self.attributes.iter().take(length) {
            match is_identifier(attribute) {
                true => text.extend([".", attribute]),
                false => text.push_str(&format!("[\"{}\"]", attribute.escape_debug())),
            }
        }
        text
    }
}

fn is_identifier(text: &str) -> bool {
    const RESERVED: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
        && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
        && !RESERVED.contains(&text)
}
