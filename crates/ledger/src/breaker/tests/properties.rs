//! Random traffic: concurrent, failing, unsent, under a clock that also steps back.

use std::collections::BTreeMap;

use model::{NanoUsd, Timestamp};
use proptest::prelude::*;

use super::table::{Done, Request, apply, attempt, instant, replay, spec, step, steps};
use crate::{
    Admission, Attempt, BreakerEnding as Ending, BreakerError, BreakerPhase as Phase, Breakers, Cause, Notice, Trip,
    breaker::{gate::Probe, steps::MAX_STEPS},
    tests::form::again,
};

const SPECS: [(&str, &str); 4] = [
    ("loops", "scope=run same=2/3 periodic=2/3 within=120 cooldown=20"),
    (
        "money",
        "scope=agent spend=3/60 surge=200/30/6/1 cooldown=40 errors=60/3/60",
    ),
    ("still", "scope=agent progress=6/2/300 cooldown=15"),
    (
        "team",
        "scope=team same=3/5 periodic=3/4 within=60 errors=50/4/90 spend=8/90 cooldown=30",
    ),
];

#[derive(Clone, Debug)]
enum Command {
    Wait(i64),
    Ask { agent: u8, run: u8, step: Option<u8> },
    End { which: usize, ending: Ending, cents: i64 },
    Reset { which: usize },
    Define { which: usize },
}

fn command() -> impl Strategy<Value = Command> {
    let ending = prop_oneof![
        5 => Just(Ending::Answered),
        2 => Just(Ending::Failed),
        1 => Just(Ending::NotSent),
    ];
    prop_oneof![
        4 => (-3_i64..40).prop_map(Command::Wait),
        8 => (0_u8..2, 0_u8..3, prop::option::weighted(0.9, 0_u8..3))
            .prop_map(|(agent, run, step)| Command::Ask { agent, run, step }),
        7 => (any::<usize>(), ending, 0_i64..120)
            .prop_map(|(which, ending, cents)| Command::End { which, ending, cents }),
        1 => any::<usize>().prop_map(|which| Command::Reset { which }),
        1 => any::<usize>().prop_map(|which| Command::Define { which }),
    ]
}

