//! Entities in the database: what the committer reads and writes.

use std::collections::{BTreeMap, HashMap};

use model::TenantName;
use sqlx::SqliteConnection;

use super::Store;
use crate::{
    StoreError,
    entity::{EntityDeed, EntityName, RowChanges},
    reader::{integer, unsigned},
};

impl Store {
    /// The version of each tenant's entities; a tenant that never had any is not there.
    pub(crate) async fn entity_sets(&mut self) -> Result<BTreeMap<TenantName, u64>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT tenant, version FROM entity_set")
            .fetch_all(&mut self.connection)
            .await?;
        let named = rows.into_iter().map(|(tenant, version)| {
            let tenant = TenantName::new(&tenant)?;
            Ok((tenant, unsigned(version)))
        });
        named.collect()
    }

    /// The versions of those of the entities that are stored.
    pub(crate) async fn entity_versions(
        &mut self,
        tenant: &TenantName,
        names: &[&EntityName],
    ) -> Result<HashMap<EntityName, u64>, StoreError> {
        let asked = names.iter().map(|name| (&name.kind, &name.id));
        // One statement whatever their number: each costs a round trip to the database's thread.
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT entity.kind, entity.id, entity.version FROM json_each($2) AS asked
             JOIN entity ON entity.tenant = $1 AND entity.kind = asked.value ->> 0 AND entity.id = asked.value ->> 1",
        )
        .bind(tenant.as_str().to_owned())
        .bind(json(asked)?)
        .fetch_all(&mut self.connection)
        .await?;
        let found = rows
            .into_iter()
            .map(|(kind, id, version)| (EntityName { kind, id }, unsigned(version)));
        Ok(found.collect())
    }
}

/// Makes the changes of one entry, as part of its transaction.
pub(super) async fn change(connection: &mut SqliteConnection, rows: RowChanges) -> Result<(), StoreError> {
    let RowChanges {
        tenant,
        version,
        changes,
    } = rows;
    let put = changes.iter().filter_map(|change| match &change.deed {
        EntityDeed::Put(record) => Some((&change.name.kind, &change.name.id, record)),
        EntityDeed::Remove => None,
    });
    let removed = changes.iter().filter(|change| change.deed == EntityDeed::Remove);
    let removed = removed.map(|change| (&change.name.kind, &change.name.id));
    let (put, removed) = (json(put)?, json(removed)?);
    let (tenant, version) = (tenant.as_str().to_owned(), integer(version));
    // `WHERE true` tells the parser that ON belongs to the insertion (https://sqlite.org/lang_upsert.html, 2.2).
    sqlx::query(
        "INSERT INTO entity (tenant, kind, id, record, version)
         SELECT $1, value ->> 0, value ->> 1, value ->> 2, $2 FROM json_each($3) WHERE true
         ON CONFLICT (tenant, kind, id) DO UPDATE SET record = excluded.record, version = excluded.version",
    )
    .bind(tenant.clone())
    .bind(version)
    .bind(put)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM entity WHERE tenant = $1 AND (kind, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each($2))",
    )
    .bind(tenant.clone())
    .bind(removed)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO entity_set (tenant, version) VALUES ($1, $2)
         ON CONFLICT (tenant) DO UPDATE SET version = excluded.version",
    )
    .bind(tenant)
    .bind(version)
    .execute(connection)
    .await?;
    Ok(())
}

/// Rows as one JSON array, to be handed to a statement as one value.
fn json<T: serde::Serialize>(rows: impl Iterator<Item = T>) -> Result<String, StoreError> {
    let rows: Vec<T> = rows.collect();
    serde_json::to_string(&rows).map_err(|error| StoreError::Unavailable(sqlx::Error::Encode(Box::new(error))))
}
