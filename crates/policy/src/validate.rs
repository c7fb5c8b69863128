//! Strict validation of all policies against the schema.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{Policy, PolicyId, PolicySet, ResourceConstraint, ValidationMode, Validator, ffi::DetailedError};
use serde_json::json;

use crate::{AgentFacts, Problem, parse::Rule, schema::Terms, vocabulary::Vocabulary};

/// What to do about a policy whose conditions fit the actions on models only.
const FOR_MODELS: &str = "llm:list is about an upstream, and its context is smaller; if this policy is about models, \
                          write `resource is Model` in its scope";

/// What validation found.
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Validates the policies together. Strict mode rules out the errors at evaluation that a schema can rule out; what
/// remains (arithmetic that overflows) is handled when deciding.
pub(crate) fn validate(vocabulary: &Vocabulary, terms: &Terms, rules: &[Rule<'_>], agents: &[AgentFacts]) -> Findings {
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
    let rule_of = |id: &PolicyId| by_id.get(AsRef::<str>::as_ref(id)).copied();
    let place = |rule: Option<&Rule<'_>>, report: DetailedError| match rule {
        Some(rule) => Problem::of_report(rule.source, rule.start, report),
        None => Problem::of_file("policies", report.message),
    };
    let validator = Validator::new(terms.schema.clone());
    let result = validator.validate(&set, ValidationMode::Strict);
    let mut by_rule: BTreeMap<&PolicyId, Vec<DetailedError>> = BTreeMap::new();
    for error in result.validation_errors() {
        by_rule.entry(error.policy_id()).or_default().push(error.into());
    }
    let names = action_names(vocabulary, terms);
    for (id, reports) in by_rule {
        let rule = rule_of(id);
        let narrowed = rule.and_then(|rule| for_models(&validator, &rule.policy));
        let problems = reports.into_iter().map(|report| match &narrowed {
            Some(messages) if !messages.contains(&report.message) => place(rule, report).help(FOR_MODELS.to_owned()),
            _ => place(rule, report),
        });
        findings.problems.extend(once_for_all_actions(&names, problems));
    }
    let warnings = result.validation_warnings();
    findings
        .warnings
        .extend(warnings.map(|w| place(rule_of(w.policy_id()), w.into())));
    findings
}

/// All actions: ours, then those of the schemas in order.
fn action_names(vocabulary: &Vocabulary, terms: &Terms) -> Vec<String> {
    let ours = vocabulary.actions.iter().map(|action| action.uid.to_string());
    let theirs = terms.actions.values().filter(|deed| !deed.builtin);
    let mut theirs: Vec<String> = theirs.map(|deed| deed.uid.to_string()).collect();
    theirs.sort();
    ours.chain(theirs).collect()
}

/// Cedar checks a policy for every action in its scope and reports the same mistake for each. One report is enough: the
/// one for the first action that has it.
fn once_for_all_actions(names: &[String], problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let mut ranked: Vec<(Problem, usize, Problem)> = problems
        .map(|problem| {
            let named = names
                .iter()
                .enumerate()
                .find(|(_, name)| problem.message.contains(*name));
            let (rank, message) = match named {
                Some((rank, name)) => (rank, problem.message.replace(name, "")),
                None => (names.len(), problem.message.clone()),
            };
            let alike = Problem {
                message,
                help: None,
                ..problem.clone()
            };
            (alike, rank, problem)
        })
        .collect();
    ranked.sort();
    ranked.dedup_by(|next, kept| next.0 == kept.0);
    ranked.into_iter().map(|(_, _, problem)| problem).collect()
}

/// What would still be wrong with the policy if its scope said `resource is Model`, unless it says which kind of
/// resource it is about already. What is wrong only without that comes from conditions about models in a policy that
/// takes in upstreams as well.
fn for_models(validator: &Validator, policy: &Policy) -> Option<HashSet<String>> {
    let mut json = policy.to_json().ok()?;
    let resource = json.get_mut("resource")?;
    *resource = match policy.resource_constraint() {
        ResourceConstraint::Any => json!({"op": "is", "entity_type": "Model"}),
        ResourceConstraint::In(_) => {
            json!({"op": "is", "entity_type": "Model", "in": {"entity": resource.get("entity")?}})
        }
        ResourceConstraint::Is(_) | ResourceConstraint::Eq(_) | ResourceConstraint::IsIn(..) => return None,
    };
    let narrowed = Policy::from_json(Some(policy.id().clone()), json).ok()?;
    let set = PolicySet::from_policies([narrowed]).ok()?;
    let result = validator.validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors();
    Some(errors.map(|error| DetailedError::from(error).message).collect())
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
