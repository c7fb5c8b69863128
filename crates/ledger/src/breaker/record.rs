//! What breakers did, as the log says it: applied, if this state finds the same.

use model::{BreakerName, Timestamp};

use super::{
    Breakers, Cause, Closing, Scope, Trip,
    gate::{Breaker, Gate, Probe, Tripped},
};

/// By how much the time of an entry may differ from the time of what it says, in microseconds.
const SLACK: u64 = 60_000_000;

/// An entry that does not fit the state of the breakers. On the live path it is a bug or a stale view, in a replayed log
/// the sign of tampering.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BreakerError {
    /// No such breaker.
    #[error("there is no breaker {0}")]
    Unknown(BreakerName),
    /// The breaker stops something else.
    #[error("breaker {breaker} has scope {}, the entry says {}", .found.as_str(), .said.as_str())]
    WrongScope {
        /// The breaker.
        breaker: BreakerName,
        /// By the entry.
        said: Scope,
        /// By the breaker.
        found: Scope,
    },
    /// It stays open for another time than its cooldown.
    #[error("breaker {0} would not be open until then: that is not its cooldown after the entry")]
    WrongTime(BreakerName),
    /// What the entry says it saw is not what is there.
    #[error("breaker {breaker} has no reason to trip for {of} because of this: {said}")]
    NoReason {
        /// The breaker.
        breaker: BreakerName,
        /// Whose.
        of: String,
        /// By the entry.
        said: Cause,
    },
    /// Nothing is known of such a team, agent or run, or it is not stopped since then.
    #[error("breaker {breaker} knows of no such {} to close: {of}", .scope.as_str())]
    NotStopped {
        /// The breaker.
        breaker: BreakerName,
        /// What it stops.
        scope: Scope,
        /// Whose.
        of: String,
    },
    /// No probe went well.
    #[error("breaker {breaker} is not to be closed for {of}: no probe went well")]
    NotProbed {
        /// The breaker.
        breaker: BreakerName,
        /// Whose.
        of: String,
    },
}

/// What is refused changes nothing, not even the serial number: the log does not have it, so a replay would not either.
impl Breakers {
    /// A breaker trips. Its evidence must be what is found here at the time from which `until` is one cooldown away, which
    /// must be about `now`.
    pub fn trip(&mut self, trip: &Trip, now: Timestamp) -> Result<(), BreakerError> {
        let breaker = self.named(&trip.breaker, trip.scope)?;
        let at = trip.until.saturating_add_micros(-breaker.spec.cooldown_micros());
        if now.micros_since(at).unsigned_abs() > SLACK {
            return Err(BreakerError::WrongTime(trip.breaker.clone()));
        }
        if !is_found(breaker, trip, at) {
            return Err(BreakerError::NoReason {
                breaker: trip.breaker.clone(),
                of: trip.of.clone(),
                said: trip.cause.clone(),
            });
        }
        let serial = self.next();
        let breaker = self.named(&trip.breaker, trip.scope)?;
        let before = breaker.gates.get(&trip.of).and_then(|gate| gate.tripped.as_ref());
        let probed = u32::from(matches!(trip.cause, Cause::Probe { .. }));
        let tripped = Tripped {
            cause: trip.cause.clone(),
            since: before.map_or(at, |before| before.since),
            until: trip.until,
            probe: Probe::Due,
            failed: before.map_or(0, |before| before.failed).saturating_add(probed),
        };
        breaker.trip(&trip.of, tripped, serial);
        self.make_room();
        Ok(())
    }

    /// A breaker closes, its probe having gone well. Failures are forgotten, all else that was counted stays.
    pub fn close(&mut self, closing: &Closing) -> Result<(), BreakerError> {
        let Closing {
            breaker: name,
            scope,
            of,
            since,
        } = closing;
        let breaker = self.named(name, *scope)?;
        let gate = breaker.gates.get(of);
        let tripped = gate
            .and_then(|gate| gate.tripped.as_ref())
            .filter(|tripped| tripped.since == *since);
        match tripped.map(|tripped| tripped.probe) {
            Some(Probe::Passed) => {}
            Some(_) => {
                return Err(BreakerError::NotProbed {
                    breaker: name.clone(),
                    of: of.clone(),
                });
            }
            None => return Err(not_stopped(name, *scope, of)),
        }
        let serial = self.next();
        let breaker = self.named(name, *scope)?;
        breaker.untrip(of, serial);
        if let Some(gate) = breaker.gates.get_mut(of) {
            gate.ends = super::pace::Ends::default();
        }
        Ok(())
    }

