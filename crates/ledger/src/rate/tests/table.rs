//! A scenario is a text, one event a line; [`check`] runs it.
//!
//! ```text
//! limit tiers: 60 calls/minute burst 10, 5 usd/hour burst 1 where tier=batch each user group g
//! at 0.5 take a user=ann,tier=batch tokens=10 usd=0.25   sets the clock (seconds), which then stands
//! take b user=ann => wait 0.5 by tiers                   what a request is answered if it may not go
//! end a tokens=3                                         what was used; like `take`, of one call if it does not say
//! remove tiers
//! expect tiers user=ann calls/minute=9 usd/hour=1        what is free, rounded down
//! buckets => 1                                           how many are kept
//! ```

use std::fmt::Write as _;

use model::{ActionId, LimitName, NanoUsd, Timestamp};

use super::super::{LimitReason, Limited, Per, Rate, RateError, RateSpec, Rates, check_rates};
use crate::{Amount, Attempt, Charge, Label, Labels, Measure, Selector, tests::form::again};

/// Runs a scenario. Each wait that it finds is tried: then the request goes, and a microsecond earlier it does not. What
/// changed the state is replayed into another, which must be equal.
pub(super) fn check(scenario: &str) {
    let mut run = Run::default();
    for (at, line) in scenario.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (command, expected) = line.split_once("=>").unwrap_or((line, "ok"));
        let found = run.command(command.trim());
        assert_eq!(found, expected.trim(), "line {}: {line}", at + 1);
        assert_eq!(again(&run.rates), run.rates, "line {}: {line}", at + 1);
    }
    let mut second = Rates::default();
    for done in run.done {
        match done {
            Done::Define(spec, at) => second.define(spec, at),
            Done::Remove(name) => second.remove(&name.parse().expect("a name")),
            Done::Take(attempt, who, charge, at) => {
                who.with(|labels| second.take(attempt, labels, &charge, at))
                    .expect("replayed");
            }
            Done::End(attempt, used, at) => second.end(&attempt, &used, at),
        }
    }
    assert_eq!(second, run.rates, "replayed");
}

/// What changed the state.
enum Done {
    Define(RateSpec, Timestamp),
    Remove(String),
    Take(Attempt, Who, Charge, Timestamp),
    End(Attempt, Charge, Timestamp),
}

struct Run {
    now: Timestamp,
    rates: Rates,
    done: Vec<Done>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            now: Timestamp::from_unix_micros(0),
            rates: Rates::default(),
            done: Vec::new(),
        }
    }
}

impl Run {
    fn command(&mut self, line: &str) -> String {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "" => {}
            "at" => {
                let (time, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                self.now = Timestamp::from_unix_micros(micros(time));
                return self.command(rest.trim());
            }
            "limit" => {
                let spec = limit(rest);
                self.rates.define(spec.clone(), self.now);
                let specs: Vec<_> = self.rates.specs().cloned().collect();
                check_rates(&specs).expect("limits that may be used");
                self.done.push(Done::Define(spec, self.now));
            }
            "remove" => {
                self.rates.remove(&rest.parse().expect("a name"));
                self.done.push(Done::Remove(rest.to_owned()));
            }
            "take" => return self.take(rest),
            "end" => {
                let (name, used) = rest.split_once(' ').unwrap_or((rest, ""));
                let (attempt, used) = (attempt(name), charge(used));
                self.rates.end(&attempt, &used, self.now);
                self.done.push(Done::End(attempt, used, self.now));
            }
            "expect" => return self.expect(rest),
            "buckets" => return self.rates.buckets().to_string(),
            _ => panic!("no such command: {line}"),
        }
        "ok".to_owned()
    }

