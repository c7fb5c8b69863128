//! Random commands against a model that keeps every arrival, computes each level anew, and puts what was used in the
//! place of what was held as soon as that is known.

use model::{ActionId, Timestamp};
use proptest::prelude::*;

use super::super::{LimitReason, Limited, Per, Rate, RateSpec, Rates};
use crate::{Amount, Attempt, Charge, Label, Labels, Measure, Selector, tests::form::again};

const USERS: [&str; 2] = ["ann", "bob"];

#[derive(Clone, Debug)]
enum Command {
    /// Moves the clock by microseconds, seldom backwards.
    Wait(i64),
    /// A user asks for so many input tokens and calls.
    Take { user: usize, tokens: u64, calls: u64 },
    /// The open attempt of this place among them ends; it used such a part (of 8) of its tokens, and so many calls.
    End { which: usize, eighths: u64, calls: u64 },
    /// Another limit and burst of tokens.
    Edit { limit: i64, burst: i64, per: Per },
}

fn command(overruns: bool, edits: bool) -> impl Strategy<Value = Command> {
    let most = if overruns { 12_u64 } else { 8 };
    let per = prop::sample::select(vec![Per::Second, Per::Minute, Per::Hour]);
    let edit = (1_i64..40, 1_i64..60, per).prop_map(|(limit, burst, per)| Command::Edit { limit, burst, per });
    prop_oneof![
        3 => (0_i64..3_000_000).prop_map(Command::Wait),
        1 => prop::sample::select(vec![-700_000, -1, 1, 60_000_000, 3_600_000_000]).prop_map(Command::Wait),
        8 => (0..2_usize, prop_oneof![3 => 0_u64..8, 1 => 0_u64..25], 0_u64..2).prop_map(|(user, tokens, calls)| Command::Take { user, tokens, calls }),
        6 => (any::<usize>(), 0..=most, 0_u64..2)
            .prop_map(|(which, eighths, calls)| Command::End { which, eighths, calls }),
        u32::from(edits) => edit,
    ]
}

fn spec(limit: i64, burst: i64, per: Per) -> RateSpec {
    let rate = |measure, limit, per, burst| Rate {
        measure,
        limit: Amount(limit),
        per,
        burst: Amount(burst),
    };
    RateSpec {
        name: "users".parse().unwrap(),
        group: String::new(),
        select: Selector::default(),
        each: vec![Label::User],
        rates: vec![
            rate(Measure::Tokens, limit, per, burst),
            rate(Measure::Calls, 7, Per::Second, 3),
        ],
    }
}

/// What came or changed, in order of time.
#[derive(Clone, Debug)]
enum Event {
    /// So much of each measure, for an attempt if it is open.
    Arrival {
        user: usize,
        attempt: Option<Attempt>,
        amounts: [i128; 2],
    },
    /// The rates from here on.
    Rates(Vec<Rate>),
}

/// All events with the instant of each.
#[derive(Clone, Debug, Default)]
struct Model {
    events: Vec<(i64, Event)>,
}

/// Units of one of anything: divisible by a limit in each length of time.
const UNIT: i128 = 3_600_000_000;

fn pace(rate: &Rate) -> i128 {
    i128::from(rate.limit.0) * UNIT / i128::from(rate.per.micros())
}

impl Model {
    /// The level of a user's bucket by one of the rates, computed from nothing.
    fn level(&self, user: usize, at: usize, now: i64) -> i128 {
        let (mut level, mut last) = (0_i128, 0_i64);
        let mut rates: &[Rate] = &[];
        for (time, event) in &self.events {
            if let Some(rate) = rates.get(at) {
                level = (level - pace(rate) * i128::from(time - last)).max(0);
            }
            last = *time;
            match event {
                Event::Arrival { user: of, amounts, .. } if *of == user => level += amounts[at] * UNIT,
                Event::Arrival { .. } => {}
                Event::Rates(new) => rates = new,
            }
        }
        (level - pace(&rates[at]) * i128::from(now - last)).max(0)
    }

