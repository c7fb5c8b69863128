//! The ledger: all budgets of a tenant and the holds that have not ended.

use std::collections::HashMap;

use model::{ActionId, AgentName, BudgetName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Balance, BudgetSpec, Period, WindowError,
    balance::{Budget, Standing},
};

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
    /// The agent has an allowance already.
    #[error("agent {0} has an allowance already")]
    AllowedAlready(AgentName),
    /// The agent has no allowance, or not the one that was carved from.
    #[error("agent {0} has no such allowance")]
    NoAllowance(AgentName),
    /// A hold does not fit into the allowance that it was taken from.
    #[error("a hold of {amount} USD was not in the allowance of agent {agent}, which had {left} USD left")]
    NotAllowed {
        /// The agent.
        agent: AgentName,
        /// What was taken.
        amount: NanoUsd,
        /// What was left.
        left: NanoUsd,
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
    /// A hold says another limit than the budget has.
    #[error("budget {budget} has a limit of {found} USD, the entry says {said} USD")]
    WrongLimit {
        /// The budget.
        budget: BudgetName,
        /// By the entry.
        said: NanoUsd,
        /// By the ledger.
        found: NanoUsd,
    },
    /// A hold says a period that is not one of its budget's now.
    #[error("budget {budget} has no period from {} to {} now (microseconds since 1970)", .said.start.unix_micros(), .said.end.unix_micros())]
    WrongPeriod {
        /// The budget.
        budget: BudgetName,
        /// By the entry.
        said: Period,
    },
    /// A budget is named twice: each would be checked without the other.
    #[error("budget {0} is named twice")]
    Repeated(BudgetName),
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
/// Invariants (`tests::properties`):
/// 1. no hold is placed that takes carried + settled + held of one of its budgets above the limit;
/// 2. every hold ends exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub(crate) budgets: HashMap<BudgetName, Budget>,
    pub(crate) holds: HashMap<Attempt, Open>,
    pub(crate) allowances: HashMap<AgentName, Open>,
    /// How many definitions there were.
    edition: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) hold: Hold,
    /// How many definitions there were when it was placed.
    pub(crate) edition: u64,
}

impl Ledger {
    /// Adds a budget, or takes its new limit or window: spending stays.
    pub fn define(&mut self, spec: BudgetSpec, now: Timestamp) {
        self.edition += 1;
        match self.budgets.get_mut(&spec.name) {
            Some(budget) => budget.redefine(spec, self.edition, now),
            None => {
                let budget = Budget::new(spec, self.edition);
                self.budgets.insert(budget.spec.name.clone(), budget);
            }
        }
    }

    /// Whether an amount fits into every budget named now, and where it would book. Changes nothing.
    pub fn admit(&self, budgets: &[BudgetName], amount: NanoUsd, now: Timestamp) -> Result<Vec<Booking>, NotAdmitted> {
        check_amount(amount).map_err(NotAdmitted::Error)?;
        check_names(budgets.iter()).map_err(NotAdmitted::Error)?;
        budgets.iter().map(|name| self.admit_one(name, amount, now)).collect()
    }

    fn admit_one(&self, name: &BudgetName, amount: NanoUsd, now: Timestamp) -> Result<Booking, NotAdmitted> {
        let budget = self.find(name).map_err(NotAdmitted::Error)?;
        let window = |error| NotAdmitted::Error(LedgerError::Window(error));
        let standing = budget.standing(now).map_err(window)?;
        let limit = budget.spec.limit;
        if !standing.admits(amount, limit) {
            let balance = budget.balance(now).map_err(window)?;
            return Err(NotAdmitted::Refused(Box::new(Refusal { balance, amount })));
        }
        Ok(Booking {
            budget: name.clone(),
            period: standing.period,
            used: standing.used(),
            limit,
        })
    }

    /// Places a hold as its intent entry says, checking the entry against this state. No calendar is asked: the entry's
    /// periods stand, if they can be the budgets' at all. After an error nothing has changed.
    pub fn place(&mut self, attempt: Attempt, hold: Hold, now: Timestamp) -> Result<(), LedgerError> {
        if self.holds.contains_key(&attempt) {
            return Err(LedgerError::HeldAlready(attempt));
        }
        let open = self.reserve(hold, now)?;
        self.holds.insert(attempt, open);
        Ok(())
    }

    /// Reserves in the periods that a hold names, if it fits.
    pub(crate) fn reserve(&mut self, hold: Hold, now: Timestamp) -> Result<Open, LedgerError> {
        check_amount(hold.amount)?;
        check_names(hold.bookings.iter().map(|booking| &booking.budget))?;
        for booking in &hold.bookings {
            self.check_booking(booking, hold.amount, now)?;
        }
        for booking in &hold.bookings {
            if let Some(budget) = self.budgets.get_mut(&booking.budget) {
                let slot = budget.begin(booking.period);
                slot.held += i128::from(hold.amount.0);
                slot.open += 1;
            }
        }
        let edition = self.edition;
        Ok(Open { hold, edition })
    }

