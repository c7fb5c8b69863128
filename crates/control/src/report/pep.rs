//! Enforcement points and their credentials.

use entry::{PepKeyState, PepRecord, PepRight};
use model::{TenantName, Timestamp};
use serde::{Deserialize, Serialize};
use store::View;

use model::rfc3339;

/// An enforcement point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PepReport {
    /// Its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Who answers for it, where the mapping was not erased; else the pseudonym.
    pub owner: String,
    /// What it is for.
    pub purpose: String,
    /// What it may ask: `evaluate`, `search`.
    pub may: Vec<String>,
    /// Which reasons it is told: `user`, `admin`.
    pub reasons: Vec<String>,
    /// SHA-256 of the certificates that authenticate it.
    pub certificates: Vec<String>,
    /// How many credentials it has that are not revoked.
    pub keys: usize,
    /// How many calls it made.
    pub calls: u64,
}

impl PepReport {
    pub(crate) fn of(tenant: &TenantName, record: &PepRecord, owner: Option<String>, calls: u64, keys: usize) -> Self {
        let right = |right: &PepRight| match right {
            PepRight::Evaluate => "evaluate".to_owned(),
            PepRight::Search => "search".to_owned(),
        };
        let reasons = [("user", record.reasons.user), ("admin", record.reasons.admin)];
        let reasons = reasons.into_iter().filter(|(_, told)| *told);
        Self {
            tenant: tenant.to_string(),
            name: record.name.to_string(),
            owner: owner.unwrap_or_else(|| record.owner.to_string()),
            purpose: record.purpose.clone(),
            may: record.may.iter().map(right).collect(),
            reasons: reasons.map(|(word, _)| word.to_owned()).collect(),
            certificates: record.certificates.iter().map(ToString::to_string).collect(),
            keys,
            calls,
        }
    }
}

/// A credential of an enforcement point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PepKeyReport {
    /// Its tenant.
    pub tenant: String,
    /// Its public name.
    pub id: String,
    /// The enforcement point it authenticates.
    pub pep: String,
    /// What people call it.
    pub label: String,
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

impl PepKeyReport {
    pub(crate) fn of(view: &View, key: &PepKeyState, now: Timestamp) -> Self {
        let record = &key.record;
        let state = super::key_state(key.revoked.is_some(), record.expires, now);
        Self {
            tenant: view.tenant.to_string(),
            id: record.id.to_string(),
            pep: record.pep.to_string(),
            label: record.label.clone(),
            issued: rfc3339(key.issued),
            expires: record.expires.map(rfc3339),
            last_used: key.last_used.map(rfc3339),
            state: state.to_owned(),
        }
    }
}
