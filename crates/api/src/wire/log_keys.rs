//! The keys that sign the logs' checkpoints.

use control::LogKeyReport;
use model::TenantName;
use serde::{Deserialize, Serialize};

/// What `GET /api/v1/log-keys` can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogKeysOf {
    /// Only those of this tenant's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
}

/// `GET /api/v1/log-keys`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKeys {
    /// The keys that sign, the older first, and those that did.
    pub keys: Vec<LogKeyReport>,
}

/// `POST /api/v1/log-keys` and `POST /api/v1/log-keys/{id}/retire`. Answered with the key, a [`LogKeyReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogKeyOrder {
    /// Whose log; `default` if absent.
    #[serde(default = "TenantName::default_tenant")]
    pub tenant: TenantName,
}
