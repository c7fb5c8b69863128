//! The committer on a real database, with clocks moved by hand, writes that fail and processes that die.
//!
//! The oracle follows the log as it is stored. Between two steps nothing is in flight, so that a seed repeats what happens.

use std::collections::HashMap;

use entry::{Entry, Status};
use futures_util::{StreamExt as _, future::join_all};
use ledger::Attempt;
use model::{ActionId, NanoUsd, Timestamp};

use super::{
    super::{
        super::shard::Shard,
        world::{World, assert_same, by, denied, patiently, poll_once, tenant},
    },
    oracle::Oracle,
    random::Random,
    script::{self, Hands, Shape, Step},
    trace::Trace,
};
use crate::{BalanceQuery, ChangeError, Clock as _, Hold, HoldAnswer, HoldRequest, Pending, Reader, db::faults::Fate};

const SHAPE: Shape = Shape {
    agents: 1_000,
    leaps: true,
};
/// How many steps lie between two full checks.
const CHECK: usize = 250;
/// How long it takes until it is looked for holds that nobody ended in time.
const LOOK_US: i64 = 5_000_000;
/// How many requests are made at once at most.
const AT_ONCE: usize = 6;

struct Database {
    random: Random,
    trace: Trace,
    /// `None` only while it starts again.
    world: Option<World>,
    /// What the stored log folds to.
    folded: Shard,
    oracle: Oracle,
    hands: Hands,
    holds: HashMap<Attempt, Hold>,
    pending: HashMap<Attempt, Pending>,
    /// The last request of each action.
    requests: HashMap<ActionId, HoldRequest>,
    steps: usize,
}

/// Runs one world. Returns how many entries there were of each kind.
pub(super) async fn run(seed: u64, steps: usize) -> Vec<(&'static str, u64)> {
    let mut random = Random::new(seed);
    let setup = script::setup(&mut random, SHAPE);
    let mut world = Database {
        random,
        trace: Trace::new(seed),
        world: Some(World::empty().await),
        folded: Shard::new(tenant()),
        oracle: Oracle::default(),
        hands: Hands::default(),
        holds: HashMap::new(),
        pending: HashMap::new(),
        requests: HashMap::new(),
        steps: 0,
    };
    world.world().change(setup).await.unwrap();
    world.follow().await;
    for _ in 0..steps {
        world.step().await;
    }
    world.restart().await;
    world.follow().await;
    assert_eq!(world.oracle.open_holds(), 0, "a hold that never ended");
    world.check().await;
    world.replay().await;
    world.oracle.kinds.into_iter().collect()
}

impl Database {
    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn wall(&self) -> Timestamp {
        self.world().clock.now()
    }

    fn epoch(&self) -> u64 {
        self.world()
            .handle
            .heads()
            .borrow()
            .get(&tenant())
            .map_or(0, |head| head.epoch)
    }

    async fn step(&mut self) {
        let step = self.draw();
        self.trace.next(&step);
        self.steps += 1;
        match step {
            Step::Hold(request) => self.hold(*request).await,
            Step::End(which, ending) => {
                let request = self.hands.held.swap_remove(which);
                let mut hold = self.holds.remove(&request.name()).unwrap();
                hold.begin();
                hold.settle(*ending);
            }
            Step::Drop(which, begun) => {
                let request = self.hands.held.swap_remove(which);
                let mut hold = self.holds.remove(&request.name()).unwrap();
                if begun {
                    hold.begin();
                }
                drop(hold);
            }
            Step::Withdraw(which) => {
                let request = self.hands.waiting.swap_remove(which);
                drop(self.pending.remove(&request.name()).unwrap());
            }
            Step::Deny(denied) => {
                let _ = self.world().handle.deny(*denied).await;
            }
            Step::Change(events) => drop(self.world().change(events).await),
            Step::Edit(budget, order) => {
                let edited = self
                    .world()
                    .handle
                    .edit_budget(tenant(), budget, order, "why not".to_owned(), by());
                assert!(!matches!(edited.await, Err(ChangeError::Unavailable(_))));
            }
            Step::Clock(to) => {
                let micros = to.micros_since(self.wall());
                let clock = &self.world().clock;
                if micros > 0 {
                    clock.pass(micros)
                } else {
                    clock.step(micros)
                }
            }
            Step::Pass(micros) => self.world().clock.pass(micros),
            Step::Commit(Fate::Works) => {}
            Step::Commit(fate) => self.fault(fate).await,
            Step::Crash(landed) => self.crash(landed).await,
            Step::Restart => self.restart().await,
        }
        self.follow().await;
        if self.steps.is_multiple_of(CHECK) {
            self.expire().await;
            self.check().await;
        }
    }

