//! Random commands under a clock that only moves forward, against a model that keeps every event and computes each
//! standing anew, walking from window to window.

use std::sync::LazyLock;

use model::{ActionId, NanoUsd, Timestamp};
use proptest::prelude::*;

use super::table::{budget, instant, window_of};
use crate::{Attempt, Booking, BudgetSpec, Hold, Ledger, LedgerError, NotAdmitted, Period, Window};

const BUDGETS: [&str; 3] = ["agent", "org", "team"];

/// Windows of like lengths, and the clock they are tried with.
struct Family {
    start: Timestamp,
    /// How far one command moves the clock at most.
    step_micros: i64,
    /// Each window with its periods over the time that all commands may take.
    windows: Vec<(Window, Vec<Period>)>,
}

/// How many commands one case has at most.
const COMMANDS: i64 = 60;

/// Minutes and hours, around the end of summer time on Lord Howe, which is half an hour.
static SHORT: LazyLock<Family> = LazyLock::new(|| {
    let windows = [
        ("minute", "UTC"),
        ("hour", "Australia/Lord_Howe"),
        ("hour", "Asia/Kolkata"),
        ("rolling-minute", ""),
        ("rolling-hour", ""),
        ("total", ""),
    ];
    Family::new("2026-04-04T12:00Z", 15 * 60 * 1_000_000, &windows)
});

/// Days to months, around changes of the clock in Berlin and at midnight in São Paulo.
static LONG: LazyLock<Family> = LazyLock::new(|| {
    let windows = [
        ("day", "Europe/Berlin"),
        ("day", "America/Sao_Paulo"),
        ("week", "Europe/Berlin"),
        ("month", "America/Sao_Paulo"),
        ("rolling-day", ""),
        ("rolling-week", ""),
        ("total", ""),
    ];
    Family::new("2018-10-20T12:00Z", 4 * 86_400 * 1_000_000, &windows)
});

impl Family {
    fn new(start: &str, step_micros: i64, windows: &[(&str, &str)]) -> Self {
        let start = instant(start, "UTC");
        let end = start.saturating_add_micros(step_micros * (COMMANDS + 1));
        let periods = |window: &Window| {
            let mut all = vec![window.period(start).unwrap()];
            while let Some(last) = all.last().filter(|last| last.end <= end && !window.is_rolling()) {
                all.push(window.period(last.end).unwrap());
            }
            all
        };
        let windows = windows.iter().map(|(text, zone)| window_of(text, zone));
        Self {
            start,
            step_micros,
            windows: windows.map(|window| (window.clone(), periods(&window))).collect(),
        }
    }

    fn periods(&self, window: &Window) -> &[Period] {
        let found = self.windows.iter().find(|(known, _)| known == window);
        &found.expect("a window of the family").1
    }

    /// The period a hold at `at` books into.
    fn period(&self, window: &Window, at: Timestamp) -> Period {
        match window {
            Window::Rolling { .. } => window.period(at).unwrap(),
            _ => *self.periods(window).iter().find(|period| period.end > at).unwrap(),
        }
    }
}

#[derive(Clone, Debug)]
enum Command {
    Define {
        budget: usize,
        window: usize,
        limit: i64,
    },
    /// Under the budgets whose bits are set.
    Hold {
        budgets: u8,
        amount: i64,
    },
    /// Ends one of the open holds, booking so much more or less than it held.
    End {
        which: prop::sample::Index,
        more: i64,
    },
    /// Ends one that has ended.
    EndAgain {
        which: prop::sample::Index,
    },
    /// Places a hold whose entry is wrong in one booking.
    Forge {
        budgets: u8,
        which: prop::sample::Index,
        how: Forgery,
    },
}

#[derive(Clone, Copy, Debug)]
enum Forgery {
    Used(i64),
    Limit(i64),
    /// Half an hour later.
    Period,
    Budget,
    /// More than is left.
    Amount,
}

fn command() -> impl Strategy<Value = Command> {
    let index = any::<prop::sample::Index>;
    let how = prop_oneof![
        prop_oneof![Just(1_i64), Just(-1)].prop_map(Forgery::Used),
        prop_oneof![Just(1_i64), Just(-1)].prop_map(Forgery::Limit),
        Just(Forgery::Period),
        Just(Forgery::Budget),
        Just(Forgery::Amount),
    ];
    prop_oneof![
        2 => (0..BUDGETS.len(), 0..7_usize, prop::sample::select(vec![-3, 0, 1, 5, 10, 100]))
            .prop_map(|(budget, window, limit)| Command::Define { budget, window, limit }),
        6 => (1..8_u8, 0..7_i64).prop_map(|(budgets, amount)| Command::Hold { budgets, amount }),
        5 => (index(), prop_oneof![3 => -7..=0_i64, 1 => 0..30_i64])
            .prop_map(|(which, more)| Command::End { which, more }),
        1 => index().prop_map(|which| Command::EndAgain { which }),
        1 => (1..8_u8, index(), how).prop_map(|(budgets, which, how)| Command::Forge { budgets, which, how }),
    ]
}

