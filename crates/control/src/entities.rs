//! Entities that administrators store at run time: what policies know beside the files.

use std::sync::Arc;

use json_patch::Patch;
use model::{AdminName, TenantName};
use policy::{EntityChange, EntityName, EntityRecord, to_cedar_name};
use serde_json::Value;
use store::{ENTITY_CHANGES_MAX, EntityChanges, EntityDeed, EntityError, EntityRow};

pub use store::EntityExpected;

use crate::{
    Actor, AdminError, Control, Permission,
    admin::{TEXT_MAX, is_text},
    stored,
};

/// The most entities on a page.
pub const ENTITIES_PAGE: usize = 1_000;
/// The most entities that one change names.
pub const ENTITIES_BULK: usize = ENTITY_CHANGES_MAX;
/// The most operations of a patch.
const PATCH_MAX: usize = 1_000;
/// How many problems an answer tells of.
const TOLD: usize = 10;

/// An entity as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntity {
    /// Cedar's JSON format: `uid`, `attrs` and `parents`.
    pub entity: Value,
    /// The version of the tenant's entities that it came with.
    pub version: u64,
}

/// Some stored entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntities {
    /// The entities, by type and id.
    pub entities: Vec<StoredEntity>,
    /// The last of them, where there may be more: its type and id.
    pub next: Option<(String, String)>,
}

/// Which entity, as an enforcement point or a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityPlace {
    /// Its type. One that Cedar cannot write is escaped.
    pub kind: String,
    /// Its id.
    pub id: String,
}

impl EntityPlace {
    fn stored(&self) -> store::EntityName {
        store::EntityName {
            kind: to_cedar_name(&self.kind),
            id: self.id.clone(),
        }
    }
}

/// What is done to an entity.
#[derive(Clone, Debug, PartialEq)]
pub enum EntityEdit {
    /// It is stored: Cedar's JSON format, of which `uid` may be left out.
    Put(Value),
    /// What is stored is changed (RFC 6902).
    Patch(Value),
    /// It is removed.
    Remove,
}

/// A change of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityOrder {
    /// Which.
    pub place: EntityPlace,
    /// What must be there before.
    pub expected: EntityExpected,
    /// What is done.
    pub edit: EntityEdit,
}

impl Control {
    /// A stored entity.
    pub async fn entity(
        &self,
        actor: &Actor,
        tenant: &TenantName,
        place: &EntityPlace,
    ) -> Result<StoredEntity, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        self.known_tenant(tenant)?;
        let row = self.reader().entity(tenant, &place.stored()).await?;
        let row = row.ok_or_else(|| missing(&place.stored()))?;
        self.read(&row)
    }

    /// Stored entities, of one type if that is given, behind one if that is given.
    pub async fn stored_entities(
        &self,
        actor: &Actor,
        tenant: &TenantName,
        kind: Option<&str>,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<StoredEntities, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        self.known_tenant(tenant)?;
        let limit = limit.clamp(1, ENTITIES_PAGE);
        let kind = kind.map(to_cedar_name);
        let after = after.map(|(kind, id)| store::EntityName { kind, id });
        let page = self
            .reader()
            .entities_page(tenant, kind.as_deref(), after.as_ref(), limit)
            .await?;
        let last = page.rows.last().filter(|_| page.rows.len() == limit);
        let next = last.map(|row| (row.name.kind.clone(), row.name.id.clone()));
        let entities: Result<Vec<_>, _> = page.rows.iter().map(|row| self.read(row)).collect();
        Ok(StoredEntities {
            entities: entities?,
            next,
        })
    }

    /// Changes stored entities: all of them, or none. The version after it.
    pub async fn change_entities(
        &self,
        actor: &Actor,
        tenant: TenantName,
        orders: Vec<EntityOrder>,
        note: String,
    ) -> Result<u64, AdminError> {
        Self::require(actor, Permission::Operate)?;
        self.known_tenant(&tenant)?;
        if !is_text(&note) {
            let message = format!("a note has at most {TEXT_MAX} characters and no control characters");
            return Err(AdminError::Invalid(message));
        }
        if orders.is_empty() || orders.len() > ENTITIES_BULK {
            let message = format!("{} changes: a request has 1 to {ENTITIES_BULK}", orders.len());
            return Err(AdminError::Invalid(message));
        }
        let by = actor.name.clone();
        self.alone(move |control| async move { control.changed(tenant, orders, note, by).await })
            .await
    }

    async fn changed(
        self,
        tenant: TenantName,
        orders: Vec<EntityOrder>,
        note: String,
        by: AdminName,
    ) -> Result<u64, AdminError> {
        let view = self.committer().view(tenant.clone()).await?;
        let files = self.snapshot().tenants.get(&tenant).map(|tenant| tenant.files.clone());
        let files = files.ok_or_else(|| no_tenant(&tenant))?;
        let base = self.with_stored(&view, &files).await?;
        let mut rows = Vec::with_capacity(orders.len());
        let mut changes = Vec::with_capacity(orders.len());
        for order in orders {
            let name = order.place.stored();
            let (row, change) = self.settle(&tenant, &base, name, order).await?;
            rows.push(row);
            changes.push(change);
        }
        let making = tokio::task::spawn_blocking(move || base.with_entities(&changes));
        let made = making
            .await
            .map_err(|error| AdminError::Unavailable(error.to_string()))?;
        let bundle = Arc::new(made.map_err(|problems| told(&problems))?);
        let digest = self.privacy().commit_to(&tenant, &canonical(&rows));
        let ordered = EntityChanges {
            tenant: tenant.clone(),
            changes: rows,
            digest,
            note,
            by,
        };
        self.committer().change_entities(ordered).await?;
        let version = view.entities.saturating_add(1);
        self.remember_stored(&tenant, &files, version, bundle).await;
        Ok(version)
    }

    /// What an order comes to: as it is stored, and as policies see it.
    async fn settle(
        &self,
        tenant: &TenantName,
        base: &policy::Bundle,
        name: store::EntityName,
        order: EntityOrder,
    ) -> Result<(store::EntityChange, EntityChange), AdminError> {
        let mut expected = order.expected;
        let json = match order.edit {
            EntityEdit::Remove if base.entity_of_api(&stored::policy_name(&name)).is_none() => {
                return Err(missing(&name));
            }
            EntityEdit::Remove => None,
            EntityEdit::Put(json) => Some(json),
            EntityEdit::Patch(patch) => {
                let row = self.reader().entity(tenant, &name).await?;
                let row = row.ok_or_else(|| missing(&name))?;
                // What was read is what is changed, and nothing that came in between.
                if expected == EntityExpected::Anything || expected == EntityExpected::Something {
                    expected = EntityExpected::Version(row.version);
                }
                Some(patched(&self.read(&row)?.entity, patch)?)
            }
        };
        let policy_name = stored::policy_name(&name);
        let (deed, change) = match json {
            None => (EntityDeed::Remove, EntityChange::Remove(policy_name)),
            Some(json) => {
                let record = record(policy_name, json)?;
                (EntityDeed::Put(record.to_json().to_string()), EntityChange::Put(record))
            }
        };
        let row = store::EntityChange { name, expected, deed };
        Ok((row, change))
    }

    fn read(&self, row: &EntityRow) -> Result<StoredEntity, AdminError> {
        let entity = serde_json::from_str(&row.record).map_err(|error| self.damaged(&error))?;
        Ok(StoredEntity {
            entity,
            version: row.version,
        })
    }
}

