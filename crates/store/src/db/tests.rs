use std::fmt::Write as _;

use sqlx::Executor as _;
use tlog::Stored;

use super::*;

/// The readable whole of the migrations.
const SCHEMA: &str = include_str!("../../schema.sql");

#[tokio::test]
async fn replaying_the_migrations_gives_the_schema() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrator().run(&mut connection).await.unwrap();
    let objects: Vec<(String,)> = sqlx::query_as(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut schema = "-- What the migrations add up to; a test compares.\n".to_owned();
    for (sql,) in objects {
        write!(schema, "\n{sql};\n").unwrap();
    }
    assert_eq!(schema, SCHEMA, "put the left side into schema.sql");
}

/// Batches that were stored before there was a form are read as they are, and stay as they are.
#[tokio::test]
async fn batches_from_before_packing_are_plain() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let url = format!("sqlite://{}?mode=rwc", DataDir::database(dir.path()).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let before = migrator().iter().filter(|it| it.version < 4).cloned().collect();
    Migrator::with_migrations(before).run(&mut connection).await.unwrap();
    let plain = b"\0\x02{}\0\x02{}".to_vec();
    sqlx::query(
        "INSERT INTO batch (tenant, first_index, count, batch_id, boot, epoch, time_us, root, range, entries)
         VALUES ('default', 0, 2, zeroblob(16), 1, 1, 1, zeroblob(32), zeroblob(32), $1)",
    )
    .bind(&plain)
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let tenant = TenantName::default_tenant();
    let mut store = Store::open(&data).await.unwrap();
    let read = store.page(&tenant, 0).await.unwrap().remove(0);
    assert_eq!(read.entries, plain);
    assert_eq!(
        store.reader().entry(&tenant, 1).await.unwrap(),
        Some(Stored::Kept(b"{}".to_vec()))
    );
    // The next one is packed, and both are read.
    let long = (0..20).flat_map(|_| plain.clone()).collect::<Vec<_>>();
    let next = Batch {
        first_index: 2,
        count: 40,
        entries: long,
        ..read.clone()
    };
    store
        .append(vec![(tenant.clone(), next.clone())], Vec::new(), Vec::new())
        .await
        .unwrap();
    assert_eq!(store.page(&tenant, 0).await.unwrap(), [read, next]);
    let forms: Vec<(i64, i64)> = sqlx::query_as("SELECT form, length(entries) FROM batch ORDER BY first_index")
        .fetch_all(&mut store.connection)
        .await
        .unwrap();
    assert!(matches!(forms.as_slice(), [(0, 8), (1, 9..80)]), "{forms:?}");
    assert_eq!(
        store.reader().entry(&tenant, 41).await.unwrap(),
        Some(Stored::Kept(b"{}".to_vec()))
    );
}

#[tokio::test]
async fn migrations_run_once_and_their_text_is_fixed() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    for _ in 0..2 {
        Store::open(&data).await.unwrap().close().await.unwrap();
    }
    // A database that another text made is not taken for one of this program.
    let mut store = Store::open(&data).await.unwrap();
    store
        .connection
        .execute("UPDATE _sqlx_migrations SET checksum = X'00'")
        .await
        .unwrap();
    store.close().await.unwrap();
    let error = Store::open(&data).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error}");
}

#[tokio::test]
async fn a_database_of_a_later_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let mut store = Store::open(&data).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations VALUES (999, 'later', '2030-01-01', 1, X'00', 1)";
    store.connection.execute(later).await.unwrap();
    store.close().await.unwrap();
    let error = Store::open(&data).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error}");
}

/// What durability rests on.
#[tokio::test]
async fn a_commit_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let mut store = Store::open(&data).await.unwrap();
    for reopened in [false, true] {
        if reopened {
            store.reopen().await.unwrap();
        }
        let (journal,): (String,) = sqlx::query_as("PRAGMA journal_mode")
            .fetch_one(&mut store.connection)
            .await
            .unwrap();
        let (sync,): (i64,) = sqlx::query_as("PRAGMA synchronous")
            .fetch_one(&mut store.connection)
            .await
            .unwrap();
        assert_eq!((journal.as_str(), sync), ("wal", 2), "reopened: {reopened}");
    }
}

#[tokio::test]
async fn a_probe_leaves_its_room_behind() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let mut store = Store::open(&data).await.unwrap();
    let free = async |store: &mut Store| -> i64 {
        sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(&mut store.connection)
            .await
            .unwrap()
    };
    assert_eq!(free(&mut store).await, 0);
    for _ in 0..3 {
        store.probe(1_000_000).await.unwrap();
        let pages = free(&mut store).await;
        assert!((240..260).contains(&pages), "{pages} pages");
    }
    store.faults().disk_full(true);
    store.probe(1_000_000).await.unwrap();
    store.probe(2_000_000).await.unwrap_err();
}

#[tokio::test]
async fn readers_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let store = Store::open(&data).await.unwrap();
    // Beside a server, and after it.
    let beside = Reader::open(dir.path()).await.unwrap();
    assert_eq!(beside.tenants().await.unwrap(), []);
    store.close().await.unwrap();
    let after = Reader::open(dir.path()).await.unwrap();
    assert_eq!(after.size(&TenantName::system()).await.unwrap(), 0);
    assert_eq!(after.checkpoint(&TenantName::system()).await.unwrap(), None);
}

/// A change of a few among many must not look at the many.
#[tokio::test]
async fn named_entities_are_looked_up() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrator().run(&mut connection).await.unwrap();
    for statement in [entity::VERSIONS, entity::REMOVE] {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(explain))
            .bind("default")
            .bind("[]")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
        let search = "SEARCH entity USING PRIMARY KEY (tenant=? AND kind=? AND id=?)";
        assert!(steps.contains(&search), "{statement}: {steps:?}");
    }
}
