//! Which attempt comes next. A count, without a clock.

use std::time::Duration;

use super::{Fallback, Retry, RouteSpec};
use crate::Failure;

/// What to do after an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The same again, after this long.
    Again(Duration),
    /// Somewhere else, at once.
    Elsewhere(&'a Fallback),
    /// Tell the caller how it failed.
    Stop,
}

/// The attempts of one call.
#[derive(Debug)]
pub struct Plan<'a> {
    retry: &'a Retry,
    fallback: std::slice::Iter<'a, Fallback>,
    /// Attempts made at the present target.
    tried: u8,
}

impl<'a> Plan<'a> {
    /// Before the first attempt.
    pub fn new(route: &'a RouteSpec) -> Self {
        Self {
            retry: &route.retry,
            fallback: route.fallback.iter(),
            tried: 1,
        }
    }

    /// What comes after a failure. `jitter` is random: it spreads the waits of callers that failed together over the
    /// upper half of the wait.
    pub fn after(&mut self, failure: Failure, jitter: u8) -> Step<'a> {
        if !self.retry.on.contains(&failure.cause) {
            return Step::Stop;
        }
        let wait = self.wait(jitter).max(failure.retry_after.unwrap_or_default());
        if self.tried < self.retry.tries && wait <= self.retry.longest {
            self.tried += 1;
            return Step::Again(wait);
        }
        self.elsewhere()
    }

    /// The next target, whatever became of the one before.
    pub fn elsewhere(&mut self) -> Step<'a> {
        self.tried = 1;
        self.fallback.next().map_or(Step::Stop, Step::Elsewhere)
    }

    fn wait(&self, jitter: u8) -> Duration {
        let doublings = u32::from(self.tried.saturating_sub(1));
        let whole = self.retry.backoff.saturating_mul(2_u32.saturating_pow(doublings));
        let half = whole.min(self.retry.longest) / 2;
        half + half.saturating_mul(u32::from(jitter)) / u32::from(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;

    fn route(tries: u8, fallbacks: usize) -> RouteSpec {
        let upstream = model::UpstreamName::new("openai").unwrap();
        let fallback = Fallback {
            upstream: model::UpstreamName::new("backup").unwrap(),
            model: None,
        };
        RouteSpec {
            retry: Retry {
                tries,
                on: vec![Cause::Connect, Cause::Status(429), Cause::Status(503)],
                backoff: Duration::from_millis(100),
                longest: Duration::from_millis(1_000),
            },
            fallback: vec![fallback; fallbacks],
            ..RouteSpec::plain(upstream)
        }
    }

    /// Plays failures, each a cause and what the upstream asks to wait, in milliseconds, and tells the steps: a number
    /// for a wait in milliseconds, `>` for elsewhere, `.` for the end.
    fn check(tries: u8, fallbacks: usize, failures: &[(Cause, Option<u64>)], expected: &str) {
        let route = route(tries, fallbacks);
        let mut plan = Plan::new(&route);
        let steps = failures.iter().map(|(cause, retry_after)| {
            let failure = Failure {
                cause: *cause,
                retry_after: retry_after.map(Duration::from_millis),
            };
            match plan.after(failure, u8::MAX) {
                Step::Again(wait) => wait.as_millis().to_string(),
                Step::Elsewhere(_) => ">".to_owned(),
                Step::Stop => ".".to_owned(),
            }
        });
        assert_eq!(steps.collect::<Vec<_>>().join(" "), expected, "{failures:?}");
    }

    #[test]
    fn attempts_are_counted_for_each_target() {
        let busy = (Cause::Status(503), None);
        check(1, 0, &[busy], ".");
        check(3, 0, &[busy; 3], "100 200 .");
        check(1, 2, &[busy; 3], "> > .");
        check(2, 1, &[busy; 4], "100 > 100 .");
        check(5, 0, &[busy; 5], "100 200 400 800 .");
        check(7, 0, &[busy; 6], "100 200 400 800 1000 1000");
    }

    #[test]
    fn only_the_chosen_failures_are_tried_again() {
        check(3, 1, &[(Cause::Status(400), None)], ".");
        check(3, 1, &[(Cause::Timeout, None)], ".");
        check(3, 1, &[(Cause::Broken, None)], ".");
        check(3, 0, &[(Cause::Connect, None), (Cause::Status(500), None)], "100 .");
    }

    #[test]
    fn an_upstream_that_asks_for_more_time_gets_it_or_is_left() {
        check(2, 0, &[(Cause::Status(429), Some(700))], "700");
        check(2, 0, &[(Cause::Status(429), Some(50))], "100");
        check(2, 0, &[(Cause::Status(429), Some(60_000))], ".");
        check(2, 1, &[(Cause::Status(429), Some(60_000))], ">");
    }

    #[test]
    fn waits_are_spread_over_the_upper_half() {
        let route = route(2, 0);
        for (jitter, expected) in [(0, 50), (51, 60), (255, 100)] {
            let step = Plan::new(&route).after(Failure::of(Cause::Connect), jitter);
            assert_eq!(step, Step::Again(Duration::from_millis(expected)), "{jitter}");
        }
    }
}
