//! What requests read: an immutable picture that is swapped whole.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use entry::{AgentRecord, KeyRecord, KeyState, Role};
use ledger::WantedSteps;
use model::{AdminName, AgentName, Digest, Principal, Reason, TenantName, Timestamp, UpstreamName};
use policy::Bundle;
use pricing::PriceBook;
use route::Routes;
use store::View;
use tokio_util::sync::CancellationToken;

use crate::{
    UpstreamSpec,
    pdp::{PdpKey, Peps},
    tariffs::Tariffs,
};

/// The picture.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) keys: HashMap<Digest, Arc<Key>>,
    pub(crate) peps: Peps,
    pub(crate) admins: HashMap<Digest, Actor>,
    pub(crate) tenants: HashMap<TenantName, Arc<Tenant>>,
    pub(crate) upstreams: HashMap<UpstreamName, Arc<UpstreamSpec>>,
    pub(crate) tariffs: Tariffs,
    pub(crate) routes: Routes,
}

/// A credential as requests see it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) principal: Principal,
    pub(crate) record: KeyRecord,
    revoked: bool,
    /// Cancelled by revocation: every call in flight that this credential started hears of it.
    pub(crate) cancel: CancellationToken,
}

/// One tenant as requests see it.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) epoch: u64,
    pub(crate) agents: HashMap<AgentName, Arc<AgentRecord>>,
    pub(crate) bundle: Arc<Bundle>,
    /// The bundle of the files, without what is stored.
    pub(crate) files: Arc<Bundle>,
    /// The entries that put the bundle and the prices in effect.
    pub(crate) bundle_entry: u64,
    /// The version of the stored entities that are in the bundle.
    pub(crate) entities: u64,
    /// What its decision point signs with.
    pub(crate) pdp_key: Arc<PdpKey>,
    pub(crate) prices_entry: u64,
    /// What circuit breakers look at of requests.
    pub(crate) steps: WantedSteps,
    /// The models that are not trusted to keep to output limits, by upstream and as requests spell them.
    pub(crate) distrusted: HashMap<UpstreamName, HashSet<String>>,
}

impl Tenant {
    /// Whether a provider billed past a hold of this model, and nobody has accepted that yet.
    pub(crate) fn distrusts(&self, upstream: &UpstreamName, model: &str) -> bool {
        self.distrusted
            .get(upstream)
            .is_some_and(|models| models.contains(model))
    }
}

/// An authenticated administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub name: AdminName,
    /// What they may do.
    pub role: Role,
}

impl Snapshot {
    pub(crate) fn empty(prices: PriceBook) -> Self {
        Self {
            keys: HashMap::new(),
            peps: Peps::default(),
            admins: HashMap::new(),
            tenants: HashMap::new(),
            upstreams: HashMap::new(),
            tariffs: Tariffs::new(Arc::new(prices)),
            routes: Routes::default(),
        }
    }

    /// The cancel handle of a credential, kept from picture to picture. One that was used up is replaced: a credential
    /// whose agent is back works again, and one that was revoked starts nothing that would need it.
    fn cancel_of(&self, verifier: &Digest) -> CancellationToken {
        let kept = self.keys.get(verifier).map(|key| &key.cancel);
        kept.filter(|cancel| !cancel.is_cancelled())
            .cloned()
            .unwrap_or_default()
    }

    /// Tells the calls in flight whose credential or agent is no longer in effect to end.
    pub(crate) fn cancel_the_gone(&self, before: &Self) {
        for (verifier, key) in &before.keys {
            if !self.keys.contains_key(verifier) {
                key.cancel.cancel();
            }
        }
        for key in self.keys.values() {
            let tenant = self.tenants.get(&key.principal.tenant);
            let known = tenant.is_some_and(|tenant| tenant.agents.contains_key(&key.principal.agent));
            if key.revoked || !known {
                key.cancel.cancel();
            }
        }
    }
}

/// The credentials of a tenant, with the cancel handles they had before.
pub(crate) fn keys_of(view: &View, before: &Snapshot) -> Vec<(Digest, Arc<Key>)> {
    let key = |state: &KeyState| {
        let record = state.record.clone();
        let principal = Principal {
            tenant: view.tenant.clone(),
            agent: record.agent.clone(),
            key: record.id.clone(),
            user: record.user.clone(),
            tier: record.tier,
        };
        let cancel = before.cancel_of(&record.verifier);
        (
            record.verifier,
            Arc::new(Key {
                principal,
                record,
                revoked: state.revoked.is_some(),
                cancel,
            }),
        )
    };
    view.keys.values().map(key).collect()
}

impl Key {
    /// Whether it may be used now; if not, why.
    pub(crate) fn usable(&self, now: Timestamp) -> Result<(), (Reason, &'static str)> {
        if self.revoked {
            let message =
                "This credential was revoked. An administrator issues another with `bailiwick key issue AGENT`.";
            return Err((Reason::RevokedCredential, message));
        }
        if self.record.expires.is_some_and(|at| at <= now) {
            let message =
                "This credential has expired. An administrator issues another with `bailiwick key issue AGENT`.";
            return Err((Reason::ExpiredCredential, message));
        }
        Ok(())
    }

    /// Whether the credential is narrowed to other upstreams or models. What names no model (a list) is no model's use.
    pub(crate) fn allows(&self, upstream: &UpstreamName, model: &str) -> bool {
        let record = &self.record;
        (record.upstreams.is_empty() || record.upstreams.contains(upstream))
            && (record.models.is_empty() || model.is_empty() || record.models.iter().any(|allowed| allowed == model))
    }
}
