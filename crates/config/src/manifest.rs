//! Manifests: what the YAML documents of `governance/agents/` and `governance/rules/` declare.

mod agent;
mod breaker;
mod budget;
mod check;
mod kind;
mod pep;
mod rate;
mod select;

use control::{AgentSpec, PepSpec};
use ledger::{BreakerSpec, BudgetSpec, Label, RateSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use self::{
    agent::RawAgent,
    breaker::RawBreaker,
    budget::RawBudget,
    kind::{Foreign, Kind},
    pep::RawPep,
    rate::RawRateLimit,
};
use super::{
    node::{Format, Node, Placed, decode, parse_yaml},
    problem::{Findings, Mark},
    suggest,
};

/// A document that is right.
#[derive(Debug)]
pub(crate) enum Document {
    Agent(Placed<AgentSpec>),
    Budget(Declared<BudgetSpec>),
    RateLimit(Declared<RateSpec>),
    Breaker(Declared<BreakerSpec>),
    Pep(Placed<PepSpec>),
}

/// A rule, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared<T> {
    /// Where the document begins.
    pub(crate) mark: Mark,
    /// What it says.
    pub(crate) spec: T,
    /// The values that it selects requests by, each with its place.
    pub(crate) values: Vec<(Label, Placed<String>)>,
}

/// Reads the documents of a manifest file: those that are right, and what is wrong with the others.
pub(crate) fn parse(text: &str) -> (Vec<Document>, Findings) {
    let mut findings = Findings::default();
    let documents = findings.absorb(parse_yaml(text)).unwrap_or_default();
    let documents = documents.iter().filter_map(|node| document(node, &mut findings));
    let documents = documents.collect();
    (documents, findings)
}

fn document(node: &Node, findings: &mut Findings) -> Option<Document> {
    match Kind::of(node) {
        Ok(Kind::Agent) => {
            let agent = findings.absorb(read::<RawAgent, AgentSpec>(node))?;
            Some(Document::Agent(Placed {
                mark: node.mark,
                value: agent,
            }))
        }
        Ok(Kind::Budget) => findings.absorb(read::<RawBudget, _>(node)).map(Document::Budget),
        Ok(Kind::RateLimit) => findings.absorb(read::<RawRateLimit, _>(node)).map(Document::RateLimit),
        Ok(Kind::Breaker) => findings.absorb(read::<RawBreaker, _>(node)).map(Document::Breaker),
        Ok(Kind::Pep) => {
            let value = findings.absorb(read::<RawPep, PepSpec>(node))?;
            Some(Document::Pep(Placed { mark: node.mark, value }))
        }
        Err(foreign) => {
            let Foreign { mark, kind } = foreign;
            let message = format!("unknown kind `{}`", suggest::shown(kind));
            findings.add_with_help(mark, message, foreign.help());
            None
        }
    }
}

/// A document by way of its raw struct.
fn read<'de, Raw, T>(node: &'de Node) -> Result<T, Findings>
where
    Raw: serde::Deserialize<'de>,
    T: TryFrom<Placed<Raw>, Error = Findings>,
{
    let (raw, mut findings) = decode::<Raw>(node, Format::Yaml);
    let mark = node.mark;
    let made = raw.and_then(|value| findings.absorb(T::try_from(Placed { mark, value })));
    findings.conclude(made)
}

/// A document of any kind, for its schema.
pub(crate) struct RawDocument;

impl JsonSchema for RawDocument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = [
            generator.subschema_for::<RawAgent>(),
            generator.subschema_for::<RawBudget>(),
            generator.subschema_for::<RawRateLimit>(),
            generator.subschema_for::<RawBreaker>(),
            generator.subschema_for::<RawPep>(),
        ];
        json_schema!({ "oneOf": kinds })
    }
}

#[cfg(test)]
mod tests;
