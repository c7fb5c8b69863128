//! Disks that misbehave in other ways than by failing a write: slow, read-only, nearly full, damaged.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use entry::Status;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::world::{NOON, RESERVE, SECOND, World, budget_loaded, denied, ended, patiently, request, tenant};
use crate::{DataDir, HoldAnswer, Reader, StoreError, Unavailable};

/// A write that does not end: who waits for it is refused within a bound, who comes later at once, and what it wrote in
/// the end belongs to nobody.
#[tokio::test]
async fn a_disk_that_does_not_answer() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let epoch = world.view().await.epoch;
    world.faults.stall(true);
    let (answer, denial, changed) = tokio::join!(
        world.handle.hold(request(2, 100, epoch)),
        world.handle.deny(denied(3)),
        world.change(vec![budget_loaded(900)]),
    );
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    assert!(denial.is_err() && changed.is_err());
    assert!(world.troubled().await.contains("has not finished a write"));
    assert!(world.handle.health().borrow().down);
    for number in 4..50 {
        let answer = world.handle.hold(request(number, 100, epoch)).await;
        assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    }
    assert!(world.handle.view(tenant()).await.is_err());
    hold.settle(ended(30));
    world.faults.stall(false);
    world.healthy().await;
    world.open_is(0).await;
    let kinds = ["intent", "intent", "denial", "budget_loaded", "outcome", "outcome"];
    assert_eq!(world.kinds().await, kinds);
    let mut outcomes = world.outcomes().await;
    outcomes.sort_unstable_by_key(|(_, cost)| *cost);
    assert_eq!(outcomes, [(Status::NotForwarded, 0), (Status::Ok, 30)]);
    drop(world.held(60, 870).await);
    let world = world.restart().await;
    world.log().await;
}

/// A stop does not wait for ever for a disk that does not answer.
#[tokio::test]
async fn a_stop_while_the_disk_does_not_answer() {
    let world = World::new().await;
    let faults = world.faults.clone();
    faults.stall(true);
    let denial = world.handle.deny(denied(1)).await;
    assert_eq!(denial, Err(Unavailable));
    world.handle.stop("requested").await;
    faults.stall(false);
    world.stop().await;
}

#[tokio::test]
async fn a_file_that_turns_read_only() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let epoch = world.view().await.epoch;
    world.faults.read_only(true);
    let answer = world.handle.hold(request(2, 100, epoch)).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    let why = world.troubled().await;
    assert!(why.contains("readonly") && why.contains("make it writable"), "{why}");
    hold.settle(ended(30));
    world.faults.read_only(false);
    world.healthy().await;
    drop(world.held(3, 100).await);
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 30), (Status::NotForwarded, 0)]);
}

/// With too little disk left nothing begins, and what began is still recorded.
#[tokio::test]
async fn the_reserve_is_kept_for_ends_and_denials() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let epoch = world.view().await.epoch;
    world.faults.set_free(Some(RESERVE - 1));
    // It is not looked at each batch.
    drop(world.held(2, 100).await);
    world.open_is(1).await;
    world.clock.pass(SECOND);
    let answer = world.handle.hold(request(3, 100, epoch)).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    assert!(world.troubled().await.contains("[audit] reserve"));
    assert!(!world.handle.health().borrow().down);
    world.handle.deny(denied(4)).await.unwrap();
    hold.settle(ended(30));
    world.open_is(0).await;
    let kinds = ["intent", "intent", "outcome", "denial", "outcome"];
    assert_eq!(world.kinds().await, kinds);

    world.faults.set_free(Some(RESERVE));
    world.clock.pass(SECOND);
    // The first to ask finds that there is room; nobody has to.
    drop(world.held(5, 100).await);
    world.healthy().await;
    world.log().await;
}

