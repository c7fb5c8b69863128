//! From what waits to entries, and from durable entries to answers.

use ledger::Attempt;
use model::{TenantName, Timestamp};
use tokio::sync::{mpsc::OwnedPermit, oneshot};

use super::{
    command::{
        BalanceQuery, Balances, ChangeError, Changed, Command, DecideError, HoldAnswer, HoldRequest, Rules, RulesQuery,
        Unavailable, View,
    },
    run::{Committer, EXPIRY_TICK, Stopping},
    shard::{Admitted, Shard},
};
use crate::{Clock, Hold, Pending, entity::EntityError, hold::End};

/// How long after its time what waits is taken for given up: its owner comes to hear the refusal at once.
const ASK_GRACE_US: i64 = 60_000_000;

/// An answer that may be given once the batch is durable.
pub(super) enum Reply {
    Hold(Admitted, OwnedPermit<End>, oneshot::Sender<HoldAnswer>),
    Recorded(u64, oneshot::Sender<Result<u64, Unavailable>>),
    Changed(
        Result<Changed, ChangeError>,
        oneshot::Sender<Result<Changed, ChangeError>>,
    ),
    Decided(Result<u64, DecideError>, oneshot::Sender<Result<u64, DecideError>>),
    Entities(
        Result<Changed, EntityError>,
        oneshot::Sender<Result<Changed, EntityError>>,
    ),
    View(TenantName, oneshot::Sender<Result<View, Unavailable>>),
    Balances(TenantName, BalanceQuery, oneshot::Sender<Result<Balances, Unavailable>>),
    Rules(TenantName, RulesQuery, oneshot::Sender<Result<Rules, Unavailable>>),
}

impl Reply {
    /// The batch failed: whatever it would have said, it is not so.
    pub(super) fn refuse(self) {
        match self {
            Self::Hold(_, _, answer) => drop(answer.send(HoldAnswer::Unavailable)),
            Self::Recorded(_, answer) => drop(answer.send(Err(Unavailable))),
            Self::Changed(_, answer) => drop(answer.send(Err(Unavailable.into()))),
            Self::Decided(_, answer) => drop(answer.send(Err(Unavailable.into()))),
            Self::Entities(_, answer) => drop(answer.send(Err(Unavailable.into()))),
            Self::View(_, answer) => drop(answer.send(Err(Unavailable))),
            Self::Balances(_, _, answer) => drop(answer.send(Err(Unavailable))),
            Self::Rules(_, _, answer) => drop(answer.send(Err(Unavailable))),
        }
    }
}

impl<C: Clock> Committer<C> {
    /// Turns what waits into entries: ends first, because they make room. Nothing is answered yet, except what needs no
    /// entry.
    pub(super) async fn build(&mut self, gathered: &mut Vec<Command>) -> Vec<Reply> {
        let now = self.wall.read();
        let store = &self.store;
        self.room.look(self.wall.elapsed(), || store.free());
        self.build_ends(now);
        self.build_expired(now);
        let mut replies = Vec::with_capacity(gathered.len());
        for command in gathered.drain(..) {
            replies.extend(self.take(command, now).await);
        }
        self.tend(now);
        self.build_heartbeats(now);
        replies
    }

    /// Ends the holds whose owners say so. The ends are kept until they are durable.
    pub(super) fn build_ends(&mut self, now: Timestamp) {
        for end in &self.ends {
            if let Some(shard) = self.shards.get_mut(&end.tenant) {
                shard.end(end, now);
            }
        }
    }

    /// Looks now and then for holds that nobody ended in time.
    fn build_expired(&mut self, now: Timestamp) {
        let elapsed = self.wall.elapsed();
        let looked = |at| elapsed.saturating_sub(at) < EXPIRY_TICK;
        if self.looked.is_some_and(looked) {
            return;
        }
        self.looked = Some(elapsed);
        self.tend_due = true;
        for (tenant, shard) in &mut self.shards {
            shard.forget_asks(now, |asked, now| asked.until.saturating_add_micros(ASK_GRACE_US) <= now);
            let lost = shard.book(now, |_, hold, now| hold.expires <= now);
            if lost > 0 {
                tracing::warn!(%tenant, holds = lost, "booked in full holds that nobody ended in time");
            }
        }
    }

