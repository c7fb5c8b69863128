//! Entries that are let go: what stays, what fails, and what is found out.

use std::{collections::BTreeMap, fs, path::Path};

use entry::{Class, Event, GoneError, Status};
use futures_util::TryStreamExt as _;
use model::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;
use tlog::Stored;

use super::world::{
    HOUR, ManualClock, NOON, SECOND, World, assert_same, by, denied, ended, key_issued, patiently, tenant,
};
use crate::{
    Batch, BatchError, ChangeError, Changed, DataDir, Expiry, Reader, Refold, StoreError, Tiles, View,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
    packing::tests::store_as,
};

/// What is in a log, entry by entry: the kind of what is there.
type Kinds = Vec<Option<&'static str>>;

/// A world with calls that are old and some that are not.
async fn world() -> World {
    let world = World::new().await;
    for number in 1..9 {
        world.held(number, 100).await.settle(ended(30));
        world.open_is(0).await;
    }
    world.change(vec![key_issued("kb")]).await.unwrap();
    world.clock.pass(HOUR);
    world.handle.deny(denied(20)).await.unwrap();
    world
}

/// What of some classes can go up to an instant.
async fn look(world: &World, until: &[(Class, i64)]) -> Expiry {
    let until = until.iter().copied();
    let until = until.map(|(class, until)| (class, Timestamp::from_unix_micros(until)));
    let (said, none, until) = (world.view().await.evidence, BTreeMap::new(), until.collect());
    let tenant = tenant();
    let found = world.reader.expiry(&tenant, &said, &until, u64::MAX, &none);
    found.await.unwrap()
}

/// Has all calls expire that are an hour old.
async fn expire(world: &World) -> Result<Changed, ChangeError> {
    let found = look(world, &[(Class::Calls, NOON + HOUR - 1)]).await;
    assert_eq!(found.count(), 16);
    world.handle.expire(tenant(), found, by()).await
}

async fn sign(world: &World) {
    let size = world.view().await.size;
    let saved = world.handle.save_checkpoint(tenant(), size, "signed".to_owned());
    saved.await.unwrap();
}

/// Reads a log back through a reader of its own, checking all of it. What starts and stops record is passed over.
async fn read(dir: &Path) -> Result<(View, Kinds, Option<u64>), BatchError> {
    let reader = Reader::open(dir).await.unwrap();
    let snapshot = reader.snapshot(&tenant(), u64::MAX).await.unwrap();
    let mut log = Refold::new(tenant(), snapshot);
    let batches: Vec<Batch> = reader.batches(&tenant(), 0).try_collect().await.unwrap();
    let mut kinds: Kinds = Vec::new();
    for batch in &batches {
        for stored in batch.entries()? {
            let entry = stored.bytes().map(|bytes| entry::Entry::decode(bytes).unwrap());
            let kind = entry.map(|entry| entry.event.kind());
            kinds.extend((!matches!(kind, Some("started" | "stopped"))).then_some(kind));
        }
        log.take(batch, |_, _| {})?;
    }
    let (state, range, left) = log.finish()?;
    let mut shard = super::super::shard::Shard::new(tenant());
    (shard.state, shard.range) = (state, range);
    Ok((shard.view(), kinds, left))
}

fn gone(kinds: &Kinds) -> usize {
    kinds.iter().filter(|kind| kind.is_none()).count()
}

