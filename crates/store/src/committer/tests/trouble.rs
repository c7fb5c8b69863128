//! Real trouble: the disk is full, the file is locked, the directory is gone. Requests are refused while it lasts, the
//! health says why, and work resumes by itself.

use std::fs;

use entry::{Event, PolicyFile, Status};
use futures_util::StreamExt as _;
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::world::{World, budget_loaded, denied, ended, poll_once, tenant};
use crate::{DataDir, HoldAnswer, Reader, Store, StoreError, Unavailable};

/// Asks for a hold until it is granted, and says how often it was refused.
async fn insist(world: &World, number: u32) -> usize {
    let mut refused = 0;
    loop {
        match world.handle.hold(world.request(number, 100).await).await {
            HoldAnswer::Held(hold) => {
                drop(hold);
                world.open_is(0).await;
                return refused;
            }
            HoldAnswer::Unavailable => refused += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// A text of so many bytes that takes as many on the disk: packing finds nothing in it.
fn unpackable(length: usize) -> String {
    let mut state = 1_u64;
    let drawn = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from((state >> 40) % 64).unwrap())
    });
    drawn.filter(|drawn| *drawn != '\\').take(length).collect()
}

/// A change that does not fit into the pages there are.
fn large_change(number: u64) -> Vec<Event> {
    let file = PolicyFile {
        file: format!("{number}.cedar"),
        text: unpackable(12_000),
        sha256: None,
    };
    vec![Event::PolicyFile(file)]
}

#[tokio::test]
async fn a_full_disk() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    world.faults.disk_full(true);
    assert!(world.change(large_change(1)).await.is_err());
    assert!(world.troubled().await.contains("full"));
    hold.settle(ended(30));
    // Small entries would still fit, but the disk is not trusted before it takes what it refused.
    for number in 2..20 {
        let request = super::world::request(number, 100, 2);
        assert!(matches!(world.handle.hold(request).await, HoldAnswer::Unavailable));
    }
    assert_eq!(world.handle.deny(denied(20)).await, Err(Unavailable));
    assert!(world.handle.health().borrow().trouble.is_some());

    world.faults.disk_full(false);
    world.healthy().await;
    world.change(large_change(1)).await.unwrap();
    assert_eq!(insist(&world, 21).await, 0);
    assert_eq!(
        world.kinds().await,
        ["intent", "outcome", "policy_file", "intent", "outcome"]
    );
    assert_eq!(world.outcomes().await, [(Status::Ok, 30), (Status::NotForwarded, 0)]);
}

#[tokio::test]
async fn somebody_else_holds_the_write_lock() {
    let world = World::new().await;
    let database = DataDir::database(world.dir.path());
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", database.display()))
        .await
        .unwrap();
    let epoch = world.view().await.epoch;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    for number in 1..4 {
        let answer = world.handle.hold(super::world::request(number, 100, epoch)).await;
        assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    }
    assert!(world.troubled().await.contains("locked"));
    other.execute("ROLLBACK").await.unwrap();
    world.healthy().await;
    insist(&world, 4).await;
    assert_eq!(world.kinds().await, ["intent", "outcome"]);

    // A lock that is let go in time is only waited for.
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let request = world.request(5, 100);
    let (answer, _) = tokio::join!(async { world.handle.hold(request.await).await }, async {
        tokio::task::yield_now().await;
        other.execute("ROLLBACK").await.unwrap()
    });
    assert!(matches!(answer, HoldAnswer::Held(_)), "{answer:?}");
}

#[tokio::test]
async fn the_directory_is_moved_away_and_back() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let (here, away) = (world.dir.path().to_owned(), world.dir.path().with_extension("away"));
    let epoch = world.view().await.epoch;
    fs::rename(&here, &away).unwrap();
    let answer = world.handle.hold(super::world::request(2, 100, epoch)).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    assert!(world.troubled().await.contains("No such file"));
    // Nothing is made in its place.
    assert!(!here.exists());
    // Nor is another database taken for it.
    fs::create_dir(&here).unwrap();
    fs::copy(DataDir::database(&away), DataDir::database(&here)).unwrap();
    let mut health = world.handle.health();
    health
        .wait_for(|health| health.trouble.as_ref().is_some_and(|why| why.contains("another file")))
        .await
        .unwrap();
    fs::remove_dir_all(&here).unwrap();
    fs::rename(&away, &here).unwrap();
    world.healthy().await;
    hold.settle(ended(30));
    insist(&world, 3).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 30), (Status::NotForwarded, 0)]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        DataDir::database(dir.path()),
        "not a database, but as long as the header of one. ".repeat(20),
    )
    .unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let error = Store::open(&data).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[tokio::test]
async fn reading_needs_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let error = Reader::open(dir.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(!DataDir::database(dir.path()).exists());
}

/// Somebody who stopped reading in the middle of a page does not keep the server from stopping.
#[tokio::test]
async fn a_stalled_reader() {
    let world = World::new().await;
    for limit in 0..50 {
        world.change(vec![budget_loaded(limit)]).await.unwrap();
    }
    let reader = world.reader.clone();
    let mut stalled = Box::pin(reader.batches(&tenant(), 0));
    // The first step takes a connection and asks; the answer is never fetched.
    assert!(poll_once(&mut stalled.next()).await.is_pending());
    world.stop().await;
    drop(stalled);
    assert!(reader.tenants().await.is_err(), "the reader of a closed store answers");
}
