//! One breaker, and what it knows of each team, agent or run.

use std::{collections::BTreeSet, sync::Arc};

use model::{NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    BreakerSpec, Cause, Phase, Scope,
    keep::Keep,
    pace::{Ends, Spent, Usual},
    steps::{Steps, View},
};
use crate::{Attempt, Label, Labels, form::is_default};

/// How long after its cooldown a key that nobody asks about is still shown as half-open, in seconds, if no window of its
/// breaker is longer.
const LAPSE_S: u32 = 86_400;

/// Where the probe of a half-open key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Probe {
    /// The next request is it.
    Due,
    /// In flight.
    Running(Attempt),
    /// It went well: the key is about to be closed. This and what follows is never written: the entry that is owed comes
    /// before any snapshot.
    #[serde(skip)]
    Passed,
    /// It failed: the key is about to be opened again.
    #[serde(skip)]
    Failed,
    /// It was answered, but a rule still holds: the same.
    #[serde(skip)]
    InVain,
}

/// What is known of a key that is open or half-open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tripped {
    pub(super) cause: Cause,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    pub(super) probe: Probe,
    /// How many probes failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) failed: u32,
}

impl Tripped {
    pub(super) fn phase(&self, now: Timestamp) -> Phase {
        if now < self.until { Phase::Open } else { Phase::HalfOpen }
    }

    /// What a failed probe is logged as.
    pub(super) fn probe_failed(&self) -> Cause {
        Cause::Probe {
            failed: self.failed.saturating_add(1),
            first: Box::new(self.cause.first().clone()),
        }
    }
}

/// What is counted of a key, and whether it is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) tripped: Option<Tripped>,
    /// Steps with lower serial numbers were forgotten by a reset.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) floor: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) spent: Spent,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) usual: Usual,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) ends: Ends,
    /// When something last happened.
    pub(super) last: Timestamp,
}

impl Gate {
    /// Counts a call that ended.
    pub(super) fn count(&mut self, spec: &BreakerSpec, cost: NanoUsd, failed: bool, now: Timestamp) {
        self.last = now;
        if cost.0 > 0 {
            if let Some(rule) = &spec.spend {
                self.spent.add(rule, cost, now);
            }
            if let Some(rule) = &spec.surge {
                self.usual.add(rule, cost, now);
            }
        }
        if let Some(rule) = &spec.errors {
            self.ends.add(rule, failed, now);
        }
    }

    /// The rule about money that holds.
    pub(super) fn overspends(&self, spec: &BreakerSpec, now: Timestamp) -> Option<Cause> {
        let spend = spec.spend.as_ref().and_then(|rule| self.spent.cause(rule, now));
        spend.or_else(|| spec.surge.as_ref().and_then(|rule| self.usual.cause(rule, now)))
    }

    pub(super) fn errs(&self, spec: &BreakerSpec, now: Timestamp) -> Option<Cause> {
        spec.errors.as_ref().and_then(|rule| self.ends.cause(rule, now))
    }

    /// Forgets all that could trip it again on the same past.
    pub(super) fn forget(&mut self, spec: &BreakerSpec, serial: u64, now: Timestamp) {
        self.tripped = None;
        self.floor = serial;
        self.spent = Spent::default();
        self.ends = Ends::default();
        self.last = now;
        if let Some(rule) = &spec.surge {
            self.usual.forget_current(rule, now);
        }
    }
}

/// One breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub(super) struct Breaker {
    pub(super) spec: BreakerSpec,
    /// Which of the definitions of this name: what was counted under an earlier one is no more.
    pub(super) edition: u64,
    /// By [`Scope`] value. Those that are tripped are pinned.
    pub(super) gates: Keep<Gate>,
    /// The tripped ones, by when their cooldown is over.
    #[serde(skip)]
    pub(super) stopped: BTreeSet<(Timestamp, Arc<str>)>,
    /// The steps of each run.
    pub(super) runs: Keep<Steps>,
}

/// What is written of a breaker. The rest follows from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    spec: BreakerSpec,
    edition: u64,
    gates: Keep<Gate>,
    runs: Keep<Steps>,
}

impl TryFrom<Parts> for Breaker {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, &'static str> {
        let Parts {
            spec,
            edition,
            gates,
            runs,
        } = parts;
        spec.check()
            .map_err(|_| "there is a breaker that could not have been declared")?;
        if runs.all().any(|(_, pinned, steps)| pinned || !steps.is_bounded()) {
            return Err("a breaker knows more of a run than it can");
        }
        let mut stopped = BTreeSet::new();
        for (of, pinned, gate) in gates.all() {
            if pinned != gate.tripped.is_some() {
                return Err("a breaker does not know whether it stops");
            }
            stopped.extend(gate.tripped.as_ref().map(|tripped| (tripped.until, Arc::clone(of))));
        }
        Ok(Self {
            spec,
            edition,
            gates,
            stopped,
            runs,
        })
    }
}

