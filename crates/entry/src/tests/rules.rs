//! Samples of what is said of rate limits and circuit breakers.

use ledger::{
    Amount, BreakerSpec, Cause, Closing, ErrorRate, Label, LimitReason, Limited, Loops, Measure, NoProgress, Per, Rate,
    RateSpec, Scope, Selector, SpendRate, SpendSurge, Step, StepKind, Trip, Warning,
};
use model::{BreakerName, LimitName, NanoUsd, Reason};

use super::{
    log::{Log, TOKENS},
    refusals::check_events,
    samples::{NOON, action_id, at, budget_spec, by, denial, intent, loaded},
};
use crate::{Denial, Event, Intent, Stopper};

fn limit() -> LimitName {
    LimitName::new("users").unwrap()
}

fn breaker() -> BreakerName {
    BreakerName::new("loops").unwrap()
}

fn rate() -> Rate {
    Rate {
        measure: Measure::Calls,
        limit: Amount(60),
        per: Per::Minute,
        burst: Amount(10),
    }
}

fn rate_spec() -> RateSpec {
    RateSpec {
        name: limit(),
        group: String::new(),
        select: Selector::of(Label::Team, "data"),
        each: vec![Label::User],
        rates: vec![rate()],
    }
}

fn breaker_spec() -> BreakerSpec {
    BreakerSpec {
        name: breaker(),
        select: Selector::of(Label::Team, "data"),
        scope: Scope::Run,
        spend: Some(SpendRate {
            over: NanoUsd(5_000_000_000),
            within_s: 3_600,
        }),
        surge: Some(SpendSurge {
            percent: SpendSurge::PERCENT,
            within_s: SpendSurge::WITHIN_S,
            windows: SpendSurge::WINDOWS,
            at_least: NanoUsd(1_000_000_000),
        }),
        loops: Some(Loops::default()),
        steps: StepKind::Results,
        errors: Some(ErrorRate::default()),
        no_progress: Some(NoProgress::default()),
        cooldown_s: BreakerSpec::COOLDOWN_S,
    }
}

const RUN: &str = "nightly-report/2026-09-21-nightly";

fn seen(seen: u16) -> Cause {
    Cause::SameStep {
        step: Step(0x0123_4567_89ab_cdef),
        seen,
        within_s: 42,
        run: None,
    }
}

/// One event of every kind that is about rate limits and circuit breakers.
pub(super) fn rule_events() -> Vec<Event> {
    vec![
        Event::LimitLoaded {
            limit: rate_spec(),
            by: by(),
        },
        Event::LimitRemoved {
            limit: limit(),
            by: by(),
        },
        Event::BreakerLoaded {
            breaker: breaker_spec(),
            by: by(),
        },
        Event::BreakerRemoved {
            breaker: breaker(),
            by: by(),
        },
        Event::BreakerWarned(Warning {
            breaker: breaker(),
            scope: Scope::Run,
            of: RUN.to_owned(),
            cause: seen(3),
        }),
        Event::BreakerTripped(Trip {
            breaker: breaker(),
            scope: Scope::Run,
            of: RUN.to_owned(),
            cause: seen(4),
            until: at(NOON + 600_000_000),
        }),
        Event::BreakerClosed(Closing {
            breaker: breaker(),
            scope: Scope::Run,
            of: RUN.to_owned(),
            since: at(NOON - 700_000_000),
        }),
        Event::BreakerReset {
            breaker: breaker(),
            of: RUN.to_owned(),
            note: "the prompt was mended".to_owned(),
            by: by(),
        },
    ]
}

/// What the third version of the schema can say of rules in kinds that there were before.
pub(super) fn ruled_events() -> Vec<Event> {
    let limited = Limited {
        limit: limit(),
        of: vec![(Label::User, "4e07408562bedb8b60ce05c1decfe3ad".to_owned())],
        rate: rate(),
        asked: Amount(1),
        why: LimitReason::TooFast,
        retry_after_us: Some(500_000),
    };
    let stopper = Stopper {
        breaker: breaker(),
        of: RUN.to_owned(),
        until: at(NOON + 600_000_000),
    };
    let denied = |reason| Denial {
        reason,
        over: None,
        ..denial()
    };
    vec![
        Event::Denial(Denial {
            limited: Some(Box::new(limited)),
            ..denied(Reason::RateLimited)
        }),
        Event::Denial(Denial {
            breaker: Some(stopper),
            ..denied(Reason::BreakerOpen)
        }),
        Event::Intent(Intent {
            step: Some(Step(0x0123_4567_89ab_cdef)),
            result_step: Some(Step(0xfedc_ba98_7654_3210)),
            ..intent()
        }),
    ]
}

/// A tool is told where a budget, a limit or a breaker names it, for as long as one does.
#[test]
fn tools_are_told_while_a_rule_names_them() {
    let mut log = Log::furnished();
    let offered = ["web_search", "shell", "web_fetch"].map(str::to_owned);
    let told = |log: &Log| log.state.counted.tools(&offered);
    let budget = |name: &str, tool: &str| {
        let select = Some(Selector::of(Label::Tool, tool));
        loaded(ledger::BudgetSpec {
            select,
            ..budget_spec(name, 500)
        })
    };
    let removed = |name: &str| Event::BudgetRemoved {
        budget: super::samples::budget(name),
        note: String::new(),
        by: by(),
    };
    assert_eq!(told(&log), [""; 0]);
    log.push(budget("one", "web_search"));
    log.push(budget("two", "web_*"));
    assert_eq!(told(&log), ["web_fetch", "web_search"]);
    log.push(budget("two", "shell"));
    assert_eq!(told(&log), ["shell", "web_search"]);
    log.push(budget("two", "web_search"));
    log.push(removed("one"));
    assert_eq!(told(&log), ["web_search"]);
    let mut spec = rate_spec();
    spec.select = Selector::of(Label::Tool, "shell");
    log.push(Event::LimitLoaded { limit: spec, by: by() });
    assert_eq!(told(&log), ["shell", "web_search"]);
    log.push(removed("two"));
    log.push(budget("one", "web_fetch"));
    log.push(removed("one"));
    assert_eq!(told(&log), ["shell"]);
}

/// Where a limit counts tokens, holds say them, whether or not a budget counts them too.
#[test]
fn tokens_are_told_where_a_limit_counts_them() {
    let mut log = Log::furnished();
    let untold = log.intent("alone", action_id(1), 10).unwrap();
    assert_eq!(untold.tokens, None);
    let mut spec = rate_spec();
    spec.rates[0].measure = Measure::Tokens;
    log.push(Event::LimitLoaded { limit: spec, by: by() });
    check_events(
        &log,
        [("untold", Event::Intent(untold), "does not say how many it reserves")],
    );
    let told = log.intent("alone", action_id(1), 10).unwrap();
    assert_eq!(told.tokens, Some(TOKENS));
    log.push(Event::Intent(told));
}
