//! Going on while the log cannot be written, for agents that have an allowance. Everybody else is refused.
//!
//! Policy has been evaluated by then, on a snapshot of the last committed epoch; what was decided on an earlier one is
//! refused. The allowance was reserved in the agent's budgets while all was well, and the intent is durable in the spool
//! before the call leaves: so the invariants hold here too.

use store::{Hold, HoldAnswer, HoldRequest};

use crate::{Control, snapshot::Tenant};

/// What to ask for again if nothing can be recorded: only for an agent with an allowance, and not under an idempotency key,
/// for nobody knows whether that was paid already.
pub(crate) fn candidate(tenant: &Tenant, wanted: &HoldRequest) -> Option<Box<HoldRequest>> {
    let agent = tenant.agents.get(&wanted.ask.action.agent)?;
    let may = agent.allowance.is_some() && wanted.idempotency.is_none();
    may.then(|| Box::new(wanted.clone()))
}

impl Control {
    /// A hold on the agent's allowance, if it has one, there is enough left of it, and the trouble is the log's disk.
    pub(crate) async fn fail_open(&self, wanted: Option<Box<HoldRequest>>) -> Option<Hold> {
        match self.committer().hold_on_allowance(*wanted?).await {
            HoldAnswer::Held(hold) => Some(hold),
            _ => None,
        }
    }
}
