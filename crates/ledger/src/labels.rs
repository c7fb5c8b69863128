//! Labels: what budgets, limits and breakers select requests by.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The most values that a selector names for one label.
pub const MAX_VALUES: usize = 32;

/// A property of a request. The order is that of how much a label says of a request, the least first: of two rules the one
/// that names the greater label is the more specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// The tenant.
    Tenant,
    /// The agent's environment, such as `production`.
    Environment,
    /// The agent's product.
    Product,
    /// The agent's team.
    Team,
    /// The tier of the credential: `interactive`, `batch` and so on.
    Tier,
    /// The upstream.
    Upstream,
    /// The model, as the request spells it.
    Model,
    /// A tool that the request offers to the model. The only label that a request has several values of.
    Tool,
    /// The task type that the agent names.
    Task,
    /// The agent.
    Agent,
    /// The run that the agent names.
    Run,
    /// The user on whose behalf the credential acts, as a pseudonym.
    User,
}

impl Label {
    /// All labels, the one that says the least first.
    pub const ALL: [Self; 12] = [
        Self::Tenant,
        Self::Environment,
        Self::Product,
        Self::Team,
        Self::Tier,
        Self::Upstream,
        Self::Model,
        Self::Tool,
        Self::Task,
        Self::Agent,
        Self::Run,
        Self::User,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Environment => "environment",
            Self::Product => "product",
            Self::Team => "team",
            Self::Tier => "tier",
            Self::Upstream => "upstream",
            Self::Model => "model",
            Self::Tool => "tool",
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Run => "run",
            Self::User => "user",
        }
    }

    /// Whether all requests of an agent have the same value.
    pub fn is_fixed(self) -> bool {
        matches!(
            self,
            Self::Tenant | Self::Environment | Self::Product | Self::Team | Self::Agent
        )
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The labels of one request. A value that is empty is none: no user, no run, no model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    /// Whose.
    pub tenant: &'a str,
    /// The agent's environment.
    pub environment: &'a str,
    /// The agent's product.
    pub product: &'a str,
    /// The agent's team.
    pub team: &'a str,
    /// The tier of the credential.
    pub tier: &'a str,
    /// The upstream.
    pub upstream: &'a str,
    /// The model, as the request spells it.
    pub model: &'a str,
    /// The tools that the request offers and that some rule names.
    pub tools: &'a [String],
    /// The task type.
    pub task: &'a str,
    /// The agent.
    pub agent: &'a str,
    /// The run.
    pub run: &'a str,
    /// The user's pseudonym.
    pub user: &'a str,
}

impl<'a> Labels<'a> {
    /// The value of a label; `None` where there is none, and for tools, of which there may be several.
    pub fn get(&self, label: Label) -> Option<&'a str> {
        let value = match label {
            Label::Tenant => self.tenant,
            Label::Environment => self.environment,
            Label::Product => self.product,
            Label::Team => self.team,
            Label::Tier => self.tier,
            Label::Upstream => self.upstream,
            Label::Model => self.model,
            Label::Tool => "",
            Label::Task => self.task,
            Label::Agent => self.agent,
            Label::Run => self.run,
            Label::User => self.user,
        };
        Some(value).filter(|value| !value.is_empty())
    }

    /// The values of labels, in that order: whose pot or bucket a request takes from. `None` where one has no value.
    pub fn values(&self, labels: &[Label]) -> Option<Vec<String>> {
        labels.iter().map(|label| self.get(*label).map(str::to_owned)).collect()
    }
}

/// Which requests a rule is about: those that have one of the values of every label named. One that names no label selects
/// all requests. A value that ends in `*` stands for all that begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Selector(pub BTreeMap<Label, Vec<String>>);

impl Selector {
    /// The requests with one value of one label.
    pub fn of(label: Label, value: &str) -> Self {
        Self(BTreeMap::from([(label, vec![value.to_owned()])]))
    }

    /// Whether it is about a request with these labels.
    pub fn selects(&self, labels: &Labels<'_>) -> bool {
        self.0.iter().all(|(label, values)| match label {
            Label::Tool => labels.tools.iter().any(|tool| any_matches(values, tool)),
            _ => labels.get(*label).is_some_and(|value| any_matches(values, value)),
        })
    }

    /// Whether it could be about a request of which only these labels are known: those that vary from one request of an agent
    /// to the next are not asked for.
    pub fn may_select(&self, known: &Labels<'_>) -> bool {
        let fixed = self.0.iter().filter(|(label, _)| label.is_fixed());
        fixed
            .into_iter()
            .all(|(label, values)| known.get(*label).is_some_and(|value| any_matches(values, value)))
    }

    /// Whether some request could be selected by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().all(|(label, values)| {
            let others = other.0.get(label);
            // A request may offer the tools of both.
            *label == Label::Tool || others.is_none_or(|others| values.iter().any(|value| any_meets(others, value)))
        })
    }

    /// Whether it is about any request at all: not if a label has no value that a request can have.
    pub fn can_select(&self) -> bool {
        self.0
            .values()
            .all(|values| values.iter().any(|value| !value.is_empty()))
    }

    /// The labels it names.
    pub fn labels(&self) -> impl Iterator<Item = Label> {
        self.0.keys().copied()
    }
}

/// `team data, environment production or test`; `all requests`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("all requests");
        }
        for (at, (label, values)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{label} {}", values.join(" or "))?;
        }
        Ok(())
    }
}

fn any_matches(values: &[String], value: &str) -> bool {
    values.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => value.starts_with(prefix),
        None => pattern == value,
    })
}

/// Whether some value fits both one of the patterns and this one.
fn any_meets(patterns: &[String], pattern: &str) -> bool {
    let Some(prefix) = pattern.strip_suffix('*') else {
        return any_matches(patterns, pattern);
    };
    patterns.iter().any(|other| match other.strip_suffix('*') {
        Some(other) => other.starts_with(prefix) || prefix.starts_with(other),
        None => other.starts_with(prefix),
    })
}
