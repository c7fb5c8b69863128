//! The two clocks of a machine, behind a trait so that a simulation can bring its own.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use model::Timestamp;

/// Wall time, and time since some fixed instant that never steps.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may step either way.
    fn now(&self) -> Timestamp;
    /// Time since the clock was made. It never steps; it may stand still while the machine sleeps.
    fn elapsed(&self) -> Duration;
}

impl<C: Clock> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        C::now(self)
    }

    fn elapsed(&self) -> Duration {
        C::elapsed(self)
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's clocks, the second one counted from now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is taken as 1970: tenant time never goes backwards anyway.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
