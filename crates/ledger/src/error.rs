//! Commands that do not fit.

use model::{AgentName, BudgetName, NanoUsd};

use crate::{Amount, Attempt, Booking, MAX_BUDGETS_PER_HOLD, Measure, Period, WindowError};

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
    #[error("a hold of {amount} takes budget {budget} above its limit: {used} of {limit} is used", amount = .unit.show(*.amount), budget = .booking.budget, used = .unit.number(.booking.used), limit = .unit.show(.booking.limit))]
    OverLimit {
        /// What the budget counts.
        unit: Measure,
        /// What was asked.
        amount: Amount,
        /// Where.
        booking: Box<Booking>,
    },
    /// The budget is paused, or has no such pot.
    #[error("budget {0} is paused, or has no such pot")]
    NotOpen(BudgetName),
    /// An edit that changes nothing, or something that is not there.
    #[error("budget {budget} {what}")]
    NoEdit {
        /// The budget.
        budget: BudgetName,
        /// Why not.
        what: &'static str,
    },
    /// The agent has an allowance already.
    #[error("agent {0} has an allowance already")]
    AllowedAlready(AgentName),
    /// The agent has no allowance, or not the one that was carved from.
    #[error("agent {0} has no such allowance")]
    NoAllowance(AgentName),
    /// A hold does not fit into the allowance that it was taken from.
    #[error("a hold of {amount} was not in the allowance of agent {agent}, which had {left} left", amount = .unit.show(*.amount), left = .unit.show(*.left))]
    NotAllowed {
        /// The agent.
        agent: AgentName,
        /// What is counted.
        unit: Measure,
        /// What was taken.
        amount: Amount,
        /// What was left.
        left: Amount,
    },
    /// A hold says another balance than the one before it.
    #[error("budget {budget} had {found} used, the entry says {said}", found = .unit.show(*.found), said = .unit.show(*.said))]
    WrongBalance {
        /// The budget.
        budget: BudgetName,
        /// What it counts.
        unit: Measure,
        /// By the entry.
        said: Amount,
        /// By the ledger.
        found: Amount,
    },
    /// A hold says another limit than the budget has.
    #[error("budget {budget} has a limit of {found}, the entry says {said}", found = .unit.show(*.found), said = .unit.show(*.said))]
    WrongLimit {
        /// The budget.
        budget: BudgetName,
        /// What it counts.
        unit: Measure,
        /// By the entry.
        said: Amount,
        /// By the ledger.
        found: Amount,
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
    #[error("an amount must not be negative: {0} USD")]
    Negative(NanoUsd),
    /// More than [`MAX_BUDGETS_PER_HOLD`] budgets, or none.
    #[error("an action needs 1 to {MAX_BUDGETS_PER_HOLD} budgets, found {0}")]
    BudgetCount(usize),
    /// The window has no period now.
    #[error(transparent)]
    Window(#[from] WindowError),
}
