//! Whether the conditions of a policy look at the principal or at the resource at all.
//!
//! Those that do not say the same for each candidate of a search, and are evaluated once.

use cedar_policy::Policy;
use serde_json::Value;

/// What the conditions of a policy name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mentions {
    pub(crate) principal: bool,
    pub(crate) resource: bool,
}

impl Mentions {
    /// What a policy's conditions may look at; more is harmless, less would be wrong. Scopes do not count.
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut found = Self {
            principal: false,
            resource: false,
        };
        match policy.to_json().as_ref().map(|json| json.get("conditions")) {
            Ok(Some(conditions)) => found.collect(conditions),
            Ok(None) => {}
            Err(_) => {
                found = Self {
                    principal: true,
                    resource: true,
                }
            }
        }
        found
    }

    /// Walks Cedar's JSON form of an expression (<https://docs.cedarpolicy.com/policies/json-format.html>).
    fn collect(&mut self, node: &Value) {
        match node {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(members) => {
                match members.get("Var").and_then(Value::as_str) {
                    Some("principal") => self.principal = true,
                    Some("resource") => self.resource = true,
                    _ => {}
                }
                members.values().for_each(|value| self.collect(value));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_conditions_name() {
        for (condition, principal, resource) in [
            ("", false, false),
            ("when { context.x == 1 }", false, false),
            ("when { principal.a == 1 }", true, false),
            ("unless { context.x && [1].contains(resource.a) }", false, true),
            ("when { if principal in resource then true else false }", true, true),
            ("when { \"principal\" == \"resource\" }", false, false),
            ("when { {a: resource}.a.b }", false, true),
        ] {
            let policy = format!("permit (principal == User::\"a\", action, resource == Doc::\"b\") {condition};");
            let expected = Mentions { principal, resource };
            assert_eq!(Mentions::of(&policy.parse().unwrap()), expected, "{condition}");
        }
    }
}