    /// Once it was looked for them, no hold is left whose time was over before.
    async fn expire(&mut self) {
        let over = self.oracle.now;
        self.world().clock.pass(LOOK_US);
        // Whatever is asked: an agent that is not known is refused without a trace.
        let _ = self.world().handle.deny(denied(0)).await;
        self.follow().await;
        assert_eq!(self.oracle.expired(over), None, "a hold that outlived its time");
    }

    fn draw(&mut self) -> Step {
        let (wall, epoch) = (self.wall(), self.epoch());
        script::step(&mut self.random, SHAPE, &self.oracle, &self.hands, wall, epoch)
    }

    /// Several that ask at once are written together.
    async fn hold(&mut self, request: HoldRequest) {
        let mut requests = vec![request];
        for _ in 0..self.random.below(AT_ONCE) {
            if let Step::Hold(request) = self.draw()
                && requests
                    .iter()
                    .all(|other| other.ask.action.id != request.ask.action.id)
            {
                requests.push(*request);
            }
        }
        let handle = self.world().handle.clone();
        for request in &requests {
            self.requests.insert(request.ask.action.id, request.clone());
        }
        let answers = join_all(requests.iter().map(|request| handle.hold(request.clone()))).await;
        for (request, answer) in requests.into_iter().zip(answers) {
            self.answered(request, answer);
        }
    }

    fn answered(&mut self, request: HoldRequest, answer: HoldAnswer) {
        let name = request.name();
        let id = name.action;
        match answer {
            HoldAnswer::Held(hold) => {
                assert_eq!(hold.attempt(), name);
                self.answered_waiting(|waiting| *waiting == name);
                self.holds.insert(name, hold);
                self.hands.held.push(request);
            }
            HoldAnswer::Asked(pending) => {
                self.answered_waiting(|waiting| *waiting == name);
                self.pending.insert(name, pending);
                self.hands.waiting.push(request);
            }
            HoldAnswer::Refused(..) | HoldAnswer::RateLimited(_) | HoldAnswer::AskRefused(..) => {
                self.answered_waiting(|waiting| waiting.action == id);
            }
            HoldAnswer::Waiting
            | HoldAnswer::Stale(_)
            | HoldAnswer::UnknownAgent
            | HoldAnswer::Overloaded
            | HoldAnswer::Unavailable => {}
            other => panic!("{other:?}"),
        }
    }

    /// These have their answer: there is nothing to withdraw.
    fn answered_waiting(&mut self, these: impl Fn(&Attempt) -> bool) {
        self.hands.waiting.retain(|waiting| !these(&waiting.name()));
        let names: Vec<_> = self.pending.keys().filter(|name| these(name)).copied().collect();
        names
            .iter()
            .filter_map(|name| self.pending.remove(name))
            .for_each(Pending::answered);
    }

    /// The next write fails, or only says so.
    async fn fault(&mut self, fate: Fate) {
        self.world().faults.appends(&[fate]);
        if self.random.chance(1, 2) {
            let step = self.draw();
            if let Step::Hold(request) = step {
                self.hold(*request).await;
            }
        }
        // What waits to be written is written with this: an agent that is not known is refused without a trace.
        let _ = self.world().handle.deny(denied(0)).await;
        self.rest().await;
        // If nothing waited, because it was written before, the fate meets nothing. It is not to meet another step.
        self.world().faults.appends_work();
    }

