//! A tenant's log in memory: commands go in, entries come out, and a commit is what is put aside as bytes. What a crash
//! leaves are these bytes.

use std::collections::{HashMap, HashSet};

use entry::{AskEnd, Entry, Event, State};
use ledger::Attempt;
use model::{BatchId, TenantName, Timestamp};
use tlog::CompactRange;

use super::{
    super::{
        super::{
            command::ChangeError,
            shard::{Admitted, Shard},
        },
        world::{NOON, by},
    },
    oracle::Oracle,
    random::Random,
    script::{self, Hands, Shape, Step},
    trace::Trace,
};
use crate::{Batch, Ending, HoldRequest, db::faults::Fate, hold::End};

const SHAPE: Shape = Shape {
    agents: 2_000,
    leaps: true,
};
/// How many steps lie at least between two full checks.
const CHECK: usize = 1_000;
/// How long what waits is kept past its time.
const GRACE_US: i64 = 60_000_000;

/// What was written when everything was last checked. What comes after it is folded onto it at a crash.
struct Checked {
    state: State,
    range: CompactRange,
    oracle: Oracle,
    batches: usize,
}

struct Memory {
    random: Random,
    trace: Trace,
    shard: Shard,
    oracle: Oracle,
    hands: Hands,
    wall: Timestamp,
    boot: u64,
    /// What is written.
    log: Vec<Batch>,
    /// What is not.
    unwritten: Vec<Batch>,
    /// What callers are told once it is written.
    granted: Vec<HoldRequest>,
    asked: Vec<HoldRequest>,
    /// Ends that are not written.
    ends: Vec<End>,
    /// The requests that entries since the last full check are about.
    requests: HashMap<u64, HoldRequest>,
    checked: Checked,
    since_check: usize,
}

/// Runs one world. Returns how many entries there were of each kind.
pub(super) fn run(seed: u64, steps: usize) -> Vec<(&'static str, u64)> {
    let mut world = Memory::new(seed);
    for event in script::setup(&mut world.random, SHAPE) {
        world.shard.change(vec![event], world.wall).unwrap();
        world.take(None);
    }
    world.commit(Fate::Works);
    for _ in 0..steps {
        world.step();
    }
    world.crash(true);
    assert_eq!(world.oracle.open_holds(), 0, "a hold that never ended");
    world.check();
    world.replay();
    world.oracle.kinds.into_iter().collect()
}

impl Memory {
    fn new(seed: u64) -> Self {
        let shard = Shard::new(TenantName::default_tenant());
        let checked = Checked {
            state: shard.state.clone(),
            range: shard.range.clone(),
            oracle: Oracle::default(),
            batches: 0,
        };
        Self {
            random: Random::new(seed),
            trace: Trace::new(seed),
            shard,
            oracle: Oracle::default(),
            hands: Hands::default(),
            wall: Timestamp::from_unix_micros(NOON),
            boot: 1,
            log: Vec::new(),
            unwritten: Vec::new(),
            granted: Vec::new(),
            asked: Vec::new(),
            ends: Vec::new(),
            requests: HashMap::new(),
            checked,
            since_check: 0,
        }
    }

    fn step(&mut self) {
        let epoch = self.shard.state.epoch;
        let step = script::step(&mut self.random, SHAPE, &self.oracle, &self.hands, self.wall, epoch);
        self.trace.next(&step);
        self.since_check += 1;
        match step {
            Step::Hold(request) => self.hold(*request),
            Step::End(which, ending) => self.end(which, *ending),
            Step::Drop(which, begun) => {
                let held = self.hands.held[which].amount;
                let ending = if begun {
                    Ending::unknown(entry::Status::Indeterminate, held)
                } else {
                    Ending::unused(entry::Status::NotForwarded)
                };
                self.end(which, ending);
            }
            Step::Withdraw(which) => {
                let request = self.hands.waiting.swap_remove(which);
                self.send(request.name(), Ending::unused(entry::Status::NotForwarded));
            }
            Step::Deny(denied) => {
                let known = self.oracle.agents.contains_key(denied.ask.action.agent.as_str());
                assert_eq!(self.shard.deny(*denied, self.wall).is_ok(), known);
                self.take(None);
            }
            Step::Change(events) => self.change(events),
            Step::Edit(budget, order) => {
                let edited = self
                    .shard
                    .edit_budget(budget, order, "why not".to_owned(), by(), self.wall);
                drop(edited);
                self.take(None);
            }
            Step::Clock(to) => self.wall = to,
            Step::Pass(micros) => self.pass(micros),
            Step::Commit(fate) => self.commit(fate),
            Step::Crash(landed) => self.crash(landed),
            Step::Restart => {
                self.commit(Fate::Works);
                self.crash(false);
            }
        }
    }

