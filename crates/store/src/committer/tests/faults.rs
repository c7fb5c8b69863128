//! Each durable step fails, and fails although it landed.

use entry::{Event, Status};
use ledger::{Amount, BreakerSpec, Scope, Selector, SpendRate, StepKind};
use model::NanoUsd;

use super::world::{
    LIFETIME, World, agent_loaded, budget_loaded, by, denied, ended, key_issued, key_revoked, poll_once, system_log,
    tenant,
};
use crate::{
    ChangeError, HoldAnswer, StoreError, Unavailable,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
};

/// What the step is, which appends it meets, and the kinds and outcomes that are in the log afterwards.
struct Case {
    what: &'static str,
    fates: &'static [Fate],
    kinds: &'static [&'static str],
    outcomes: &'static [(Status, i64)],
}

const fn case(
    what: &'static str,
    fates: &'static [Fate],
    kinds: &'static [&'static str],
    outcomes: &'static [(Status, i64)],
) -> Case {
    Case {
        what,
        fates,
        kinds,
        outcomes,
    }
}

const VOIDED: &[(Status, i64)] = &[(Status::NotForwarded, 0)];
const BOOKED: &[(Status, i64)] = &[(Status::Indeterminate, 100)];
const SETTLED: &[(Status, i64)] = &[(Status::Ok, 30)];
const CALL: &[&str] = &["intent", "outcome"];

const CASES: &[Case] = &[
    case("hold", &[Fails], &[], &[]),
    case("hold", &[FailsButLands], CALL, VOIDED),
    // The recovery writes too: the void of the hold that landed.
    case("hold", &[FailsButLands, Fails], CALL, VOIDED),
    case("hold", &[FailsButLands, FailsButLands], CALL, VOIDED),
    case("hold", &[FailsButLands, Fails, FailsButLands], CALL, VOIDED),
    case("deny", &[Fails], &[], &[]),
    case("deny", &[FailsButLands], &["denial"], &[]),
    case("refuse", &[Fails], &[], &[]),
    case("refuse", &[FailsButLands], &["denial"], &[]),
    case("change", &[Fails], &[], &[]),
    case("change", &[FailsButLands], &["key_issued", "key_revoked"], &[]),
    case("settle", &[Works, Fails], CALL, SETTLED),
    case("settle", &[Works, FailsButLands], CALL, SETTLED),
    case("settle", &[Works, Fails, Fails], CALL, SETTLED),
    case("settle", &[Works, Fails, FailsButLands], CALL, SETTLED),
    case("settle", &[Works, Fails, Fails, FailsButLands], CALL, SETTLED),
    case("drop", &[Works, Fails], CALL, VOIDED),
    case("drop", &[Works, FailsButLands], CALL, VOIDED),
    case("drop begun", &[Works, Fails], CALL, BOOKED),
    case("drop begun", &[Works, FailsButLands], CALL, BOOKED),
    case("expire", &[Works, Fails], CALL, BOOKED),
    case("expire", &[Works, FailsButLands], CALL, BOOKED),
    case("leave", &[Fails], &[], &[]),
    case("leave", &[FailsButLands], CALL, VOIDED),
];

