//! A bundle that knows people as the log does: by pseudonyms.
//!
//! The log keeps no person's name, so a question of the log ([`crate::Recorded`]) is asked again of a bundle in which the
//! names of personal types, the texts of personal attributes, and both where policies name them are pseudonyms too. A
//! pseudonym is a keyed hash, so what was equal stays equal. What looks *into* a personal text (`like`, an address within a
//! longer literal) cannot be carried over; whoever replays compares with what was recorded and sees that.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{Entity, Policy};
use serde_json::{Map, Value};

use crate::{
    Bundle, EntityRecord, Source,
    bundle::{self, Facts},
    index::Index,
    memo::Memo,
    parse::Rule,
    schema::Terms,
    shape::{Shape, Type},
    store::{Origin, Store, Stored},
};

/// How deep a policy is gone into. Cedar's own parser stops far above.
const MAX_DEPTH: usize = 256;

/// Names and texts of people, and what stands for them.
struct Veil<'a> {
    terms: &'a Terms,
    /// The attributes that are personal somewhere.
    attributes: HashSet<&'a str>,
    pseudonym: &'a dyn Fn(&str) -> String,
}

impl Bundle {
    /// The same bundle with pseudonyms for people.
    ///
    /// # Errors
    /// What Cedar says of a changed policy or entity: that would be a mistake of this code.
    pub fn pseudonymised(&self, pseudonym: &dyn Fn(&str) -> String) -> Result<Self, String> {
        let veil = Veil::new(&self.terms, pseudonym);
        let mut entities = Vec::new();
        for stored in self.store.names().filter_map(|name| self.store.get(name)) {
            let json = veil.record(EntityRecord::of(&stored.entity)?).to_json();
            let entity = Entity::from_json_value(json, Some(&self.terms.schema)).map_err(|error| error.to_string())?;
            entities.push(Stored::new(entity, Origin::File));
        }
        let store = Store::new(entities);
        let source = Source {
            file: String::new(),
            text: String::new(),
        };
        let mut facts = HashMap::new();
        let mut rules = Vec::new();
        for (id, known) in self.rules.iter() {
            let policy = veil.policy(&known.policy)?;
            rules.push(Rule {
                id: id.clone(),
                policy: policy.clone(),
                source: &source,
                start: 0,
            });
            let changed = Facts {
                policy,
                effect: known.effect,
                annotations: known.annotations.clone(),
                place: known.place.clone(),
            };
            facts.insert(id.clone(), changed);
        }
        let indexes = Index::of_actions(self.terms.actions.values().map(|deed| &**deed), &rules)?;
        let mut bundle = Self {
            vocabulary: self.vocabulary.clone(),
            terms: self.terms.clone(),
            indexes: Arc::new(indexes),
            agents: self.agents.clone(),
            rules: Arc::new(facts),
            memo: Memo::default(),
            ids: self.ids.clone(),
            warnings: self.warnings.clone(),
            digest: self.digest,
            store,
        };
        bundle.agents = bundle::prepare_all(&bundle)?;
        Ok(bundle)
    }
}

impl<'a> Veil<'a> {
    fn new(terms: &'a Terms, pseudonym: &'a dyn Fn(&str) -> String) -> Self {
        let mut attributes = HashSet::new();
        let kinds = terms.kinds.values().map(|kind| &kind.shape);
        for shape in kinds.chain(terms.actions.values().map(|deed| &deed.context)) {
            personal(shape, false, &mut attributes);
        }
        Self {
            terms,
            attributes,
            pseudonym,
        }
    }

    fn is_personal(&self, kind: &str) -> bool {
        let kind = kind.parse().ok();
        kind.is_some_and(|kind| self.terms.kinds.get(&kind).is_some_and(|kind| kind.personal))
    }

