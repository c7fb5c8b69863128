//! Versions of the schema: what each can say, and that logs of the earlier ones are read as ever.

use std::collections::BTreeSet;

use ledger::{Amount, AtLimit, Balance, BudgetSpec, Label, Measure, Pot, Selector, Unit, Window};
use model::{NanoUsd, Reason};

use super::{
    decisions::{decision_events, told_events},
    log::{Log, first},
    more::more_events,
    overruns::owed,
    samples::{
        action_id, at, budget, budget_loaded, budget_spec, denial, every_event, intent, loaded, outcome, overrun,
    },
};
use crate::{
    Allowance, Closed, Declared, Denial, Entry, EntryError, Event, Intent, Over, Overrun, State, Tokens, VERSION,
};

/// An entry of this event is read in the versions that can say it, and in no other.
fn check(what: &str, event: &Event, since: u32) {
    assert_eq!(event.since(), since, "{what}");
    for v in 1..=VERSION {
        let entry = Entry {
            v,
            ..Log::new().next(event.clone())
        };
        let read = Entry::decode(&entry.encode().unwrap());
        if v >= since {
            assert_eq!(read.as_ref(), Ok(&entry), "{what} in version {v}");
            continue;
        }
        let early = EntryError::Early {
            kind: event.kind(),
            version: v,
            since,
        };
        assert_eq!(read, Err(early), "{what} in version {v}");
        // The fold asks again: not all that it is given was read from bytes.
        let applied = Log::new().state.apply(&entry);
        assert!(matches!(applied, Err(EntryError::Early { .. })), "{what}: {applied:?}");
    }
}

#[test]
fn each_kind_has_a_first_version() {
    let second = [
        "replay",
        "overrun",
        "overrun_cleared",
        "allowance_held",
        "allowance_released",
        "spool_applied",
    ];
    let third = [
        "budget_removed",
        "budget_edited",
        "threshold_reached",
        "asked",
        "ask_refused",
        "ask_ended",
        "limit_loaded",
        "limit_removed",
        "breaker_loaded",
        "breaker_removed",
        "breaker_warned",
        "breaker_tripped",
        "breaker_closed",
        "breaker_reset",
    ];
    let fourth = [
        "pep_loaded",
        "pep_removed",
        "pep_key_issued",
        "entities_changed",
        "decided",
    ];
    let fifth = [
        "heads",
        "heartbeat",
        "signing_key_added",
        "signing_key_retired",
        "restored",
        "quorum_missed",
        "quorum_met",
        "fork_reported",
        "snapshot_taken",
        "expired",
        "legal_hold_set",
        "legal_hold_lifted",
    ];
    for event in every_event() {
        let since = match event.kind() {
            kind if fifth.contains(&kind) => 5,
            kind if fourth.contains(&kind) => 4,
            kind if third.contains(&kind) => 3,
            kind if second.contains(&kind) => 2,
            _ => 1,
        };
        check(event.kind(), &event, since);
    }
    for event in more_events() {
        check(event.kind(), &event, 3);
    }
    for event in told_events() {
        check(event.kind(), &event, 4);
    }
}

#[test]
fn each_reason_has_a_first_version() {
    for reason in Reason::ALL {
        let since = match reason {
            Reason::RateLimited | Reason::BreakerOpen => 3,
            Reason::UnboundedOutput | Reason::IdempotencyKeyUsed | Reason::IdempotencyKeyReused => 2,
            _ => 1,
        };
        let reason = *reason;
        check(reason.code(), &Event::Denial(Denial { reason, ..denial() }), since);
    }
}

