//! Samples of what only the third version of the schema can say.

use ledger::{Amount, AtLimit, Booking, BudgetSpec, Edit, Label, Measure, Reached, THRESHOLDS, Unit};
use model::NanoUsd;

use super::rules::ruled_events;
use super::samples::{NOON, action_id, agent, at, budget, by, calendar, denial, edited, intent, overrun};
use crate::{Allowance, AskEnd, AskEnded, Closed, Declared, Denial, Event, Over, Overrun, ThresholdReached, Tokens};

/// A budget that says all that the third version of the schema can.
fn whole_budget() -> BudgetSpec {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let select = [
        (Label::Environment, values(&["production"])),
        (Label::Team, values(&["data", "research"])),
        (Label::Model, values(&["claude-*"])),
        (Label::Tool, values(&["web_search"])),
    ];
    BudgetSpec {
        unit: Measure::Tokens,
        select: Some(select.into_iter().collect()),
        each: vec![Label::User, Label::Run],
        thresholds: THRESHOLDS.to_vec(),
        at_limit: AtLimit::Ask { wait_s: 600 },
        ..BudgetSpec::money(budget("runs"), Amount(2_000_000), calendar(Unit::Year))
    }
}

fn pot() -> Vec<String> {
    vec![
        "4e07408562bedb8b60ce05c1decfe3ad".to_owned(),
        "2026-09-21-nightly".to_owned(),
    ]
}

/// What only the third version of the schema can say of kinds that there were before, and all edits and ends.
pub(super) fn more_events() -> Vec<Event> {
    let tokens = |input, output| Some(Tokens { input, output });
    let mut intent = intent();
    intent.tokens = tokens(9_500, 4_096);
    intent.tools = vec!["web_search".to_owned()];
    intent.bookings.push(Booking {
        budget: budget("runs"),
        of: pot(),
        period: calendar(Unit::Year).period(at(NOON)).unwrap(),
        used: Amount(1_900_000),
        limit: Amount(2_000_000),
    });
    let allowance = Allowance {
        agent: agent("nightly-report"),
        amount: NanoUsd(500_000_000),
        bookings: intent.bookings.clone(),
    };
    let denied = |closed| {
        Event::Denial(Denial {
            over: Some(over(closed)),
            ..denial()
        })
    };
    let reached = Reached {
        budget: budget("runs"),
        of: pot(),
        unit: Measure::Tokens,
        percent: 80,
        spent: Amount(1_612_004),
        limit: Amount(2_000_000),
    };
    let outcome = 184_466;
    let edits = [
        Edit::DeclaredLimit {},
        Edit::Paused {},
        Edit::Resumed {},
        Edit::ToppedUp {
            amount: Amount(500_000),
            of: pot(),
            period: calendar(Unit::Year).period(at(NOON)).unwrap(),
        },
    ];
    let lost = AskEnded {
        action: action_id(4),
        attempt: 0,
        end: AskEnd::Lost,
    };
    [
        Event::BudgetLoaded {
            budget: whole_budget(),
            declared: Declared::Api,
            note: "fair use".to_owned(),
            by: by(),
        },
        Event::Intent(intent),
        denied(None),
        denied(Some(Closed::Paused)),
        denied(Some(Closed::Crowded)),
        Event::Overrun(Overrun {
            tokens_held: tokens(9_500, 4_096),
            tokens: tokens(7_102, 4_200),
            ..overrun()
        }),
        Event::AllowanceHeld(allowance),
        Event::ThresholdReached(ThresholdReached { outcome, reached }),
        Event::AskEnded(lost),
    ]
    .into_iter()
    .chain(edits.map(|edit| edited("nightly-report", edit)))
    .chain(ruled_events())
    .collect()
}

pub(super) fn over(closed: Option<Closed>) -> Over {
    Over {
        budget: budget("runs"),
        of: pot(),
        unit: Measure::Tokens,
        limit: Amount(2_000_000),
        spent: Amount(1_612_004),
        held: Amount(380_000),
        asked: Amount(13_596),
        closed,
    }
}