    /// Of an attempt, only what was used was ever taken; what is more than that comes now.
    fn end(&mut self, ended: Attempt, used: [i128; 2], now: i64) {
        let mut overrun = None;
        for (_, event) in &mut self.events {
            if let Event::Arrival { user, attempt, amounts } = event
                && *attempt == Some(ended)
            {
                let more = [0, 1].map(|at| (used[at] - amounts[at]).max(0));
                *amounts = [0, 1].map(|at| used[at].min(amounts[at]));
                *attempt = None;
                overrun = Some((*user, more));
            }
        }
        let (user, amounts) = overrun.expect("it took");
        let attempt = None;
        self.events.push((now, Event::Arrival { user, attempt, amounts }));
    }

    /// Over any window, what was taken is at most the burst and what runs out meanwhile.
    fn check_windows(&self, rates: &[Rate]) {
        for user in 0..USERS.len() {
            let arrivals = self.events.iter().filter_map(|(time, event)| match event {
                Event::Arrival { user: of, amounts, .. } if *of == user => Some((*time, amounts)),
                _ => None,
            });
            let arrivals: Vec<_> = arrivals.collect();
            for (at, rate) in rates.iter().enumerate() {
                for (first, (from, _)) in arrivals.iter().enumerate() {
                    let mut sum = 0;
                    for (to, amounts) in &arrivals[first..] {
                        sum += amounts[at] * UNIT;
                        let most = i128::from(rate.burst.0) * UNIT + pace(rate) * i128::from(to - from);
                        assert!(sum <= most, "from {from} to {to}: {sum} of {most}");
                    }
                }
            }
        }
    }
}

/// When a request fits, by the model: by bisection over time, for each of the rates.
fn wait(model: &Model, rates: &[Rate], user: usize, asked: [i128; 2], now: i64) -> Option<i64> {
    let fits = |at: usize, now: i64| {
        let burst = i128::from(rates[at].burst.0) * UNIT;
        asked[at] == 0 || model.level(user, at, now) + asked[at] * UNIT <= burst
    };
    let mut longest = 0;
    for at in 0..2 {
        if asked[at] > i128::from(rates[at].burst.0) {
            return None;
        }
        let (mut before, mut then) = (-1, 1_i64 << 50);
        while then - before > 1 {
            let middle = i64::midpoint(before, then);
            if fits(at, now + middle) {
                then = middle
            } else {
                before = middle
            }
        }
        longest = longest.max(then);
    }
    Some(longest)
}

