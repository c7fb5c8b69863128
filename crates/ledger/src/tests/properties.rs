//! Random commands under a clock that only moves forward, against a model that keeps every event and computes each
//! standing anew.

mod model;

use std::{collections::HashMap, sync::LazyLock};

use ::model::{ActionId, NanoUsd, Timestamp};
use proptest::prelude::*;

use self::model::{COMMANDS, Event, Family, Model, Sums, changed};
use super::{form::ledger_again, table::budget};
use crate::{
    Amount, AtLimit, Attempt, Booking, BudgetSpec, Charge, Edit, Hold, Label, Ledger, LedgerError, Measure,
    NotAdmitted, Pot, Why,
};

/// `org` asks at its limit, `user` keeps the pots of users apart.
const BUDGETS: [&str; 4] = ["agent", "org", "team", "user"];
const USERS: [&str; 3] = ["ann", "bob", "cyd"];

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

/// Months and years, over leap years and the one of 2100 that is none.
static YEARS: LazyLock<Family> = LazyLock::new(|| {
    let windows = [
        ("year", "Europe/Berlin"),
        ("year", "Pacific/Apia"),
        ("month", "UTC"),
        ("rolling-month", ""),
        ("rolling-year", ""),
        ("total", ""),
    ];
    Family::new("2095-11-20T12:00Z", 120 * 86_400 * 1_000_000, &windows)
});

#[derive(Clone, Debug)]
enum Command {
    Define {
        budget: usize,
        window: usize,
        limit: i64,
        unit: Measure,
    },
    Edit {
        budget: usize,
        user: usize,
        edit: Change,
    },
    /// Under the budgets whose bits are set.
    Hold {
        budgets: u8,
        user: usize,
        amount: Charge,
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
        user: usize,
        which: prop::sample::Index,
        how: Forgery,
    },
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Limit(i64),
    Declared,
    Pause,
    Resume,
    TopUp(i64),
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
    let unit = prop_oneof![
        4 => Just(Measure::Money),
        1 => prop::sample::select(vec![Measure::Tokens, Measure::InputTokens, Measure::OutputTokens, Measure::Calls]),
    ];
    let edit = prop_oneof![
        2 => prop::sample::select(vec![0, 1, 5, 20, 100]).prop_map(Change::Limit),
        1 => Just(Change::Declared),
        1 => Just(Change::Pause),
        3 => Just(Change::Resume),
        3 => (1..15_i64).prop_map(Change::TopUp),
    ];
    let amount = (0..7_i64, 0..4_u64, 0..4_u64, 0..2_u64).prop_map(|(money, input, output, calls)| Charge {
        money: NanoUsd(money),
        input,
        output,
        calls,
    });
    let user = || 0..USERS.len();
    prop_oneof![
        2 => (0..BUDGETS.len(), 0..7_usize, prop::sample::select(vec![-3, 0, 1, 5, 10, 100]), unit)
            .prop_map(|(budget, window, limit, unit)| Command::Define { budget, window, limit, unit }),
        2 => (0..BUDGETS.len(), user(), edit).prop_map(|(budget, user, edit)| Command::Edit { budget, user, edit }),
        7 => (1..16_u8, user(), amount).prop_map(|(budgets, user, amount)| Command::Hold { budgets, user, amount }),
        5 => (index(), prop_oneof![3 => -7..=0_i64, 1 => 0..30_i64])
            .prop_map(|(which, more)| Command::End { which, more }),
        1 => index().prop_map(|which| Command::EndAgain { which }),
        1 => (1..16_u8, user(), index(), how)
            .prop_map(|(budgets, user, which, how)| Command::Forge { budgets, user, which, how }),
    ]
}

/// Often not at all, mostly a little, sometimes far: in thousandths of the family's step.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0_i64), 3 => 0..30_i64, 2 => 0..=1_000_i64]
}

fn commands() -> impl Strategy<Value = Vec<(i64, Command)>> {
    prop::collection::vec((step(), command()), 1..usize::try_from(COMMANDS).unwrap())
}

