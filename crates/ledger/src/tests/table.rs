//! A scenario is a text, one event a line; [`check`] runs it.
//!
//! ```text
//! zone Europe/Berlin                      windows and bare times from here on
//! define day 5                            budget `b`; `define team: rolling-hour 5` names another
//! define t: day 900 unit=tokens select=team:data,user:u*|ann each=user thresholds=50,80 ask=60
//! at 2026-03-29T01:59 hold a 2            sets the clock, which then stands; the rest of the line is optional
//! hold a.1 2 in b,team[ann]               the second attempt of action a, in these pots
//! hold a 2+100in+50out+1call in b for team=data,user=ann    in the named budgets and those that select the labels
//! end a 1.5
//! expect used=1.5 remaining=3.5 carried=0 resets=2026-03-30T00:00+02:00
//! hold z 4 => refused: 1.5 of 5 used      what a command answers if it does not succeed, or has more to say
//! limit team: 7 | declared team | pause team | resume team | topup team[ann]: 5 | remove team | crowded team
//! pots team => ann bob                    whose are kept
//! ```

use std::fmt::Write as _;

use jiff::{civil::DateTime, tz::TimeZone};
use model::{ActionId, BudgetName, NanoUsd, Timestamp};

use super::form::ledger_again;
use crate::{
    Amount, AtLimit, Attempt, Balance, BudgetSpec, Charge, Edit, Hold, Label, Labels, Ledger, Measure, NotAdmitted,
    Pot, Reached, Refusal, Selector, Unit, Why, Window,
};

/// Runs a scenario against an empty ledger. What it defined, edited, placed and ended is then replayed into a second
/// ledger, which must be equal and have the same to tell.
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
    let mut latest = run.now;
    for (at, line) in scenario.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (command, expected) = line.split_once("=>").unwrap_or((line, "ok"));
        let found = run.command(command.trim());
        assert_eq!(found, expected.trim(), "line {}: {line}", at + 1);
        latest = latest.max(run.now);
        assert_eq!(ledger_again(&run.ledger, latest), run.ledger, "line {}: {line}", at + 1);
    }
    run
}

