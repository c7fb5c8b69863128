//! Which enforcement point asks.

use std::{collections::HashMap, sync::Arc};

use entry::{PepKeyRecord, PepRecord, PepRight};
use model::{Digest, KeyId, PepName, TenantName, Timestamp};
use store::View;

use super::PepError;
use crate::{Control, PEP_PREFIX, recognise};

pub(super) const UNKNOWN: &str = "This is no credential of an enforcement point that is known here. An administrator \
                                  declares one (`kind: Pep`) and issues a credential with `bailiwick key issue --pep NAME`.";
const NONE: &str = "No credential was sent. Send one of an enforcement point as `Authorization: Bearer bwp_...`, as the \
                    password of HTTP Basic authentication, or show a client certificate that its manifest names.";
const REVOKED: &str =
    "This credential was revoked. An administrator issues another with `bailiwick key issue --pep NAME`.";
const EXPIRED: &str =
    "This credential has expired. An administrator issues another with `bailiwick key issue --pep NAME`.";

/// By what a caller says who it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presented<'a> {
    /// A credential.
    pub credential: Option<&'a str>,
    /// SHA-256 of the client certificate of its connection.
    pub certificate: Option<Digest>,
}

/// A caller that may ask. Made by [`Control::authenticate_pep`] only.
#[derive(Clone, Debug)]
pub struct PepSession(pub(super) Who);

#[derive(Clone, Debug)]
pub(super) enum Who {
    /// An enforcement point, by a credential.
    Key(Digest, Arc<PepKey>, Arc<Pep>),
    /// An enforcement point, by a certificate.
    Certificate(Digest, Arc<Pep>),
    /// Anybody, of the tenant `default`: the development switch.
    Anybody(TenantName),
}

/// An enforcement point as requests see it.
#[derive(Debug)]
pub(crate) struct Pep {
    pub(crate) tenant: TenantName,
    pub(crate) record: PepRecord,
}

/// A credential of an enforcement point as requests see it.
#[derive(Debug)]
pub(crate) struct PepKey {
    pub(crate) tenant: TenantName,
    pub(crate) record: PepKeyRecord,
    pub(crate) revoked: bool,
}

/// The enforcement points of all tenants.
#[derive(Debug, Default)]
pub(crate) struct Peps {
    peps: HashMap<(TenantName, PepName), Arc<Pep>>,
    keys: HashMap<Digest, Arc<PepKey>>,
    certificates: HashMap<Digest, Arc<Pep>>,
}

impl Peps {
    /// Adds those of a tenant.
    pub(crate) fn add(&mut self, view: &View) {
        for record in view.peps.values().filter_map(|state| state.record.clone()) {
            let pep = Arc::new(Pep {
                tenant: view.tenant.clone(),
                record,
            });
            for certificate in &pep.record.certificates {
                self.certificates.insert(*certificate, pep.clone());
            }
            self.peps.insert((pep.tenant.clone(), pep.record.name.clone()), pep);
        }
        for state in view.pep_keys.values() {
            let key = PepKey {
                tenant: view.tenant.clone(),
                record: state.record.clone(),
                revoked: state.revoked.is_some(),
            };
            self.keys.insert(key.record.verifier, Arc::new(key));
        }
    }

    /// Whether a tenant has an enforcement point of this name.
    pub(crate) fn knows(&self, tenant: &TenantName, pep: &PepName) -> bool {
        self.peps.contains_key(&(tenant.clone(), pep.clone()))
    }

    fn by_key(&self, verifier: Digest, now: impl Fn(&TenantName) -> Timestamp) -> Result<Who, PepError> {
        let key = self.keys.get(&verifier).ok_or(PepError::Unauthenticated(UNKNOWN))?;
        if key.revoked {
            return Err(PepError::Unauthenticated(REVOKED));
        }
        if key.record.expires.is_some_and(|at| at <= now(&key.tenant)) {
            return Err(PepError::Unauthenticated(EXPIRED));
        }
        let pep = self.peps.get(&(key.tenant.clone(), key.record.pep.clone()));
        let pep = pep.ok_or(PepError::Unauthenticated(UNKNOWN))?;
        Ok(Who::Key(verifier, key.clone(), pep.clone()))
    }

