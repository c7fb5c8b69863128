//! What can have happened.

mod known;

use ledger::{BreakerSpec, BudgetSpec, Closing, Edit, Measure, RateSpec, Trip, Warning};
use model::{
    AdminName, AgentName, BreakerName, BudgetName, Digest, KeyId, LimitName, PepName, TenantName, Timestamp,
    UpstreamName,
};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Denial, Intent, Outcome, Overrun, Replay},
    allowance::{Allowance, SpoolApplied},
    ask::{AskEnded, AskRefused, Asked},
    budgets::{Declared, ThresholdReached},
    decided::Decided,
    evidence::{Absent, Expired, LogHead},
    pep::{PepKeyRecord, PepRecord},
    record::{AdminRecord, AgentRecord, KeyRecord, PolicyFile, PriceRecord, UpstreamRecord},
};

/// One entry of a tenant's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The version of the schema.
    pub v: u32,
    /// Whose log.
    pub tenant: TenantName,
    /// The entry's place in the log, from 0, without gaps.
    pub index: u64,
    /// The tenant's time: never less than the entry before. Microseconds since 1970.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// An attempt was decided, its worst case is reserved, and it may now be forwarded.
    Intent(Intent),
    /// An attempt ended, and its hold with it.
    Outcome(Outcome),
    /// An action was refused; nothing was forwarded.
    Denial(Denial),
    /// A reply was delivered again; nothing was forwarded.
    Replay(Replay),
    /// An agent's manifest was loaded, or changed.
    AgentLoaded {
        /// The manifest, whole.
        agent: AgentRecord,
        /// Who loaded it.
        by: AdminName,
    },
    /// An agent's manifest is gone: its credentials no longer work.
    AgentRemoved {
        /// The agent.
        agent: AgentName,
        /// Who removed it.
        by: AdminName,
    },
    /// A budget was loaded, or changed.
    BudgetLoaded {
        /// The budget, whole.
        budget: BudgetSpec,
        /// Where it was declared.
        #[serde(default, skip_serializing_if = "Declared::in_files")]
        declared: Declared,
        /// Why, in the words of who did it; empty where files declare it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Who loaded it.
        by: AdminName,
    },
    /// A budget is declared no more: it selects nothing.
    BudgetRemoved {
        /// The budget.
        budget: BudgetName,
        /// Why, in the words of who did it; empty where files declared it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Who removed it.
        by: AdminName,
    },
    /// An administrator changed a budget while traffic flowed. It lies over what is declared.
    BudgetEdited {
        /// The budget.
        budget: BudgetName,
        /// What it counts.
        #[serde(default, skip_serializing_if = "Measure::is_money")]
        unit: Measure,
        /// What changed.
        edit: Edit,
        /// Why, in the words of who did it.
        note: String,
        /// Who did it.
        by: AdminName,
    },
    /// A rate limit was loaded, or changed.
    LimitLoaded {
        /// The limit, whole.
        limit: RateSpec,
        /// Who loaded it.
        by: AdminName,
    },
    /// A rate limit is declared no more.
    LimitRemoved {
        /// The limit.
        limit: LimitName,
        /// Who removed it.
        by: AdminName,
    },
    /// A circuit breaker was loaded, or changed.
    BreakerLoaded {
        /// The breaker, whole.
        breaker: BreakerSpec,
        /// Who loaded it.
        by: AdminName,
    },
    /// A circuit breaker is declared no more.
    BreakerRemoved {
        /// The breaker.
        breaker: BreakerName,
        /// Who removed it.
        by: AdminName,
    },
    /// A circuit breaker saw what will trip it if it goes on. Stands behind the entry that it follows from.
    BreakerWarned(Warning),
    /// A circuit breaker trips: behind the outcome that it follows from, or before the denial of the attempt that it stops.
    BreakerTripped(Trip),
    /// A circuit breaker closes, because its probe went well. Stands behind the probe's outcome.
    BreakerClosed(Closing),
    /// An administrator closes a circuit breaker.
    BreakerReset {
        /// The breaker.
        breaker: BreakerName,
        /// Whose: the team, the agent, or `agent/run`.
        of: String,
        /// Why, in the words of who did it.
        note: String,
        /// Who did it.
        by: AdminName,
    },
    /// What is booked in a budget reached a threshold.
    ThresholdReached(ThresholdReached),
    /// An attempt waits for an administrator, because a budget has no room for it.
    Asked(Asked),
    /// An administrator refused an attempt that waited.
    AskRefused(AskRefused),
    /// An attempt that waited ended without an answer.
    AskEnded(AskEnded),
    /// An agent's allowance is reserved in its budgets.
    AllowanceHeld(Allowance),
    /// What was left of an agent's allowance is given back.
    AllowanceReleased {
        /// The agent.
        agent: AgentName,
    },
    /// Calls were let through on allowances while nothing could be recorded; the entries before this one say which.
    SpoolApplied(SpoolApplied),
    /// A policy file was loaded, or changed. It takes effect with the next `policy_loaded`.
    PolicyFile(PolicyFile),
    /// A policy bundle took effect.
    PolicyLoaded {
        /// SHA-256 over the schema and all sources.
        bundle: Digest,
        /// The entry of each policy file the bundle is made of.
        files: Vec<u64>,
        /// Who loaded it.
        by: AdminName,
    },
    /// Prices took effect.
    PricesLoaded {
        /// SHA-256 over the shipped catalogue and the overrides.
        book: Digest,
        /// What the configuration adds or overrides.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<PriceRecord>,
        /// Who loaded them.
        by: AdminName,
    },
    /// Upstreams took effect.
    UpstreamsLoaded {
        /// All of them.
        upstreams: Vec<UpstreamRecord>,
        /// Who loaded them.
        by: AdminName,
    },
    /// A credential was issued.
    KeyIssued {
        /// The credential, without its secret.
        key: KeyRecord,
        /// Who issued it.
        by: AdminName,
    },
    /// A credential was revoked.
    KeyRevoked {
        /// Which.
        key: KeyId,
        /// Why, in the words of who did it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Who revoked it.
        by: AdminName,
    },
    /// An administrator was added, or given another role or credential.
    AdminAdded {
        /// The administrator.
        admin: AdminRecord,
        /// Who added them.
        by: AdminName,
    },
    /// An administrator was removed.
    AdminRemoved {
        /// The administrator.
        admin: AdminName,
        /// Who removed them.
        by: AdminName,
    },
    /// The server started. Since version 5 every log that was there then says so.
    Started {
        /// Which machine or container: random, kept in the data directory.
        node: String,
        /// The how many-th start of this data directory.
        boot: u64,
        /// The program's version.
        version: String,
        /// A log without an entry for so many seconds has a heartbeat, while this start lasts; absent where none are
        /// written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heartbeat_s: Option<u32>,
    },
    /// The server stopped of its own accord.
    Stopped {
        /// Which machine or container.
        node: String,
        /// Which start.
        boot: u64,
        /// Why: `signal`, `requested`.
        why: String,
    },
    /// A provider billed past a hold: the model is not trusted to keep to output limits any more.
    Overrun(Overrun),
    /// Somebody accepted the overruns of a model: it is trusted again.
    OverrunCleared {
        /// The upstream.
        upstream: UpstreamName,
        /// The model, as requests spell it.
        model: String,
        /// Why, in the words of who did it.
        note: String,
        /// Who accepted them.
        by: AdminName,
    },
    /// An enforcement point's manifest was loaded, or changed.
    PepLoaded {
        /// The manifest, whole.
        pep: PepRecord,
        /// Who loaded it.
        by: AdminName,
    },
    /// An enforcement point's manifest is gone: its credentials no longer work.
    PepRemoved {
        /// The enforcement point.
        pep: PepName,
        /// Who removed it.
        by: AdminName,
    },
    /// A credential of an enforcement point was issued. It is revoked as an agent's is.
    PepKeyIssued {
        /// The credential, without its secret.
        key: PepKeyRecord,
        /// Who issued it.
        by: AdminName,
    },
    /// Entities that policies read were stored or removed. What is stored is outside the log, for it may be personal.
    EntitiesChanged {
        /// The how many-th change it is: the version of the entities after it.
        version: u64,
        /// How many were stored, new ones and others.
        put: u64,
        /// How many were removed.
        removed: u64,
        /// A keyed commitment to the change: HMAC-SHA256.
        digest: Digest,
        /// Why, in the words of who did it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Who did it.
        by: AdminName,
    },
    /// An enforcement point asked, and was answered.
    Decided(Decided),
    /// How long all logs were when the server started or stopped. Stands behind its `started` and before its `stopped`, in
    /// the server's own log.
    Heads {
        /// Which start.
        boot: u64,
        /// The logs by tenant, but this one; at most [`HEADS_MAX`](crate::HEADS_MAX) in an entry.
        heads: Vec<LogHead>,
    },
    /// The server was there, and nothing happened. Written when the log had no entry for so long.
    Heartbeat {
        /// Which start.
        boot: u64,
        /// After how many seconds without an entry one is written, at the latest.
        every_s: u32,
    },
    /// Another key signs this log's checkpoints from now on, beside those that do.
    SigningKeyAdded {
        /// The new public key, as C2SP writes verifier keys.
        key: String,
        /// A key that signs already, so that whoever knows it can go on to the new one.
        beside: String,
        /// Who added it.
        by: AdminName,
    },
    /// A key signs no more.
    SigningKeyRetired {
        /// The public key.
        key: String,
        /// Who retired it.
        by: AdminName,
    },
    /// An older copy of this log was put in the place of a newer one, and accepted.
    Restored {
        /// The checkpoint that was signed over what is lost, as text.
        checkpoint: String,
        /// Why, in the words of who accepted it.
        note: String,
        /// Who accepted it.
        by: AdminName,
    },
    /// Not enough witnesses signed a checkpoint in time.
    QuorumMissed {
        /// The checkpoint's size.
        size: u64,
        /// How many have to sign.
        quorum: u32,
        /// Who did not, at most [`ABSENT_MAX`](crate::ABSENT_MAX) of them.
        absent: Vec<Absent>,
    },
    /// Enough witnesses signed again.
    QuorumMet {
        /// The size of the checkpoint that they signed.
        size: u64,
    },
    /// A witness has seen another history of this log than this one. What it had seen stays true: it never signs this one.
    ForkReported {
        /// Its key, as C2SP writes verifier keys: a witness that begins anew has another one.
        witness: String,
        /// The size of the checkpoint that it was shown.
        size: u64,
    },
    /// What follows from all entries before this one was written down: the log can be replayed from there.
    SnapshotTaken {
        /// SHA-256 of it.
        digest: Digest,
    },
    /// Entries were let go because their time was over.
    Expired(Expired),
    /// Nothing of this log may be let go while this stands.
    LegalHoldSet {
        /// What people call it.
        name: String,
        /// Why, in the words of who set it.
        note: String,
        /// Who set it.
        by: AdminName,
    },
    /// A legal hold is over.
    LegalHoldLifted {
        /// Which.
        name: String,
        /// Why, in the words of who lifted it.
        note: String,
        /// Who lifted it.
        by: AdminName,
    },
}

