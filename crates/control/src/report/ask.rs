//! What administrators read of attempts that wait for them.

use std::collections::BTreeMap;

use entry::{Ask, Closed};
use ledger::Amount;
use model::TenantName;
use serde::{Deserialize, Serialize};

use model::rfc3339;

/// An attempt that waits for an administrator. Amounts are decimal text in the budget's unit, as they were when it began to
/// wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskReport {
    /// Its tenant.
    pub tenant: String,
    /// The action: what it is answered by.
    pub action: String,
    /// Whose.
    pub agent: String,
    /// The model, as the request spells it.
    pub model: String,
    /// The upstream.
    pub upstream: String,
    /// The task that the agent named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The run that the agent named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The budget that has no room for it.
    pub budget: String,
    /// Whose pot of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: BTreeMap<String, String>,
    /// What the budget counts.
    pub unit: String,
    /// What it could take.
    pub asked: String,
    /// What was missing.
    pub missing: String,
    /// The limit.
    pub limit: String,
    /// What was spent.
    pub spent: String,
    /// What was held by calls in flight.
    pub held: String,
    /// Why the budget refused, if not for want of room: `paused` or `crowded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Since when it waits.
    pub since: String,
    /// When it is refused if nobody answers.
    pub until: String,
    /// Who has refused it, if somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
}

impl AskReport {
    pub(crate) fn of(tenant: &TenantName, ask: &Ask, of: BTreeMap<String, String>) -> Self {
        let entry::Asked {
            action, over, until, ..
        } = &ask.asked;
        let number = |amount| over.unit.number(amount);
        let used = over.spent.saturating_add(over.held);
        let missing = used.saturating_add(over.asked).saturating_sub(over.limit);
        Self {
            tenant: tenant.to_string(),
            action: action.id.to_string(),
            agent: action.agent.to_string(),
            model: action.model.clone(),
            upstream: action.upstream.to_string(),
            task: action.task.clone(),
            run: action.run.clone(),
            budget: over.budget.to_string(),
            of,
            unit: over.unit.unit().to_owned(),
            asked: number(over.asked),
            missing: number(missing.max(Amount::ZERO)),
            limit: number(over.limit),
            spent: number(over.spent),
            held: number(over.held),
            closed: over.closed.map(|closed| match closed {
                Closed::Paused => "paused".to_owned(),
                Closed::Crowded => "crowded".to_owned(),
            }),
            since: rfc3339(ask.since),
            until: rfc3339(*until),
            refused_by: ask.refused.as_ref().map(|(by, _)| by.to_string()),
        }
    }
}
