//! What agents did: an action's intents, their outcomes, and denials.

use ledger::{Amount, Attempt, Booking, Limited, Measure, Step};
use model::{
    ActionId, AgentName, BreakerName, BudgetName, KeyId, NanoUsd, Pseudonym, Reason, Timestamp, UpstreamName, Usage,
    UsageSource,
};
use serde::{Deserialize, Serialize};

/// Who did what to which model: the part that intents and denials share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The action's id: the request id the caller sees.
    pub id: ActionId,
    /// The agent.
    pub agent: AgentName,
    /// The agent's how many-th intent or denial, from 1, without gaps.
    pub seq: u64,
    /// The credential that was used.
    pub key: KeyId,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Pseudonym>,
    /// The run the agent named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The task type the agent named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The action's name in policies, such as `llm:generate`.
    pub name: String,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The model; empty where the request was refused before it could be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// The entry that put the policy bundle in effect.
    pub bundle: u64,
    /// The ids of the policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// Counts of tokens: at most, or in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// In, from and to caches too.
    pub input: u64,
    /// Out.
    pub output: u64,
}

/// An attempt that may be forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Who, what, on which model.
    pub action: Action,
    /// Which attempt of the action, from 0.
    pub attempt: u16,
    /// What permitted it.
    pub why: Why,
    /// The entry that put the prices in effect.
    pub prices: u64,
    /// Whether the reply is a stream.
    pub stream: bool,
    /// The output limit of the request as forwarded, in tokens.
    pub limit: u64,
    /// The output that the hold reserves for, in tokens, where that is not `limit`: the model's maximum, because the
    /// upstream is declared as not honouring output limits or a provider billed past a hold of this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// The length of the request's body as forwarded.
    pub bytes: u64,
    /// A keyed commitment to the request's body as the agent sent it: HMAC-SHA256, base64url.
    pub request: String,
    /// The worst case: what is reserved.
    pub hold: NanoUsd,
    /// The tokens that are reserved, where a budget or limit counts tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// The tools that the request offers and that some rule names; all of them where a policy in effect looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// How many tools the request offers.
    #[serde(default, skip_serializing_if = "is_no_count")]
    pub tool_count: u64,
    /// What it asks to be done next, as a keyed hash, where a breaker watches for loops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// The same with what the tools answered, where a breaker watches for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_step: Option<Step>,
    /// Where, and what was used there before.
    pub bookings: Vec<Booking>,
    /// When the hold is booked in full if nobody ended it.
    pub expires: Timestamp,
    /// Which start of the server owns the hold.
    pub boot: u64,
    /// The idempotency key the agent gave: a keyed hash of it, HMAC-SHA256, the first half, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// When it was let through on the agent's allowance, because nothing could be recorded then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spooled: Option<Timestamp>,
}

