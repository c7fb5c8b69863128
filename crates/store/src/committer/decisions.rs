//! What enforcement points are answered: recorded with the batch, and kept until durable where the answer did not wait.

use std::{collections::HashSet, sync::atomic::Ordering::Relaxed};

use entry::{Decided, EntryError, Event};
use model::{ActionId, Timestamp};
use tokio::sync::oneshot;

use super::{
    build::Reply,
    command::{Decide, DecideError, Unavailable},
    run::{Committer, WAITING},
    shard::Shard,
};
use crate::Clock;

/// How many answered decisions are kept through a failed write: all that can wait and one batch more, for new ones are
/// refused meanwhile.
const KEPT: usize = 2 * WAITING;

impl Shard {
    /// Records what an enforcement point is answered, shortened to what an entry may have. One that rests on what is in
    /// effect no more may say as of when it was answered. Hands back what it was given, numbered.
    fn decide(
        &mut self,
        mut decided: Decided,
        since: Option<Timestamp>,
        wall: Timestamp,
    ) -> (Result<u64, EntryError>, Option<Decided>) {
        decided.seq = self.state.peps.next_seq(decided.pep.as_ref());
        if since.is_some() && self.state.check_decided(&decided, self.at(wall)).is_err() {
            decided.at = since;
        }
        let mut entry = self.entry(Event::Decided(decided), wall);
        let appended = entry.fit().and_then(|bytes| self.append_as(&entry, &bytes));
        match entry.event {
            Event::Decided(decided) => (appended, Some(decided)),
            _ => (appended, None),
        }
    }
}

impl<C: Clock> Committer<C> {
    /// Takes a decision whose answer waits for it, or one that was answered.
    pub(super) fn take_decision(
        &mut self,
        decide: Decide,
        answer: Option<oneshot::Sender<Result<u64, DecideError>>>,
        now: Timestamp,
    ) -> Option<Reply> {
        let Some(answer) = answer else {
            self.record_answered(decide, now);
            return None;
        };
        if self.wall.trouble().or(self.room.trouble()).is_some() {
            drop(answer.send(Err(Unavailable.into())));
            return None;
        }
        let shard = self.shard(&decide.tenant);
        let (recorded, _) = shard.decide(decide.decided, None, now);
        let epoch = shard.state.epoch;
        let stale = |error: EntryError| {
            let why = error.to_string();
            DecideError::Stale { epoch, why }
        };
        // What it was refused for may be in this batch: it is said when that is durable.
        Some(Reply::Decided(recorded.map_err(stale), answer))
    }

    /// Records a decision that was answered, and keeps it until it is durable.
    fn record_answered(&mut self, decide: Decide, now: Timestamp) {
        let Decide { tenant, since, decided } = decide;
        let (recorded, decided) = self.shard(&tenant).decide(decided, since, now);
        match (recorded, decided) {
            (Ok(_), Some(decided)) => self.answered.push(Decide { tenant, since, decided }),
            (Ok(_), None) => {}
            (Err(error), _) => {
                tracing::error!(%tenant, %error, "a decision that was answered cannot be recorded");
                self.lost(1);
            }
        }
    }

    /// Keeps a decision that was answered while nothing can be recorded.
    pub(super) fn keep_answered(&mut self, decide: Decide) {
        if self.answered.len() < KEPT {
            self.answered.push(decide);
        } else {
            tracing::error!(tenant = %decide.tenant, "too many decisions wait to be recorded: one that was answered is lost");
            self.lost(1);
        }
    }

    /// Records anew what was answered and was in a write that failed, except what landed with it.
    pub(super) fn record_answered_again(&mut self, landed: &HashSet<ActionId>, now: Timestamp) {
        for mut decide in std::mem::take(&mut self.answered) {
            if landed.contains(&decide.decided.id) {
                self.stats.decisions_waiting.fetch_sub(1, Relaxed);
                continue;
            }
            // Time has gone on meanwhile: it says as of when it was answered.
            decide.decided.at = decide.since;
            self.record_answered(decide, now);
        }
    }

    /// All that was answered is durable.
    pub(super) fn answered_are_durable(&mut self) {
        let durable = u64::try_from(self.answered.len()).unwrap_or(u64::MAX);
        if durable > 0 {
            self.answered.clear();
            self.stats.decisions_waiting.fetch_sub(durable, Relaxed);
        }
    }

    fn lost(&self, count: u64) {
        self.stats.decisions_waiting.fetch_sub(count, Relaxed);
        self.stats.decisions_lost.fetch_add(count, Relaxed);
    }
}
