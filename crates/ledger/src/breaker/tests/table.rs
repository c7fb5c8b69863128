//! A scenario is a text, one event a line; [`check`] runs it.
//!
//! ```text
//! define b scope=run same=3/4 periodic=2/3 within=600 cooldown=60
//! at 10 ask t1 mailer/r1 A => go          request t1 of agent mailer in run r1 asks for step A, ten seconds on
//! ask t2 mailer/r1 A => go, warned: ...   what it owes stands behind, and is applied
//! end t1 0.5                              it was answered and cost so much; `fail t1`, `unsent t1`
//! reset b mailer/r1
//! expect b mailer/r1 => open until 70
//! ```

use model::{ActionId, NanoUsd, Timestamp};

use crate::{
    Admission, Attempt, BreakerEnding as Ending, BreakerSpec, BreakerStop as Stop, Breakers, Cause, Closing, ErrorRate,
    Label, Labels, Loops, NextStep, NoProgress, Notice, Repeats, Scope, Selector, SpendRate, SpendSurge, Step,
    StepKind, Trip, tests::form::again,
};

/// Runs a scenario. What was applied is then applied to a second set of breakers, which must be equal.
pub(super) fn check(scenario: &str) {
    let mut run = Run::default();
    for (at, line) in scenario.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (command, expected) = line.split_once("=>").unwrap_or((line, "ok"));
        let found = run.command(command.trim());
        assert_eq!(found, expected.trim(), "line {}: {line}", at + 1);
        assert_eq!(again(&run.breakers), run.breakers, "line {}: {line}", at + 1);
    }
    assert_eq!(replay(&run.done), run.breakers, "replayed");
}

/// What changed the breakers.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Define(BreakerSpec),
    Remove(String),
    Begin(Attempt, Request, Timestamp),
    End(Attempt, Ending, NanoUsd, Timestamp),
    Trip(Trip, Timestamp),
    Close(Closing),
    Reset(String, String, Timestamp),
}

/// Who asks for what.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) team: String,
    pub(super) agent: String,
    pub(super) run: String,
    pub(super) step: Option<Step>,
}

impl Request {
    pub(super) fn labels(&self) -> Labels<'_> {
        Labels {
            tenant: "default",
            team: &self.team,
            agent: &self.agent,
            run: &self.run,
            ..Labels::default()
        }
    }
}

pub(super) fn apply(breakers: &mut Breakers, done: &Done) {
    match done {
        Done::Define(spec) => breakers.define(spec.clone()).expect("defined"),
        Done::Remove(name) => assert!(breakers.remove(&name.parse().unwrap())),
        Done::Begin(attempt, request, at) => {
            breakers.begin(*attempt, &request.labels(), steps(request.step), *at);
        }
        Done::End(attempt, ending, cost, at) => {
            breakers.end(attempt, *ending, *cost, *at);
        }
        Done::Trip(trip, at) => {
            let text = serde_json::to_string(trip).unwrap();
            breakers
                .trip(&serde_json::from_str(&text).unwrap(), *at)
                .expect("tripped");
        }
        Done::Close(closing) => breakers.close(closing).expect("closed"),
        Done::Reset(name, of, at) => breakers.reset(&name.parse().unwrap(), of, *at).expect("reset"),
    }
}

pub(super) fn replay(done: &[Done]) -> Breakers {
    let mut second = Breakers::default();
    for done in done {
        apply(&mut second, done);
    }
    second
}

#[derive(Default)]
struct Run {
    now: i64,
    breakers: Breakers,
    done: Vec<Done>,
}

/// The instant that so many seconds of a scenario stand for: the start of an hour.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros((1_800_000_000 + seconds) * 1_000_000)
}

fn seconds(at: Timestamp) -> i64 {
    at.unix_micros() / 1_000_000 - 1_800_000_000
}

impl Run {
    fn command(&mut self, line: &str) -> String {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (word, words.as_slice()) {
            ("", _) => "ok".to_owned(),
            ("at", [time, rest @ ..]) => {
                self.now = time.parse().expect("a time");
                self.command(&rest.join(" "))
            }
            ("define", [name, rules @ ..]) => match self.breakers.define(spec(name, rules)) {
                Ok(()) => {
                    self.done.push(Done::Define(spec(name, rules)));
                    "ok".to_owned()
                }
                Err(problem) => problem.to_string(),
            },
            ("remove", [name]) => self.apply(Done::Remove((*name).to_owned())),
            ("ask", [name, who]) => self.ask(attempt(name), &request(who, None)),
            ("ask", [name, who, what]) => self.ask(attempt(name), &request(who, Some(step(what)))),
            ("end", [name, cost]) => self.end(attempt(name), Ending::Answered, cost),
            ("fail", [name]) => self.end(attempt(name), Ending::Failed, "0"),
            ("unsent", [name]) => self.end(attempt(name), Ending::NotSent, "0"),
            ("reset", [name, of]) => match self
                .breakers
                .clone()
                .reset(&name.parse().unwrap(), of, instant(self.now))
            {
                Ok(()) => self.apply(Done::Reset((*name).to_owned(), (*of).to_owned(), instant(self.now))),
                Err(error) => error.to_string(),
            },
            ("expect", [name, of]) => self.expect(name, of),
            _ => panic!("no such command: {line}"),
        }
    }

    fn apply(&mut self, done: Done) -> String {
        apply(&mut self.breakers, &done);
        self.done.push(done);
        "ok".to_owned()
    }

