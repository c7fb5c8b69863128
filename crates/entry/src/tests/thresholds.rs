//! Thresholds: what follows an outcome that reached one.

use ledger::{Amount, BudgetSpec, Edit, Label, Measure, Reached, Selector};

use super::{
    log::{Log, first},
    refusals::check_events,
    samples::{action_id, agent_loaded, budget, budget_spec, denial, edited, key_of, loaded},
};
use crate::{Denial, Event, ThresholdReached};

const NOTHING_OWED: &str = "does not stand right behind an outcome that it follows from";
const ANOTHER: &str = "it is not what follows from the outcome before it";
const LEFT_OUT: &str = "something follows from the outcome before it, and does not stand behind that";

/// `own` warns at 50, 80 and 95 of 1,000; every user's pot of `users` at half of 800.
fn log() -> Log {
    let mut log = Log::new();
    let own = BudgetSpec {
        thresholds: vec![50, 80, 95],
        ..budget_spec("own", 1_000)
    };
    let users = BudgetSpec {
        thresholds: vec![50],
        each: vec![Label::User],
        select: Some(Selector::default()),
        ..budget_spec("users", 800)
    };
    for event in [
        loaded(own),
        loaded(users),
        agent_loaded("alone", &["own"]),
        key_of("kone", "alone", Some("one")),
    ] {
        log.push(event);
    }
    log
}

/// An attempt that was held for so much and costs so much; what it owes is not paid.
fn owing(log: &mut Log, number: u8, hold: i64, cost: i64) -> Vec<Event> {
    let intent = log.intent("alone", action_id(number), hold).unwrap();
    log.push(Event::Intent(intent));
    log.push_alone(Event::Outcome(log.outcome(first(action_id(number)), cost)));
    log.state.owed.iter().cloned().collect()
}

fn reached(event: &Event) -> ThresholdReached {
    let Event::ThresholdReached(reached) = event else {
        panic!("{event:?}")
    };
    reached.clone()
}

#[test]
fn each_threshold_that_is_reached_stands_behind_its_outcome() {
    let mut log = log();
    let owed = owing(&mut log, 1, 600, 601);
    let outcome = log.state.size - 1;
    let said = |name: &str, of: &[&str], limit| ThresholdReached {
        outcome,
        reached: Reached {
            budget: budget(name),
            of: of.iter().map(|of| (*of).to_owned()).collect(),
            unit: Measure::Money,
            percent: 50,
            spent: Amount(601),
            limit: Amount(limit),
        },
    };
    let [overrun, own, users] = &owed[..] else {
        panic!("{owed:?}")
    };
    assert_eq!(overrun.kind(), "overrun");
    assert_eq!(reached(own), said("own", &[], 1_000));
    assert_eq!(reached(users), said("users", &["one"], 800));
    let denied = |log: &Log| {
        Event::Denial(Denial {
            action: log.action("alone", action_id(2)),
            ..denial()
        })
    };
    check_events(
        &log,
        [
            ("before the overrun", own.clone(), ANOTHER),
            ("all left out", denied(&log), LEFT_OUT),
        ],
    );
    log.push_alone(overrun.clone());
    let with = |change: fn(&mut ThresholdReached)| {
        let mut it = reached(own);
        change(&mut it);
        Event::ThresholdReached(it)
    };
    check_events(
        &log,
        [
            ("another first", users.clone(), ANOTHER),
            ("the overrun again", overrun.clone(), ANOTHER),
            ("left out", denied(&log), LEFT_OUT),
            ("another share", with(|it| it.reached.percent = 80), ANOTHER),
            ("a share below", with(|it| it.reached.percent = 49), ANOTHER),
            ("another amount", with(|it| it.reached.spent = Amount(600)), ANOTHER),
            ("another limit", with(|it| it.reached.limit = Amount(1_001)), ANOTHER),
            ("another unit", with(|it| it.reached.unit = Measure::Calls), ANOTHER),
            (
                "another budget",
                with(|it| it.reached.budget = budget("users")),
                ANOTHER,
            ),
            ("another pot", with(|it| it.reached.of.push("one".to_owned())), ANOTHER),
            ("another outcome", with(|it| it.outcome -= 1), ANOTHER),
        ],
    );
    log.push_alone(own.clone());
    check_events(
        &log,
        [
            ("the first again", own.clone(), ANOTHER),
            ("the second left out", denied(&log), LEFT_OUT),
        ],
    );
    log.push_alone(users.clone());
    check_events(&log, [("the second again", users.clone(), NOTHING_OWED)]);
    log.push_alone(denied(&log));
    check_events(
        &log,
        [
            ("behind a denial", own.clone(), NOTHING_OWED),
            ("an overrun behind a denial", overrun.clone(), NOTHING_OWED),
        ],
    );
}

/// The threshold entries that outcomes owe, one line a history of costs: each of a call of its own, held for what it costs.
#[test]
fn a_threshold_is_told_once_and_the_highest_only() {
    for (costs, expected) in [
        (&[499][..], &[][..]),
        (&[500], &[50]),
        (&[500, 299, 1], &[50, 80]),
        (&[950], &[95]),
        (&[960, 20, 20], &[95]),
        (&[0, 0], &[]),
        (&[600, 0], &[50]),
    ] {
        let mut log = log();
        log.push(wide_users());
        let mut told = Vec::new();
        for (number, cost) in (1..).zip(costs) {
            let owed = owing(&mut log, number, *cost, *cost);
            let own = owed.iter().map(reached).filter(|it| it.reached.budget == budget("own"));
            told.extend(own.map(|it| it.reached.percent));
            while let Some(next) = log.state.owed.front().cloned() {
                log.push_alone(next);
            }
        }
        assert_eq!(told, expected, "{costs:?}");
    }
}

/// Users that nothing stops.
fn wide_users() -> Event {
    edited(
        "users",
        Edit::Limit {
            limit: Amount(1_000_000),
        },
    )
}

/// What is held reaches nothing, and neither does an edit: the next outcome tells.
#[test]
fn only_outcomes_reach_thresholds() {
    let mut log = log();
    log.push(wide_users());
    log.push(Event::Intent(log.intent("alone", action_id(1), 960).unwrap()));
    assert!(log.state.owed.is_empty());
    log.push_alone(Event::Outcome(log.outcome(first(action_id(1)), 400)));
    assert!(log.state.owed.is_empty());
    log.push(edited("own", Edit::Limit { limit: Amount(410) }));
    assert!(log.state.owed.is_empty());
    let told = owing(&mut log, 2, 5, 1);
    let [told] = &told[..] else { panic!("{told:?}") };
    let Reached {
        percent, spent, limit, ..
    } = reached(told).reached;
    assert_eq!((percent, spent, limit), (95, Amount(401), Amount(410)));
}
