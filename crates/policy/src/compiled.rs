//! A policy ready to be evaluated many times.
//!
//! Cedar's authorizer puts scope and conditions of each policy together anew for each request. Here a scope is compared
//! directly (it is a conjunction of comparisons of names, which cannot fail), and the conditions are one expression, made
//! once, which Cedar evaluates. What comes of it is the same; `tests/asking.rs` and `tests/oracle.rs` compare with the
//! authorizer.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::{
    Effect, Entities, EntityTypeName, EntityUid, EvalResult, Expression, Policy, PrincipalConstraint, Request,
    ResourceConstraint, eval_expression,
};
use serde_json::{Value, json};

use crate::mentions::Mentions;

/// A policy.
pub(crate) struct Compiled {
    pub(crate) id: Arc<str>,
    pub(crate) effect: Effect,
    pub(crate) principal: Asked,
    pub(crate) resource: Asked,
    pub(crate) mentions: Mentions,
    /// All `when` and `unless`; `None` where there is nothing to evaluate.
    condition: Option<Expression>,
}

/// What evaluating a policy comes to.
pub(crate) enum Said {
    Satisfied,
    Unsatisfied,
    /// It could not be evaluated: a sentence.
    Failed(String),
}

impl Compiled {
    /// Prepares a policy.
    ///
    /// # Errors
    /// What Cedar says of its own form of the policy: that would be a mistake of this code.
    pub(crate) fn new(id: Arc<str>, policy: &Policy) -> Result<Self, String> {
        Ok(Self {
            effect: policy.effect(),
            principal: Asked::of_principal(policy),
            resource: Asked::of_resource(policy),
            mentions: Mentions::of(policy),
            condition: condition(policy)?,
            id,
        })
    }

    /// Evaluates it for a principal and a resource with these names, given first their own, and an action that its scope
    /// covers.
    pub(crate) fn evaluate(
        &self,
        (principal, resource): (&[EntityUid], &[EntityUid]),
        request: &Request,
        entities: &Entities,
    ) -> Said {
        if !self.principal.matches(principal) || !self.resource.matches(resource) {
            return Said::Unsatisfied;
        }
        let Some(condition) = &self.condition else {
            return Said::Satisfied;
        };
        match eval_expression(request, entities, condition) {
            Ok(EvalResult::Bool(true)) => Said::Satisfied,
            Ok(EvalResult::Bool(false)) => Said::Unsatisfied,
            Ok(_) => Said::Failed(format!(
                "the conditions of policy `{}` are neither true nor false",
                self.id
            )),
            Err(error) => Said::Failed(format!("error while evaluating policy `{}`: {error}", self.id)),
        }
    }
}

/// The conditions of a policy as one expression.
fn condition(policy: &Policy) -> Result<Option<Expression>, String> {
    let json = policy.to_json().map_err(|error| error.to_string())?;
    let clauses = json.get("conditions").and_then(Value::as_array);
    let mut texts = Vec::new();
    for clause in clauses.into_iter().flatten() {
        let body = clause.get("body").ok_or("a condition without a body")?;
        let text = text_of(body)?;
        texts.push(match clause.get("kind").and_then(Value::as_str) {
            Some("unless") => format!("!({text})"),
            _ => format!("({text})"),
        });
    }
    if texts.is_empty() {
        return Ok(None);
    }
    let text = texts.join(" && ");
    text.parse().map(Some).map_err(|error| format!("{text}: {error}"))
}

/// An expression in Cedar's JSON form as text. Cedar writes it: as the only condition of a policy.
fn text_of(body: &Value) -> Result<String, String> {
    let any = json!({"op": "All"});
    let policy = json!({
        "effect": "permit", "principal": any, "action": any, "resource": any,
        "conditions": [{"kind": "when", "body": body}],
    });
    let policy = Policy::from_json(None, policy).map_err(|error| error.to_string())?;
    let text = policy.to_cedar().ok_or("a policy without a text")?;
    let condition = text.split_once("when").map(|(_, rest)| rest.trim());
    let condition = condition.and_then(|rest| rest.strip_suffix(';')).map(str::trim_end);
    let body = condition.and_then(|rest| rest.strip_prefix('{')?.strip_suffix('}'));
    body.map(|text| text.trim().to_owned()).ok_or(text)
}

