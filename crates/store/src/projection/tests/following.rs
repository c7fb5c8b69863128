//! The file and its follower: it survives crashes, and is made again where it is not of this log.

use std::{
    fs,
    time::{Duration, Instant},
};

use entry::Class;
use model::NanoUsd;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, sqlite::SqliteConnectOptions};

use super::{
    super::{CostError, CostQuestion, Projection, file, rebuild},
    world::{Call, EVENING, PATIENCE, SECOND, World, ended, tenant},
};
use crate::{
    DataDir,
    db::faults::Fate::{Fails, FailsButLands},
};

fn call() -> Call {
    Call {
        amount: 400,
        ..Call::default()
    }
}

async fn cost(world: &World) -> i64 {
    let groups = world.sums(CostQuestion::default()).await.groups;
    groups.iter().map(|group| group.sums.cost.0).sum()
}

/// Does something to the projection's database.
async fn execute(path: &std::path::Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_is_open_survives_the_follower() {
    let world = World::new().await;
    let hold = world.ask(1, call()).await.unwrap();
    assert_eq!(cost(&world).await, 0);
    let world = world.crash_projection().await;
    assert_eq!(cost(&world).await, 0);
    hold.settle(ended(70));
    world.settled(0).await;
    assert_eq!(cost(&world).await, 70);
    assert!(world.rows().await.iter().all(|row| !row.starts_with("[\"open\"")));
    world.check().await;
    world.stop().await;
}

#[tokio::test]
async fn a_page_is_taken_once_whatever_its_transaction_does() {
    let world = World::new().await;
    for (number, fates) in (0..).zip([
        &[Fails][..],
        &[FailsButLands],
        &[Fails, FailsButLands, FailsButLands, Fails],
    ]) {
        for fate in fates {
            world.order_fault_of_projection(*fate);
        }
        world.call(number, call(), 1).await;
        world.check().await;
    }
    assert_eq!(cost(&world).await, 3);
    world.stop().await;
}

/// What is done to the file while nobody has it open, and that it must be made again for that.
const REBUILDS: &[(&str, &str)] = &[
    ("another version", "PRAGMA user_version = 99"),
    (
        "an older version with other tables",
        "DROP TABLE booked; PRAGMA user_version = 0",
    ),
    (
        "ahead of the log",
        "UPDATE cursor SET size = size + 1 WHERE tenant = 'default'",
    ),
    (
        "another root",
        "UPDATE cursor SET root = zeroblob(32) WHERE tenant = 'default'",
    ),
    (
        "a root that is none",
        "UPDATE cursor SET root = X'00' WHERE tenant = 'default'",
    ),
    (
        "a tenant without a log",
        "INSERT INTO cursor (tenant, size, root) VALUES ('gone', 1, zeroblob(32))",
    ),
    (
        "a name that is none",
        "UPDATE cursor SET tenant = 'No Name' WHERE tenant = 'default'",
    ),
];

#[tokio::test]
async fn it_is_made_again_where_it_is_not_of_this_log() {
    let mut world = World::new().await;
    world.call(1, call(), 70).await;
    let rows = world.rows().await;
    for (name, sql) in REBUILDS {
        world = world
            .reopen_projection(async |path| {
                // Something that only a new file corrects.
                execute(path, "UPDATE booked SET cost = 1").await;
                execute(path, sql).await;
            })
            .await;
        assert_eq!(world.rows().await, rows, "{name}");
    }
    // And not for nothing.
    let world = world
        .reopen_projection(async |path| execute(path, "UPDATE booked SET cost = 1").await)
        .await;
    assert_eq!(cost(&world).await, 1);
    world.stop().await;
}

#[tokio::test]
async fn it_is_made_again_where_it_cannot_be_read() {
    let mut world = World::new().await;
    world.call(1, call(), 70).await;
    let rows = world.rows().await;
    let garbage = |length: usize| vec![b'x'; length];
    for (name, bytes) in [("no database", garbage(8_192)), ("cut", Vec::new())] {
        world = world
            .reopen_projection(async |path| fs::write(path, &bytes).unwrap())
            .await;
        assert_eq!(world.rows().await, rows, "{name}");
    }
    // A page in the middle.
    world = world
        .reopen_projection(async |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[4_096..].fill(0x5a);
            fs::write(path, bytes).unwrap();
        })
        .await;
    assert_eq!(world.rows().await, rows);
    world.stop().await;
}

/// A write-ahead log that is left of a database that somebody deleted is not taken for the new one's.
#[tokio::test]
async fn deleting_the_file_is_enough() {
    let mut world = World::new().await;
    world.call(1, call(), 70).await;
    let rows = world.rows().await;
    let left = file::path(world.dir.path()).with_extension("db-wal");
    let log = fs::read(&left).unwrap();
    assert!(!log.is_empty());
    world = world
        .reopen_projection(async |path| {
            fs::remove_file(path).unwrap();
            fs::write(&left, log).unwrap();
        })
        .await;
    assert_eq!(world.rows().await, rows);
    // While it runs, too.
    fs::remove_file(file::path(world.dir.path())).unwrap();
    world.call(2, call(), 30).await;
    assert_eq!(cost(&world).await, 100);
    world.check().await;
    assert!(file::path(world.dir.path()).exists());
    world.stop().await;
}

