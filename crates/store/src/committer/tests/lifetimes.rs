//! Restarts, expiry and clocks.

use entry::Status;
use ledger::Amount;
use model::NanoUsd;

use super::world::{HOUR, LIFETIME, NOON, SECOND, World, budget_loaded, denied, ended, system_log};
use crate::{Clock as _, DataDir, HoldAnswer, StoreError};

#[tokio::test]
async fn holds_that_a_crash_left_open_are_booked_in_full() {
    let world = World::new().await;
    let mut begun = world.held(1, 400).await;
    begun.begin();
    let waiting = world.held(2, 100).await;
    assert_eq!(world.handle.boot(), 1);
    let (dir, clock) = world.crash().await;
    // Their owners do not know yet, and have nobody to tell.
    begun.settle(ended(1));
    drop(waiting);
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!()
    };
    assert_eq!(world.handle.boot(), 2);
    assert_eq!(
        world.outcomes().await,
        [(Status::Indeterminate, 400), (Status::Indeterminate, 100)]
    );
    let balance = &world.balance().await;
    assert_eq!((balance.settled, balance.held), (Amount(500), Amount::ZERO));
    assert_eq!(world.handle.open_holds(), 0);
    // The next hold has what they left.
    let hold = world.held(3, 500).await;
    assert_eq!(hold.remaining(), Some(NanoUsd::ZERO));
    drop(hold);

    let world = world.restart().await;
    assert_eq!(world.handle.boot(), 3);
    assert_eq!(
        system_log(world.dir.path()).await,
        [("started", 1), ("started", 2), ("stopped", 2), ("started", 3)]
    );
}

#[tokio::test]
async fn a_hold_expires() {
    let world = World::new().await;
    let (kept, lost) = (world.held(1, 100).await, world.held(2, 200).await);
    std::mem::forget(lost);
    world.clock.pass(LIFETIME - 1);
    world.open_is(2).await;
    kept.settle(ended(10));
    world.open_is(1).await;
    // It is looked for every five seconds.
    world.clock.pass(5 * SECOND);
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 10), (Status::Indeterminate, 200)]);
}

#[tokio::test]
async fn an_end_after_expiry_changes_nothing() {
    let world = World::new().await;
    let late = world.held(1, 100).await;
    world.clock.pass(LIFETIME);
    world.open_is(0).await;
    let size = world.view().await.size;
    late.settle(ended(10));
    // An end in the queue goes before what is asked after it.
    assert_eq!(world.view().await.size, size);
    assert_eq!(world.outcomes().await, [(Status::Indeterminate, 100)]);
    assert_eq!(world.balance().await.settled, Amount(100));
    world.held(2, 900).await.settle(ended(0));
    world.open_is(0).await;
}

/// An end that comes with the same batch as the expiry of its hold is still in time.
#[tokio::test]
async fn an_end_goes_before_expiry() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    world.clock.pass(2 * LIFETIME);
    hold.settle(ended(10));
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 10)]);
}