impl Event {
    /// The word for it, as in the entry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Denial(_) => "denial",
            Self::Replay(_) => "replay",
            Self::AgentLoaded { .. } => "agent_loaded",
            Self::AgentRemoved { .. } => "agent_removed",
            Self::BudgetLoaded { .. } => "budget_loaded",
            Self::BudgetRemoved { .. } => "budget_removed",
            Self::BudgetEdited { .. } => "budget_edited",
            Self::LimitLoaded { .. } => "limit_loaded",
            Self::LimitRemoved { .. } => "limit_removed",
            Self::BreakerLoaded { .. } => "breaker_loaded",
            Self::BreakerRemoved { .. } => "breaker_removed",
            Self::BreakerWarned(_) => "breaker_warned",
            Self::BreakerTripped(_) => "breaker_tripped",
            Self::BreakerClosed(_) => "breaker_closed",
            Self::BreakerReset { .. } => "breaker_reset",
            Self::ThresholdReached(_) => "threshold_reached",
            Self::Asked(_) => "asked",
            Self::AskRefused(_) => "ask_refused",
            Self::AskEnded(_) => "ask_ended",
            Self::AllowanceHeld(_) => "allowance_held",
            Self::AllowanceReleased { .. } => "allowance_released",
            Self::SpoolApplied(_) => "spool_applied",
            Self::PolicyFile(_) => "policy_file",
            Self::PolicyLoaded { .. } => "policy_loaded",
            Self::PricesLoaded { .. } => "prices_loaded",
            Self::UpstreamsLoaded { .. } => "upstreams_loaded",
            Self::KeyIssued { .. } => "key_issued",
            Self::KeyRevoked { .. } => "key_revoked",
            Self::AdminAdded { .. } => "admin_added",
            Self::AdminRemoved { .. } => "admin_removed",
            Self::Started { .. } => "started",
            Self::Stopped { .. } => "stopped",
            Self::Overrun(_) => "overrun",
            Self::OverrunCleared { .. } => "overrun_cleared",
            Self::PepLoaded { .. } => "pep_loaded",
            Self::PepRemoved { .. } => "pep_removed",
            Self::PepKeyIssued { .. } => "pep_key_issued",
            Self::EntitiesChanged { .. } => "entities_changed",
            Self::Decided(_) => "decided",
            Self::Heads { .. } => "heads",
            Self::Heartbeat { .. } => "heartbeat",
            Self::SigningKeyAdded { .. } => "signing_key_added",
            Self::SigningKeyRetired { .. } => "signing_key_retired",
            Self::Restored { .. } => "restored",
            Self::QuorumMissed { .. } => "quorum_missed",
            Self::QuorumMet { .. } => "quorum_met",
            Self::ForkReported { .. } => "fork_reported",
            Self::SnapshotTaken { .. } => "snapshot_taken",
            Self::Expired(_) => "expired",
            Self::LegalHoldSet { .. } => "legal_hold_set",
            Self::LegalHoldLifted { .. } => "legal_hold_lifted",
        }
    }
}
