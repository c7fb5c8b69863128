//! Attempts that wait for an administrator.

use ledger::{Amount, AtLimit, Attempt, BudgetSpec, Edit, Measure, Selector};

use super::{
    log::{Log, first},
    refusals::check_events,
    samples::{action_id, agent, asked, at, budget, budget_spec, by, denial, edited, key, key_issued, loaded},
};
use crate::{ASKS_OF_AGENT_MAX, AskEnd, AskEnded, AskRefused, Asked, Denial, Event, Intent, Over};

/// `small` asks for a minute; a call of 200 does not fit.
fn log() -> Log {
    let mut log = Log::furnished();
    log.push(loaded(BudgetSpec {
        select: Some(Selector::default()),
        at_limit: AtLimit::Ask { wait_s: 60 },
        ..budget_spec("small", 100)
    }));
    log
}

fn waits(log: &Log, name: &str, number: u8, attempt: u16) -> Asked {
    Asked {
        action: log.action(name, action_id(number)),
        attempt,
        over: Over {
            budget: budget("small"),
            of: Vec::new(),
            unit: Measure::Money,
            limit: Amount(100),
            spent: Amount::ZERO,
            held: Amount::ZERO,
            asked: Amount(200),
            closed: None,
        },
        until: at(log.now + 60_000_000),
        ..asked()
    }
}

fn refused(number: u8, attempt: u16) -> Event {
    Event::AskRefused(AskRefused {
        action: action_id(number),
        attempt,
        note: "no".to_owned(),
        by: by(),
    })
}

fn ended(number: u8, attempt: u16) -> Event {
    Event::AskEnded(AskEnded {
        action: action_id(number),
        attempt,
        end: AskEnd::Withdrawn,
    })
}

fn denied(log: &Log, name: &str, number: u8) -> Event {
    Event::Denial(Denial {
        action: log.action(name, action_id(number)),
        ..denial()
    })
}

/// A small call of the action, which fits.
fn intent(log: &Log, name: &str, number: u8, attempt: u16) -> Event {
    Event::Intent(Intent {
        attempt,
        ..log.intent(name, action_id(number), 10).unwrap()
    })
}

/// Which attempts wait, by number of the action, and whether they were refused.
fn waiting(log: &Log) -> Vec<(Attempt, bool)> {
    let asks = log.state.asks.iter();
    asks.map(|(attempt, ask)| (*attempt, ask.refused.is_some())).collect()
}

fn try_of(number: u8, attempt: u16) -> Attempt {
    Attempt {
        number: attempt,
        ..first(action_id(number))
    }
}

#[test]
fn what_cannot_wait() {
    let mut log = log();
    log.push(key_issued("lost", "alone"));
    log.push(Event::KeyRevoked {
        key: key("lost"),
        note: String::new(),
        by: by(),
    });
    let with = |change: &dyn Fn(&mut Asked)| {
        let mut asked = waits(&log, "alone", 1, 0);
        change(&mut asked);
        Event::Asked(asked)
    };
    assert!(log.takes(with(&|_| ())));
    assert!(
        log.takes(with(&|it| it.until = at(log.now))),
        "less is for who asks to say"
    );
    check_events(
        &log,
        [
            (
                "of no budget",
                with(&|it| it.over.budget = budget("none")),
                "there is no budget none",
            ),
            (
                "of one that denies",
                with(&|it| it.over.budget = budget("own")),
                "does not ask",
            ),
            (
                "of calls",
                with(&|it| it.over.unit = Measure::Calls),
                "counts something else",
            ),
            (
                "for too long",
                with(&|it| it.until = at(log.now + 60_000_001)),
                "waits for longer",
            ),
            (
                "a hole",
                with(&|it| it.action.seq += 1),
                "expected action 1 of agent alone, found 2",
            ),
            (
                "by nobody",
                with(&|it| it.action.agent = agent("nobody")),
                "names agent \"nobody\"",
            ),
            (
                "by a revoked credential",
                with(&|it| it.action.key = key("lost")),
                "was revoked",
            ),
        ],
    );
    let mut gone = log.clone();
    gone.push(Event::AgentRemoved {
        agent: agent("alone"),
        by: by(),
    });
    check_events(&gone, [("by a removed agent", with(&|_| ()), "the agent was removed")]);
    let mut gone = log.clone();
    gone.push(Event::BudgetRemoved {
        budget: budget("small"),
        note: String::new(),
        by: by(),
    });
    check_events(
        &gone,
        [("of a removed budget", with(&|_| ()), "there is no budget small")],
    );
    log.push(with(&|_| ()));
    log.push(intent(&log, "alone", 2, 0));
    let again = "the attempt waits already, or runs";
    check_events(
        &log,
        [
            ("twice", Event::Asked(waits(&log, "alone", 1, 0)), again),
            ("once refused, again", Event::Asked(waits(&log, "alone", 1, 0)), again),
            ("while it runs", Event::Asked(waits(&log, "alone", 2, 0)), again),
        ],
    );
    log.push(Event::Asked(waits(&log, "alone", 2, 1)));
}

