//! Random histories: logs in which anything happens that may.

use std::ops::Range;

use proptest::{prelude::*, sample::Index};

use ledger::{Amount, AtLimit, Attempt, BudgetSpec, Charge, Edit, Label, Measure, Pot, Selector, Unit, Window};
use model::{Digest, NanoUsd, Usage, UsageSource};

use super::{
    log::{Log, first},
    samples::{
        action_id, agent, agent_loaded, asked, at, budget, budget_spec, by, calendar, denial, edited, intent,
        key_issued, key_of, loaded, overrun_cleared,
    },
};
use crate::{
    Action, AdminRecord, AgentRecord, Allowance, AskEnd, AskEnded, AskRefused, Asked, Denial, Event, Intent, Outcome,
    Over, PolicyFile, Role, Status, Tokens,
};

/// One thing that may happen next. What is impossible when its turn comes is left out.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Call {
        who: usize,
        id: Id,
        hold: i64,
        tokens: (u64, u64),
        task: Option<u8>,
    },
    End {
        which: Index,
        cost: i64,
        usage: Option<(u64, u64)>,
        source: usize,
        status: usize,
        spooled: bool,
    },
    Deny {
        who: usize,
        id: Id,
    },
    Wait {
        micros: i64,
    },
    Declare {
        which: usize,
        limit: i64,
        other: bool,
    },
    Undeclare {
        which: usize,
    },
    Edit {
        which: usize,
        edit: usize,
        amount: i64,
        user: usize,
    },
    Ask {
        who: usize,
        id: Id,
    },
    Refuse {
        which: Index,
    },
    EndAsk {
        which: Index,
    },
    Load {
        alone: bool,
    },
    Remove {
        alone: bool,
    },
    Allow {
        amount: i64,
    },
    Release,
    Spooled {
        hold: i64,
    },
    Issue,
    Revoke {
        which: Index,
    },
    Policy,
    Admin,
    Accept,
}

/// Of a new action, or of one that waits.
pub(super) type Id = Option<Index>;

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..CREDENTIALS.len();
    let which = any::<Index>;
    let id = || prop::option::of(any::<Index>());
    let budget = || 0..BUDGETS.len();
    let tokens = || (0..900_u64, 0..400_u64);
    prop_oneof![
        8 => (who(), id(), 0..700_i64, tokens(), prop::option::of(0..3_u8))
            .prop_map(|(who, id, hold, tokens, task)| Step::Call { who, id, hold, tokens, task }),
        8 => (which(), 0..800_i64, prop::option::of(tokens()), 0..3_usize, 0..STATUSES.len(), any::<bool>())
            .prop_map(|(which, cost, usage, source, status, spooled)| {
                Step::End { which, cost, usage, source, status, spooled }
            }),
        2 => (who(), id()).prop_map(|(who, id)| Step::Deny { who, id }),
        2 => (0..50_000_000_000_i64).prop_map(|micros| Step::Wait { micros }),
        2 => (budget(), 0..3_000_i64, any::<bool>())
            .prop_map(|(which, limit, other)| Step::Declare { which, limit, other }),
        1 => budget().prop_map(|which| Step::Undeclare { which }),
        5 => (budget(), 0..5_usize, -5..3_000_i64, 0..3_usize)
            .prop_map(|(which, edit, amount, user)| Step::Edit { which, edit, amount, user }),
        2 => (who(), id()).prop_map(|(who, id)| Step::Ask { who, id }),
        1 => which().prop_map(|which| Step::Refuse { which }),
        1 => which().prop_map(|which| Step::EndAsk { which }),
        2 => any::<bool>().prop_map(|alone| Step::Load { alone }),
        1 => any::<bool>().prop_map(|alone| Step::Remove { alone }),
        4 => (1..400_i64).prop_map(|amount| Step::Allow { amount }),
        1 => Just(Step::Release),
        3 => (0..200_i64).prop_map(|hold| Step::Spooled { hold }),
        1 => Just(Step::Issue),
        1 => which().prop_map(|which| Step::Revoke { which }),
        1 => Just(Step::Policy),
        1 => Just(Step::Admin),
        1 => Just(Step::Accept),
    ]
}

const CREDENTIALS: [&str; 4] = ["ka", "ks", "kone", "ktwo"];
const BUDGETS: [&str; 7] = ["own", "team", "calls", "tokens", "output", "users", "tasks"];
const STATUSES: [Status; 4] = [Status::Ok, Status::Timeout, Status::Unreachable, Status::NotForwarded];

pub(super) fn name(alone: bool) -> &'static str {
    if alone { "alone" } else { "shared" }
}

