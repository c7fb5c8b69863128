//! Waiting for an administrator: an attempt that does not fit into a budget that asks.

use std::time::Duration;

use model::{Reason, Timestamp};
use policy::Permit;
use store::{Hold, Pending};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{Ask, Control, Limits, Refusal, Session, pipeline::Attempt, quote::Quote};

/// How often it is looked whether anything was recorded meanwhile: other calls end for less than was held.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 2 });
/// How often the budgets are asked although nothing was: rolling windows pass, rate limits run down. To decide again is
/// the work of a whole call, so it is not done more often for nothing.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// What part of the memory for request bodies those that wait may keep: calls that do not wait need the rest.
const BODIES_PART: usize = 4;

/// What became of an attempt that was put to the budgets.
pub(crate) enum Clearing {
    /// It may go.
    Cleared(Box<(Permit, Hold, Quote)>),
    /// It waits for an administrator; `None` if it waited already.
    Asked(Option<Pending>),
}

/// An attempt's waiting. Dropped, it is withdrawn; what was denied waits no more.
#[derive(Debug)]
pub(crate) struct Wait {
    pending: Option<Pending>,
    /// What its body takes of the memory that bodies of waiting calls may keep; `None` if there was no room.
    room: Option<OwnedSemaphorePermit>,
    /// How long the tenant's log was when the budgets were asked last, and when that was.
    seen: (u64, Timestamp),
}

impl Wait {
    /// Whether an administrator was asked.
    pub(crate) fn is_on(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether it may wait: its body is kept as long.
    pub(crate) fn may(&self) -> bool {
        self.room.is_some()
    }

    /// Whether its time is over.
    pub(crate) fn is_late(&self, now: Timestamp) -> bool {
        self.pending.as_ref().is_none_or(|pending| now >= pending.until())
    }

    /// The budgets are asked now, when the log is so long.
    pub(crate) fn looks(&mut self, size: u64, now: Timestamp) {
        self.seen = (size, now);
    }

    /// Whether the answer may be another one than the last: something was recorded, the budget's window has passed, or the
    /// time to wait has.
    fn is_due(&self, size: u64, now: Timestamp) -> bool {
        let (seen, then) = self.seen;
        let pending = self.pending.as_ref();
        let instants = [pending.map(Pending::until), pending.and_then(Pending::resets_at)];
        size != seen || instants.into_iter().flatten().any(|at| then < at && at <= now)
    }

    /// Takes a new question in place of the one before it.
    pub(crate) fn asked(&mut self, pending: Option<Pending>) {
        if let Some(pending) = pending
            && let Some(before) = self.pending.replace(pending)
        {
            before.answered();
        }
    }

    /// It was answered.
    pub(crate) fn over(&mut self) {
        self.room = None;
        if let Some(pending) = self.pending.take() {
            pending.answered();
        }
    }

    /// It was refused; what could not be recorded is withdrawn.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        if refusal.reason != Reason::GovernanceUnavailable {
            self.over();
        }
    }
}

/// How many bytes the bodies of calls that wait may take together.
pub(crate) fn room_for_bodies(limits: &Limits) -> Semaphore {
    Semaphore::new((limits.bodies_bytes / BODIES_PART).min(Semaphore::MAX_PERMITS))
}

impl Control {
    /// Room to wait in, for an attempt that may have to.
    pub(crate) fn wait_of(&self, attempt: &Attempt<'_>) -> Wait {
        let bytes = u32::try_from(attempt.body.len()).ok();
        let room = bytes.and_then(|bytes| self.inner.waiting.clone().try_acquire_many_owned(bytes).ok());
        let pending = None;
        let seen = (0, Timestamp::default());
        Wait { pending, room, seen }
    }

    /// Waits until it is worth asking the budgets again; where the route is `busy`, until it is worth asking that. The time
    /// does not count against the call's own.
    ///
    /// # Errors
    /// Nobody is there any more who wants the reply. What is answered is read by nobody.
    pub(crate) async fn await_room(
        &self,
        session: &Session,
        attempt: &mut Attempt<'_>,
        wait: &Wait,
        busy: bool,
    ) -> Result<(), Refusal> {
        let began = Instant::now();
        let before = self.epoch_of(session);
        let mut published = self.inner.published.subscribe();
        let due = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let (size, now) = self.standing_of(session);
                if busy || began.elapsed() >= ASK_AGAIN || wait.is_due(size, now) {
                    return;
                }
            }
        };
        let here = tokio::select! {
            () = due => true,
            // A budget of this tenant was changed, or somebody refused.
            _ = published.wait_for(|_| self.epoch_of(session) != before) => true,
            () = session.key.cancel.cancelled() => true,
            () = deserted(attempt.ask) => false,
        };
        attempt.deadline += began.elapsed();
        here.then_some(()).ok_or_else(|| Refusal::unavailable(attempt.ask.id))
    }

    /// How long the log of a session's tenant is, and its time.
    pub(crate) fn standing_of(&self, session: &Session) -> (u64, Timestamp) {
        let tenant = &session.principal().tenant;
        let size = self
            .committer()
            .heads()
            .borrow()
            .get(tenant)
            .map_or(0, |head| head.size);
        (size, self.now_of(tenant))
    }

    fn epoch_of(&self, session: &Session) -> Option<u64> {
        let snapshot = self.snapshot();
        snapshot
            .tenants
            .get(&session.principal().tenant)
            .map(|tenant| tenant.epoch)
    }
}

/// Returns when nobody wants a call's reply any more. Who makes the call without an audience drops it instead.
async fn deserted(ask: &Ask) {
    match &ask.audience {
        Some(audience) => audience.deserted().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_asked_again_when_something_may_have_changed() {
        let at = Timestamp::from_unix_micros;
        let mut wait = Wait {
            pending: None,
            room: None,
            seen: (7, at(10)),
        };
        for (size, now, due) in [(7, 10, false), (7, 1_000_000, false), (8, 10, true)] {
            assert_eq!(wait.is_due(size, at(now)), due, "{size} at {now}");
        }
        wait.looks(8, at(20));
        assert!(!wait.is_due(8, at(21)));
    }
}
