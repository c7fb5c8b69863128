//! The JSON documents of the API. Lists come inside an object, so that something can be added beside them.
//!
//! What is listed is as in [`control`]'s reports: money is decimal text in US dollars, time RFC 3339, except inside an
//! audit entry, which is shown as it stands in the log.

mod log_keys;
mod policies;
mod retention;

use std::{collections::BTreeMap, fmt};

use control::{
    AdminReport, AgentReport, AskReport, AtLimitForm, BreakerReport, BudgetForm, EntryReport, KeyReport, LimitReport,
    LoadProblem, OverrunReport, PepKeyReport, PepReport, SinkReport, UpstreamReport, Values,
};
use entry::Role;
use ledger::BudgetSpec;
use model::{AdminName, AgentName, BreakerName, KeyId, PepName, TenantName, Tier, UpstreamName};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::log_keys::{LogKeyOrder, LogKeys, LogKeysOf};
pub use self::policies::{PolicyFile, PolicyFiles, ReplayPolicies};
pub use self::retention::{Expire, Expired, LegalHoldLift, LegalHoldOrder, LegalHolds, LegalHoldsOf};

/// `GET /api/v1/agents`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents {
    /// By tenant and name.
    pub agents: Vec<AgentReport>,
}

/// `GET /api/v1/keys`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Revoked and expired ones too.
    pub keys: Vec<KeyReport>,
}

/// `GET /api/v1/budgets`, `GET /api/v1/budgets/{name}`, and what a change of a budget is answered with
pub use control::BudgetPage as Budgets;

/// `PUT /api/v1/budgets/{name}`: what the budget is to say, as manifests say it. Answered with [`Budgets`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutBudget {
    /// In whose log; `default` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// How much may be used in one window, with the unit: `500 USD`, `2M tokens`, `300k input tokens`, `5000 calls`.
    pub limit: String,
    /// How long a window is: `minute`, `hour`, `day`, `week`, `month`, `year` or `total`.
    pub per: String,
    /// `calendar` (if absent) or `rolling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The calendar's time zone, by its name in the IANA database; `UTC` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Which requests must fit into it, by label; all of the tenant's if absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub select: BTreeMap<String, Values>,
    /// A pot for each value of these labels, each with the whole limit.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub each: Values,
    /// What shares of the limit, in hundredths, leave an entry when they are booked; 50, 80 and 95 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<u8>>,
    /// What happens at the limit: `deny` (if absent), `ask`, or `{"ask": "10 minutes"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_limit: Option<AtLimitForm>,
    /// Why, for the audit trail.
    pub note: String,
}

impl PutBudget {
    /// Whose, what, and why.
    pub(crate) fn parts(self) -> (TenantName, BudgetForm, String) {
        let form = BudgetForm {
            limit: self.limit,
            per: self.per,
            window: self.window,
            time_zone: self.time_zone,
            select: self.select,
            each: self.each,
            thresholds: self.thresholds,
            at_limit: self.at_limit,
        };
        (self.tenant.unwrap_or_else(TenantName::default_tenant), form, self.note)
    }
}

/// `POST /api/v1/budgets/{name}/limit`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetLimit {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// The limit from now on, in the budget's unit, such as `8 USD`; the declared one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Why, for the audit trail.
    pub note: String,
}

/// `POST /api/v1/budgets/{name}/pause` and `resume`, `POST /api/v1/asks/{action}/refuse`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// Why, for the audit trail.
    pub note: String,
}

/// `POST /api/v1/budgets/{name}/top-up`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// How much more, in the budget's unit, such as `3 USD`.
    pub amount: String,
    /// Which pot, by label, where the budget keeps several apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: BTreeMap<String, String>,
    /// Why, for the audit trail.
    pub note: String,
}

/// `GET /api/v1/asks`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    /// What waits for an administrator, the oldest first.
    pub asks: Vec<AskReport>,
}

/// `POST /api/v1/asks/{action}/top-up`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskTopUp {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// By how much the budget is topped up; exactly what is missing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// Why, for the audit trail.
    pub note: String,
}

/// The answer to [`AskTopUp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskToppedUp {
    /// What waited, as it was.
    pub ask: AskReport,
    /// By how much the budget was topped up, with the unit.
    pub added: String,
}

/// `GET /api/v1/limits`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Rate limits, by tenant and name.
    pub limits: Vec<LimitReport>,
}

/// `GET /api/v1/breakers`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakers {
    /// Circuit breakers, by tenant and name.
    pub breakers: Vec<BreakerReport>,
}

/// `POST /api/v1/breakers/reset`: which breaker is closed. Answered with its [`BreakerReport`] as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetBreaker {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// The breaker.
    pub breaker: BreakerName,
    /// Whose: the team, the agent, or `agent/run`. Where it stops only one, it need not be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Why, for the audit trail.
    pub note: String,
}

