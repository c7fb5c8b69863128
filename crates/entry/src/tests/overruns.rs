//! Overruns: what follows an outcome that passed its hold, and what follows from that.

use ledger::Attempt;
use model::NanoUsd;

use super::{
    log::{Log, first},
    refusals::check_events,
    samples::{action_id, intent, overrun_cleared},
};
use crate::{Event, Intent, Overrun, UpstreamRecord};

fn attempt() -> Attempt {
    first(action_id(1))
}

/// The overrun that the last outcome owes.
pub(super) fn owed(log: &Log) -> Overrun {
    match log.state.owed.front() {
        Some(Event::Overrun(overrun)) => overrun.clone(),
        owed => panic!("{owed:?}"),
    }
}

/// A log whose last entry is an outcome of 401 of a hold of 400.
fn owing() -> Log {
    let mut log = Log::furnished();
    log.push(Event::Intent(log.intent("alone", action_id(1), 400).unwrap()));
    log.push_alone(Event::Outcome(log.outcome(attempt(), 401)));
    log
}

/// The same with the overrun.
fn overrun() -> Log {
    let mut log = owing();
    log.push_alone(Event::Overrun(owed(&log)));
    log
}

#[test]
fn an_overrun_stands_right_behind_its_outcome_and_says_what_that_does() {
    let log = owing();
    let right = owed(&log);
    let sample = intent();
    let expected = Overrun {
        action: action_id(1),
        attempt: 0,
        outcome: log.state.size - 1,
        agent: log.action("alone", action_id(1)).agent,
        upstream: sample.action.upstream,
        model: sample.action.model,
        held: NanoUsd(400),
        booked: NanoUsd(401),
        limit: sample.limit,
        bound: None,
        tokens_held: None,
        tokens: None,
    };
    assert_eq!(right, expected);
    assert_eq!(
        log.state.clone().apply(&log.next(Event::Overrun(right.clone()))),
        Ok(())
    );
    let other = "is not what follows from the outcome before it";
    let none = "something follows from the outcome before it, and does not stand behind that";
    let with = |change: fn(&mut Overrun)| {
        let mut overrun = right.clone();
        change(&mut overrun);
        Event::Overrun(overrun)
    };
    let next = log.intent("alone", action_id(2), 1).map(Event::Intent).unwrap();
    check_events(
        &log,
        [
            ("none", next, none),
            ("a clear in its place", overrun_cleared(), none),
            ("of another action", with(|it| it.action = action_id(2)), other),
            ("of another attempt", with(|it| it.attempt = 1), other),
            ("of another outcome", with(|it| it.outcome -= 1), other),
            ("of another model", with(|it| it.model.push('x')), other),
            ("of another hold", with(|it| it.held = NanoUsd(399)), other),
            ("of another amount", with(|it| it.booked = NanoUsd(402)), other),
            ("of another limit", with(|it| it.limit += 1), other),
            ("of another bound", with(|it| it.bound = Some(64_000)), other),
            (
                "of tokens",
                with(|it| it.tokens = Some(crate::Tokens::default())),
                other,
            ),
        ],
    );
    let log = overrun();
    check_events(
        &log,
        [(
            "the overrun again",
            Event::Overrun(right.clone()),
            "does not stand right behind",
        )],
    );
    let mut within = Log::furnished();
    within.push(Event::Intent(within.intent("alone", action_id(1), 400).unwrap()));
    within.push(Event::Outcome(within.outcome(attempt(), 400)));
    check_events(
        &within,
        [(
            "an overrun of nothing",
            Event::Overrun(right),
            "does not stand right behind",
        )],
    );
}

#[test]
fn the_model_is_held_at_its_maximum_until_the_overrun_is_cleared() {
    let mut log = overrun();
    let since = log.state.size - 1;
    let epoch = log.state.epoch;
    let model = intent().action;
    let distrust = |log: &Log| {
        let distrust = log.state.distrust(&model.upstream, &model.model).cloned();
        distrust.map(|distrust| (distrust.since, distrust.count, distrust.past.0, distrust.last.outcome))
    };
    assert_eq!(distrust(&log), Some((since, 1, 1, since - 1)));
    assert_eq!(log.state.distrust(&model.upstream, "another"), None);
    let right = log.intent("alone", action_id(2), 100).unwrap();
    assert_eq!(right.bound, Some(64_000));
    let with = |change: fn(&mut Intent)| {
        let mut intent = right.clone();
        change(&mut intent);
        Event::Intent(intent)
    };
    check_events(
        &log,
        [
            (
                "a hold for the limit that was sent",
                with(|it| it.bound = None),
                "does not reserve for its maximum",
            ),
            (
                "a hold for less than was sent",
                with(|it| it.bound = Some(it.limit - 1)),
                "reserves for less than the output limit",
            ),
        ],
    );
    for possible in [
        with(|it| (it.bound, it.action.model) = (None, "another".to_owned())),
        with(|it| (it.bound, it.limit) = (None, 0)),
        with(|it| it.bound = Some(it.limit)),
    ] {
        assert_eq!(log.state.clone().apply(&log.next(possible)), Ok(()));
    }
    // Another overrun counts, and throws away no decision.
    log.push(Event::Intent(right));
    let outcome = log.push(Event::Outcome(log.outcome(first(action_id(2)), 150)));
    assert_eq!(distrust(&log), Some((since, 2, 51, outcome)));
    assert_eq!(log.state.epoch, epoch);
    log.push(overrun_cleared());
    assert_eq!((distrust(&log), log.state.epoch), (None, epoch + 1));
    check_events(
        &log,
        [("clearing again", overrun_cleared(), "no overrun of this model")],
    );
    log.push(Event::Intent(log.intent("alone", action_id(3), 100).unwrap()));
}

#[test]
fn an_upstream_that_does_not_honour_limits_is_held_at_the_maximum() {
    let mut log = Log::furnished();
    let right = log.intent("alone", action_id(1), 100).unwrap();
    let record = |honours_output_limit| UpstreamRecord {
        name: right.action.upstream.clone(),
        honours_output_limit,
        ..super::samples::upstream_record()
    };
    let loaded = |honours| Event::UpstreamsLoaded {
        upstreams: vec![record(honours)],
        by: super::samples::by(),
    };
    log.push(loaded(false));
    check_events(
        &log,
        [(
            "a hold for the limit that was sent",
            Event::Intent(right.clone()),
            "the upstream does not honour output limits",
        )],
    );
    let bounded = Intent {
        bound: Some(64_000),
        ..right.clone()
    };
    assert_eq!(log.state.clone().apply(&log.next(Event::Intent(bounded))), Ok(()));
    log.push(loaded(true));
    log.push(Event::Intent(right));
}
