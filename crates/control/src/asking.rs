//! Waiting for an administrator: an attempt that does not fit into a budget that asks.

use std::time::Duration;

use model::Reason;
use policy::Permit;
use store::{Hold, Pending};
use tokio::time::Instant;

use crate::{Control, Refusal, Session, pipeline::Attempt, quote::Quote};

/// How often it is looked whether there is room meanwhile: other calls end for less than was held, windows pass.
const LOOK: Duration = Duration::from_secs(1);

/// What became of an attempt that was put to the budgets.
pub(crate) enum Clearing {
    /// It may go.
    Cleared(Box<(Permit, Hold, Quote)>),
    /// It waits for an administrator; `None` if it waited already.
    Asked(Option<Pending>),
}

/// An attempt's waiting. Dropped, it is withdrawn; what was denied waits no more.
#[derive(Debug, Default)]
pub(crate) struct Wait(Option<Pending>);

impl Wait {
    /// Whether an administrator was asked.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a new question in place of the one before it.
    pub(crate) fn asked(&mut self, pending: Option<Pending>) {
        if let Some(pending) = pending
            && let Some(before) = self.0.replace(pending)
        {
            before.answered();
        }
    }

    /// It was answered.
    pub(crate) fn over(&mut self) {
        if let Some(pending) = self.0.take() {
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

impl Control {
    /// Waits until it is worth asking the budgets again. The time does not count against the call's own.
    pub(crate) async fn await_room(&self, session: &Session, attempt: &mut Attempt<'_>) {
        let began = Instant::now();
        let mut published = self.inner.published.subscribe();
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            // A budget was changed, or somebody refused.
            _ = published.changed() => {}
            () = session.key.cancel.cancelled() => {}
        }
        attempt.deadline += began.elapsed();
    }
}
