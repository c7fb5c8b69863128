//! Overruns: what follows an outcome that passed its hold, and what follows from that. And logs of the first version,
//! which had none.

use ledger::Attempt;
use model::NanoUsd;

use super::{
    refusals::check_events,
    samples::{Log, action_id, intent, overrun_cleared},
};
use crate::{Entry, EntryError, Event, Intent, Overrun, State, UpstreamRecord};

fn attempt() -> Attempt {
    Attempt {
        action: action_id(1),
        number: 0,
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
    let owed = log.state.owed.clone().unwrap();
    log.push_alone(Event::Overrun(owed));
    log
}

#[test]
fn an_overrun_stands_right_behind_its_outcome_and_says_what_that_does() {
    let log = owing();
    let right = log.state.owed.clone().unwrap();
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
    };
    assert_eq!(right, expected);
    assert_eq!(
        log.state.clone().apply(&log.next(Event::Overrun(right.clone()))),
        Ok(())
    );
    let other = "is not that of the outcome before it";
    let with = |change: fn(&mut Overrun)| {
        let mut overrun = right.clone();
        change(&mut overrun);
        Event::Overrun(overrun)
    };
    let next = log.intent("alone", action_id(2), 1).map(Event::Intent).unwrap();
    check_events(
        &log,
        [
            ("none", next, "its overrun does not follow"),
            ("a clear in its place", overrun_cleared(), "its overrun does not follow"),
            ("of another action", with(|it| it.action = action_id(2)), other),
            ("of another attempt", with(|it| it.attempt = 1), other),
            ("of another outcome", with(|it| it.outcome -= 1), other),
            ("of another model", with(|it| it.model.push('x')), other),
            ("of another hold", with(|it| it.held = NanoUsd(399)), other),
            ("of another amount", with(|it| it.booked = NanoUsd(402)), other),
            ("of another limit", with(|it| it.limit += 1), other),
            ("of another bound", with(|it| it.bound = Some(64_000)), other),
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
    let second = Attempt {
        action: action_id(2),
        number: 0,
    };
    let outcome = log.push(Event::Outcome(log.outcome(second, 150)));
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

#[test]
fn entries_of_the_first_version_are_read() {
    for line in include_str!("version1.jsonl").lines() {
        let entry = Entry::decode(line.as_bytes()).unwrap();
        assert_eq!(entry.v, 1);
        assert_eq!(entry.encode().unwrap(), line.as_bytes());
    }
}

/// A log that programs of the first version wrote, overruns and all, goes on in the second; never the other way.
#[test]
fn a_log_of_the_first_version_goes_on_in_the_second() {
    let mut log = Log::furnished();
    for id in 1..=3 {
        log.push(Event::Intent(log.intent("alone", action_id(id), 100).unwrap()));
    }
    let old = |entry: &Entry| Entry { v: 1, ..entry.clone() };
    let mut state = State::new(log.state.tenant.clone());
    for entry in &log.entries {
        assert_eq!(state.apply(&old(entry)), Ok(()));
    }
    let passed = |number: u8| {
        let attempt = Attempt {
            action: action_id(number),
            number: 0,
        };
        Event::Outcome(log.outcome(attempt, 101))
    };
    let next = |state: &State, v, event| Entry {
        v,
        index: state.size,
        ..log.next(event)
    };
    let entry = next(&state, 1, passed(1));
    state.apply(&entry).unwrap();
    // Nothing was distrusted then, and nothing is for what happened then.
    assert_eq!(
        (state.owed.as_ref(), state.distrusted.len(), state.overrun),
        (None, 0, NanoUsd(1))
    );
    let entry = next(&state, 2, passed(2));
    state.apply(&entry).unwrap();
    assert_eq!(
        state.apply(&next(&state, 2, passed(3))).unwrap_err().to_string(),
        "the entry does not fit what came before: the outcome before it passed its hold, and its overrun does not follow"
    );
    let owed = Event::Overrun(state.owed.clone().unwrap());
    state.apply(&next(&state, 2, owed)).unwrap();
    assert_eq!(state.distrusted.len(), 1);
    let older = EntryError::Older { last: 2, found: 1 };
    assert_eq!(state.apply(&next(&state, 1, passed(3))), Err(older));
}
