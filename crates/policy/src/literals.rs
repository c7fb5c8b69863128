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