    /// Waits until everything that was sent is written.
    async fn rest(&self) {
        let query = BalanceQuery::default();
        let written = async {
            while self.world().handle.balances(tenant(), query.clone()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        patiently(written).await;
    }

    /// Takes what was written since the last time.
    async fn follow(&mut self) {
        self.rest().await;
        let heads = self.world().handle.heads();
        if heads.borrow().get(&tenant()).map_or(0, |head| head.size) == self.folded.state.size {
            return;
        }
        let reader: Reader = self.world().reader.clone();
        let mut batches = std::pin::pin!(reader.batches(&tenant(), self.folded.state.size));
        while let Some(batch) = batches.next().await {
            let (state, range) = (&mut self.folded.state, &mut self.folded.range);
            let (oracle, requests) = (&mut self.oracle, &self.requests);
            let folded = batch.unwrap().fold(state, range, |entry: &Entry, _| {
                let action = match &entry.event {
                    entry::Event::Intent(intent) => Some(intent.action.id),
                    entry::Event::Denial(denial) => Some(denial.action.id),
                    entry::Event::Asked(asked) => Some(asked.action.id),
                    _ => None,
                };
                oracle.take(entry, action.and_then(|action| requests.get(&action)));
            });
            folded.unwrap();
            self.oracle.batch_is_over();
        }
        self.oracle.check_touched(&self.folded.state.ledger);
    }

    /// Dies at once. What is under way then is lost, or everything was written and only its owners are gone.
    async fn crash(&mut self, landed: bool) {
        self.rest().await;
        let handle = self.world().handle.clone();
        let mut asking = Vec::new();
        if !landed {
            self.world().faults.stall(true);
            for _ in 0..self.random.below(AT_ONCE) {
                if let Step::Hold(request) = self.draw() {
                    let handle = handle.clone();
                    asking.push(Box::pin(async move { handle.hold(*request).await }));
                }
            }
            for asked in &mut asking {
                assert!(poll_once(asked).await.is_pending());
            }
            // Ends are under way, too.
            while self.random.chance(1, 2)
                && let Some(request) = self.hands.held.pop()
            {
                let mut hold = self.holds.remove(&request.name()).unwrap();
                hold.begin();
                hold.settle(crate::Ending {
                    cost: NanoUsd(1),
                    ..crate::Ending::unused(Status::Ok)
                });
            }
        }
        let (dir, clock) = self.world.take().unwrap().crash().await;
        self.let_go();
        drop(asking);
        let opened = World::open(dir, clock, &[]).await;
        self.world = Some(opened.unwrap_or_else(|(_, error)| panic!("{error}")));
    }

    async fn restart(&mut self) {
        self.rest().await;
        let world = self.world.take().unwrap();
        let stopped = world.restart().await;
        self.let_go();
        self.world = Some(stopped);
    }

    /// Nobody there has anything any more.
    fn let_go(&mut self) {
        self.hands = Hands::default();
        self.holds.clear();
        self.pending.clear();
    }

    /// Checks every pot, and that the committer sees what the log says.
    async fn check(&mut self) {
        self.oracle.check_all(&self.folded.state.ledger);
        let view = self.world().view().await;
        assert_same(&view, &self.folded.view());
        let query = BalanceQuery {
            most: usize::MAX,
            pots: 20,
            ..BalanceQuery::default()
        };
        let live = self.world().handle.balances(tenant(), query.clone()).await.unwrap();
        let folded = self.folded.balances(&query, self.wall());
        assert!(
            live.balances == folded.balances,
            "the committer's balances are not the log's"
        );
    }

    /// The log from its first byte folds to the state that is there.
    async fn replay(&self) {
        let mut shard = Shard::new(tenant());
        let mut batches = std::pin::pin!(self.world().reader.batches(&tenant(), 0));
        while let Some(batch) = batches.next().await {
            batch
                .unwrap()
                .fold(&mut shard.state, &mut shard.range, |_, _| {})
                .unwrap();
        }
        assert!(shard.state == self.folded.state, "the log folds to another state");
    }
}
