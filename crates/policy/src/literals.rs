//! Which entities the conditions of a policy look into by name.
//!
//! A decision is made over a slice of the stored entities. `principal in Team::"data"` needs the principal's record
//! only, but `Team::"data" in Tenant::"acme"` needs the record of `Team::"data"`: a name that stands where its record
//! is read. Everything else (the right side of `in`, either side of `==` or `contains`) is a mere name and stays out of the slice.

use std::collections::HashSet;

use cedar_policy::{EntityUid, Policy};
use serde_json::Value;

/// The literals whose records evaluating the policy may read; more is harmless, fewer would be wrong. Scopes are never
/// among them: there a literal only stands on the right.
pub(crate) fn read_by(policy: &Policy) -> HashSet<EntityUid> {
    let mut found = HashSet::new();
    match policy.to_json().as_ref().map(|json| json.get("conditions")) {
        Ok(Some(conditions)) => collect(conditions, &mut found),
        Ok(None) => {}
        Err(_) => found.extend(policy.entity_literals()),
    }
    found
}

/// Walks Cedar's JSON form of an expression (<https://docs.cedarpolicy.com/policies/json-format.html>).
fn collect(node: &Value, found: &mut HashSet<EntityUid>) {
    match node {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            if let Some(entity) = members.get("__entity") {
                found.extend(EntityUid::from_json(entity.clone()));
            }
            for (key, value) in members {
                match (key.as_str(), value.get("left"), value.get("right")) {
                    ("in", Some(left), Some(right)) => {
                        collect(left, found);
                        collect_unless_names(right, found);
                    }
                    ("==" | "!=" | "contains" | "containsAll" | "containsAny", Some(left), Some(right)) => {
                        collect_unless_names(left, found);
                        collect_unless_names(right, found);
                    }
                    _ => collect(value, found),
                }
            }
        }
        _ => {}
    }
}

/// Skips a node that is a literal, or a set of literals.
fn collect_unless_names(node: &Value, found: &mut HashSet<EntityUid>) {
    let literal = |node: &Value| node.get("Value").is_some();
    let names = match node.get("Set") {
        Some(Value::Array(items)) => items.iter().all(literal),
        _ => literal(node),
    };
    if !names {
        collect(node, found);
    }
}

/// How many attributes that name entities evaluating the policy may follow one after another before it looks into the
/// entity it came to; more is harmless, fewer would be wrong. In `principal.manager.team.name` these are two, and so
/// they are in `principal.manager.team in Team::"a"`.
pub(crate) fn depth(policy: &Policy) -> usize {
    match policy.to_json().as_ref().map(|json| json.get("conditions")) {
        Ok(Some(conditions)) => followed(conditions).within,
        Ok(None) => 0,
        // Deeper than any expression that Cedar reads.
        Err(_) => usize::from(u8::MAX),
    }
}

/// What an expression follows.
#[derive(Clone, Copy, Default)]
struct Followed {
    /// To come to its value.
    value: usize,
    /// To come to anything that is looked into on the way.
    within: usize,
}

fn followed(node: &Value) -> Followed {
    match node {
        Value::Array(items) => items.iter().map(followed).fold(Followed::default(), Followed::or),
        Value::Object(members) => members.iter().fold(Followed::default(), |sum, (key, value)| {
            let mut part = followed(value);
            match key.as_str() {
                // Its value may be looked into here, whatever the operator.
                "left" => part.within = part.within.max(part.value),
                "." => part.value += 1,
                _ => {}
            }
            sum.or(part)
        }),
        _ => Followed::default(),
    }
}

impl Followed {
    fn or(self, other: Self) -> Self {
        Self {
            value: self.value.max(other.value),
            within: self.within.max(other.within),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths() {
        for (condition, expected) in [
            ("true", 0),
            ("principal.name == \"a\"", 0),
            ("principal in Team::\"a\"", 0),
            ("principal.team in Team::\"a\"", 1),
            ("principal.manager.team.name == \"a\"", 2),
            ("principal.manager.team in Team::\"a\"", 2),
            ("principal has manager.team && principal.manager has team", 1),
            ("(if context.a then principal.b else resource.c.d).e == 1", 2),
            ("{x: principal.b}.x.c == 1", 2),
            ("[principal.a.b].contains(resource.c)", 1),
            ("principal.a.b.c == resource && resource.d in principal.e.f", 2),
            ("principal.a.hasTag(\"x\") && principal.a.getTag(\"x\") == 1", 1),
            ("principal.a.b is Team", 2),
            ("!(principal.a.b.isEmpty())", 1),
        ] {
            let policy: Policy = format!("permit (principal, action, resource) when {{ {condition} }};")
                .parse()
                .unwrap();
            let found = depth(&policy);
            assert!((expected..=expected + 1).contains(&found), "{condition}: {found}");
        }
    }
}
