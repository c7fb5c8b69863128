//! Sets of policies, and what is asked of them.

use model::{AgentName, PepName, TenantName};
use serde::{Deserialize, Serialize};

use super::utc;

/// `POST /api/v1/policy/replays`: a set of policies, and a past period whose decisions are put to it. Answered with a
/// [`ReplayReport`](control::ReplayReport).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayPolicies {
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
    /// Only what this agent asked, or was asked about it as the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Only what this enforcement point asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pep: Option<PepName>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The policies in question.
    pub candidate: PolicyFiles,
    /// What they are compared with; what is in effect if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<PolicyFiles>,
}

/// The files of a set of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFiles {
    /// Fragments of schema, as Cedar schema text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<PolicyFile>,
    /// Policies, as Cedar text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyFile>,
    /// Entities, as Cedar JSON. Those that the API stored are beside them as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<PolicyFile>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its path below the governance directory.
    pub file: String,
    /// Its text.
    pub text: String,
}
