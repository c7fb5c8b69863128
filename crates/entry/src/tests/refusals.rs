//! What cannot be the next entry: each case is one step from a log that is in order.

use ledger::{Amount, Attempt};
use model::{NanoUsd, TenantName};

use super::{
    log::{Log, first},
    samples::{NOON, action_id, agent, agent_loaded, at, budget, budget_loaded, by, denial, key, key_issued},
};
use crate::{Denial, Entry, Event, Intent, Outcome, PolicyFile, VERSION};

/// A hold of 400 of `alone` that has not ended.
fn open() -> Attempt {
    first(action_id(1))
}

/// A log with a policy file, an open hold, a removed agent and a revoked credential.
pub(super) fn log() -> Log {
    let mut log = Log::furnished();
    log.push(Event::PolicyFile(PolicyFile {
        file: "a.cedar".to_owned(),
        text: "permit (principal, action, resource);".to_owned(),
        sha256: None,
    }));
    log.push(Event::Intent(log.intent("alone", action_id(1), 400).unwrap()));
    log.push(key_issued("revoked", "alone"));
    log.push(Event::KeyRevoked {
        key: key("revoked"),
        note: String::new(),
        by: by(),
    });
    log.push(agent_loaded("gone", &["own"]));
    log.push(key_issued("kg", "gone"));
    log.push(Event::AgentRemoved {
        agent: agent("gone"),
        by: by(),
    });
    log
}

/// Every entry below is refused with these words, and leaves no trace.
fn check(log: &Log, what: &str, entry: &Entry, expected: &str) {
    let mut state = log.state.clone();
    let error = state.apply(entry).expect_err(what).to_string();
    assert!(error.contains(expected), "{what}: {error}");
    assert_eq!(state, log.state, "{what}: a refused entry changed the state");
}

pub(super) fn check_events<'a>(log: &Log, cases: impl IntoIterator<Item = (&'a str, Event, &'a str)>) {
    for (what, event, expected) in cases {
        check(log, what, &log.next(event), expected);
    }
}

#[test]
fn order() {
    let log = log();
    let right = log.next(budget_loaded("more", 5));
    assert_eq!(log.state.clone().apply(&right), Ok(()));
    let size = log.state.size;
    for (what, entry, expected) in [
        (
            "a gap",
            Entry {
                index: size + 1,
                ..right.clone()
            },
            "expected the entry with index 13, found 14",
        ),
        (
            "a repetition",
            log.entries[12].clone(),
            "expected the entry with index 13, found 12",
        ),
        (
            "the first again",
            log.entries[0].clone(),
            "expected the entry with index 13, found 0",
        ),
        (
            "another version",
            Entry {
                v: VERSION + 1,
                ..right.clone()
            },
            "the entry has version 6",
        ),
        (
            "an older version",
            Entry {
                v: VERSION - 1,
                ..right.clone()
            },
            "the entry has version 3, behind entries of version 4",
        ),
        (
            "another tenant",
            Entry {
                tenant: TenantName::system(),
                ..right.clone()
            },
            "an entry of tenant _system in the log of tenant default",
        ),
        (
            "time going back",
            Entry {
                time: at(NOON - 1),
                ..right.clone()
            },
            "lies before",
        ),
    ] {
        check(&log, what, &entry, expected);
    }
    assert_eq!(size, 13);
}

#[test]
fn actions() {
    let log = log();
    let right = || log.action("alone", action_id(2));
    let denied = |action| Event::Denial(Denial { action, ..denial() });
    assert_eq!(log.state.clone().apply(&log.next(denied(right()))), Ok(()));
    let seq = right().seq;
    check_events(
        &log,
        [
            (
                "a hole",
                denied(crate::Action {
                    seq: seq + 1,
                    ..right()
                }),
                "expected action 2 of agent alone, found 3",
            ),
            (
                "a number again",
                denied(crate::Action {
                    seq: seq - 1,
                    ..right()
                }),
                "expected action 2 of agent alone, found 1",
            ),
            (
                "an unknown agent",
                denied(crate::Action {
                    agent: agent("nobody"),
                    ..right()
                }),
                "names agent \"nobody\"",
            ),
            (
                "an unknown key",
                denied(crate::Action {
                    key: key("none"),
                    ..right()
                }),
                "names key \"none\"",
            ),
            (
                "another's key",
                denied(crate::Action {
                    key: key("ks"),
                    ..right()
                }),
                "another agent's",
            ),
        ],
    );
    // Refused actions of agents and credentials that are no longer good are recorded all the same.
    for action in [
        crate::Action {
            key: key("revoked"),
            ..right()
        },
        log.action("gone", action_id(2)),
    ] {
        assert_eq!(log.state.clone().apply(&log.next(denied(action))), Ok(()));
    }
}