    /// Holds what the last step appended against what it should be. Returns its entries.
    fn take(&mut self, request: Option<&HoldRequest>) -> Vec<Entry> {
        let id = BatchId::new(self.wall, [7; 10]);
        let Some(batch) = self.shard.take_batch(id, self.boot) else {
            return Vec::new();
        };
        let entries = batch.kept().unwrap();
        let entries = entries.map(|(_, bytes)| Entry::decode(bytes).unwrap());
        let entries: Vec<_> = entries.collect();
        for entry in &entries {
            self.oracle.take(entry, request);
            if let Some(request) = request {
                self.requests.insert(entry.index, request.clone());
            }
        }
        self.oracle.batch_is_over();
        self.oracle.check_touched(&self.shard.state.ledger);
        self.unwritten.push(batch);
        entries
    }

    fn hold(&mut self, request: HoldRequest) {
        let (state, agent) = (&self.shard.state, &request.ask.action.agent);
        let stale = request.epoch != state.epoch;
        let there = self
            .oracle
            .agents
            .get(agent.as_str())
            .is_some_and(|agent| agent.record.is_some());
        let admitted = self.shard.hold(request.clone(), self.boot, self.wall).unwrap();
        let entries = self.take(Some(&request));
        // What waited for another budget does not any more.
        let moved = matches!(
            entries.first().map(|entry| &entry.event),
            Some(Event::AskEnded(ended)) if ended.end == AskEnd::Moved
        );
        let kinds: Vec<_> = entries
            .iter()
            .skip(usize::from(moved))
            .map(|entry| entry.event.kind())
            .collect();
        let expected = match &admitted {
            Admitted::Granted(_) => vec!["intent"],
            Admitted::Asked(_) => vec!["asked"],
            Admitted::Waiting | Admitted::Stale(_) | Admitted::UnknownAgent => Vec::new(),
            Admitted::Refused(..) | Admitted::RateLimited(_) | Admitted::AskRefused(..) | Admitted::Unrecordable => {
                vec!["denial"]
            }
            // No call has an idempotency key here, and no breaker is declared.
            Admitted::Repeated(_) | Admitted::Broken(_) => panic!("{admitted:?}"),
        };
        assert_eq!(kinds, expected, "{admitted:?}");
        match admitted {
            Admitted::UnknownAgent => assert!(!there),
            Admitted::Stale(_) => assert!(there && stale),
            Admitted::Waiting => self.oracle.check_waiting(&request),
            Admitted::Granted(granted) => {
                assert_eq!(granted.attempt, request.name());
                self.hands.waiting.retain(|other| other.name() != request.name());
                self.granted.push(request);
            }
            Admitted::Asked(_) => {
                self.hands.waiting.retain(|other| other.name() != request.name());
                self.asked.push(request);
            }
            _ => self
                .hands
                .waiting
                .retain(|other| other.ask.action.id != request.ask.action.id),
        }
    }

    fn end(&mut self, which: usize, ending: Ending) {
        let request = self.hands.held.swap_remove(which);
        self.send(request.name(), ending);
    }

    fn send(&mut self, attempt: Attempt, ending: Ending) {
        let tenant = TenantName::default_tenant();
        let end = End {
            tenant,
            attempt,
            ending,
        };
        let (open, waits) = (self.oracle.is_open(&attempt), self.oracle.waits(&attempt));
        self.shard.end(&end, self.wall);
        let entries = self.take(None);
        match entries.first().map(|entry| &entry.event) {
            Some(Event::Outcome(outcome)) => {
                assert!(open && outcome.attempt() == attempt);
                let Ending {
                    status,
                    source,
                    cost,
                    usage,
                    ..
                } = end.ending;
                assert_eq!((outcome.status, outcome.source), (status, source));
                assert_eq!((outcome.cost, outcome.usage), (cost, usage));
            }
            Some(Event::AskEnded(_)) => assert!(waits),
            None => assert!(!open && !waits),
            Some(other) => panic!("{other:?}"),
        }
        self.ends.push(end);
    }