struct Run {
    /// What the clock says.
    clock: i64,
    /// The latest that it said when something changed: time stands until the clock has caught up.
    latest: i64,
    rates: Rates,
    spec: RateSpec,
    model: Model,
    open: Vec<(Attempt, u64)>,
    taken: u64,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            clock: 0,
            latest: 0,
            rates: Rates::default(),
            spec: spec(10, 20, Per::Second),
            model: Model::default(),
            open: Vec::new(),
            taken: 0,
        };
        run.define();
        run
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.clock)
    }

    /// Something changes.
    fn advance(&mut self) -> i64 {
        self.latest = self.latest.max(self.clock);
        self.latest
    }

    fn define(&mut self) {
        if self.rates.spec(&self.spec.name) == Some(&self.spec) {
            return;
        }
        self.rates.define(self.spec.clone(), self.now());
        let rates = self.spec.rates.clone();
        let now = self.advance();
        self.model.events.push((now, Event::Rates(rates)));
    }

    fn apply(&mut self, command: &Command) {
        match *command {
            Command::Wait(micros) => self.clock += micros,
            Command::Take { user, tokens, calls } => self.take(user, tokens, calls),
            Command::End { which, eighths, calls } if !self.open.is_empty() => {
                let (attempt, tokens) = self.open.remove(which % self.open.len());
                let input = tokens * eighths / 8;
                let used = Charge {
                    input,
                    calls,
                    ..Charge::NONE
                };
                self.rates.end(&attempt, &used, self.now());
                let now = self.advance();
                self.model.end(attempt, [i128::from(input), i128::from(calls)], now);
            }
            Command::End { .. } => {}
            Command::Edit { limit, burst, per } => {
                self.spec = spec(limit, burst, per);
                self.define();
            }
        }
    }

    fn take(&mut self, user: usize, tokens: u64, calls: u64) {
        self.taken += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.taken.to_be_bytes());
        let action = ActionId::from_bytes(bytes);
        let attempt = Attempt { action, number: 0 };
        let labels = Labels {
            user: USERS[user],
            ..Labels::default()
        };
        let charge = Charge {
            input: tokens,
            calls,
            ..Charge::NONE
        };
        let amounts = [i128::from(tokens), i128::from(calls)];
        let now = self.latest.max(self.clock);
        let expected = wait(&self.model, &self.spec.rates, user, amounts, now);
        let before = self.rates.clone();
        let admitted = self.rates.admit(&labels, &charge, self.now());
        let taken = self.rates.take(attempt, &labels, &charge, self.now());
        assert_eq!(taken.is_ok(), admitted.is_ok());
        let Err(limited) = admitted else {
            assert_eq!(expected, Some(0), "it went");
            self.open.push((attempt, tokens));
            let attempt = Some(attempt);
            let event = Event::Arrival { user, attempt, amounts };
            let now = self.advance();
            self.model.events.push((now, event));
            return;
        };
        assert_eq!(self.rates, before, "what is refused changes nothing");
        let Limited {
            why, retry_after_us, ..
        } = *limited;
        assert_eq!(why == LimitReason::TooLarge, retry_after_us.is_none());
        let expected = expected.map(|wait| wait + now - self.clock);
        assert_eq!(retry_after_us, expected, "{limited}");
    }

    /// What is free by the model, rounded down, is what the rates say.
    fn check_levels(&self) {
        let standing = self.rates.standing(None, self.now(), usize::MAX);
        for (user, name) in USERS.iter().enumerate() {
            let fill = standing.iter().find(|fill| fill.of[0].1 == *name);
            for (at, rate) in self.spec.rates.iter().enumerate() {
                let free = fill.map_or(rate.burst, |fill| fill.free[at].1);
                let level = self.model.level(user, at, self.latest.max(self.clock));
                let expected = (i128::from(rate.burst.0) * UNIT - level).div_euclid(UNIT);
                assert_eq!(i128::from(free.0), expected, "{name}, {rate}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever order holds end in, levels and waits are those of a bucket that was only ever asked for what was used.
    #[test]
    fn levels_are_those_of_what_was_used(commands in prop::collection::vec(command(true, true), 1..60)) {
        let mut run = Run::new();
        for command in &commands {
            run.apply(command);
            prop_assert_eq!(&again(&run.rates), &run.rates);
            run.check_levels();
        }
    }

    /// No window has more than the burst and what runs out in it, the worst case of what is open counted.
    #[test]
    fn no_window_has_more_than_its_rates_allow(commands in prop::collection::vec(command(false, false), 1..80)) {
        let mut run = Run::new();
        for command in &commands {
            // A call that held none and ends with one is an overrun too.
            let command = match command.clone() {
                Command::Take { user, tokens, .. } => Command::Take { user, tokens, calls: 1 },
                other => other,
            };
            run.apply(&command);
        }
        run.model.check_windows(&run.spec.rates);
    }

    /// The same calls give the same state.
    #[test]
    fn replay_gives_the_same_state(commands in prop::collection::vec(command(true, true), 1..80)) {
        let (mut first, mut second) = (Run::new(), Run::new());
        for command in &commands {
            first.apply(command);
        }
        for command in &commands {
            second.apply(command);
        }
        prop_assert_eq!(first.rates, second.rates);
    }
}
