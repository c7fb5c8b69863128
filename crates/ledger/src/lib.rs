//! Budgets, windows and holds: pure arithmetic over values that are given to it.
//!
//! A [`Ledger`] is a fold. [`Ledger::admit`] asks whether an amount fits and changes nothing; [`Ledger::place`] and
//! [`Ledger::end`] apply what the log says happened, on the live path and in replay alike, so a replayed log gives the
//! same balances by construction. Time is given, never read.
//!
//! The model is the two-phase transfer: a *hold* reserves the worst case of an action in every budget that selects it,
//! and ends exactly once, by booking an amount between nothing and (with an overrun) more than was held.
//!
//! A budget selects requests by their [`Labels`], counts one [`Measure`] of them, and may keep a pot for each value of
//! some labels. A request must fit into every pot that it falls into.
//!
//! An *allowance* is a reservation that stands for an agent: what it may spend while nothing can be recorded.
//!
//! An overrun or a lowered limit can leave a *debt*. Under a calendar window it is carried into the next ones, and each
//! that passes pays off one limit, whether or not anything was asked in it; under a rolling window it counts until it
//! rolls out. An edit of the window forgets nothing: all that counts is carried into the first period of the new one.

mod account;
mod allowance;
mod balance;
mod book;
mod breaker;
mod budget;
mod debt;
mod edit;
mod error;
pub mod form;
mod labels;
mod measure;
mod overlap;
mod parts;
mod rate;
mod select;
mod selector;
mod spec;
mod window;

pub use balance::{Balance, Pot};
pub use book::{Attempt, Booking, Ended, Hold, Ledger, MAX_BUDGETS_PER_HOLD, NotAdmitted, Refusal, Why};
pub use breaker::{
    Admission, BreakerError, BreakerProblem, BreakerSpec, Breakers, Cause, Closing, Ending as BreakerEnding, ErrorRate,
    Loops, MAX_BREAKER_KEYS, MAX_BREAKERS, NextStep, NoProgress, Notice, Phase as BreakerPhase, Repeats, Scope,
    SpendRate, SpendSurge, Standing as BreakerStanding, Step, StepError, StepKind, Stop as BreakerStop, Trip,
    WantedSteps, Warning,
};
pub use budget::MAX_POTS;
pub use edit::{Edit, Reached};
pub use error::LedgerError;
pub use labels::{Label, Labels};
pub use measure::{Amount, Charge, Measure};
pub use overlap::{Overlap, check_overlap};
pub use parts::LedgerParts;
pub use rate::{
    Fill, LimitReason, Limited, MAX_BUCKETS, MAX_GROUPS, MAX_LIMITS, MAX_RATES, Per, Rate, RateError, RateProblem,
    RateSpec, Rates, check_rates,
};
pub use selector::{MAX_VALUES, Selector, Values};
pub use spec::{AtLimit, BudgetSpec, THRESHOLDS};
pub use window::{Period, Unit, Window, WindowError};

#[cfg(test)]
mod tests;
