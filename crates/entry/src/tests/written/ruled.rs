//! Logs in which rate limits and circuit breakers are busy.

use ledger::{
    Admission, Amount, BreakerSpec, ErrorRate, Label, Loops, Measure, Per, Rate, RateSpec, Repeats, Scope, Selector,
    SpendRate, SpendSurge, Step, StepKind,
};
use model::{NanoUsd, UsageSource};
use proptest::{prelude::*, sample::Index};

use super::super::{
    log::Log,
    samples::{action_id, at, budget_spec, by, every_event, key_of, loaded},
};
use crate::{Action, Event, Intent, Outcome, Status, Tokens};

/// Something that happens under rate limits and circuit breakers.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Call {
        who: bool,
        run: u8,
        step: u64,
        key: Option<u8>,
        tokens: u64,
    },
    End {
        which: Index,
        how: usize,
        cost: i64,
    },
    Wait {
        micros: i64,
    },
    Load {
        which: usize,
        other: bool,
    },
    Reset {
        which: Index,
    },
    Other {
        which: Index,
    },
}

pub(super) fn moves() -> impl Strategy<Value = Vec<Move>> {
    let which = any::<Index>;
    let key = prop::option::of(0..3_u8);
    let one = prop_oneof![
        9 => (any::<bool>(), 0..3_u8, 0..2_u64, key, 0..900_u64)
            .prop_map(|(who, run, step, key, tokens)| Move::Call { who, run, step, key, tokens }),
        6 => (which(), 0..4_usize, 0..300_i64).prop_map(|(which, how, cost)| Move::End { which, how, cost }),
        3 => (0..40_000_000_i64).prop_map(|micros| Move::Wait { micros }),
        1 => (0..4_usize, any::<bool>()).prop_map(|(which, other)| Move::Load { which, other }),
        1 => which().prop_map(|which| Move::Reset { which }),
        1 => which().prop_map(|which| Move::Other { which }),
    ];
    prop::collection::vec(one, 0..80)
}

fn limit(name: &str, other: bool) -> Event {
    let rate = |measure, limit, per, burst| Rate {
        measure,
        limit: Amount(limit),
        per,
        burst: Amount(burst),
    };
    let limit = RateSpec {
        name: name.parse().unwrap(),
        group: name.to_owned(),
        select: Selector::of(Label::Tool, "web_*"),
        each: vec![Label::User, Label::Run],
        rates: vec![rate(Measure::Calls, 30, Per::Minute, if other { 9 } else { 12 })],
    };
    let limit = match name {
        "runs" => RateSpec {
            select: Selector::default(),
            ..limit
        },
        "all" => RateSpec {
            select: Selector::of(Label::Team, "data"),
            each: if other { vec![Label::Agent] } else { Vec::new() },
            rates: vec![
                rate(Measure::Tokens, 90_000, Per::Hour, 30_000),
                rate(Measure::Calls, 5, Per::Second, if other { 5 } else { 7 }),
            ],
            ..limit
        },
        _ => limit,
    };
    Event::LimitLoaded { limit, by: by() }
}

fn breaker(name: &str, scope: Scope, other: bool) -> Event {
    let repeats = |stop| Repeats { warn: 2, stop };
    let breaker = BreakerSpec {
        name: name.parse().unwrap(),
        select: Selector::default(),
        scope,
        spend: Some(SpendRate {
            over: NanoUsd(if other { 400 } else { 900 }),
            within_s: 60,
        }),
        surge: Some(SpendSurge {
            percent: 300,
            within_s: 10,
            windows: 8,
            at_least: NanoUsd(100),
        }),
        loops: Some(Loops {
            same: repeats(4),
            periodic: repeats(3),
            within_s: 300,
        }),
        steps: StepKind::Calls,
        errors: Some(ErrorRate {
            percent: 50,
            calls: 3,
            within_s: if other { 60 } else { 90 },
        }),
        no_progress: None,
        cooldown_s: 20,
    };
    Event::BreakerLoaded { breaker, by: by() }
}

pub(super) fn rule(which: usize, other: bool) -> Event {
    match which {
        0 => limit("runs", other),
        1 => limit("all", other),
        2 => breaker("loops", Scope::Run, other),
        _ => breaker("agents", Scope::Agent, other),
    }
}

pub(super) fn ruled(moves: Vec<Move>) -> Log {
    let mut log = Log::furnished();
    log.push(key_of("ku", "alone", Some("one")));
    for budget in [budget_spec("own", 100_000), budget_spec("team", 100_000)] {
        log.push(loaded(budget));
    }
    for which in 0..4 {
        log.push(rule(which, false));
    }
    for (number, one) in (1..).zip(moves) {
        make(&mut log, number, one);
    }
    log
}

fn make(log: &mut Log, number: u8, one: Move) {
    match one {
        Move::Call {
            who,
            run,
            step,
            key,
            tokens,
        } => {
            let tokens = Tokens {
                input: tokens,
                output: 100,
            };
            let action = Action {
                run: (run > 0).then(|| format!("r{run}")),
                ..log.action_by(if who { "ku" } else { "ks" }, action_id(number))
            };
            let Some(intent) = log.intent_of(action, 100, tokens) else {
                return;
            };
            let intent = Intent {
                step: Some(Step(step)),
                idempotency: key.map(|key| format!("key-{key}")),
                ..intent
            };
            let labels = log.state.labels(&intent.action, &[]).unwrap();
            let admission = log.state.breakers.admit(&labels, intent.next_step(), at(log.now));
            let event = match admission {
                Admission::Trips(trip) => Event::BreakerTripped(*trip),
                _ => Event::Intent(intent),
            };
            push(log, event);
        }
        Move::End { which, how, cost } => {
            let mut open: Vec<_> = log.state.open.keys().copied().collect();
            open.sort_unstable();
            if !open.is_empty() {
                let statuses = [Status::Ok, Status::Ok, Status::Timeout, Status::NotForwarded];
                let sources = [
                    UsageSource::Provider,
                    UsageSource::Provider,
                    UsageSource::Hold,
                    UsageSource::Nothing,
                ];
                let outcome = Outcome {
                    status: statuses[how],
                    source: sources[how],
                    ..log.outcome(open[which.index(open.len())], cost)
                };
                push(log, Event::Outcome(outcome));
            }
        }
        Move::Wait { micros } => log.now += micros,
        Move::Load { which, other } => push(log, rule(which, other)),
        Move::Reset { which } => {
            let all = log.state.breakers.standing(None, at(log.now), true, 100);
            if !all.is_empty() {
                let one = &all[which.index(all.len())];
                let event = Event::BreakerReset {
                    breaker: one.breaker.clone(),
                    of: one.of.clone(),
                    note: "mended".to_owned(),
                    by: by(),
                };
                push(log, event);
            }
        }
        Move::Other { which } => {
            let all = every_event();
            push(log, all[which.index(all.len())].clone());
        }
    }
}

/// Appends what may be next.
pub(super) fn push(log: &mut Log, event: Event) {
    if log.takes(event.clone()) {
        log.push(event);
    }
}