fn no_tenant(tenant: &TenantName) -> AdminError {
    AdminError::NotFound {
        what: "tenant",
        name: tenant.to_string(),
    }
}

fn missing(name: &store::EntityName) -> AdminError {
    AdminError::NotFound {
        what: "stored entity",
        name: name.to_string(),
    }
}

/// The record of the entity at this place; the place need not be said twice.
fn record(name: EntityName, mut json: Value) -> Result<EntityRecord, AdminError> {
    if let Value::Object(members) = &mut json {
        members.entry("uid").or_insert_with(|| name.to_json());
    }
    let record = EntityRecord::from_json(json).map_err(AdminError::Invalid)?;
    if record.name != name {
        let message = format!("`uid` is {}, and the path says {name}: leave `uid` out", record.name);
        return Err(AdminError::Invalid(message));
    }
    Ok(record)
}

fn patched(entity: &Value, patch: Value) -> Result<Value, AdminError> {
    let patch: Patch = serde_json::from_value(patch)
        .map_err(|error| AdminError::Invalid(format!("this is no JSON Patch (RFC 6902): {error}")))?;
    if patch.0.len() > PATCH_MAX {
        return Err(AdminError::Invalid(format!(
            "a patch has at most {PATCH_MAX} operations"
        )));
    }
    let mut patched = entity.clone();
    json_patch::patch(&mut patched, &patch.0)
        .map_err(|error| AdminError::Conflict(format!("the patch does not apply: {error}")))?;
    Ok(patched)
}

fn told(problems: &[policy::Problem]) -> AdminError {
    let mut text: Vec<String> = problems
        .iter()
        .take(TOLD)
        .map(|problem| format!("{}: {}", problem.file, problem.message))
        .collect();
    if problems.len() > TOLD {
        text.push(format!("and {} more", problems.len() - TOLD));
    }
    AdminError::Invalid(text.join("; "))
}

/// What the log's commitment is to: the changes, each in a line.
fn canonical(changes: &[store::EntityChange]) -> String {
    let line = |change: &store::EntityChange| match &change.deed {
        EntityDeed::Put(record) => format!("put {record}\n"),
        EntityDeed::Remove => format!("remove {}\n", change.name),
    };
    changes.iter().map(line).collect()
}

impl From<EntityError> for AdminError {
    fn from(error: EntityError) -> Self {
        match error {
            EntityError::Version { .. } => Self::Precondition(error.to_string()),
            EntityError::Missing(name) => missing(&name),
            EntityError::Refused(why) => Self::Conflict(why),
            EntityError::Unavailable(why) => Self::Unavailable(why.to_string()),
            error => Self::Invalid(error.to_string()),
        }
    }
}
