//! The values that rules select by, beside those that there are.

use std::collections::{BTreeMap, BTreeSet};

use control::AgentSpec;
use ledger::Label;
use model::{TenantName, Tier};

use super::{In, Place};
use crate::{
    node::Placed,
    problem::Problems,
    suggest::{self, shown},
};

/// The most values that a message lists, and that are searched for a misspelt one.
const MAX_LISTED: usize = 10;
const MAX_SEARCHED: usize = 1_000;

/// The values that labels can have, as far as the files tell.
pub(super) struct Known<'a>(BTreeMap<Label, BTreeSet<&'a str>>);

impl<'a> Known<'a> {
    pub(super) fn of(tenant: &'a TenantName, agents: &'a [In<Placed<AgentSpec>>], upstreams: &[&'a str]) -> Self {
        let agents = || agents.iter().map(|agent| &agent.is.value);
        Self(BTreeMap::from([
            (Label::Tenant, BTreeSet::from([tenant.as_str()])),
            (
                Label::Environment,
                agents().map(|agent| agent.environment.as_str()).collect(),
            ),
            (Label::Product, agents().map(|agent| agent.product.as_str()).collect()),
            (Label::Team, agents().map(|agent| agent.team.as_str()).collect()),
            (Label::Agent, agents().map(|agent| agent.name.as_str()).collect()),
            (Label::Upstream, upstreams.iter().copied().collect()),
            (Label::Tier, Tier::ALL.into_iter().map(Tier::as_str).collect()),
        ]))
    }

    pub(super) fn check(&self, rule: &str, file: &str, values: &[(Label, Placed<String>)], warnings: &mut Problems) {
        for (label, Placed { mark, value }) in values {
            let Some(known) = self.0.get(label) else { continue };
            let found = match value.strip_suffix('*') {
                Some(prefix) => known.iter().any(|known| known.starts_with(prefix)),
                None => known.contains(value.as_str()),
            };
            if !found {
                let place = Place {
                    file,
                    line: mark.line,
                    column: mark.column,
                };
                let (message, help) = self.unknown(*label, value, rule);
                warnings.push(place.problem(message, &help));
            }
        }
    }

    fn unknown(&self, label: Label, value: &str, rule: &str) -> (String, String) {
        let value_shown = shown(value);
        let known: Vec<&str> = self
            .0
            .get(&label)
            .into_iter()
            .flatten()
            .copied()
            .take(MAX_SEARCHED)
            .collect();
        let (message, source) = match label {
            Label::Agent => (format!("there is no agent `{value_shown}`"), "manifests"),
            Label::Upstream => (format!("there is no upstream `{value_shown}`"), "bailiwick.toml"),
            Label::Tier => (format!("there is no tier `{value_shown}`"), "the manual"),
            Label::Tenant => (format!("the tenant here is not `{value_shown}`"), "directories"),
            label => (format!("no agent has the {label} `{value_shown}`"), "manifests"),
        };
        let message = format!("{rule} selects nothing by this: {message}");
        let help = if known.is_empty() {
            format!("the {source} declare none at all")
        } else if known.len() <= MAX_LISTED || suggest::nearest(value, &known).is_some() {
            suggest::help(value, &format!("values of `{label}`"), &known)
        } else {
            format!("there are {} values of `{label}`, and none is like it", known.len())
        };
        (message, help)
    }
}
