//! A call does not outlive its credential.

use std::time::Duration;

use model::Timestamp;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Cancels a call's handle when the credential that started it expires. Dropped with the call, it does nothing more.
#[derive(Debug)]
pub(crate) struct Expiry(#[expect(dead_code, reason = "dropping it is its use")] DropGuard);

impl Expiry {
    /// For a call that was admitted at `placed`, by its tenant's time, and takes at most `longest`. `None` if the credential
    /// outlives it.
    pub(crate) fn of(
        cancel: &CancellationToken,
        placed: Timestamp,
        expires: Option<Timestamp>,
        longest: Duration,
    ) -> Option<Self> {
        let left = expires?.micros_since(placed);
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        if left > longest {
            return None;
        }
        let over = CancellationToken::new();
        let (cancel, ended) = (cancel.clone(), over.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(left) => cancel.cancel(),
                () = ended.cancelled() => {}
            }
        });
        Some(Self(over.drop_guard()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_micros(1_789_992_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn a_handle_is_cancelled_at_the_expiry_unless_the_call_is_over() {
        let longest = Duration::from_secs(900);
        let expires = Some(NOON.saturating_add_micros(60_000_000));
        let cancel = CancellationToken::new();
        let started = tokio::time::Instant::now();
        let expiry = Expiry::of(&cancel, NOON, expires, longest);
        cancel.cancelled().await;
        assert_eq!(started.elapsed(), Duration::from_secs(60));
        drop(expiry);

        let cancel = CancellationToken::new();
        drop(Expiry::of(&cancel, NOON, expires, longest));
        tokio::time::sleep(longest).await;
        assert!(!cancel.is_cancelled());

        let late = NOON.saturating_add_micros(901_000_000);
        assert!(Expiry::of(&cancel, NOON, Some(late), longest).is_none());
        assert!(Expiry::of(&cancel, NOON, None, longest).is_none());
        assert!(Expiry::of(&cancel, late, Some(NOON), longest).is_some());
        tokio::task::yield_now().await;
    }
}