#[tokio::test]
async fn every_step_fails_and_fails_but_lands() {
    for Case {
        what,
        fates,
        kinds,
        outcomes,
    } in CASES
    {
        let name = format!("{what} {fates:?}");
        let world = World::new().await;
        let request = world.request(1, if *what == "refuse" { 1_001 } else { 100 }).await;
        // Faults that the step does not meet are met by the recovery.
        world.faults.appends(fates);
        match *what {
            "hold" | "refuse" => {
                let answer = world.handle.hold(request).await;
                assert!(matches!(answer, HoldAnswer::Unavailable), "{name}: {answer:?}");
            }
            "deny" => assert_eq!(world.handle.deny(denied(1)).await, Err(Unavailable), "{name}"),
            "change" => {
                let changed = world.change(vec![key_issued("kb"), key_revoked("kb")]).await;
                assert_eq!(changed, Err(ChangeError::Unavailable(Unavailable)), "{name}");
            }
            "leave" => {
                let mut asked = Box::pin(world.handle.hold(request));
                let polled = poll_once(&mut asked).await;
                assert!(polled.is_pending(), "{name}");
            }
            _ => {
                let HoldAnswer::Held(mut hold) = world.handle.hold(request).await else {
                    panic!("{name}")
                };
                match *what {
                    "settle" => hold.settle(ended(30)),
                    "drop" => drop(hold),
                    "drop begun" => {
                        hold.begin();
                        drop(hold);
                    }
                    "expire" => {
                        world.clock.pass(LIFETIME);
                        assert!(world.handle.view(tenant()).await.is_err(), "{name}");
                        world.open_is(0).await;
                        drop(hold);
                    }
                    other => panic!("{other}"),
                }
            }
        }
        world.faults_are_met().await;
        world.open_is(0).await;
        assert_eq!(world.kinds().await, *kinds, "{name}");
        assert_eq!(world.outcomes().await, *outcomes, "{name}");
        // It goes on as if nothing had happened.
        let spent: i64 = outcomes.iter().map(|(_, cost)| cost).sum();
        let hold = world.held(9, 1_000 - spent).await;
        assert_eq!(hold.remaining(), Some(NanoUsd::ZERO), "{name}");
        drop(hold);
        world.open_is(0).await;
        let world = world.restart().await;
        world.log().await;
    }
}

/// A change that landed is in effect although its caller was told that nobody knows.
#[tokio::test]
async fn a_change_that_landed_is_seen() {
    for (fate, seen) in [(Fails, false), (FailsButLands, true)] {
        let world = World::new().await;
        let before = world.request(1, 100).await;
        world.faults.appends(&[fate]);
        let changed = world.change(vec![key_issued("kb"), budget_loaded(50)]).await;
        assert_eq!(changed, Err(ChangeError::Unavailable(Unavailable)));
        world.healthy().await;
        let view = world.view().await;
        assert_eq!(view.keys.contains_key("kb"), seen, "{fate:?}");
        assert_eq!(view.epoch > before.epoch, seen, "{fate:?}");
        assert_eq!(world.handle.heads().borrow()[&tenant()].size, view.size);
        match world.handle.hold(before).await {
            HoldAnswer::Stale(_) => assert!(seen),
            HoldAnswer::Held(_) => assert!(!seen),
            other => panic!("{other:?}"),
        }
    }
}

/// Holds whose owners have them live through a failed write of somebody else.
#[tokio::test]
async fn granted_holds_survive_a_failed_write() {
    for fate in [Fails, FailsButLands] {
        let world = World::new().await;
        let mut holds = vec![world.held(1, 100).await, world.held(2, 100).await];
        world.faults.appends(&[fate]);
        let request = world.request(3, 100).await;
        // An end in the batch that fails, and one that comes while it is being recovered.
        holds.remove(0).settle(ended(10));
        assert!(matches!(world.handle.hold(request).await, HoldAnswer::Unavailable));
        holds.remove(0).settle(ended(20));
        world.open_is(0).await;
        world.healthy().await;
        let mut outcomes = world.outcomes().await;
        if fate == FailsButLands {
            let orphan = outcomes
                .iter()
                .position(|outcome| *outcome == (Status::NotForwarded, 0));
            outcomes.remove(orphan.expect("the hold that landed is voided"));
        }
        assert_eq!(outcomes, [(Status::Ok, 10), (Status::Ok, 20)], "{fate:?}");
    }
}

/// What was known of an attempt is forgotten when it ends: nothing of it is left to vouch for another.
#[tokio::test]
async fn an_attempt_that_ended_is_forgotten() {
    let world = World::new().await;
    world.held(1, 100).await.settle(ended(30));
    world.open_is(0).await;
    let again = world.request(1, 100).await;
    world.faults.appends(&[FailsButLands]);
    assert!(matches!(world.handle.hold(again).await, HoldAnswer::Unavailable));
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::Ok, 30), (Status::NotForwarded, 0)]);
}

