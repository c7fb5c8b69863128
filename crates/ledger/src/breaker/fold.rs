//! The fold: what is let through, and what that and its end do.

use std::collections::{BTreeMap, HashMap};

use model::{BreakerName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    BreakerProblem, BreakerSpec, Cause, Closing, Notice, Scope, Step, StepKind, Trip, Warning,
    gate::{Breaker, Probe, key, run_key},
};
use crate::{
    Attempt, Labels,
    form::{self, MOST},
};

/// How many breakers a tenant may have.
pub const MAX_BREAKERS: usize = 256;
/// How many keys all breakers together know: teams, agents and runs, and the steps of runs. Beyond that the one that was
/// active the longest ago is forgotten, one that is open last of all.
pub const MAX_BREAKER_KEYS: usize = 100_000;
/// When one who came while a probe was in flight should try again, in microseconds.
const PROBE_RETRY: i64 = 5_000_000;

/// What a request asks to be done next, as fingerprints; each only where some breaker looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextStep {
    /// Of the tool calls, or of the prompt.
    pub calls: Option<Step>,
    /// Of these and of what the tools answered.
    pub results: Option<Step>,
}

impl NextStep {
    /// The one that a breaker looks at.
    fn step(self, spec: &BreakerSpec) -> Option<Step> {
        match spec.steps {
            StepKind::Calls => self.calls,
            StepKind::Results => self.results,
        }
    }
}

/// Which fingerprints breakers look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedSteps {
    /// Those of tool calls and prompts.
    pub calls: bool,
    /// Those of tool calls with their results.
    pub results: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The provider did what was asked.
    Answered,
    /// It did not, or nobody knows.
    Failed,
    /// Nothing was ever sent: nothing counts, and a probe is still due.
    NotSent,
}

/// That a breaker stops a request, to be told to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Which.
    pub breaker: BreakerName,
    /// What it stops.
    pub scope: Scope,
    /// Whose.
    pub of: String,
    /// Since when.
    pub since: Timestamp,
    /// When to try again.
    pub until: Timestamp,
    /// Why it tripped.
    pub cause: Cause,
    /// Whether its cooldown is over and its probe in flight.
    pub probing: bool,
}

/// Whether a request may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go,
    /// It may, and what becomes of it decides whether a breaker closes.
    GoAsProbe,
    /// A breaker is open, or half-open with its probe in flight.
    Stopped(Box<Stop>),
    /// This very request trips a breaker: the trip is to be logged, and the request refused.
    Trips(Box<Trip>),
}

/// Where an attempt in flight was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    breaker: BreakerName,
    edition: u64,
    of: String,
    /// The serial number of its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serial: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flight {
    run: String,
    places: Vec<Place>,
}

/// All breakers of a tenant.
///
/// Invariants (`tests::properties`):
/// 1. of each key at most one probe is in flight;
/// 2. an open key closes by its cooldown and a probe that goes well, or by a reset. It is forgotten when nobody asked about
///    it for long after its cooldown, and when so many are open at once that [`MAX_BREAKER_KEYS`] is reached;
/// 3. what is kept is bounded;
/// 4. what [`Breakers::end`] owes is taken by [`Breakers::trip`] and [`Breakers::close`], in its order, if nothing comes
///    between (`tests::room`). A log in which it were not could never go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Breakers {
    #[serde(serialize_with = "form::values")]
    pub(super) all: BTreeMap<BreakerName, Breaker>,
    #[serde(serialize_with = "form::pairs")]
    flights: HashMap<Attempt, Flight>,
    /// The last serial number given: of definitions, touches and steps alike.
    serial: u64,
    #[serde(skip)]
    room: usize,
}

/// What is written of breakers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    all: Vec<Breaker>,
    flights: Vec<(Attempt, Flight)>,
    serial: u64,
}

