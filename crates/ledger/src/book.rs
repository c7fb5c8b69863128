//! The ledger: all budgets of a tenant and the holds that have not ended.

use std::collections::{BTreeMap, HashMap};

use model::{ActionId, BudgetName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Balance, BudgetSpec, Period, WindowError, balance::Budget};

/// How many budgets may select one action.
pub const MAX_BUDGETS_PER_HOLD: usize = 16;

/// One try of an action: the first is number 0, a retry or fallback the next. It names its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// The action.
    pub action: ActionId,
    /// Which try.
    pub number: u16,
}

/// Where a hold reserves: one budget and the period it books into, whenever it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// The budget.
    pub budget: BudgetName,
    /// The period, resolved when the hold was admitted, so that replay needs no time-zone rules.
    pub period: Period,
    /// Settled + held + carried before this hold.
    pub used: NanoUsd,
    /// The limit it was checked against.
    pub limit: NanoUsd,
}

/// A reservation that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The worst case of the attempt.
    pub amount: NanoUsd,
    /// The budgets it is reserved in.
    pub bookings: Vec<Booking>,
    /// After this instant its owner is taken for dead and the hold is booked in full.
    pub expires: Timestamp,
    /// Which start of the server placed it.
    pub boot: u64,
}

/// The budget an action did not fit into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The budget's standing.
    pub balance: Balance,
    /// What was asked for.
    pub amount: NanoUsd,
}

/// What ending a hold did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The hold as it was.
    pub hold: Hold,
    /// By how much the booked amount passed the hold; zero when it did not.
    pub overrun: NanoUsd,
}

/// A command that does not fit the ledger's state. On the live path it is a bug or a stale view, in a replayed log the
/// sign of tampering.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LedgerError {
    /// No such budget.
    #[error("there is no budget {0}")]
    UnknownBudget(BudgetName),
    /// The attempt already has a hold.
    #[error("attempt {} of action {} already has a hold", .0.number, .0.action)]
    HeldAlready(Attempt),
    /// The attempt has no open hold: it never had one, or it ended.
    #[error("attempt {} of action {} has no open hold", .0.number, .0.action)]
    NotHeld(Attempt),
    /// The hold would take the budget above its limit.
    #[error("a hold of {amount} USD takes budget {budget} above its limit: {used} of {limit} USD is used", amount = .amount, budget = .booking.budget, used = .booking.used, limit = .booking.limit)]
    OverLimit {
        /// What was asked.
        amount: NanoUsd,
        /// Where.
        booking: Booking,
    },
    /// A hold says another balance than the one before it.
    #[error("budget {budget} had {found} USD used, the entry says {said} USD")]
    WrongBalance {
        /// The budget.
        budget: BudgetName,
        /// By the entry.
        said: NanoUsd,
        /// By the ledger.
        found: NanoUsd,
    },
    /// A hold of a negative amount, or a negative booking.
    #[error("an amount must not be negative: {0}")]
    Negative(NanoUsd),
    /// More than [`MAX_BUDGETS_PER_HOLD`] budgets, or none.
    #[error("an action needs 1 to {MAX_BUDGETS_PER_HOLD} budgets, found {0}")]
    BudgetCount(usize),
    /// The window has no period now.
    #[error(transparent)]
    Window(#[from] WindowError),
}

/// Why an action is not admitted.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It does not fit a budget: a value, not a fault.
    Refused(Box<Refusal>),
    /// It cannot be answered.
    Error(LedgerError),
}

/// All budgets of a tenant and the holds that have not ended.
///
/// Invariants (`tests::invariants_hold_under_random_commands`):
/// 1. no hold is placed that takes carried + settled + held of one of its budgets above the limit;
/// 2. every hold ends exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    budgets: BTreeMap<BudgetName, Budget>,
    holds: HashMap<Attempt, Hold>,
}

impl Ledger {
    /// Adds a budget, or takes its new limit or window: spending stays.
    pub fn define(&mut self, spec: BudgetSpec, now: Timestamp) {
        match self.budgets.get_mut(&spec.name) {
            Some(budget) => budget.redefine(spec, now),
            None => {
                self.budgets.insert(spec.name.clone(), Budget::new(spec));
            }
        }
    }

    /// Whether an amount fits into every budget named now, and where it would book. Changes nothing.
    pub fn admit(&self, budgets: &[BudgetName], amount: NanoUsd, now: Timestamp) -> Result<Vec<Booking>, NotAdmitted> {
        check_count(budgets.len()).map_err(NotAdmitted::Error)?;
        budgets.iter().map(|name| self.admit_one(name, amount, now)).collect()
    }

