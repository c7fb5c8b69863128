//! Manifests: what a YAML document of `governance/agents/` declares.

mod agent;
mod budget;

use control::AgentSpec;

pub(crate) use agent::RawAgent;

use super::{
    node::{Format, Node, Placed, Value, decode, parse_yaml},
    problem::{Findings, Mark},
    suggest,
};

/// The kinds of documents there are.
const KINDS: [&str; 1] = ["Agent"];

/// Reads the documents of a manifest file: those agents that are right, and what is wrong with the others.
pub(crate) fn parse(text: &str) -> (Vec<Placed<AgentSpec>>, Findings) {
    let mut findings = Findings::default();
    let documents = findings.absorb(parse_yaml(text)).unwrap_or_default();
    let agents = documents.iter().filter_map(|document| agent(document, &mut findings));
    let agents = agents.collect();
    (agents, findings)
}

fn agent(document: &Node, findings: &mut Findings) -> Option<Placed<AgentSpec>> {
    if let Some((mark, kind)) = foreign_kind(document) {
        let message = format!("unknown kind `{}`", suggest::shown(kind));
        findings.add_with_help(mark, message, suggest::help(kind, "kinds", &KINDS));
        return None;
    }
    let (raw, found) = decode::<RawAgent>(document, Format::Yaml);
    findings.extend(found);
    let mark = document.mark;
    let agent = findings.absorb(AgentSpec::try_from(Placed { mark, value: raw? }))?;
    Some(Placed { mark, value: agent })
}

/// A kind that is not even nearly one of ours: the keys of such a document would all be unknown.
fn foreign_kind(document: &Node) -> Option<(Mark, &str)> {
    let Value::Map(entries) = &document.value else {
        return None;
    };
    let is_kind = |(key, _): &&(Node, Node)| matches!(&key.value, Value::Text(key) if key == "kind");
    match entries.iter().find(is_kind) {
        Some((
            _,
            Node {
                mark,
                value: Value::Text(kind),
            },
        )) => suggest::nearest(kind, &KINDS).is_none().then_some((*mark, kind)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
