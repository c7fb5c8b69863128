//! Case 3 of the public failures of other gateways: amounts that are added twice because the acknowledgement of a write was
//! late or lost (BerriAI/litellm#28247, #30460). Here the store is killed, fails or is slow between a write and its
//! acknowledgement, the caller makes the call again, and every budget that selects it counts it once.

use entry::Status;
use ledger::{Amount, BudgetSpec, Label, Measure, Selector, Window};
use model::{BudgetName, NanoUsd};

use super::world::{World, budget_event, ended, patiently, tenant};
use crate::{
    BalanceQuery, HoldAnswer, HoldRequest,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
};

/// What one call costs.
const COST: i64 = 30;
const HOLD: i64 = 100;

/// An agent with a budget of its own, one of its team and one that counts calls.
async fn world() -> World {
    let world = World::new().await;
    let selecting = |name: &str, unit| BudgetSpec {
        select: Some(Selector::of(Label::Team, "data")),
        unit,
        ..BudgetSpec::money(BudgetName::new(name).unwrap(), NanoUsd(1_000), Window::Total)
    };
    let budgets = vec![
        budget_event(selecting("calls", Measure::Calls)),
        budget_event(selecting("team", Measure::Money)),
    ];
    world.change(budgets).await.unwrap();
    world
}

async fn keyed(world: &World, number: u32) -> HoldRequest {
    HoldRequest {
        idempotency: Some("key".to_owned()),
        ..world.request(number, HOLD).await
    }
}

/// Checks what each of the three budgets counts.
async fn counted(world: &World, money: i64, calls: i64, name: &str) {
    let query = BalanceQuery {
        most: 10,
        pots: 1,
        ..BalanceQuery::default()
    };
    let found = world.handle.balances(tenant(), query).await.unwrap().balances;
    let found: Vec<_> = found
        .iter()
        .map(|balance| (balance.spec.name.as_str(), balance.settled, balance.held))
        .collect();
    let of = |budget, amount| (budget, Amount(amount), Amount::ZERO);
    assert_eq!(
        found,
        [of("calls", calls), of("own", money), of("team", money)],
        "{name}"
    );
}

/// The call, made again by a caller who was told that nobody knows what became of it.
async fn make_again(world: &World, number: u32) {
    world.healthy().await;
    world.open_is(0).await;
    match world.handle.hold(keyed(world, number).await).await {
        HoldAnswer::Held(mut hold) => {
            hold.begin();
            hold.settle(ended(COST));
        }
        other => panic!("{other:?}"),
    }
    world.open_is(0).await;
}

/// One line: which write fails, and how.
#[tokio::test]
async fn case_03_a_write_whose_answer_is_lost_adds_nothing_twice() {
    let cases: [(&str, &[Fate]); 10] = [
        ("the hold fails", &[Fails]),
        ("the hold lands", &[FailsButLands]),
        ("the hold lands, its void fails", &[FailsButLands, Fails]),
        ("the hold lands, so does its void", &[FailsButLands, FailsButLands]),
        ("the end fails", &[Works, Fails]),
        ("the end lands", &[Works, FailsButLands]),
        ("the end fails twice", &[Works, Fails, Fails]),
        ("the end fails, then lands", &[Works, Fails, FailsButLands]),
        ("the end lands, twice over", &[Works, FailsButLands, FailsButLands]),
        ("all goes well", &[]),
    ];
    for (name, fates) in cases {
        let world = world().await;
        let request = keyed(&world, 1).await;
        world.faults.appends(fates);
        match world.handle.hold(request).await {
            HoldAnswer::Held(mut hold) => {
                hold.begin();
                hold.settle(ended(COST));
                world.open_is(0).await;
            }
            HoldAnswer::Unavailable => make_again(&world, 2).await,
            other => panic!("{name}: {other:?}"),
        }
        counted(&world, COST, 1, name).await;
        // Nor is it added again by a third, by a start, or by whatever was ordered and not met.
        let again = world.handle.hold(keyed(&world, 3).await).await;
        assert!(
            matches!(again, HoldAnswer::Repeated(_) | HoldAnswer::Unavailable),
            "{name}: {again:?}"
        );
        world.healthy().await;
        counted(&world, COST, 1, name).await;
        let world = world.restart().await;
        counted(&world, COST, 1, name).await;
        world.log().await;
    }
}

/// Waits until the log has so many entries, as others see it.
async fn stored(world: &World, entries: u64) {
    patiently(async { while world.reader.size(&tenant()).await.unwrap() < entries {} }).await;
}

#[tokio::test]
async fn case_03_killed_between_a_write_and_its_answer_the_next_start_adds_nothing_twice() {
    // The hold is stored and nobody was told: it is booked in full, once, because nobody knows that it was not used.
    let world = world().await;
    let size = world.view().await.size;
    let request = keyed(&world, 1).await;
    world.faults.keep_answer();
    let handle = world.handle.clone();
    let asked = tokio::spawn(async move { handle.hold(request).await });
    stored(&world, size + 1).await;
    let (dir, clock) = world.crash().await;
    assert!(matches!(asked.await.unwrap(), HoldAnswer::Unavailable));
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!()
    };
    counted(&world, HOLD, 1, "the hold").await;
    let again = world.handle.hold(keyed(&world, 2).await).await;
    assert!(matches!(again, HoldAnswer::Repeated(_)), "{again:?}");

    // So is an end.
    let size = world.view().await.size;
    let mut hold = world.held(3, HOLD).await;
    world.faults.keep_answer();
    hold.begin();
    hold.settle(ended(COST));
    stored(&world, size + 2).await;
    let (dir, clock) = world.crash().await;
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!()
    };
    counted(&world, HOLD + COST, 2, "the end").await;
    let outcomes = [(Status::Indeterminate, HOLD), (Status::Ok, COST)];
    assert_eq!(world.outcomes().await, outcomes);
    let world = world.restart().await;
    counted(&world, HOLD + COST, 2, "another start").await;
}

/// The answer comes when nobody waits for it any more: what it grants belongs to nobody, and the call is made again.
#[tokio::test]
async fn case_03_a_late_answer_adds_nothing_twice() {
    let world = world().await;
    let request = keyed(&world, 1).await;
    world.faults.keep_answer();
    let answer = world.handle.hold(request).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    assert!(world.troubled().await.contains("has not finished a write"));
    world.faults.answer();
    make_again(&world, 2).await;
    counted(&world, COST, 1, "late").await;
    assert_eq!(world.outcomes().await, [(Status::NotForwarded, 0), (Status::Ok, COST)]);
    let world = world.restart().await;
    counted(&world, COST, 1, "a start").await;
}