/// `POST /api/v1/simulations`: budgets that are not in effect, and a past period to put to them. Answered with a
/// [`SimulationReport`](control::SimulationReport).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulateBudgets {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// The begin of the period, written as cost reports take it.
    pub since: String,
    /// Its end; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The time zone of both; `UTC` if absent.
    #[serde(default = "utc")]
    pub zone: String,
    /// The budgets, in the form that entries have them in.
    pub budgets: Vec<BudgetSpec>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// `GET /api/v1/overruns`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruns {
    /// The models that are held at their maximum, by tenant, upstream and model.
    pub overruns: Vec<OverrunReport>,
}

/// `POST /api/v1/overruns/accept`: which model is trusted again. Answered with its [`OverrunReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptOverrun {
    /// In whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The model, as the list spells it.
    pub model: String,
    /// Why, for the audit trail.
    pub note: String,
}

/// `GET /api/v1/upstreams`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstreams {
    /// By name.
    pub upstreams: Vec<UpstreamReport>,
}

/// `GET /api/v1/sinks`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sinks {
    /// In the order of the configuration.
    pub sinks: Vec<SinkReport>,
}

/// `GET /api/v1/admins`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admins {
    /// By name.
    pub admins: Vec<AdminReport>,
}

/// `POST /api/v1/keys`: what the new credential is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The agent's tenant; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// The agent it authenticates.
    pub agent: AgentName,
    /// What people call it; the agent's name if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What it is for; `api` if absent.
    #[serde(default)]
    pub tier: Tier,
    /// The user on whose behalf it acts. Kept outside the log, which only has a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The only upstreams it may reach; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamName>,
    /// The only models it may ask for; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// When it stops authenticating, RFC 3339; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The answer to [`NewKey`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedKey {
    /// The agent's tenant.
    pub tenant: TenantName,
    /// The credential's public name.
    pub id: KeyId,
    /// The agent it authenticates.
    pub agent: AgentName,
    /// When it stops authenticating, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The credential itself: shown this once, kept nowhere.
    pub key: Shown,
}

/// `POST /api/v1/pep-keys`: what the new credential of an enforcement point is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPepKey {
    /// The enforcement point's tenant; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// The enforcement point it authenticates.
    pub pep: PepName,
    /// What people call it; the enforcement point's name if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// When it stops authenticating, RFC 3339; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The answer to [`NewPepKey`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedPepKey {
    /// The enforcement point's tenant.
    pub tenant: TenantName,
    /// The credential's public name.
    pub id: KeyId,
    /// The enforcement point it authenticates.
    pub pep: PepName,
    /// When it stops authenticating, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The credential itself: shown this once, kept nowhere.
    pub key: Shown,
}

/// `GET /api/v1/pep-keys`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PepKeys {
    /// Credentials of enforcement points, revoked and expired ones too.
    pub keys: Vec<PepKeyReport>,
}

/// `GET /api/v1/peps`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peps {
    /// Enforcement points in effect.
    pub peps: Vec<PepReport>,
}

/// `GET /api/v1/entities`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entities {
    /// Stored entities, by type and id.
    pub entities: Vec<Entity>,
    /// What to send as `cursor` for those that follow; absent if none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A stored entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Cedar's JSON format: `uid`, `attrs` and `parents`.
    pub entity: serde_json::Value,
    /// The version of the tenant's entities that it came with: its ETag is `"v"` and this.
    pub version: u64,
}

/// Which entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityName {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// `POST /api/v1/entities/bulk`: one of many changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityChange {
    /// Cedar's JSON format: `uid`, `attrs` and `parents`.
    Put(serde_json::Value),
    /// It is removed.
    Remove(EntityName),
}

/// The answer to [`EntityChange`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitiesChanged {
    /// The version of the tenant's entities now.
    pub version: u64,
    /// How many were changed.
    pub changed: usize,
}

/// `POST /api/v1/admins`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAdmin {
    /// Their name.
    pub name: AdminName,
    /// What they may do.
    pub role: Role,
}

/// The answer to [`NewAdmin`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedAdmin {
    /// Their name.
    pub name: AdminName,
    /// What they may do.
    pub role: Role,
    /// The credential itself: shown this once, kept nowhere.
    pub key: Shown,
}

/// `GET /api/v1/audit` and `GET /api/v1/audit/wait`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Whose log.
    pub tenant: TenantName,
    /// How many entries the log has in all.
    pub size: u64,
    /// Some of them, in order. Those that were let go are left out.
    pub entries: Vec<EntryReport>,
}

/// `GET /readyz` when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always `true`.
    pub ready: bool,
}

/// Every answer that is not what was asked for (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem: `urn:bailiwick:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words, with what would mend it.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// What is wrong with the declarations, when a reload failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<LoadProblem>,
}

/// The text of a credential in the one document that shows it. Serialising reveals it; `Debug` does not, and dropping it
/// wipes the memory.
#[derive(Clone)]
pub struct Shown(SecretString);

impl Shown {
    /// The text, for whoever asked for the credential.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<SecretString> for Shown {
    fn from(secret: SecretString) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(hidden)")
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.reveal())
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}