/// What changed the ledger.
enum Done {
    Define(BudgetSpec, Timestamp),
    Remove(BudgetName, Timestamp),
    Edit(BudgetName, Edit, Timestamp),
    Crowded(BudgetName, Timestamp),
    Place(Attempt, Hold, Timestamp),
    End(Attempt, Charge, Vec<Reached>, Timestamp),
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
                self.end(attempt(name), charge(amount))
            }
            "void" => self.end(attempt(rest), Charge::NONE),
            "expect" => self.expect(rest),
            "limit" => {
                let (pot, rest) = named(rest);
                let limit = self.amount(&pot, rest);
                self.edit(&pot.budget, Edit::Limit { limit })
            }
            "declared" => self.edit(&pot_of(rest).budget, Edit::DeclaredLimit {}),
            "pause" => self.edit(&pot_of(rest).budget, Edit::Paused {}),
            "resume" => self.edit(&pot_of(rest).budget, Edit::Resumed {}),
            "topup" => self.top_up(rest),
            "remove" => self.remove(&pot_of(rest).budget),
            "crowded" => {
                let name = pot_of(rest).budget;
                self.ledger.crowded(&name, self.now);
                self.done.push(Done::Crowded(name, self.now));
                "ok".to_owned()
            }
            "pots" => {
                let pots = self.ledger.balances(&pot_of(rest).budget, self.now, usize::MAX);
                let pots: Vec<_> = pots.iter().map(|pot| pot.of.join("/")).collect();
                pots.join(" ")
            }
            _ => panic!("no such command: {line}"),
        }
    }

    fn define(&mut self, rest: &str) -> String {
        let (pot, rest) = named(rest);
        let spec = spec(pot.budget, rest, &self.zone);
        self.ledger.define(spec.clone(), self.now);
        self.done.push(Done::Define(spec, self.now));
        "ok".to_owned()
    }

    fn remove(&mut self, name: &BudgetName) -> String {
        if let Err(error) = self.ledger.remove(name, self.now) {
            return error.to_string();
        }
        self.done.push(Done::Remove(name.clone(), self.now));
        "ok".to_owned()
    }

    fn top_up(&mut self, rest: &str) -> String {
        let (pot, rest) = named(rest);
        let amount = self.amount(&pot, rest);
        match self.ledger.period(&pot, self.now) {
            Ok(period) => {
                let of = pot.of;
                self.edit(&pot.budget, Edit::ToppedUp { amount, of, period })
            }
            Err(error) => error.to_string(),
        }
    }

    fn edit(&mut self, name: &BudgetName, edit: Edit) -> String {
        if let Err(error) = self.ledger.edit(name, &edit, self.now) {
            return error.to_string();
        }
        self.done.push(Done::Edit(name.clone(), edit, self.now));
        "ok".to_owned()
    }

    fn amount(&self, pot: &Pot, text: &str) -> Amount {
        let unit = self.ledger.budget(&pot.budget).map(|spec| spec.unit);
        amount_of(unit.unwrap_or_default(), text)
    }

    fn hold(&mut self, rest: &str) -> String {
        let (rest, labels) = rest
            .split_once(" for ")
            .map_or((rest, None), |(rest, labels)| (rest, Some(labels)));
        let (what, budgets) = rest
            .split_once(" in ")
            .map_or((rest, None), |(what, pots)| (what, Some(pots)));
        let (name, amount) = what.split_once(' ').expect("hold ATTEMPT AMOUNT");
        let (attempt, amount) = (attempt(name), charge(amount));
        let named = |text: &str| text.split(',').map(pot_of).collect::<Vec<_>>();
        let pots = match labels {
            None => named(budgets.unwrap_or("b")),
            Some(labels) => {
                let named = budgets.map(named).unwrap_or_default();
                let names: Vec<_> = named.into_iter().map(|pot| pot.budget).collect();
                self.selected(&names, labels)
            }
        };
        let bookings = match self.ledger.admit(&pots, &amount, self.now) {
            Ok(bookings) => bookings,
            Err(NotAdmitted::Error(error)) => return error.to_string(),
            Err(NotAdmitted::Refused(refusal)) => return refused(&refusal),
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

    fn selected(&self, named: &[BudgetName], text: &str) -> Vec<Pot> {
        let pairs = text.split(',').filter(|pair| *pair != "*");
        let pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').expect("LABEL=VALUE")).collect();
        let tools = pairs.iter().filter(|(label, _)| *label == "tool");
        let tools: Vec<String> = tools.map(|(_, tool)| (*tool).to_owned()).collect();
        let value = |label: Label| {
            let found = pairs.iter().find(|(word, _)| *word == label.as_str());
            found.map_or("", |(_, value)| *value)
        };
        let labels = Labels {
            tenant: value(Label::Tenant),
            environment: value(Label::Environment),
            product: value(Label::Product),
            team: value(Label::Team),
            tier: value(Label::Tier),
            upstream: value(Label::Upstream),
            model: value(Label::Model),
            tools: &tools,
            task: value(Label::Task),
            agent: value(Label::Agent),
            run: value(Label::Run),
            user: value(Label::User),
        };
        self.ledger.select(named, &labels)
    }

    fn end(&mut self, attempt: Attempt, booked: Charge) -> String {
        let ended = match self.ledger.end(attempt, &booked, self.now) {
            Ok(ended) => ended,
            Err(error) => return error.to_string(),
        };
        let told: Vec<_> = ended.reached.iter().map(|reached| self.told(reached)).collect();
        self.done.push(Done::End(attempt, booked, ended.reached, self.now));
        match told.is_empty() {
            true => "ok".to_owned(),
            false => told.join(", "),
        }
    }

    /// `80%: 4 of 5`.
    fn told(&self, reached: &Reached) -> String {
        let unit = self.ledger.budget(&reached.budget).expect("a budget").unit;
        let (spent, limit) = (unit.number(reached.spent), unit.number(reached.limit));
        let place = place(&reached.budget, &reached.of);
        format!("{}%: {spent} of {limit}{place}", reached.percent)
    }

    /// Compares the values of the keys that the line names, in its order.
    fn expect(&self, rest: &str) -> String {
        let (pot, rest) = named(rest);
        let balance = self.ledger.balance(&pot, self.now).expect("a balance");
        let number = |amount| balance.spec.unit.number(amount);
        let mut found = String::new();
        for pair in rest.split_whitespace() {
            let (key, _) = pair.split_once('=').expect("KEY=VALUE");
            let value = match key {
                "used" => number(balance.used()),
                "remaining" => number(balance.remaining()),
                "carried" => number(balance.carried),
                "settled" => number(balance.settled),
                "held" => number(balance.held),
                "limit" => number(balance.limit),
                "credit" => number(balance.credit),
                "paused" => balance.paused.to_string(),
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
                Done::Remove(name, at) => second.remove(name, *at).expect("replayed"),
                Done::Edit(name, edit, at) => second.edit(name, edit, *at).expect("replayed"),
                Done::Crowded(name, at) => second.crowded(name, *at),
                Done::Place(attempt, hold, at) => second.place(*attempt, hold.clone(), *at).expect("replayed"),
                Done::End(attempt, booked, reached, at) => {
                    let ended = second.end(*attempt, booked, *at).expect("replayed");
                    assert_eq!(&ended.reached, reached, "replayed");
                }
            }
        }
        second
    }
}

/// `refused: 1.5 of 5 used`, and which pot it was if it is not `b`'s only one.
fn refused(refusal: &Refusal) -> String {
    let Balance { spec, of, limit, .. } = &refusal.balance;
    let number = |amount| spec.unit.number(amount);
    let place = place(&spec.name, of);
    let asks = refusal
        .asks()
        .map_or_else(String::new, |wait_s| format!(", asks {wait_s} s"));
    match refusal.why {
        Why::Full => format!(
            "refused: {} of {} used{place}{asks}",
            number(refusal.balance.used()),
            number(*limit)
        ),
        Why::Paused => format!("paused{place}{asks}"),
        Why::Crowded => format!("crowded{place}{asks}"),
    }
}

fn place(name: &BudgetName, of: &[String]) -> String {
    match (name.as_str(), of) {
        ("b", []) => String::new(),
        (name, []) => format!(" in {name}"),
        (name, of) => format!(" in {name}[{}]", of.join("/")),
    }
}

/// `day 900 unit=tokens select=team:data,user:u*|ann each=user thresholds=50,80 ask=60`.
fn spec(name: BudgetName, text: &str, zone: &str) -> BudgetSpec {
    let mut words = text.split_whitespace();
    let window = window_of(words.next().expect("define WINDOW LIMIT"), zone);
    let limit = words.next().expect("define WINDOW LIMIT");
    let mut spec = BudgetSpec::money(name, Amount::ZERO, window);
    for word in words {
        let (key, value) = word.split_once('=').expect("KEY=VALUE");
        match key {
            "unit" => spec.unit = serde_json::from_value(value.into()).expect("a unit"),
            "select" => spec.select = Some(selector(value)),
            "each" => spec.each = value.split(',').map(label).collect(),
            "thresholds" => spec.thresholds = value.split(',').map(|share| share.parse().expect("a share")).collect(),
            "ask" => {
                let wait_s = value.parse().expect("seconds");
                spec.at_limit = AtLimit::Ask { wait_s };
            }
            _ => panic!("no such key: {key}"),
        }
    }
    spec.limit = amount_of(spec.unit, limit);
    spec
}

/// `team:data,user:u*|ann`; `*` selects all requests.
pub(super) fn selector(text: &str) -> Selector {
    let pairs = text.split(',').filter(|pair| *pair != "*").map(|pair| {
        let (word, values) = pair.split_once(':').expect("LABEL:VALUES");
        (label(word), values.split('|').map(str::to_owned).collect())
    });
    pairs.collect()
}

fn label(word: &str) -> Label {
    let found = Label::ALL.into_iter().find(|label| label.as_str() == word);
    found.unwrap_or_else(|| panic!("no such label: {word}"))
}

fn under(mut spec: BudgetSpec, rules: Option<&str>) -> BudgetSpec {
    if let (Window::Calendar { zone, .. }, Some(rules)) = (&mut spec.window, rules) {
        rules.clone_into(zone);
    }
    spec
}

fn named(rest: &str) -> (Pot, &str) {
    match rest.split_once(": ") {
        Some((name, rest)) => (pot_of(name), rest.trim()),
        None => (pot("b"), rest),
    }
}

/// `team`, `team[ann]`, `team[ann/data]`; nothing is `b`.
fn pot_of(text: &str) -> Pot {
    let text = text.trim();
    match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        _ if text.is_empty() => pot("b"),
        None => pot(text),
        Some((name, of)) => Pot {
            budget: budget(name),
            of: of.split('/').map(str::to_owned).collect(),
        },
    }
}

/// The only pot of a budget.
pub(super) fn pot(name: &str) -> Pot {
    budget(name).into()
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

/// Dollars, tokens and calls: `2`, `2+100in+50out+1call`, `1call`.
pub(super) fn charge(text: &str) -> Charge {
    let mut charge = Charge::NONE;
    for part in text.trim().split('+') {
        let counted = |unit: &str| part.strip_suffix(unit).map(|count| count.parse().expect("a count"));
        if let Some(count) = counted("in") {
            charge.input = count;
        } else if let Some(count) = counted("out") {
            charge.output = count;
        } else if let Some(count) = counted("call") {
            charge.calls = count;
        } else {
            charge.money = money(part);
        }
    }
    charge
}

/// Money and nothing else.
pub(super) fn dollars(text: &str) -> Charge {
    Charge::of_money(money(text))
}

fn amount_of(unit: Measure, text: &str) -> Amount {
    match unit {
        Measure::Money => money(text).into(),
        _ => Amount(text.trim().parse().expect("a count")),
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
        "year" => Unit::Year,
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
