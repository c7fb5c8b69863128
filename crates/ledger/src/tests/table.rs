//! A scenario is a text, one event a line; [`check`] runs it.
//!
//! ```text
//! zone Europe/Berlin                      windows and bare times from here on
//! define day 5                            budget `b`; `define team: rolling-hour 5` names another
//! at 2026-03-29T01:59 hold a 2            sets the clock, which then stands; the rest of the line is optional
//! hold a.1 2 in b,team                    the second attempt of action a
//! end a 1.5
//! expect used=1.5 remaining=3.5 carried=0 resets=2026-03-30T00:00+02:00
//! hold z 4 => refused: 1.5 of 5 used      what a command answers if it does not succeed
//! ```

use std::fmt::Write as _;

use jiff::{civil::DateTime, tz::TimeZone};
use model::{ActionId, BudgetName, NanoUsd, Timestamp};

use crate::{Attempt, Balance, BudgetSpec, Hold, Ledger, NotAdmitted, Unit, Window};

/// Runs a scenario against an empty ledger. What it defined, placed and ended is then replayed into a second ledger,
/// which must be equal.
pub(super) fn check(scenario: &str) {
    let run = run(scenario);
    let second = run.replay(None);
    assert_eq!(second, run.ledger, "replayed");
}

/// Runs a scenario, and replays it as if the rules of its zones were another's. Each entry must still fit, its balance
/// too.
pub(super) fn check_under_rules_of(zone: &str, scenario: &str) {
    let run = run(scenario);
    run.replay(Some(zone));
}

fn run(scenario: &str) -> Run {
    let mut run = Run {
        zone: "UTC".to_owned(),
        now: Timestamp::from_unix_micros(0),
        ledger: Ledger::default(),
        done: Vec::new(),
    };
    for (at, line) in scenario.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (command, expected) = line.split_once("=>").unwrap_or((line, "ok"));
        let found = run.command(command.trim());
        assert_eq!(found, expected.trim(), "line {}: {line}", at + 1);
    }
    run
}

/// What changed the ledger.
enum Done {
    Define(BudgetSpec, Timestamp),
    Place(Attempt, Hold, Timestamp),
    End(Attempt, NanoUsd),
}

struct Run {
    zone: String,
    now: Timestamp,
    ledger: Ledger,
    done: Vec<Done>,
}

impl Run {
    fn command(&mut self, line: &str) -> String {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "" => "ok".to_owned(),
            "zone" => {
                self.zone = rest.to_owned();
                "ok".to_owned()
            }
            "at" => {
                let (time, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                self.now = instant(time, &self.zone);
                self.command(rest.trim())
            }
            "define" => self.define(rest),
            "hold" => self.hold(rest),
            "end" => {
                let (name, amount) = rest.split_once(' ').expect("end ATTEMPT AMOUNT");
                self.end(attempt(name), money(amount))
            }
            "void" => self.end(attempt(rest), NanoUsd::ZERO),
            "expect" => self.expect(rest),
            _ => panic!("no such command: {line}"),
        }
    }

    fn define(&mut self, rest: &str) -> String {
        let (name, rest) = named(rest);
        let (window, limit) = rest.split_once(' ').expect("define WINDOW LIMIT");
        let spec = BudgetSpec {
            name,
            limit: money(limit),
            window: window_of(window, &self.zone),
        };
        self.ledger.define(spec.clone(), self.now);
        self.done.push(Done::Define(spec, self.now));
        "ok".to_owned()
    }

    fn hold(&mut self, rest: &str) -> String {
        let (what, budgets) = rest.split_once(" in ").unwrap_or((rest, "b"));
        let (name, amount) = what.split_once(' ').expect("hold ATTEMPT AMOUNT");
        let budgets: Vec<_> = budgets.split(',').map(budget).collect();
        let (attempt, amount) = (attempt(name), money(amount));
        let bookings = match self.ledger.admit(&budgets, amount, self.now) {
            Ok(bookings) => bookings,
            Err(NotAdmitted::Error(error)) => return error.to_string(),
            Err(NotAdmitted::Refused(refusal)) => {
                let Balance { spec, .. } = &refusal.balance;
                let place = match spec.name.as_str() {
                    "b" => String::new(),
                    name => format!(" in {name}"),
                };
                return format!("refused: {} of {} used{place}", refusal.balance.used(), spec.limit);
            }
        };
        let hold = Hold {
            amount,
            bookings,
            expires: self.now.saturating_add_micros(600_000_000),
            boot: 1,
        };
        if let Err(error) = self.ledger.place(attempt, hold.clone(), self.now) {
            return error.to_string();
        }
        self.done.push(Done::Place(attempt, hold, self.now));
        "ok".to_owned()
    }