fn pot(budget_at: usize, user: usize) -> Pot {
    let name = BUDGETS[budget_at];
    let of = match name {
        "user" => vec![USERS[user].to_owned()],
        _ => Vec::new(),
    };
    let budget = budget(name);
    Pot { budget, of }
}

fn all_pots() -> Vec<Pot> {
    let shared = (0..BUDGETS.len() - 1).map(|at| pot(at, 0));
    shared
        .chain((0..USERS.len()).map(|user| pot(BUDGETS.len() - 1, user)))
        .collect()
}

fn selected(budgets: u8, user: usize) -> Vec<Pot> {
    let chosen = (0..BUDGETS.len()).filter(|at| budgets & (1 << at) != 0);
    chosen.map(|at| pot(at, user)).collect()
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
                names: &BUDGETS,
                family,
                events: Vec::new(),
                ended: HashMap::new(),
            },
            attempts: 0,
        };
        for budget in 0..BUDGETS.len() {
            run.define(budget, budget, 10, Measure::Money);
        }
        run
    }

    fn step(&mut self, thousandths: i64) {
        let micros = self.model.family.step_micros / 1_000 * thousandths;
        self.now = self.now.saturating_add_micros(micros);
    }

    fn run(&mut self, command: &Command) -> Result<(), TestCaseError> {
        match command {
            Command::Define {
                budget,
                window,
                limit,
                unit,
            } => self.define(*budget, *window, *limit, *unit),
            Command::Edit { budget, user, edit } => self.edit(*budget, *user, *edit)?,
            Command::Hold { budgets, user, amount } => self.hold(&selected(*budgets, *user), *amount)?,
            Command::End { which, more } => self.end(which, *more)?,
            Command::EndAgain { which } => self.end_again(which)?,
            Command::Forge {
                budgets,
                user,
                which,
                how,
            } => self.forge(&selected(*budgets, *user), which, *how)?,
        }
        self.compare()
    }

    fn define(&mut self, name: usize, window: usize, limit: i64, unit: Measure) {
        let windows = &self.model.family.windows;
        let window = windows[window % windows.len()].0.clone();
        let mut spec = BudgetSpec::money(budget(BUDGETS[name]), Amount(limit), window);
        spec.unit = unit;
        spec.thresholds = vec![50, 80, 95];
        match BUDGETS[name] {
            "org" => spec.at_limit = AtLimit::Ask { wait_s: 60 },
            "user" => spec.each = vec![Label::User],
            _ => {}
        }
        self.ledger.define(spec.clone(), self.now);
        self.model.events.push(Event::Define(spec, self.now));
    }

    fn edit(&mut self, budget: usize, user: usize, change: Change) -> Result<(), TestCaseError> {
        let pot = pot(budget, user);
        let terms = self.model.terms(&pot);
        let period = self.model.family.period(&terms.spec.window, self.now);
        prop_assert_eq!(self.ledger.period(&pot, self.now), Ok(period));
        let (edit, possible) = match change {
            Change::Limit(limit) => (Edit::Limit { limit: Amount(limit) }, true),
            Change::Declared => (Edit::DeclaredLimit {}, terms.overlay.is_some()),
            Change::Pause => (Edit::Paused {}, !terms.paused),
            Change::Resume => (Edit::Resumed {}, terms.paused),
            Change::TopUp(amount) => {
                let (amount, of) = (Amount(amount), pot.of.clone());
                (Edit::ToppedUp { amount, of, period }, true)
            }
        };
        let done = self.ledger.edit(&pot.budget, &edit, self.now);
        prop_assert_eq!(done.is_ok(), possible, "{:?}", done);
        if possible {
            let at = self.now;
            self.model.events.push(Event::Edit { budget, edit, at });
        }
        Ok(())
    }

    fn next_attempt(&mut self) -> Attempt {
        self.attempts += 1;
        Attempt {
            action: ActionId::from_bytes([self.attempts; 16]),
            number: u16::from(self.attempts),
        }
    }

    fn intent(&self, amount: Charge, bookings: Vec<Booking>) -> Hold {
        Hold {
            amount,
            bookings,
            expires: self.now,
            boot: 1,
        }
    }

    /// Why a pot must refuse.
    fn obstacle(&self, pot: &Pot, amount: Charge) -> Option<Why> {
        let terms = self.model.terms(pot);
        let sums = self.model.sums(pot, self.now);
        let amount = i128::from(amount.of(terms.spec.unit).0);
        let full = amount > 0 && sums.used() + amount > i128::from(terms.limit) + sums.credit;
        match () {
            () if terms.paused => Some(Why::Paused),
            () if full => Some(Why::Full),
            () => None,
        }
    }

    /// Invariant 1, in both directions: what fits is admitted, what does not is refused by the first budget it does not
    /// fit into, one that asks after the others.
    fn hold(&mut self, pots: &[Pot], amount: Charge) -> Result<(), TestCaseError> {
        let obstacles = pots.iter().filter_map(|pot| Some((pot, self.obstacle(pot, amount)?)));
        let asks = |(pot, why): &(&Pot, Why)| pot.budget.as_str() == "org" && *why == Why::Full;
        let expected = obstacles
            .clone()
            .find(|refused| !asks(refused))
            .or(obstacles.clone().next());
        match (self.ledger.admit(pots, &amount, self.now), expected) {
            (Ok(bookings), None) => {
                for (booking, pot) in bookings.iter().zip(pots) {
                    let window = &self.model.terms(pot).spec.window;
                    prop_assert_eq!(booking.period, self.model.family.period(window, self.now));
                }
                let (attempt, hold, at) = (self.next_attempt(), self.intent(amount, bookings), self.now);
                prop_assert_eq!(self.ledger.place(attempt, hold.clone(), at), Ok(()));
                let again = self.ledger.place(attempt, hold.clone(), at);
                prop_assert_eq!(again, Err(LedgerError::HeldAlready(attempt)));
                self.model.events.push(Event::Hold { attempt, hold, at });
            }
            (Err(NotAdmitted::Refused(refusal)), Some((pot, why))) => {
                let unit = self.model.terms(pot).spec.unit;
                prop_assert_eq!(&refusal.balance.spec.name, &pot.budget);
                prop_assert_eq!(refusal.why, why);
                prop_assert_eq!(refusal.amount, amount.of(unit));
                prop_assert_eq!(refusal.asks().is_some(), asks(&(pot, why)));
                prop_assert_eq!(Ok(refusal.balance), self.ledger.balance(pot, self.now));
            }
            (found, expected) => {
                return Err(TestCaseError::fail(format!("{found:?}, expected {expected:?}")));
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
        let booked = changed(amount, more);
        let ended = self.ledger.end(attempt, &booked, self.now).unwrap();
        prop_assert_eq!(ended.overrun, NanoUsd((booked.money.0 - amount.money.0).max(0)));
        prop_assert_eq!(ended.hold.amount, amount);
        for reached in &ended.reached {
            let booking = ended
                .hold
                .bookings
                .iter()
                .find(|booking| booking.budget == reached.budget);
            prop_assert_eq!(booking.map(|booking| &booking.of), Some(&reached.of));
            let share = i128::from(reached.percent) * i128::from(reached.limit.0.max(0));
            prop_assert!(reached.spent > Amount::ZERO && i128::from(reached.spent.0) * 100 >= share);
        }
        let (reached, at) = (ended.reached, self.now);
        self.model.ended.insert(attempt, booked);
        self.model.events.push(Event::End {
            attempt,
            booked,
            reached,
            at,
        });
        Ok(())
    }

    /// Invariant 2.
    fn end_again(&mut self, which: &prop::sample::Index) -> Result<(), TestCaseError> {
        let ended = self.model.attempts(false);
        if ended.is_empty() {
            return Ok(());
        }
        let (attempt, amount) = *which.get(&ended);
        let again = self.ledger.end(attempt, &amount, self.now);
        prop_assert_eq!(again, Err(LedgerError::NotHeld(attempt)));
        Ok(())
    }

    /// One wrong booking among right ones: refused, and nothing at all changes.
    fn forge(&mut self, pots: &[Pot], which: &prop::sample::Index, how: Forgery) -> Result<(), TestCaseError> {
        let Ok(mut bookings) = self.ledger.admit(pots, &Charge::NONE, self.now) else {
            return Ok(());
        };
        let mut amount = Charge::NONE;
        let at = which.index(bookings.len());
        let booking = &mut bookings[at];
        match how {
            Forgery::Used(by) => booking.used.0 += by,
            Forgery::Limit(by) => booking.limit.0 += by,
            Forgery::Period => booking.period.start = booking.period.end.saturating_add_micros(1),
            Forgery::Budget => booking.budget = budget("nobody"),
            Forgery::Amount => {
                let more = (booking.limit.0 - booking.used.0 + 1).max(1);
                let count = u64::try_from(more).unwrap();
                amount = Charge {
                    money: NanoUsd(more),
                    input: count,
                    output: count,
                    calls: count,
                };
            }
        }
        let before = self.ledger.clone();
        let (attempt, hold) = (self.next_attempt(), self.intent(amount, bookings));
        prop_assert!(self.ledger.place(attempt, hold, self.now).is_err());
        prop_assert_eq!(&self.ledger, &before);
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let open = self.model.attempts(true);
        for pot in all_pots() {
            let balance = self.ledger.balance(&pot, self.now).unwrap();
            let found = Sums {
                carried: balance.carried.0.into(),
                settled: balance.settled.0.into(),
                held: balance.held.0.into(),
                credit: balance.credit.0.into(),
            };
            let (model, terms) = (self.model.sums(&pot, self.now), self.model.terms(&pot));
            prop_assert_eq!(&found, &model, "{:?} at {:?}", pot, self.now);
            prop_assert_eq!(i128::from(balance.used().0), model.used());
            prop_assert_eq!(i128::from(balance.limit.0), i128::from(terms.limit) + model.credit);
            prop_assert_eq!(balance.paused, terms.paused);
            prop_assert_eq!(self.ledger.overlay(&pot.budget), (terms.overlay, terms.paused));
            if let Some(resets) = balance.resets_at {
                prop_assert!(resets > self.now);
            }
            prop_assert!(self.ledger.kept(&pot.budget) <= USERS.len() * (62 + 2 * open.len()));
        }
        prop_assert_eq!(&ledger_again(&self.ledger, self.now), &self.ledger);
        prop_assert_eq!(self.ledger.holds().count(), open.len());
        for (attempt, amount) in open {
            prop_assert_eq!(self.ledger.hold(&attempt).map(|hold| hold.amount), Some(amount));
        }
        Ok(())
    }

    /// Replay asks no calendar for the periods of holds, and gives the same ledger.
    fn replay(&self) -> Result<(), TestCaseError> {
        let mut second = Ledger::default();
        for event in &self.model.events {
            match event {
                Event::Define(spec, at) => second.define(spec.clone(), *at),
                Event::Edit { budget: name, edit, at } => {
                    prop_assert_eq!(second.edit(&budget(BUDGETS[*name]), edit, *at), Ok(()));
                }
                Event::Hold { attempt, hold, at } => {
                    prop_assert_eq!(second.place(*attempt, hold.clone(), *at), Ok(()));
                }
                Event::End {
                    attempt,
                    booked,
                    reached,
                    at,
                } => {
                    let ended = second.end(*attempt, booked, *at);
                    prop_assert_eq!(&ended.map(|ended| ended.reached), &Ok(reached.clone()));
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
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 2, ..ProptestConfig::default() })]

    #[test]
    fn short_windows_agree_with_the_model(commands in commands()) {
        check(&SHORT, &commands)?;
    }

    #[test]
    fn long_windows_agree_with_the_model(commands in commands()) {
        check(&LONG, &commands)?;
    }

    #[test]
    fn years_agree_with_the_model(commands in commands()) {
        check(&YEARS, &commands)?;
    }
}
