//! Allowances: reservations that stand while all is well, so that an agent can go on when nothing can be recorded. What
//! was spent of one meanwhile is carved out of it afterwards, so the budgets were never passed.

use model::{AgentName, Timestamp};

use crate::{
    Attempt, Charge, Ended, Hold, Ledger, LedgerError, Measure,
    book::{Open, check_charge},
};

impl Ledger {
    /// Reserves an agent's allowance as its entry says, checked as a hold is. An agent has one at most.
    pub fn hold_allowance(&mut self, agent: AgentName, hold: Hold, now: Timestamp) -> Result<(), LedgerError> {
        if self.allowances.contains_key(&agent) {
            return Err(LedgerError::AllowedAlready(agent));
        }
        let open = self.reserve(hold, now)?;
        self.allowances.insert(agent, open);
        Ok(())
    }

    /// Gives back what is left of an agent's allowance.
    pub fn release_allowance(&mut self, agent: &AgentName, now: Timestamp) -> Result<(), LedgerError> {
        let none = || LedgerError::NoAllowance(agent.clone());
        let open = self.allowances.remove(agent).ok_or_else(none)?;
        self.unreserve(&open, &Charge::NONE, now);
        Ok(())
    }

    /// What is left of an agent's allowance, and where it is reserved.
    pub fn allowance(&self, agent: &AgentName) -> Option<&Hold> {
        self.allowances.get(agent).map(|open| &open.hold)
    }

    /// Every allowance, in no particular order.
    pub fn allowances(&self) -> impl Iterator<Item = (&AgentName, &Hold)> {
        self.allowances.iter().map(|(agent, open)| (agent, &open.hold))
    }

    /// Makes a part of an agent's allowance the hold of an attempt. The budgets do not change: what one reserves more, the
    /// other reserves less. So it needs no room, whatever became of the budgets meanwhile. Of what no budget counts that it
    /// was reserved in, the part may be more than the allowance.
    pub fn carve(&mut self, agent: &AgentName, attempt: Attempt, hold: Hold) -> Result<(), LedgerError> {
        check_charge(&hold.amount)?;
        if self.holds.contains_key(&attempt) {
            return Err(LedgerError::HeldAlready(attempt));
        }
        let none = || LedgerError::NoAllowance(agent.clone());
        let allowance = self.allowances.get_mut(agent).ok_or_else(none)?;
        let (left, edition) = (allowance.hold.amount, allowance.edition);
        let refused = |unit: Measure| LedgerError::NotAllowed {
            agent: agent.clone(),
            unit,
            amount: hold.amount.of(unit),
            left: left.of(unit),
        };
        if hold.bookings != allowance.hold.bookings || !hold.amount.is_within(&left, Measure::Money) {
            return Err(refused(Measure::Money));
        }
        for booking in &hold.bookings {
            if let Some(budget) = self.budgets.get_mut(&booking.budget)
                && !hold.amount.is_within(&left, budget.spec.unit)
                && budget.slot_mut(booking, edition).is_some()
            {
                return Err(refused(budget.spec.unit));
            }
        }
        allowance.hold.amount = left.less(&hold.amount);
        for booking in &hold.bookings {
            let budget = self.budgets.get_mut(&booking.budget);
            if let Some(slot) = budget.and_then(|budget| budget.slot_mut(booking, edition)) {
                slot.open += 1;
            }
        }
        self.holds.insert(attempt, Open { hold, edition });
        Ok(())
    }

    /// Ends a hold that was carved out of an allowance and gives what was not used back to it.
    pub fn end_carved(
        &mut self,
        agent: &AgentName,
        attempt: Attempt,
        booked: &Charge,
        now: Timestamp,
    ) -> Result<Ended, LedgerError> {
        check_charge(booked)?;
        let same = |open: &Open| {
            let allowance = self.allowances.get(agent);
            allowance.is_some_and(|allowance| {
                allowance.hold.bookings == open.hold.bookings && allowance.edition == open.edition
            })
        };
        let open = self.holds.get(&attempt).ok_or(LedgerError::NotHeld(attempt))?;
        if !same(open) {
            return Err(LedgerError::NoAllowance(agent.clone()));
        }
        let ended = self.end(attempt, booked, now)?;
        let rest = ended.hold.amount.unused(booked);
        if let Some(allowance) = self.allowances.get_mut(agent) {
            allowance.hold.amount = allowance.hold.amount.and(&rest);
            for booking in &allowance.hold.bookings {
                if let Some(budget) = self.budgets.get_mut(&booking.budget) {
                    let rest = rest.of(budget.spec.unit);
                    if let Some(slot) = budget.slot_mut(booking, allowance.edition) {
                        slot.held += i128::from(rest.0);
                    }
                }
            }
        }
        Ok(ended)
    }
}