#[test]
fn each_word_on_budgets_has_a_first_version() {
    let plain = || budget_spec("b", 5);
    let day = |unit| Window::Calendar {
        unit,
        zone: "UTC".to_owned(),
    };
    for (what, spec, since) in [
        ("plain", plain(), 1),
        (
            "a window of a month",
            BudgetSpec {
                window: day(Unit::Month),
                ..plain()
            },
            1,
        ),
        (
            "a total",
            BudgetSpec {
                window: Window::Total,
                ..plain()
            },
            1,
        ),
        (
            "a window of a year",
            BudgetSpec {
                window: day(Unit::Year),
                ..plain()
            },
            3,
        ),
        (
            "a rolling year",
            BudgetSpec {
                window: Window::Rolling { unit: Unit::Year },
                ..plain()
            },
            3,
        ),
        (
            "calls",
            BudgetSpec {
                unit: Measure::Calls,
                ..plain()
            },
            3,
        ),
        (
            "a selector of all",
            BudgetSpec {
                select: Some(Selector::default()),
                ..plain()
            },
            3,
        ),
        (
            "pots",
            BudgetSpec {
                each: vec![Label::User],
                ..plain()
            },
            3,
        ),
        (
            "thresholds",
            BudgetSpec {
                thresholds: vec![50],
                ..plain()
            },
            3,
        ),
        (
            "asking",
            BudgetSpec {
                at_limit: AtLimit::Ask { wait_s: 1 },
                ..plain()
            },
            3,
        ),
    ] {
        check(what, &loaded(spec), since);
    }
    let through = |declared| Event::BudgetLoaded {
        budget: plain(),
        declared,
        note: String::new(),
        by: super::samples::by(),
    };
    check("in files", &through(Declared::Files), 1);
    check("through the API", &through(Declared::Api), 3);
}

#[test]
fn each_field_of_a_call_has_a_first_version() {
    let apart = || {
        let mut bookings = intent().bookings;
        bookings[0].of.push("ada".to_owned());
        bookings
    };
    let tokens = || Some(Tokens::default());
    let with = |change: fn(&mut Intent)| {
        let mut intent = intent();
        change(&mut intent);
        intent
    };
    for (what, intent, since) in [
        ("an intent", intent(), 1),
        ("a bound", with(|it| it.bound = Some(5)), 2),
        ("a key", with(|it| it.idempotency = Some("k".to_owned())), 2),
        ("a spool", with(|it| it.spooled = Some(at(5))), 2),
        (
            "tokens",
            Intent {
                tokens: tokens(),
                ..intent()
            },
            3,
        ),
        ("tools", with(|it| it.tools.push("t".to_owned())), 3),
        (
            "a pot",
            Intent {
                bookings: apart(),
                ..intent()
            },
            3,
        ),
    ] {
        check(what, &Event::Intent(intent), since);
    }
    let mut spooled = outcome();
    spooled.spooled = Some(at(5));
    check("an outcome", &Event::Outcome(outcome()), 1);
    check("an outcome of a spool", &Event::Outcome(spooled), 2);
    let over = || denial().over.unwrap();
    for (what, over, since) in [
        ("no budget", None, 1),
        ("a budget", Some(over()), 1),
        (
            "a pot",
            Some(Over {
                of: vec!["ada".to_owned()],
                ..over()
            }),
            3,
        ),
        (
            "tokens",
            Some(Over {
                unit: Measure::InputTokens,
                ..over()
            }),
            3,
        ),
        (
            "paused",
            Some(Over {
                closed: Some(Closed::Paused),
                ..over()
            }),
            3,
        ),
    ] {
        check(what, &Event::Denial(Denial { over, ..denial() }), since);
    }
    let passed = |tokens_held, tokens| {
        Event::Overrun(Overrun {
            tokens_held,
            tokens,
            ..overrun()
        })
    };
    check("an overrun", &passed(None, None), 2);
    check("tokens held", &passed(tokens(), None), 3);
    check("tokens booked", &passed(None, tokens()), 3);
    let held = |bookings| {
        Event::AllowanceHeld(Allowance {
            agent: intent().action.agent,
            amount: NanoUsd(5),
            bookings,
        })
    };
    check("an allowance", &held(intent().bookings), 2);
    check("an allowance in a pot", &held(apart()), 3);
    let started = |heartbeat_s| Event::Started {
        node: "n5c1e".to_owned(),
        boot: 12,
        version: "0.1.0".to_owned(),
        heartbeat_s,
    };
    check("a start", &started(None), 1);
    check("a start with heartbeats", &started(Some(900)), 5);
}

