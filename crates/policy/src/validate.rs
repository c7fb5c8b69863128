//! Strict validation of all policies against the schema.

use std::collections::{HashMap, HashSet};

use cedar_policy::{PolicyId, PolicySet, ValidationMode, Validator, ffi::DetailedError};

use crate::{AgentFacts, Problem, parse::Rule, vocabulary::Vocabulary};

/// What validation found.
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Validates the policies together. Strict mode rules out the errors at evaluation that a schema can rule out; what
/// remains (arithmetic that overflows) is handled when deciding.
pub(crate) fn validate(vocabulary: &Vocabulary, rules: &[Rule<'_>], agents: &[AgentFacts]) -> Findings {
    let mut findings = Findings {
        problems: Vec::new(),
        warnings: unknown_agents(vocabulary, rules, agents),
    };
    let set = match PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            findings.problems.push(Problem::of_file("policies", error.to_string()));
            return findings;
        }
    };
    let by_id: HashMap<&str, &Rule<'_>> = rules.iter().map(|rule| (&*rule.id, rule)).collect();
    let place = |id: &PolicyId, report: DetailedError| match by_id.get(AsRef::<str>::as_ref(id)) {
        Some(rule) => Problem::of_report(rule.source, rule.start, report),
        None => Problem::of_file("policies", report.message),
    };
    let result = Validator::new(vocabulary.schema.clone()).validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors();
    let warnings = result.validation_warnings();
    findings.problems.extend(errors.map(|e| place(e.policy_id(), e.into())));
    findings
        .warnings
        .extend(warnings.map(|w| place(w.policy_id(), w.into())));
    findings
}

/// A policy about an agent that no manifest declares never applies: usually a misspelt name.
fn unknown_agents(vocabulary: &Vocabulary, rules: &[Rule<'_>], agents: &[AgentFacts]) -> Vec<Problem> {
    let known: HashSet<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let mut warnings = Vec::new();
    for rule in rules {
        let mut names: Vec<_> = rule.policy.entity_literals();
        names.retain(|uid| uid.type_name() == &vocabulary.agent && !known.contains(uid.id().unescaped()));
        names.sort();
        names.dedup();
        for name in names {
            let message = format!("for policy `{}`, no manifest declares the agent `{name}`", rule.id);
            warnings.push(Problem::at(rule.source, rule.start, message));
        }
    }
    warnings
}
