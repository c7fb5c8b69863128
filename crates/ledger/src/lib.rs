//! Budgets, windows and holds: pure arithmetic over values that are given to it.
//!
//! A [`Ledger`] is a fold. [`Ledger::admit`] asks whether an amount fits and changes nothing; [`Ledger::place`] and
//! [`Ledger::end`] apply what the log says happened, on the live path and in replay alike, so a replayed log gives the
//! same balances by construction. Time is given, never read.
//!
//! The model is the two-phase transfer: a *hold* reserves the worst case of an action in every budget that selects it,
//! and ends exactly once, by booking an amount between nothing and (with an overrun) more than was held.

mod balance;
mod book;
mod window;

pub use balance::{Balance, BudgetSpec};
pub use book::{Attempt, Booking, Ended, Hold, Ledger, LedgerError, MAX_BUDGETS_PER_HOLD, NotAdmitted, Refusal};
pub use window::{Period, Unit, Window, WindowError};

#[cfg(test)]
mod tests;