    /// Takes one command. Returns what is to be said once the batch is durable.
    async fn take(&mut self, command: Command, now: Timestamp) -> Option<Reply> {
        match command {
            Command::Stop(why, answer) => self.order_stop(why, answer),
            // Only after a stop; until then whoever asks hears nothing.
            Command::Close(_) => {}
            // What was answered is recorded, even behind the order to stop.
            Command::Decide(decide, None) => drop(self.take_decision(*decide, None, now)),
            // What comes behind the order to stop comes too late.
            late if self.stopping.is_some() => late.refuse(),
            Command::Hold(request, slot, answer) => match self.hold(*request, now) {
                Some(admitted) => return Some(Reply::Hold(admitted, slot, answer)),
                None => drop(answer.send(HoldAnswer::Unavailable)),
            },
            Command::Deny(denied, answer) => {
                let shard = self.shards.get_mut(&denied.ask.tenant);
                match shard.and_then(|shard| recorded(shard.deny(*denied, now))) {
                    Some(index) => return Some(Reply::Recorded(index, answer)),
                    None => drop(answer.send(Err(Unavailable))),
                }
            }
            Command::Replay(replayed, answer) => {
                let shard = self.shards.get_mut(&replayed.ask.tenant);
                match shard.and_then(|shard| recorded(shard.replay(*replayed, now))) {
                    Some(index) => return Some(Reply::Recorded(index, answer)),
                    None => drop(answer.send(Err(Unavailable))),
                }
            }
            Command::Decide(decide, answer) => return self.take_decision(*decide, answer, now),
            Command::ChangeEntities(changes, answer) => {
                let changed = self.change_entities(*changes, now).await;
                return Some(Reply::Entities(changed, answer));
            }
            Command::Change(tenant, events, answer) => {
                let changed = self.shard_to_change(&tenant, now).change(events, now);
                self.tend_due = true;
                return Some(Reply::Changed(changed, answer));
            }
            Command::Edit(order, answer) => {
                let (tenant, budget, order, note, by) = *order;
                let edited = self
                    .shard_to_change(&tenant, now)
                    .edit_budget(budget, order, note, by, now);
                self.tend_due = true;
                return Some(Reply::Changed(edited, answer));
            }
            Command::Expire(order, answer) => {
                let (tenant, expiry, by) = *order;
                return Some(Reply::Changed(self.expire(&tenant, &expiry, by, now), answer));
            }
            Command::Balances(tenant, query, answer) => return Some(Reply::Balances(tenant, query, answer)),
            Command::Rules(tenant, query, answer) => return Some(Reply::Rules(tenant, query, answer)),
            Command::View(tenant, answer) => return Some(Reply::View(tenant, answer)),
            Command::Remember(tenant, persons, answer) => {
                let mut result = Ok(());
                for person in persons {
                    let remembered = self
                        .store
                        .remember(&tenant, &person.pseudonym, person.key_epoch, &person.identity)
                        .await;
                    result = result.and(remembered);
                }
                drop(answer.send(result));
            }
            Command::Checkpoint(tenant, size, note, answer) => {
                let saved = self.store.save_checkpoint(&tenant, size, &note).await;
                if saved.is_ok() {
                    self.retention.signed(&tenant, size);
                }
                drop(answer.send(saved));
            }
        }
        None
    }

    /// Takes the order to stop. The first one's reason counts.
    pub(super) fn order_stop(&mut self, why: String, answer: oneshot::Sender<()>) {
        let asked = Vec::new();
        self.stopping.get_or_insert(Stopping { why, asked }).asked.push(answer);
    }

    /// `None` if nothing can be said about the request.
    fn hold(&mut self, request: HoldRequest, now: Timestamp) -> Option<Admitted> {
        if self.wall.trouble().or(self.room.trouble()).is_some() {
            return None;
        }
        match self.shards.get_mut(&request.ask.tenant) {
            Some(shard) => recorded(shard.hold(request, self.boot, now)),
            None => Some(Admitted::UnknownAgent),
        }
    }

    pub(super) fn shard(&mut self, tenant: &TenantName) -> &mut Shard {
        self.shards
            .entry(tenant.clone())
            .or_insert_with(|| Shard::new(tenant.clone()))
    }

    /// The batch is durable: say so.
    pub(super) fn answer(&mut self, reply: Reply) {
        // A receiver that is gone drops its answer, and a hold with it, which then ends as never forwarded.
        match reply {
            Reply::Hold(admitted, slot, answer) => drop(answer.send(match admitted {
                Admitted::Granted(granted) => {
                    self.granted.insert(granted.attempt);
                    HoldAnswer::Held(Hold::new(granted, slot))
                }
                Admitted::Refused(over, resets_at) => HoldAnswer::Refused(over, resets_at),
                Admitted::Asked(asked) => HoldAnswer::Asked(Pending::new(asked, slot)),
                Admitted::Waiting => HoldAnswer::Waiting,
                Admitted::AskRefused(over, answer) => HoldAnswer::AskRefused(over, answer),
                Admitted::Broken(stop) => HoldAnswer::Broken(stop),
                Admitted::RateLimited(limited) => HoldAnswer::RateLimited(limited),
                Admitted::Stale(epoch) => HoldAnswer::Stale(epoch),
                Admitted::Repeated(action) => HoldAnswer::Repeated(action),
                Admitted::UnknownAgent => HoldAnswer::UnknownAgent,
                Admitted::Unrecordable => HoldAnswer::Unavailable,
            })),
            Reply::Recorded(index, answer) => drop(answer.send(Ok(index))),
            Reply::Changed(changed, answer) => drop(answer.send(changed)),
            Reply::Decided(decided, answer) => drop(answer.send(decided)),
            Reply::Entities(changed, answer) => drop(answer.send(changed)),
            Reply::Balances(tenant, query, answer) => {
                let now = self.wall.read();
                let shard = self.shards.get(&tenant);
                drop(answer.send(Ok(shard.map(|shard| shard.balances(&query, now)).unwrap_or_default())));
            }
            Reply::Rules(tenant, query, answer) => {
                let now = self.wall.read();
                let shard = self.shards.get(&tenant);
                drop(answer.send(Ok(shard.map(|shard| shard.rules(&query, now)).unwrap_or_default())));
            }
            Reply::View(tenant, answer) => {
                let view = match self.shards.get(&tenant) {
                    Some(shard) => shard.view(),
                    None => Shard::new(tenant).view(),
                };
                drop(answer.send(Ok(view)));
            }
        }
    }

    /// Whether a hold that is in the log was given to nobody: the write that failed had landed.
    pub(super) fn is_orphan(&self, attempt: &Attempt, hold: &ledger::Hold) -> bool {
        hold.boot == self.boot && !self.granted.contains(attempt)
    }
}

/// A request that cannot be recorded, not even as a denial (a credential unknown), concerns nobody else.
fn recorded<T>(result: Result<T, entry::EntryError>) -> Option<T> {
    result
        .inspect_err(|error| tracing::error!(%error, "a request cannot be recorded and is refused"))
        .ok()
}