impl Intent {
    /// The name of its hold.
    pub fn attempt(&self) -> Attempt {
        Attempt {
            action: self.action.id,
            number: self.attempt,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The provider answered and the reply was delivered.
    Ok,
    /// The provider answered with an error status.
    UpstreamError,
    /// The provider could not be reached: nothing was used.
    Unreachable,
    /// The provider did not answer, or not to the end, in time.
    Timeout,
    /// The provider's answer broke off or made no sense.
    Broken,
    /// The caller went away; the provider's call was cancelled.
    ClientGone,
    /// The stream was cut: what was provably used passed the hold.
    Cut,
    /// The credential was revoked, or expired, while the call was running.
    Revoked,
    /// The call was never forwarded.
    NotForwarded,
    /// Nobody knows: the server died or lost track. Booked in full.
    Indeterminate,
}

/// An attempt's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The action.
    pub action: ActionId,
    /// Which attempt.
    pub attempt: u16,
    /// The intent's entry.
    pub intent: u64,
    /// How it ended.
    pub status: Status,
    /// The provider's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// Token counts, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Where the cost comes from.
    pub source: UsageSource,
    /// What is booked.
    pub cost: NanoUsd,
    /// By how much that passed the hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overrun: NanoUsd,
    /// From forwarding to the end.
    pub duration_us: u64,
    /// The length of the reply as delivered.
    pub bytes: u64,
    /// A keyed commitment to the reply as delivered: HMAC-SHA256, base64url.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// The provider's id of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// When it ended, if nothing could be recorded then: what the hold did not use went back to the allowance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spooled: Option<Timestamp>,
}

impl Outcome {
    /// The name of the hold it ends.
    pub fn attempt(&self) -> Attempt {
        Attempt {
            action: self.action,
            number: self.attempt,
        }
    }
}

/// A provider billed past a hold. Stands right behind the outcome that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrun {
    /// The action.
    pub action: ActionId,
    /// Which attempt.
    pub attempt: u16,
    /// The outcome's entry.
    pub outcome: u64,
    /// The agent whose call it was.
    pub agent: AgentName,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The model, as the request spells it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// What was reserved.
    pub held: NanoUsd,
    /// What is booked.
    pub booked: NanoUsd,
    /// The output limit that was sent, in tokens.
    pub limit: u64,
    /// The output that the hold reserved for, where that was not `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// The tokens that were reserved, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_held: Option<Tokens>,
    /// The tokens that are booked, where any were reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

fn is_no_count(count: &u64) -> bool {
    *count == 0
}

fn is_zero(amount: &NanoUsd) -> bool {
    *amount == NanoUsd::ZERO
}

/// The budget that stopped an action. Amounts are in its unit: nano-dollars, tokens or calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Over {
    /// The budget.
    pub budget: BudgetName,
    /// Which of its pots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// What it counts.
    #[serde(default, skip_serializing_if = "Measure::is_money")]
    pub unit: Measure,
    /// Its limit, with what the pot was topped up with.
    pub limit: Amount,
    /// Settled and carried.
    pub spent: Amount,
    /// Held.
    pub held: Amount,
    /// What was asked for.
    pub asked: Amount,
    /// Why it refused, if not for want of room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

impl Over {
    /// Whether it says nothing that the first versions of the schema could not say.
    pub(crate) fn is_plain(&self) -> bool {
        self.of.is_empty() && self.unit.is_money() && self.closed.is_none()
    }
}

/// Why a budget refuses whatever is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// An administrator paused it.
    Paused,
    /// It keeps as many pots apart as it can.
    Crowded,
}

/// An action that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// Who, what, on which model.
    pub action: Action,
    /// The stable code.
    pub reason: Reason,
    /// What decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The budget that stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// The rate limit that stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<Box<Limited>>,
    /// The circuit breaker that stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Stopper>,
    /// What policies were told besides who and what, where they refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<DenialInput>>,
}

/// What policies were told of a call besides who and what: with that, the bundle and the agent's manifest, all that is
/// needed to decide again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenialInput {
    /// Whether the reply would have been a stream.
    pub stream: bool,
    /// The output limit of the request as it would have been forwarded, in tokens.
    pub limit: u64,
    /// The most that it could have cost.
    pub worst_case: NanoUsd,
    /// How many tools the request offers.
    #[serde(default, skip_serializing_if = "is_no_count")]
    pub tool_count: u64,
    /// Their names, where a policy in effect looks at them; left out where they are too long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

/// The circuit breaker that stopped an action. The entry that says why it tripped stands before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopper {
    /// Which.
    pub breaker: BreakerName,
    /// Whose: the team, the agent, or `agent/run`.
    pub of: String,
    /// Until when it stops everything.
    pub until: Timestamp,
}

/// A reply that was delivered again to a call with the same idempotency key. Nothing was forwarded, and nothing booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Who, what, on which model.
    pub action: Action,
    /// What permitted it.
    pub why: Why,
    /// The action whose reply it is.
    pub of: ActionId,
}