    fn check_booking(&self, booking: &Booking, amount: NanoUsd, now: Timestamp) -> Result<(), LedgerError> {
        let budget = self.find(&booking.budget)?;
        if booking.limit != budget.spec.limit {
            return Err(LedgerError::WrongLimit {
                budget: booking.budget.clone(),
                said: booking.limit,
                found: budget.spec.limit,
            });
        }
        if !budget.accepts(booking.period, now) {
            return Err(LedgerError::WrongPeriod {
                budget: booking.budget.clone(),
                said: booking.period,
            });
        }
        let standing: Standing = budget.standing_in(booking.period, now);
        if booking.used != standing.used() {
            return Err(LedgerError::WrongBalance {
                budget: booking.budget.clone(),
                said: booking.used,
                found: standing.used(),
            });
        }
        if standing.admits(amount, booking.limit) {
            Ok(())
        } else {
            let booking = booking.clone();
            Err(LedgerError::OverLimit { amount, booking })
        }
    }

    /// Ends a hold by booking `booked`: zero voids it, more than was held is an overrun.
    pub fn end(&mut self, attempt: Attempt, booked: NanoUsd) -> Result<Ended, LedgerError> {
        check_amount(booked)?;
        let open = self.holds.remove(&attempt).ok_or(LedgerError::NotHeld(attempt))?;
        self.unreserve(&open, booked);
        let hold = open.hold;
        let overrun = booked.saturating_sub(hold.amount).at_least_zero();
        Ok(Ended { hold, overrun })
    }

    /// Books in place of what was reserved.
    pub(crate) fn unreserve(&mut self, open: &Open, booked: NanoUsd) {
        for booking in &open.hold.bookings {
            let budget = self.budgets.get_mut(&booking.budget);
            // A period that rolled out is gone: what is booked there would not count.
            if let Some(slot) = budget.and_then(|budget| budget.slot_mut(booking.period, open.edition)) {
                slot.held -= i128::from(open.hold.amount.0);
                slot.settled += i128::from(booked.0);
                slot.open -= 1;
            }
        }
    }

    fn find(&self, name: &BudgetName) -> Result<&Budget, LedgerError> {
        self.budgets
            .get(name)
            .ok_or_else(|| LedgerError::UnknownBudget(name.clone()))
    }

    /// A budget's standing.
    pub fn balance(&self, name: &BudgetName, now: Timestamp) -> Result<Balance, LedgerError> {
        Ok(self.find(name)?.balance(now)?)
    }

    /// What a budget allows, if there is one of this name. Unlike [`Ledger::balance`] it asks no calendar.
    pub fn budget(&self, name: &BudgetName) -> Option<&BudgetSpec> {
        self.budgets.get(name).map(|budget| &budget.spec)
    }

    /// What every budget allows, in the order of their names.
    pub fn budgets(&self) -> impl Iterator<Item = &BudgetSpec> {
        let mut specs: Vec<_> = self.budgets.values().map(|budget| &budget.spec).collect();
        specs.sort_unstable_by_key(|spec| &spec.name);
        specs.into_iter()
    }

    /// An open hold.
    pub fn hold(&self, attempt: &Attempt) -> Option<&Hold> {
        self.holds.get(attempt).map(|open| &open.hold)
    }

    /// Every open hold, in no particular order.
    pub fn holds(&self) -> impl Iterator<Item = (&Attempt, &Hold)> {
        self.holds.iter().map(|(attempt, open)| (attempt, &open.hold))
    }

    /// How many periods a budget keeps.
    #[cfg(test)]
    pub(crate) fn kept(&self, name: &BudgetName) -> usize {
        self.budgets.get(name).map_or(0, Budget::kept)
    }
}

pub(crate) fn check_amount(amount: NanoUsd) -> Result<(), LedgerError> {
    if amount.0 < 0 {
        Err(LedgerError::Negative(amount))
    } else {
        Ok(())
    }
}

fn check_names<'a>(mut names: impl ExactSizeIterator<Item = &'a BudgetName> + Clone) -> Result<(), LedgerError> {
    if !(1..=MAX_BUDGETS_PER_HOLD).contains(&names.len()) {
        return Err(LedgerError::BudgetCount(names.len()));
    }
    while let Some(name) = names.next() {
        if names.clone().any(|later| later == name) {
            return Err(LedgerError::Repeated(name.clone()));
        }
    }
    Ok(())
}