/// A budget of each kind, declared in one of two ways.
fn spec(which: usize, limit: i64, other: bool) -> BudgetSpec {
    let rolling = |unit| Window::Rolling { unit };
    let plain = BudgetSpec {
        thresholds: if other { vec![50] } else { vec![10, 50, 90] },
        window: if other { rolling(Unit::Day) } else { calendar(Unit::Day) },
        ..budget_spec(BUDGETS[which], limit)
    };
    let select = |label, value: &str| Some(Selector::of(label, value));
    match BUDGETS[which] {
        "calls" => BudgetSpec {
            unit: Measure::Calls,
            limit: Amount(limit / 300),
            window: rolling(if other { Unit::Minute } else { Unit::Hour }),
            select: select(Label::Team, "data"),
            ..plain
        },
        "tokens" => BudgetSpec {
            unit: if other { Measure::InputTokens } else { Measure::Tokens },
            select: Some(Selector::default()),
            each: vec![Label::User],
            at_limit: AtLimit::Ask { wait_s: 60 },
            ..plain
        },
        "output" => BudgetSpec {
            unit: Measure::OutputTokens,
            window: if other { Window::Total } else { calendar(Unit::Year) },
            select: select(Label::Model, "claude-*"),
            ..plain
        },
        "users" => BudgetSpec {
            select: Some(Selector::default()),
            each: if other {
                vec![Label::User]
            } else {
                vec![Label::User, Label::Task]
            },
            ..plain
        },
        "tasks" => BudgetSpec {
            select: select(Label::Task, "task-1"),
            ..plain
        },
        _ => plain,
    }
}

/// What is declared at first, and what happens then.
pub(super) type History = (Vec<bool>, Vec<Step>);

/// A third of them begin without a budget that selects by itself, so that there are allowances.
pub(super) fn history(steps: Range<usize>) -> impl Strategy<Value = History> {
    let declared = prop_oneof![
        1 => Just(vec![true, true, false, false, false, false, false]),
        2 => prop::collection::vec(any::<bool>(), BUDGETS.len()),
    ];
    (declared, prop::collection::vec(step(), steps))
}

fn ground(declared: &[bool]) -> Log {
    let mut log = Log::furnished();
    for which in (0..BUDGETS.len()).filter(|which| declared[*which]) {
        log.push(loaded(spec(which, 1_500, false)));
    }
    log.push(allowed("alone", &["own"]));
    log.push(key_of("kone", "alone", Some("one")));
    log.push(key_of("ktwo", "shared", Some("two")));
    log
}

/// An agent with an allowance.
fn allowed(name: &str, budgets: &[&str]) -> Event {
    let Event::AgentLoaded { agent, by } = agent_loaded(name, budgets) else {
        unreachable!()
    };
    let allowance = Some(NanoUsd(300));
    let agent = AgentRecord { allowance, ..agent };
    Event::AgentLoaded { agent, by }
}

/// Grows a valid log. Whether a step is possible is for the fold to say, which leaves no trace of one that is not.
pub(super) fn grow((declared, steps): History) -> Log {
    let mut log = ground(&declared);
    for (number, step) in (10..).zip(steps) {
        let Some(event) = event(&mut log, number, step) else {
            continue;
        };
        let mut trial = log.state.clone();
        match trial.apply(&log.next(event.clone())) {
            Ok(()) => drop(log.push(event)),
            Err(error) => assert_eq!(trial, log.state, "refused with {error}, but changed: {event:?}"),
        }
    }
    log
}

