//! The projection's own database file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use model::{AgentName, KeyId, TenantName, Tier};
use sqlx::{
    Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tlog::Hash;

use super::{
    fold::{Declared, Delta, Labels, Open, Tenant},
    labels::LabelSet,
    search::Inheritance,
};
use crate::{
    StoreError,
    derived::{self, DerivedFile, Schema, options},
    reader::{integer, unsigned},
};

mod rows;

pub(super) use rows::entry_id;

/// The schema; its version is also that of what the fold puts into it.
const SCHEMA: Schema = Schema {
    sql: include_str!("schema.sql"),
    version: 2,
};
/// How many sets of labels of one tenant are kept in memory.
const SETS_MAX: usize = 20_000;

/// The file of a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("projections.db")
}

/// How far a log was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    id: i64,
    pub(super) size: u64,
    pub(super) root: Hash,
}

/// The open file, and who writes to it.
#[derive(Debug)]
pub(super) struct File {
    file: DerivedFile,
    pub(super) cursors: BTreeMap<TenantName, Cursor>,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl File {
    /// Opens the file, making it where there is none, or none of this version, or none that can be read.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        derived::open_or_make(path, "the projection", Self::open_as_it_is).await
    }

    /// `None` if it is of another version.
    async fn open_as_it_is(path: &Path) -> Result<Option<Self>, StoreError> {
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may take the last transactions, never a part of one: the cursor says what is to be read again.
            .synchronous(SqliteSynchronous::Normal);
        let Some(mut file) = DerivedFile::open(path, options, &SCHEMA).await? else {
            return Ok(None);
        };
        let cursors = cursors(&mut file.connection).await?;
        Ok(Some(Self {
            file,
            cursors,
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        }))
    }

    /// Whether the path still leads to the file that is open.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }

    /// Closes the file; waits until its thread is gone.
    pub(super) async fn close(self) {
        self.file.close().await;
    }

    /// Closes the file and deletes it.
    pub(super) async fn delete(self) -> Result<(), StoreError> {
        self.file.delete().await
    }

    /// What is needed to read on in a tenant's log.
    pub(super) async fn load(&mut self, tenant: &TenantName) -> Result<Tenant, StoreError> {
        let Some(cursor) = self.cursors.get(tenant).cloned() else {
            return Ok(Tenant::default());
        };
        let connection = &mut self.file.connection;
        let mut loaded = Tenant {
            size: cursor.size,
            root: Some(cursor.root),
            ..Tenant::default()
        };
        let agents: Vec<(String, String, String, String)> =
            sqlx::query_as("SELECT agent, team, product, environment FROM agent WHERE tenant = $1")
                .bind(cursor.id)
                .fetch_all(&mut *connection)
                .await?;
        for (agent, team, product, environment) in agents {
            let declared = Declared {
                team,
                product,
                environment,
            };
            loaded.agents.insert(AgentName::new(&agent)?, declared);
        }
        let tiers: Vec<(String, String)> = sqlx::query_as("SELECT key, tier FROM credential WHERE tenant = $1")
            .bind(cursor.id)
            .fetch_all(&mut *connection)
            .await?;
        for (key, tier) in tiers {
            let known = Tier::ALL.into_iter().find(|known| known.as_str() == tier);
            loaded.tiers.insert(KeyId::new(&key)?, known.map_or("", Tier::as_str));
        }
        let open: Vec<(i64, i64, i64, String, i64)> =
            sqlx::query_as("SELECT intent, labels, minute, terms, followed FROM open WHERE tenant = $1")
                .bind(cursor.id)
                .fetch_all(&mut *connection)
                .await?;
        for (intent, labels, minute, terms, followed) in open {
            let followed = usize::try_from(followed).unwrap_or_default();
            let open = Open {
                labels: Labels::Stored(labels),
                minute,
                inheritance: Inheritance { terms, followed },
            };
            loaded.open.insert(unsigned(intent), open);
        }
        let words: Vec<(String, String, String)> =
            sqlx::query_as("SELECT DISTINCT agent, task, model FROM label_set WHERE tenant = $1")
                .bind(cursor.id)
                .fetch_all(&mut *connection)
                .await?;
        for (agent, task, model) in words {
            let words = loaded.words.entry(AgentName::new(&agent)?).or_default();
            words.tasks.extend(Some(task).filter(|task| !task.is_empty()));
            words.models.extend(Some(model).filter(|model| !model.is_empty()));
        }
        Ok(loaded)
    }