    fn take(&mut self, rest: &str) -> String {
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (who, what) = match rest.split_once(' ') {
            Some((who, what)) if is_who(who) => (who, what),
            None if is_who(rest) => (rest, ""),
            _ => ("", rest),
        };
        let (attempt, who, charge) = (attempt(name), Who::of(who), charge(what));
        let admitted = who.with(|labels| self.rates.admit(labels, &charge, self.now));
        let before = self.rates.clone();
        let taken = who.with(|labels| self.rates.take(attempt, labels, &charge, self.now));
        match (taken, admitted) {
            (Ok(()), Ok(())) => {
                self.done.push(Done::Take(attempt, who, charge, self.now));
                "ok".to_owned()
            }
            (Err(RateError::Limited(limited)), Err(same)) => {
                assert_eq!(limited, same);
                assert_eq!(self.rates, before, "one that is refused changes nothing");
                if let Some(wait) = limited.retry_after_us {
                    let goes = |wait| {
                        let then = self.now.saturating_add_micros(wait);
                        who.with(|labels| self.rates.admit(labels, &charge, then).is_ok())
                    };
                    assert!(goes(wait) && !goes(wait - 1), "the wait is exact: {limited}");
                }
                shown(&limited)
            }
            (Err(error), Ok(())) => {
                assert_eq!(self.rates, before, "one that is refused changes nothing");
                error.to_string()
            }
            (taken, admitted) => panic!("{taken:?}, but {admitted:?}"),
        }
    }

    fn expect(&self, rest: &str) -> String {
        let (name, rest) = rest.split_once(' ').expect("expect LIMIT ...");
        let (of, rest) = match rest.split_once(' ') {
            Some((of, free)) if !of.contains('/') => (of, free),
            _ => ("", rest),
        };
        let name: LimitName = name.parse().expect("a name");
        let standing = self.rates.standing(Some(&name), self.now, usize::MAX);
        let bucket = standing.iter().find(|fill| bucket_of(&fill.of) == of);
        let spec = self.rates.spec(&name).expect("a limit");
        let full = || spec.rates.iter().map(|rate| (*rate, rate.burst)).collect();
        let mut found = String::new();
        for (rate, free) in bucket.map_or_else(full, |fill| fill.free.clone()) {
            let number = rate.measure.number(free);
            write!(found, " {}/{}={number}", word(rate.measure), rate.per.as_str()).expect("memory");
        }
        let found = found.trim();
        if found == rest {
            "ok".to_owned()
        } else {
            found.to_owned()
        }
    }
}

fn shown(limited: &Limited) -> String {
    let by = match limited.of.as_slice() {
        [] => limited.limit.to_string(),
        of => format!("{} {}", limited.limit, bucket_of(of)),
    };
    let rate = format!("{}/{}", word(limited.rate.measure), limited.rate.per.as_str());
    match (limited.why, limited.retry_after_us) {
        (LimitReason::TooFast, Some(micros)) => format!("wait {} by {by} {rate}", seconds(micros)),
        (LimitReason::TooLarge, None) => format!("never by {by} {rate}"),
        other => panic!("{other:?}"),
    }
}

fn bucket_of(of: &[(Label, String)]) -> String {
    let of: Vec<_> = of.iter().map(|(label, value)| format!("{label}={value}")).collect();
    of.join(",")
}

/// `60 calls/minute burst 10, 5 usd/hour burst 1 where tier=batch+api each user,agent group g`, behind `NAME: `.
pub(super) fn limit(text: &str) -> RateSpec {
    let (name, text) = text.split_once(": ").expect("limit NAME: ...");
    let mut spec = RateSpec {
        name: name.parse().expect("a name"),
        group: String::new(),
        select: Selector::default(),
        each: Vec::new(),
        rates: Vec::new(),
    };
    let mut text = text.to_owned();
    for word in ["group", "each", "where"] {
        let Some((before, value)) = text.split_once(&format!(" {word} ")) else {
            continue;
        };
        let value = value.trim();
        match word {
            "group" => value.clone_into(&mut spec.group),
            "each" => spec.each = value.split(',').map(label).collect(),
            _ => {
                let pairs = value.split(',').map(|pair| pair.split_once('=').expect("LABEL=VALUE"));
                let values = |values: &str| values.split('+').map(str::to_owned).collect();
                spec.select = pairs.map(|(name, all)| (label(name), values(all))).collect();
            }
        }
        text = before.to_owned();
    }
    spec.rates = text.split(", ").map(rate).collect();
    spec
}