    fn end(&mut self, attempt: Attempt, booked: NanoUsd) -> String {
        if let Err(error) = self.ledger.end(attempt, booked) {
            return error.to_string();
        }
        self.done.push(Done::End(attempt, booked));
        "ok".to_owned()
    }

    /// Compares the values of the keys that the line names, in its order.
    fn expect(&self, rest: &str) -> String {
        let (name, rest) = named(rest);
        let balance = self.ledger.balance(&name, self.now).expect("a balance");
        let mut found = String::new();
        for pair in rest.split_whitespace() {
            let (key, _) = pair.split_once('=').expect("KEY=VALUE");
            let value = match key {
                "used" => balance.used().to_string(),
                "remaining" => balance.remaining().to_string(),
                "carried" => balance.carried.to_string(),
                "settled" => balance.settled.to_string(),
                "held" => balance.held.to_string(),
                "resets" => balance
                    .resets_at
                    .map_or_else(|| "never".to_owned(), |at| shown(at, &self.zone)),
                _ => panic!("no such key: {key}"),
            };
            write!(found, " {key}={value}").expect("memory");
        }
        let found = found.trim();
        if found == rest {
            "ok".to_owned()
        } else {
            found.to_owned()
        }
    }

    fn replay(&self, rules: Option<&str>) -> Ledger {
        let mut second = Ledger::default();
        for done in &self.done {
            match done {
                Done::Define(spec, at) => second.define(under(spec.clone(), rules), *at),
                Done::Place(attempt, hold, at) => second.place(*attempt, hold.clone(), *at).expect("replayed"),
                Done::End(attempt, booked) => drop(second.end(*attempt, *booked).expect("replayed")),
            }
        }
        second
    }
}

fn under(mut spec: BudgetSpec, rules: Option<&str>) -> BudgetSpec {
    if let (Window::Calendar { zone, .. }, Some(rules)) = (&mut spec.window, rules) {
        rules.clone_into(zone);
    }
    spec
}

fn named(rest: &str) -> (BudgetName, &str) {
    match rest.split_once(": ") {
        Some((name, rest)) => (budget(name), rest.trim()),
        None => (budget("b"), rest),
    }
}

pub(super) fn budget(name: &str) -> BudgetName {
    name.trim().parse().expect("a name")
}

/// `a` is the first attempt of action a, `a.1` the second.
pub(super) fn attempt(name: &str) -> Attempt {
    let (action, number) = name.trim().split_once('.').unwrap_or((name.trim(), "0"));
    let mut bytes = [0; 16];
    bytes[..action.len()].copy_from_slice(action.as_bytes());
    Attempt {
        action: ActionId::from_bytes(bytes),
        number: number.parse().expect("a number"),
    }
}

/// Dollars: `2`, `0.5`, `-1`.
pub(super) fn money(text: &str) -> NanoUsd {
    let text = text.trim();
    let NanoUsd(amount) = format!("{} USD", text.trim_start_matches('-'))
        .parse()
        .expect("an amount");
    NanoUsd(if text.starts_with('-') { -amount } else { amount })
}

/// `day`, `rolling-day`, `total`.
pub(super) fn window_of(text: &str, zone: &str) -> Window {
    let unit = |word: &str| match word {
        "minute" => Unit::Minute,
        "hour" => Unit::Hour,
        "day" => Unit::Day,
        "week" => Unit::Week,
        "month" => Unit::Month,
        _ => panic!("no such unit: {word}"),
    };
    match text.split_once('-') {
        Some(("rolling", word)) => Window::Rolling { unit: unit(word) },
        _ if text == "total" => Window::Total,
        _ => Window::Calendar {
            unit: unit(text),
            zone: zone.to_owned(),
        },
    }
}

/// A time with an offset (`...Z`, `...+01:00`), or one of the zone's clock.
pub(super) fn instant(text: &str, zone: &str) -> Timestamp {
    let at = text.parse::<jiff::Timestamp>().unwrap_or_else(|_| {
        let civil: DateTime = text.parse().expect("a time");
        let zone = TimeZone::get(zone).expect("a zone");
        civil.to_zoned(zone).expect("in range").timestamp()
    });
    Timestamp::from_unix_micros(at.as_microsecond())
}

/// The zone's clock with its offset, seconds only where there are any.
pub(super) fn shown(at: Timestamp, zone: &str) -> String {
    let zoned = jiff::Timestamp::from_microsecond(at.unix_micros())
        .expect("in range")
        .to_zoned(TimeZone::get(zone).expect("a zone"));
    let seconds = if zoned.second() == 0 { "" } else { ":%S" };
    zoned.strftime(&format!("%Y-%m-%dT%H:%M{seconds}%:z")).to_string()
}
