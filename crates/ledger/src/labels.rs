//! Labels: what budgets, limits and breakers select requests by.

use std::fmt;

use serde::{Deserialize, Serialize};

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
