//! A provider bills past a hold: what the committer records, and whom it bounces.

use entry::Event;
use model::{BatchId, NanoUsd, Timestamp};
use tlog::CompactRange;

use super::{
    super::shard::Shard,
    world::{NOON, World, agent_loaded, ask, budget_loaded, by, ended, key_issued, outcomes, replay, request, tenant},
};
use crate::{BatchError, HoldAnswer, HoldRequest, db::faults::Fate};

fn cleared() -> Event {
    let action = ask(1).action;
    Event::OverrunCleared {
        upstream: action.upstream,
        model: action.model,
        note: "refunded".to_owned(),
        by: by(),
    }
}

#[tokio::test]
async fn it_is_recorded_in_the_batch_of_its_outcome_and_kept_through_a_restart() {
    let world = World::new().await;
    let mut epochs = world.handle.epochs();
    let before = world.request(2, 100).await;
    epochs.mark_unchanged();
    world.held(1, 400).await.settle(ended(450));
    // Whoever follows the epochs hears of it without asking.
    epochs.changed().await.unwrap();
    let epoch = world.view().await.epoch;
    assert_eq!(epoch, before.epoch + 1);
    assert_eq!(world.handle.heads().borrow()[&tenant()].epoch, epoch);
    assert_eq!(world.kinds().await, ["intent", "outcome", "overrun"]);
    let batches: Vec<_> = {
        use futures_util::TryStreamExt as _;
        world.reader.batches(&tenant(), 5).try_collect().await.unwrap()
    };
    assert_eq!((batches.len(), batches[0].first_index, batches[0].count), (1, 5, 2));

    // A decision from before it is taken again, and a hold that does not reserve for the maximum cannot be recorded.
    let stale = world.handle.hold(before.clone()).await;
    assert!(matches!(stale, HoldAnswer::Stale(now) if now == epoch), "{stale:?}");
    let trusting = HoldRequest { epoch, ..before };
    assert!(matches!(
        world.handle.hold(trusting.clone()).await,
        HoldAnswer::Unavailable
    ));

    let distrusted = world.view().await.distrusted;
    let world = world.restart().await;
    assert_eq!(world.view().await.distrusted, distrusted);
    let (name, distrust) = distrusted.into_iter().next().unwrap();
    let action = ask(1).action;
    assert_eq!(name, (action.upstream, action.model));
    assert_eq!((distrust.since, distrust.count, distrust.past), (6, 1, NanoUsd(50)));

    let bounded = HoldRequest {
        bound: Some(16_384),
        ..trusting.clone()
    };
    let HoldAnswer::Held(hold) = world.handle.hold(bounded).await else {
        panic!()
    };
    hold.settle(ended(100));
    world.open_is(0).await;
    world.change(vec![cleared()]).await.unwrap();
    assert!(
        world.change(vec![cleared()]).await.is_err(),
        "there is nothing to clear"
    );
    assert!(world.view().await.distrusted.is_empty());
    world.held(3, 100).await.settle(ended(100));
    world.open_is(0).await;
    let kinds = [
        "intent",
        "outcome",
        "overrun",
        "denial",
        "intent",
        "outcome",
        "overrun_cleared",
        "intent",
        "outcome",
    ];
    assert_eq!(world.kinds().await, kinds);
}

/// Calls in flight that overrun as well are recorded each, and bounce nobody any more.
#[tokio::test]
async fn more_overruns_of_a_distrusted_model_throw_no_decision_away() {
    let world = World::new().await;
    let holds = [
        world.held(1, 100).await,
        world.held(2, 100).await,
        world.held(3, 100).await,
    ];
    let epoch = world.view().await.epoch;
    for hold in holds {
        hold.settle(ended(150));
    }
    world.open_is(0).await;
    let view = world.view().await;
    assert_eq!(view.epoch, epoch + 1);
    let distrust = view.distrusted.values().next().unwrap();
    assert_eq!((distrust.count, distrust.past), (3, NanoUsd(150)));
    let (_, entries) = replay(world.dir.path(), &tenant(), false).await;
    assert_eq!(outcomes(&entries).count(), 3);
    // Each stands right behind its own outcome.
    for (index, entry) in entries.iter().enumerate() {
        if let Event::Overrun(overrun) = &entry.event {
            assert_eq!(overrun.outcome, u64::try_from(index).unwrap() - 1);
        }
    }
}

/// A write that fails takes the outcome and its overrun with it, or neither; recovery writes what is missing, once.
#[tokio::test]
async fn a_failed_write_loses_and_doubles_no_overrun() {
    for fate in [Fate::Fails, Fate::FailsButLands] {
        let world = World::new().await;
        let hold = world.held(1, 400).await;
        world.faults.appends(&[fate]);
        hold.settle(ended(450));
        world.faults_are_met().await;
        world.healthy().await;
        world.open_is(0).await;
        assert_eq!(world.kinds().await, ["intent", "outcome", "overrun"], "{fate:?}");
        assert_eq!(world.view().await.distrusted.len(), 1, "{fate:?}");
    }
}

#[test]
fn a_batch_that_ends_before_the_overrun_is_refused() {
    let at = Timestamp::from_unix_micros(NOON);
    let mut shard = Shard::new(tenant());
    for event in [budget_loaded(1_000), agent_loaded("alone"), key_issued("ka")] {
        shard.push(event, at).unwrap();
    }
    let epoch = shard.state.epoch;
    shard.hold(request(1, 400, epoch), 1, at).unwrap();
    let open = shard
        .state
        .open
        .iter()
        .next()
        .map(|(attempt, open)| (*attempt, open.index));
    let (attempt, intent) = open.unwrap();
    let outcome = entry::Outcome {
        action: attempt.action,
        attempt: attempt.number,
        intent,
        status: entry::Status::Ok,
        http: None,
        usage: None,
        source: model::UsageSource::Provider,
        cost: NanoUsd(401),
        overrun: NanoUsd(1),
        duration_us: 0,
        bytes: 0,
        reply: String::new(),
        provider_id: None,
        spooled: None,
    };
    shard.push(Event::Outcome(outcome), at).unwrap();
    let batch = shard.take_batch(BatchId::new(at, [7; 10]), 1).unwrap();
    let mut state = entry::State::new(tenant());
    let folded = batch.fold(&mut state, &mut CompactRange::new(), |_, _| {});
    assert_eq!(folded, Err(BatchError::Owed(4)));
}