impl TryFrom<Parts> for Breakers {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, &'static str> {
        let Parts { all, flights, serial } = parts;
        let newest = all.iter().map(Breaker::newest).max();
        if serial > MOST || newest.is_some_and(|newest| newest > serial) {
            return Err("breakers were given more serial numbers than there were");
        }
        let named = all.into_iter().map(|breaker| (breaker.spec.name.clone(), breaker));
        let breakers = Self {
            all: named.collect(),
            flights: flights.into_iter().collect(),
            serial,
            ..Self::default()
        };
        if breakers.all.len() > MAX_BREAKERS || breakers.keys() > MAX_BREAKER_KEYS {
            return Err("breakers know more than they can");
        }
        Ok(breakers)
    }
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            flights: HashMap::new(),
            serial: 0,
            room: MAX_BREAKER_KEYS,
        }
    }
}

impl Breakers {
    /// Adds a breaker or takes its new rules: what is open stays open, and what was counted stays counted, as far as the
    /// new windows allow. With another scope it begins anew.
    pub fn define(&mut self, spec: BreakerSpec) -> Result<(), BreakerProblem> {
        spec.check()?;
        if self.all.len() >= MAX_BREAKERS && !self.all.contains_key(&spec.name) {
            return Err(BreakerProblem::TooMany);
        }
        let edition = self.next();
        match self.all.get_mut(&spec.name) {
            Some(breaker) if breaker.spec.scope == spec.scope => breaker.redefine(spec),
            _ => {
                self.all.insert(spec.name.clone(), Breaker::new(spec, edition));
            }
        }
        Ok(())
    }

    /// Forgets a breaker with all it knows. Whether there was one.
    pub fn remove(&mut self, name: &BreakerName) -> bool {
        self.all.remove(name).is_some()
    }

    /// What every breaker says, in the order of their names.
    pub fn specs(&self) -> impl Iterator<Item = &BreakerSpec> {
        self.all.values().map(|breaker| &breaker.spec)
    }

    /// What a breaker says.
    pub fn spec(&self, name: &BreakerName) -> Option<&BreakerSpec> {
        self.all.get(name).map(|breaker| &breaker.spec)
    }

    /// Which fingerprints some breaker looks at: only those must be made for each request.
    pub fn wants_steps(&self) -> WantedSteps {
        let mut wanted = WantedSteps::default();
        for breaker in self.all.values().filter(|breaker| breaker.spec.wants_steps()) {
            match breaker.spec.steps {
                StepKind::Calls => wanted.calls = true,
                StepKind::Results => wanted.results = true,
            }
        }
        wanted
    }

    /// How many keys are known.
    pub fn keys(&self) -> usize {
        self.all.values().map(Breaker::len).sum()
    }

    /// Whether a request may go now. Changes nothing. If several breakers stop it: one that trips before one that stands
    /// open, of those the one that stops it the longest, then the first by name.
    pub fn admit(&self, labels: &Labels<'_>, next: NextStep, now: Timestamp) -> Admission {
        let mut found = Admission::Go;
        for breaker in self.selecting(labels) {
            let admission = admit(breaker, labels, next.step(&breaker.spec), now);
            if rank(&admission) > rank(&found) {
                found = admission;
            }
        }
        found
    }

    fn selecting(&self, labels: &Labels<'_>) -> impl Iterator<Item = &Breaker> {
        self.all.values().filter(|breaker| breaker.spec.select.selects(labels))
    }

    /// An attempt was let through: its step counts, and where a breaker is half-open without a probe in flight, it is the
    /// probe. Returns the warnings owed.
    pub fn begin(&mut self, attempt: Attempt, labels: &Labels<'_>, next: NextStep, now: Timestamp) -> Vec<Notice> {
        let mut owed = Vec::new();
        if self.flights.contains_key(&attempt) {
            return owed;
        }
        let run = run_key(labels);
        let mut places = Vec::new();
        let mut serial = self.serial;
        for breaker in self
            .all
            .values_mut()
            .filter(|breaker| breaker.spec.select.selects(labels))
        {
            let Some(of) = key(breaker.spec.scope, labels) else {
                continue;
            };
            serial += 1;
            let gate = breaker.gates.touch(&of, serial);
            gate.last = now;
            let is_due = |probe| probe == Probe::Due;
            let tripped = gate
                .tripped
                .as_mut()
                .filter(|tripped| now >= tripped.until && is_due(tripped.probe));
            if let Some(tripped) = tripped {
                tripped.probe = Probe::Running(attempt);
            }
            let step = next.step(&breaker.spec).filter(|_| breaker.spec.wants_steps());
            if let Some(step) = step {
                breaker.runs.touch(&run, serial).push(&of, serial, step, now);
                owed.extend(warn(breaker, &of, &run, now).map(Notice::Warned));
            }
            breaker.sweep(now);
            places.push(Place {
                breaker: breaker.spec.name.clone(),
                edition: breaker.edition,
                of,
                serial: step.map(|_| serial),
            });
        }
        self.serial = serial;
        if !places.is_empty() {
            self.flights.insert(attempt, Flight { run, places });
        }
        self.make_room();
        owed
    }