struct World {
    breakers: Breakers,
    done: Vec<Done>,
    now: i64,
    asked: usize,
    flying: Vec<Attempt>,
    /// The probe of each key that is half-open.
    probes: BTreeMap<(String, String), Attempt>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            breakers: Breakers::default(),
            done: Vec::new(),
            now: 0,
            asked: 0,
            flying: Vec::new(),
            probes: BTreeMap::new(),
        };
        for which in 0..SPECS.len() {
            world.run(&Command::Define { which });
        }
        world
    }

    fn now(&self) -> Timestamp {
        instant(self.now)
    }

    fn apply(&mut self, done: Done) {
        apply(&mut self.breakers, &done);
        self.done.push(done);
    }

    fn run(&mut self, command: &Command) {
        match command {
            Command::Wait(seconds) => self.now += seconds,
            Command::Ask { agent, run, step: what } => {
                let request = Request {
                    team: "data".to_owned(),
                    agent: format!("a{agent}"),
                    run: if *run == 0 { String::new() } else { format!("r{run}") },
                    step: what.map(|what| step(&what.to_string())),
                };
                self.ask(request);
            }
            Command::End { which, ending, cents } => {
                if !self.flying.is_empty() {
                    let attempt = self.flying.swap_remove(which % self.flying.len());
                    self.end(attempt, *ending, NanoUsd(cents * 10_000_000));
                }
            }
            Command::Reset { which } => {
                let all = self.breakers.standing(None, self.now(), true, usize::MAX);
                if !all.is_empty() {
                    let one = &all[which % all.len()];
                    self.probes.remove(&(one.breaker.to_string(), one.of.clone()));
                    self.apply(Done::Reset(one.breaker.to_string(), one.of.clone(), self.now()));
                }
            }
            Command::Define { which } => {
                let (name, rules) = SPECS[which % SPECS.len()];
                let rules: Vec<&str> = rules.split(' ').collect();
                self.apply(Done::Define(spec(name, &rules)));
            }
        }
    }

    fn ask(&mut self, request: Request) {
        let before = self.breakers.clone();
        let admission = self.breakers.admit(&request.labels(), steps(request.step), self.now());
        assert_eq!(self.breakers, before, "asking changes nothing");
        match admission {
            Admission::Stopped(stop) => assert!(stop.until > self.now(), "{stop:?}"),
            Admission::Trips(trip) => self.trip(*trip),
            Admission::Go | Admission::GoAsProbe => {
                self.asked += 1;
                let attempt = attempt(&self.asked.to_string());
                self.flying.push(attempt);
                self.done.push(Done::Begin(attempt, request.clone(), self.now()));
                let now = self.now();
                let owed = self
                    .breakers
                    .begin(attempt, &request.labels(), steps(request.step), now);
                assert!(owed.iter().all(|one| matches!(one, Notice::Warned(_))), "{owed:?}");
                let is_probe = self.note_probes(attempt);
                assert_eq!(
                    is_probe,
                    admission == Admission::GoAsProbe,
                    "a probe is one that was let through as one"
                );
            }
        }
    }

    /// Takes down which keys this attempt probes. None of them may have had a probe in flight.
    fn note_probes(&mut self, attempt: Attempt) -> bool {
        let mut any = false;
        for (name, breaker) in &self.breakers.all {
            for (of, gate) in breaker.gates.iter() {
                if gate
                    .tripped
                    .as_ref()
                    .is_some_and(|tripped| tripped.probe == Probe::Running(attempt))
                {
                    let before = self.probes.insert((name.to_string(), of.to_owned()), attempt);
                    assert_eq!(before, None, "a second probe of {name} {of}");
                    any = true;
                }
            }
        }
        any
    }

    fn end(&mut self, attempt: Attempt, ending: Ending, cost: NanoUsd) {
        let (now, before) = (self.now(), self.breakers.clone());
        let open = before.standing(None, now, false, usize::MAX);
        self.done.push(Done::End(attempt, ending, cost, now));
        let owed = self.breakers.end(&attempt, ending, cost, now);
        let mut probed: Vec<_> = self
            .probes
            .iter()
            .filter(|(_, probe)| **probe == attempt)
            .map(|(key, _)| key.clone())
            .collect();
        self.probes.retain(|_, probe| *probe != attempt);
        for notice in owed {
            let (name, of) = match &notice {
                Notice::Tripped(trip) => (trip.breaker.to_string(), trip.of.clone()),
                Notice::Closed(closing) => (closing.breaker.to_string(), closing.of.clone()),
                Notice::Warned(warning) => panic!("{warning}"),
            };
            let was_open = open.iter().any(|one| one.breaker.as_str() == name && one.of == of);
            let was_probed = probed.iter().any(|key| *key == (name.clone(), of.clone()));
            probed.retain(|key| *key != (name.clone(), of.clone()));
            assert_eq!(
                was_open, was_probed,
                "{notice:?}: what stands open is moved by its probe alone"
            );
            match notice {
                Notice::Tripped(trip) => self.trip(trip),
                Notice::Closed(closing) => {
                    assert!(was_probed, "{closing}");
                    self.apply(Done::Close(closing));
                }
                Notice::Warned(_) => {}
            }
        }
        assert!(
            probed.is_empty() || ending == Ending::NotSent,
            "a probe that was sent decides: {probed:?}"
        );
    }

    /// Trips, having seen that nothing else than this would do.
    fn trip(&mut self, trip: Trip) {
        for wrong in altered(&trip) {
            let mut copy = self.breakers.clone();
            let error = copy.trip(&wrong, self.now()).unwrap_err();
            assert!(
                matches!(error, BreakerError::NoReason { .. } | BreakerError::WrongTime(_)),
                "{error}"
            );
            assert_eq!(copy, self.breakers, "what is refused changes nothing");
        }
        self.apply(Done::Trip(trip.clone(), self.now()));
        let mut copy = self.breakers.clone();
        assert!(copy.trip(&trip, self.now()).is_err(), "it is open already");
        assert_eq!(copy, self.breakers, "what is refused changes nothing");
    }

    fn check(&self) {
        assert_eq!(again(&self.breakers), self.breakers);
        assert_eq!(self.breakers.in_flight(), self.flying.len());
        for breaker in self.breakers.all.values() {
            assert!(breaker.runs.len() <= 6);
            assert!(breaker.gates.len() <= 6);
            for (_, run) in breaker.runs.iter() {
                let (steps, warned) = run.len();
                assert!(steps <= MAX_STEPS && warned <= 16);
            }
            for (_, gate) in breaker.gates.iter() {
                assert!(gate.spent.len() < 120 && gate.ends.len() < 40 && gate.usual.len() < 14);
            }
            let open = breaker.gates.iter().filter(|(_, gate)| gate.tripped.is_some()).count();
            assert_eq!(open, breaker.stopped.len());
        }
    }
}

