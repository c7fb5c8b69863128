//! The last steps of a run, and the loops in them.

use std::collections::{BTreeSet, VecDeque};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cause, Loops, NoProgress, Step, seconds_between, within};
use crate::form::is_default;

/// How many steps of a run are kept.
pub(super) const MAX_STEPS: usize = 64;
/// How many warnings of a run are remembered.
const MAX_WARNED: usize = 16;
/// The lengths of the patterns that are looked for.
const LENGTHS: [usize; 2] = [2, 3];

/// A step that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    serial: u64,
    step: Step,
    at: Timestamp,
}

/// That a loop was warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Warned {
    serial: u64,
    length: usize,
    /// The least of the pattern's steps: a pattern is the same wherever one begins to read it.
    step: Step,
    at: Timestamp,
}

/// A run's last steps, those that failed left out: clients repeat failed calls, and should.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Steps {
    /// The key that the run belongs to.
    of: String,
    #[serde(default, skip_serializing_if = "is_default")]
    taken: VecDeque<Taken>,
    #[serde(default, skip_serializing_if = "is_default")]
    warned: VecDeque<Warned>,
}

/// From which serial number on steps count for a key, and where the loop is.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// What has a lower serial number was forgotten by a reset.
    pub(super) floor: u64,
    /// The run, where the scope is wider.
    pub(super) run: Option<&'a str>,
    /// The time.
    pub(super) now: Timestamp,
}

impl View<'_> {
    fn run(&self) -> Option<String> {
        self.run.map(str::to_owned)
    }
}

impl Steps {
    /// A step is taken. What the run did while it belonged to another key is forgotten.
    pub(super) fn push(&mut self, of: &str, serial: u64, step: Step, at: Timestamp) {
        if self.of != of {
            *self = Self {
                of: of.to_owned(),
                ..Self::default()
            };
        }
        while self.taken.len() >= MAX_STEPS {
            self.taken.pop_front();
        }
        self.taken.push_back(Taken { serial, step, at });
    }

    /// Whether the run belongs to this key.
    pub(super) fn is_of(&self, of: &str) -> bool {
        self.of == of
    }

    /// Takes a step back: its attempt failed, or was never sent.
    pub(super) fn take_back(&mut self, serial: u64) {
        self.taken.retain(|taken| taken.serial != serial);
    }

    /// Whether there are no more than are kept, of one that was read.
    pub(super) fn is_bounded(&self) -> bool {
        self.taken.len() <= MAX_STEPS && self.warned.len() <= MAX_WARNED
    }

    /// Whether nothing of it can count any more.
    pub(super) fn is_idle(&self, now: Timestamp, seconds: u32) -> bool {
        let over = |at| !within(now, at, seconds);
        self.taken.iter().all(|taken| over(taken.at)) && self.warned.iter().all(|warned| over(warned.at))
    }

    fn counted(&self, view: View<'_>, seconds: u32) -> impl DoubleEndedIterator<Item = &Taken> {
        let counts = move |taken: &&Taken| taken.serial >= view.floor && within(view.now, taken.at, seconds);
        self.taken.iter().filter(counts)
    }

    /// Why a request for this step must be refused.
    pub(super) fn stops(&self, rule: &Loops, step: Step, view: View<'_>) -> Option<Cause> {
        let before: Vec<Taken> = self.counted(view, rule.within_s).copied().collect();
        same(&before, step, rule.same.stop, view).or_else(|| {
            LENGTHS
                .iter()
                .find_map(|length| periodic(&before, step, *length, rule.periodic.stop, view))
        })
    }

    /// What the last step, just pushed, must be warned of: each loop once as long as its warning counts.
    pub(super) fn warns(&mut self, rule: &Loops, view: View<'_>) -> Option<Cause> {
        let mut before: Vec<Taken> = self.counted(view, rule.within_s).copied().collect();
        let last = before.pop()?;
        let found = [1].iter().chain(&LENGTHS).find_map(|length| {
            let cause = match length {
                1 => same(&before, last.step, rule.same.warn, view),
                _ => periodic(&before, last.step, *length, rule.periodic.warn, view),
            }?;
            let step = match &cause {
                Cause::Periodic { steps, .. } => steps.iter().min().copied().unwrap_or(last.step),
                _ => last.step,
            };
            let known = |warned: &Warned| {
                warned.length == *length
                    && warned.step == step
                    && warned.serial >= view.floor
                    && within(view.now, warned.at, rule.within_s)
            };
            (!self.warned.iter().any(known)).then_some((cause, *length, step))
        });
        let (cause, length, step) = found?;
        while self.warned.len() >= MAX_WARNED {
            self.warned.pop_front();
        }
        self.warned.push_back(Warned {
            serial: last.serial,
            length,
            step,
            at: view.now,
        });
        Some(cause)
    }

    /// Whether the last calls took too few different steps.
    pub(super) fn stands_still(&self, rule: &NoProgress, view: View<'_>) -> Option<Cause> {
        let calls = usize::from(rule.calls);
        let last: Vec<&Taken> = self.counted(view, rule.within_s).rev().take(calls).collect();
        let first = last.last().filter(|_| last.len() == calls)?;
        let different = last.iter().map(|taken| taken.step).collect::<BTreeSet<_>>().len();
        let steps = u16::try_from(different).ok().filter(|steps| *steps <= rule.steps)?;
        Some(Cause::NoProgress {
            calls: rule.calls,
            steps,
            within_s: seconds_between(view.now, first.at),
            run: view.run(),
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.taken.len(), self.warned.len())
    }
}

/// The same step as often as `least` times, this one counted.
fn same(before: &[Taken], step: Step, least: u16, view: View<'_>) -> Option<Cause> {
    let mut alike = before.iter().filter(|taken| taken.step == step);
    let first = alike.next().map_or(view.now, |taken| taken.at);
    let first_too = usize::from(before.iter().any(|taken| taken.step == step));
    let seen = u16::try_from(alike.count() + first_too + 1).unwrap_or(u16::MAX);
    (seen >= least).then(|| Cause::SameStep {
        step,
        seen,
        within_s: seconds_between(view.now, first),
        run: view.run(),
    })
}

/// A pattern of this length that this step completes for the `least`-th time or a later one. A pattern of steps that are
/// all alike is none: that is the same step.
fn periodic(before: &[Taken], step: Step, length: usize, least: u16, view: View<'_>) -> Option<Cause> {
    let now = Taken {
        serial: u64::MAX,
        step,
        at: view.now,
    };
    let all: Vec<&Taken> = before.iter().chain([&now]).collect();
    let again = all.iter().rev().zip(all.iter().rev().skip(length));
    let repeated = again.take_while(|(later, earlier)| later.step == earlier.step).count();
    let seen = repeated / length + 1;
    let seen_u16 = u16::try_from(seen).ok().filter(|seen| *seen >= least)?;
    let steps: Vec<Step> = all
        .iter()
        .skip(all.len().checked_sub(length)?)
        .map(|taken| taken.step)
        .collect();
    if steps.iter().all(|other| *other == step) {
        return None;
    }
    let first = all.get(all.len().checked_sub(seen * length)?)?;
    Some(Cause::Periodic {
        steps,
        seen: seen_u16,
        within_s: seconds_between(view.now, first.at),
        run: view.run(),
    })
}
