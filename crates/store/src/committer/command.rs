//! What can be asked of the committer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use entry::{
    Action, AdminRecord, AgentState, Ask as Waiting, BudgetFacts, Decided, DenialInput, Distrust, Event, KeyState,
    Over, PepKeyState, PepState, PolicyFile, Tokens, Why,
};
use ledger::{
    Amount, Attempt, Balance, BreakerSpec, BreakerStanding, BreakerStop, Edit, Fill, Limited, NextStep, RateSpec,
    WantedSteps,
};
use model::{
    ActionId, AdminName, AgentName, BreakerName, BudgetName, Digest, KeyId, NanoUsd, PepName, Pseudonym, Reason,
    TenantName, Timestamp, UpstreamName,
};
use tokio::sync::{mpsc::OwnedPermit, oneshot};

use super::run::WAITING;
use crate::{
    Expiry, StoreError,
    entity::{EntityChanges, EntityError},
    hold::End,
};

/// Who asks to do what: an [`Action`](entry::Action) without the sequence number, which the committer gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whose log.
    pub tenant: TenantName,
    /// The action; its `seq` is ignored.
    pub action: Action,
}

/// An attempt that policy permits and that wants to be reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// Who, what.
    pub ask: Ask,
    /// Which attempt of the action.
    pub attempt: u16,
    /// The control epoch it was decided under: if that is over, it is to be decided again.
    pub epoch: u64,
    /// What permitted it.
    pub why: Why,
    /// The entry that put the prices in effect.
    pub prices: u64,
    /// Whether the reply is a stream.
    pub stream: bool,
    /// The output limit as forwarded, in tokens.
    pub limit: u64,
    /// The output that the hold reserves for, where that is not `limit`.
    pub bound: Option<u64>,
    /// The length of the body as forwarded.
    pub bytes: u64,
    /// The commitment to the body as sent.
    pub request: String,
    /// The worst case in money.
    pub amount: NanoUsd,
    /// The worst case in tokens.
    pub tokens: Tokens,
    /// The tools that the request offers to the model.
    pub tools: Vec<String>,
    /// Whether all of these are recorded, because a policy in effect looks at them, and not only those that some rule names.
    pub all_tools: bool,
    /// What it asks to be done next, as keyed hashes: what loops are seen by.
    pub next: NextStep,
    /// Whether it may wait for an administrator where a budget asks.
    pub may_wait: bool,
    /// How long after now the hold is booked in full if nobody ended it, in microseconds.
    pub lifetime_us: i64,
    /// The idempotency key of the call, hashed.
    pub idempotency: Option<String>,
}

impl HoldRequest {
    pub(crate) fn name(&self) -> Attempt {
        Attempt {
            action: self.ask.action.id,
            number: self.attempt,
        }
    }
}

/// What became of a hold request.
#[derive(Debug)]
pub enum HoldAnswer {
    /// It is durable.
    Held(crate::Hold),
    /// A budget has no room; the denial is recorded.
    Refused(Box<Over>, Option<Timestamp>),
    /// A budget has no room, and an administrator is asked: come again when something changed, or when the time is over.
    /// Dropped, it is withdrawn.
    Asked(crate::Pending),
    /// It waits still.
    Waiting,
    /// An administrator refused it; the denial is recorded.
    AskRefused(Box<Over>, Box<(AdminName, String)>),
    /// A circuit breaker stops it; the denial is recorded.
    Broken(Box<BreakerStop>),
    /// A rate limit stops it; the denial is recorded.
    RateLimited(Box<Limited>),
    /// Something that decisions depend on changed since: decide again under at least this epoch.
    Stale(u64),
    /// The idempotency key belongs to this action, which was paid for; the denial is recorded.
    Repeated(ActionId),
    /// As many calls are in flight as may be.
    Overloaded,
    /// The agent is not, or no longer, known.
    UnknownAgent,
    /// Nothing can be recorded, so nothing is allowed; or this attempt cannot be, and is recorded as a denial if possible.
    Unavailable,
}

/// An action that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Who, what.
    pub ask: Ask,
    /// Why.
    pub reason: Reason,
    /// What decided.
    pub why: Option<Why>,
    /// What policies were told of the call, where they refused it.
    pub input: Option<Box<DenialInput>>,
}