/// Waits until all that was let go is gone. The log folds to what the committer has.
async fn released(world: &World) -> Kinds {
    let waited = patiently(async {
        loop {
            match read(world.dir.path()).await {
                Ok((_, kinds, None)) => return kinds,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let kinds = waited.await;
    let view = world.view().await;
    let (folded, ..) = read(world.dir.path()).await.unwrap();
    assert_same(&view, &folded);
    assert_eq!(view.evidence, folded.evidence);
    kinds
}

fn expected() -> Kinds {
    let mut kinds = vec![Some("budget_loaded"), Some("agent_loaded"), Some("key_issued")];
    kinds.extend([None; 16]);
    kinds.extend(["key_issued", "denial", "snapshot_taken", "expired"].map(Some));
    kinds
}

#[tokio::test]
async fn what_is_old_is_let_go_and_the_tree_stays() {
    let world = world().await;
    let open = world.held(30, 100).await;
    expire(&world).await.unwrap();
    let before = world.view().await;
    sign(&world).await;
    let mut kinds = released(&world).await;
    assert_eq!(kinds.remove(21), Some("intent"));
    assert_eq!(kinds, expected());
    let tiles = Tiles::new(world.dir.path(), world.reader.clone(), 0);
    let head = world.handle.heads().borrow()[&tenant()];
    assert_eq!(tiles.catch_up(&tenant(), head.size).await.unwrap(), head.root);
    // It goes on, and so does a start.
    open.settle(ended(30));
    world.open_is(0).await;
    let balance = world.balance().await;
    let world = world.restart().await;
    assert_eq!(world.view().await.evidence, before.evidence);
    assert_eq!(world.balance().await, balance);
    drop(world.held(40, 100).await);
    world.open_is(0).await;
    // Again, from where it ended.
    world.clock.pass(HOUR);
    let until = [(Class::Calls, NOON + 2 * HOUR - 1), (Class::Administration, NOON)];
    let found = look(&world, &until).await;
    assert_eq!(
        found.counts(),
        &BTreeMap::from([(Class::Calls, 5), (Class::Administration, 4)])
    );
    world.handle.expire(tenant(), found, by()).await.unwrap();
    sign(&world).await;
    let kinds = released(&world).await;
    assert_eq!(gone(&kinds), 25);
    let world = world.restart().await;
    assert_eq!(world.view().await.agents.len(), 1);
    drop(world.held(50, 100).await);
    world.open_is(0).await;
    released(&world).await;
}

/// The steps, what becomes of the appends of each, and whether it is in the log that entries are let go.
#[tokio::test]
async fn every_step_fails_and_fails_but_lands() {
    let said: &[&[Fate]] = &[&[Fails], &[FailsButLands]];
    for fates in said {
        let world = world().await;
        world.faults.appends(fates);
        assert_eq!(
            expire(&world).await,
            Err(ChangeError::Unavailable(crate::Unavailable)),
            "{fates:?}"
        );
        world.faults_are_met().await;
        world.healthy().await;
        let landed = world.view().await.evidence.gone > 0;
        assert_eq!(landed, fates == &[FailsButLands], "{fates:?}");
        let world = world.restart().await;
        if !landed {
            expire(&world).await.unwrap();
        }
        sign(&world).await;
        assert_eq!(released(&world).await, expected(), "{fates:?}");
        world.restart().await;
    }
    let released_by: &[&[Fate]] = &[
        &[Fails],
        &[FailsButLands],
        &[Fails, Fails, FailsButLands],
        &[Works, Fails],
        &[Works, FailsButLands, Fails],
        &[Works, Works, FailsButLands],
    ];
    for fates in released_by {
        let world = world().await;
        expire(&world).await.unwrap();
        world.faults.appends(fates);
        sign(&world).await;
        world.faults_are_met().await;
        world.healthy().await;
        assert_eq!(released(&world).await, expected(), "{fates:?}");
        let world = world.restart().await;
        assert_eq!(released(&world).await, expected(), "{fates:?}");
    }
}

/// The process dies between any two steps.
#[tokio::test]
async fn a_start_finishes_what_was_begun() {
    for steps in 0..8 {
        let world = world().await;
        expire(&world).await.unwrap();
        // So many steps were begun, of which the last may not have landed.
        world.faults.appends(&vec![Works; steps]);
        sign(&world).await;
        world.faults_are_met().await;
        let (dir, clock): (TempDir, ManualClock) = world.crash().await;
        let (_, kinds, left) = read(dir.path()).await.unwrap();
        assert!(
            (steps < 2 || gone(&kinds) > 0) && (gone(&kinds) == 16) == left.is_none(),
            "{kinds:?}"
        );
        let world = World::open(dir, clock, &[])
            .await
            .unwrap_or_else(|(_, error)| panic!("{error}"));
        assert_eq!(released(&world).await, expected(), "{steps}");
        world.restart().await;
    }
}

#[tokio::test]
async fn nothing_goes_before_it_is_signed_or_under_a_legal_hold() {
    let world = world().await;
    let set = |name: &str| Event::LegalHoldSet {
        name: name.to_owned(),
        note: String::new(),
        by: by(),
    };
    let lifted = |name: &str| Event::LegalHoldLifted {
        name: name.to_owned(),
        note: String::new(),
        by: by(),
    };
    world.change(vec![set("case")]).await.unwrap();
    let refused = expire(&world).await.unwrap_err();
    assert!(refused.to_string().contains("legal hold"), "{refused}");
    world.change(vec![lifted("case")]).await.unwrap();
    expire(&world).await.unwrap();
    let more = look(&world, &[(Class::Calls, NOON + HOUR)]).await;
    let again = world.handle.expire(tenant(), more, by()).await.unwrap_err();
    assert!(again.to_string().contains("is still being let go"), "{again}");
    // Signed, but not with the entry that says so.
    let size = world.view().await.size;
    let saved = world.handle.save_checkpoint(tenant(), size - 1, "signed".to_owned());
    saved.await.unwrap();
    let world = world.restart().await;
    let (_, kinds, left) = read(world.dir.path()).await.unwrap();
    assert_eq!((gone(&kinds), left), (0, Some(4)));
    // The hold came after the entry.
    world.change(vec![set("case")]).await.unwrap();
    sign(&world).await;
    let world = world.restart().await;
    world.handle.deny(denied(41)).await.unwrap();
    let (_, kinds, _) = read(world.dir.path()).await.unwrap();
    assert_eq!(gone(&kinds), 0);
    world.change(vec![lifted("case")]).await.unwrap();
    assert_eq!(gone(&released(&world).await), 16);
}

/// The clock jumps after it was looked at what is old.
#[tokio::test]
async fn nothing_goes_by_a_clock_that_jumped() {
    let world = world().await;
    world.clock.step(48 * HOUR);
    let refused = expire(&world).await.unwrap_err();
    assert!(refused.to_string().contains("the wall clock jumped"), "{refused}");
    world.clock.step(-48 * HOUR);
    expire(&world).await.unwrap();
    sign(&world).await;
    assert_eq!(gone(&released(&world).await), 16);
}

/// What was let go cannot be read from the disk any more, once the write-ahead log is folded.
#[tokio::test]
async fn the_bytes_are_overwritten() {
    let world = world().await;
    let clock = world.clock.clone();
    let action = super::world::action_id(3).to_string();
    let found = |dir: &Path| {
        let file = fs::read(DataDir::database(dir)).unwrap();
        file.windows(action.len())
            .filter(|part| *part == action.as_bytes())
            .count()
    };
    let dir = world.stop().await;
    // Packed, it might stand there in pieces.
    let path = DataDir::database(dir.path());
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    // As the server does: a page whose rows go to others is emptied.
    connection.execute("PRAGMA secure_delete = FAST").await.unwrap();
    store_as(&mut connection, false).await;
    connection.close().await.unwrap();
    let world = World::open(dir, clock, &[])
        .await
        .unwrap_or_else(|(_, error)| panic!("{error}"));
    assert!(found(world.dir.path()) > 0);
    expire(&world).await.unwrap();
    sign(&world).await;
    released(&world).await;
    let dir = world.stop().await;
    assert_eq!(found(dir.path()), 0);
}

async fn execute(dir: &Path, sql: &str) {
    let path = DataDir::database(dir);
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

/// Has one more entry vanish, as the ones did that were let go.
async fn vanish(dir: &Path, index: u64) {
    let reader = Reader::open(dir).await.unwrap();
    let batch = reader.page(&tenant(), index).await.unwrap().remove(0);
    let mut entries = Vec::new();
    for (at, stored) in (batch.first_index..).zip(batch.entries().unwrap()) {
        let stored = if at == index {
            Stored::Gone(stored.leaf())
        } else {
            stored
        };
        tlog::kept::push(&mut entries, &stored).unwrap();
    }
    let hex: String = entries.iter().map(|byte| format!("{byte:02X}")).collect();
    let sql = format!(
        "UPDATE batch SET entries = X'{hex}', form = 0 WHERE tenant = 'default' AND first_index = {}",
        batch.first_index
    );
    execute(dir, &sql).await;
}

async fn refused(dir: TempDir, clock: ManualClock) -> BatchError {
    match World::open(dir, clock, &[]).await {
        Err((_, StoreError::Corrupt { source, .. })) => source,
        Err((_, error)) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn nothing_else_can_vanish() {
    let clock = |world: &World| world.clock.clone();
    let untouched = world().await;
    let (time, dir) = (clock(&untouched), untouched.stop().await);
    vanish(dir.path(), 4).await;
    assert_eq!(refused(dir, time).await, BatchError::NoSnapshot(4));

    let pruned = || async {
        let world = world().await;
        expire(&world).await.unwrap();
        sign(&world).await;
        released(&world).await;
        (clock(&world), world.stop().await)
    };
    for (index, error) in [
        // The start: nobody said that it was let go.
        (
            0,
            GoneError::Count {
                gone: 17,
                left: 0,
                said: 16,
            },
        ),
        // The denial, which is not old enough.
        (21, GoneError::NotLetGo(21)),
    ] {
        let (time, dir) = pruned().await;
        vanish(dir.path(), index).await;
        assert_eq!(refused(dir, time).await, BatchError::Gone(error));
    }
    // Nor while entries are still to go.
    let begun = world().await;
    expire(&begun).await.unwrap();
    begun.faults.appends(&[Works; 2]);
    sign(&begun).await;
    begun.faults_are_met().await;
    let (dir, time) = begun.crash().await;
    let (_, kinds, left) = read(dir.path()).await.unwrap();
    let gone_there = u64::try_from(gone(&kinds)).unwrap();
    assert!((1..16).contains(&gone_there) && left.is_some());
    vanish(dir.path(), 0).await;
    let count = GoneError::Count {
        gone: gone_there + 1,
        left: 16 - gone_there,
        said: 16,
    };
    assert_eq!(refused(dir, time).await, BatchError::Gone(count));
    let (time, dir) = pruned().await;
    execute(dir.path(), "DELETE FROM snapshot").await;
    assert_eq!(refused(dir, time).await, BatchError::NoSnapshot(4));
    let (time, dir) = pruned().await;
    execute(
        dir.path(),
        "UPDATE snapshot SET state = CAST(replace(CAST(state AS TEXT), '\"kb\"', '\"kc\"') AS BLOB)",
    )
    .await;
    let error = refused(dir, time).await;
    assert!(matches!(error, BatchError::Snapshot { index: 22, .. }), "{error}");
    let (time, dir) = pruned().await;
    execute(dir.path(), "UPDATE snapshot SET entry = 20").await;
    let error = refused(dir, time).await;
    assert!(matches!(error, BatchError::Snapshot { index: 20, .. }), "{error}");
}

/// A call that failed is the same after its intent was let go: what is open stands in the snapshot.
#[tokio::test]
async fn a_call_that_was_let_go_while_it_ran_is_booked() {
    let world = world().await;
    let hold = world.held(30, 100).await;
    world.clock.pass(SECOND);
    let found = look(&world, &[(Class::Calls, NOON + HOUR)]).await;
    assert_eq!(found.count(), 18);
    world.handle.expire(tenant(), found, by()).await.unwrap();
    sign(&world).await;
    released(&world).await;
    drop(hold);
    world.open_is(0).await;
    let reader = world.reader.clone();
    let size = world.view().await.size;
    let last = reader.entry(&tenant(), size - 1).await.unwrap().unwrap();
    let last = entry::Entry::decode(last.bytes().unwrap()).unwrap();
    let Event::Outcome(outcome) = last.event else {
        panic!("{last:?}")
    };
    assert_eq!((outcome.intent, outcome.status), (22, Status::NotForwarded));
    world.restart().await;
}