fn rate(text: &str) -> Rate {
    let words: Vec<_> = text.split_whitespace().collect();
    let ["burst", burst] = words[2..] else {
        panic!("NUMBER MEASURE/PER burst NUMBER: {text}")
    };
    let (measure, per) = words[1].split_once('/').expect("MEASURE/PER");
    let measure = [
        Measure::Money,
        Measure::Tokens,
        Measure::InputTokens,
        Measure::OutputTokens,
        Measure::Calls,
    ]
    .into_iter()
    .find(|known| word(*known) == measure)
    .expect("a measure");
    let number = |text: &str| match measure {
        Measure::Money => Amount::from(money(text)),
        _ => Amount(text.parse().expect("a number")),
    };
    Rate {
        measure,
        limit: number(words[0]),
        per: [Per::Second, Per::Minute, Per::Hour]
            .into_iter()
            .find(|known| known.as_str() == per)
            .expect("a length of time"),
        burst: number(burst),
    }
}

fn word(measure: Measure) -> &'static str {
    match measure {
        Measure::Money => "usd",
        Measure::Tokens => "tokens",
        Measure::InputTokens => "in",
        Measure::OutputTokens => "out",
        Measure::Calls => "calls",
    }
}

pub(super) fn label(word: &str) -> Label {
    let known = Label::ALL.into_iter().find(|known| known.as_str() == word);
    known.expect("a label")
}

/// `calls=1 in=10 out=5 usd=0.5`; `tokens` is `in`. One call if it does not say.
fn charge(text: &str) -> Charge {
    let mut charge = Charge {
        calls: 1,
        ..Charge::NONE
    };
    for pair in text.split_whitespace() {
        let (key, value) = pair.split_once('=').expect("KEY=VALUE");
        let number = || value.parse().expect("a number");
        match key {
            "calls" => charge.calls = number(),
            "in" | "tokens" => charge.input = number(),
            "out" => charge.output = number(),
            "usd" => charge.money = money(value),
            "nano" => charge.money = NanoUsd(value.parse().expect("a number")),
            _ => panic!("no such key: {key}"),
        }
    }
    charge
}

fn is_who(text: &str) -> bool {
    let word = text.split('=').next().unwrap_or_default();
    Label::ALL.iter().any(|label| label.as_str() == word)
}

/// The labels of a request, with their text: `user=ann,tool=x+y`.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    values: Vec<(Label, String)>,
    tools: Vec<String>,
}

impl Who {
    pub(super) fn of(text: &str) -> Self {
        let mut who = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').expect("LABEL=VALUE");
            who.set(label(name), value);
        }
        who
    }

    /// Of tools it has several, divided by `+`.
    pub(super) fn set(&mut self, label: Label, value: &str) {
        if label == Label::Tool {
            self.tools = value.split('+').map(str::to_owned).collect();
        } else {
            self.values.push((label, value.to_owned()));
        }
    }

    pub(super) fn with<T>(&self, run: impl FnOnce(&Labels<'_>) -> T) -> T {
        let value = |wanted| {
            let found = self.values.iter().find(|(label, _)| *label == wanted);
            found.map_or("", |(_, value)| value.as_str())
        };
        run(&Labels {
            tenant: "acme",
            environment: value(Label::Environment),
            product: value(Label::Product),
            team: value(Label::Team),
            tier: value(Label::Tier),
            upstream: value(Label::Upstream),
            model: value(Label::Model),
            tools: &self.tools,
            task: value(Label::Task),
            agent: value(Label::Agent),
            run: value(Label::Run),
            user: value(Label::User),
        })
    }
}

/// Seconds with up to six decimals.
fn micros(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let number = |text: &str| text.parse::<i64>().expect("seconds");
    number(whole) * 1_000_000 + number(&format!("{part:0<6}"))
}

fn seconds(micros: i64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn attempt(name: &str) -> Attempt {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Attempt {
        action: ActionId::from_bytes(bytes),
        number: 0,
    }
}

/// Dollars.
fn money(text: &str) -> NanoUsd {
    format!("{text} USD").parse().expect("an amount")
}
