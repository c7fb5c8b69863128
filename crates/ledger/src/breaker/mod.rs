//! Circuit breakers: what stops an agent, a run or a team that behaves as nothing healthy does.

mod spec;

pub use spec::{BreakerSpec, ErrorRate, Loops, NoProgress, Repeats, Scope, SpendRate, SpendSurge};