    /// An administrator closes it and has it forget what it counted, so that it does not trip again on the same past. A
    /// probe in flight becomes a call like any other. A key that is closed can be reset too.
    pub fn reset(&mut self, name: &BreakerName, of: &str, now: Timestamp) -> Result<(), BreakerError> {
        let unknown = || BreakerError::Unknown(name.clone());
        let breaker = self.all.get(name).ok_or_else(unknown)?;
        if breaker.gates.get(of).is_none() {
            return Err(not_stopped(name, breaker.spec.scope, of));
        }
        let serial = self.next();
        let breaker = self.all.get_mut(name).ok_or_else(unknown)?;
        breaker.untrip(of, serial);
        if let Some(gate) = breaker.gates.get_mut(of) {
            gate.forget(&breaker.spec, serial, now);
        }
        Ok(())
    }

    fn named(&mut self, name: &BreakerName, scope: Scope) -> Result<&mut Breaker, BreakerError> {
        let breaker = self
            .all
            .get_mut(name)
            .ok_or_else(|| BreakerError::Unknown(name.clone()))?;
        if breaker.spec.scope == scope {
            return Ok(breaker);
        }
        Err(BreakerError::WrongScope {
            breaker: name.clone(),
            said: scope,
            found: breaker.spec.scope,
        })
    }
}

fn not_stopped(breaker: &BreakerName, scope: Scope, of: &str) -> BreakerError {
    BreakerError::NotStopped {
        breaker: breaker.clone(),
        scope,
        of: of.to_owned(),
    }
}

/// Whether a key can trip for this at this time, and what is said of it is true.
fn is_found(breaker: &Breaker, trip: &Trip, at: Timestamp) -> bool {
    let gate = breaker.gates.get(&trip.of);
    let tripped = gate.and_then(|gate| gate.tripped.as_ref());
    let looping = matches!(trip.cause, Cause::SameStep { .. } | Cause::Periodic { .. });
    let may = match tripped.map(|tripped| tripped.probe) {
        None => true,
        // The request that would have been the probe goes on with a loop.
        Some(Probe::Due) => looping && tripped.is_some_and(|tripped| at >= tripped.until),
        Some(Probe::InVain) => !looping,
        Some(Probe::Failed) => matches!(trip.cause, Cause::Probe { .. }),
        Some(Probe::Running(_) | Probe::Passed) => false,
    };
    may && found(breaker, gate, trip, at).as_ref() == Some(&trip.cause)
}

/// What is found of the kind that the entry says.
fn found(breaker: &Breaker, gate: Option<&Gate>, trip: &Trip, at: Timestamp) -> Option<Cause> {
    let spec = &breaker.spec;
    let in_run = |run: &Option<String>| run.clone().unwrap_or_else(|| trip.of.clone());
    match &trip.cause {
        Cause::Spend { .. } | Cause::Surge { .. } => gate?.overspends(spec, at),
        Cause::Errors { .. } => gate?.errs(spec, at),
        Cause::Probe { .. } => Some(gate?.tripped.as_ref()?.probe_failed()),
        Cause::NoProgress { run, .. } => {
            let run = in_run(run);
            let view = breaker.view(&trip.of, &run, at);
            breaker
                .steps(&trip.of, &run)?
                .stands_still(spec.no_progress.as_ref()?, view)
        }
        Cause::SameStep { run, .. } | Cause::Periodic { run, .. } => {
            let step = match &trip.cause {
                Cause::SameStep { step, .. } => *step,
                Cause::Periodic { steps, .. } => *steps.last()?,
                _ => return None,
            };
            let run = in_run(run);
            let view = breaker.view(&trip.of, &run, at);
            breaker.steps(&trip.of, &run)?.stops(spec.loops.as_ref()?, step, view)
        }
    }
}
