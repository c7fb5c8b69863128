//! What administrators see.

use model::{BreakerName, Timestamp};

use super::{
    Breakers, Cause, Scope,
    gate::{Breaker, Gate, Probe},
};

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
    /// The keys that are not closed, of one breaker or of all; behind those, if asked for, the ones that are closed and of
    /// which something may still count. No more than `most`, and no more than those are looked at: of one breaker the open
    /// ones whose cooldown is over first, and the closed ones that were active last. Each part stands by breaker and key.
    pub fn standing(&self, name: Option<&BreakerName>, now: Timestamp, closed: bool, most: usize) -> Vec<Standing> {
        let mut all: Vec<Standing> = Vec::new();
        for closed in if closed { &[false, true][..] } else { &[false] } {
            let named = self
                .all
                .values()
                .filter(|breaker| name.is_none_or(|name| *name == breaker.spec.name));
            for breaker in named {
                let (start, rest) = (all.len(), most.saturating_sub(all.len()));
                if *closed {
                    let active = breaker.gates.latest().take(rest);
                    all.extend(active.map(|(of, gate)| standing(breaker, of, gate, now)));
                } else {
                    let open = breaker.stopped.iter().take(rest);
                    let open = open.filter_map(|(_, of)| Some((of, breaker.gates.get(of)?)));
                    all.extend(open.map(|(of, gate)| standing(breaker, of, gate, now)));
                }
                let found = all.get_mut(start..).unwrap_or_default();
                found.sort_unstable_by(|a, b| a.of.cmp(&b.of));
            }
        }
        all
    }
}

fn standing(breaker: &Breaker, of: &str, gate: &Gate, now: Timestamp) -> Standing {
    let tripped = gate.tripped.as_ref();
    Standing {
        breaker: breaker.spec.name.clone(),
        scope: breaker.spec.scope,
        of: of.to_owned(),
        phase: tripped.map_or(Phase::Closed, |tripped| tripped.phase(now)),
        cause: tripped.map(|tripped| tripped.cause.clone()),
        since: tripped.map(|tripped| tripped.since),
        until: tripped.map(|tripped| tripped.until),
        probing: tripped.is_some_and(|tripped| matches!(tripped.probe, Probe::Running(_))),
    }
}
