//! What administrators read: plain values that the API serves as JSON and the command line prints. Money is decimal
//! text, time RFC 3339.

mod ask;
mod budget;
mod pep;
pub(crate) mod rules;
mod simulation;

pub use ask::AskReport;
pub use budget::{BudgetPage, BudgetReport, EditReport};
pub use pep::{PepKeyReport, PepReport};
pub use rules::{BreakerReport, BucketReport, LimitReport, StandingReport};
pub use simulation::{SimulationReport, StopReport, StoppedReport};

use entry::{AgentState, Distrust, Entry, KeyState};
use model::{NanoUsd, Timestamp, UpstreamName, rfc3339};
use serde::{Deserialize, Serialize};
use store::View;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReport {
    /// Its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Who answers for it, where the mapping was not erased; else the pseudonym.
    pub owner: String,
    /// Its team.
    pub team: String,
    /// Its product.
    pub product: String,
    /// Its environment.
    pub environment: String,
    /// What it is for.
    pub purpose: String,
    /// How many credentials it has that are not revoked.
    pub keys: usize,
    /// How many actions it took or tried.
    pub actions: u64,
    /// Calls in flight.
    pub in_flight: usize,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// Its tenant.
    pub tenant: String,
    /// Its public name.
    pub id: String,
    /// The agent it authenticates.
    pub agent: String,
    /// What people call it.
    pub label: String,
    /// Its tier.
    pub tier: String,
    /// The pseudonym of the user it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The only upstreams it may reach; empty for all.
    pub upstreams: Vec<String>,
    /// The only models it may ask for; empty for all.
    pub models: Vec<String>,
    /// When it was issued.
    pub issued: String,
    /// When it stops authenticating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
}

/// A model that is held at its maximum because a provider billed past a hold of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrunReport {
    /// Whose log.
    pub tenant: String,
    /// The upstream.
    pub upstream: String,
    /// The model, as requests spell it.
    pub model: String,
    /// When it began.
    pub since: String,
    /// The overrun entry that began it.
    pub entry: u64,
    /// How many overruns there were since.
    pub overruns: u64,
    /// What they booked past their holds in all, US dollars.
    pub past_usd: String,
    /// The action of the last of them.
    pub last_action: String,
    /// Its agent.
    pub last_agent: String,
    /// What was held for it, US dollars.
    pub last_held_usd: String,
    /// What is booked for it, US dollars.
    pub last_booked_usd: String,
    /// The output limit that was sent, in tokens.
    pub last_limit: u64,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// The first path segment.
    pub name: String,
    /// Its dialect.
    pub kind: String,
    /// Where it is.
    pub base_url: String,
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminReport {
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: String,
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The kinds of the entries it appended, with what they are about, and the routes that changed, which stand in none.
    pub changes: Vec<String>,
}

/// An audit entry as it stands in the log, with its leaf hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReport {
    /// The leaf hash (RFC 6962), hexadecimal.
    pub leaf: String,
    /// The entry.
    pub entry: Entry,
}

fn usd(amount: NanoUsd) -> String {
    amount.to_string()
}

impl AgentReport {
    pub(crate) fn of(view: &View, state: &AgentState, owner: Option<String>) -> Option<Self> {
        let record = state.record.clone()?;
        let keys = view
            .keys
            .values()
            .filter(|key| key.record.agent == record.name && key.revoked.is_none())
            .count();
        let in_flight = view.open.iter().filter(|(_, agent)| *agent == record.name).count();
        Some(Self {
            tenant: view.tenant.to_string(),
            name: record.name.to_string(),
            owner: owner.unwrap_or(record.owner.0),
            team: record.team,
            product: record.product,
            environment: record.environment,
            purpose: record.purpose,
            keys,
            actions: state.seq,
            in_flight,
        })
    }
}

/// The word for what a credential is good for.
fn key_state(revoked: bool, expires: Option<Timestamp>, now: Timestamp) -> &'static str {
    match (revoked, expires.is_some_and(|at| at <= now)) {
        (true, _) => "revoked",
        (false, true) => "expired",
        (false, false) => "active",
    }
}

impl KeyReport {
    pub(crate) fn of(view: &View, key: &KeyState, now: Timestamp) -> Self {
        let record = &key.record;
        let state = key_state(key.revoked.is_some(), record.expires, now);
        Self {
            tenant: view.tenant.to_string(),
            id: record.id.to_string(),
            agent: record.agent.to_string(),
            label: record.label.clone(),
            tier: record.tier.to_string(),
            user: record.user.as_ref().map(ToString::to_string),
            upstreams: record.upstreams.iter().map(ToString::to_string).collect(),
            models: record.models.clone(),
            issued: rfc3339(key.issued),
            expires: record.expires.map(rfc3339),
            last_used: key.last_used.map(rfc3339),
            state: state.to_owned(),
        }
    }
}

impl OverrunReport {
    pub(crate) fn of(view: &View, (upstream, model): &(UpstreamName, String), distrust: &Distrust) -> Self {
        let last = &distrust.last;
        Self {
            tenant: view.tenant.to_string(),
            upstream: upstream.to_string(),
            model: model.clone(),
            since: rfc3339(distrust.at),
            entry: distrust.since,
            overruns: distrust.count,
            past_usd: usd(distrust.past),
            last_action: last.action.to_string(),
            last_agent: last.agent.to_string(),
            last_held_usd: usd(last.held),
            last_booked_usd: usd(last.booked),
            last_limit: last.limit,
        }
    }
}
