//! Circuit breakers: what stops an agent, a run or a team that behaves as nothing healthy does.
//!
//! [`Breakers`] is a fold over what the log says. [`Breakers::admit`] changes nothing; [`Breakers::begin`] and
//! [`Breakers::end`] apply the intent and the outcome of an attempt, and say what is *owed*: notices that must be the next
//! entries. [`Breakers::trip`], [`Breakers::close`] and [`Breakers::reset`] apply those, checking that what they say is
//! what this state finds, so a replayed log gives the same state or none.
//!
//! ```text
//! closed --trips--> open --cooldown--> half-open: one probe --answered, and no rule holds--> closed
//!                    ^                     |  ^ `--never sent--'
//!                    `--failed, or a rule still holds
//! ```
//!
//! What is counted stays counted while a breaker is open and after it closed, since it happened; only failures are
//! forgotten when it closes. So the probe of one that tripped for spending does not close it before enough of the spending
//! has left the window, and a loop that goes on where it was stopped is stopped again. Who wants everything forgotten
//! resets it.
//!
//! Loops and standing still are seen in one run at a time, whatever the scope: a thousand runs of one agent that begin
//! alike are no loop. The scope says what is stopped.
//!
//! The clock may step back. What is dated further ahead of it than a window is long does not count; a breaker that opened
//! under a clock that was ahead stays open as much longer, unless it is reset.

mod check;
mod evidence;
mod fold;
mod gate;
mod keep;
mod pace;
mod record;
mod spec;
mod standing;
mod steps;
#[cfg(test)]
mod tests;

pub use check::BreakerProblem;
pub use evidence::{Cause, Closing, Notice, Step, StepError, Trip, Warning};
pub use fold::{Admission, Breakers, Ending, MAX_BREAKER_KEYS, MAX_BREAKERS, NextStep, Stop, WantedSteps};
pub use record::BreakerError;
pub use spec::{BreakerSpec, ErrorRate, Loops, NoProgress, Repeats, Scope, SpendRate, SpendSurge, StepKind};
pub use standing::{Phase, Standing};

use model::Timestamp;

const MICROS: i64 = 1_000_000;

/// Whether two instants are less than so many seconds apart.
fn within(now: Timestamp, at: Timestamp, seconds: u32) -> bool {
    now.micros_since(at).unsigned_abs() < u64::from(seconds).saturating_mul(1_000_000)
}

/// The seconds between two instants, begun ones counted.
fn seconds_between(now: Timestamp, at: Timestamp) -> u32 {
    u32::try_from(now.micros_since(at).unsigned_abs().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
