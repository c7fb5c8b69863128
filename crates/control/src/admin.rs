//! What administrators may do. Each use case checks the role beside its write, and its entry names who did it.

mod error;
mod peps;

use entry::{AdminRecord, Event, KeyRecord, Role};
use futures_util::{StreamExt as _, pin_mut};
use model::{AdminName, AgentName, KeyId, PepName, TenantName, Tier, Timestamp, UpstreamName};
use secrecy::SecretString;
use tlog::{Stored, leaf_hash};

pub use error::AdminError;
pub use peps::PepKeyOrder;

use crate::{
    ADMIN_PREFIX, AGENT_PREFIX, Actor, AdminReport, AgentReport, Control, EntryReport, KeyReport, LoadReport,
    UpstreamReport,
    credential::{NewCredential, make, recognise},
    privacy::KEY_EPOCH,
};

/// The longest text an administrator may attach to something.
pub(crate) const TEXT_MAX: usize = 200;
/// The most entries one question returns.
const ENTRIES_MAX: usize = 1_000;

/// What a use case needs its actor to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Reading agents, credentials, budgets and upstreams.
    ReadState,
    /// Reading the audit trail.
    ReadAudit,
    /// Answering what waits for an administrator.
    Answer,
    /// Issuing and revoking credentials, changing budgets, loading declarations.
    Operate,
    /// Adding and removing administrators.
    Own,
}

impl Permission {
    /// Which roles have it.
    pub fn granted_to(self, role: Role) -> bool {
        match self {
            Self::ReadState => true,
            Self::ReadAudit => matches!(role, Role::Owner | Role::Operator | Role::Auditor),
            Self::Answer => matches!(role, Role::Owner | Role::Operator | Role::Approver),
            Self::Operate => matches!(role, Role::Owner | Role::Operator),
            Self::Own => role == Role::Owner,
        }
    }
}

/// An order for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrder {
    /// The tenant.
    pub tenant: TenantName,
    /// For which agent.
    pub agent: AgentName,
    /// What to call it; the agent's name if empty.
    pub label: String,
    /// What it is for.
    pub tier: Tier,
    /// The user on whose behalf it acts.
    pub user: Option<String>,
    /// The only upstreams it may reach; empty for all.
    pub upstreams: Vec<UpstreamName>,
    /// The only models it may ask for; empty for all.
    pub models: Vec<String>,
    /// When it stops authenticating.
    pub expires: Option<Timestamp>,
}

/// A new credential of an agent. Its text is shown this once.
#[derive(Debug)]
pub struct IssuedKey {
    /// Its public name.
    pub id: KeyId,
    /// The text to hand out.
    pub credential: SecretString,
}

/// A new credential of an administrator. Its text is shown this once.
#[derive(Debug)]
pub struct IssuedAdmin {
    /// Who.
    pub name: AdminName,
    /// The text to hand out.
    pub credential: SecretString,
}

/// Whether a text that people gave is short enough to be recorded, and can do nothing to a terminal.
pub(crate) fn is_text(text: &str) -> bool {
    text.len() <= TEXT_MAX && !text.chars().any(char::is_control)
}

impl Control {
    /// Who presents this credential.
    pub fn authenticate_admin(&self, credential: Option<&str>) -> Result<Actor, AdminError> {
        let verifier = credential
            .and_then(|text| recognise(ADMIN_PREFIX, text))
            .ok_or(AdminError::Unauthenticated)?;
        self.snapshot()
            .admins
            .get(&verifier)
            .cloned()
            .ok_or(AdminError::Unauthenticated)
    }

    /// Whether an administrator may do this. Each use case asks by itself; an edge asks where the answer must not wait for
    /// what else is wrong.
    ///
    /// # Errors
    /// [`AdminError::Forbidden`].
    pub fn require(actor: &Actor, permission: Permission) -> Result<(), AdminError> {
        if permission.granted_to(actor.role) {
            Ok(())
        } else {
            Err(AdminError::Forbidden(actor.clone()))
        }
    }