#[test]
fn entries_of_the_first_version_are_read() {
    for line in include_str!("version1.jsonl").lines() {
        let entry = Entry::decode(line.as_bytes()).unwrap();
        assert_eq!(entry.v, 1);
        assert_eq!(entry.encode().unwrap(), line.as_bytes());
    }
}

/// A log that programs of the first version wrote, overruns and all, goes on in the later ones; never the other way.
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
    let passed = |number: u8| Event::Outcome(log.outcome(first(action_id(number)), 101));
    let next = |state: &State, v, event| Entry {
        v,
        index: state.size,
        ..log.next(event)
    };
    let entry = next(&state, 1, passed(1));
    state.apply(&entry).unwrap();
    // Nothing was distrusted then, and nothing is for what happened then.
    assert_eq!(
        (state.owed.len(), state.distrusted.len(), state.overrun),
        (0, 0, NanoUsd(1))
    );
    let entry = next(&state, 2, passed(2));
    state.apply(&entry).unwrap();
    assert_eq!(
        state.apply(&next(&state, 2, passed(3))).unwrap_err().to_string(),
        "the entry does not fit what came before: something follows from the outcome before it, and does not stand \
         behind that"
    );
    let mut other = log.clone();
    other.state = state;
    let owed = Event::Overrun(owed(&other));
    let mut state = other.state;
    state.apply(&next(&state, 2, owed)).unwrap();
    assert_eq!(state.distrusted.len(), 1);
    let older = EntryError::Older { last: 2, found: 1 };
    assert_eq!(state.apply(&next(&state, 1, passed(3))), Err(older));
    state.apply(&next(&state, VERSION, passed(3))).unwrap();
    let older = EntryError::Older {
        last: VERSION,
        found: 2,
    };
    let owed = state.owed[0].clone();
    assert_eq!(state.apply(&next(&state, 2, owed)), Err(older));
}

/// `version2.jsonl` was written by the last program of the second version, `version3.jsonl` by the last of the third. Each
/// has an entry of every kind that it knew.
fn written(lines: &str) -> Vec<Entry> {
    let entries = lines.lines().map(|line| {
        let entry = Entry::decode(line.as_bytes()).unwrap();
        assert_eq!(entry.encode().unwrap(), line.as_bytes());
        entry
    });
    entries.collect()
}

fn second() -> Vec<Entry> {
    written(include_str!("version2.jsonl"))
}

fn third() -> Vec<Entry> {
    written(include_str!("version3.jsonl"))
}

#[test]
fn logs_of_earlier_versions_have_an_entry_of_every_kind_that_they_knew() {
    for (version, entries) in [(2, second()), (3, third())] {
        let written: BTreeSet<&str> = entries.iter().map(|entry| entry.event.kind()).collect();
        let known = every_event();
        let known = known.iter().filter(|event| event.since() <= version);
        assert_eq!(written, known.map(Event::kind).collect());
        assert!(entries.iter().all(|entry| entry.v == version));
    }
}