/// Often not at all, mostly a little, sometimes far: in thousandths of the family's step.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0_i64), 3 => 0..30_i64, 2 => 0..=1_000_i64]
}

fn commands() -> impl Strategy<Value = Vec<(i64, Command)>> {
    prop::collection::vec((step(), command()), 1..usize::try_from(COMMANDS).unwrap())
}

/// What happened, all of it.
enum Event {
    Define(BudgetSpec, Timestamp),
    Hold {
        attempt: Attempt,
        hold: Hold,
        at: Timestamp,
    },
    End {
        attempt: Attempt,
        booked: i64,
    },
}

#[derive(Debug, PartialEq, Eq)]
struct Sums {
    carried: i128,
    settled: i128,
    held: i128,
}

impl Sums {
    fn used(&self) -> i128 {
        self.carried + self.settled + self.held
    }
}

/// The time from one definition of a window to the next.
struct Era<'a> {
    from: Timestamp,
    window: &'a Window,
    limits: Vec<(Timestamp, i64)>,
    holds: Vec<(Period, Attempt, i64)>,
}

struct Model {
    family: &'static Family,
    events: Vec<Event>,
}

impl Model {
    /// The definitions of a budget, and the holds placed under each.
    fn eras(&self, name: &str) -> Vec<Era<'_>> {
        let mut eras: Vec<Era<'_>> = Vec::new();
        for event in &self.events {
            match event {
                Event::Define(spec, at) if spec.name.as_str() == name => {
                    if eras.last().is_none_or(|era| *era.window != spec.window) {
                        eras.push(Era {
                            from: *at,
                            window: &spec.window,
                            limits: Vec::new(),
                            holds: Vec::new(),
                        });
                    }
                    eras.last_mut().unwrap().limits.push((*at, spec.limit.0));
                }
                Event::Hold { attempt, hold, at }
                    if hold.bookings.iter().any(|booking| booking.budget.as_str() == name) =>
                {
                    let era = eras.last_mut().unwrap();
                    let period = self.family.period(era.window, *at);
                    era.holds.push((period, *attempt, hold.amount.0));
                }
                _ => {}
            }
        }
        eras
    }

    fn booked(&self, attempt: Attempt) -> Option<i64> {
        self.events.iter().find_map(|event| match event {
            Event::End { attempt: ended, booked } if *ended == attempt => Some(*booked),
            _ => None,
        })
    }

    fn sums(&self, name: &str, now: Timestamp) -> Sums {
        let eras = self.eras(name);
        let mut carried = 0;
        let mut sums = None;
        for (at, era) in eras.iter().enumerate() {
            let until = eras.get(at + 1).map_or(now, |next| next.from);
            let found = match era.window {
                Window::Rolling { .. } => self.rolling(era, carried, until),
                _ => self.calendar(era, carried, until),
            };
            carried = found.used();
            sums = Some(found);
        }
        sums.expect("a defined budget")
    }

    fn rolling(&self, era: &Era<'_>, carried: i128, until: Timestamp) -> Sums {
        let first = era.window.period(era.from).unwrap();
        let carried = if until < first.end { carried } else { 0 };
        self.booked_in(era, carried, |period| period.end > until)
    }

    fn calendar(&self, era: &Era<'_>, carried: i128, until: Timestamp) -> Sums {
        let mut debt = carried;
        for window in self.family.periods(era.window).iter().filter(|w| w.end > era.from) {
            let sums = self.booked_in(era, debt, |period| period == window);
            if window.end > until {
                return sums;
            }
            let in_force = era.limits.iter().rev().find(|(at, _)| *at < window.end);
            let (_, limit) = in_force.unwrap();
            debt = (sums.used() - i128::from(*limit).max(0)).max(0);
        }
        unreachable!("the clock went past the family's time");
    }

    fn booked_in(&self, era: &Era<'_>, carried: i128, counts: impl Fn(&Period) -> bool) -> Sums {
        let mut sums = Sums {
            carried,
            settled: 0,
            held: 0,
        };
        for (_, attempt, amount) in era.holds.iter().filter(|(period, ..)| counts(period)) {
            match self.booked(*attempt) {
                Some(booked) => sums.settled += i128::from(booked),
                None => sums.held += i128::from(*amount),
            }
        }
        sums
    }

    fn spec(&self, name: &str) -> &BudgetSpec {
        let mut specs = self.events.iter().rev().filter_map(|event| match event {
            Event::Define(spec, _) => Some(spec),
            _ => None,
        });
        specs.find(|spec| spec.name.as_str() == name).unwrap()
    }

    fn attempts(&self, open: bool) -> Vec<(Attempt, i64)> {
        let holds = self.events.iter().filter_map(|event| match event {
            Event::Hold { attempt, hold, .. } => Some((*attempt, hold.amount.0)),
            _ => None,
        });
        holds
            .filter(|(attempt, _)| self.booked(*attempt).is_none() == open)
            .collect()
    }
}