    /// An attempt ended: it counts for what it cost and whether it failed, and if it was a probe, that decides. Returns
    /// what is owed. An attempt that is not known counts nowhere: it began before there was any breaker that selects it.
    pub fn end(&mut self, attempt: &Attempt, ending: Ending, cost: NanoUsd, now: Timestamp) -> Vec<Notice> {
        let Some(Flight { run, places }) = self.flights.remove(attempt) else {
            return Vec::new();
        };
        for place in &places {
            let serial = self.next();
            let Some(breaker) = self.placed(place) else { continue };
            if let (Some(serial), false) = (place.serial, ending == Ending::Answered)
                && let Some(steps) = breaker.runs.get_mut(&run)
            {
                steps.take_back(serial);
            }
            let gate = breaker.gates.touch(&place.of, serial);
            if ending != Ending::NotSent {
                gate.count(&breaker.spec, cost, ending == Ending::Failed, now);
            }
            breaker.runs.touch_known(&run, serial);
        }
        // What is owed has to be found again when it is paid. So room is made before it is seen what is owed, and paying
        // needs none: each notice is about a key that is known.
        self.make_room();
        let concluded = places.iter().filter_map(|place| {
            let breaker = self.placed(place)?;
            conclude(breaker, attempt, place, &run, ending, now)
        });
        concluded.collect()
    }

    /// The breaker in which an attempt was counted, if it is still the same one.
    fn placed(&mut self, place: &Place) -> Option<&mut Breaker> {
        let breaker = self.all.get_mut(&place.breaker);
        breaker.filter(|breaker| breaker.edition == place.edition)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Forgets keys until there are no more than may be.
    pub(super) fn make_room(&mut self) {
        while self.keys() > self.room {
            let age = |breaker: &Breaker| {
                let closed = breaker.gates.oldest().into_iter().chain(breaker.runs.oldest()).min();
                // Open ones only when there is nothing else.
                match (closed, breaker.stopped.first()) {
                    (Some(serial), _) => (0, i64::try_from(serial).unwrap_or(i64::MAX)),
                    (None, Some((until, _))) => (1, until.unix_micros()),
                    (None, None) => (2, 0),
                }
            };
            let Some(breaker) = self.all.values_mut().min_by_key(|breaker| age(breaker)) else {
                return;
            };
            match (breaker.gates.oldest(), breaker.runs.oldest()) {
                // Of a gate and a run touched together the run goes first: the gate knows which steps a reset forgot.
                (Some(gate), Some(run)) if run <= gate => breaker.runs.forget_oldest(),
                (Some(_), _) => breaker.gates.forget_oldest(),
                (None, Some(_)) => breaker.runs.forget_oldest(),
                (None, None) => match breaker.stopped.pop_first() {
                    Some((_, of)) => breaker.gates.remove(&of),
                    None => return,
                },
            }
        }
    }

    /// One that has room for so many keys.
    #[cfg(test)]
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }
}

fn rank(admission: &Admission) -> (u8, Timestamp) {
    match admission {
        Admission::Go => (0, Timestamp::default()),
        Admission::GoAsProbe => (1, Timestamp::default()),
        Admission::Stopped(stop) => (2, stop.until),
        Admission::Trips(trip) => (3, trip.until),
    }
}

