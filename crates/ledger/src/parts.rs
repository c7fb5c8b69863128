//! A ledger as it stands in a snapshot, and what has to be true of it before it is used.

use std::collections::BTreeMap;

use model::{AgentName, Timestamp};
use serde::Deserialize;

use crate::{
    Attempt, Ledger,
    book::{Open, check_charge, check_pots},
    budget::Budget,
    form::MOST,
};

/// What is written of a [`Ledger`], read back but not believed yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerParts {
    budgets: Vec<Budget>,
    holds: Vec<(Attempt, Open)>,
    allowances: BTreeMap<AgentName, Open>,
    edition: u64,
}

impl LedgerParts {
    /// The ledger, at the time of the last entry that it follows from. What is held is counted anew from the holds.
    ///
    /// # Errors
    /// What could not have come from a log.
    pub fn at(self, now: Timestamp) -> Result<Ledger, &'static str> {
        if self.edition > MOST {
            return Err("the ledger has more definitions than there can be");
        }
        let mut ledger = Ledger {
            edition: self.edition,
            ..Ledger::default()
        };
        for budget in self.budgets {
            let name = &budget.spec.name;
            if !budget.retired {
                ledger.names.insert(name.clone());
                if let Some(select) = &budget.spec.select {
                    ledger.index.insert(name, select);
                }
            }
            ledger.budgets.insert(name.clone(), Box::new(budget));
        }
        for open in self.holds.iter().map(|(_, open)| open).chain(self.allowances.values()) {
            ledger.count(open, now)?;
        }
        // Last, because it looks at what is held, too.
        if !ledger.budgets.values().all(|budget| budget.is_sound(self.edition)) {
            return Err("a budget has sums or periods that cannot be");
        }
        ledger.holds = self.holds.into_iter().collect();
        ledger.allowances = self.allowances.into_iter().collect();
        Ok(ledger)
    }
}

impl Ledger {
    /// Counts a hold where it is reserved.
    fn count(&mut self, open: &Open, now: Timestamp) -> Result<(), &'static str> {
        let Open { hold, edition } = open;
        let pots = hold.bookings.iter().map(|booking| (&booking.budget, &booking.of));
        if check_charge(&hold.amount).is_err() || check_pots(pots).is_err() || *edition > self.edition {
            return Err("there is a hold that no entry can have placed");
        }
        for booking in &hold.bookings {
            let Some(budget) = self.budgets.get_mut(&booking.budget) else {
                continue;
            };
            let amount = hold.amount.of(budget.spec.unit);
            if let Some(slot) = budget.slot_mut(booking, *edition) {
                slot.held += i128::from(amount.0);
                slot.open = slot.open.saturating_add(1);
            } else if budget.may_begin(booking, *edition, now) {
                return Err(
                    "there is a hold of a period that is still to come: it would be given back and was never taken",
                );
            }
        }
        Ok(())
    }
}
