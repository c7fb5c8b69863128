//! What was decided before need not be evaluated again.
//!
//! A decision depends on the bundle, the agent, the action, the resource and those parts of the context that the policies
//! that can apply look at; it is remembered under exactly these. So most questions of an agent that calls one model cost a
//! look-up, whatever else differs between them. Nothing is remembered where a policy looks at what differs with nearly
//! every call: the worst case, the run, the names of tools.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use cedar_policy::Policy;
use serde_json::Value;

use crate::{Question, decide::Tally};

/// How many decisions a bundle remembers. When there are more it begins anew: callers choose models' names, so their
/// number has no other bound.
const MOST: usize = 4_096;

/// Parts of the context, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads(u16);

/// The parts by their names in policies.
const PARTS: [(&str, Reads); 9] = [
    ("tier", Reads(1)),
    ("task", Reads(1 << 1)),
    ("user", Reads(1 << 2)),
    ("stream", Reads(1 << 3)),
    ("max_output_tokens", Reads(1 << 4)),
    ("tool_count", Reads(1 << 5)),
    ("tools", Reads(1 << 6)),
    ("run", Reads(1 << 7)),
    ("worst_case_cost_nano_usd", Reads(1 << 8)),
];
const ALL: Reads = Reads((1 << 9) - 1);
/// Parts that differ with nearly every call.
const FLEETING: Reads = Reads(0b111 << 6);

impl Reads {
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn names(self, name: &str) -> bool {
        PARTS.iter().any(|(part, bit)| *part == name && self.has(*bit))
    }

    /// The parts that evaluating a policy may look at; more is harmless, fewer would be wrong.
    pub(crate) fn of(policy: &Policy) -> Self {
        match policy.to_json() {
            Ok(json) => json.get("conditions").map_or(Self::default(), in_expression),
            Err(_) => ALL,
        }
    }
}

/// Walks Cedar's JSON form of an expression (<https://docs.cedarpolicy.com/policies/json-format.html>). An attribute of this
/// name counts, whatever it is an attribute of; the context as a whole counts for all of its parts.
fn in_expression(node: &Value) -> Reads {
    let within = |nodes: &mut dyn Iterator<Item = &Value>| {
        nodes.fold(Reads::default(), |sum, node| sum.and(in_expression(node)))
    };
    match node {
        Value::Array(items) => within(&mut items.iter()),
        Value::Object(members) => {
            if members.get("Var").and_then(Value::as_str) == Some("context") {
                return ALL;
            }
            let mut reads = Reads::default();
            for (key, value) in members {
                let attribute = value.get("attr").filter(|_| key == "." || key == "has");
                reads = reads.and(match (attribute, value.get("left")) {
                    (Some(Value::String(name)), Some(left)) => {
                        let bit = PARTS.iter().find(|(part, _)| part == name).map(|(_, bit)| *bit);
                        let of_context = left.get("Var").and_then(Value::as_str) == Some("context");
                        let left = if of_context {
                            Reads::default()
                        } else {
                            in_expression(left)
                        };
                        left.and(bit.unwrap_or_default())
                    }
                    // A form that is not known here.
                    (Some(_), _) => ALL,
                    (None, _) => in_expression(value),
                });
            }
            reads
        }
        _ => Reads::default(),
    }
}

/// Decisions by what they depend on.
#[derive(Default)]
pub(crate) struct Memo(RwLock<HashMap<Vec<u8>, Tally>>);

impl Memo {
    /// What a question is remembered under; `None` if it is not.
    pub(crate) fn key(question: &Question<'_>, reads: Reads) -> Option<Vec<u8>> {
        if reads.has(FLEETING) {
            return None;
        }
        let model = question.resource.model();
        let mut key = Vec::with_capacity(128);
        // Each with its length in front, so that no two sets of parts spell the same.
        let mut text = |text: Option<&str>| {
            let text = text.unwrap_or("\0");
            key.extend_from_slice(&text.len().to_be_bytes());
            key.extend_from_slice(text.as_bytes());
        };
        text(Some(question.agent.as_str()));
        text(Some(question.action.as_str()));
        text(Some(question.resource.upstream().as_str()));
        text(model);
        text(reads.names("tier").then(|| question.tier.as_str()));
        text(question.task.filter(|_| reads.names("task")));
        text(
            question
                .user
                .filter(|_| reads.names("user"))
                .map(|user| user.0.as_str()),
        );
        let number = |name, value: u64| if reads.names(name) { value } else { 0 };
        let tools = u64::try_from(question.tools.len()).unwrap_or(u64::MAX);
        for number in [
            number("stream", u64::from(question.stream)),
            number("max_output_tokens", question.max_output_tokens),
            number("tool_count", tools),
        ] {
            key.extend_from_slice(&number.to_be_bytes());
        }
        Some(key)
    }

    // A poisoned lock only means that somebody died while remembering: what is there is right.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Tally> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(key).cloned()
    }

    pub(crate) fn remember(&self, key: Vec<u8>, tally: &Tally) {
        // A note may show more of the request than the key does.
        if !tally.notes.is_empty() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, tally.clone());
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &str, expected: &[&str]) {
        let policy: Policy = format!("permit (principal, action, resource) {condition};")
            .parse()
            .unwrap();
        let reads = Reads::of(&policy);
        let found: Vec<_> = PARTS
            .iter()
            .filter(|(_, bit)| reads.has(*bit))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(found, expected, "{condition}");
    }

    #[test]
    fn what_a_policy_looks_at_is_known() {
        check("", &[]);
        check("when { principal in Team::\"a\" }", &[]);
        check("when { resource.name like \"gpt-*\" }", &[]);
        check("when { context.stream }", &["stream"]);
        check(
            "when { context.max_output_tokens > 5 && context.tool_count < 2 }",
            &["max_output_tokens", "tool_count"],
        );
        check("unless { context has task && context[\"task\"] == \"x\" }", &["task"]);
        check("when { context has user && context.user in Team::\"a\" }", &["user"]);
        check(
            "when { if context.tier == \"api\" then context.tools.contains(\"x\") else true }",
            &["tier", "tools"],
        );
        check("when { [context.run, \"b\"].contains(\"a\") }", &["run"]);
        check(
            "when { context.worst_case_cost_nano_usd > 1 }",
            &["worst_case_cost_nano_usd"],
        );
        // As a whole: everything.
        let all: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        check("when { {a: context} == {a: context} }", &all);
    }
}