struct Run {
    now: Timestamp,
    ledger: Ledger,
    model: Model,
    attempts: u8,
}

impl Run {
    fn new(family: &'static Family) -> Self {
        let mut run = Self {
            now: family.start,
            ledger: Ledger::default(),
            model: Model {
                family,
                events: Vec::new(),
            },
            attempts: 0,
        };
        for budget in 0..BUDGETS.len() {
            run.define(budget, budget, 10);
        }
        run
    }

    fn step(&mut self, thousandths: i64) {
        let micros = self.model.family.step_micros / 1_000 * thousandths;
        self.now = self.now.saturating_add_micros(micros);
    }

    fn run(&mut self, command: &Command) -> Result<(), TestCaseError> {
        match command {
            Command::Define { budget, window, limit } => self.define(*budget, *window, *limit),
            Command::Hold { budgets, amount } => self.hold(*budgets, *amount)?,
            Command::End { which, more } => self.end(which, *more)?,
            Command::EndAgain { which } => self.end_again(which)?,
            Command::Forge { budgets, which, how } => self.forge(*budgets, which, *how)?,
        }
        self.compare()
    }

    fn define(&mut self, name: usize, window: usize, limit: i64) {
        let windows = &self.model.family.windows;
        let spec = BudgetSpec {
            name: budget(BUDGETS[name]),
            limit: NanoUsd(limit),
            window: windows[window % windows.len()].0.clone(),
        };
        self.ledger.define(spec.clone(), self.now);
        self.model.events.push(Event::Define(spec, self.now));
    }

    fn selected(budgets: u8) -> Vec<model::BudgetName> {
        let chosen = BUDGETS.iter().enumerate().filter(|(at, _)| budgets & (1 << at) != 0);
        chosen.map(|(_, name)| budget(name)).collect()
    }

    fn next_attempt(&mut self) -> Attempt {
        self.attempts += 1;
        Attempt {
            action: ActionId::from_bytes([self.attempts; 16]),
            number: u16::from(self.attempts),
        }
    }

    fn intent(&self, amount: i64, bookings: Vec<Booking>) -> Hold {
        Hold {
            amount: NanoUsd(amount),
            bookings,
            expires: self.now,
            boot: 1,
        }
    }

    /// Invariant 1, in both directions: what fits is admitted, what does not is refused by the first budget it does not
    /// fit into.
    fn hold(&mut self, budgets: u8, amount: i64) -> Result<(), TestCaseError> {
        let names = Self::selected(budgets);
        let too_much = names.iter().find(|name| {
            let limit = i128::from(self.model.spec(name.as_str()).limit.0);
            amount > 0 && self.model.sums(name.as_str(), self.now).used() + i128::from(amount) > limit
        });
        match (self.ledger.admit(&names, NanoUsd(amount), self.now), too_much) {
            (Ok(bookings), None) => {
                for (booking, name) in bookings.iter().zip(&names) {
                    let window = &self.model.spec(name.as_str()).window;
                    prop_assert_eq!(booking.period, self.model.family.period(window, self.now));
                }
                let (attempt, hold, at) = (self.next_attempt(), self.intent(amount, bookings), self.now);
                prop_assert_eq!(self.ledger.place(attempt, hold.clone(), at), Ok(()));
                let again = self.ledger.place(attempt, hold.clone(), at);
                prop_assert_eq!(again, Err(LedgerError::HeldAlready(attempt)));
                self.model.events.push(Event::Hold { attempt, hold, at });
            }
            (Err(NotAdmitted::Refused(refusal)), Some(name)) => {
                prop_assert_eq!(&refusal.balance.spec.name, name);
                prop_assert_eq!(refusal.amount, NanoUsd(amount));
                prop_assert_eq!(Ok(refusal.balance), self.ledger.balance(name, self.now));
            }
            (found, expected) => {
                return Err(TestCaseError::fail(format!("{found:?}, too much for {expected:?}")));
            }
        }
        Ok(())
    }