    fn ask(&mut self, attempt: Attempt, request: &Request) -> String {
        let now = instant(self.now);
        let admission = self.breakers.admit(&request.labels(), steps(request.step), now);
        let word = match admission {
            Admission::Go => "go",
            Admission::GoAsProbe => "probe",
            Admission::Stopped(stop) => {
                let Stop {
                    breaker,
                    of,
                    until,
                    probing,
                    cause,
                    ..
                } = *stop;
                let what = if probing { "probing" } else { "open" };
                return format!("{breaker} {what} for {of} until {} ({})", seconds(until), cause.rule());
            }
            Admission::Trips(trip) => {
                let text = format!("{trip}");
                self.apply(Done::Trip(*trip, now));
                return text;
            }
        };
        self.done.push(Done::Begin(attempt, request.clone(), now));
        let owed = self
            .breakers
            .begin(attempt, &request.labels(), steps(request.step), now);
        self.owed(word, owed)
    }

    fn end(&mut self, attempt: Attempt, ending: Ending, cost: &str) -> String {
        let (cost, now) = (money(cost), instant(self.now));
        self.done.push(Done::End(attempt, ending, cost, now));
        let owed = self.breakers.end(&attempt, ending, cost, now);
        self.owed("ok", owed)
    }

    /// Applies what is owed, and says what it was.
    fn owed(&mut self, word: &str, owed: Vec<Notice>) -> String {
        let mut said = vec![word.to_owned()];
        for notice in owed {
            match notice {
                Notice::Warned(warning) => said.push(warning.to_string()),
                Notice::Tripped(trip) => {
                    said.push(trip.to_string());
                    self.apply(Done::Trip(trip, instant(self.now)));
                }
                Notice::Closed(closing) => {
                    said.push(closing.to_string());
                    self.apply(Done::Close(closing));
                }
            }
        }
        said.join(", ")
    }

    fn expect(&self, name: &str, of: &str) -> String {
        let all = self.breakers.standing(None, instant(self.now), true, usize::MAX);
        let Some(found) = all.iter().find(|one| one.breaker.as_str() == name && one.of == of) else {
            return "unknown".to_owned();
        };
        let since = found
            .since
            .map_or(String::new(), |since| format!(" since {}", seconds(since)));
        let until = found
            .until
            .map_or(String::new(), |until| format!(" until {}", seconds(until)));
        let probing = if found.probing { " probing" } else { "" };
        format!("{}{since}{until}{probing}", found.phase.as_str())
    }
}

/// `mailer`, `mailer/r1`, `data:mailer/r1`: of team data.
fn request(who: &str, step: Option<Step>) -> Request {
    let (team, rest) = who.split_once(':').unwrap_or(("", who));
    let (agent, run) = rest.split_once('/').unwrap_or((rest, ""));
    Request {
        team: team.to_owned(),
        agent: agent.to_owned(),
        run: run.to_owned(),
        step,
    }
}

pub(super) fn step(text: &str) -> Step {
    Step(text.bytes().fold(0, |all, byte| all * 256 + u64::from(byte)))
}

pub(super) fn attempt(name: &str) -> Attempt {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Attempt {
        action: ActionId::from_bytes(bytes),
        number: 0,
    }
}

fn money(text: &str) -> NanoUsd {
    format!("{text} USD").parse().expect("an amount")
}

/// `scope=run same=3/4 periodic=2/3 within=600 spend=5/3600 surge=300/60/24/1 errors=50/4/600 progress=8/2/600 cooldown=60
/// agent=mailer`.
pub(super) fn spec(name: &str, rules: &[&str]) -> BreakerSpec {
    let value = |key: &str| {
        let prefix = format!("{key}=");
        rules.iter().find_map(|rule| rule.strip_prefix(&prefix))
    };
    let parts = |key: &str| value(key).map(|text| text.split('/').collect::<Vec<_>>());
    let repeats = |key: &str| {
        let parts = parts(key).unwrap_or_else(|| panic!("{key}"));
        Repeats {
            warn: parts[0].parse().unwrap(),
            stop: parts[1].parse().unwrap(),
        }
    };
    BreakerSpec {
        name: name.parse().unwrap(),
        select: value("agent").map_or(Selector::default(), |agent| Selector::of(Label::Agent, agent)),
        steps: StepKind::Calls,
        scope: match value("scope") {
            Some("agent") => Scope::Agent,
            Some("team") => Scope::Team,
            _ => Scope::Run,
        },
        spend: parts("spend").map(|parts| SpendRate {
            over: money(parts[0]),
            within_s: parts[1].parse().unwrap(),
        }),
        surge: parts("surge").map(|parts| SpendSurge {
            percent: parts[0].parse().unwrap(),
            within_s: parts[1].parse().unwrap(),
            windows: parts[2].parse().unwrap(),
            at_least: money(parts[3]),
        }),
        loops: value("within").map(|within| Loops {
            same: repeats("same"),
            periodic: repeats("periodic"),
            within_s: within.parse().unwrap(),
        }),
        errors: parts("errors").map(|parts| ErrorRate {
            percent: parts[0].parse().unwrap(),
            calls: parts[1].parse().unwrap(),
            within_s: parts[2].parse().unwrap(),
        }),
        no_progress: parts("progress").map(|parts| NoProgress {
            calls: parts[0].parse().unwrap(),
            steps: parts[1].parse().unwrap(),
            within_s: parts[2].parse().unwrap(),
        }),
        cooldown_s: value("cooldown").unwrap_or("60").parse().unwrap(),
    }
}

/// The cause of a trip that is expected.
pub(super) fn cause(admission: Admission) -> Option<Cause> {
    match admission {
        Admission::Trips(trip) => Some(trip.cause),
        _ => None,
    }
}

/// A request whose step is this one.
pub(super) fn steps(step: Option<Step>) -> NextStep {
    NextStep {
        calls: step,
        results: None,
    }
}
