//! Going on while the log cannot be written: what an allowance lets through, and how it comes into the log, whatever fails
//! on the way.

use std::{fs, path::Path};

use entry::{Event, Status};
use ledger::{Amount, Pot};
use model::{BudgetName, NanoUsd};

use super::world::{
    HOUR, LIFETIME, World, budget_loaded, denied, ended, key_revoked, patiently, request, tenant, with_allowance,
};
use crate::{
    Hold, HoldAnswer,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
    spool::{self, SpoolFile},
};

/// The log's disk fails, and the first to notice is refused.
async fn goes_down(world: &World) {
    world.faults.read_only(true);
    assert!(world.handle.deny(denied(1_000)).await.is_err());
    world.troubled().await;
}

/// A call on the allowance.
async fn spooled(world: &World, number: u32, amount: i64) -> Option<Hold> {
    let epoch = world.handle.heads().borrow()[&tenant()].epoch;
    match world.handle.hold_on_allowance(request(number, amount, epoch)).await {
        HoldAnswer::Held(hold) => Some(hold),
        HoldAnswer::Unavailable => None,
        other => panic!("{other:?}"),
    }
}

/// Waits until so many ends are in the spool.
async fn ends_in_spool(dir: &Path, ends: usize) {
    let found = || {
        let bytes = fs::read(dir.join("spool/bailiwick.spool")).unwrap();
        bytes.windows(9).filter(|window| *window == b"\"outcome\"").count()
    };
    patiently(async {
        while found() < ends {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What is booked, what is held, and what of that is the allowance.
async fn standing(world: &World) -> (i64, i64, i64) {
    let (shard, _) = world.log().await;
    let own = BudgetName::new("own").unwrap();
    let balance = shard.state.ledger.balance(&Pot::from(own), shard.state.time).unwrap();
    let allowances = shard
        .state
        .ledger
        .allowances()
        .map(|(_, hold)| hold.amount.money.0)
        .sum();
    (balance.settled.0, balance.held.0, allowances)
}

/// Waits until the allowance is whole again, which the next batch sees to.
async fn renewed(world: &World, amount: i64) {
    world.handle.deny(denied(2_000)).await.unwrap();
    let (_, held, allowance) = standing(world).await;
    assert_eq!((held, allowance), (amount, amount));
}

#[tokio::test]
async fn an_allowance_is_reserved_spent_and_taken_into_the_log() {
    let world = World::with_spool().await;
    assert_eq!(standing(&world).await, (0, 400, 400));
    // It is reserved: nobody else gets it.
    let over = world.handle.hold(world.request(1, 601).await).await;
    assert!(matches!(over, HoldAnswer::Refused(..)), "{over:?}");
    // While all is well nothing is let through on it.
    assert!(spooled(&world, 2, 10).await.is_none());
    let before = world.held(3, 100).await;
    goes_down(&world).await;
    let first = spooled(&world, 4, 150).await.unwrap();
    assert_eq!(first.remaining(), Some(NanoUsd(250)));
    first.settle(ended(20));
    ends_in_spool(world.dir.path(), 1).await;
    let second = spooled(&world, 5, 300).await.unwrap();
    // 400 less 20 that were used less 300 that may be.
    assert_eq!(second.remaining(), Some(NanoUsd(80)));
    assert!(spooled(&world, 6, 81).await.is_none());
    before.settle(ended(7));
    world.faults.read_only(false);
    world.healthy().await;
    assert!(spooled(&world, 7, 1).await.is_none());
    second.settle(ended(250));
    world.open_is(0).await;
    let mut outcomes = world.outcomes().await;
    outcomes.sort_unstable_by_key(|(_, cost)| *cost);
    assert_eq!(outcomes, [(Status::Ok, 7), (Status::Ok, 20), (Status::Ok, 250)]);
    renewed(&world, 400).await;
    assert_eq!(standing(&world).await.0, 277);
    let (_, entries) = world.log().await;
    let applied = entries.iter().find_map(|entry| match &entry.event {
        Event::SpoolApplied(applied) => Some((applied.calls, applied.held.0, applied.records)),
        _ => None,
    });
    assert_eq!(applied, Some((2, 450, 3)));
    let world = world.restart().await;
    renewed(&world, 400).await;
}

/// What fails while the spool is taken into the log, and whether the server lives on or dies over it.
const CRASH_POINTS: &[(&[Fate], usize, bool)] = &[
    (&[], 0, false),
    (&[Fails], 0, false),
    (&[FailsButLands], 0, false),
    (&[Fails, FailsButLands], 0, false),
    (&[FailsButLands, FailsButLands], 0, false),
    (&[], 1, false),
    (&[], 2, false),
    (&[FailsButLands], 2, false),
    (&[], 0, true),
    (&[Fails], 0, true),
    (&[FailsButLands], 0, true),
    (&[Works], 1, true),
    (&[FailsButLands], 1, true),
];

#[tokio::test]
async fn each_step_of_the_reconciliation_fails() {
    for (fates, resets, dies) in CRASH_POINTS {
        let name = format!("{fates:?} {resets} {dies}");
        let world = World::with_spool().await;
        goes_down(&world).await;
        spooled(&world, 1, 150).await.unwrap().settle(ended(20));
        ends_in_spool(world.dir.path(), 1).await;
        let mut second = spooled(&world, 2, 300).await.unwrap();
        second.begin();
        let (world, last) = if *dies {
            let (mut dir, clock) = world.crash().await;
            let mut starts = 0;
            let world = loop {
                starts += 1;
                assert!(starts < 5, "{name}");
                let (fates, resets) = if starts == 1 { (*fates, *resets) } else { (&[][..], 0) };
                match World::open_without_reset(dir, clock.clone(), fates, resets).await {
                    Ok(world) => break world,
                    Err((left, _)) => dir = left,
                }
            };
            drop(second);
            (world, (Status::Indeterminate, 300))
        } else {
            world.faults.appends(fates);
            world.faults.spool.resets(*resets);
            world.faults.read_only(false);
            world.faults_are_met().await;
            world.healthy().await;
            second.settle(ended(250));
            (world, (Status::Ok, 250))
        };
        world.open_is(0).await;
        assert_eq!(world.outcomes().await, [(Status::Ok, 20), last], "{name}");
        renewed(&world, 400).await;
        assert_eq!(standing(&world).await.0, 20 + last.1, "{name}");
        // The spool is empty, and works again.
        goes_down(&world).await;
        drop(spooled(&world, 3, 400).await.expect(&name));
        world.faults.read_only(false);
        world.healthy().await;
        world.open_is(0).await;
        let world = world.restart().await;
        assert_eq!(world.outcomes().await.len(), 3, "{name}");
    }
}

/// A spool that fails lets nothing through, and what it does not know counts as spent until it is read.
#[tokio::test]
async fn the_spool_fails() {
    for (fate, goes_on, voided) in [
        (spool::Fate::Fails, true, 0),
        (spool::Fate::Tears, false, 0),
        (spool::Fate::FailsButLands, false, 1),
    ] {
        let world = World::with_spool().await;
        goes_down(&world).await;
        world.faults.spool.appends(&[fate]);
        assert!(spooled(&world, 1, 300).await.is_none(), "{fate:?}");
        let next = spooled(&world, 2, 400).await;
        assert_eq!(next.is_some(), goes_on, "{fate:?}");
        drop(next);
        world.faults.read_only(false);
        world.healthy().await;
        world.open_is(0).await;
        let expected = usize::from(goes_on) + voided;
        assert_eq!(
            world.outcomes().await,
            vec![(Status::NotForwarded, 0); expected],
            "{fate:?}"
        );
        renewed(&world, 400).await;
    }
}

/// An end whose write failed and landed all the same is not written again once the spool was read: the log would be
/// offered two ends of one call, and refuse them for good.
#[tokio::test]
async fn an_end_that_landed_in_the_spool_unseen() {
    // What fails from the first look into the spool to the next call: taking its records into the log, or emptying it.
    for (fates, resets) in [(&[Fails; 1_000][..], 0), (&[FailsButLands], usize::MAX)] {
        let world = World::with_spool().await;
        goes_down(&world).await;
        let first = spooled(&world, 1, 150).await.unwrap();
        world.faults.spool.appends(&[spool::Fate::FailsButLands]);
        first.settle(ended(20));
        ends_in_spool(world.dir.path(), 1).await;
        // Nothing is written behind what nobody knows of.
        assert!(spooled(&world, 2, 10).await.is_none());
        world.faults.appends(fates);
        world.faults.spool.resets(resets);
        world.faults.read_only(false);
        // Once it was read it takes calls again, and with each the ends that wait.
        let third = patiently(async {
            let mut number = 3;
            loop {
                number += 1;
                match spooled(&world, number, 300).await {
                    Some(hold) => return hold,
                    None => tokio::task::yield_now().await,
                }
            }
        });
        let third = third.await;
        world.faults.appends_work();
        world.faults.spool.resets(0);
        world.healthy().await;
        third.settle(ended(7));
        world.open_is(0).await;
        assert_eq!(world.outcomes().await, [(Status::Ok, 20), (Status::Ok, 7)], "{resets}");
        renewed(&world, 400).await;
        assert_eq!(standing(&world).await.0, 27, "{resets}");
        let world = world.restart().await;
        assert_eq!(world.outcomes().await.len(), 2, "{resets}");
    }
}

/// Emptying the spool fails although it is empty then: it goes on with the file that is there.
#[tokio::test]
async fn a_spool_that_was_emptied_unseen() {
    let world = World::with_spool().await;
    goes_down(&world).await;
    let mut first = spooled(&world, 1, 150).await.unwrap();
    first.begin();
    world.faults.spool.reset_lands();
    world.faults.read_only(false);
    world.healthy().await;
    goes_down(&world).await;
    let second = spooled(&world, 2, 100).await.unwrap();
    second.settle(ended(20));
    ends_in_spool(world.dir.path(), 1).await;
    world.faults.read_only(false);
    world.healthy().await;
    first.settle(ended(30));
    world.open_is(0).await;
    let mut outcomes = world.outcomes().await;
    outcomes.sort_unstable_by_key(|(_, cost)| *cost);
    assert_eq!(outcomes, [(Status::Ok, 20), (Status::Ok, 30)]);
}

/// A write that does not end opens the spool too, and what it wrote in the end is kept apart from what the spool holds.
#[tokio::test]
async fn a_disk_that_does_not_answer() {
    let world = World::with_spool().await;
    let wanted = world.request(1, 100).await;
    world.faults.stall(true);
    let answer = world.handle.hold(wanted).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    // The same action, which the write that hangs may hold as well.
    let hold = spooled(&world, 1, 100).await.unwrap();
    world.faults.stall(false);
    world.healthy().await;
    hold.settle(ended(30));
    world.open_is(0).await;
    let mut outcomes = world.outcomes().await;
    outcomes.sort_unstable_by_key(|(_, cost)| *cost);
    assert_eq!(outcomes, [(Status::NotForwarded, 0), (Status::Ok, 30)]);
    renewed(&world, 400).await;
}

/// A change whose caller was told that nobody knows: the calls of a key that was revoked by it are recorded all the same.
#[tokio::test]
async fn a_revocation_that_landed_unseen() {
    let world = World::with_spool().await;
    // The recovery fails until it is told otherwise.
    world.faults.appends(&[FailsButLands]);
    let changed = async {
        let changed = world.change(vec![key_revoked("ka")]).await;
        world.faults.read_only(true);
        changed
    };
    assert!(changed.await.is_err());
    let Some(hold) = spooled(&world, 1, 100).await else {
        // It was faster: then the revocation is known.
        return;
    };
    world.faults.read_only(false);
    world.healthy().await;
    hold.settle(ended(30));
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 30)]);
}

/// A change that was committed just before the disk failed, and that whoever decided had not heard of yet.
#[tokio::test]
async fn a_decision_under_an_earlier_epoch() {
    let world = World::with_spool().await;
    let stale = world.request(1, 100).await;
    let revoked = world.change(vec![key_revoked("ka")]).await.unwrap();
    goes_down(&world).await;
    let answer = world.handle.hold_on_allowance(stale.clone()).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    let fresh = crate::HoldRequest {
        epoch: revoked.epoch,
        ..stale
    };
    let answer = world.handle.hold_on_allowance(fresh).await;
    assert!(matches!(answer, HoldAnswer::Held(_)), "{answer:?}");
}

#[tokio::test]
async fn who_has_no_allowance_is_refused() {
    let world = World::with_spool().await;
    world.change(vec![with_allowance("alone", None)]).await.unwrap();
    assert_eq!(standing(&world).await, (0, 0, 0));
    goes_down(&world).await;
    assert!(spooled(&world, 1, 0).await.is_none());
    world.faults.read_only(false);
    world.healthy().await;
    world.change(vec![with_allowance("alone", Some(100))]).await.unwrap();
    // Another trouble than the disk's: the log can be written, and says no.
    world.clock.step(48 * HOUR);
    let answer = world.handle.hold(request(2, 10, 0)).await;
    assert!(!matches!(answer, HoldAnswer::Held(_)), "{answer:?}");
    assert!(spooled(&world, 3, 10).await.is_none());
}

#[tokio::test]
async fn an_allowance_follows_its_manifest_its_budget_and_the_day() {
    let world = World::with_spool().await;
    let allowance = |world: World| async move {
        let (_, _, allowance) = standing(&world).await;
        (world, allowance)
    };
    world.change(vec![with_allowance("alone", Some(250))]).await.unwrap();
    let (world, held) = allowance(world).await;
    assert_eq!(held, 250);
    // Where there is less room than declared, it is less.
    world.held(1, 700).await.settle(ended(700));
    world.open_is(0).await;
    world.change(vec![with_allowance("alone", Some(600))]).await.unwrap();
    let (world, held) = allowance(world).await;
    assert_eq!(held, 250);
    world.change(vec![budget_loaded(2_000)]).await.unwrap();
    let (world, held) = allowance(world).await;
    assert_eq!(held, 600);
    // The next day has an allowance of its own, and the one of yesterday is given back.
    world.clock.pass(LIFETIME);
    world.clock.pass(23 * HOUR);
    world.handle.deny(denied(2)).await.unwrap();
    assert_eq!(standing(&world).await, (0, 600, 600));
    assert_eq!(world.balance().await.held, Amount(600));
}

/// What stands in a spool at a start: nothing is lost that somebody was told, and nothing is made up.
#[tokio::test]
async fn a_start_with_a_damaged_spool() {
    let world = World::with_spool().await;
    goes_down(&world).await;
    spooled(&world, 1, 150).await.unwrap().settle(ended(20));
    ends_in_spool(world.dir.path(), 1).await;
    let (mut dir, clock) = world.crash().await;
    let path = dir.path().join("spool/bailiwick.spool");
    let whole = fs::read(&path).unwrap();
    let next = |at: usize| at + 40 + u32::from_be_bytes(whole[at..][..4].try_into().unwrap()) as usize;
    let first = next(0);
    let last = next(first);
    assert_eq!(next(last), whole.len(), "the header, a call and its end");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (damage, why) in [
        (flipped(whole.len() - 3), "does not have its hash"),
        (flipped(200), "does not have its hash"),
        (flipped(45), "no spool of this version"),
        // The length of the last record and of the one before it: too large, too small, and their checks.
        (flipped(last), "does not have its hash"),
        (flipped(last + 3), "does not have its hash"),
        (flipped(last + 7), "does not have its hash"),
        (flipped(first), "does not have its hash"),
        (flipped(first + 3), "does not have its hash"),
        (
            b"something else, and long enough to be a frame of it".to_vec(),
            "no spool",
        ),
    ] {
        fs::write(&path, &damage).unwrap();
        let Err((left, error)) = World::open(dir, clock.clone(), &[]).await else {
            panic!("{why}")
        };
        let error = error.to_string();
        assert!(error.contains(why) || error.contains("hash"), "{why}: {error}");
        dir = left;
    }
    // What was never complete was never relied on: its end is missing, or zeros.
    let mut frame = whole[last..].to_vec();
    frame[50..].fill(0);
    for torn in [
        &whole[last..][..3],
        &whole[last..][..20],
        &whole[last..][..100],
        &[0; 500],
        &frame,
    ] {
        fs::write(&path, [&whole, torn].concat()).unwrap();
        let mut spool = SpoolFile::open(path.parent().unwrap(), "n1", || unreachable!()).unwrap();
        assert_eq!(spool.read().unwrap().len(), 2);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!("a torn record is dropped")
    };
    assert_eq!(world.outcomes().await, [(Status::Ok, 20)]);
    renewed(&world, 400).await;
}

/// A file that somebody cut short under a running server: what was durable is not taken for what was never written.
#[tokio::test]
async fn a_spool_cut_short_under_a_running_server() {
    let world = World::with_spool().await;
    goes_down(&world).await;
    spooled(&world, 1, 150).await.unwrap().settle(ended(20));
    ends_in_spool(world.dir.path(), 1).await;
    let path = world.dir.path().join("spool/bailiwick.spool");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    world.faults.read_only(false);
    let mut health = world.handle.health();
    let found = |why: &str| why.contains("records that were durable are gone");
    patiently(health.wait_for(|health| health.trouble.as_deref().is_some_and(found)))
        .await
        .unwrap();
    fs::write(&path, whole).unwrap();
    world.healthy().await;
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 20)]);
}

/// A provider that billed past its hold meanwhile: the model is distrusted from then on, and what was let through before
/// anybody could know stands.
#[tokio::test]
async fn an_overrun_in_the_spool() {
    let world = World::with_spool().await;
    goes_down(&world).await;
    spooled(&world, 1, 100).await.unwrap().settle(ended(150));
    ends_in_spool(world.dir.path(), 1).await;
    // The allowance does not pay for it; the budget does.
    let second = spooled(&world, 2, 300).await.unwrap();
    world.faults.read_only(false);
    world.healthy().await;
    second.settle(ended(10));
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 150), (Status::Ok, 10)]);
    let kinds = world.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "overrun").count(), 1, "{kinds:?}");
    renewed(&world, 400).await;
}

/// Whether a call under an idempotency key was paid for cannot be known without the log.
#[tokio::test]
async fn a_call_under_an_idempotency_key_waits() {
    let world = World::with_spool().await;
    goes_down(&world).await;
    let wanted = crate::HoldRequest {
        idempotency: Some("key".to_owned()),
        ..request(1, 10, world.handle.heads().borrow()[&tenant()].epoch)
    };
    let answer = world.handle.hold_on_allowance(wanted).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    assert!(spooled(&world, 2, 10).await.is_some());
}
