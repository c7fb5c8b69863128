//! What a policy says of itself: reasons for people, obligations for enforcement points, whom to ask.

use std::sync::Arc;

use cedar_policy::{Effect, Policy};
use serde_json::{Value, json};

use crate::{Bundle, Code, Outcome, Properties, Verdict};

/// The annotations that mean something, apart from `obligation_...`.
const KNOWN: [&str; 6] = ["id", "reason_user", "reason_admin", "advice", "approval", "priority"];
/// How an annotation of an obligation begins.
const OBLIGATION: &str = "obligation_";
/// The longest text of an annotation, in bytes.
const MAX_TEXT: usize = 1_000;

/// The types of obligations of the AuthZEN obligations profile (working group draft of 2026-07), by their annotations.
const OBLIGATIONS: [(&str, &str); 4] = [
    ("obligation_step_up", "step-up"),
    ("obligation_notification", "notification"),
    ("obligation_session_termination", "session_termination"),
    ("obligation_custom", "custom"),
];

/// What an enforcement point has to do besides obeying the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    /// The id of the policy that asks for it.
    pub id: Arc<str>,
    /// Its type: `step-up`, `notification`, `session_termination` or `custom`.
    pub kind: &'static str,
    /// What it says: the annotation's text if that is a JSON object, else an object with the text as `value`.
    pub properties: Properties,
}

/// The annotations of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// For the person at the other end: `@reason_user`.
    pub reason_user: Option<Arc<str>>,
    /// For whoever looks after the system: `@reason_admin`.
    pub reason_admin: Option<Arc<str>>,
    /// A hint for the enforcement point that it may pass over: `@advice`.
    pub advice: Option<Arc<str>>,
    /// On a `forbid`: the template of the request by which it can be approved, `@approval`.
    pub approval: Option<Arc<str>>,
    /// Which reasons come first: `@priority`, the greater the sooner; 0 without.
    pub priority: i64,
    /// The obligations it brings.
    pub obligations: Vec<Obligation>,
}

/// Reasons of a verdict, the most important first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// For the person at the other end.
    pub user: Vec<Arc<str>>,
    /// For whoever looks after the system.
    pub admin: Vec<Arc<str>>,
}

/// What is wrong or doubtful with a policy's annotations.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Annotations {
    /// Reads the annotations of a policy.
    pub(crate) fn of(id: &Arc<str>, policy: &Policy) -> (Self, Remarks) {
        let (mut found, mut remarks) = (Self::default(), Remarks::default());
        for (name, text) in policy.annotations() {
            if text.len() > MAX_TEXT {
                let problem = format!("@{name} of the policy `{id}` is longer than {MAX_TEXT} bytes");
                remarks.problems.push(problem);
                continue;
            }
            let kept = || Some(Arc::from(text)).filter(|text: &Arc<str>| !text.is_empty());
            match name {
                "reason_user" => found.reason_user = kept(),
                "reason_admin" => found.reason_admin = kept(),
                "advice" => found.advice = kept(),
                "approval" => match policy.effect() {
                    Effect::Forbid if !text.is_empty() => found.approval = kept(),
                    Effect::Forbid => remarks.problems.push(format!(
                        "@approval of the policy `{id}` says no template, such as @approval(\"refund\")"
                    )),
                    Effect::Permit => remarks.problems.push(format!(
                        "@approval stands on a `forbid`, and the policy `{id}` is a `permit`: write what needs approval \
                         as a `forbid` with `unless {{ context has approval_ok && context.approval_ok }}`"
                    )),
                },
                "priority" => match text.parse() {
                    Ok(priority) => found.priority = priority,
                    Err(_) => remarks.problems.push(format!(
                        "@priority of the policy `{id}` is {text:?}, not a whole number"
                    )),
                },
                name if name.starts_with(OBLIGATION) => match OBLIGATIONS.iter().find(|(known, _)| *known == name) {
                    Some((_, kind)) => found.obligations.push(Obligation {
                        id: id.clone(),
                        kind,
                        properties: properties(text),
                    }),
                    None => remarks.problems.push(format!(
                        "@{name} of the policy `{id}` is no obligation; there are {}",
                        OBLIGATIONS.map(|(known, _)| format!("@{known}")).join(", ")
                    )),
                },
                name if KNOWN.contains(&name) => {}
                // Others mean something to others.
                name => remarks.warnings.extend(
                    model::nearest(name, &KNOWN)
                        .map(|meant| format!("@{name} of the policy `{id}` means nothing: is @{meant} meant?")),
                ),
            }
        }
        (found, remarks)
    }
}