#[test]
fn intents() {
    let log = log();
    let right = || log.intent("alone", action_id(2), 100).unwrap();
    assert_eq!(log.state.clone().apply(&log.next(Event::Intent(right()))), Ok(()));
    let with = |change: fn(&mut Intent)| {
        let mut intent = right();
        change(&mut intent);
        Event::Intent(intent)
    };
    let mut removed = right();
    removed.action = log.action("gone", action_id(2));
    let mut elsewhere = log.intent("shared", action_id(2), 100).unwrap();
    elsewhere.bookings.truncate(1);
    check_events(
        &log,
        [
            (
                "more than is left",
                with(|it| it.hold = NanoUsd(601)),
                "takes budget own above its limit",
            ),
            (
                "the largest amount",
                with(|it| it.hold = NanoUsd::MAX),
                "takes budget own above its limit",
            ),
            (
                "a negative amount",
                with(|it| it.hold = NanoUsd(-1)),
                "must not be negative",
            ),
            (
                "too little used",
                with(|it| it.bookings[0].used = Amount(0)),
                "had 0.0000004 USD used, the entry says 0 USD",
            ),
            (
                "too much used",
                with(|it| it.bookings[0].used = Amount(401)),
                "the entry says 0.000000401 USD",
            ),
            (
                "a higher limit",
                with(|it| it.bookings[0].limit = Amount(1_001)),
                "has a limit of",
            ),
            (
                "a period to come",
                with(|it| {
                    let period = &mut it.bookings[0].period;
                    (period.start, period.end) = (period.end, period.end.saturating_add_micros(86_400_000_000));
                }),
                "has no period",
            ),
            (
                "no budget",
                with(|it| it.bookings.clear()),
                "not in the budgets that select the action",
            ),
            (
                "another budget",
                with(|it| it.bookings[0].budget = budget("team")),
                "not in the budgets that select the action",
            ),
            (
                "a budget more",
                with(|it| it.bookings.push(it.bookings[0].clone())),
                "not in the budgets that select the action",
            ),
            (
                "a budget less",
                Event::Intent(elsewhere),
                "not in the budgets that select the action",
            ),
            (
                "the attempt again",
                with(|it| it.action.id = action_id(1)),
                "already has a hold",
            ),
            (
                "a hole in the numbers",
                with(|it| it.action.seq += 1),
                "expected action 2 of agent alone, found 3",
            ),
            (
                "a revoked credential",
                with(|it| it.action.key = key("revoked")),
                "the credential was revoked",
            ),
            ("a removed agent", Event::Intent(removed), "the agent was removed"),
        ],
    );
}

#[test]
fn outcomes() {
    let mut log = log();
    let right = || log.outcome(open(), 300);
    let with = |change: fn(&mut Outcome)| {
        let mut outcome = right();
        change(&mut outcome);
        Event::Outcome(outcome)
    };
    check_events(
        &log,
        [
            (
                "without an intent",
                with(|it| it.action = action_id(9)),
                "has no open hold",
            ),
            ("of another attempt", with(|it| it.attempt = 1), "has no open hold"),
            (
                "of another entry",
                with(|it| it.intent += 1),
                "names another entry as its intent",
            ),
            (
                "an overrun that is none",
                with(|it| it.overrun = NanoUsd(1)),
                "the overrun is not what was booked",
            ),
            (
                "an overrun left out",
                with(|it| it.cost = NanoUsd(401)),
                "the overrun is not what was booked",
            ),
            (
                "an overrun too small",
                with(|it| (it.cost, it.overrun) = (NanoUsd(402), NanoUsd(1))),
                "the overrun is not what was booked",
            ),
            (
                "a negative cost",
                with(|it| it.cost = NanoUsd(-1)),
                "must not be negative",
            ),
            (
                "a negative overrun",
                with(|it| it.overrun = NanoUsd(-1)),
                "the overrun is not what was booked",
            ),
        ],
    );
    let outcome = log.outcome(open(), 401);
    assert_eq!(outcome.overrun, NanoUsd(1));
    log.push(Event::Outcome(outcome.clone()));
    assert_eq!((log.state.spent, log.state.overrun), (NanoUsd(401), NanoUsd(1)));
    check_events(
        &log,
        [("a second outcome", Event::Outcome(outcome), "has no open hold")],
    );
}

/// A call that is sent again is not paid for again, whoever writes the log.
#[test]
fn idempotency_keys() {
    let mut log = log();
    let keyed = |log: &Log, number: u8, attempt: u16| Intent {
        attempt,
        idempotency: Some("key".to_owned()),
        ..log.intent("alone", action_id(number), 10).unwrap()
    };
    let attempt = |number: u8, attempt: u16| Attempt {
        action: action_id(number),
        number: attempt,
    };
    log.push(Event::Intent(keyed(&log, 5, 0)));
    let other = |log: &Log| {
        [(
            "a key of another call",
            Event::Intent(keyed(log, 6, 0)),
            "the idempotency key is another",
        )]
    };
    check_events(&log, other(&log));
    // Another attempt of the same call may have it, also after one that used nothing.
    log.push(Event::Outcome(Outcome {
        source: model::UsageSource::Nothing,
        ..log.outcome(attempt(5, 0), 0)
    }));
    log.push(Event::Intent(keyed(&log, 5, 1)));
    log.push(Event::Outcome(log.outcome(attempt(5, 1), 10)));
    check_events(&log, other(&log));
    log.now += crate::REPEATS_REMEMBERED_US;
    log.push(Event::Intent(keyed(&log, 6, 0)));
}