    /// Issues a credential for an agent.
    pub async fn issue_key(&self, actor: &Actor, order: KeyOrder) -> Result<IssuedKey, AdminError> {
        Self::require(actor, Permission::Operate)?;
        self.check_order(&order)?;
        let (id, new) = self.new_key(AGENT_PREFIX)?;
        let user = order
            .user
            .as_deref()
            .map(|user| self.privacy().pseudonym(&order.tenant, user));
        let label = if order.label.is_empty() {
            order.agent.to_string()
        } else {
            order.label
        };
        let key = KeyRecord {
            id: id.clone(),
            agent: order.agent,
            label,
            verifier: new.verifier,
            tier: order.tier,
            user: user.clone(),
            upstreams: order.upstreams,
            models: order.models,
            expires: order.expires,
        };
        if let (Some(pseudonym), Some(identity)) = (user, order.user) {
            let person = store::Person {
                pseudonym,
                key_epoch: KEY_EPOCH,
                identity,
            };
            self.committer().remember(order.tenant.clone(), vec![person]).await?;
        }
        self.change(
            order.tenant,
            vec![Event::KeyIssued {
                key,
                by: actor.name.clone(),
            }],
        )
        .await?;
        Ok(IssuedKey {
            id,
            credential: new.text,
        })
    }

    fn check_order(&self, order: &KeyOrder) -> Result<(), AdminError> {
        let snapshot = self.snapshot();
        let known = snapshot
            .tenants
            .get(&order.tenant)
            .is_some_and(|tenant| tenant.agents.contains_key(&order.agent));
        if !known {
            let pep = PepName::new(order.agent.as_str()).ok();
            if pep.is_some_and(|pep| snapshot.peps.knows(&order.tenant, &pep)) {
                let name = &order.agent;
                let message = format!("{name} is an enforcement point: `bailiwick key issue --pep {name}`");
                return Err(AdminError::Invalid(message));
            }
            return Err(AdminError::NotFound {
                what: "agent",
                name: order.agent.to_string(),
            });
        }
        if let Some(unknown) = order
            .upstreams
            .iter()
            .find(|name| !snapshot.upstreams.contains_key(*name))
        {
            return Err(AdminError::NotFound {
                what: "upstream",
                name: unknown.to_string(),
            });
        }
        self.check_expiry(&order.tenant, order.expires)?;
        let mut texts = order.models.iter().chain([&order.label]).chain(&order.user);
        if !texts.all(|text| is_text(text)) {
            let message = format!("a label, user or model has at most {TEXT_MAX} characters and no control characters");
            return Err(AdminError::Invalid(message));
        }
        if order.models.len() > 32 || order.upstreams.len() > 32 {
            return Err(AdminError::Invalid(
                "a credential is narrowed to at most 32 upstreams and 32 models".to_owned(),
            ));
        }
        let reachable = |name: &UpstreamName| order.upstreams.is_empty() || order.upstreams.contains(name);
        let upstreams = snapshot.upstreams.values().filter(|upstream| reachable(&upstream.name));
        let checked = snapshot
            .tariffs
            .check_models(&upstreams.collect::<Vec<_>>(), &order.models);
        checked.map_err(AdminError::Invalid)
    }

    fn check_expiry(&self, tenant: &TenantName, expires: Option<Timestamp>) -> Result<(), AdminError> {
        match expires.is_some_and(|at| at <= self.now_of(tenant)) {
            true => Err(AdminError::Invalid("the expiry lies in the past".to_owned())),
            false => Ok(()),
        }
    }

    /// A credential that nobody has yet, and its public name.
    fn new_key(&self, prefix: &str) -> Result<(KeyId, NewCredential), AdminError> {
        let id = KeyId::new(&format!("key-{}", self.random_name()));
        let id = id.map_err(|error| AdminError::Invalid(error.to_string()))?;
        Ok((id, make(prefix, self.random_secret())))
    }