fn event(log: &mut Log, number: u8, step: Step) -> Option<Event> {
    let waiting: Vec<Attempt> = log.state.asks.keys().copied().collect();
    let pick = |which: Index| (!waiting.is_empty()).then(|| waiting[which.index(waiting.len())]);
    let attempt = |id: Id| id.and_then(pick).unwrap_or(first(action_id(number)));
    match step {
        Step::Call {
            who,
            id,
            hold,
            tokens,
            task,
        } => {
            let Attempt { action, number } = attempt(id);
            let (input, output) = tokens;
            let action = Action {
                task: task.map(|task| format!("task-{task}")),
                ..log.action_by(CREDENTIALS[who], action)
            };
            let intent = log.intent_of(action, hold, Tokens { input, output })?;
            Some(Event::Intent(Intent {
                attempt: number,
                ..intent
            }))
        }
        Step::End {
            which,
            cost,
            usage,
            source,
            status,
            spooled,
        } => {
            let mut open: Vec<&Attempt> = log.state.open.keys().collect();
            open.sort_unstable();
            let attempt = (!open.is_empty()).then(|| *open[which.index(open.len())])?;
            let usage = usage.map(|(input, output)| Usage {
                input,
                output,
                ..Usage::default()
            });
            let source = [UsageSource::Provider, UsageSource::Hold, UsageSource::Nothing][source];
            let status = STATUSES[status];
            let spooled = spooled.then_some(at(log.now));
            Some(Event::Outcome(Outcome {
                usage,
                source,
                status,
                spooled,
                ..log.outcome(attempt, cost)
            }))
        }
        Step::Deny { who, id } => Some(Event::Denial(Denial {
            action: log.action_by(CREDENTIALS[who], attempt(id).action),
            ..denial()
        })),
        Step::Wait { micros } => {
            log.now += micros;
            None
        }
        Step::Declare { which, limit, other } => Some(loaded(spec(which, limit, other))),
        Step::Undeclare { which } => Some(Event::BudgetRemoved {
            budget: budget(BUDGETS[which]),
            note: String::new(),
            by: by(),
        }),
        Step::Edit {
            which,
            edit,
            amount,
            user,
        } => edit_of(log, which, edit, Amount(amount), user),
        Step::Ask { who, id } => {
            let Attempt { action, number } = attempt(id);
            let over = Over {
                budget: budget("tokens"),
                unit: Measure::Tokens,
                ..asked().over
            };
            Some(Event::Asked(Asked {
                action: log.action_by(CREDENTIALS[who], action),
                attempt: number,
                over,
                until: at(log.now + 60_000_000),
                ..asked()
            }))
        }
        Step::Refuse { which } => pick(which).map(|Attempt { action, number }| {
            let note = "no".to_owned();
            Event::AskRefused(AskRefused {
                action,
                attempt: number,
                note,
                by: by(),
            })
        }),
        Step::EndAsk { which } => pick(which).map(|Attempt { action, number }| {
            let end = AskEnd::Lost;
            Event::AskEnded(AskEnded {
                action,
                attempt: number,
                end,
            })
        }),
        step => change(log, number, step),
    }
}

fn edit_of(log: &Log, which: usize, edit: usize, amount: Amount, user: usize) -> Option<Event> {
    let pot = Pot {
        budget: budget(BUDGETS[which]),
        of: ["one", "two"]
            .get(user)
            .map(|user| (*user).to_owned())
            .into_iter()
            .collect(),
    };
    let period = log.state.ledger.period(&pot, at(log.now)).ok()?;
    let Pot { of, .. } = pot;
    let edits = [
        Edit::Limit { limit: amount },
        Edit::DeclaredLimit {},
        Edit::Paused {},
        Edit::Resumed {},
        Edit::ToppedUp { amount, of, period },
    ];
    let Event::BudgetEdited {
        budget, edit, note, by, ..
    } = edited(BUDGETS[which], edits[edit].clone())
    else {
        unreachable!()
    };
    let unit = log.state.ledger.budget(&budget)?.unit;
    Some(Event::BudgetEdited {
        budget,
        unit,
        edit,
        note,
        by,
    })
}

fn change(log: &mut Log, number: u8, step: Step) -> Option<Event> {
    let alone = agent("alone");
    match step {
        Step::Load { alone } => Some(allowed(name(alone), &["own", "team"])),
        Step::Remove { alone } => Some(Event::AgentRemoved {
            agent: agent(name(alone)),
            by: by(),
        }),
        Step::Allow { amount } => {
            let pots = log.state.standing_pots(&alone)?;
            let amount = NanoUsd(amount);
            let bookings = log
                .state
                .ledger
                .admit(&pots, &Charge::of_money(amount), at(log.now))
                .ok()?;
            Some(Event::AllowanceHeld(Allowance {
                agent: alone,
                amount,
                bookings,
            }))
        }
        Step::Release => Some(Event::AllowanceReleased { agent: alone }),
        Step::Spooled { hold } => {
            let bookings = log.state.ledger.allowance(&alone)?.bookings.clone();
            let action = log.action("alone", action_id(number));
            Some(Event::Intent(Intent {
                action,
                attempt: 32_768,
                hold: NanoUsd(hold),
                bookings,
                spooled: Some(at(log.now)),
                ..intent()
            }))
        }
        Step::Issue => Some(key_issued(&format!("k{number}"), "alone")),
        Step::Revoke { which } => {
            let keys: Vec<_> = log.state.keys.keys().collect();
            let key = keys[which.index(keys.len())].clone();
            let note = String::new();
            Some(Event::KeyRevoked { key, note, by: by() })
        }
        Step::Policy => {
            let text = format!("// {number}");
            let file = "a.cedar".to_owned();
            let sha256 = None;
            log.push(Event::PolicyFile(PolicyFile { file, text, sha256 }));
            let files = vec![log.state.size - 1];
            let bundle = Digest([number; 32]);
            Some(Event::PolicyLoaded {
                bundle,
                files,
                by: by(),
            })
        }
        Step::Admin => {
            let admin = AdminRecord {
                name: by(),
                role: Role::Owner,
                verifier: Digest([number; 32]),
            };
            Some(Event::AdminAdded { admin, by: by() })
        }
        Step::Accept => Some(overrun_cleared()),
        step => unreachable!("{step:?}"),
    }
}