impl Breaker {
    /// The greatest serial number that it was given.
    pub(super) fn newest(&self) -> u64 {
        let touched = [self.gates.newest(), self.runs.newest()];
        touched.into_iter().flatten().fold(self.edition, u64::max)
    }

    pub(super) fn new(spec: BreakerSpec, edition: u64) -> Self {
        Self {
            spec,
            edition,
            gates: Keep::default(),
            stopped: BTreeSet::new(),
            runs: Keep::default(),
        }
    }

    /// Takes new rules. What is tripped stays so, and what can still be counted as before stays counted.
    pub(super) fn redefine(&mut self, spec: BreakerSpec) {
        let (old, new) = (&self.spec, &spec);
        let spend = old.spend.map(|rule| rule.within_s) == new.spend.map(|rule| rule.within_s);
        let surge = old.surge.map(|rule| rule.within_s) == new.surge.map(|rule| rule.within_s);
        let errors = old.errors.map(|rule| rule.within_s) == new.errors.map(|rule| rule.within_s);
        for gate in self.gates.items_mut() {
            if !spend {
                gate.spent = Spent::default();
            }
            if !surge {
                gate.usual = Usual::default();
            }
            if !errors {
                gate.ends = Ends::default();
            }
        }
        if !spec.wants_steps() {
            self.runs = Keep::default();
        }
        self.spec = spec;
    }

    /// How many keys it knows.
    pub(super) fn len(&self) -> usize {
        self.gates.len() + self.runs.len()
    }

    pub(super) fn trip(&mut self, of: &str, tripped: Tripped, serial: u64) {
        let until = tripped.until;
        let before = self.gates.touch(of, serial).tripped.replace(tripped);
        self.gates.pin(of);
        if let Some(before) = before {
            self.stopped.remove(&(before.until, Arc::from(of)));
        }
        self.stopped.insert((until, Arc::from(of)));
    }

    /// Makes a key one that is closed. What was counted stays.
    pub(super) fn untrip(&mut self, of: &str, serial: u64) -> Option<Tripped> {
        let tripped = self.gates.get_mut(of)?.tripped.take()?;
        self.stopped.remove(&(tripped.until, Arc::from(of)));
        self.gates.unpin(of, serial);
        Some(tripped)
    }

    /// Forgets a few of the keys of which nothing can count any more. Called for each request, which makes one key of each
    /// kind at most, so there are never many.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let steps = self.spec.steps_horizon_s();
        let all = self.spec.horizon_s();
        self.runs.sweep(|run| run.is_idle(now, steps));
        self.gates.sweep(|gate| !super::within(now, gate.last, all));
        let Some((until, of)) = self.stopped.first().cloned() else {
            return;
        };
        let over = until.saturating_add_micros(i64::from(all.max(LAPSE_S)).saturating_mul(super::MICROS));
        let tripped = self.gates.get(&of).and_then(|gate| gate.tripped.as_ref());
        if now >= over && tripped.is_none_or(|tripped| tripped.probe == Probe::Due) {
            self.stopped.pop_first();
            self.gates.remove(&of);
        }
    }

    /// The steps of a run that belongs to a key.
    pub(super) fn steps(&self, of: &str, run: &str) -> Option<&Steps> {
        self.runs.get(run).filter(|steps| steps.is_of(of))
    }

    /// How to read the steps of a run that belongs to a key.
    pub(super) fn view<'a>(&self, of: &str, run: &'a str, now: Timestamp) -> View<'a> {
        View {
            floor: self.gates.get(of).map_or(0, |gate| gate.floor),
            run: (self.spec.scope != Scope::Run).then_some(run),
            now,
        }
    }
}

/// Whose key a request falls under; `None` if it has no such label.
pub(super) fn key(scope: Scope, labels: &Labels<'_>) -> Option<String> {
    match scope {
        Scope::Run => labels.get(Label::Agent).map(|_| run_key(labels)),
        Scope::Agent => labels.get(Label::Agent).map(str::to_owned),
        Scope::Team => labels.get(Label::Team).map(str::to_owned),
    }
}

/// `agent/run`, or the agent where no run is named. Names of agents have no slash.
pub(super) fn run_key(labels: &Labels<'_>) -> String {
    match labels.get(Label::Run) {
        Some(run) => format!("{}/{run}", labels.agent),
        None => labels.agent.to_owned(),
    }
}
