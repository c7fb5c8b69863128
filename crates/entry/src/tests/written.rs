//! A state that is written down and read back is that state, and no other bytes pass for one.

use std::collections::BTreeSet;

use ledger::{
    Admission, Amount, BreakerSpec, BudgetSpec, Edit, ErrorRate, Label, Loops, Measure, Per, Pot, Rate, RateSpec,
    Repeats, Scope, Selector, SpendRate, SpendSurge, Step, StepKind, Unit, Window,
};
use model::{Digest, NanoUsd, UsageSource};
use proptest::{prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

use super::{
    decisions::decided,
    evidence::evidence_events,
    history::{grow, history},
    log::{Log, TOKENS, first},
    samples::{
        NOON, action_id, agent, agent_loaded, asked, at, budget, budget_spec, by, denial, edited, every_event, intent,
        key_of, loaded,
    },
};
use crate::{
    Action, AgentRecord, Allowance, AskRefused, Asked, Decided, Denial, Entry, Event, Intent, Outcome, Over,
    PolicyFile, State, Status,
    snapshot::{SnapshotError, decode, digest, encode},
};

/// Reads every prefix of a log from its snapshot, and goes on from each, and from one of them to the end.
fn check(entries: &[Entry], early: usize) {
    let mut state = Log::new().state;
    let (mut other, mut kept) = (state.clone(), None);
    for (at, entry) in entries.iter().enumerate() {
        state.apply(entry).unwrap();
        other.apply(entry).unwrap();
        assert_eq!(other, state, "went on from the snapshot before {entry:?}");
        if let Some(kept) = &mut kept {
            State::apply(kept, entry).unwrap();
        }
        if !state.owed.is_empty() {
            assert_eq!(encode(&state), Err(SnapshotError::Owed));
            continue;
        }
        let bytes = encode(&state).unwrap();
        assert_eq!(bytes, encode(&other).unwrap(), "of equal states");
        other = decode(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
        assert_eq!(other, state, "read back");
        if at >= early && kept.is_none() {
            kept = Some(other.clone());
        }
    }
    assert!(kept.is_none_or(|kept| kept == state), "went on to the end");
}

/// Something that happens under rate limits and circuit breakers.
#[derive(Clone, Debug)]
enum Move {
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

fn moves() -> impl Strategy<Value = Vec<Move>> {
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

fn rule(which: usize, other: bool) -> Event {
    match which {
        0 => limit("runs", other),
        1 => limit("all", other),
        2 => breaker("loops", Scope::Run, other),
        _ => breaker("agents", Scope::Agent, other),
    }
}

fn ruled(moves: Vec<Move>) -> Log {
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
            let tokens = crate::Tokens {
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
fn push(log: &mut Log, event: Event) {
    if log.takes(event.clone()) {
        log.push(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prefix_of_a_log_reads_back(history in history(0..60), early in any::<Index>()) {
        let entries = grow(history).entries;
        check(&entries, early.index(entries.len()));
    }

    #[test]
    fn every_prefix_of_a_log_under_rules_reads_back(moves in moves(), early in any::<Index>()) {
        let entries = ruled(moves).entries;
        check(&entries, early.index(entries.len()));
    }
}

/// What the property above says is said of little if nothing happens under the rules.
#[test]
fn logs_under_rules_have_what_rules_do() {
    let mut runner = TestRunner::deterministic();
    let (mut found, mut running) = (BTreeSet::new(), 0);
    for _ in 0..100 {
        let log = ruled(moves().new_tree(&mut runner).unwrap().current());
        found.extend(log.entries.iter().map(|entry| entry.event.kind()));
        running += usize::from(String::from_utf8(encode(&log.state).unwrap()).unwrap().contains("{\"running\""));
    }
    for kind in ["breaker_warned", "breaker_tripped", "breaker_closed", "breaker_reset", "limit_loaded", "pep_loaded"] {
        assert!(found.contains(kind), "{kind} of {found:?}");
    }
    assert!(running > 0, "no probe was ever in flight");
}

/// A log that leaves something in every part of the state.
fn rich() -> Log {
    let mut log = Log::furnished();
    declare(&mut log);
    let spent = log.state.ledger.period(&Pot::from(budget("own")), at(log.now)).unwrap();
    log.push(edited("own", Edit::Limit { limit: Amount(900_000) }));
    let amount = Amount(50_000);
    let of = Vec::new();
    log.push(edited("own", Edit::ToppedUp { amount, of, period: spent }));
    log.push(edited("team", Edit::Paused {}));
    for number in 1..=4 {
        log.now += 1_000_000;
        call(&mut log, "ka", number, 300);
    }
    call(&mut log, "kone", 5, 2_000);
    // The first cost more than was held; the second nothing.
    log.push(Event::Outcome(log.outcome(first(action_id(1)), 400)));
    let unused = Outcome {
        source: UsageSource::Nothing,
        status: Status::NotForwarded,
        ..log.outcome(first(action_id(2)), 0)
    };
    log.push(Event::Outcome(unused));
    // What is open of yesterday.
    log.now += 13 * 3_600_000_000;
    call(&mut log, "ka", 6, 100);
    let bookings = log.state.ledger.allowance(&agent("kept")).unwrap().bookings.clone();
    let spooled = Intent {
        action: log.action("kept", action_id(7)),
        attempt: 32_768,
        hold: NanoUsd(40),
        bookings,
        spooled: Some(at(log.now)),
        ..intent()
    };
    log.push(Event::Intent(spooled));
    for number in [8, 9] {
        log.push(waits(&log, number));
    }
    log.push(Event::AskRefused(AskRefused {
        action: action_id(8),
        attempt: 0,
        note: "not before the quarter ends".to_owned(),
        by: by(),
    }));
    log.push(Event::Denial(Denial {
        action: log.action("shared", action_id(10)),
        ..denial()
    }));
    loop_until_stopped(&mut log);
    log
}

fn declare(log: &mut Log) {
    log.push(loaded(budget_spec("kept", 1_000)));
    let Event::AgentLoaded { agent: kept, by: ada } = agent_loaded("kept", &["kept"]) else {
        unreachable!()
    };
    let allowance = Some(NanoUsd(300));
    let kept = AgentRecord { allowance, ..kept };
    log.push(Event::AgentLoaded { agent: kept, by: ada });
    log.push(key_of("kk", "kept", None));
    let pots = [Pot::from(budget("kept"))];
    let charge = ledger::Charge::of_money(NanoUsd(300));
    log.push(Event::AllowanceHeld(Allowance {
        agent: agent("kept"),
        amount: NanoUsd(300),
        bookings: log.state.ledger.admit(&pots, &charge, at(log.now)).unwrap(),
    }));
    let rolling = Window::Rolling { unit: Unit::Day };
    let user = vec![Label::User];
    log.push(loaded(BudgetSpec {
        unit: Measure::Tokens,
        select: Some(Selector::of(Label::Tool, "web_search")),
        at_limit: ledger::AtLimit::Ask { wait_s: 60 },
        ..budget_spec("searches", 90_000)
    }));
    log.push(loaded(BudgetSpec {
        select: Some(Selector::of(Label::Agent, "alone")),
        each: user,
        window: rolling,
        thresholds: vec![50, 90],
        ..budget_spec("users", 2_500)
    }));
    log.push(key_of("kone", "alone", Some("one")));
    for which in 0..4 {
        log.push(rule(which, false));
    }
    for number in [1, 2] {
        let (file, text) = ("a.cedar".to_owned(), format!("// {number}"));
        log.push(Event::PolicyFile(PolicyFile { file, text, sha256: None }));
        let files = vec![log.state.size - 1];
        let bundle = Digest([number; 32]);
        log.push(Event::PolicyLoaded { bundle, files, by: by() });
    }
    let (_, bundle) = log.state.bundle.unwrap();
    let wanted = [
        "prices_loaded",
        "upstreams_loaded",
        "admin_added",
        "started",
        "pep_loaded",
        "pep_key_issued",
    ];
    let samples = every_event();
    for kind in wanted {
        log.push(samples.iter().find(|event| event.kind() == kind).unwrap().clone());
    }
    log.push(samples.iter().find(|event| event.kind() == "pep_loaded").unwrap().clone());
    let Some(Event::EntitiesChanged { put, removed, digest, note, by, .. }) =
        samples.iter().find(|event| event.kind() == "entities_changed").cloned()
    else {
        unreachable!()
    };
    let version = 1;
    log.push(Event::EntitiesChanged { version, put, removed, digest, note, by });
    let (seq, entities) = (1, 1);
    log.push(Event::Decided(Decided { seq, entities, bundle, ..decided() }));
    for event in evidence_events() {
        push(log, event);
    }
}

fn call(log: &mut Log, key: &str, number: u8, hold: i64) {
    let action = Action {
        run: Some("nightly".to_owned()),
        ..log.action_by(key, action_id(number))
    };
    let intent = log.intent_of(action, hold, TOKENS).unwrap();
    log.push(Event::Intent(Intent {
        idempotency: Some(format!("call-{number}")),
        step: Some(Step(u64::from(number))),
        ..intent
    }));
}

fn waits(log: &Log, number: u8) -> Event {
    let over = Over {
        budget: budget("searches"),
        unit: Measure::Tokens,
        ..asked().over
    };
    Event::Asked(Asked {
        action: log.action("alone", action_id(number)),
        over,
        until: at(log.now + 60_000_000),
        ..asked()
    })
}

/// One run is stopped, and its probe is in flight.
fn loop_until_stopped(log: &mut Log) {
    let mut number = 20;
    let mut ask = |log: &mut Log| {
        number += 1;
        let run = Some("loop".to_owned());
        let action = Action { run, ..log.action_by("kone", action_id(number)) };
        let step = if log.now > NOON + 100_000_000_000 { 99 } else { 7 };
        let intent = Intent { step: Some(Step(step)), ..log.intent_of(action, 10, TOKENS).unwrap() };
        let labels = log.state.labels(&intent.action, &[]).unwrap();
        match log.state.breakers.admit(&labels, intent.next_step(), at(log.now)) {
            Admission::Trips(trip) => log.push(Event::BreakerTripped(*trip)),
            _ => log.push(Event::Intent(intent)),
        };
    };
    for _ in 0..4 {
        ask(log);
    }
    log.now += 60_000_000_000;
    ask(log);
}

/// The bytes with a line for each field: joined, they are the bytes.
fn lines(bytes: &[u8]) -> String {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut text = String::new();
    for letter in std::str::from_utf8(bytes).unwrap().chars() {
        text.push(letter);
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth <= 2 => text.push('\n'),
            _ => {}
        }
    }
    text
}

#[test]
fn a_rich_state_has_these_bytes() {
    let log = rich();
    check(&log.entries, log.entries.len() / 2);
    insta::assert_snapshot!(lines(&encode(&log.state).unwrap()));
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    assert_eq!(
        digest(b"abc").to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let bytes = encode(&rich().state).unwrap();
    let read = decode(&bytes).unwrap();
    assert_eq!(digest(&encode(&read).unwrap()), digest(&bytes));
}
