//! Random outages, calls on budgets and on allowances, faults and crashes: whatever happens, no budget is passed, every
//! call ends once, and what is booked is what was spent.

use std::collections::BTreeMap;

use entry::Status;
use ledger::Attempt;
use proptest::prelude::*;

use super::world::{World, ended, outcomes, request};
use crate::{
    Hold, HoldAnswer,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
    spool,
};

#[derive(Clone, Debug)]
enum Step {
    Ask { amount: i64 },
    Settle { which: prop::sample::Index, cost: i64 },
    Outage(bool),
    Fault(Fate),
    SpoolFault(spool::Fate),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let spool_fates = prop_oneof![
        Just(spool::Fate::Fails),
        Just(spool::Fate::Tears),
        Just(spool::Fate::FailsButLands)
    ];
    prop_oneof![
        8 => (0..200_i64).prop_map(|amount| Step::Ask { amount }),
        6 => (any::<prop::sample::Index>(), 0..200_i64).prop_map(|(which, cost)| Step::Settle { which, cost }),
        3 => any::<bool>().prop_map(Step::Outage),
        2 => prop_oneof![Just(Works), Just(Fails), Just(FailsButLands)].prop_map(Step::Fault),
        1 => spool_fates.prop_map(Step::SpoolFault),
        1 => Just(Step::Crash),
    ]
}

/// A call that was let through: what it holds, and what it cost if it ended.
#[derive(Debug)]
struct Call {
    amount: i64,
    cost: Option<i64>,
    /// The server died before it was certain that the end was kept.
    unsure: bool,
}

async fn run(steps: Vec<Step>) {
    let mut world = World::with_spool().await;
    let mut holds: Vec<Hold> = Vec::new();
    let mut calls: BTreeMap<Attempt, Call> = BTreeMap::new();
    let epoch = world.view().await.epoch;
    let mut crashed = false;
    for (number, step) in (1..).zip(steps) {
        match step {
            Step::Ask { amount } => {
                let wanted = request(number, amount, epoch);
                let mut answer = world.handle.hold(wanted.clone()).await;
                if matches!(answer, HoldAnswer::Unavailable) {
                    answer = world.handle.hold_on_allowance(wanted).await;
                }
                if let HoldAnswer::Held(mut hold) = answer {
                    hold.begin();
                    let call = Call {
                        amount,
                        cost: None,
                        unsure: false,
                    };
                    assert!(calls.insert(hold.attempt(), call).is_none());
                    holds.push(hold);
                }
            }
            Step::Settle { which, cost } => {
                if !holds.is_empty() {
                    let hold = holds.remove(which.index(holds.len()));
                    let call = calls.get_mut(&hold.attempt()).unwrap();
                    let cost = cost.min(call.amount);
                    call.cost = Some(cost);
                    hold.settle(ended(cost));
                }
            }
            Step::Outage(begins) => world.faults.read_only(begins),
            Step::Fault(fate) => world.faults.appends(&[fate]),
            Step::SpoolFault(fate) => world.faults.spool.appends(&[fate]),
            Step::Crash => {
                for call in calls.values_mut() {
                    call.unsure = true;
                }
                crashed = true;
                let (dir, clock) = world.crash().await;
                holds.clear();
                let Ok(started) = World::open(dir, clock, &[]).await else {
                    panic!("it starts again")
                };
                world = started;
            }
        }
    }
    world.faults.read_only(false);
    for hold in holds {
        calls.get_mut(&hold.attempt()).unwrap().cost = Some(0);
        hold.settle(ended(0));
    }
    world.open_is(0).await;
    check(&world, &calls, crashed).await;
    let world = world.restart().await;
    check(&world, &calls, crashed).await;
}

async fn check(world: &World, calls: &BTreeMap<Attempt, Call>, crashed: bool) {
    // Replayed: in order, dense, each hold ended once, and no budget above its limit after any entry.
    let (_, entries) = world.log().await;
    let mut booked: BTreeMap<Attempt, (Status, i64)> = BTreeMap::new();
    for outcome in outcomes(&entries) {
        let ended = booked.insert(outcome.attempt(), (outcome.status, outcome.cost.0));
        assert_eq!(ended, None, "{:?} ended twice", outcome.attempt());
    }
    for (attempt, call) in calls {
        let end = booked.remove(attempt);
        let (status, cost) = end.unwrap_or_else(|| panic!("{attempt:?} is not in the log"));
        match call.cost {
            Some(expected) if !call.unsure => assert_eq!((status, cost), (Status::Ok, expected), "{attempt:?}"),
            Some(expected) => assert!(cost == expected || cost == call.amount, "{attempt:?}: {end:?}"),
            None => assert_eq!((status, cost), (Status::Indeterminate, call.amount), "{attempt:?}"),
        }
    }
    // What was refused used nothing. If the server died before it could find out that the record had landed all the same,
    // nobody knows that, and it is booked.
    for (attempt, (status, cost)) in booked {
        let unused = (status, cost) == (Status::NotForwarded, 0);
        assert!(
            unused || (crashed && status == Status::Indeterminate),
            "{attempt:?}: {status:?} {cost}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_what_is_booked_is_what_was_spent(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
