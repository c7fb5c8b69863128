//! The bytes of entries, what the fold refuses, and that a replayed log gives the same state.

mod allowances;
mod asks;
mod budgets;
mod bytes;
mod changes;
mod decisions;
mod evidence;
mod history;
mod log;
mod more;
mod overruns;
mod refusals;
mod replay;
mod rules;
mod samples;
mod thresholds;
mod tokens;
mod versions;
mod written;

pub(crate) use evidence::evidence_events;
