//! Actions that wait for an administrator, because a budget has no room for them.

use std::collections::BTreeMap;

use ledger::{AtLimit, Attempt, LedgerError};
use model::{ActionId, AdminName, AgentName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    EntryError, State,
    action::{Action, Intent, Over, Why},
    budgets::COUNTS_ANOTHER,
    snapshot::named,
};

/// How many attempts of one tenant may wait for an administrator at once; more are refused.
pub const ASKS_MAX: usize = 1_000;
/// How many of them may be one agent's.
pub const ASKS_OF_AGENT_MAX: usize = 100;

/// An attempt waits for an administrator: it does not fit into a budget that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Who, what, on which model.
    pub action: Action,
    /// Which attempt of the action.
    pub attempt: u16,
    /// What permitted it.
    pub why: Why,
    /// The budget that has no room.
    pub over: Over,
    /// Until when it waits at most.
    pub until: Timestamp,
    /// Which start of the server it waits at.
    pub boot: u64,
}

impl Asked {
    /// The name of what waits.
    pub fn attempt(&self) -> Attempt {
        Attempt {
            action: self.action.id,
            number: self.attempt,
        }
    }
}

/// An administrator refused an attempt that waited. Its denial follows when its owner hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRefused {
    /// The action.
    pub action: ActionId,
    /// Which attempt.
    pub attempt: u16,
    /// Why, in the words of who refused.
    pub note: String,
    /// Who refused it.
    pub by: AdminName,
}

/// Why nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskEnd {
    /// The caller went away.
    Withdrawn,
    /// The server that it waited at is gone.
    Lost,
    /// Another budget has no room now: it waits for that one, as the next entry says.
    Moved,
}

/// An attempt that waited ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskEnded {
    /// The action.
    pub action: ActionId,
    /// Which attempt.
    pub attempt: u16,
    /// Why.
    pub end: AskEnd,
}

/// What waits, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// As it was recorded.
    pub asked: Asked,
    /// When.
    pub since: Timestamp,
    /// Who refused it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "named::refused")]
    pub refused: Option<(AdminName, String)>,
}

/// What waits for an administrator, in the order of the actions.
pub type Asks = BTreeMap<Attempt, Ask>;

impl State {
    /// Whether another attempt of an agent may wait.
    pub fn may_ask(&self, agent: &AgentName) -> bool {
        let mut of_agent = self.asks.values().filter(|ask| ask.asked.action.agent == *agent);
        self.asks.len() < ASKS_MAX && of_agent.nth(ASKS_OF_AGENT_MAX - 1).is_none()
    }

    pub(crate) fn asked(&mut self, asked: &Asked, now: Timestamp) -> Result<(), EntryError> {
        self.check_action(&asked.action)?;
        self.check_standing(&asked.action)?;
        let over = &asked.over;
        let spec = self.ledger.budget(&over.budget);
        let spec = spec.filter(|_| self.budgets.declared.contains_key(&over.budget));
        let spec = spec.ok_or_else(|| LedgerError::UnknownBudget(over.budget.clone()))?;
        let AtLimit::Ask { wait_s } = spec.at_limit else {
            return Err(EntryError::Mismatch("the budget that has no room does not ask"));
        };
        if spec.unit != over.unit {
            return Err(EntryError::Mismatch(COUNTS_ANOTHER));
        }
        if asked.until > now.saturating_add_micros(i64::from(wait_s) * 1_000_000) {
            return Err(EntryError::Mismatch(
                "the attempt waits for longer than its budget lets it",
            ));
        }
        if !self.may_ask(&asked.action.agent) {
            return Err(EntryError::Mismatch("more attempts wait than may"));
        }
        if self.asks.contains_key(&asked.attempt()) || self.open.contains_key(&asked.attempt()) {
            return Err(EntryError::Mismatch("the attempt waits already, or runs"));
        }
        self.count(&asked.action, now);
        let ask = Ask {
            asked: asked.clone(),
            since: now,
            refused: None,
        };
        self.asks.insert(asked.attempt(), ask);
        Ok(())
    }

    /// Checks that an attempt that waited was not refused, and is its agent's own.
    pub(crate) fn check_answer(&self, intent: &Intent) -> Result<(), EntryError> {
        match self.asks.get(&intent.attempt()) {
            Some(ask) if ask.asked.action.agent != intent.action.agent => {
                Err(EntryError::Mismatch("the attempt that waits is another agent's"))
            }
            Some(ask) if ask.refused.is_some() => Err(EntryError::Mismatch("an administrator refused the attempt")),
            _ => Ok(()),
        }
    }

    /// Ends what waits of an action. Another agent's of the same id goes on waiting.
    pub(crate) fn end_asks_of(&mut self, action: &Action) {
        let asks = self.asks.range(Attempt::all_of(action.id));
        let own = asks.filter(|(_, ask)| ask.asked.action.agent == action.agent);
        let own: Vec<_> = own.map(|(attempt, _)| *attempt).collect();
        for attempt in own {
            self.asks.remove(&attempt);
        }
    }

    pub(crate) fn ask_refused(&mut self, refused: &AskRefused) -> Result<(), EntryError> {
        let attempt = Attempt {
            action: refused.action,
            number: refused.attempt,
        };
        let ask = self.asks.get_mut(&attempt).filter(|ask| ask.refused.is_none());
        let ask = ask.ok_or(EntryError::Mismatch("no such attempt waits for an answer"))?;
        ask.refused = Some((refused.by.clone(), refused.note.clone()));
        Ok(())
    }

    pub(crate) fn ask_ended(&mut self, ended: &AskEnded) -> Result<(), EntryError> {
        let attempt = Attempt {
            action: ended.action,
            number: ended.attempt,
        };
        let ended = self.asks.remove(&attempt);
        ended.map(drop).ok_or(EntryError::Mismatch("no such attempt waits"))
    }
}
