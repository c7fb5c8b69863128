//! Runs of agents, healthy and in a loop, and what the loop rule makes of them.

use ledger::{
    Admission, Attempt, BreakerEnding as Ending, BreakerSpec, Breakers, Labels, Loops, NextStep, NoProgress, Notice,
    Repeats, Scope, Selector, Step, StepKind,
};
use model::{ActionId, BreakerName, NanoUsd, Timestamp};

use super::{
    random::Random,
    sizes::{Sizes, draw},
};

/// How many calls a loop is followed for.
const MAX_LOOP: usize = 300;

/// One call of a run.
#[derive(Clone, Copy)]
pub(super) struct Call {
    /// The tool with its arguments, or the prompt.
    asked: u64,
    /// What the call before it had brought.
    found: u64,
    wait_s: f64,
    failed: bool,
    cost: NanoUsd,
}

/// What a step is made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fingerprint {
    /// The tool calls and their arguments.
    Calls,
    /// Those, and what they returned.
    CallsAndResults,
}

/// What an agent does for a living.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Support,
    Coder,
    Poller,
    Batch,
    Chat,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Support, Self::Coder, Self::Poller, Self::Batch, Self::Chat];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Support => "support: a user is helped with tools",
            Self::Coder => "coder: read, edit, run the same tests",
            Self::Poller => "poller: starts a job, asks until it is done",
            Self::Batch => "batch: one item after the other, 3 % fail and are retried",
            Self::Chat => "chat: prompts, some of them \"continue\"",
        }
    }
}

/// How a loop turns.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) name: &'static str,
    pub(super) length: usize,
    /// The median time between two calls, in seconds.
    pub(super) wait_s: f64,
    /// How often something else comes between.
    pub(super) stray: f64,
    /// How often a call returns what it returned before.
    pub(super) same_result: f64,
}

pub(super) const TURNS: [Turn; 6] = [
    Turn::new("one step", 1, 6.0, 0.05, 0.95),
    Turn::new("two steps in turn", 2, 6.0, 0.05, 0.95),
    Turn::new("three steps in turn", 3, 6.0, 0.05, 0.95),
    Turn::new("three, a fifth of the calls stray", 3, 6.0, 0.2, 0.95),
    Turn::new("one step every two minutes", 1, 120.0, 0.05, 0.95),
    Turn::new("one step, half of the results differ", 1, 6.0, 0.05, 0.5),
];

impl Turn {
    const fn new(name: &'static str, length: usize, wait_s: f64, stray: f64, same_result: f64) -> Self {
        Self {
            name,
            length,
            wait_s,
            stray,
            same_result,
        }
    }
}

/// Draws runs.
pub(super) struct Model<'a> {
    pub(super) random: Random,
    pub(super) sizes: &'a Sizes,
}

