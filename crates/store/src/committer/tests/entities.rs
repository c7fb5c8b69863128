//! Stored entities: rows and their entries together, whatever fails.

use model::Digest;
use sqlx::{ConnectOptions as _, Executor as _, sqlite::SqliteConnectOptions};

use super::world::{World, by, tenant};
use crate::{
    DataDir, ENTITY_BYTES_MAX, ENTITY_CHANGES_MAX, EntityChange, EntityChanges, EntityDeed, EntityError,
    EntityExpected, EntityName, EntityRow, StoreError, Unavailable,
    db::faults::Fate::{Fails, FailsButLands},
};

fn name(id: &str) -> EntityName {
    let (kind, id) = ("App::Doc".to_owned(), id.to_owned());
    EntityName { kind, id }
}

fn put(id: &str, record: &str) -> EntityChange {
    EntityChange {
        name: name(id),
        expected: EntityExpected::Anything,
        deed: EntityDeed::Put(record.to_owned()),
    }
}

fn remove(id: &str) -> EntityChange {
    EntityChange {
        deed: EntityDeed::Remove,
        ..put(id, "")
    }
}

fn if_match(expected: EntityExpected, change: EntityChange) -> EntityChange {
    EntityChange { expected, ..change }
}

async fn change(world: &World, changes: Vec<EntityChange>) -> Result<(), EntityError> {
    let changes = EntityChanges {
        tenant: tenant(),
        changes,
        digest: Digest([6; 32]),
        note: String::new(),
        by: by(),
    };
    world.handle.change_entities(changes).await.map(drop)
}

/// What is stored: id, record and version; the log must say the same version.
async fn stored(world: &World) -> (u64, Vec<(String, String, u64)>) {
    let mut rows = Vec::new();
    let version = world
        .reader
        .entities(&tenant(), |page| rows.extend(page))
        .await
        .unwrap();
    let (shard, _) = world.log().await;
    assert_eq!(
        (shard.state.peps.entities, world.view().await.entities),
        (version, version)
    );
    let rows = rows.into_iter().map(|row| (row.name.id, row.record, row.version));
    (version, rows.collect())
}

fn row(id: &str, record: &str, version: u64) -> (String, String, u64) {
    (id.to_owned(), record.to_owned(), version)
}

#[tokio::test]
async fn rows_and_versions() {
    let world = World::new().await;
    assert_eq!(stored(&world).await, (0, vec![]));
    // What is JSON, and what JSON has to escape, comes back as it was.
    let odd = "{\"a\":\"\\u0000 \\\"ä\\\" \u{1F98A}\"}";
    change(&world, vec![put("b", odd), put("a\"'\\", "{}")]).await.unwrap();
    change(&world, vec![put("b", "{}"), put("c", "[]"), remove("a\"'\\")])
        .await
        .unwrap();
    assert_eq!(stored(&world).await, (2, vec![row("b", "{}", 2), row("c", "[]", 2)]));
    change(&world, vec![put("b", odd)]).await.unwrap();
    let one = world.reader.entity(&tenant(), &name("b")).await.unwrap();
    let expected = EntityRow {
        name: name("b"),
        record: odd.to_owned(),
        version: 3,
    };
    assert_eq!(one, Some(expected));
    assert_eq!(world.reader.entity(&tenant(), &name("a")).await.unwrap(), None);
    let (_, entries) = world.log().await;
    let entry::Event::EntitiesChanged {
        version, put, removed, ..
    } = entries[5].event
    else {
        panic!("{entries:?}")
    };
    assert_eq!((version, put, removed), (2, 2, 1));
}

#[tokio::test]
async fn changes_are_made_where_what_was_expected_is_there() {
    use EntityExpected::{Anything, Nothing, Something, Version};
    let world = World::new().await;
    change(&world, vec![put("a", "1"), put("b", "1")]).await.unwrap();
    let version = |id: &str, found| EntityError::Version { name: name(id), found };
    for (what, changes, expected) in [
        (
            "new, and there",
            vec![if_match(Nothing, put("a", "2"))],
            version("a", Some(1)),
        ),
        (
            "there, and not",
            vec![if_match(Something, put("x", "2"))],
            version("x", None),
        ),
        (
            "another version",
            vec![if_match(Version(2), put("a", "2"))],
            version("a", Some(1)),
        ),
        ("of none", vec![if_match(Version(1), remove("x"))], version("x", None)),
        ("removing none", vec![remove("x")], EntityError::Missing(name("x"))),
        (
            "one of two",
            vec![put("a", "2"), if_match(Nothing, put("b", "2"))],
            version("b", Some(1)),
        ),
        (
            "twice",
            vec![put("a", "2"), remove("a")],
            EntityError::Repeated(name("a")),
        ),
        ("nothing", vec![], EntityError::Empty),
        ("no name", vec![put("", "2")], EntityError::Name(0)),
        (
            "too long",
            vec![put("a", &"x".repeat(ENTITY_BYTES_MAX + 1))],
            EntityError::TooLong {
                name: name("a"),
                bytes: ENTITY_BYTES_MAX + 1,
            },
        ),
        (
            "too many",
            (0..=ENTITY_CHANGES_MAX).map(|id| put(&id.to_string(), "2")).collect(),
            EntityError::TooMany(ENTITY_CHANGES_MAX + 1),
        ),
    ] {
        assert_eq!(change(&world, changes).await, Err(expected), "{what}");
    }
    assert_eq!(stored(&world).await, (1, vec![row("a", "1", 1), row("b", "1", 1)]));
    for (expected, id) in [(Version(1), "a"), (Something, "b"), (Nothing, "c"), (Anything, "d")] {
        change(&world, vec![if_match(expected, put(id, "2"))]).await.unwrap();
    }
    change(&world, vec![if_match(Version(2), remove("a"))]).await.unwrap();
    // Of several that wait for one write, each sees what the one before does.
    let all = (0..20).map(|_| change(&world, vec![if_match(Version(3), put("b", "3"))]));
    let done = futures_util::future::join_all(all).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
    let rows = vec![row("b", "3", 7), row("c", "2", 4), row("d", "2", 5)];
    assert_eq!(stored(&world).await, (7, rows));
}