    fn admit_one(&self, name: &BudgetName, amount: NanoUsd, now: Timestamp) -> Result<Booking, NotAdmitted> {
        let unknown = || NotAdmitted::Error(LedgerError::UnknownBudget(name.clone()));
        let window = |error| NotAdmitted::Error(LedgerError::Window(error));
        let budget = self.budgets.get(name).ok_or_else(unknown)?;
        let balance = budget.balance(now).map_err(window)?;
        let used = balance.used();
        let limit = budget.spec.limit;
        if amount.0 < 0 {
            return Err(NotAdmitted::Error(LedgerError::Negative(amount)));
        }
        // A budget that is used up refuses even what costs nothing only if it is in debt: 0 fits into 0.
        if used.checked_add(amount).is_none_or(|after| after > limit) {
            return Err(NotAdmitted::Refused(Box::new(Refusal { balance, amount })));
        }
        Ok(Booking {
            budget: name.clone(),
            period: budget.period(now).map_err(window)?,
            used,
            limit,
        })
    }

    /// Places a hold as its intent entry says, checking the entry against this state.
    pub fn place(&mut self, attempt: Attempt, hold: Hold, now: Timestamp) -> Result<(), LedgerError> {
        check_count(hold.bookings.len())?;
        if hold.amount.0 < 0 {
            return Err(LedgerError::Negative(hold.amount));
        }
        if self.holds.contains_key(&attempt) {
            return Err(LedgerError::HeldAlready(attempt));
        }
        for booking in &hold.bookings {
            self.check_booking(booking, hold.amount, now)?;
        }
        for booking in &hold.bookings {
            if let Some(budget) = self.budgets.get_mut(&booking.budget) {
                let slot = budget.slot_for_hold(booking.period, now);
                slot.held = slot.held.saturating_add(hold.amount);
                slot.open = slot.open.saturating_add(1);
            }
        }
        self.holds.insert(attempt, hold);
        Ok(())
    }

    fn check_booking(&self, booking: &Booking, amount: NanoUsd, now: Timestamp) -> Result<(), LedgerError> {
        let unknown = || LedgerError::UnknownBudget(booking.budget.clone());
        let budget = self.budgets.get(&booking.budget).ok_or_else(unknown)?;
        let found = budget.balance(now)?.used();
        let over = || LedgerError::OverLimit {
            amount,
            booking: booking.clone(),
        };
        if found != booking.used {
            return Err(LedgerError::WrongBalance {
                budget: booking.budget.clone(),
                said: booking.used,
                found,
            });
        }
        let after = found.checked_add(amount).ok_or_else(over)?;
        if booking.limit != budget.spec.limit || after > booking.limit {
            Err(over())
        } else {
            Ok(())
        }
    }

    /// Ends a hold by booking `booked`: zero voids it, more than was held is an overrun.
    pub fn end(&mut self, attempt: Attempt, booked: NanoUsd) -> Result<Ended, LedgerError> {
        if booked.0 < 0 {
            return Err(LedgerError::Negative(booked));
        }
        let hold = self.holds.remove(&attempt).ok_or(LedgerError::NotHeld(attempt))?;
        for booking in &hold.bookings {
            let slot = self
                .budgets
                .get_mut(&booking.budget)
                .and_then(|budget| budget.slot_of(booking.period));
            // A slot with an open hold is never pruned, so it is there.
            if let Some(slot) = slot {
                slot.held = slot.held.saturating_sub(hold.amount);
                slot.settled = slot.settled.saturating_add(booked);
                slot.open = slot.open.saturating_sub(1);
            }
        }
        let overrun = booked.saturating_sub(hold.amount).at_least_zero();
        Ok(Ended { hold, overrun })
    }

    /// A budget's standing.
    pub fn balance(&self, name: &BudgetName, now: Timestamp) -> Result<Balance, LedgerError> {
        let budget = self
            .budgets
            .get(name)
            .ok_or_else(|| LedgerError::UnknownBudget(name.clone()))?;
        Ok(budget.balance(now)?)
    }

    /// The names of all budgets, in order.
    pub fn budgets(&self) -> impl Iterator<Item = &BudgetSpec> {
        self.budgets.values().map(|budget| &budget.spec)
    }

    /// An open hold.
    pub fn hold(&self, attempt: &Attempt) -> Option<&Hold> {
        self.holds.get(attempt)
    }

    /// Every open hold, in no particular order.
    pub fn holds(&self) -> impl Iterator<Item = (&Attempt, &Hold)> {
        self.holds.iter()
    }
}

fn check_count(budgets: usize) -> Result<(), LedgerError> {
    if (1..=MAX_BUDGETS_PER_HOLD).contains(&budgets) {
        Ok(())
    } else {
        Err(LedgerError::BudgetCount(budgets))
    }
}