/// What a scope asks of the principal or the resource.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Any,
    Is(EntityTypeName),
    Equal(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

impl Asked {
    fn of_principal(policy: &Policy) -> Self {
        match policy.principal_constraint() {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::Is(kind) => Self::Is(kind),
            PrincipalConstraint::Eq(uid) => Self::Equal(uid),
            PrincipalConstraint::In(uid) => Self::In(uid),
            PrincipalConstraint::IsIn(kind, uid) => Self::IsIn(kind, uid),
        }
    }

    fn of_resource(policy: &Policy) -> Self {
        match policy.resource_constraint() {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::Is(kind) => Self::Is(kind),
            ResourceConstraint::Eq(uid) => Self::Equal(uid),
            ResourceConstraint::In(uid) => Self::In(uid),
            ResourceConstraint::IsIn(kind, uid) => Self::IsIn(kind, uid),
        }
    }

    /// Whether it is asked of what has these names: first its own, then those of all that it is in.
    fn matches(&self, names: &[EntityUid]) -> bool {
        let is = |kind: &EntityTypeName| names.first().is_some_and(|own| own.type_name() == kind);
        match self {
            Self::Any => true,
            Self::Is(kind) => is(kind),
            Self::Equal(uid) => names.first() == Some(uid),
            Self::In(uid) => names.contains(uid),
            Self::IsIn(kind, uid) => is(kind) && names.contains(uid),
        }
    }

    /// The key of the scope for an action of these types; `None` where it matches none of them.
    pub(crate) fn key(&self, of: &HashSet<EntityTypeName>) -> Option<Key> {
        match self {
            Self::Any => Some(Key::Any),
            Self::Is(kind) if !of.contains(kind) => None,
            Self::Is(_) if of.len() == 1 => Some(Key::Any),
            Self::Is(kind) => Some(Key::Kind(kind.clone())),
            Self::Equal(uid) => of.contains(uid.type_name()).then(|| Key::Named(uid.clone())),
            Self::In(uid) => Some(Key::Named(uid.clone())),
            Self::IsIn(kind, uid) => of.contains(kind).then(|| Key::Named(uid.clone())),
        }
    }
}

/// Where a policy stands in the index.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// It asks nothing that not every one of the action's has.
    Any,
    /// It asks for this type.
    Kind(EntityTypeName),
    /// It asks for what is, or is in, what has this name. What asks to *be* it stands here too: evaluating tells them apart.
    Named(EntityUid),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_taken_over_as_they_are() {
        for (conditions, expected) in [
            ("", "none"),
            ("when { true }", "true"),
            ("when { true } unless { true }", "false"),
            ("unless { \"when { \\\"} ;\" == \"}\" }", "true"),
            ("when { if 1 < 2 then false else true }", "false"),
            ("when { [1, 2].contains(1) && \"a\\u{1F600}*\" like \"a*\\*\" }", "true"),
            (
                "when { {\"when\": {\"a b\": 1}}[\"when\"][\"a b\"] == 1 } when { -1 < 0 - -2 }",
                "true",
            ),
            (
                "when { decimal(\"1.5\").lessThan(decimal(\"2.0\")) && ip(\"10.0.0.1\").isIpv4() }",
                "true",
            ),
            ("when { 9223372036854775807 + 1 > 0 || true }", "failed"),
            ("when { true || 9223372036854775807 + 1 > 0 }", "true"),
        ] {
            let policy: Policy = format!("permit (principal, action, resource) {conditions};")
                .parse()
                .unwrap();
            let compiled = Compiled::new("p".into(), &policy).unwrap();
            let names: [EntityUid; 1] = ["User::\"a\"".parse().unwrap()];
            let [uid] = names.clone();
            let request = Request::new(uid.clone(), uid.clone(), uid, cedar_policy::Context::empty(), None).unwrap();
            let said = match compiled.evaluate((&names, &names), &request, &Entities::empty()) {
                _ if compiled.condition.is_none() => "none",
                Said::Satisfied => "true",
                Said::Unsatisfied => "false",
                Said::Failed(_) => "failed",
            };
            assert_eq!(said, expected, "{conditions}");
        }
    }
}