#[tokio::test]
async fn rows_and_their_entry_fail_and_land_together() {
    for (fates, landed) in [
        (&[Fails][..], false),
        (&[FailsButLands], true),
        (&[Fails, Fails], false),
        (&[FailsButLands, Fails], true),
    ] {
        let world = World::new().await;
        change(&world, vec![put("a", "1"), put("b", "1")]).await.unwrap();
        world.faults.appends(fates);
        let answer = change(&world, vec![put("a", "2"), remove("b"), put("c", "2")]).await;
        assert_eq!(answer, Err(Unavailable.into()), "{fates:?}");
        world.healthy().await;
        let after = match landed {
            true => (2, vec![row("a", "2", 2), row("c", "2", 2)]),
            false => (1, vec![row("a", "1", 1), row("b", "1", 1)]),
        };
        assert_eq!(stored(&world).await, after, "{fates:?}");
        let (dir, clock) = world.crash().await;
        let world = World::open(dir, clock, &[])
            .await
            .unwrap_or_else(|(_, error)| panic!("{error}"));
        assert_eq!(stored(&world).await, after, "{fates:?}");
        // A fault that met no write meets this one.
        while change(&world, vec![put("z", "1")]).await.is_err() {
            world.healthy().await;
        }
    }
}

#[tokio::test]
async fn rows_of_another_version_than_the_log_are_refused() {
    let world = World::new().await;
    change(&world, vec![put("a", "1")]).await.unwrap();
    let clock = world.clock.clone();
    let mut dir = world.stop().await;
    for (what, sql, rows) in [
        ("a later one", "UPDATE entity_set SET version = 2", 2),
        ("none", "DELETE FROM entity_set", 0),
    ] {
        let options = SqliteConnectOptions::new().filename(DataDir::database(dir.path()));
        let mut database = options.connect().await.unwrap();
        database.execute(sql).await.unwrap();
        sqlx::Connection::close(database).await.unwrap();
        let Err((same, error)) = World::open(dir, clock.clone(), &[]).await else {
            panic!("{what}")
        };
        dir = same;
        assert!(
            matches!(&error, StoreError::Entities { log: 1, rows: found, .. } if *found == rows),
            "{what}: {error}"
        );
        let text = error.to_string();
        assert!(text.contains("restore it from a backup"), "{text}");
    }
}

#[tokio::test]
async fn pages_are_in_order_and_of_one_type_if_asked() {
    let world = World::new().await;
    let other = |id: &str| EntityChange {
        name: EntityName {
            kind: "User".to_owned(),
            id: id.to_owned(),
        },
        ..put(id, "{}")
    };
    let mut changes: Vec<_> = (0..2_500).map(|id| put(&format!("{id:04}"), "{}")).collect();
    changes.extend(["ada", "grace"].map(other));
    change(&world, changes).await.unwrap();
    let mut all = 0;
    let mut pages = 0;
    let whose = tenant();
    let version = world.reader.entities(&whose, |page| {
        all += page.len();
        pages += 1;
    });
    assert_eq!(version.await.unwrap(), 1);
    assert_eq!((all, pages), (2_502, 2));
    let page = |kind, after: Option<EntityName>, most| {
        let reader = world.reader.clone();
        async move {
            let page = reader
                .entities_page(&tenant(), kind, after.as_ref(), most)
                .await
                .unwrap();
            assert_eq!(page.version, 1);
            page.rows.into_iter().map(|row| row.name.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(None, None, 2).await, ["0000", "0001"]);
    assert_eq!(page(None, Some(name("2498")), 2).await, ["2499", "ada"]);
    assert_eq!(page(Some("User"), None, 5).await, ["ada", "grace"]);
    assert_eq!(page(Some("User"), Some(other("ada").name), 5).await, ["grace"]);
    assert_eq!(page(Some("App::Doc"), Some(name("2499")), 5).await, [""; 0]);
}
