//! What booked calls are told apart by.

use std::fmt;

/// How many task types, and how many models, of one agent are told apart. Callers choose these words, so without a bound
/// they could make the projection grow by a row for each call.
pub const MAX_NAMES: usize = 256;

/// What stands for the task types and models beyond [`MAX_NAMES`].
pub const OTHERS: &str = "(others)";

/// A property of a booked call. Runs are not among them: nearly each call has one of its own, so that sums by run would be
/// no shorter than the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CostLabel {
    /// The tenant.
    Tenant,
    /// The agent's team.
    Team,
    /// The agent's product.
    Product,
    /// The agent's environment, such as `production`.
    Environment,
    /// The agent.
    Agent,
    /// The tier of the credential.
    Tier,
    /// The user on whose behalf the credential acts, as a pseudonym.
    User,
    /// The task type that the agent named.
    Task,
    /// The action's name in policies, such as `llm:generate`.
    Operation,
    /// The upstream.
    Upstream,
    /// The model, as the request spells it.
    Model,
}

impl CostLabel {
    /// All labels.
    pub const ALL: [Self; 11] = [
        Self::Tenant,
        Self::Team,
        Self::Product,
        Self::Environment,
        Self::Agent,
        Self::Tier,
        Self::User,
        Self::Task,
        Self::Operation,
        Self::Upstream,
        Self::Model,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Team => "team",
            Self::Product => "product",
            Self::Environment => "environment",
            Self::Agent => "agent",
            Self::Tier => "tier",
            Self::User => "user",
            Self::Task => "task",
            Self::Operation => "operation",
            Self::Upstream => "upstream",
            Self::Model => "model",
        }
    }

    /// The label of a word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.as_str() == word)
    }
}

impl fmt::Display for CostLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The labels of a call of one tenant. A value that is empty is none: no user, no task, no model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LabelSet {
    pub(super) team: String,
    pub(super) product: String,
    pub(super) environment: String,
    pub(super) agent: String,
    pub(super) tier: String,
    pub(super) user: String,
    pub(super) task: String,
    pub(super) operation: String,
    pub(super) upstream: String,
    pub(super) model: String,
}

impl LabelSet {
    /// The value of a label; the tenant's is not here.
    pub(super) fn get<'a>(&'a self, label: CostLabel, tenant: &'a str) -> &'a str {
        match label {
            CostLabel::Tenant => tenant,
            CostLabel::Team => &self.team,
            CostLabel::Product => &self.product,
            CostLabel::Environment => &self.environment,
            CostLabel::Agent => &self.agent,
            CostLabel::Tier => &self.tier,
            CostLabel::User => &self.user,
            CostLabel::Task => &self.task,
            CostLabel::Operation => &self.operation,
            CostLabel::Upstream => &self.upstream,
            CostLabel::Model => &self.model,
        }
    }
}