#[tokio::test]
async fn time_stands_still_while_the_clock_is_behind() {
    let world = World::new().await;
    world.clock.pass(HOUR);
    world.handle.deny(denied(1)).await.unwrap();
    world.clock.step(-48 * HOUR);
    world.handle.deny(denied(2)).await.unwrap();
    let hold = world.held(3, 100).await;
    assert_eq!(hold.placed().unix_micros(), NOON + HOUR);
    let view = world.view().await;
    assert_eq!(view.time.unix_micros(), NOON + HOUR);
    assert_eq!(world.balance().await.held, Amount(100));
    // Coming right again is no jump, however far the clock was behind.
    world.clock.step(48 * HOUR);
    world.clock.pass(SECOND);
    let next = world.held(4, 100).await;
    assert_eq!(next.placed().unix_micros(), NOON + HOUR + SECOND);
    drop((hold, next));
    world.open_is(0).await;
    world.log().await;
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_admits_nothing() {
    let world = World::new().await;
    world.held(1, 400).await.settle(ended(400));
    let (ending, open) = (world.held(2, 100).await, world.held(3, 100).await);
    world.open_is(2).await;

    // A step of a day is believed; a little more is not.
    world.clock.step(24 * HOUR + 1);
    let answer = world.handle.hold(world.request(4, 100).await).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    assert!(world.troubled().await.contains("jumped 24 hours ahead"));
    // It stays said, also after a commit that worked.
    world.handle.deny(denied(5)).await.unwrap();
    assert!(world.handle.health().borrow().trouble.is_some());
    // What is recorded meanwhile goes by the steady clock: no hold expires, no budget starts anew.
    world.clock.pass(SECOND);
    ending.settle(ended(50));
    world.open_is(1).await;
    let view = world.view().await;
    assert_eq!(view.time.unix_micros(), NOON + SECOND);
    assert_eq!(
        (world.balance().await.settled, world.balance().await.held),
        (Amount(450), Amount(100))
    );
    assert!(world.handle.health().borrow().trouble.is_some());

    world.clock.step(-24 * HOUR - 1);
    let hold = world.held(6, 450).await;
    assert_eq!(hold.placed().unix_micros(), NOON + SECOND);
    assert_eq!(world.handle.health().borrow().trouble, None);
    drop((hold, open));
    world.open_is(0).await;
    world.log().await;
}

#[tokio::test]
async fn a_step_of_a_day_is_believed() {
    let world = World::new().await;
    world.held(1, 1_000).await.settle(ended(1_000));
    world.open_is(0).await;
    world.clock.step(24 * HOUR);
    let hold = world.held(2, 1_000).await;
    assert_eq!(hold.placed().unix_micros(), NOON + 24 * HOUR);
    assert_eq!(world.handle.health().borrow().trouble, None);
}

/// There is nothing to check the clock of a start against but the log, in which no time passes while the server is off.
#[tokio::test]
async fn a_start_believes_the_clock() {
    let world = World::new().await;
    world.clock.step(1_000 * HOUR);
    let answer = world.handle.hold(world.request(1, 1).await).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    let world = world.restart().await;
    let hold = world.held(2, 1).await;
    assert_eq!(hold.placed(), world.clock.now());
}

#[tokio::test]
async fn a_directory_has_one_server() {
    let world = World::new().await;
    let error = DataDir::open(world.dir.path()).unwrap_err();
    let StoreError::InUse { owner, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(owner.as_deref(), Some(std::process::id().to_string().as_str()));
    assert_eq!(
        error.to_string(),
        format!(
            "{} is in use by another process (process {}). One server at a time may use a data directory: stop the other one, or set another data_dir",
            world.dir.path().display(),
            std::process::id()
        )
    );
    let dir = world.stop().await;
    DataDir::open(dir.path()).unwrap();
}

/// More batches than a page of the log has, from any entry on.
#[tokio::test]
async fn the_log_is_read_in_pages() {
    use futures_util::TryStreamExt as _;

    let world = World::empty().await;
    for number in 0..300 {
        let events = (0..=number % 3).map(|_| budget_loaded(number)).collect();
        world.change(events).await.unwrap();
    }
    let reader = crate::Reader::open(world.dir.path()).await.unwrap();
    let read = async |from| -> Vec<crate::Batch> {
        reader
            .batches(&super::world::tenant(), from)
            .try_collect()
            .await
            .unwrap()
    };
    let all = read(0).await;
    assert_eq!(all.len(), 300);
    let size = world.view().await.size;
    assert_eq!((reader.size(&super::world::tenant()).await.unwrap(), size), (601, 601));
    for from in (0..size).step_by(37).chain([255, 256, 511, 512, 600]) {
        let tail = read(from).await;
        let first = all.partition_point(|batch| batch.first_index + batch.count <= from);
        assert_eq!(tail, all[first..], "from {from}");
    }
    assert_eq!(read(601).await, []);
    assert_eq!(read(u64::MAX).await, []);
    let tenants: Vec<String> = reader
        .tenants()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(tenants, ["_system", "default"]);
    let world = world.restart().await;
    // With a stop and another start.
    assert_eq!(world.log().await.0.state.size, 603);
}
