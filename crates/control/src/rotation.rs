//! Exchanging the keys that sign checkpoints, so that whoever knew the old one is led to the new one.

use entry::{Event, Evidence};
use model::TenantName;
use serde::{Deserialize, Serialize};
use signing::SigningError;
use tlog::{checkpoint::Checkpoint, note::SigningKey};

use crate::{Actor, AdminError, Control, Permission};

/// As many keys sign a log at once: the old one and the new one.
const AT_ONCE: usize = 2;

/// A key that signs, or has signed, a log's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKeyReport {
    /// Whose log.
    pub tenant: TenantName,
    /// The key's id.
    pub id: String,
    /// The public key.
    pub vkey: String,
    /// `signing`, or `retired`.
    pub state: String,
    /// Whether the checkpoint is kept by which those who know an older key go on to this one. A log's first key has none.
    pub handover: bool,
}

impl Control {
    /// The keys of all logs, or of one.
    pub async fn log_keys(&self, actor: &Actor, only: Option<&TenantName>) -> Result<Vec<LogKeyReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut reports = Vec::new();
        let keyring = &self.inner.keyring;
        for tenant in keyring
            .tenants()
            .iter()
            .filter(|tenant| only.is_none_or(|only| only == *tenant))
        {
            let said = self.committer().view(tenant.clone()).await?.evidence;
            let signing = keyring.signing(tenant).unwrap_or_default();
            reports.extend(signing.keys.iter().map(|key| self.log_key_report(tenant, key)));
            reports.extend(said.retired.iter().map(|vkey| LogKeyReport {
                tenant: tenant.clone(),
                id: vkey.split('+').nth(1).unwrap_or_default().to_owned(),
                vkey: vkey.clone(),
                state: "retired".to_owned(),
                handover: false,
            }));
        }
        Ok(reports)
    }

    /// Adds a key to those that sign a log: when this returns, every checkpoint is signed by both.
    pub async fn rotate_log_key(&self, actor: &Actor, tenant: TenantName) -> Result<LogKeyReport, AdminError> {
        Self::require(actor, Permission::Own)?;
        let _turn = self.inner.rotating.lock().await;
        let said = self.said_of_keys(&tenant).await?;
        let keyring = &self.inner.keyring;
        let signing = keyring.signing(&tenant).ok_or_else(|| no_keys(&tenant))?.keys;
        let Some(beside) = signing.last().filter(|_| signing.len() < AT_ONCE) else {
            let ids: Vec<_> = signing.iter().map(|key| key.verifier().id().to_string()).collect();
            return Err(AdminError::Conflict(format!(
                "{AT_ONCE} keys sign the log of {tenant} already ({}): retire one of them first, with `bailiwick audit \
                 retire-key`",
                ids.join(" and ")
            )));
        };
        let key = keyring
            .spare(&tenant, &said, || self.random_secret())
            .map_err(unavailable)?;
        let added = Event::SigningKeyAdded {
            key: key.verifier().to_string(),
            beside: beside.verifier().to_string(),
            by: actor.name.clone(),
        };
        self.change_keys(&tenant, added).await?;
        Ok(self.log_key_report(&tenant, &key))
    }

    /// Has a key of a log, given by its id or its text, sign no more. Returns what it was.
    pub async fn retire_log_key(
        &self,
        actor: &Actor,
        tenant: TenantName,
        key: &str,
    ) -> Result<LogKeyReport, AdminError> {
        Self::require(actor, Permission::Own)?;
        let _turn = self.inner.rotating.lock().await;
        self.said_of_keys(&tenant).await?;
        let keyring = &self.inner.keyring;
        let signing = keyring.signing(&tenant).ok_or_else(|| no_keys(&tenant))?.keys;
        let named =
            |other: &SigningKey| other.verifier().id().to_string() == key || other.verifier().to_string() == key;
        let Some(retired) = signing.iter().find(|other| named(other)) else {
            return Err(AdminError::NotFound {
                what: "key that signs this log:",
                name: key.to_owned(),
            });
        };
        if signing.len() < 2 {
            return Err(AdminError::Conflict(format!(
                "{key} is the only key that signs the log of {tenant}: add another with `bailiwick audit rotate-key` first"
            )));
        }
        // Whoever knows the one only must be able to go on to the other: by a checkpoint that both have signed.
        let newest = signing.last().map(|key| keyring.handover(&tenant, key.verifier().id()));
        if !newest.is_some_and(|path| path.is_file()) {
            return Err(AdminError::Conflict(
                "no checkpoint was signed by both keys yet: ask again in a few seconds".to_owned(),
            ));
        }
        // What is published must go on to be believed. Where witnesses are asked, it waits for them.
        let published = self.inner.checkpoints.borrow().get(&tenant).cloned();
        let left: Vec<_> = signing
            .iter()
            .filter(|other| !named(other))
            .map(|key| key.verifier().clone())
            .collect();
        if published.is_some_and(|published| Checkpoint::open(&published.note, &left).is_err()) {
            return Err(AdminError::Conflict(
                "the published checkpoint is not signed by both keys yet: ask again in a few seconds, and look at the \
                 witnesses if that does not help"
                    .to_owned(),
            ));
        }
        let event = Event::SigningKeyRetired {
            key: retired.verifier().to_string(),
            by: actor.name.clone(),
        };
        self.change_keys(&tenant, event).await?;
        let mut report = self.log_key_report(&tenant, retired);
        "retired".clone_into(&mut report.state);
        Ok(report)
    }

    /// Records a change of keys. From before the entry can land until it is known whether it has, the signer asks the log
    /// who signs.
    async fn change_keys(&self, tenant: &TenantName, event: Event) -> Result<(), AdminError> {
        self.inner.keyring.changing(tenant);
        let changed = self.change(tenant.clone(), vec![event]).await;
        self.inner.keyring.changed(tenant);
        // Where this fails the signer tries again.
        let settled = self.said_of_keys(tenant).await;
        changed?;
        settled.map(drop)
    }

    /// What a log says of its keys, which is taken over.
    async fn said_of_keys(&self, tenant: &TenantName) -> Result<Evidence, AdminError> {
        let view = self.committer().view(tenant.clone()).await?;
        let settled = self.inner.keyring.settle(tenant, view.size, &view.evidence);
        settled.map_err(unavailable)?;
        Ok(view.evidence)
    }

    fn log_key_report(&self, tenant: &TenantName, key: &SigningKey) -> LogKeyReport {
        let verifier = key.verifier();
        LogKeyReport {
            tenant: tenant.clone(),
            id: verifier.id().to_string(),
            vkey: verifier.to_string(),
            state: "signing".to_owned(),
            handover: self.inner.keyring.handover(tenant, verifier.id()).is_file(),
        }
    }
}

fn no_keys(tenant: &TenantName) -> AdminError {
    AdminError::NotFound {
        what: "key of a log of tenant",
        name: tenant.to_string(),
    }
}

fn unavailable(error: SigningError) -> AdminError {
    AdminError::Unavailable(error.to_string())
}
