//! Random calls, faults, crashes and clocks: whatever happens, the log is in order, every intent ends once, and what was
//! settled in peace cost what was said.

use std::collections::BTreeMap;

use entry::{Event, Status};
use model::ActionId;
use proptest::prelude::*;

use super::world::{LIFETIME, SECOND, World, action_id, denied, ended, key_issued, outcomes, poll_once};
use crate::{
    Hold, HoldAnswer,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
};

#[derive(Clone, Debug)]
enum Step {
    Ask { amount: i64 },
    Leave { amount: i64 },
    Settle { which: prop::sample::Index, cost: i64 },
    Drop { which: prop::sample::Index, begun: bool },
    Deny,
    Change,
    Wait { seconds: i64 },
    Fault(Fate),
    Rest,
    Restart,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0..400_i64).prop_map(|amount| Step::Ask { amount }),
        2 => (0..400_i64).prop_map(|amount| Step::Leave { amount }),
        6 => (which(), 0..400_i64).prop_map(|(which, cost)| Step::Settle { which, cost }),
        3 => (which(), any::<bool>()).prop_map(|(which, begun)| Step::Drop { which, begun }),
        2 => Just(Step::Deny),
        1 => Just(Step::Change),
        2 => (0..LIFETIME / SECOND).prop_map(|seconds| Step::Wait { seconds }),
        7 => prop_oneof![Just(Works), Just(Fails), Just(FailsButLands)].prop_map(Step::Fault),
        3 => Just(Step::Rest),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

/// What is known of an attempt from the answers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nobody was told that it is held: it may be in the log, but used nothing unless the server died before it could
    /// say so.
    NotTold,
    /// It is held by somebody.
    Held,
    /// It ended like this, and the server lived on until that was recorded.
    Ended(Status, i64),
    /// The server died or the hold expired: this, or in full.
    Unsure(Status, i64),
}

struct Run {
    world: World,
    holds: Vec<(Hold, i64)>,
    known: BTreeMap<ActionId, Known>,
    /// Ends that were sent and may not be recorded yet.
    sent: Vec<(ActionId, Status, i64)>,
}

impl Run {
    fn end(&mut self, which: prop::sample::Index, end: impl FnOnce(Hold, i64) -> (Status, i64)) {
        if self.holds.is_empty() {
            return;
        }
        let (hold, expires) = self.holds.remove(which.index(self.holds.len()));
        let (action, held) = (hold.attempt().action, hold.amount().0);
        let (status, cost) = end(hold, held);
        self.sent.push((action, status, cost));
        let late = crate::Clock::now(&self.world.clock).unix_micros() >= expires;
        let known = if late { Known::Unsure(status, cost) } else { Known::Held };
        self.known.insert(action, known);
    }

    /// Waits until everything that was sent is recorded.
    async fn rest(&mut self) {
        self.world.view().await;
        self.world.view().await;
        for (action, status, cost) in self.sent.drain(..) {
            if self.known[&action] == Known::Held {
                self.known.insert(action, Known::Ended(status, cost));
            }
        }
    }

    /// What was under way when the server died may have been recorded or not.
    fn unsure(&mut self) {
        for (action, status, cost) in self.sent.drain(..) {
            self.known.insert(action, Known::Unsure(status, cost));
        }
        for (hold, _) in self.holds.drain(..) {
            self.known
                .insert(hold.attempt().action, Known::Unsure(Status::NotForwarded, 0));
        }
    }

    async fn step(mut self, number: u32, step: Step) -> Self {
        let action = action_id(number);
        match step {
            Step::Ask { amount } => {
                let request = self.world.request(number, amount).await;
                match self.world.handle.hold(request).await {
                    HoldAnswer::Held(hold) => {
                        let expires = hold.placed().unix_micros() + LIFETIME;
                        self.known.insert(action, Known::Held);
                        self.holds.push((hold, expires));
                    }
                    HoldAnswer::Unavailable => drop(self.known.insert(action, Known::NotTold)),
                    HoldAnswer::Refused(..) => {}
                    other => panic!("{other:?}"),
                }
            }
            Step::Leave { amount } => {
                let request = self.world.request(number, amount).await;
                let mut asked = Box::pin(self.world.handle.hold(request));
                assert!(poll_once(&mut asked).await.is_pending());
                self.known.insert(action, Known::NotTold);
            }
            Step::Settle { which, cost } => self.end(which, |hold, held| {
                let cost = cost.min(held);
                hold.settle(ended(cost));
                (Status::Ok, cost)
            }),
            Step::Drop { which, begun } => self.end(which, |mut hold, held| {
                if begun {
                    hold.begin();
                    return (Status::Indeterminate, held);
                }
                (Status::NotForwarded, 0)
            }),
            Step::Deny => drop(self.world.handle.deny(denied(number)).await),
            Step::Change => drop(self.world.change(vec![key_issued(&format!("k{number}"))]).await),
            Step::Wait { seconds } => {
                self.rest().await;
                self.world.clock.pass(seconds * SECOND);
            }
            Step::Fault(fate) => self.world.faults.appends(&[fate]),
            Step::Rest => self.rest().await,
            Step::Restart => {
                self.rest().await;
                self.unsure();
                let clock = self.world.clock.clone();
                let dir = self.world.stop().await;
                self.world = World::open(dir, clock, &[])
                    .await
                    .unwrap_or_else(|(_, error)| panic!("{error}"));
            }
            Step::Crash => {
                self.unsure();
                let (dir, clock) = self.world.crash().await;
                self.world = World::open(dir, clock, &[])
                    .await
                    .unwrap_or_else(|(_, error)| panic!("{error}"));
            }
        }
        self
    }
}

async fn run(steps: Vec<Step>) {
    let mut run = Run {
        world: World::new().await,
        holds: Vec::new(),
        known: BTreeMap::new(),
        sent: Vec::new(),
    };
    for (number, step) in (0..).zip(steps) {
        run = run.step(number, step).await;
    }
    run.rest().await;
    run.unsure();
    run.world.open_is(0).await;
    let (_, entries) = run.world.log().await;
    let intents = entries.iter().filter_map(|entry| match &entry.event {
        Event::Intent(intent) => Some((intent.action.id, intent.hold.0)),
        _ => None,
    });
    let intents: BTreeMap<ActionId, i64> = intents.collect();
    let ends: BTreeMap<ActionId, (Status, i64)> = outcomes(&entries)
        .map(|outcome| (outcome.action, (outcome.status, outcome.cost.0)))
        .collect();
    assert!(intents.keys().eq(ends.keys()), "an intent without an outcome");
    for (action, known) in run.known {
        let Some(held) = intents.get(&action) else {
            assert_eq!(known, Known::NotTold, "a hold that was granted is not in the log");
            continue;
        };
        let end = ends[&action];
        let in_full = (Status::Indeterminate, *held);
        let possible = match known {
            Known::NotTold => end == (Status::NotForwarded, 0) || end == in_full,
            Known::Ended(status, cost) => end == (status, cost),
            Known::Unsure(status, cost) => end == (status, cost) || end == in_full,
            Known::Held => false,
        };
        assert!(possible, "{known:?} ended as {end:?} of {held}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_books_balance(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
