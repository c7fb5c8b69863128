//! What a stop still writes, and what comes too late for it.

use std::sync::atomic::Ordering::Relaxed;

use entry::Status;
use model::Pseudonym;

use super::world::{World, denied, ended, key_issued, request, system_log, tenant};
use crate::{ChangeError, Hold, HoldAnswer, Person, Reader, Unavailable};

/// More ends than fit into a batch, all sent before the order to stop.
#[tokio::test]
async fn every_end_before_the_stop_is_written() {
    let clock = World::new().await;
    let time = clock.clock.clone();
    let Ok(world) = World::open_with(clock.stop().await, time.clone(), &[], 3_000).await else {
        panic!()
    };
    let epoch = world.view().await.epoch;
    let asked = (0..2_500).map(|number| world.handle.hold(request(number, 0, epoch)));
    let holds: Vec<Hold> = futures_util::future::join_all(asked)
        .await
        .into_iter()
        .map(|answer| match answer {
            HoldAnswer::Held(hold) => hold,
            other => panic!("{other:?}"),
        })
        .collect();
    holds.into_iter().for_each(|hold| hold.settle(ended(0)));
    let dir = world.stop().await;
    let Ok(world) = World::open(dir, time, &[]).await else {
        panic!()
    };
    let outcomes = world.outcomes().await;
    assert_eq!(outcomes, vec![(Status::Ok, 0); 2_500]);
}

/// The end of a call that began on an allowance takes the way over the spool's task. With one thread, the task that was
/// woken last runs first: the committer, before the end has reached it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_end_that_is_with_the_spool_is_written_too() {
    let world = World::with_spool().await;
    let epoch = world.view().await.epoch;
    world.faults.read_only(true);
    assert!(world.handle.deny(denied(1)).await.is_err());
    let HoldAnswer::Held(hold) = world.handle.hold_on_allowance(request(2, 100, epoch)).await else {
        panic!()
    };
    world.faults.read_only(false);
    world.healthy().await;
    // Renews the allowance: nothing else is to be written.
    world.handle.deny(denied(3)).await.unwrap();
    let handle = world.handle.clone();
    let stopping = tokio::spawn(async move {
        hold.settle(ended(30));
        handle.stop("requested").await;
    });
    stopping.await.unwrap();
    let world = world.restart().await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 30)]);
}

#[tokio::test]
async fn what_comes_after_the_stop_is_refused() {
    let world = World::new().await;
    let open = world.held(1, 100).await;
    let request = world.request(2, 100).await;
    let handle = world.handle.clone();
    // In one batch: before the stop, the stop, behind it.
    let (before, (), hold, denial, change, view, remember, ()) = tokio::join!(
        handle.change(tenant(), vec![key_issued("kb")]),
        handle.stop("requested"),
        handle.hold(request.clone()),
        handle.deny(denied(3)),
        handle.change(tenant(), vec![key_issued("kc")]),
        handle.view(tenant()),
        handle.remember(tenant(), Vec::new()),
        handle.stop("again"),
    );
    assert!(before.is_ok());
    assert!(matches!(hold, HoldAnswer::Unavailable), "{hold:?}");
    assert_eq!(denial, Err(Unavailable));
    assert_eq!(change, Err(ChangeError::Unavailable(Unavailable)));
    assert!(view.is_err() && remember.is_err());
    // Who asks again is told the same.
    handle.stop("once more").await;
    // The last heads can still be signed.
    assert!(handle.save_checkpoint(tenant(), 1, "note".to_owned()).await.is_ok());
    handle.close().await;
    assert_eq!(world.troubled().await, "the committer has stopped");

    // Later ones too, and they do not wait.
    assert!(matches!(handle.hold(request).await, HoldAnswer::Unavailable));
    assert!(handle.view(tenant()).await.is_err());
    handle.stop("requested").await;
    // An end after the stop is lost; the next start books it.
    open.settle(ended(10));
    let clock = world.clock.clone();
    let dir = world.stop().await;
    assert_eq!(system_log(dir.path()).await, [("started", 1), ("stopped", 1)]);
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!()
    };
    assert_eq!(world.kinds().await, ["intent", "key_issued", "outcome"]);
    assert_eq!(world.outcomes().await, [(Status::Indeterminate, 100)]);
}

/// Handles that are gone do not take the holds with them.
#[tokio::test]
async fn ends_are_taken_after_the_last_handle() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let (clock, stats) = (world.clock.clone(), world.handle.stats.clone());
    let (dir, task) = world.abandon();
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    assert_eq!(stats.open_holds.load(Relaxed), 1);
    hold.settle(ended(10));
    task.await.unwrap();
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!()
    };
    assert_eq!(world.outcomes().await, [(Status::Ok, 10)]);
    assert_eq!(system_log(world.dir.path()).await, [("started", 1), ("started", 2)]);
}

#[tokio::test]
async fn a_dead_committer_is_seen() {
    let world = World::new().await;
    let (handle, request) = (world.handle.clone(), world.request(1, 100).await);
    world.crash().await;
    assert!(handle.health().borrow().trouble.is_some());
    assert!(matches!(handle.hold(request).await, HoldAnswer::Unavailable));
}

#[tokio::test]
async fn people_and_checkpoints_are_kept_outside_the_log() {
    let world = World::new().await;
    let size = world.view().await.size;
    let person = |identity: &str| Person {
        pseudonym: Pseudonym("4e07408562bedb8b60ce05c1decfe3ad".to_owned()),
        key_epoch: 1,
        identity: identity.to_owned(),
    };
    let handle = &world.handle;
    handle
        .remember(tenant(), vec![person("ada@acme.example")])
        .await
        .unwrap();
    handle
        .remember(tenant(), vec![person("eve@acme.example")])
        .await
        .unwrap();
    handle.save_checkpoint(tenant(), 2, "two".to_owned()).await.unwrap();
    handle.save_checkpoint(tenant(), 1, "one".to_owned()).await.unwrap();
    let reader = Reader::open(world.dir.path()).await.unwrap();
    let found = reader.person(&tenant(), &person("").pseudonym).await.unwrap();
    assert_eq!(found.as_deref(), Some("ada@acme.example"));
    assert_eq!(reader.checkpoint(&tenant()).await.unwrap().as_deref(), Some("two"));
    assert_eq!(world.view().await.size, size);
    assert_eq!(world.balance().await.used(), ledger::Amount::ZERO);
}
