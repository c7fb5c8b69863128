//! Time as tests want it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use model::Timestamp;

/// A wall clock that stands still until it is moved. The steady clock stands still with it.
#[derive(Clone, Debug)]
pub(crate) struct ManualClock(Arc<Mutex<(i64, Duration)>>);

impl ManualClock {
    /// It shows the machine's time.
    pub(crate) fn now() -> Self {
        let now = store::Clock::now(&store::SystemClock::new());
        Self(Arc::new(Mutex::new((now.unix_micros(), Duration::ZERO))))
    }

    /// It shows this instant, such as `2026-03-29T00:59:59+01:00`.
    pub(crate) fn at(time: &str) -> Self {
        let time: jiff::Timestamp = time.parse().unwrap();
        Self(Arc::new(Mutex::new((time.as_microsecond(), Duration::ZERO))))
    }

    /// Time passes until that instant.
    pub(crate) fn pass_to(&self, time: &str) {
        let time: jiff::Timestamp = time.parse().unwrap();
        let micros = time.as_microsecond() - store::Clock::now(self).unix_micros();
        self.pass(Duration::from_micros(micros.try_into().expect("time passes forward")));
    }

    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += i64::try_from(time.as_micros()).unwrap();
        clocks.1 += time;
    }

    /// Somebody sets the wall clock back.
    pub(crate) fn step_back(&self, time: Duration) {
        self.0.lock().unwrap().0 -= i64::try_from(time.as_micros()).unwrap();
    }

    /// The instant so long after what it shows.
    pub(crate) fn after(&self, time: Duration) -> Timestamp {
        store::Clock::now(self).saturating_add_micros(i64::try_from(time.as_micros()).unwrap())
    }
}

impl store::Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.lock().unwrap().0)
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}
