//! The projection's own database file.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use model::{AgentName, KeyId, TenantName, Tier};
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tlog::Hash;

use super::{
    fold::{Declared, Delta, Labels, Open, Tenant},
    labels::LabelSet,
    search::Inheritance,
};
use crate::{
    StoreError,
    db::{BUSY, FileId},
    reader::{integer, unsigned},
};

mod rows;

pub(super) use rows::entry_id;

/// The version of the schema and of what the fold puts into it; `schema.sql` ends with it. Another one in the file means
/// that it is made again.
const VERSION: i64 = 2;
/// How many sets of labels of one tenant are kept in memory.
const SETS_MAX: usize = 20_000;
const SCHEMA: &str = include_str!("schema.sql");

/// The file of a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("projections.db")
}

/// How the file is opened, for writing.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A power cut may take the last transactions, never a part of one: the cursor says what is to be read again.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .disable_statement_logging()
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
    connection: SqliteConnection,
    path: PathBuf,
    file: FileId,
    pub(super) cursors: BTreeMap<TenantName, Cursor>,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl File {
    /// Opens the file, making it where there is none, or none of this version, or none that can be read.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        match Self::open_as_it_is(path).await {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the projection cannot be read: it is made again from the logs");
            }
            Err(error) => return Err(error),
        }
        remove(path)?;
        let made = Self::open_as_it_is(path).await?;
        made.ok_or_else(|| StoreError::File {
            path: path.to_owned(),
            source: io::Error::other("somebody else writes to this file"),
        })
    }

    /// `None` if it is of another version.
    async fn open_as_it_is(path: &Path) -> Result<Option<Self>, StoreError> {
        // SQLite itself throws a write-ahead log away whose database was deleted.
        let mut connection = SqliteConnection::connect_with(&options(path).create_if_missing(true)).await?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut connection)
            .await?;
        if tables == 0 {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await?;
        if version != VERSION {
            tracing::info!(
                version,
                "the projection is of another version: it is made again from the logs"
            );
            connection.close().await?;
            return Ok(None);
        }
        let cursors = cursors(&mut connection).await?;
        Ok(Some(Self {
            connection,
            path: path.to_owned(),
            file: FileId::of(path)?,
            cursors,
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        }))
    }

    /// Whether the path still leads to the file that is open.
    pub(super) fn is_in_place(&self) -> bool {
        FileId::of(&self.path).is_ok_and(|file| file == self.file)
    }

    /// Closes the file; waits until its thread is gone.
    pub(super) async fn close(self) {
        // Nothing is relied on that is not committed.
        drop(self.connection.close().await);
    }

    /// Closes the file and deletes it.
    pub(super) async fn delete(self) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.close().await;
        remove(&path)
    }

    /// What is needed to read on in a tenant's log.
    pub(super) async fn load(&mut self, tenant: &TenantName) -> Result<Tenant, StoreError> {
        let Some(cursor) = self.cursors.get(tenant).cloned() else {
            return Ok(Tenant::default());
        };
        let connection = &mut self.connection;
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
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
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

/// Deletes the file with what SQLite keeps beside it, as far as that is there.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(Path::new(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::file(path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Reads what a question needs; never the writing connection.
pub(super) async fn open_to_read(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = options(path).read_only(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}
