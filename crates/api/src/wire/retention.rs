//! How long entries are kept, and legal holds.

use control::{ExpiryReport, LegalHoldReport};
use model::TenantName;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/audit/expire`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expire {
    /// Only of this tenant's log; of all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// Whether to say only what would be let go.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to [`Expire`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Whether it was only asked.
    pub dry_run: bool,
    /// What was let go of each log.
    pub logs: Vec<ExpiryReport>,
}

/// What `GET /api/v1/legal-holds` can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHoldsOf {
    /// Only those of this tenant's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
}

/// `GET /api/v1/legal-holds`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHolds {
    /// Those in force, by tenant and name.
    pub holds: Vec<LegalHoldReport>,
}

/// `POST /api/v1/legal-holds`. Answered with the hold, a [`LegalHoldReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHoldOrder {
    /// Whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// Its name.
    pub name: String,
    /// Why.
    pub note: String,
}

/// `POST /api/v1/legal-holds/{name}/lift`. Answered with what it was, a [`LegalHoldReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHoldLift {
    /// Whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
    /// Why.
    pub note: String,
}