fn admit(breaker: &Breaker, labels: &Labels<'_>, step: Option<Step>, now: Timestamp) -> Admission {
    let Some(of) = key(breaker.spec.scope, labels) else {
        return Admission::Go;
    };
    let tripped = breaker.gates.get(&of).and_then(|gate| gate.tripped.as_ref());
    if let Some(tripped) = tripped {
        let probing = now >= tripped.until && matches!(tripped.probe, Probe::Running(_));
        if probing || now < tripped.until {
            let until = if probing {
                now.saturating_add_micros(PROBE_RETRY)
            } else {
                tripped.until
            };
            return Admission::Stopped(Box::new(Stop {
                breaker: breaker.spec.name.clone(),
                scope: breaker.spec.scope,
                since: tripped.since,
                until,
                cause: tripped.cause.clone(),
                probing,
                of,
            }));
        }
    }
    let loops = breaker.spec.loops.as_ref().zip(step);
    let cause = loops.and_then(|(rule, step)| {
        let run = run_key(labels);
        breaker
            .steps(&of, &run)?
            .stops(rule, step, breaker.view(&of, &run, now))
    });
    match cause {
        Some(cause) => Admission::Trips(Box::new(trip(&breaker.spec, of, cause, now))),
        None if tripped.is_some() => Admission::GoAsProbe,
        None => Admission::Go,
    }
}

fn trip(spec: &BreakerSpec, of: String, cause: Cause, now: Timestamp) -> Trip {
    Trip {
        breaker: spec.name.clone(),
        scope: spec.scope,
        of,
        cause,
        until: now.saturating_add_micros(spec.cooldown_micros()),
    }
}

/// What the step just taken is to be warned of. Whoever is stopped already needs no warning.
fn warn(breaker: &mut Breaker, of: &str, run: &str, now: Timestamp) -> Option<Warning> {
    if breaker.gates.get(of).is_some_and(|gate| gate.tripped.is_some()) {
        return None;
    }
    let rule = breaker.spec.loops.as_ref()?;
    let view = breaker.view(of, run, now);
    let cause = breaker.runs.get_mut(run)?.warns(rule, view)?;
    Some(Warning {
        breaker: breaker.spec.name.clone(),
        scope: breaker.spec.scope,
        of: of.to_owned(),
        cause,
    })
}

/// What the end of an attempt means to one breaker.
fn conclude(
    breaker: &mut Breaker,
    attempt: &Attempt,
    place: &Place,
    run: &str,
    ending: Ending,
    now: Timestamp,
) -> Option<Notice> {
    let stands_still = || {
        let rule = breaker.spec.no_progress.as_ref().filter(|_| place.serial.is_some())?;
        breaker
            .steps(&place.of, run)?
            .stands_still(rule, breaker.view(&place.of, run, now))
    };
    let gate = breaker.gates.get(&place.of)?;
    let holds = match ending {
        Ending::NotSent => None,
        Ending::Answered => gate.overspends(&breaker.spec, now).or_else(stands_still),
        Ending::Failed => gate
            .overspends(&breaker.spec, now)
            .or_else(|| gate.errs(&breaker.spec, now)),
    };
    let spec = &breaker.spec;
    let Some(tripped) = &mut breaker.gates.get_mut(&place.of)?.tripped else {
        return holds.map(|cause| Notice::Tripped(trip(spec, place.of.clone(), cause, now)));
    };
    if tripped.probe != Probe::Running(*attempt) {
        // It was in flight when the breaker tripped.
        return None;
    }
    let (probe, cause) = match (ending, holds) {
        (Ending::NotSent, _) => (Probe::Due, None),
        (Ending::Failed, _) => (Probe::Failed, Some(tripped.probe_failed())),
        (Ending::Answered, Some(cause)) => (Probe::InVain, Some(cause)),
        (Ending::Answered, None) => (Probe::Passed, None),
    };
    tripped.probe = probe;
    match cause {
        Some(cause) => Some(Notice::Tripped(trip(spec, place.of.clone(), cause, now))),
        None if probe == Probe::Passed => Some(Notice::Closed(Closing {
            breaker: spec.name.clone(),
            scope: spec.scope,
            of: place.of.clone(),
            since: tripped.since,
        })),
        None => None,
    }
}