    /// Stores what a page changed, with the cursor behind it: all or nothing. After an error `tenant` is ahead of what is
    /// stored, or not: it is to be loaded again.
    pub(super) async fn write(
        &mut self,
        name: &TenantName,
        tenant: &mut Tenant,
        delta: &Delta,
    ) -> Result<(), StoreError> {
        let Some(root) = tenant.root else { return Ok(()) };
        #[cfg(test)]
        self.faults.before_commit()?;
        let mut transaction = self.file.connection.begin_with("BEGIN IMMEDIATE").await?;
        // A page is taken once, even if another follower, one that is about to end, took it a moment ago.
        let moved: Option<(i64,)> = sqlx::query_as(
            "INSERT INTO cursor (tenant, size, root) VALUES ($1, $2, $3)
             ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, root = excluded.root WHERE cursor.size = $4
             RETURNING id",
        )
        .bind(name.as_str())
        .bind(integer(tenant.size))
        .bind(root.0.to_vec())
        .bind(integer(delta.from))
        .fetch_optional(&mut *transaction)
        .await?;
        let elsewhere = || StoreError::Projection("its cursor is not where it was left".to_owned());
        let (id,) = moved.ok_or_else(elsewhere)?;
        let numbers = number_sets(&mut transaction, id, &delta.sets).await?;
        let stored = |labels: Labels| match labels {
            Labels::Stored(number) => number,
            // Each place that the fold gave out is a set of the same page.
            Labels::New(place) => numbers.get(place).copied().unwrap_or_default(),
        };
        let sums = delta.sums.iter();
        let sums = sums.map(|((span, start, labels), sums)| ([id, *span, *start, stored(*labels)], sums));
        rows::add_sums(&mut transaction, &sums.collect::<Vec<_>>()).await?;
        write_declared(&mut transaction, id, delta).await?;
        rows::end_open(&mut transaction, id, &delta.ended).await?;
        for intent in &delta.opened {
            if let Some(open) = tenant.open.get_mut(intent) {
                open.labels = Labels::Stored(stored(open.labels));
            }
        }
        let opened = delta
            .opened
            .iter()
            .filter_map(|intent| Some((*intent, tenant.open.get(intent)?)));
        rows::insert_open(&mut transaction, id, &opened.collect::<Vec<_>>()).await?;
        rows::insert_found(&mut transaction, id, &delta.found).await?;
        transaction.commit().await?;
        #[cfg(test)]
        self.faults.after_commit()?;
        if tenant.sets.len().saturating_add(numbers.len()) > SETS_MAX {
            tenant.sets.clear();
        }
        tenant.sets.extend(delta.sets.iter().cloned().zip(numbers));
        Ok(())
    }
}

async fn cursors(connection: &mut SqliteConnection) -> Result<BTreeMap<TenantName, Cursor>, StoreError> {
    let rows: Vec<(i64, String, i64, Vec<u8>)> = sqlx::query_as("SELECT id, tenant, size, root FROM cursor")
        .fetch_all(connection)
        .await?;
    let mut cursors = BTreeMap::new();
    for (id, tenant, size, root) in rows {
        // What is no root is none of the log's, and is found out by comparing.
        let root = Hash::from_slice(&root).unwrap_or(Hash([0; 32]));
        let size = unsigned(size);
        cursors.insert(TenantName::new(&tenant)?, Cursor { id, size, root });
    }
    Ok(cursors)
}

/// The numbers of label sets, in their order.
async fn number_sets(
    connection: &mut SqliteConnection,
    tenant: i64,
    sets: &[LabelSet],
) -> Result<Vec<i64>, StoreError> {
    let mut numbers = Vec::with_capacity(sets.len());
    for set in sets {
        // An update that changes nothing makes the statement return the row that is there.
        let row = sqlx::query(
            "INSERT INTO label_set
                 (tenant, team, product, environment, agent, tier, user, task, operation, upstream, model)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT DO UPDATE SET tenant = excluded.tenant RETURNING id",
        )
        .bind(tenant)
        .bind(&set.team)
        .bind(&set.product)
        .bind(&set.environment)
        .bind(&set.agent)
        .bind(&set.tier)
        .bind(&set.user)
        .bind(&set.task)
        .bind(&set.operation)
        .bind(&set.upstream)
        .bind(&set.model)
        .fetch_one(&mut *connection)
        .await?;
        numbers.push(row.try_get("id")?);
    }
    Ok(numbers)
}

async fn write_declared(connection: &mut SqliteConnection, tenant: i64, delta: &Delta) -> Result<(), StoreError> {
    for (agent, declared) in &delta.agents {
        sqlx::query(
            "INSERT INTO agent (tenant, agent, team, product, environment) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, agent) DO UPDATE SET
                 team = excluded.team, product = excluded.product, environment = excluded.environment",
        )
        .bind(tenant)
        .bind(agent.as_str())
        .bind(&declared.team)
        .bind(&declared.product)
        .bind(&declared.environment)
        .execute(&mut *connection)
        .await?;
    }
    for (key, tier) in &delta.tiers {
        sqlx::query("INSERT OR REPLACE INTO credential (tenant, key, tier) VALUES ($1, $2, $3)")
            .bind(tenant)
            .bind(key.as_str())
            .bind(*tier)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Reads what a question needs; never the writing connection.
pub(super) async fn open_to_read(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = options(path).read_only(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}