#[tokio::test]
async fn several_tenants_land_together_or_not_at_all() {
    for (fate, size) in [(Fails, 4), (FailsButLands, 5)] {
        let world = World::new().await;
        let other = model::TenantName::new("other").unwrap();
        world
            .handle
            .change(
                other.clone(),
                vec![budget_loaded(1), budget_loaded(2), budget_loaded(3)],
            )
            .await
            .unwrap();
        world.faults.appends(&[fate]);
        let (one, two) = tokio::join!(
            world.change(vec![budget_loaded(5)]),
            world.handle.change(other.clone(), vec![budget_loaded(5)])
        );
        assert!(one.is_err() && two.is_err());
        world.healthy().await;
        assert_eq!(world.view().await.size, size);
        assert_eq!(world.handle.view(other).await.unwrap().size, size);
    }
}

/// A start that fails leaves a log that the next start goes on from.
#[tokio::test]
async fn a_start_fails() {
    for (fate, boots) in [(Fails, 2), (FailsButLands, 3)] {
        let world = World::new().await;
        let mut hold = world.held(1, 100).await;
        hold.begin();
        let (dir, clock) = world.crash().await;
        let Err((dir, error)) = World::open(dir, clock.clone(), &[fate]).await else {
            panic!("{fate:?}")
        };
        assert!(matches!(error, StoreError::NotStarted(_)), "{error}");
        assert!(error.to_string().contains("try again"), "{error}");
        let Ok(world) = World::open(dir, clock, &[]).await else {
            panic!("{fate:?}")
        };
        assert_eq!(world.handle.boot(), boots);
        assert_eq!(world.kinds().await, CALL);
        assert_eq!(world.outcomes().await, BOOKED);
        drop(hold);
    }
}

/// The stop and the ends before it are recorded once, whatever the disk does.
#[tokio::test]
async fn a_stop_fails() {
    for fates in [
        &[Works][..],
        &[Fails],
        &[FailsButLands],
        &[Fails, Fails],
        &[Fails, FailsButLands],
        &[FailsButLands, FailsButLands],
    ] {
        let world = World::new().await;
        let hold = world.held(1, 100).await;
        let faults = world.faults.clone();
        faults.appends(fates);
        hold.settle(ended(30));
        let clock = world.clock.clone();
        let dir = world.stop().await;
        assert_eq!(faults.left(), 0, "{fates:?}");
        assert_eq!(
            system_log(dir.path()).await,
            [("started", 1), ("stopped", 1)],
            "{fates:?}"
        );
        let Ok(world) = World::open(dir, clock, &[]).await else {
            panic!()
        };
        assert_eq!(world.outcomes().await, SETTLED, "{fates:?}");
    }
}

/// A disk that never comes back does not keep the server from stopping.
#[tokio::test]
async fn a_stop_gives_up() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    world.faults.appends(&[Fails; 20]);
    hold.settle(ended(30));
    let clock = world.clock.clone();
    let dir = world.stop().await;
    // What the last entries did not say is booked in full at the next start.
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!()
    };
    assert_eq!(world.outcomes().await, BOOKED);
}

#[tokio::test]
async fn a_stop_ends_a_recovery() {
    let world = World::new().await;
    world.faults.appends(&[FailsButLands; 1_000]);
    let answer = world.handle.hold(world.request(1, 100).await).await;
    assert!(matches!(answer, HoldAnswer::Unavailable));
    world.stop().await;
}