impl Bundle {
    /// What a policy says of itself.
    pub fn annotations(&self, policy: &str) -> Option<&Annotations> {
        self.rules.get(policy).map(|facts| &facts.annotations)
    }

    /// The reasons that the deciding policies give, the most important first.
    pub fn reasons(&self, verdict: &Verdict) -> Reasons {
        let mut deciding = self.deciding(verdict);
        deciding.sort_by_key(|found| std::cmp::Reverse(found.priority));
        let mut reasons = Reasons::default();
        for found in deciding {
            reasons.user.extend(found.reason_user.clone());
            reasons.admin.extend(found.reason_admin.clone());
        }
        reasons
    }

    /// What the deciding policies oblige the enforcement point to.
    pub fn obligations(&self, verdict: &Verdict) -> Vec<Obligation> {
        let deciding = self.deciding(verdict).into_iter();
        deciding.flat_map(|found| found.obligations.iter().cloned()).collect()
    }

    /// The template of the request by which a verdict that asks for approval can be approved: that of the policy with the
    /// highest priority.
    pub fn approval(&self, verdict: &Verdict) -> Option<&str> {
        if verdict.outcome != Outcome::ApprovalRequired {
            return None;
        }
        let deciding = self.deciding(verdict).into_iter();
        let found = deciding.min_by_key(|found| std::cmp::Reverse(found.priority))?;
        found.approval.as_deref()
    }

    /// In the order of their ids. A policy that could not be evaluated decides, and yet what it says of itself need not be
    /// true of the question.
    fn deciding(&self, verdict: &Verdict) -> Vec<&Annotations> {
        if verdict.code == Code::EvaluationError {
            return Vec::new();
        }
        verdict.policies.iter().filter_map(|id| self.annotations(id)).collect()
    }
}

fn properties(text: &str) -> Properties {
    match serde_json::from_str(text) {
        Ok(Value::Object(properties)) => properties,
        _ if text.is_empty() => Properties::new(),
        _ => Properties::from_iter([("value".to_owned(), json!(text))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(policy: &str) -> (Annotations, Remarks) {
        Annotations::of(&Arc::from("p"), &policy.parse().unwrap())
    }

    #[test]
    fn what_a_policy_says_of_itself() {
        let (found, remarks) = read(
            r#"@id("p") @reason_user("Ask your manager.") @reason_admin("Over the limit of 500.") @approval("refund")
               @priority("-3") @obligation_step_up("{\"acr\": \"high\"}") @obligation_notification("security")
               @anything("else") forbid (principal, action, resource);"#,
        );
        assert!(
            remarks.problems.is_empty() && remarks.warnings.is_empty(),
            "{remarks:?}"
        );
        assert_eq!(found.reason_user.as_deref(), Some("Ask your manager."));
        assert_eq!(found.reason_admin.as_deref(), Some("Over the limit of 500."));
        assert_eq!((found.approval.as_deref(), found.priority), (Some("refund"), -3));
        let obligations: Vec<_> = found
            .obligations
            .iter()
            .map(|o| (o.kind, json!(o.properties)))
            .collect();
        assert!(
            obligations.contains(&("step-up", json!({"acr": "high"}))),
            "{obligations:?}"
        );
        assert!(
            obligations.contains(&("notification", json!({"value": "security"}))),
            "{obligations:?}"
        );
    }

    #[test]
    fn mistakes() {
        for (annotation, expected) in [
            (r#"@priority("high")"#, "not a whole number"),
            (r#"@approval("x")"#, "stands on a `forbid`"),
            (r#"@obligation_stepup("x")"#, "@obligation_step_up"),
            (r#"@reason_usr("x")"#, "is @reason_user meant?"),
        ] {
            let (_, remarks) = read(&format!("{annotation} permit (principal, action, resource);"));
            let said = [remarks.problems, remarks.warnings].concat().join("\n");
            assert!(said.contains(expected), "{annotation}: {said}");
        }
    }
}
