//! What an outcome books besides money: tokens and calls.

use ledger::{Amount, BudgetSpec, Charge, Label, Measure, Pot, Selector};
use model::{NanoUsd, Usage, UsageSource};

use super::{
    log::{Log, TOKENS, first},
    overruns::owed,
    samples::{action_id, at, budget, budget_spec, loaded, outcome},
};
use crate::{Event, Outcome, Overrun, Status, Tokens};

fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input,
        output,
        ..Usage::default()
    }
}

/// What is booked, in and out, of a hold of 700 and 300 tokens.
#[test]
fn tokens_that_are_booked() {
    let counted = Some(usage(40, 5));
    let more = Some(usage(800, 5));
    let only_out = Some(usage(0, 301));
    let cached = Some(Usage {
        cache_read: 20,
        cache_write: 3,
        ..usage(40, 5)
    });
    for (what, source, usage, booked) in [
        ("the provider's figures", UsageSource::Provider, counted, (40, 5)),
        ("those of caches are in", UsageSource::Provider, cached, (63, 5)),
        ("more than was held", UsageSource::Provider, more, (800, 5)),
        ("one class only", UsageSource::Provider, only_out, (0, 301)),
        ("figures of money only", UsageSource::Provider, None, (700, 300)),
        ("no figures", UsageSource::Hold, None, (700, 300)),
        ("less was proven", UsageSource::Hold, counted, (700, 300)),
        ("more of one was proven", UsageSource::Hold, more, (800, 300)),
        ("more of the other", UsageSource::Hold, only_out, (700, 301)),
        ("nothing was used", UsageSource::Nothing, None, (0, 0)),
        ("nothing, whatever it says", UsageSource::Nothing, counted, (0, 0)),
    ] {
        let held = Charge {
            money: NanoUsd(100),
            input: TOKENS.input,
            output: TOKENS.output,
            calls: 1,
        };
        let outcome = Outcome {
            source,
            usage,
            ..outcome()
        };
        let (input, output) = booked;
        let expected = Charge {
            money: outcome.cost,
            input,
            output,
            calls: 1,
        };
        assert_eq!(outcome.charge(&held), expected, "{what}");
    }
}

/// A call counts if it may have reached the provider.
#[test]
fn calls_that_count() {
    for (status, calls) in [
        (Status::Ok, 1),
        (Status::UpstreamError, 1),
        (Status::Unreachable, 0),
        (Status::Timeout, 1),
        (Status::Broken, 1),
        (Status::ClientGone, 1),
        (Status::Cut, 1),
        (Status::Revoked, 1),
        (Status::NotForwarded, 0),
        (Status::Indeterminate, 1),
    ] {
        let outcome = Outcome { status, ..outcome() };
        assert_eq!(outcome.charge(&Charge::NONE).calls, calls, "{status:?}");
    }
}

/// A log whose calls must fit into budgets of these measures.
fn counting(measures: &[Measure]) -> Log {
    let mut log = Log::furnished();
    for unit in measures {
        log.push(loaded(BudgetSpec {
            unit: *unit,
            select: Some(Selector::of(Label::Agent, "alone")),
            ..budget_spec(&name(*unit), 10_000)
        }));
    }
    log
}

fn name(unit: Measure) -> String {
    format!("{unit:?}").to_lowercase()
}

#[test]
fn each_budget_books_what_it_counts() {
    let measures = [
        Measure::Calls,
        Measure::InputTokens,
        Measure::OutputTokens,
        Measure::Tokens,
    ];
    let mut log = counting(&measures);
    let standing = |log: &Log| {
        measures.map(|unit| {
            let pot = Pot::from(budget(&name(unit)));
            let balance = log.state.ledger.balance(&pot, at(log.now)).unwrap();
            (balance.settled.0, balance.held.0)
        })
    };
    let intent = log.intent("alone", action_id(1), 100).unwrap();
    assert_eq!(intent.tokens, Some(TOKENS));
    log.push(Event::Intent(intent));
    assert_eq!(standing(&log), [(0, 1), (0, 700), (0, 300), (0, 1_000)]);
    log.push(Event::Outcome(Outcome {
        usage: Some(usage(40, 5)),
        ..log.outcome(first(action_id(1)), 60)
    }));
    assert_eq!(standing(&log), [(1, 0), (40, 0), (5, 0), (45, 0)]);
    // One that never left counts nowhere.
    log.push(Event::Intent(log.intent("alone", action_id(2), 100).unwrap()));
    log.push(Event::Outcome(Outcome {
        status: Status::Unreachable,
        source: UsageSource::Nothing,
        usage: None,
        ..log.outcome(first(action_id(2)), 0)
    }));
    assert_eq!(standing(&log), [(1, 0), (40, 0), (5, 0), (45, 0)]);
    // One of which nobody knows counts in full.
    log.push(Event::Intent(log.intent("alone", action_id(3), 100).unwrap()));
    log.push(Event::Outcome(Outcome {
        status: Status::Indeterminate,
        source: UsageSource::Hold,
        usage: None,
        ..log.outcome(first(action_id(3)), 100)
    }));
    assert_eq!(standing(&log), [(2, 0), (740, 0), (305, 0), (1_045, 0)]);
}