/// When a decision is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Once its entry is durable: nothing that was answered can be missing in the log.
    #[default]
    Durable,
    /// Once it waits to be written, in the order in which it was asked. A crash of the process or the machine loses the
    /// entries of the answers of the last moments: those that wait and those that are being written, at most
    /// [`DECISIONS_WAITING`] and one batch, usually those of one write's time (milliseconds; seconds on a slow disk,
    /// until everything is refused). A stop in order loses none, nor does a write that fails while the process lives.
    Buffered,
}

/// How many decisions wait to be written at most, whoever asked. More callers wait for a place.
pub const DECISIONS_WAITING: usize = WAITING;

/// A decision that is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decide {
    pub(crate) tenant: TenantName,
    /// The log's time when it was put where it waits: what it rests on was in effect then.
    pub(crate) since: Option<Timestamp>,
    /// Its `seq`, `left_out` and `at` are the committer's to set.
    pub(crate) decided: Decided,
}

/// Why a decision was not recorded: it must not be answered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecideError {
    /// It does not follow from what is there, for the credential was revoked, say, or something else that decisions depend
    /// on changed: decide again under at least this epoch.
    #[error("{why}")]
    Stale {
        /// The control epoch.
        epoch: u64,
        /// What does not fit.
        why: String,
    },
    /// Nothing can be recorded now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A reply that is delivered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Who, what.
    pub ask: Ask,
    /// What permitted it.
    pub why: Why,
    /// The action whose reply it is.
    pub of: ActionId,
}

/// What an administrator wants changed of a budget while traffic flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditOrder {
    /// What needs no more to be known than it says.
    Plain(Edit),
    /// More for the window that runs when the order is carried out.
    TopUp {
        /// How much more, in the budget's unit.
        amount: Amount,
        /// Which pot, where the budget keeps several apart.
        of: Vec<String>,
    },
}

/// Where a change stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The index of the first of its entries.
    pub first_index: u64,
    /// The control epoch after it.
    pub epoch: u64,
    /// The tenant's time.
    pub time: Timestamp,
}

/// What requests and administrators read of a tenant: a copy taken between two commits.
#[derive(Clone, Debug)]
pub struct View {
    /// Whose.
    pub tenant: TenantName,
    /// The control epoch.
    pub epoch: u64,
    /// How many entries the log has.
    pub size: u64,
    /// The tenant's time.
    pub time: Timestamp,
    /// Agents.
    pub agents: HashMap<AgentName, AgentState>,
    /// Credentials.
    pub keys: BTreeMap<KeyId, KeyState>,
    /// Enforcement points.
    pub peps: BTreeMap<PepName, PepState>,
    /// Their credentials.
    pub pep_keys: BTreeMap<KeyId, PepKeyState>,
    /// The version of the stored entities.
    pub entities: u64,
    /// Administrators.
    pub admins: BTreeMap<AdminName, AdminRecord>,
    /// Budgets as they are declared, in the order of their names.
    pub budgets: Vec<Arc<ledger::BudgetSpec>>,
    /// Where budgets were declared, and who changed them.
    pub budget_facts: BudgetFacts,
    /// Attempts that wait for an administrator.
    pub asks: Vec<Waiting>,
    /// The policy files in effect by name, each with its entry.
    pub policy_files: BTreeMap<String, (PolicyFile, u64)>,
    /// The bundle in effect and its entry.
    pub bundle: Option<(Digest, u64)>,
    /// The price book in effect and its entry.
    pub prices: Option<(Digest, u64)>,
    /// The upstreams in effect.
    pub upstreams: Vec<entry::UpstreamRecord>,
    /// The models that are not trusted to keep to output limits, by upstream and as requests spell them.
    pub distrusted: BTreeMap<(UpstreamName, String), Distrust>,
    /// What circuit breakers look at of requests.
    pub steps: WantedSteps,
    /// Attempts in flight.
    pub open: Vec<(ActionId, AgentName)>,
    /// What the log says of itself.
    pub evidence: entry::Evidence,
}

/// How budgets stand: a copy taken between two commits.
#[derive(Clone, Debug, Default)]
pub struct Balances {
    /// The pots, by budget and then by their values.
    pub balances: Vec<Balance>,
    /// Budgets that have more pots than were asked for.
    pub cut: Vec<BudgetName>,
    /// Where budgets were declared, and who changed them.
    pub facts: BudgetFacts,
    /// The limits that administrators set instead of the declared ones.
    pub set: BTreeMap<BudgetName, Amount>,
}

