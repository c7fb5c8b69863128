//! Enforcement points and their credentials.

use entry::{Event, PepKeyRecord};
use model::{PepName, TenantName, Timestamp};

use super::{AdminError, IssuedKey, Permission, TEXT_MAX, is_text};
use crate::{Actor, Control, PEP_PREFIX, PepKeyReport, PepReport};

/// An order for a credential of an enforcement point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepKeyOrder {
    /// The tenant.
    pub tenant: TenantName,
    /// For which enforcement point.
    pub pep: PepName,
    /// What to call it; the enforcement point's name if empty.
    pub label: String,
    /// When it stops authenticating.
    pub expires: Option<Timestamp>,
}

impl Control {
    /// Issues a credential for an enforcement point.
    pub async fn issue_pep_key(&self, actor: &Actor, order: PepKeyOrder) -> Result<IssuedKey, AdminError> {
        Self::require(actor, Permission::Operate)?;
        let PepKeyOrder {
            tenant,
            pep,
            label,
            expires,
        } = order;
        if !self.snapshot().peps.knows(&tenant, &pep) {
            return Err(AdminError::NotFound {
                what: "enforcement point",
                name: pep.to_string(),
            });
        }
        self.check_expiry(&tenant, expires)?;
        if !is_text(&label) {
            let message = format!("a label has at most {TEXT_MAX} characters and no control characters");
            return Err(AdminError::Invalid(message));
        }
        let (id, new) = self.new_key(PEP_PREFIX)?;
        let key = PepKeyRecord {
            id: id.clone(),
            label: if label.is_empty() { pep.to_string() } else { label },
            pep,
            verifier: new.verifier,
            expires,
        };
        let by = actor.name.clone();
        self.change(tenant, vec![Event::PepKeyIssued { key, by }]).await?;
        Ok(IssuedKey {
            id,
            credential: new.text,
        })
    }

    /// All credentials of enforcement points, revoked ones too.
    pub async fn pep_keys(&self, actor: &Actor) -> Result<Vec<PepKeyReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let views = self.views().await?;
        let of_view = |view: &store::View| {
            let now = self.now_of(&view.tenant);
            let reports = view.pep_keys.values().map(|key| PepKeyReport::of(view, key, now));
            reports.collect::<Vec<_>>()
        };
        Ok(views.iter().flat_map(of_view).collect())
    }

    /// All enforcement points in effect.
    pub async fn peps(&self, actor: &Actor) -> Result<Vec<PepReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut reports = Vec::new();
        for view in self.views().await? {
            for (name, state) in &view.peps {
                let Some(record) = &state.record else { continue };
                let owner = self.reader().person(&view.tenant, &record.owner).await?;
                let keys = view.pep_keys.values();
                let keys = keys
                    .filter(|key| key.record.pep == *name && key.revoked.is_none())
                    .count();
                reports.push(PepReport::of(&view.tenant, record, owner, state.seq, keys));
            }
        }
        Ok(reports)
    }
}
