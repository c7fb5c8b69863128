//! Who wants the reply of a call that goes on without its caller: a call with an idempotency key is made to its end, so
//! that a caller who gave up finds the reply when they send it again.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// How long a call without an audience waits for one: who sends it again comes back within that time. It is a little more
/// than the longest pause that the SDKs of OpenAI and Anthropic make before they send a call again, 8 seconds.
const GRACE: Duration = Duration::from_secs(10);

/// Those who want the reply of one call.
#[derive(Clone, Debug)]
pub struct Audience(watch::Sender<Seats>);

#[derive(Clone, Copy, Debug)]
struct Seats {
    taken: usize,
    /// When the last one left.
    empty_since: Instant,
}

/// One of them: dropped, they have left.
#[derive(Debug)]
#[must_use = "dropped, the seat is empty"]
pub struct Seat(Audience);

impl Audience {
    /// An audience of nobody.
    pub fn new() -> Self {
        Self(watch::Sender::new(Seats {
            taken: 0,
            empty_since: Instant::now(),
        }))
    }

    /// One more.
    pub fn sit(&self) -> Seat {
        self.0.send_modify(|seats| seats.taken += 1);
        Seat(self.clone())
    }

    /// Returns when nobody has been there for a while.
    pub(crate) async fn deserted(&self) {
        let mut seats = self.0.subscribe();
        // The channel is as old as `self`: waiting for it cannot fail.
        while let Ok(empty_since) = seats
            .wait_for(|seats| seats.taken == 0)
            .await
            .map(|seats| seats.empty_since)
        {
            let come_back = seats.wait_for(|seats| seats.taken > 0);
            if tokio::time::timeout_at(empty_since + GRACE, come_back).await.is_err() {
                return;
            }
        }
    }
}

impl Default for Audience {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.send_modify(|seats| {
            seats.taken = seats.taken.saturating_sub(1);
            seats.empty_since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether nobody is there any more, after so many seconds more.
    async fn deserted_in(audience: &Audience, seconds: u64) -> bool {
        let within = Duration::from_secs(seconds);
        tokio::time::timeout(within, audience.deserted()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_deserted_when_the_last_has_left_for_a_while() {
        let audience = Audience::new();
        let (first, second) = (audience.sit(), audience.sit());
        assert!(!deserted_in(&audience, 3_600).await);
        drop(first);
        assert!(!deserted_in(&audience, 3_600).await, "one is there");
        drop(second);
        assert!(!deserted_in(&audience, 9).await);
        // Who comes back keeps it, and the time begins anew when they leave.
        let third = audience.sit();
        assert!(!deserted_in(&audience, 3_600).await);
        drop(third);
        // It is counted from when they left, however often it is asked.
        assert!(!deserted_in(&audience, 5).await);
        assert!(!deserted_in(&audience, 4).await);
        assert!(deserted_in(&audience, 2).await);
    }
}