/// Rate limits and circuit breakers, and how they stand: a copy taken between two commits.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Rate limits, by name.
    pub limits: Vec<RateSpec>,
    /// Their buckets.
    pub buckets: Vec<Fill>,
    /// Circuit breakers, by name.
    pub breakers: Vec<BreakerSpec>,
    /// What they stop, and where they stand closed with something counted.
    pub standings: Vec<BreakerStanding>,
}

/// Which standings of circuit breakers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesQuery {
    /// Only those of this breaker.
    pub breaker: Option<BreakerName>,
    /// Those that are closed too.
    pub closed: bool,
    /// How many at most, and how many buckets of rate limits.
    pub most: usize,
}

/// Which budgets are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalanceQuery {
    /// Only this budget.
    pub name: Option<BudgetName>,
    /// Only budgets behind this one.
    pub after: Option<BudgetName>,
    /// How many budgets at most.
    pub most: usize,
    /// How many pots of each at most.
    pub pots: usize,
    /// Only the pot for these values, whether or not it was ever used.
    pub of: Option<Vec<String>>,
}

/// A fact about a person, kept outside the log.
#[derive(Clone, Debug)]
pub struct Person {
    /// As the log names them.
    pub pseudonym: Pseudonym,
    /// Which pseudonym key made it.
    pub key_epoch: u32,
    /// Who they are.
    pub identity: String,
}

/// A question to the committer and where its answer goes.
#[derive(Debug)]
pub(crate) enum Command {
    Hold(Box<HoldRequest>, OwnedPermit<End>, oneshot::Sender<HoldAnswer>),
    Deny(Box<Denied>, oneshot::Sender<Result<u64, Unavailable>>),
    Replay(Box<Replayed>, oneshot::Sender<Result<u64, Unavailable>>),
    Decide(Box<Decide>, Option<oneshot::Sender<Result<u64, DecideError>>>),
    ChangeEntities(Box<EntityChanges>, oneshot::Sender<Result<Changed, EntityError>>),
    Change(TenantName, Vec<Event>, oneshot::Sender<Result<Changed, ChangeError>>),
    Edit(
        Box<(TenantName, BudgetName, EditOrder, String, AdminName)>,
        oneshot::Sender<Result<Changed, ChangeError>>,
    ),
    Expire(
        Box<(TenantName, Expiry, AdminName)>,
        oneshot::Sender<Result<Changed, ChangeError>>,
    ),
    View(TenantName, oneshot::Sender<Result<View, Unavailable>>),
    Balances(TenantName, BalanceQuery, oneshot::Sender<Result<Balances, Unavailable>>),
    Rules(TenantName, RulesQuery, oneshot::Sender<Result<Rules, Unavailable>>),
    Remember(TenantName, Vec<Person>, oneshot::Sender<Result<(), StoreError>>),
    Checkpoint(TenantName, u64, String, oneshot::Sender<Result<(), StoreError>>),
    Stop(String, oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

impl Command {
    /// Answers that nothing can be recorded.
    pub(super) fn refuse(self) {
        // Whoever asked may have gone.
        match self {
            Self::Hold(_, _, answer) => drop(answer.send(HoldAnswer::Unavailable)),
            Self::Deny(_, answer) | Self::Replay(_, answer) => drop(answer.send(Err(Unavailable))),
            Self::Decide(_, Some(answer)) => drop(answer.send(Err(Unavailable.into()))),
            Self::ChangeEntities(_, answer) => drop(answer.send(Err(Unavailable.into()))),
            Self::Change(_, _, answer) | Self::Edit(_, answer) | Self::Expire(_, answer) => {
                drop(answer.send(Err(Unavailable.into())))
            }
            Self::Balances(_, _, answer) => drop(answer.send(Err(Unavailable))),
            Self::Rules(_, _, answer) => drop(answer.send(Err(Unavailable))),
            Self::View(_, answer) => drop(answer.send(Err(Unavailable))),
            // Dropping the sender tells the asker that there is no answer.
            Self::Decide(_, None) | Self::Remember(..) | Self::Checkpoint(..) | Self::Stop(..) | Self::Close(_) => {}
        }
    }
}

/// Nothing can be recorded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot record now; the server's log says why")]
pub struct Unavailable;

/// Why a change was not made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChangeError {
    /// It does not follow from what is there: nothing was recorded.
    #[error("{0}")]
    Refused(String),
    /// Nothing can be recorded now. The change may have been recorded all the same: read again.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
