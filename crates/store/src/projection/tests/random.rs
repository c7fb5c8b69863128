//! Random traffic, faults, crashes and changes: whatever happens, the projection says what the log says, to the
//! nano-dollar, and what budgets say of their windows.

use entry::Status;
use proptest::prelude::*;

use super::world::{AGENTS, Call, SECOND, World, agent_loaded, ended};
use crate::{
    Ending, Hold,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
};

#[derive(Clone, Debug)]
enum Step {
    Ask(Call),
    /// The same action once more.
    Again(Call),
    /// May cost more than was held.
    Settle {
        which: prop::sample::Index,
        cost: i64,
    },
    Drop {
        which: prop::sample::Index,
        begun: bool,
    },
    Relabel {
        agent: usize,
        team: u8,
    },
    Wait {
        seconds: i64,
    },
    Fault(Fate),
    FaultOfProjection(Fate),
    CrashOfProjection,
    StopOfProjection,
    Restart,
    Crash,
    Check,
}

fn call() -> impl Strategy<Value = Call> {
    let user = prop::option::of(0..3_u8);
    let task = prop::option::of(0..4_u32);
    (0..AGENTS.len(), 0..2_usize, user, task, 0..3_u8, 0..400_i64).prop_map(
        |(agent, key, user, task, model, amount)| Call {
            agent,
            key,
            user,
            task,
            model,
            attempt: 0,
            amount,
        },
    )
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Works), Just(Fails), Just(FailsButLands)]
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        10 => call().prop_map(Step::Ask),
        2 => call().prop_map(Step::Again),
        8 => (which(), 0..600_i64).prop_map(|(which, cost)| Step::Settle { which, cost }),
        2 => (which(), any::<bool>()).prop_map(|(which, begun)| Step::Drop { which, begun }),
        2 => (0..AGENTS.len(), 0..3_u8).prop_map(|(agent, team)| Step::Relabel { agent, team }),
        3 => (0..7_200_i64).prop_map(|seconds| Step::Wait { seconds }),
        2 => fate().prop_map(Step::Fault),
        3 => fate().prop_map(Step::FaultOfProjection),
        2 => Just(Step::CrashOfProjection),
        1 => Just(Step::StopOfProjection),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        2 => Just(Step::Check),
    ]
}

struct Run {
    world: World,
    holds: Vec<Hold>,
    last: Option<(u32, u16)>,
}

impl Run {
    async fn step(mut self, number: u32, step: Step) -> Self {
        match step {
            Step::Ask(call) => {
                self.holds.extend(self.world.ask(number, call).await);
                self.last = Some((number, 0));
            }
            Step::Again(call) => {
                if let Some((action, attempt)) = &mut self.last {
                    *attempt += 1;
                    let again = Call {
                        attempt: *attempt,
                        ..call
                    };
                    self.holds.extend(self.world.ask(*action, again).await);
                }
            }
            Step::Settle { which, cost } => {
                if let Some(hold) = self.take(which) {
                    hold.settle(ended(cost));
                }
            }
            Step::Drop { which, begun } => match self.take(which) {
                Some(hold) if begun => hold.settle(Ending::unused(Status::Timeout)),
                _ => {}
            },
            Step::Relabel { agent, team } => {
                let loaded = agent_loaded(AGENTS[agent], &format!("team-{team}"), None);
                self.world.change(vec![loaded]).await;
            }
            Step::Wait { seconds } => self.world.clock.pass(seconds * SECOND),
            Step::Fault(fate) => self.world.faults.appends(&[fate]),
            Step::FaultOfProjection(fate) => self.world.order_fault_of_projection(fate),
            Step::CrashOfProjection => self.world = self.world.crash_projection().await,
            Step::StopOfProjection => self.world = self.world.reopen_projection(async |_| {}).await,
            // Holds that nobody ended are booked in full.
            Step::Restart => {
                self.world = self.world.restart().await;
                self.holds.clear();
            }
            Step::Crash => {
                self.world = self.world.crash().await;
                self.holds.clear();
            }
            Step::Check => self.world.check().await,
        }
        self
    }

    fn take(&mut self, which: prop::sample::Index) -> Option<Hold> {
        (!self.holds.is_empty()).then(|| self.holds.remove(which.index(self.holds.len())))
    }
}

async fn run(steps: Vec<Step>) {
    let mut run = Run {
        world: World::new().await,
        holds: Vec::new(),
        last: None,
    };
    for (number, step) in (0..).zip(steps) {
        run = run.step(number, step).await;
    }
    run.world.check().await;
    run.holds.clear();
    run.world.settled(0).await;
    run.world.check().await;
    // What was put together from pieces is what one reading makes.
    let pieced = run.world.rows().await;
    let remove = async |path: &std::path::Path| std::fs::remove_file(path).unwrap();
    let world = run.world.reopen_projection(remove).await;
    assert_eq!(world.rows().await, pieced);
    world.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn reports_say_what_the_log_says(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