/// Ends a call of 100 that was held for 700 and 300 tokens, and says the overrun that it owes.
fn overrun(measures: &[Measure], cost: i64, used: Option<Usage>) -> Option<Overrun> {
    let mut log = counting(measures);
    log.push(Event::Intent(log.intent("alone", action_id(1), 100).unwrap()));
    let source = match used {
        Some(_) => UsageSource::Provider,
        None => UsageSource::Hold,
    };
    log.push_alone(Event::Outcome(Outcome {
        source,
        usage: used,
        ..log.outcome(first(action_id(1)), cost)
    }));
    let overrun = (!log.state.owed.is_empty()).then(|| owed(&log));
    if let Some(overrun) = &overrun {
        log.push(Event::Overrun(overrun.clone()));
        let Overrun { upstream, model, .. } = overrun;
        let distrust = log.state.distrust(upstream, model).unwrap();
        assert_eq!(distrust.past, NanoUsd((cost - 100).max(0)));
    }
    overrun
}

#[test]
fn tokens_past_their_hold_are_an_overrun() {
    for (what, cost, used, passed) in [
        ("as held", 100, Some(usage(700, 300)), false),
        ("one more in", 50, Some(usage(701, 0)), true),
        ("one more out", 50, Some(usage(0, 301)), true),
        ("more money", 101, Some(usage(700, 300)), true),
        ("booked in full", 100, None, false),
    ] {
        for unit in [Measure::Tokens, Measure::InputTokens, Measure::OutputTokens] {
            let overrun = overrun(&[unit], cost, used);
            assert_eq!(overrun.is_some(), passed, "{what}, {unit:?}");
            let Some(overrun) = overrun else { continue };
            let used = used.map(|used| Tokens {
                input: used.input,
                output: used.output,
            });
            assert_eq!((overrun.held, overrun.booked), (NanoUsd(100), NanoUsd(cost)), "{what}");
            assert_eq!((overrun.tokens_held, overrun.tokens), (Some(TOKENS), used), "{what}");
        }
        // Where nothing counts tokens none are held, and none pass.
        for measures in [&[][..], &[Measure::Calls]] {
            let overrun = overrun(measures, cost, used);
            assert_eq!(overrun.is_some(), cost > 100, "{what}, {measures:?}");
            if let Some(overrun) = overrun {
                assert_eq!((overrun.tokens_held, overrun.tokens), (None, None), "{what}");
            }
        }
    }
}

/// What passed a hold of tokens counts, and nothing more is let through until there is room.
#[test]
fn tokens_past_the_limit_are_a_debt() {
    let mut log = counting(&[Measure::OutputTokens]);
    log.push(Event::Intent(log.intent("alone", action_id(1), 100).unwrap()));
    log.push(Event::Outcome(Outcome {
        usage: Some(usage(1, 20_500)),
        ..log.outcome(first(action_id(1)), 50)
    }));
    assert_eq!(log.intent("alone", action_id(2), 1), None);
    // The next day still owes 10,500 of its 10,000, the one after that 500.
    log.now += 86_400_000_000;
    assert_eq!(log.intent("alone", action_id(2), 1), None);
    log.now += 86_400_000_000;
    let intent = log.intent("alone", action_id(2), 1).unwrap();
    assert_eq!(intent.bookings[1].used, Amount(500));
}