impl Model<'_> {
    fn call(&mut self, kind: Kind, asked: u64, found: u64, wait: (f64, f64)) -> Call {
        let costs = match kind {
            Kind::Coder | Kind::Batch => &self.sizes.code,
            Kind::Support | Kind::Poller | Kind::Chat => &self.sizes.conversation,
        };
        let cost = draw(costs, &mut self.random);
        Call {
            asked,
            found,
            wait_s: self.random.log_normal(wait.0, wait.1),
            failed: false,
            cost,
        }
    }

    /// A call that nobody made before.
    fn fresh(&mut self, kind: Kind, wait: (f64, f64)) -> Call {
        let (asked, found) = (self.random.next(), self.random.next());
        self.call(kind, asked, found, wait)
    }

    /// A healthy run.
    pub(super) fn healthy(&mut self, kind: Kind) -> Vec<Call> {
        match kind {
            Kind::Support => self.support(),
            Kind::Coder => self.coder(),
            Kind::Poller => self.poller(),
            Kind::Batch => self.batch(),
            Kind::Chat => self.chat(),
        }
    }

    /// 3 to 15 steps, a third of them answers of the user. In 7.5 % of the runs one call is made again, and in 30 % of
    /// those once more, and so on: as in 200 recorded runs of tau-bench, where the most frequent call of a run was made
    /// twice in 5.5 %, three times in 2 % and never four times.
    fn support(&mut self) -> Vec<Call> {
        let steps = self.random.between(3, 15);
        let mut calls: Vec<Call> = (0..steps)
            .map(|_| {
                let wait = if self.random.chance(0.35) {
                    (30.0, 0.8)
                } else {
                    (8.0, 0.7)
                };
                self.fresh(Kind::Support, wait)
            })
            .collect();
        let repeated = self.random.of(&calls).copied();
        let mut again = self.random.chance(0.075);
        while let (true, Some(first)) = (again, repeated) {
            let found = if self.random.chance(0.9) {
                first.found
            } else {
                self.random.next()
            };
            let call = self.call(Kind::Support, first.asked, found, (8.0, 0.7));
            let at = self.random.between(0, calls.len());
            calls.insert(at, call);
            again = self.random.chance(0.3);
        }
        calls
    }

    /// 8 to 40 rounds: up to three reads, of which a quarter are of one of five files that are worked on, an edit, and in
    /// seven of ten rounds the tests, which say something else four times of five.
    fn coder(&mut self) -> Vec<Call> {
        let (tests, files) = (self.random.next(), self.random.next());
        let (mut calls, mut said, mut text) = (Vec::new(), self.random.next(), self.random.next());
        for _ in 0..self.random.between(8, 40) {
            for _ in 0..self.random.between(0, 3) {
                let call = if self.random.chance(0.25) {
                    let file = u64::try_from(self.random.between(0, 4)).unwrap_or(0);
                    let found = text ^ file.wrapping_mul(0x9e37_79b9);
                    self.call(Kind::Coder, files ^ file, found, (10.0, 0.8))
                } else {
                    self.fresh(Kind::Coder, (10.0, 0.8))
                };
                calls.push(call);
            }
            calls.push(self.fresh(Kind::Coder, (15.0, 0.8)));
            if self.random.chance(0.6) {
                text = self.random.next();
            }
            if self.random.chance(0.7) {
                if self.random.chance(0.8) {
                    said = self.random.next();
                }
                calls.push(self.call(Kind::Coder, tests, said, (30.0, 0.6)));
            }
        }
        calls
    }

    /// A few steps, then the same question about every half minute, six times in the mean, of which three of ten show
    /// progress, then a few steps. Half of these agents wait by calling a tool that does nothing else.
    fn poller(&mut self) -> Vec<Call> {
        let mut calls: Vec<Call> = (0..self.random.between(4, 10))
            .map(|_| self.fresh(Kind::Poller, (8.0, 0.7)))
            .collect();
        let (asked, mut found) = (self.random.next(), self.random.next());
        let (waits, wait) = (self.random.chance(0.5), self.random.next());
        for _ in 0..60 {
            if self.random.chance(0.3) {
                found = self.random.next();
            }
            if waits {
                calls.push(self.call(Kind::Poller, wait, wait, (2.0, 0.3)));
            }
            calls.push(self.call(Kind::Poller, asked, found, (30.0, 0.3)));
            if self.random.chance(1.0 / 6.0) {
                break;
            }
        }
        for _ in 0..self.random.between(2, 6) {
            calls.push(self.fresh(Kind::Poller, (8.0, 0.7)));
        }
        calls
    }

    fn batch(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        for _ in 0..self.random.between(20, 200) {
            let item = self.fresh(Kind::Batch, (3.0, 0.5));
            while self.random.chance(0.03) {
                calls.push(Call { failed: true, ..item });
            }
            calls.push(item);
        }
        calls
    }

    /// 2 to 25 prompts, 6 % of them one of three stock phrases. The answer before a prompt is always another.
    fn chat(&mut self) -> Vec<Call> {
        (0..self.random.between(2, 25))
            .map(|_| {
                let mut call = self.fresh(Kind::Chat, (45.0, 1.0));
                if self.random.chance(0.06) {
                    call.asked = u64::try_from(self.random.between(0, 2)).unwrap_or(0);
                }
                call
            })
            .collect()
    }

    /// A run that goes into a loop somewhere. Returns where.
    pub(super) fn looping(&mut self, kind: Kind, turn: Turn) -> (Vec<Call>, usize) {
        let mut calls = self.healthy(kind);
        let start = self.random.between(1, calls.len().max(1));
        calls.truncate(start);
        let start = calls.len();
        let pattern: Vec<(u64, u64)> = (0..turn.length)
            .map(|_| (self.random.next(), self.random.next()))
            .collect();
        let mut at = 0;
        while calls.len() < start + MAX_LOOP {
            let wait = (turn.wait_s, 0.5);
            if self.random.chance(turn.stray) {
                calls.push(self.fresh(kind, wait));
                continue;
            }
            let (asked, usual) = pattern.get(at % turn.length).copied().unwrap_or_default();
            let found = if self.random.chance(turn.same_result) {
                usual
            } else {
                self.random.next()
            };
            let mut call = self.call(kind, asked, found, wait);
            call.failed = self.random.chance(0.02);
            at += usize::from(!call.failed);
            calls.push(call);
        }
        (calls, start)
    }
}