/// Replaces each occurrence of some text in the database and its write-ahead log, as they are on the disk.
fn replace(dir: &Path, from: &[u8], to: &[u8]) -> usize {
    assert_eq!(from.len(), to.len());
    let mut replaced = 0;
    for suffix in ["", "-wal"] {
        let mut path = DataDir::database(dir).into_os_string();
        path.push(suffix);
        let Ok(mut file) = fs::File::options().read(true).write(true).open(path) else {
            continue;
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        for at in 0..bytes.len().saturating_sub(from.len()) {
            if bytes[at..].starts_with(from) {
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.write_all(to).unwrap();
                replaced += 1;
            }
        }
    }
    replaced
}

/// Bytes change under a running server: whoever reads them finds out, and from then on nothing is let through until
/// what is stored is whole again.
#[tokio::test]
async fn damage_under_a_running_server() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let epoch = world.view().await.epoch;
    // What nothing before it says stands in packed entries as it is.
    let (whole, damaged) = (b"Test", b"Te\xfft");
    assert!(replace(world.dir.path(), whole, damaged) > 0);
    // The committer works in memory and does not notice; a reader does, and tells it.
    let read: Result<Vec<_>, _> = world.reader.batches(&tenant(), 0).try_collect().await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    let found =
        |why: &str| why.contains("the batch of entry 0 has an unreadable") && why.contains("restore it from a backup");
    let mut health = world.handle.health();
    patiently(health.wait_for(|health| health.trouble.as_deref().is_some_and(found)))
        .await
        .unwrap();
    let answer = world.handle.hold(request(2, 100, epoch)).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    hold.settle(ended(30));
    assert!(replace(world.dir.path(), damaged, whole) > 0);
    world.healthy().await;
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 30)]);
}

/// A false alarm costs nothing.
#[tokio::test]
async fn a_suspicion_that_is_not_confirmed() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    world.reader.suspect();
    drop(world.held(2, 100).await);
    world.open_is(1).await;
    hold.settle(ended(30));
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::NotForwarded, 0), (Status::Ok, 30)]);
}

/// A file system that hangs keeps the committer's thread as well as its task: who waits is refused all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_keeps_a_thread() {
    let world = World::new().await;
    let hang = world.faults.hang();
    world.clock.pass(2 * SECOND);
    let handle = world.handle.clone();
    let asked = tokio::spawn(async move { handle.deny(denied(1)).await });
    let why = world.troubled().await;
    assert!(why.contains("has not finished a write"), "{why}");
    assert_eq!(asked.await.unwrap(), Err(Unavailable));
    drop(hang);
    world.healthy().await;
    world.handle.deny(denied(2)).await.unwrap();
}

/// While the log is checked nobody is answered by the committer, so nobody is made to wait for it.
#[tokio::test]
async fn a_check_that_takes_long() {
    let world = World::new().await;
    world.faults.stall(true);
    world.reader.suspect();
    // Asked before it began, and while it runs.
    assert_eq!(patiently(world.handle.deny(denied(1))).await, Err(Unavailable));
    let health = world.handle.health().borrow().clone();
    assert!(
        health.down && health.trouble.as_deref().is_some_and(|why| why.contains("checking")),
        "{health:?}"
    );
    assert_eq!(patiently(world.handle.deny(denied(2))).await, Err(Unavailable));
    world.faults.stall(false);
    world.healthy().await;
    world.handle.deny(denied(3)).await.unwrap();
}

/// A page that is no page: SQLite says so, and a start says what to do.
#[tokio::test]
async fn a_damaged_page_stops_the_start() {
    let world = World::new().await;
    for limit in 0..200 {
        world.change(vec![budget_loaded(1_000 + limit)]).await.unwrap();
    }
    let clock = world.clock.clone();
    let dir = world.stop().await;
    let database = DataDir::database(dir.path());
    let whole = fs::read(&database).unwrap();
    let pages = whole.len() / 4_096;
    for page in 1..pages {
        let mut damaged = whole.clone();
        damaged[page * 4_096..][..4_096].fill(0xa5);
        fs::write(&database, damaged).unwrap();
        // Some pages are read by nobody; whatever is read is refused, and no balance is made up.
        let Err(error) = start(dir.path(), &clock).await else {
            let reader = Reader::open(dir.path()).await.unwrap();
            let batches: Vec<_> = reader.batches(&tenant(), 0).collect().await;
            // With that of the stop.
            assert_eq!(batches.len(), 202, "page {page}");
            fs::write(&database, &whole).unwrap();
            continue;
        };
        assert!(
            error.contains("damaged") && error.contains("backup"),
            "page {page}: {error}"
        );
    }
    fs::write(&database, whole).unwrap();
    assert_eq!(start(dir.path(), &clock).await.unwrap(), NOON);
}

/// Starts on a directory and stops again; the tenant's time.
async fn start(dir: &Path, clock: &super::world::ManualClock) -> Result<i64, String> {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(DataDir::database(dir), DataDir::database(copy.path())).unwrap();
    match World::open(copy, clock.clone(), &[]).await {
        Ok(world) => {
            let time = world.view().await.time.unix_micros();
            world.stop().await;
            Ok(time)
        }
        Err((_, error)) => Err(error.to_string()),
    }
}
