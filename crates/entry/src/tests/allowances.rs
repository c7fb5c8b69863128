//! Calls that were let through on an allowance: what follows from a log, and what cannot.

use ledger::{Amount, Charge, Edit, Label, Measure, Pot, Selector};
use model::{NanoUsd, Timestamp};

use super::{
    log::{Log, first},
    refusals::check_events,
    samples::{action_id, agent, agent_loaded, at, budget, budget_spec, by, edited, key, loaded},
};
use crate::{Allowance, Event, Intent, Outcome, SpoolApplied};

fn allowance(log: &Log, amount: i64) -> Allowance {
    let pots = log.state.standing_pots(&agent("alone")).unwrap();
    let charge = Charge::of_money(NanoUsd(amount));
    Allowance {
        agent: agent("alone"),
        amount: NanoUsd(amount),
        bookings: log.state.ledger.admit(&pots, &charge, at(log.now)).unwrap(),
    }
}

/// `alone` may spend 300 of its 1,000 while nothing can be recorded.
fn log() -> Log {
    let mut log = Log::furnished();
    let Event::AgentLoaded { agent, by } = agent_loaded("alone", &["own"]) else {
        unreachable!()
    };
    let allowed = Some(NanoUsd(300));
    log.push(Event::AgentLoaded {
        agent: crate::AgentRecord {
            allowance: allowed,
            ..agent
        },
        by,
    });
    log.push(Event::AllowanceHeld(allowance(&log, 300)));
    log
}

fn spooled(log: &Log, number: u8, hold: i64) -> Intent {
    let held = log.state.ledger.allowance(&agent("alone")).unwrap();
    Intent {
        bookings: held.bookings.clone(),
        hold: NanoUsd(hold),
        spooled: Some(Timestamp::from_unix_micros(log.now - 5)),
        ..log.intent("alone", action_id(number), 0).unwrap()
    }
}

fn ended(log: &Log, number: u8, cost: i64) -> Outcome {
    Outcome {
        spooled: Some(at(log.now - 1)),
        ..log.outcome(first(action_id(number)), cost)
    }
}

fn applied(spool: &str, records: u64, calls: u64, held: i64) -> Event {
    Event::SpoolApplied(SpoolApplied {
        spool: spool.to_owned(),
        records,
        calls,
        held: NanoUsd(held),
        from: at(0),
        to: at(1),
    })
}

#[test]
fn a_spool_is_taken_into_the_log() {
    let mut log = log();
    log.push(Event::Intent(spooled(&log, 1, 200)));
    log.push(Event::Outcome(ended(&log, 1, 50)));
    // What was not used was there again.
    log.push(Event::Intent(spooled(&log, 2, 250)));
    log.push(applied("s", 3, 2, 450));
    assert_eq!(log.state.spooled.last, Some(("s".to_owned(), 3)));
    log.push(Event::Outcome(log.outcome(first(action_id(2)), 10)));
    log.push(Event::AllowanceReleased { agent: agent("alone") });
    let own = Pot::from(budget("own"));
    let balance = log.state.ledger.balance(&own, at(log.now)).unwrap();
    assert_eq!((balance.settled, balance.held), (Amount(60), Amount::ZERO));
    assert_eq!(log.state.spent, NanoUsd(60));
}

/// When the call was let through nobody knew that the credential was revoked, or the agent removed.
#[test]
fn what_was_let_through_stays_so() {
    let mut log = log();
    log.push(Event::KeyRevoked {
        key: key("ka"),
        note: String::new(),
        by: by(),
    });
    log.push(Event::Intent(spooled(&log, 1, 200)));
    let before = spooled(&log, 2, 100);
    log.push(Event::AgentRemoved {
        agent: agent("alone"),
        by: by(),
    });
    log.push(Event::Intent(before));
}

#[test]
fn what_does_not_follow() {
    let mut log = log();
    let mut elsewhere = spooled(&log, 1, 10);
    elsewhere.bookings[0].used = Amount(1);
    let mut undeclared = allowance(&log, 10);
    undeclared.agent = agent("shared");
    let mut more = allowance(&log, 301);
    let released = Event::AllowanceReleased { agent: agent("alone") };
    check_events(
        &log,
        [
            (
                "more than is left",
                Event::Intent(spooled(&log, 1, 301)),
                "not in the allowance",
            ),
            ("another booking", Event::Intent(elsewhere), "not in the allowance"),
            (
                "a second allowance",
                Event::AllowanceHeld(allowance(&log, 100)),
                "has an allowance already",
            ),
            (
                "not declared",
                Event::AllowanceHeld(undeclared),
                "more than the manifest declares",
            ),
            ("a summary of nothing", applied("s", 1, 1, 10), "not that of the calls"),
        ],
    );
    log.push(Event::Intent(spooled(&log, 1, 10)));
    log.push(Event::Intent(log.intent("alone", action_id(3), 10).unwrap()));
    let in_full = Event::Outcome(ended(&log, 3, 5));
    check_events(
        &log,
        [
            ("another sum", applied("s", 1, 1, 11), "not that of the calls"),
            ("an end of another kind", in_full, "not let through on an allowance"),
        ],
    );
    log.push(applied("s", 1, 1, 10));
    check_events(&log, [("the same records", applied("s", 1, 0, 0), "were taken before")]);
    log.push(released);
    more.bookings = allowance(&log, 301).bookings;
    check_events(
        &log,
        [
            (
                "more than declared",
                Event::AllowanceHeld(more),
                "more than the manifest declares",
            ),
            (
                "an end without the allowance it came from",
                Event::Outcome(ended(&log, 1, 5)),
                "no such allowance",
            ),
        ],
    );
}