    fn by_certificate(&self, certificate: Digest) -> Result<Who, PepError> {
        let pep = self.certificates.get(&certificate);
        let pep = pep.ok_or(PepError::Unauthenticated(UNKNOWN))?;
        Ok(Who::Certificate(certificate, pep.clone()))
    }
}

impl PepSession {
    /// Whose policies decide.
    pub(super) fn tenant(&self) -> &TenantName {
        match &self.0 {
            Who::Key(_, _, pep) | Who::Certificate(_, pep) => &pep.tenant,
            Who::Anybody(tenant) => tenant,
        }
    }

    /// The enforcement point, unless anybody may ask.
    pub(super) fn pep(&self) -> Option<&PepRecord> {
        match &self.0 {
            Who::Key(_, _, pep) | Who::Certificate(_, pep) => Some(&pep.record),
            Who::Anybody(_) => None,
        }
    }

    /// The credential's name and the certificate, whichever there is.
    pub(super) fn by(&self) -> (Option<KeyId>, Option<Digest>) {
        match &self.0 {
            Who::Key(_, key, _) => (Some(key.record.id.clone()), None),
            Who::Certificate(certificate, _) => (None, Some(*certificate)),
            Who::Anybody(_) => (None, None),
        }
    }

    /// Whether it may ask this.
    ///
    /// # Errors
    /// [`PepError::Forbidden`], with what to do.
    pub fn require(&self, right: PepRight) -> Result<(), PepError> {
        match self.pep() {
            Some(pep) if !pep.may.contains(&right) => {
                let word = match right {
                    PepRight::Evaluate => "evaluate",
                    PepRight::Search => "search",
                };
                Err(PepError::Forbidden(format!(
                    "The enforcement point {} may not ask this: its manifest does not have `{word}` in `may`.",
                    pep.name
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Control {
    /// Which enforcement point presents this.
    ///
    /// # Errors
    /// [`PepError::Unauthenticated`], with what to do.
    pub fn authenticate_pep(&self, presented: Presented<'_>) -> Result<PepSession, PepError> {
        let snapshot = self.snapshot();
        let who = match (presented.credential, presented.certificate) {
            (Some(text), _) => {
                let verifier = recognise(PEP_PREFIX, text).ok_or(PepError::Unauthenticated(UNKNOWN));
                verifier.and_then(|verifier| snapshot.peps.by_key(verifier, |tenant| self.now_of(tenant)))
            }
            (None, Some(certificate)) => match snapshot.peps.by_certificate(certificate) {
                Err(_) if self.inner.authzen.allow_unauthenticated => Ok(Who::Anybody(TenantName::default_tenant())),
                found => found,
            },
            (None, None) if self.inner.authzen.allow_unauthenticated => Ok(Who::Anybody(TenantName::default_tenant())),
            (None, None) => Err(PepError::Unauthenticated(NONE)),
        };
        who.map(PepSession).inspect_err(|_| self.count_unauthenticated())
    }

    /// The same caller by what is in effect now: its credential may have been revoked, its manifest changed.
    pub(super) fn again(&self, session: &PepSession) -> Result<PepSession, PepError> {
        let snapshot = self.snapshot();
        let who = match &session.0 {
            Who::Key(verifier, ..) => snapshot.peps.by_key(*verifier, |tenant| self.now_of(tenant))?,
            Who::Certificate(certificate, _) => snapshot.peps.by_certificate(*certificate)?,
            Who::Anybody(tenant) => Who::Anybody(tenant.clone()),
        };
        Ok(PepSession(who))
    }
}
