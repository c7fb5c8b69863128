//! Agents and their credentials in the fold.

use ledger::{LedgerError, MAX_BUDGETS_PER_HOLD};
use model::{AgentName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    EntryError, State,
    error::unknown,
    record::{AgentRecord, KeyRecord},
};

/// A credential and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyState {
    /// As it was issued.
    pub record: KeyRecord,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// When it last named an intent or a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// An agent and how far its actions are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentState {
    /// The manifest in effect; `None` once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<AgentRecord>,
    /// The last sequence number.
    pub seq: u64,
}

impl State {
    pub(crate) fn agent_loaded(&mut self, agent: &AgentRecord) -> Result<(), EntryError> {
        let count = agent.budgets.len();
        if !(1..=MAX_BUDGETS_PER_HOLD).contains(&count) {
            return Err(LedgerError::BudgetCount(count).into());
        }
        for (at, budget) in agent.budgets.iter().enumerate() {
            // The ledger remembers what was spent in budgets that were removed.
            let declared = self.budgets.declared.contains_key(budget);
            if !declared {
                return Err(LedgerError::UnknownBudget(budget.clone()).into());
            }
            if agent.budgets.iter().take(at).any(|earlier| earlier == budget) {
                return Err(LedgerError::Repeated(budget.clone()).into());
            }
        }
        let seq = self.agents.get(&agent.name).map_or(0, |known| known.seq);
        let record = Some(agent.clone());
        self.agents.insert(agent.name.clone(), AgentState { record, seq });
        Ok(())
    }

    pub(crate) fn agent_removed(&mut self, agent: &AgentName) -> Result<(), EntryError> {
        let known = self.agents.get_mut(agent).ok_or_else(|| unknown("agent", agent))?;
        known.record = None;
        Ok(())
    }

    pub(crate) fn key_issued(&mut self, key: &KeyRecord, issued: Timestamp) -> Result<(), EntryError> {
        if !self.agents.contains_key(&key.agent) {
            return Err(unknown("agent", &key.agent));
        }
        self.check_fresh_key(&key.id)?;
        let state = KeyState {
            record: key.clone(),
            issued,
            revoked: None,
            last_used: None,
        };
        self.keys.insert(key.id.clone(), state);
        Ok(())
    }
}