/// What an agent may spend unrecorded is reserved in every budget that it must fit into, or nowhere.
#[test]
fn an_allowance_is_in_every_budget_that_selects_the_agent() {
    let mut log = log();
    log.push(Event::AllowanceReleased { agent: agent("alone") });
    let before = allowance(&log, 300);
    let team = |unit, each: &[Label], select| {
        loaded(ledger::BudgetSpec {
            unit,
            each: each.to_vec(),
            select: Some(select),
            ..budget_spec("data", 2_000)
        })
    };
    let data = || Selector::of(Label::Team, "data");
    log.push(team(Measure::Money, &[Label::Agent], data()));
    let right = allowance(&log, 300);
    assert_eq!(right.bookings[1].of, ["alone"]);
    let mut wrong_pot = right.clone();
    wrong_pot.bookings[1].of = vec!["shared".to_owned()];
    let mut swapped = right.clone();
    swapped.bookings.swap(0, 1);
    let elsewhere = "not in the agent's budgets";
    check_events(
        &log,
        [
            ("a budget missing", Event::AllowanceHeld(before), elsewhere),
            ("another agent's pot", Event::AllowanceHeld(wrong_pot), elsewhere),
            ("another order", Event::AllowanceHeld(swapped), elsewhere),
        ],
    );
    assert!(log.takes(Event::AllowanceHeld(right.clone())));
    log.push(edited("data", Edit::Paused {}));
    check_events(
        &log,
        [("a paused budget", Event::AllowanceHeld(right.clone()), "is paused")],
    );
    log.push(edited("data", Edit::Resumed {}));
    for (what, depends) in [
        ("calls", team(Measure::Calls, &[], data())),
        ("pots of users", team(Measure::Money, &[Label::User], data())),
        ("a model", team(Measure::Money, &[], Selector::of(Label::Model, "m"))),
    ] {
        let mut log = log.clone();
        log.push(depends);
        assert_eq!(log.state.standing_pots(&agent("alone")), None, "{what}");
        let refusal = "depend on what is asked for";
        check_events(&log, [(what, Event::AllowanceHeld(right.clone()), refusal)]);
    }
    log.push(team(Measure::Money, &[Label::User], Selector::of(Label::Team, "other")));
    log.push(Event::AllowanceHeld(allowance(&log, 300)));
}

/// A budget that an agent names may keep pots apart, or select requests besides: then too it depends on what is asked for.
#[test]
fn an_allowance_of_a_budget_that_an_agent_names_is_in_its_pot() {
    let mut log = log();
    log.push(Event::AllowanceReleased { agent: agent("alone") });
    let own = |unit, each: &[Label], select: Option<Selector>| {
        loaded(ledger::BudgetSpec {
            unit,
            select,
            each: each.to_vec(),
            ..budget_spec("own", 1_000)
        })
    };
    let elsewhere = || Some(Selector::of(Label::Model, "another"));
    for (what, own, pot) in [
        ("plain", own(Measure::Money, &[], None), Some(&[][..])),
        (
            "a pot of each agent",
            own(Measure::Money, &[Label::Agent], None),
            Some(&["alone"]),
        ),
        (
            "named, whatever it selects",
            own(Measure::Money, &[], elsewhere()),
            Some(&[]),
        ),
        ("a pot of each user", own(Measure::Money, &[Label::User], None), None),
        ("calls", own(Measure::Calls, &[], elsewhere()), None),
    ] {
        let mut log = log.clone();
        log.push(own);
        let pots = log.state.standing_pots(&agent("alone"));
        let pots = pots.map(|pots| pots.into_iter().map(|pot| pot.of).collect::<Vec<_>>());
        assert_eq!(
            pots,
            pot.map(|pot| vec![pot.iter().map(|of| (*of).to_owned()).collect()]),
            "{what}"
        );
    }
}
