//! What agents may spend while nothing can be recorded, and what they spent of it.

use ledger::{Booking, Charge, Ended, Hold};
use model::{AgentName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Entry, EntryError, Intent, Outcome, State, budgets::booked_in, error::unknown, snapshot::named};

/// An agent's allowance, reserved while all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// The agent.
    pub agent: AgentName,
    /// What is reserved: at most what the manifest declares, less where a budget has no room for all of it.
    pub amount: NanoUsd,
    /// Where, and what was used there before.
    pub bookings: Vec<Booking>,
}

impl Allowance {
    pub(crate) fn hold(&self) -> Hold {
        Hold {
            amount: Charge::of_money(self.amount),
            bookings: self.bookings.clone(),
            // It stands until it is released, whoever is running.
            expires: Timestamp::MAX,
            boot: 0,
        }
    }
}

/// That calls were let through while nothing could be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolApplied {
    /// Which spool: random, new each time that it was emptied.
    pub spool: String,
    /// How many of its records of this tenant the log has now: none of them is taken a second time.
    pub records: u64,
    /// How many calls were let through.
    pub calls: u64,
    /// The worst cases of all of them.
    pub held: NanoUsd,
    /// The time of the first record.
    pub from: Timestamp,
    /// The time of the last record.
    pub to: Timestamp,
}

/// What was taken from spools: up to where, and what of it no summary has told yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spooled {
    /// The last spool, and how many of its records.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "named::spool")]
    pub last: Option<(String, u64)>,
    pub(crate) calls: u64,
    pub(crate) held: NanoUsd,
}

impl State {
    pub(crate) fn allowance_held(&mut self, allowance: &Allowance, entry: &Entry) -> Result<(), EntryError> {
        let agent = self.agents.get(&allowance.agent);
        let record = agent.and_then(|agent| agent.record.as_ref());
        let record = record.ok_or_else(|| unknown("agent", &allowance.agent))?;
        if record.allowance.is_none_or(|declared| allowance.amount > declared) {
            return Err(EntryError::Mismatch("the allowance is more than the manifest declares"));
        }
        let pots = self.standing_pots(&allowance.agent).ok_or(EntryError::Mismatch(
            "an allowance cannot be reserved in budgets that depend on what is asked for",
        ))?;
        if !booked_in(&allowance.bookings, &pots) {
            return Err(EntryError::Mismatch("the allowance is not in the agent's budgets"));
        }
        let agent = allowance.agent.clone();
        Ok(self.ledger.hold_allowance(agent, allowance.hold(), entry.time)?)
    }

    /// Takes the hold of an intent out of its agent's allowance. Whether the agent was removed, its credential revoked or the
    /// model distrusted is not asked: when the call was let through that was not so, or nobody could know.
    pub(crate) fn carve(&mut self, intent: &Intent) -> Result<(), EntryError> {
        let hold = Hold {
            amount: intent.charge(),
            bookings: intent.bookings.clone(),
            expires: intent.expires,
            boot: intent.boot,
        };
        self.ledger.carve(&intent.action.agent, intent.attempt(), hold)?;
        self.spooled.calls += 1;
        self.spooled.held = self.spooled.held.saturating_add(intent.hold);
        Ok(())
    }

    /// Ends what was carved out of an allowance.
    pub(crate) fn end_carved(
        &mut self,
        agent: &AgentName,
        outcome: &Outcome,
        booked: &Charge,
        now: Timestamp,
    ) -> Result<Ended, EntryError> {
        Ok(self.ledger.end_carved(agent, outcome.attempt(), booked, now)?)
    }

    pub(crate) fn spool_applied(&mut self, applied: &SpoolApplied) -> Result<(), EntryError> {
        let before = self.spooled.last.as_ref().filter(|(spool, _)| *spool == applied.spool);
        if before.is_some_and(|(_, records)| *records >= applied.records) {
            return Err(EntryError::Mismatch("these records of the spool were taken before"));
        }
        if (applied.calls, applied.held) != (self.spooled.calls, self.spooled.held) {
            return Err(EntryError::Mismatch(
                "the spool's summary is not that of the calls before it",
            ));
        }
        self.spooled = Spooled {
            last: Some((applied.spool.clone(), applied.records)),
            ..Spooled::default()
        };
        Ok(())
    }
}