/// The trip with something changed that is evidence.
fn altered(trip: &Trip) -> Vec<Trip> {
    let mut all = Vec::new();
    let mut cause = trip.cause.clone();
    match &mut cause {
        Cause::Spend { booked, .. } | Cause::Surge { booked, .. } => booked.0 += 1,
        Cause::SameStep { seen, .. } | Cause::Periodic { seen, .. } => *seen += 1,
        Cause::Errors { failed, .. } | Cause::Probe { failed, .. } => *failed += 1,
        Cause::NoProgress { steps, .. } => *steps += 1,
    }
    all.push(Trip { cause, ..trip.clone() });
    all.push(Trip {
        of: "nobody".to_owned(),
        ..trip.clone()
    });
    all.push(Trip {
        until: trip.until.saturating_add_micros(3_600_000_000),
        ..trip.clone()
    });
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    /// At most one probe of each key is in flight; nothing but its probe or a reset moves what is open; altered evidence is
    /// refused; what is kept is bounded; the same entries give the same state.
    #[test]
    fn transitions_hold_under_random_traffic(commands in prop::collection::vec(command(), 1..160)) {
        let mut world = World::new();
        for command in &commands {
            world.run(command);
            world.check();
        }
        prop_assert_eq!(replay(&world.done), world.breakers);
    }

    /// Whatever happened: when the windows are over, each open key is closed by one good probe.
    #[test]
    fn what_is_open_is_left(commands in prop::collection::vec(command(), 1..160)) {
        let mut world = World::new();
        for command in &commands {
            world.run(command);
        }
        for attempt in std::mem::take(&mut world.flying) {
            world.end(attempt, Ending::NotSent, NanoUsd::ZERO);
        }
        // As long as the longest window.
        world.now += 400;
        let keys = [("a0", ""), ("a0", "r1"), ("a0", "r2"), ("a1", ""), ("a1", "r1"), ("a1", "r2")];
        for (agent, run) in keys {
            let request = Request { team: "data".to_owned(), agent: agent.to_owned(), run: run.to_owned(), step: None };
            let asked = world.asked;
            world.ask(request);
            prop_assert_eq!(world.asked, asked + 1, "let through");
            let attempt = world.flying.pop().unwrap();
            world.end(attempt, Ending::Answered, NanoUsd::ZERO);
        }
        let open = world.breakers.standing(None, world.now(), false, usize::MAX);
        prop_assert!(open.is_empty(), "{open:?}");
    }

    /// However many keys come by, no more are known than there is room for, and what is open is forgotten last.
    #[test]
    fn keys_are_bounded(runs in prop::collection::vec((0_u8..40, 0_u8..2), 1..400)) {
        let mut breakers = Breakers::with_room(12);
        breakers.define(spec("b", &["scope=run", "same=2/3", "periodic=2/3", "within=86400"])).unwrap();
        breakers.define(spec("c", &["scope=agent", "spend=1/60"])).unwrap();
        let mut tripped: Vec<String> = Vec::new();
        for (number, (run, what)) in runs.into_iter().enumerate() {
            let request = Request {
                team: String::new(),
                agent: "mailer".to_owned(),
                run: run.to_string(),
                step: Some(step(&what.to_string())),
            };
            match breakers.admit(&request.labels(), steps(request.step), instant(0)) {
                Admission::Trips(trip) => {
                    breakers.trip(&trip, instant(0)).unwrap();
                    tripped.push(trip.of);
                }
                Admission::Stopped(_) => {}
                _ => {
                    breakers.begin(attempt(&number.to_string()), &request.labels(), steps(request.step), instant(0));
                    breakers.end(&attempt(&number.to_string()), Ending::Answered, NanoUsd::ZERO, instant(0));
                }
            }
            prop_assert!(breakers.keys() <= 12);
            let open = breakers.standing(None, instant(0), false, usize::MAX);
            prop_assert!(open.iter().all(|one| one.phase == Phase::Open));
            prop_assert!(open.len() == tripped.len() || tripped.len() > 9, "{open:?} {tripped:?}");
        }
    }
}
