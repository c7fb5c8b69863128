//! What administrators see.

use model::{BreakerName, Timestamp};

use super::{Breakers, Cause, Scope, gate::Probe};

/// Whether requests are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// None is.
    Open,
    /// One is, as a probe.
    HalfOpen,
    /// All are.
    Closed,
}

impl Phase {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Closed => "closed",
        }
    }
}

/// How one breaker stands for one team, agent or run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The breaker.
    pub breaker: BreakerName,
    /// What it stops.
    pub scope: Scope,
    /// Whose.
    pub of: String,
    /// Whether it does.
    pub phase: Phase,
    /// Why it tripped. `None` if it is closed, like the next two.
    pub cause: Option<Cause>,
    /// When it tripped.
    pub since: Option<Timestamp>,
    /// When its cooldown is or was over.
    pub until: Option<Timestamp>,
    /// Whether its probe is in flight.
    pub probing: bool,
}

impl Breakers {
    /// Every key that is not closed, by breaker and name; after those, if asked for, the ones that are closed and of which
    /// something may still count. No more than `most`.
    pub fn standing(&self, now: Timestamp, closed: bool, most: usize) -> Vec<Standing> {
        let mut all: Vec<Standing> = Vec::new();
        for (name, breaker) in &self.all {
            for (of, gate) in breaker
                .gates
                .iter()
                .filter(|(_, gate)| closed || gate.tripped.is_some())
            {
                let tripped = gate.tripped.as_ref();
                all.push(Standing {
                    breaker: name.clone(),
                    scope: breaker.spec.scope,
                    of: of.to_owned(),
                    phase: tripped.map_or(Phase::Closed, |tripped| tripped.phase(now)),
                    cause: tripped.map(|tripped| tripped.cause.clone()),
                    since: tripped.map(|tripped| tripped.since),
                    until: tripped.map(|tripped| tripped.until),
                    probing: tripped.is_some_and(|tripped| matches!(tripped.probe, Probe::Running(_))),
                });
            }
        }
        let order = |one: &Standing| one.phase == Phase::Closed;
        all.sort_by(|a, b| (order(a), &a.breaker, &a.of).cmp(&(order(b), &b.breaker, &b.of)));
        all.truncate(most);
        all
    }
}