#[test]
fn only_so_many_wait() {
    let mut log = log();
    let most = u16::try_from(ASKS_OF_AGENT_MAX).unwrap();
    for attempt in 0..most {
        log.push(Event::Asked(waits(&log, "alone", 1, attempt)));
    }
    check_events(
        &log,
        [(
            "one more",
            Event::Asked(waits(&log, "alone", 1, most)),
            "more attempts wait than may",
        )],
    );
    log.push(ended(1, 5));
    log.push(Event::Asked(waits(&log, "alone", 1, most)));
}

#[test]
fn what_cannot_be_answered() {
    let mut log = log();
    let unanswered = "no such attempt waits for an answer";
    let unended = "no such attempt waits";
    check_events(
        &log,
        [
            ("refused without asking", refused(1, 0), unanswered),
            ("ended without asking", ended(1, 0), unended),
        ],
    );
    log.push(Event::Asked(waits(&log, "alone", 1, 0)));
    check_events(
        &log,
        [
            ("another attempt refused", refused(1, 1), unanswered),
            ("another attempt ended", ended(1, 1), unended),
        ],
    );
    let epoch = log.state.epoch;
    log.push(refused(1, 0));
    assert_eq!(log.state.epoch, epoch + 1, "who waits must look again");
    assert_eq!(waiting(&log), [(try_of(1, 0), true)]);
    let ask = &log.state.asks[&first(action_id(1))];
    assert_eq!(ask.refused, Some((by(), "no".to_owned())));
    check_events(
        &log,
        [
            ("refused twice", refused(1, 0), unanswered),
            (
                "let through all the same",
                intent(&log, "alone", 1, 0),
                "an administrator refused the attempt",
            ),
        ],
    );
    // Whose caller went away before it could be told.
    log.push(ended(1, 0));
    check_events(
        &log,
        [
            ("refused behind its end", refused(1, 0), unanswered),
            ("ended twice", ended(1, 0), unended),
        ],
    );
}

#[test]
fn what_ends_a_wait() {
    let mut log = log();
    for (number, attempt) in [(1, 0), (1, 1), (2, 0), (3, 0)] {
        log.push(Event::Asked(waits(&log, "alone", number, attempt)));
    }
    log.push(Event::Asked(waits(&log, "shared", 4, 0)));
    log.push(edited("small", Edit::Limit { limit: Amount(500) }));
    // There is room now: one attempt goes, and another of the same action goes on waiting.
    log.push(intent(&log, "alone", 1, 0));
    let left = |numbers: &[(u8, u16)]| {
        let attempts = numbers
            .iter()
            .map(|(number, attempt)| (try_of(*number, *attempt), false));
        attempts.collect::<Vec<_>>()
    };
    assert_eq!(waiting(&log), left(&[(1, 1), (2, 0), (3, 0), (4, 0)]));
    // A denial is of the whole action.
    log.push(Event::Asked(waits(&log, "alone", 2, 1)));
    log.push(denied(&log, "alone", 2));
    assert_eq!(waiting(&log), left(&[(1, 1), (3, 0), (4, 0)]));
    // An id says nothing of another agent's.
    check_events(
        &log,
        [(
            "another agent's attempt",
            intent(&log, "shared", 3, 0),
            "is another agent's",
        )],
    );
    log.push(denied(&log, "shared", 3));
    assert_eq!(waiting(&log), left(&[(1, 1), (3, 0), (4, 0)]));
    log.push(denied(&log, "shared", 4));
    log.push(refused(3, 0));
    log.push(denied(&log, "alone", 3));
    log.push(ended(1, 1));
    assert_eq!(waiting(&log), []);
    assert_eq!(log.state.agents[&agent("alone")].seq, 8);
}
