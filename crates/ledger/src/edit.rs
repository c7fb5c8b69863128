//! What changes budgets: declarations, and what administrators do while traffic flows.

use model::{BudgetName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Amount, Booking, BudgetSpec, Ledger, LedgerError, Measure, Period, Pot, budget::Budget};

/// A threshold that was reached: so much of the limit is booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// The budget.
    pub budget: BudgetName,
    /// Which of its pots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// What it counts.
    #[serde(default, skip_serializing_if = "Measure::is_money")]
    pub unit: Measure,
    /// The threshold, in hundredths of the limit: the highest that was passed.
    pub percent: u8,
    /// What is booked and counts, in the budget's unit.
    pub spent: Amount,
    /// The limit, with what the pot was topped up with.
    pub limit: Amount,
}

/// What an administrator changes of a budget while traffic flows. It lies over what is declared, and a new declaration
/// does not undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Another limit than the declared one, from now on.
    Limit {
        /// In the budget's unit.
        limit: Amount,
    },
    /// The declared limit again.
    DeclaredLimit {},
    /// Nothing is granted until it is resumed.
    Paused {},
    /// Granting goes on.
    Resumed {},
    /// More for one window of one pot.
    ToppedUp {
        /// How much more, in the budget's unit.
        amount: Amount,
        /// Which pot, where the budget keeps several apart.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of: Vec<String>,
        /// For which period. Under a rolling window it lasts until that has rolled out.
        period: Period,
    },
}

impl Ledger {
    /// Adds a budget, or takes its new terms: spending stays, unless it counts something else from now on.
    pub fn define(&mut self, spec: BudgetSpec, now: Timestamp) {
        self.edition += 1;
        if let Some(select) = self
            .budgets
            .get(&spec.name)
            .and_then(|before| before.spec.select.as_ref())
        {
            self.index.remove(&spec.name, select);
        }
        if let Some(select) = &spec.select {
            self.index.insert(&spec.name, select);
        }
        self.names.insert(spec.name.clone());
        match self.budgets.get_mut(&spec.name) {
            Some(budget) => budget.redefine(spec, self.edition, now),
            None => {
                let budget = Budget::new(spec, self.edition);
                self.budgets.insert(budget.spec.name.clone(), Box::new(budget));
            }
        }
    }

    /// Removes a budget: it selects nothing any more. What was spent stays, should it be defined again; what an administrator
    /// set of it does not, so new terms are those that are declared. Removed budgets of which nothing counts any more are
    /// forgotten.
    pub fn remove(&mut self, name: &BudgetName, now: Timestamp) -> Result<(), LedgerError> {
        let unknown = || LedgerError::UnknownBudget(name.clone());
        let budget = self
            .budgets
            .get_mut(name)
            .filter(|budget| !budget.retired)
            .ok_or_else(unknown)?;
        budget.retired = true;
        self.names.remove(name);
        budget.paused = false;
        if budget.limit.is_some() {
            self.edition += 1;
            budget.set_limit(None, self.edition, now);
        }
        if let Some(select) = &budget.spec.select {
            self.index.remove(name, select);
        }
        self.budgets.retain(|_, budget| !budget.is_forgettable(now));
        Ok(())
    }

    /// The period that a top-up now is for.
    pub fn period(&self, pot: &Pot, now: Timestamp) -> Result<Period, LedgerError> {
        Ok(self.find(&pot.budget)?.standing(&pot.of, now)?.period)
    }

    /// Changes a budget as an administrator's entry says. After an error nothing has changed.
    pub fn edit(&mut self, name: &BudgetName, edit: &Edit, now: Timestamp) -> Result<(), LedgerError> {
        let unknown = || LedgerError::UnknownBudget(name.clone());
        let no = |what| {
            let budget = name.clone();
            Err(LedgerError::NoEdit { budget, what })
        };
        let budget = self
            .budgets
            .get_mut(name)
            .filter(|budget| !budget.retired)
            .ok_or_else(unknown)?;
        match edit {
            Edit::Limit { limit } if *limit < Amount::ZERO => return no("cannot have a negative limit"),
            Edit::Limit { limit } => {
                self.edition += 1;
                budget.set_limit(Some(*limit), self.edition, now);
            }
            Edit::DeclaredLimit {} if budget.limit.is_none() => return no("has its declared limit"),
            Edit::DeclaredLimit {} => {
                self.edition += 1;
                budget.set_limit(None, self.edition, now);
            }
            Edit::Paused {} if budget.paused => return no("is paused already"),
            Edit::Resumed {} if !budget.paused => return no("is not paused"),
            Edit::Paused {} | Edit::Resumed {} => budget.paused = matches!(edit, Edit::Paused {}),
            Edit::ToppedUp { amount, .. } if *amount <= Amount::ZERO => return no("is topped up by more than nothing"),
            Edit::ToppedUp { amount, of, period } => {
                if !budget.has_room_for(of) {
                    return no("has no such pot");
                }
                if budget.standing_in(of, *period, now).is_none() {
                    let (budget, said) = (name.clone(), *period);
                    return Err(LedgerError::WrongPeriod { budget, said });
                }
                budget.top_up(of, *period, *amount, now);
            }
        }
        Ok(())
    }

    /// The limit that an administrator set instead of the declared one, and whether the budget is paused.
    pub fn overlay(&self, name: &BudgetName) -> (Option<Amount>, bool) {
        let budget = self.budgets.get(name);
        budget.map_or((None, false), |budget| (budget.limit, budget.paused))
    }

    /// The highest threshold of its budget that what is booked has reached, where a hold is about to be placed.
    pub fn past(&self, booking: &Booking, now: Timestamp) -> Option<u8> {
        let budget = self.budgets.get(&booking.budget)?;
        let standing = budget.standing_in(&booking.of, booking.period, now)?;
        Some(standing.reached(&budget.spec.thresholds, 0)).filter(|percent| *percent > 0)
    }

    /// Makes room in a budget that refused because it keeps as many pots apart as it can.
    pub fn crowded(&mut self, name: &BudgetName, now: Timestamp) {
        if let Some(budget) = self.budgets.get_mut(name) {
            budget.crowded(now);
        }
    }
}