#[tokio::test]
async fn an_older_copy_of_the_log_is_not_mixed_with_what_came_after_it() {
    let world = World::new().await;
    world.call(1, call(), 70).await;
    let dir = world.stop().await;
    let copy = fs::read(dir.path().join("bailiwick.db")).unwrap();
    let world = reopened(dir).await;
    world.call(2, call(), 30).await;
    assert_eq!(cost(&world).await, 100);
    let dir = world.stop().await;
    fs::write(dir.path().join("bailiwick.db"), copy).unwrap();
    // As long as before, and with other calls.
    let world = reopened(dir).await;
    world.call(3, call(), 5).await;
    assert_eq!(cost(&world).await, 75);
    world.check().await;
    world.stop().await;
}

async fn reopened(dir: tempfile::TempDir) -> World {
    let clock = World::new().await.clock;
    World::open(dir, clock).await
}

#[tokio::test]
async fn who_asks_waits_and_is_told_how_far_it_is() {
    let world = World::new().await;
    world.sums(CostQuestion::default()).await;
    world.projection.stop().await;
    world.call(1, call(), 70).await;
    // Its disk has no room that is not kept for the log.
    let starved = Projection::start(world.dir.path(), world.reader.clone(), world.handle.heads(), u64::MAX);
    let asked = starved.ask(CostQuestion::default(), Duration::from_millis(200)).await;
    let Err(CostError::Behind {
        tenant: whose,
        size,
        trouble,
        ..
    }) = &asked
    else {
        panic!("{asked:?}")
    };
    assert_eq!((whose, *size > 0), (&tenant(), true));
    assert!(trouble.as_ref().unwrap().contains("[audit] reserve"), "{trouble:?}");
    assert!(starved.behind() > 0);
    starved.stop().await;
    let world = world.reopen_projection(async |_| {}).await;
    assert_eq!(cost(&world).await, 70);
    world.stop().await;
}

/// A follower that was told to end may still be at it when the next begins.
#[tokio::test]
async fn two_followers_take_no_page_twice() {
    let world = World::new().await;
    let other = Projection::start(world.dir.path(), world.reader.clone(), world.handle.heads(), 0);
    for number in 0..20 {
        world.call(number, call(), 1).await;
        let (one, two) = tokio::join!(
            world.projection.ask(CostQuestion::default(), PATIENCE),
            other.ask(CostQuestion::default(), PATIENCE)
        );
        assert_eq!(one.unwrap().groups, two.unwrap().groups);
    }
    assert_eq!(cost(&world).await, 20);
    other.stop().await;
    world.check().await;
    world.stop().await;
}

#[tokio::test]
async fn it_is_made_again_when_somebody_wants_it() {
    let world = World::new().await;
    world.call(1, call(), 70).await;
    let rows = world.rows().await;
    execute(&file::path(world.dir.path()), "UPDATE booked SET cost = 1").await;
    assert_eq!(cost(&world).await, 1);
    assert!(world.projection.make_again(PATIENCE).await);
    assert_eq!(world.rows().await, rows);
    assert_eq!((world.projection.behind(), world.projection.lag()), (0, Duration::ZERO));
    // Where no server runs, too.
    let dir = world.stop().await;
    execute(&file::path(dir.path()), "UPDATE booked SET cost = 1").await;
    let data = DataDir::open(dir.path()).unwrap();
    let mut steps = Vec::new();
    let made = rebuild(&data, |read, all| steps.push((read, all))).await.unwrap();
    assert_eq!((made.booked, made.in_log), (NanoUsd(70), NanoUsd(70)));
    let size: u64 = made.sizes.values().sum();
    assert_eq!(steps.last(), Some(&(size, size)));
    drop(data);
}

/// The lag is that of what waits, and not of the time in which nothing came.
#[tokio::test]
async fn the_lag_counts_from_when_something_was_not_read() {
    let world = World::new().await;
    world.call(1, call(), 70).await;
    assert_eq!(cost(&world).await, 70);
    assert_eq!((world.projection.behind(), world.projection.lag()), (0, Duration::ZERO));
    // It cannot go on, and something comes.
    for _ in 0..3 {
        world.order_fault_of_projection(Fails);
    }
    let before = Instant::now();
    world.call(2, call(), 30).await;
    let mut progress = world.projection.progress();
    let stuck = progress.wait_for(|progress| progress.trouble.is_some());
    tokio::time::timeout(PATIENCE, stuck).await.unwrap().unwrap();
    let lag = world.projection.lag();
    assert!(lag > Duration::ZERO && lag <= before.elapsed(), "{lag:?}");
    assert_eq!(cost(&world).await, 100);
    let before = Instant::now();
    assert!(world.projection.make_again(PATIENCE).await);
    let lag = world.projection.lag();
    assert!(lag <= before.elapsed(), "{lag:?}");
    world.stop().await;
}

/// An outcome says what a call cost, and only its intent who made it: without that it is in no sum, and that is no
/// difference.
#[tokio::test]
async fn outcomes_whose_intents_were_let_go_are_not_missed() {
    let world = World::new().await;
    let hold = world.ask(1, call()).await.unwrap();
    world.clock.pass(SECOND);
    world.let_go(&[(Class::Calls, EVENING + 1)]).await;
    hold.settle(ended(70));
    world.settled(0).await;
    world.call(2, call(), 30).await;
    let dir = world.stop().await;
    let data = DataDir::open(dir.path()).unwrap();
    let made = rebuild(&data, |_, _| {}).await.unwrap();
    assert_eq!((made.booked, made.in_log), (NanoUsd(30), NanoUsd(30)));
    assert_eq!((made.left_out, made.left_out_cost), (1, NanoUsd(70)));
    drop(data);
}