    /// Revokes a credential: when this returns, no request of it starts, and those in flight were told to end.
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        tenant: TenantName,
        id: KeyId,
        note: String,
    ) -> Result<(), AdminError> {
        Self::require(actor, Permission::Operate)?;
        if note.len() > TEXT_MAX {
            return Err(AdminError::Invalid(format!("a note has at most {TEXT_MAX} characters")));
        }
        let view = self.committer().view(tenant.clone()).await?;
        let of_agent = view.keys.get(&id).map(|key| key.revoked);
        let of_pep = || view.pep_keys.get(&id).map(|key| key.revoked);
        let Some(revoked) = of_agent.or_else(of_pep) else {
            return Err(AdminError::NotFound {
                what: "credential",
                name: id.to_string(),
            });
        };
        // A revocation that landed although its answer was lost is published by asking again.
        if revoked.is_some() {
            self.change(tenant, Vec::new()).await?;
        } else {
            self.change(
                tenant,
                vec![Event::KeyRevoked {
                    key: id.clone(),
                    note,
                    by: actor.name.clone(),
                }],
            )
            .await?;
        }
        Ok(())
    }

    /// All credentials, revoked ones too.
    pub async fn keys(&self, actor: &Actor) -> Result<Vec<KeyReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let views = self.views().await?;
        let of_view = |view: &store::View| {
            let now = self.now_of(&view.tenant);
            let reports = view.keys.values().map(|key| KeyReport::of(view, key, now));
            reports.collect::<Vec<_>>()
        };
        Ok(views.iter().flat_map(of_view).collect())
    }

    /// All agents in effect.
    pub async fn agents(&self, actor: &Actor) -> Result<Vec<AgentReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut reports = Vec::new();
        for view in self.views().await? {
            for state in view.agents.values() {
                let Some(record) = &state.record else { continue };
                let owner = self.reader().person(&view.tenant, &record.owner).await?;
                reports.extend(AgentReport::of(&view, state, owner));
            }
        }
        reports.sort_by(|a, b| (&a.tenant, &a.name).cmp(&(&b.tenant, &b.name)));
        Ok(reports)
    }

    /// All upstreams.
    pub fn upstreams(&self, actor: &Actor) -> Result<Vec<UpstreamReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let snapshot = self.snapshot();
        let report = |upstream: &std::sync::Arc<crate::UpstreamSpec>| UpstreamReport {
            name: upstream.name.to_string(),
            kind: upstream.kind_name().to_owned(),
            base_url: upstream.base_url.clone(),
        };
        let mut reports: Vec<_> = snapshot.upstreams.values().map(report).collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(reports)
    }

    /// Adds an administrator, or gives one another role and a new credential.
    pub async fn add_admin(&self, actor: &Actor, name: AdminName, role: Role) -> Result<IssuedAdmin, AdminError> {
        Self::require(actor, Permission::Own)?;
        if name == actor.name {
            return Err(AdminError::Invalid(
                "another owner has to change your own role or credential".to_owned(),
            ));
        }
        if name.as_str().starts_with('_') {
            let message = "names that start with '_' stand in the log for what nobody asked for, such as a start";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        let new = make(ADMIN_PREFIX, self.random_secret());
        let admin = AdminRecord {
            name: name.clone(),
            role,
            verifier: new.verifier,
        };
        self.change(
            TenantName::system(),
            vec![Event::AdminAdded {
                admin,
                by: actor.name.clone(),
            }],
        )
        .await?;
        Ok(IssuedAdmin {
            name,
            credential: new.text,
        })
    }

    /// Removes an administrator.
    pub async fn remove_admin(&self, actor: &Actor, name: AdminName) -> Result<(), AdminError> {
        Self::require(actor, Permission::Own)?;
        if name == actor.name {
            return Err(AdminError::Invalid("another owner has to remove you".to_owned()));
        }
        if !self.snapshot().admins.values().any(|admin| admin.name == name) {
            return Err(AdminError::NotFound {
                what: "administrator",
                name: name.to_string(),
            });
        }
        self.change(
            TenantName::system(),
            vec![Event::AdminRemoved {
                admin: name,
                by: actor.name.clone(),
            }],
        )
        .await
    }

    /// All administrators.
    pub fn admins(&self, actor: &Actor) -> Result<Vec<AdminReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let snapshot = self.snapshot();
        let report = |admin: &Actor| AdminReport {
            name: admin.name.to_string(),
            role: admin.role.as_str().to_owned(),
        };
        let mut reports: Vec<_> = snapshot.admins.values().map(report).collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(reports)
    }

    /// Reads the declarations again and puts them in effect, or leaves everything as it was.
    pub async fn reload(&self, actor: &Actor) -> Result<LoadReport, AdminError> {
        Self::require(actor, Permission::Operate)?;
        self.load_again(actor.name.clone()).await
    }

    /// The entries of a tenant's log from `from` on that are there, at most `limit`, and how many there are in all. Those that
    /// were let go are passed over.
    pub async fn entries(
        &self,
        actor: &Actor,
        tenant: &TenantName,
        from: u64,
        limit: usize,
    ) -> Result<(Vec<EntryReport>, u64), AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        let size = self.committed_size(tenant)?;
        let limit = limit.min(ENTRIES_MAX);
        let batches = self.reader().batches(tenant, from);
        pin_mut!(batches);
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(batch) = batches.next().await
        {
            let batch = batch?;
            let entries = batch.kept().map_err(|error| self.damaged(&error))?;
            for (index, bytes) in entries {
                if index >= from && found.len() < limit {
                    let entry = entry::Entry::decode(bytes).map_err(|error| self.damaged(&error))?;
                    let leaf = model::Digest(leaf_hash(bytes).0).to_string();
                    found.push(EntryReport { leaf, entry });
                }
            }
        }
        Ok((found, size))
    }

    /// One entry.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] where there is none, and [`AdminError::LetGo`] where there was one.
    pub async fn entry(&self, actor: &Actor, tenant: &TenantName, index: u64) -> Result<EntryReport, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        self.committed_size(tenant)?;
        match self.reader().entry(tenant, index).await? {
            Some(Stored::Kept(bytes)) => {
                let entry = entry::Entry::decode(&bytes).map_err(|error| self.damaged(&error))?;
                let leaf = model::Digest(leaf_hash(&bytes).0).to_string();
                Ok(EntryReport { leaf, entry })
            }
            Some(Stored::Gone(leaf)) => {
                let said = self.committer().view(tenant.clone()).await?.evidence;
                Err(AdminError::LetGo {
                    index,
                    leaf: model::Digest(leaf.0).to_string(),
                    last: said.last_expired.map(|last| last.entry),
                })
            }
            None => Err(AdminError::NotFound {
                what: "entry",
                name: index.to_string(),
            }),
        }
    }

    /// What was read cannot be what was written: the committer checks all of it.
    pub(crate) fn damaged(&self, error: &dyn std::error::Error) -> AdminError {
        self.reader().suspect();
        AdminError::Unavailable(format!("what is stored cannot be read: {error}"))
    }

    /// Waits until a tenant's log is longer than `size`; the new size.
    pub async fn grown(&self, actor: &Actor, tenant: &TenantName, size: u64) -> Result<u64, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        let mut heads = self.committer().heads();
        let grown = heads
            .wait_for(|heads| heads.get(tenant).is_some_and(|head| head.size > size))
            .await;
        let heads = grown.map_err(|_| AdminError::Unavailable("the server is stopping".to_owned()))?;
        Ok(heads.get(tenant).map_or(size, |head| head.size))
    }

    pub(crate) fn committed_size(&self, tenant: &TenantName) -> Result<u64, AdminError> {
        let heads = self.committer().heads();
        let head = heads.borrow().get(tenant).copied();
        let missing = || AdminError::NotFound {
            what: "tenant",
            name: tenant.to_string(),
        };
        head.map(|head| head.size).ok_or_else(missing)
    }
}