/// What the rule did to a run.
pub(super) struct Verdict {
    /// The first call it warned of.
    pub(super) warned: Option<usize>,
    /// The first call that it refused, or would have.
    pub(super) stopped: Option<usize>,
}

/// A rule that is tried.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// The same step, and steps in turn: when each warns and stops.
    Loops {
        same: (u16, u16),
        periodic: (u16, u16),
        within_s: u32,
    },
    /// So many calls with so few different steps.
    Still { calls: u16, steps: u16, within_s: u32 },
}

impl Rule {
    pub(super) fn spec(self, name: BreakerName) -> BreakerSpec {
        let repeats = |(warn, stop)| Repeats { warn, stop };
        let mut spec = BreakerSpec {
            name,
            select: Selector::default(),
            scope: Scope::Run,
            spend: None,
            surge: None,
            steps: StepKind::Calls,
            loops: None,
            errors: None,
            no_progress: None,
            cooldown_s: 600,
        };
        match self {
            Self::Loops {
                same,
                periodic,
                within_s,
            } => {
                spec.loops = Some(Loops {
                    same: repeats(same),
                    periodic: repeats(periodic),
                    within_s,
                });
            }
            Self::Still { calls, steps, within_s } => spec.no_progress = Some(NoProgress { calls, steps, within_s }),
        }
        spec
    }
}

/// Puts a run through a breaker until it is stopped.
pub(super) fn judge(spec: &BreakerSpec, calls: &[Call], fingerprint: Fingerprint) -> anyhow::Result<Verdict> {
    let mut breakers = Breakers::default();
    breakers.define(spec.clone())?;
    let labels = Labels {
        agent: "agent",
        run: "run",
        ..Labels::default()
    };
    let (mut at_s, mut warned) = (0.0, None);
    for (number, call) in calls.iter().enumerate() {
        at_s += call.wait_s;
        let now = instant(at_s);
        let step = Step(match fingerprint {
            Fingerprint::Calls => call.asked,
            Fingerprint::CallsAndResults => call.asked ^ call.found.rotate_left(17),
        });
        if let Admission::Trips(_) | Admission::Stopped(_) = breakers.admit(&labels, next(step), now) {
            let stopped = Some(number);
            return Ok(Verdict { warned, stopped });
        }
        let attempt = attempt(number);
        let owed = breakers.begin(attempt, &labels, next(step), now);
        if owed.iter().any(|notice| matches!(notice, Notice::Warned(_))) {
            warned = warned.or(Some(number));
        }
        let ending = if call.failed { Ending::Failed } else { Ending::Answered };
        let owed = breakers.end(&attempt, ending, call.cost, now);
        if owed.iter().any(|notice| matches!(notice, Notice::Tripped(_))) {
            let stopped = Some(number + 1);
            return Ok(Verdict { warned, stopped });
        }
    }
    Ok(Verdict { warned, stopped: None })
}

/// What calls cost together.
pub(super) fn cost(calls: &[Call]) -> NanoUsd {
    calls
        .iter()
        .fold(NanoUsd::ZERO, |sum, call| sum.saturating_add(call.cost))
}

/// The instant so many seconds after the start of the model's time, a Monday at midnight.
#[expect(clippy::cast_possible_truncation, reason = "the seconds of a month")]
pub(super) fn instant(seconds: f64) -> Timestamp {
    Timestamp::from_unix_micros(1_800_230_400_000_000 + (seconds * 1e6) as i64)
}

pub(super) fn attempt(number: usize) -> Attempt {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&u64::try_from(number).unwrap_or(0).to_be_bytes());
    Attempt {
        action: ActionId::from_bytes(bytes),
        number: 0,
    }
}

/// The step, however breakers are told to compare it: the model has made it what it is to be.
fn next(step: Step) -> NextStep {
    NextStep {
        calls: Some(step),
        results: None,
    }
}