    fn change(&mut self, events: Vec<Event>) {
        let count = events.len();
        let changed = self.shard.change(events.clone(), self.wall);
        let entries = self.take(None);
        match changed {
            Ok(_) => assert_eq!(entries.len(), count),
            Err(ChangeError::Refused(_)) => assert!(entries.is_empty(), "half of a change: {events:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Time passes, and it is looked for what nobody ended in time.
    fn pass(&mut self, micros: i64) {
        self.wall = self.wall.saturating_add_micros(micros);
        self.shard.forget_asks(self.wall, |asked, now| {
            asked.until.saturating_add_micros(GRACE_US) <= now
        });
        self.shard.book(self.wall, |_, hold, now| hold.expires <= now);
        self.take(None);
        // Most of their owners are gone.
        let (oracle, random) = (&self.oracle, &mut self.random);
        self.hands
            .held
            .retain(|held| oracle.is_open(&held.name()) || random.chance(1, 4));
    }

    fn commit(&mut self, fate: Fate) {
        match fate {
            Fate::Works => {
                self.log.append(&mut self.unwritten);
                self.hands.held.append(&mut self.granted);
                self.hands.waiting.append(&mut self.asked);
                self.ends.clear();
                if self.since_check >= CHECK {
                    self.check();
                }
            }
            Fate::Fails | Fate::FailsButLands => {
                self.refold(fate == Fate::FailsButLands);
                // What callers were told, they go on from; what they were not told is void.
                self.granted.clear();
                self.asked.clear();
                let mut ends = std::mem::take(&mut self.ends);
                for end in &ends {
                    self.shard.end(end, self.wall);
                }
                self.shard.forget_asks(self.wall, |_, _| true);
                let held = self.hands.held.iter().map(HoldRequest::name);
                let told: HashSet<Attempt> = held.chain(ends.iter().map(|end| end.attempt)).collect();
                let (boot, wall) = (self.boot, self.wall);
                self.shard
                    .void(wall, |attempt, hold| hold.boot == boot && !told.contains(attempt));
                self.take(None);
                let open: Vec<_> = self.shard.state.ledger.holds().map(|(attempt, _)| *attempt).collect();
                assert!(
                    open.iter().all(|attempt| told.contains(attempt)),
                    "a hold that nobody was told of"
                );
                ends.clear();
                self.commit(Fate::Works);
            }
        }
    }

    fn crash(&mut self, landed: bool) {
        self.refold(landed);
        self.hands = Hands::default();
        self.granted.clear();
        self.asked.clear();
        self.ends.clear();
        self.boot += 1;
        let boot = self.boot;
        self.shard.forget_asks(self.wall, |_, _| true);
        self.shard.book(self.wall, |_, hold, _| hold.boot < boot);
        self.take(None);
        assert_eq!(self.oracle.open_holds(), 0, "nobody is there to end it");
        self.commit(Fate::Works);
    }

    /// Folds what is written anew.
    fn refold(&mut self, landed: bool) {
        if landed {
            self.log.append(&mut self.unwritten);
        }
        self.unwritten.clear();
        let Checked {
            state,
            range,
            oracle,
            batches,
        } = &self.checked;
        let mut shard = Shard::new(TenantName::default_tenant());
        (shard.state, shard.range) = (state.clone(), range.clone());
        let mut oracle = oracle.clone();
        for batch in &self.log[*batches..] {
            let folded = batch.fold(&mut shard.state, &mut shard.range, |entry, _| {
                oracle.take(entry, self.requests.get(&entry.index));
            });
            folded.unwrap();
        }
        (self.shard, self.oracle) = (shard, oracle);
    }

    /// Checks every pot, and keeps what was checked.
    fn check(&mut self) {
        self.oracle.check_all(&self.shard.state.ledger);
        self.requests.clear();
        self.since_check = 0;
        self.checked = Checked {
            state: self.shard.state.clone(),
            range: self.shard.range.clone(),
            oracle: self.oracle.clone(),
            batches: self.log.len(),
        };
    }

    /// The log from its first byte folds to the state that is there.
    fn replay(&self) {
        let mut shard = Shard::new(TenantName::default_tenant());
        for batch in &self.log {
            batch.fold(&mut shard.state, &mut shard.range, |_, _| {}).unwrap();
        }
        assert!(shard.state == self.shard.state, "the log folds to another state");
        assert_eq!(shard.range, self.shard.range);
    }
}
