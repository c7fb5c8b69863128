//! Stored entities as readers see them.

use model::TenantName;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{Reader, integer, unsigned};
use crate::{
    StoreError,
    entity::{EntityName, EntityPage, EntityRow},
};

/// How many entities are read at once where all are.
const PAGE: usize = 2_000;

impl Reader {
    /// One entity, if it is stored.
    pub async fn entity(&self, tenant: &TenantName, name: &EntityName) -> Result<Option<EntityRow>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT record, version FROM entity WHERE tenant = $1 AND kind = $2 AND id = $3")
                .bind(tenant.as_str())
                .bind(&name.kind)
                .bind(&name.id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(record, version)| EntityRow {
            name: name.clone(),
            record,
            version: unsigned(version),
        }))
    }

    /// Some entities, of one type if that is given, behind this one if one is.
    pub async fn entities_page(
        &self,
        tenant: &TenantName,
        kind: Option<&str>,
        after: Option<&EntityName>,
        most: usize,
    ) -> Result<EntityPage, StoreError> {
        // Both answers from one state of the database.
        let mut snapshot = self.pool.begin().await?;
        let version = version(&mut snapshot, tenant).await?;
        let rows = page(&mut snapshot, tenant, kind, after, most).await?;
        Ok(EntityPage { version, rows })
    }

    /// All entities of a tenant, in the order of type and id, handed on page by page; all of one version, which is
    /// returned.
    ///
    /// The state of the database that is read is kept as long as this takes: `each` should not wait for anything.
    pub async fn entities(&self, tenant: &TenantName, mut each: impl FnMut(Vec<EntityRow>)) -> Result<u64, StoreError> {
        let mut snapshot = self.pool.begin().await?;
        let version = version(&mut snapshot, tenant).await?;
        let mut after = None;
        loop {
            let rows = page(&mut snapshot, tenant, None, after.as_ref(), PAGE).await?;
            let Some(last) = rows.last() else { return Ok(version) };
            let whole = rows.len() == PAGE;
            after = Some(last.name.clone());
            each(rows);
            if !whole {
                return Ok(version);
            }
        }
    }
}

async fn version(snapshot: &mut Transaction<'_, Sqlite>, tenant: &TenantName) -> Result<u64, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT version FROM entity_set WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_optional(&mut **snapshot)
        .await?;
    Ok(row.map_or(0, |(version,)| unsigned(version)))
}

async fn page(
    snapshot: &mut SqliteConnection,
    tenant: &TenantName,
    kind: Option<&str>,
    after: Option<&EntityName>,
    most: usize,
) -> Result<Vec<EntityRow>, StoreError> {
    let query = match kind {
        // With a type given it is the first part of the key that is searched; two statements, so that each has its way.
        Some(kind) => sqlx::query_as(
            "SELECT kind, id, record, version FROM entity
             WHERE tenant = $1 AND kind = $5 AND (kind, id) > ($2, $3) ORDER BY kind, id LIMIT $4",
        )
        .bind(tenant.as_str())
        .bind(after.map_or(kind, |after| &after.kind)),
        None => sqlx::query_as(
            "SELECT kind, id, record, version FROM entity
             WHERE tenant = $1 AND (kind, id) > ($2, $3) ORDER BY kind, id LIMIT $4",
        )
        .bind(tenant.as_str())
        .bind(after.map_or("", |after| &after.kind)),
    };
    let query = query
        .bind(after.map_or("", |after| &after.id))
        .bind(integer(u64::try_from(most).unwrap_or(u64::MAX)));
    let query = match kind {
        Some(kind) => query.bind(kind),
        None => query,
    };
    let rows: Vec<(String, String, String, i64)> = query.fetch_all(snapshot).await?;
    let rows = rows.into_iter().map(|(kind, id, record, version)| EntityRow {
        name: EntityName { kind, id },
        record,
        version: unsigned(version),
    });
    Ok(rows.collect())
}