#[tokio::test]
async fn events_in_one_batch_share_its_fate() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let (second, third) = (world.request(2, 100).await, world.request(3, 2_000).await);
    world.faults.appends(&[FailsButLands]);
    hold.settle(ended(30));
    let (second, third, denied, changed) = tokio::join!(
        world.handle.hold(second),
        world.handle.hold(third),
        world.handle.deny(denied(4)),
        world.change(vec![agent_loaded("other")]),
    );
    assert!(matches!(
        (second, third),
        (HoldAnswer::Unavailable, HoldAnswer::Unavailable)
    ));
    assert!(denied.is_err() && changed.is_err());
    world.open_is(0).await;
    let kinds = [
        "intent",
        "outcome",
        "intent",
        "denial",
        "denial",
        "agent_loaded",
        "outcome",
    ];
    assert_eq!(world.kinds().await, kinds);
    assert_eq!(world.outcomes().await, [(Status::Ok, 30), (Status::NotForwarded, 0)]);
    let (_, entries) = world.log().await;
    let seqs: Vec<u64> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Intent(intent) => Some(intent.action.seq),
            Event::Denial(denial) => Some(denial.action.seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
}

/// A breaker that each end trips which costs more than 10.
fn tripped_by_money() -> Event {
    let breaker = BreakerSpec {
        name: "money".parse().unwrap(),
        select: Selector::default(),
        scope: Scope::Agent,
        spend: Some(SpendRate {
            over: NanoUsd(10),
            within_s: 60,
        }),
        surge: None,
        loops: None,
        steps: StepKind::Calls,
        errors: None,
        no_progress: None,
        cooldown_s: 60,
    };
    Event::BreakerLoaded { breaker, by: by() }
}

/// What an end owes cannot be paid: nothing of it is written, and the end is booked otherwise rather than lost.
#[tokio::test]
async fn an_end_that_owes_what_cannot_be_paid_does_not_stop_the_log() {
    let cases: [(u32, &[_], &[_]); 3] = [
        (0, &["outcome", "breaker_tripped"], &[(Status::Ok, 30)]),
        (1, &["outcome", "breaker_tripped"], &[(Status::Indeterminate, 100)]),
        // Its hold stays open.
        (2, &[], &[]),
    ];
    for (refusals, kinds, outcomes) in cases {
        let world = World::new().await;
        world.change(vec![tripped_by_money()]).await.unwrap();
        // The state that is folded anew knows the orders.
        let world = world.restart().await;
        let hold = world.held(1, 100).await;
        world.faults.refuse_owed(refusals);
        hold.settle(ended(30));
        let open = usize::from(outcomes.is_empty());
        world.open_is(open).await;
        world.healthy().await;
        // The log goes on.
        world.change(vec![key_issued("kb")]).await.unwrap();
        let (_, entries) = world.log().await;
        let after = entries.iter().map(|entry| entry.event.kind());
        let after: Vec<_> = after.skip_while(|kind| *kind != "intent").skip(1).collect();
        assert_eq!(after, [kinds, &["key_issued"]].concat(), "{refusals}");
        assert_eq!(world.outcomes().await, outcomes, "{refusals}");
        assert_eq!(world.balance().await.held, Amount(if open == 1 { 100 } else { 0 }));
        let world = world.restart().await;
        world.open_is(0).await;
        let spent: i64 = world.outcomes().await.iter().map(|(_, cost)| cost).sum();
        assert_eq!(spent, if refusals == 0 { 30 } else { 100 }, "{refusals}");
    }
}

/// The same of an end that a start books: it starts all the same, for the next start would find the same log.
#[tokio::test]
async fn a_start_that_owes_what_cannot_be_paid() {
    for (refusals, open) in [(1, 0), (2, 1)] {
        let world = World::new().await;
        world.change(vec![tripped_by_money()]).await.unwrap();
        let mut hold = world.held(1, 100).await;
        hold.begin();
        let (dir, clock) = world.crash().await;
        let world = World::open_refusing(dir, clock, refusals)
            .await
            .unwrap_or_else(|(_, error)| panic!("{refusals}: {error}"));
        world.open_is(open).await;
        assert_eq!(world.handle.boot(), 2);
        // The money is booked or held, and the log goes on.
        let balance = world.balance().await;
        assert_eq!(balance.used(), Amount(100), "{refusals}");
        world.change(vec![key_issued("kb")]).await.unwrap();
        let world = world.restart().await;
        world.open_is(0).await;
        assert_eq!(world.outcomes().await, BOOKED, "{refusals}");
        drop(hold);
    }
}
