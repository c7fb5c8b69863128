//! What is legal in a policy and seldom meant.

use cedar_policy::{ActionConstraint, Effect, Policy, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;

use crate::{Bundle, Problem};

impl Bundle {
    /// What is legal in the policies and seldom meant, sorted by place: patterns that match every text, a `forbid` of
    /// everything, and a `forbid` that looks at every request by a pattern that can match anywhere. Compiling does not warn
    /// of these: [`crate::Bundle::warnings`] are about what cannot be right.
    pub fn lints(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for kept in self.kept() {
            let (file, line, column) = &kept.facts.place;
            let mut add = |(message, help): (String, &str)| {
                found.push(Problem {
                    file: file.clone(),
                    line: Some(*line),
                    column: Some(*column),
                    message: format!("for policy `{}`, {message}", kept.id),
                    help: Some(help.to_owned()),
                });
            };
            lint(kept.policy()).into_iter().for_each(&mut add);
        }
        found.sort();
        found
    }
}

fn lint(policy: &Policy) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let json = policy.to_json().unwrap_or_default();
    let conditions = json.get("conditions").unwrap_or(&Value::Null);
    let mut patterns = Vec::new();
    collect(conditions, &mut patterns);
    if patterns
        .iter()
        .any(|pattern| matches!(pattern.as_slice(), [Value::String(_)]))
    {
        found.push((
            "`like \"*\"` is true of every text".to_owned(),
            "leave the test out, or say what the text has to look like",
        ));
    }
    let everything = matches!(policy.principal_constraint(), PrincipalConstraint::Any)
        && matches!(policy.action_constraint(), ActionConstraint::Any)
        && matches!(policy.resource_constraint(), ResourceConstraint::Any);
    if policy.effect() == Effect::Permit || !everything {
        return found;
    }
    // Cedar's own patterns are lists of `"Wildcard"` and of `{"Literal": ..}`.
    let anywhere = |pattern: &Vec<Value>| matches!(pattern.as_slice(), [Value::String(_), _, ..]);
    if conditions.as_array().is_none_or(Vec::is_empty) {
        found.push((
            "it forbids everything to everybody".to_owned(),
            "name the principal, the action or the resource, or add a condition; to stop one agent, name it",
        ));
    } else if patterns.iter().any(anywhere) {
        found.push((
            "it looks at every request of everybody, by a pattern that can match anywhere".to_owned(),
            "name the principal, the action or the resource it is about: then other requests need not be compared, and none \
             is forbidden by accident",
        ));
    }
    found
}

/// The patterns of all `like`s.
fn collect(node: &Value, patterns: &mut Vec<Vec<Value>>) {
    match node {
        Value::Array(items) => items.iter().for_each(|item| collect(item, patterns)),
        Value::Object(members) => {
            if let Some(Value::Array(pattern)) = members.get("like").and_then(|like| like.get("pattern")) {
                patterns.push(pattern.clone());
            }
            members.values().for_each(|value| collect(value, patterns));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seldom_meant() {
        for (policy, expected) in [
            ("permit (principal, action, resource);", ""),
            ("forbid (principal, action, resource);", "forbids everything"),
            (
                "forbid (principal, action, resource) when { context.n like \"*\" };",
                "true of every text",
            ),
            (
                "forbid (principal, action, resource) when { context.n like \"*x\" };",
                "match anywhere",
            ),
            (
                "forbid (principal, action, resource) when { context.n like \"x*\" };",
                "",
            ),
            (
                "forbid (principal, action, resource is Model) when { context.n like \"*x*\" };",
                "",
            ),
            (
                "permit (principal, action, resource) when { !(context.n like \"*\") };",
                "true of every text",
            ),
            (
                "forbid (principal, action, resource) when { context.n like \"\\*\" };",
                "",
            ),
        ] {
            let found = lint(&policy.parse().unwrap());
            let said: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
            assert_eq!(said.is_empty(), expected.is_empty(), "{policy}: {said:?}");
            assert!(said.join(" ").contains(expected), "{policy}: {said:?}");
        }
    }
}
