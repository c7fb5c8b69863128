//! How long to wait after a failure: twice as long each time, up to a bound, and never all sinks at once.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

/// The first wait.
const FIRST: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });
/// The longest.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait now. At least `asked`, which is what the other side asked for, but never longer than the bound.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let mut byte = [0];
        // Without randomness the waits are not spread, which is no reason to fail.
        let _ = SystemRandom::new().fill(&mut byte);
        let wait = wait(self.failures, byte[0]);
        self.failures = self.failures.saturating_add(1);
        asked.map_or(wait, |asked| wait.max(asked)).min(LONGEST)
    }
}

/// Between half and the whole of what so many failures make it.
fn wait(failures: u32, random: u8) -> Duration {
    let whole = FIRST.saturating_mul(1_u32 << failures.min(20)).min(LONGEST);
    whole / 2 + whole / 2 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        assert_eq!((wait(0, 0), wait(0, 255)), (FIRST / 2, FIRST));
        for failures in 0..200 {
            let (least, most) = (wait(failures, 0), wait(failures, 255));
            assert!(
                least < most && most <= LONGEST && most <= least * 2 + Duration::from_nanos(2),
                "{failures}"
            );
            assert!(wait(failures + 1, 0) >= least);
        }
        assert_eq!(wait(99, 255), LONGEST);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.next(Some(Duration::from_secs(7_000))), LONGEST);
    }
}