    fn end(&mut self, which: &prop::sample::Index, more: i64) -> Result<(), TestCaseError> {
        let open = self.model.attempts(true);
        if open.is_empty() {
            return Ok(());
        }
        let (attempt, amount) = *which.get(&open);
        let booked = (amount + more).max(0);
        let ended = self.ledger.end(attempt, NanoUsd(booked)).unwrap();
        prop_assert_eq!(ended.overrun, NanoUsd((booked - amount).max(0)));
        prop_assert_eq!(ended.hold.amount, NanoUsd(amount));
        self.model.events.push(Event::End { attempt, booked });
        Ok(())
    }

    /// Invariant 2.
    fn end_again(&mut self, which: &prop::sample::Index) -> Result<(), TestCaseError> {
        let ended = self.model.attempts(false);
        if ended.is_empty() {
            return Ok(());
        }
        let (attempt, amount) = *which.get(&ended);
        let again = self.ledger.end(attempt, NanoUsd(amount));
        prop_assert_eq!(again, Err(LedgerError::NotHeld(attempt)));
        Ok(())
    }

    /// One wrong booking among right ones: refused, and nothing at all changes.
    fn forge(&mut self, budgets: u8, which: &prop::sample::Index, how: Forgery) -> Result<(), TestCaseError> {
        let Ok(mut bookings) = self.ledger.admit(&Self::selected(budgets), NanoUsd(0), self.now) else {
            return Ok(());
        };
        let mut amount = 0;
        let at = which.index(bookings.len());
        let booking = &mut bookings[at];
        match how {
            Forgery::Used(by) => booking.used.0 += by,
            Forgery::Limit(by) => booking.limit.0 += by,
            Forgery::Period => booking.period.start = booking.period.end.saturating_add_micros(1),
            Forgery::Budget => booking.budget = budget("nobody"),
            Forgery::Amount => amount = (booking.limit.0 - booking.used.0 + 1).max(1),
        }
        let before = self.ledger.clone();
        let (attempt, hold) = (self.next_attempt(), self.intent(amount, bookings));
        prop_assert!(self.ledger.place(attempt, hold, self.now).is_err());
        prop_assert_eq!(&self.ledger, &before);
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        for name in BUDGETS {
            let balance = self.ledger.balance(&budget(name), self.now).unwrap();
            let found = Sums {
                carried: balance.carried.0.into(),
                settled: balance.settled.0.into(),
                held: balance.held.0.into(),
            };
            let model = self.model.sums(name, self.now);
            prop_assert_eq!(&found, &model, "{} at {:?}", name, self.now);
            prop_assert_eq!(i128::from(balance.used().0), model.used());
            if let Some(resets) = balance.resets_at {
                prop_assert!(resets > self.now);
            }
        }
        let open = self.model.attempts(true);
        for name in BUDGETS {
            prop_assert!(self.ledger.kept(&budget(name)) <= 62 + 2 * open.len());
        }
        prop_assert_eq!(self.ledger.holds().count(), open.len());
        for (attempt, amount) in open {
            prop_assert_eq!(self.ledger.hold(&attempt).map(|hold| hold.amount.0), Some(amount));
        }
        Ok(())
    }

    /// Replay asks no calendar for the periods of holds, and gives the same ledger.
    fn replay(&self) -> Result<(), TestCaseError> {
        let mut second = Ledger::default();
        for event in &self.model.events {
            match event {
                Event::Define(spec, at) => second.define(spec.clone(), *at),
                Event::Hold { attempt, hold, at } => {
                    prop_assert_eq!(second.place(*attempt, hold.clone(), *at), Ok(()));
                }
                Event::End { attempt, booked } => {
                    prop_assert!(second.end(*attempt, NanoUsd(*booked)).is_ok());
                }
            }
        }
        prop_assert_eq!(&second, &self.ledger);
        Ok(())
    }
}

fn check(family: &'static Family, commands: &[(i64, Command)]) -> Result<(), TestCaseError> {
    let mut run = Run::new(family);
    for (step, command) in commands {
        run.step(*step);
        run.run(command)?;
    }
    run.replay()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 4, ..ProptestConfig::default() })]

    #[test]
    fn short_windows_agree_with_the_model(commands in commands()) {
        check(&SHORT, &commands)?;
    }

    #[test]
    fn long_windows_agree_with_the_model(commands in commands()) {
        check(&LONG, &commands)?;
    }
}