    fn record(&self, mut record: EntityRecord) -> EntityRecord {
        let shape = record
            .name
            .kind
            .parse()
            .ok()
            .and_then(|kind| self.terms.kinds.get(&kind));
        if let Some(kind) = shape {
            self.members(&kind.shape, &mut record.attrs, false);
        }
        for name in record.parents.iter_mut().chain([&mut record.name]) {
            if self.is_personal(&name.kind) {
                name.id = (self.pseudonym)(&name.id);
            }
        }
        record
    }

    fn members(&self, shape: &Shape, members: &mut Map<String, Value>, all: bool) {
        for (name, value) in members {
            if let Some(attribute) = shape.get(name) {
                self.value(&attribute.of, value, all || attribute.personal);
            }
        }
    }

    fn value(&self, of: &Type, value: &mut Value, personal: bool) {
        match (of, value) {
            (Type::String, Value::String(text)) if personal => *text = (self.pseudonym)(text),
            (Type::Set(of), Value::Array(items)) => items.iter_mut().for_each(|item| self.value(of, item, personal)),
            (Type::Record(shape), Value::Object(members)) => self.members(shape, members, personal),
            (Type::Entity(_), value) => self.names(value, 0),
            _ => {}
        }
    }

    fn policy(&self, policy: &Policy) -> Result<Policy, String> {
        let mut json = policy.to_json().map_err(|error| error.to_string())?;
        self.names(&mut json, 0);
        self.literals(&mut json, 0);
        Policy::from_json(Some(policy.id().clone()), json).map_err(|error| error.to_string())
    }

    /// Replaces the ids of entities of personal types, wherever they are named. In Cedar's JSON forms a `type` and an `id`
    /// that are plain texts stand beside each other in names only.
    fn names(&self, node: &mut Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match node {
            Value::Array(items) => items.iter_mut().for_each(|item| self.names(item, depth + 1)),
            Value::Object(members) => {
                let personal = members
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| self.is_personal(kind));
                if let (true, Some(Value::String(id))) = (personal, members.get_mut("id")) {
                    *id = (self.pseudonym)(id);
                    return;
                }
                members.values_mut().for_each(|value| self.names(value, depth + 1));
            }
            _ => {}
        }
    }

    /// Replaces the texts that a policy compares personal attributes with.
    fn literals(&self, node: &mut Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match node {
            Value::Array(items) => items.iter_mut().for_each(|item| self.literals(item, depth + 1)),
            Value::Object(members) => {
                for (operator, operands) in members {
                    let compares = matches!(
                        operator.as_str(),
                        "==" | "!=" | "contains" | "containsAll" | "containsAny"
                    );
                    let sides = [operands.get("left"), operands.get("right")];
                    if compares && sides.into_iter().flatten().any(|side| self.is_attribute(side)) {
                        for side in ["left", "right"] {
                            operands.get_mut(side).into_iter().for_each(|side| self.texts(side));
                        }
                    }
                    self.literals(operands, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn is_attribute(&self, node: &Value) -> bool {
        let name = node
            .get(".")
            .and_then(|access| access.get("attr"))
            .and_then(Value::as_str);
        name.is_some_and(|name| self.attributes.contains(name))
    }

    /// A literal text, or a set of them.
    fn texts(&self, node: &mut Value) {
        if let Some(Value::Array(items)) = node.get_mut("Set") {
            items.iter_mut().for_each(|item| self.texts(item));
        }
        if let Some(Value::String(text)) = node.get_mut("Value") {
            *text = (self.pseudonym)(text);
        }
    }
}

/// The names of personal attributes that hold texts, however deep. What is in a personal record is personal, too.
fn personal<'a>(shape: &'a Shape, all: bool, found: &mut HashSet<&'a str>) {
    for (name, attribute) in &shape.0 {
        let all = all || attribute.personal;
        if all && attribute.of.holds_texts() {
            found.insert(name);
        }
        if let Some(shape) = attribute.of.shape() {
            personal(shape, all, found);
        }
    }
}
