//! The bytes of entries, what the fold refuses, and that a replayed log gives the same state.

mod allowances;
mod bytes;
mod changes;
mod overruns;
mod refusals;
mod replay;
mod samples;
