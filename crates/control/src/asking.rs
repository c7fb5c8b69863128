//! Waiting for an administrator: an attempt that does not fit into a budget that asks.

use std::time::Duration;

use model::{Reason, Timestamp};
use policy::Permit;
use store::{Hold, Pending};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{Control, Limits, Refusal, Session, pipeline::Attempt, quote::Quote};

/// How often it is looked whether there is room meanwhile: other calls end for less than was held, windows pass.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 2 });
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
        Wait { pending, room }
    }

    /// Waits until it is worth asking the budgets again. The time does not count against the call's own.
    pub(crate) async fn await_room(&self, session: &Session, attempt: &mut Attempt<'_>) {
        let began = Instant::now();
        let before = self.epoch_of(session);
        let mut published = self.inner.published.subscribe();
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            // A budget of this tenant was changed, or somebody refused.
            _ = published.wait_for(|_| self.epoch_of(session) != before) => {}
            () = session.key.cancel.cancelled() => {}
        }
        attempt.deadline += began.elapsed();
    }

    fn epoch_of(&self, session: &Session) -> Option<u64> {
        let snapshot = self.snapshot();
        snapshot
            .tenants
            .get(&session.principal().tenant)
            .map(|tenant| tenant.epoch)
    }
}