/// The numbers are those that the program which wrote it had.
#[test]
fn a_log_of_the_third_version_gives_what_it_gave() {
    let mut log = Log::new();
    for entry in third() {
        log.state.apply(&entry).unwrap();
        log.now = entry.time.unix_micros();
    }
    let state = &log.state;
    assert_eq!((state.size, state.epoch, state.boot), (90, 26, 1));
    assert_eq!((state.spent, state.overrun), (NanoUsd(4_490), NanoUsd(1_250)));
    assert_eq!((state.owed.len(), state.asks.len(), state.open.len()), (0, 0, 3));
    assert_eq!((state.peps.peps.len(), state.peps.entities), (0, 0));
    for (name, of, expected) in [
        ("own", None, (3_000, 900, 1_790, 80)),
        ("team", None, (1_200, 0, 0, 30)),
        ("small", None, (2_000, 0, 1_790, 0)),
        ("tokens", Some("one"), (10_000, 0, 1_000, 0)),
    ] {
        let balances = state.ledger.balances(&budget(name), at(log.now), 9);
        let [balance] = &balances[..] else {
            panic!("{name}: {balances:?}")
        };
        let Balance {
            limit: Amount(limit),
            carried: Amount(carried),
            settled: Amount(settled),
            held: Amount(held),
            ..
        } = *balance;
        assert_eq!((limit, carried, settled, held), expected, "{name}");
        let pots: Vec<&str> = of.into_iter().collect();
        assert_eq!(balance.of, pots, "{name}");
    }
    // It goes on in the fourth version.
    for event in decision_events() {
        if matches!(event, Event::PepLoaded { .. } | Event::PepKeyIssued { .. }) {
            log.push(event);
        }
    }
    let intent = log.intent("late", action_id(90), 10).unwrap();
    log.push(Event::Intent(Intent {
        tool_count: 3,
        ..intent
    }));
}

/// The numbers are those that the program which wrote it had.
#[test]
fn a_log_of_the_second_version_gives_the_balances_it_gave() {
    let mut log = Log::new();
    for entry in second() {
        log.state.apply(&entry).unwrap();
        let thresholds = log.state.owed.iter().filter(|owed| !matches!(owed, Event::Overrun(_)));
        assert_eq!(thresholds.count(), 0, "no budget of that version has thresholds");
        log.now = entry.time.unix_micros();
    }
    let state = &log.state;
    assert_eq!((state.size, state.epoch, state.boot), (47, 14, 1));
    assert_eq!((state.spent, state.overrun), (NanoUsd(2_700), NanoUsd(1_250)));
    assert_eq!(state.spooled.last, Some(("0707070707070707070707-12-1".to_owned(), 3)));
    let distrusted: Vec<_> = state.distrusted.values().collect();
    let [distrust] = distrusted[..] else {
        panic!("{distrusted:?}")
    };
    assert_eq!((distrust.since, distrust.count, distrust.past), (38, 1, NanoUsd(1_200)));
    let mut open: Vec<_> = state.open.keys().copied().collect();
    open.sort_unstable();
    assert_eq!(open, [12, 13, 14].map(|number| first(action_id(number))));
    let day = 86_400_000_000;
    let own_resets = [1_790_200_800_000_000, 1_790_287_200_000_000, 1_790_460_000_000_000];
    for (days, own_resets, own) in [
        (0, own_resets[0], (1_000, 900, 0, 80)),
        (1, own_resets[1], (1_000, 0, 0, 0)),
        (3, own_resets[2], (1_000, 0, 0, 0)),
    ] {
        for (name, expected, resets) in [
            ("own", own, Some(own_resets)),
            ("team", (1_200, 0, 0, 30), Some(1_790_772_480_000_000)),
            ("all", (100_000, 0, 550, 30), None),
        ] {
            let found = state.ledger.balance(&Pot::from(budget(name)), at(log.now + days * day));
            let Balance {
                limit: Amount(limit),
                carried: Amount(carried),
                settled: Amount(settled),
                held: Amount(held),
                resets_at,
                ..
            } = found.unwrap();
            assert_eq!((limit, carried, settled, held), expected, "{name} {days} days later");
            assert_eq!(resets_at, resets.map(at), "{name} {days} days later");
        }
    }
    // It goes on in the present version.
    log.push(budget_loaded("own", 2_000));
    let intent = log.intent("alone", action_id(20), 10).unwrap();
    assert_eq!(intent.bookings[0].used, Amount(980));
    log.push(Event::Intent(intent));
}
