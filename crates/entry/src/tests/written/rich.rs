//! A log that leaves something in every part of the state.

use ledger::{Admission, Amount, AtLimit, BudgetSpec, Charge, Edit, Label, Measure, Pot, Selector, Step, Unit, Window};
use model::{Digest, NanoUsd, UsageSource};

use super::{
    super::{
        decisions::decided,
        evidence::evidence_events,
        log::{Log, TOKENS, first},
        samples::{
            NOON, action_id, agent, agent_loaded, asked, at, budget, budget_spec, by, denial, edited, every_event,
            intent, key_of, loaded,
        },
    },
    ruled::{push, rule},
};
use crate::{
    Action, AgentRecord, Allowance, AskRefused, Asked, Decided, Denial, Event, Intent, Outcome, Over, PolicyFile,
    Status,
};

/// Grows it.
pub(super) fn rich() -> Log {
    let mut log = Log::furnished();
    declare(&mut log);
    let spent = log.state.ledger.period(&Pot::from(budget("own")), at(log.now)).unwrap();
    log.push(edited("own", Edit::Limit { limit: Amount(900_000) }));
    let amount = Amount(50_000);
    let of = Vec::new();
    log.push(edited(
        "own",
        Edit::ToppedUp {
            amount,
            of,
            period: spent,
        },
    ));
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
    let charge = Charge::of_money(NanoUsd(300));
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
        at_limit: AtLimit::Ask { wait_s: 60 },
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
        log.push(Event::PolicyFile(PolicyFile {
            file,
            text,
            sha256: None,
        }));
        let files = vec![log.state.size - 1];
        let bundle = Digest([number; 32]);
        log.push(Event::PolicyLoaded {
            bundle,
            files,
            by: by(),
        });
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
    log.push(
        samples
            .iter()
            .find(|event| event.kind() == "pep_loaded")
            .unwrap()
            .clone(),
    );
    let Some(Event::EntitiesChanged {
        put,
        removed,
        digest,
        note,
        by,
        ..
    }) = samples.iter().find(|event| event.kind() == "entities_changed").cloned()
    else {
        unreachable!()
    };
    let version = 1;
    log.push(Event::EntitiesChanged {
        version,
        put,
        removed,
        digest,
        note,
        by,
    });
    let (seq, entities) = (1, 1);
    log.push(Event::Decided(Decided {
        seq,
        entities,
        bundle,
        ..decided()
    }));
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
        let action = Action {
            run,
            ..log.action_by("kone", action_id(number))
        };
        let step = if log.now > NOON + 100_000_000_000 { 99 } else { 7 };
        let intent = Intent {
            step: Some(Step(step)),
            ..log.intent_of(action, 10, TOKENS).unwrap()
        };
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
