//! The wall clock, as far as it can be believed.

use std::time::Duration;

use model::Timestamp;

use crate::Clock;

/// By how much the wall clock may outrun the steady clock before nothing is admitted any more, in microseconds: a wrong
/// clock must not start every budget anew. 24 hours.
const JUMP: i64 = 24 * 3_600 * 1_000_000;

/// The wall clock, checked against the steady one.
#[derive(Debug)]
pub(super) struct Wall<C> {
    clock: C,
    /// The latest time that was believed, and the steady clock then.
    anchor: (Timestamp, Duration),
    trouble: Option<String>,
}

impl<C: Clock> Wall<C> {
    /// The clock as it is found is believed: there is nothing to check it against.
    pub(super) fn new(clock: C) -> Self {
        let anchor = (clock.now(), clock.elapsed());
        Self {
            clock,
            anchor,
            trouble: None,
        }
    }

    /// The time for the next entries. While the wall clock is too far ahead it is what the steady clock says, so that the
    /// ends of calls in flight do not take the tenants' time, which never goes back, into the future.
    pub(super) fn read(&mut self) -> Timestamp {
        let (wall, elapsed) = (self.clock.now(), self.clock.elapsed());
        let (then, since) = self.anchor;
        let passed = i64::try_from(elapsed.saturating_sub(since).as_micros()).unwrap_or(i64::MAX);
        let steady = then.saturating_add_micros(passed);
        let ahead = wall.micros_since(steady);
        if ahead > JUMP {
            let hours = ahead / 3_600_000_000;
            let trouble = format!(
                "the wall clock jumped {hours} hours ahead: nothing is admitted until it is set right or the server is restarted"
            );
            if self.trouble.is_none() {
                tracing::error!(clock.ahead_hours = hours, "{trouble}");
            }
            self.trouble = Some(trouble);
            return steady;
        }
        if self.trouble.take().is_some() {
            tracing::info!("the wall clock is right again");
        }
        // Going back is harmless, tenant time stands still. It is not followed, or coming right again were a jump.
        self.anchor = (wall.max(steady), elapsed);
        wall
    }

    /// Why nothing is to be admitted, if so; as of the last reading.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The clocks behind it.
    pub(super) fn clock(&self) -> C
    where
        C: Clone,
    {
        self.clock.clone()
    }

    /// Time that never steps, since some instant.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}
