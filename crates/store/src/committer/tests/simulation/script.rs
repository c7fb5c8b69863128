//! What happens next: drawn from a seed, by what is there.

use entry::{Action, AskRefused, Event, Status, Tokens};
use ledger::{Amount, Edit, Period, RateSpec, Unit, Window};
use model::{ActionId, AdminName, BudgetName, LimitName, NanoUsd, Reason, TenantName, Timestamp, Usage, UsageSource};

use super::{
    super::world::{self, budget_event, by},
    cast::{self, LIMITS, MODELS, OWN, RUNS, SELECTING, TASKS, TOOLS, UPSTREAMS, ZONES},
    oracle::{Oracle, windows::zone},
    random::Random,
};
use crate::{Ask, Denied, EditOrder, Ending, HoldRequest, db::faults::Fate};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// How many of the selecting budgets are edited most.
const EDITED: usize = 6;
/// With more holds open than that, more end.
const CROWD: usize = 150;

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// An attempt wants to be held, or comes again to hear what became of it.
    Hold(Box<HoldRequest>),
    /// An attempt ends, so.
    End(usize, Box<Ending>),
    /// The owner of a hold goes away: once the request had left, or before.
    Drop(usize, bool),
    /// Nobody waits for an administrator any more.
    Withdraw(usize),
    Deny(Box<Denied>),
    Change(Vec<Event>),
    Edit(BudgetName, EditOrder),
    /// The wall clock shows this.
    Clock(Timestamp),
    /// So much time passes by every clock.
    Pass(i64),
    /// What happened so far is to be written, and this comes of it.
    Commit(Fate),
    /// The process dies. What was not written may have landed.
    Crash(bool),
    Restart,
}

/// Who has what: what the callers know of.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// Attempts that are held.
    pub(super) held: Vec<HoldRequest>,
    /// Attempts that wait for an administrator.
    pub(super) waiting: Vec<HoldRequest>,
}

/// How a world is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) agents: usize,
    /// Whether time may go anywhere: a committer that watches its clocks stops at a jump of a day.
    pub(super) leaps: bool,
}

/// What is there before the first step, in the order in which it is loaded.
pub(super) fn setup(random: &mut Random, shape: Shape) -> Vec<Event> {
    let mut events: Vec<_> = (0..OWN)
        .map(|number| budget_event(cast::own_budget(random, number)))
        .collect();
    events.extend((0..SELECTING).map(|number| budget_event(cast::selecting_budget(random, number, shape.agents))));
    let mut limits: Vec<RateSpec> = Vec::new();
    for number in 0..LIMITS {
        limits.extend(cast::rate_limit(random, number, &limits, shape.agents));
    }
    let limits = limits.into_iter().map(|limit| Event::LimitLoaded { limit, by: by() });
    events.extend(limits);
    for number in 0..shape.agents {
        events.push(cast::agent(random, number));
        events.push(cast::key(random, number, false));
    }
    events
}

/// The next step. `wall` is what the clock on the wall shows, and `epoch` the one to decide under.
pub(super) fn step(
    random: &mut Random,
    shape: Shape,
    oracle: &Oracle,
    hands: &Hands,
    wall: Timestamp,
    epoch: u64,
) -> Step {
    match random.below(1_000) {
        0..900 if hands.held.len() > CROWD && random.chance(1, 2) => end(random, hands),
        0..400 => Step::Hold(Box::new(request(random, shape, oracle, epoch))),
        400..430 => another_attempt(random, oracle, hands, epoch)
            .unwrap_or_else(|| Step::Hold(Box::new(request(random, shape, oracle, epoch)))),
        430..730 => end(random, hands),
        730..750 if !hands.held.is_empty() => Step::Drop(random.below(hands.held.len()), random.chance(1, 2)),
        750..790 => come_again(random, hands, epoch),
        790..797 if !hands.waiting.is_empty() => Step::Withdraw(random.below(hands.waiting.len())),
        797..803 => Step::Deny(Box::new(denied(random, shape, oracle))),
        803..820 => edit(random, oracle),
        820..830 => change(random, shape, oracle, hands),
        830..900 => clock(random, shape, oracle, wall),
        900..996 => Step::Commit(match random.below(200) {
            0 => Fate::Fails,
            1 => Fate::FailsButLands,
            _ => Fate::Works,
        }),
        996 if random.chance(1, 3) => Step::Crash(random.chance(1, 2)),
        997 if random.chance(1, 4) => Step::Restart,
        _ => Step::Pass(random.sized(20)),
    }
}

fn action(random: &mut Random, shape: Shape, oracle: &Oracle) -> Action {
    let number = random.skewed(shape.agents);
    let some = |random: &mut Random, times: usize, name: &str, of: usize| {
        random.chance(times, 10).then(|| format!("{name}-{}", random.below(of)))
    };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random.next().to_be_bytes());
    Action {
        id: ActionId::new(oracle.now, bytes),
        agent: cast::agent_name(number),
        seq: 0,
        key: cast::key_name(number, false),
        user: cast::user_of(number),
        run: some(random, 4, "run", RUNS),
        task: some(random, 5, "task", TASKS),
        name: "llm:generate".to_owned(),
        upstream: cast::upstream(UPSTREAMS[random.below(UPSTREAMS.len())]),
        model: (*random.pick(&MODELS)).to_owned(),
    }
}

fn request(random: &mut Random, shape: Shape, oracle: &Oracle, epoch: u64) -> HoldRequest {
    let action = action(random, shape, oracle);
    let tools = (0..random.below(4))
        .map(|_| (*random.pick(&TOOLS)).to_owned())
        .collect();
    let tenant = TenantName::default_tenant();
    let request = HoldRequest {
        ask: Ask { tenant, action },
        tools,
        may_wait: random.chance(9, 10),
        ..world::request(0, 0, epoch)
    };
    amounts(random, oracle, request)
}

/// What an attempt may cost at most.
fn amounts(random: &mut Random, oracle: &Oracle, request: HoldRequest) -> HoldRequest {
    let model = (
        request.ask.action.upstream.to_string(),
        request.ask.action.model.clone(),
    );
    let limit = if random.chance(1, 20) { 0 } else { 100 };
    // Sometimes it was decided before the model was known not to keep to limits.
    let distrusted = oracle.distrusted.contains(&model) && random.chance(19, 20);
    let epoch = request.epoch.saturating_sub(u64::from(random.chance(1, 100)));
    HoldRequest {
        epoch,
        limit,
        bound: (distrusted || random.chance(1, 50)).then_some(200),
        amount: NanoUsd(random.sized(12)),
        tokens: Tokens {
            input: u64::try_from(random.sized(10)).unwrap(),
            output: u64::try_from(random.sized(9)).unwrap(),
        },
        lifetime_us: random.from(SECOND, 900 * SECOND),
        ..request
    }
}

fn another_attempt(random: &mut Random, oracle: &Oracle, hands: &Hands, epoch: u64) -> Option<Step> {
    let held = hands.held.get(random.below(hands.held.len().max(1)))?.clone();
    let known = oracle.agents.get(held.ask.action.agent.as_str());
    let there = known.is_some_and(|agent| agent.record.is_some());
    let next = HoldRequest {
        attempt: oracle.next_attempt(held.ask.action.id),
        epoch,
        ..held
    };
    there.then(|| Step::Hold(Box::new(amounts(random, oracle, next))))
}

fn come_again(random: &mut Random, hands: &Hands, epoch: u64) -> Step {
    if hands.waiting.is_empty() {
        return Step::Pass(random.sized(24));
    }
    let waiting = random.pick(&hands.waiting).clone();
    let may_wait = random.chance(9, 10);
    Step::Hold(Box::new(HoldRequest {
        epoch,
        may_wait,
        ..waiting
    }))
}

fn end(random: &mut Random, hands: &Hands) -> Step {
    if hands.held.is_empty() {
        return Step::Pass(random.sized(20));
    }
    let which = random.below(hands.held.len());
    let held = &hands.held[which];
    let part = |random: &mut Random, of: i64| random.from(0, of);
    let (money, input, output) = (
        held.amount.0,
        i64::try_from(held.tokens.input).unwrap(),
        i64::try_from(held.tokens.output).unwrap(),
    );
    let tokens = |input: i64, output: i64| Usage {
        input: u64::try_from(input).unwrap(),
        output: u64::try_from(output).unwrap(),
        ..Usage::default()
    };
    let ending = |status, source, cost: i64, usage| Ending {
        source,
        cost: NanoUsd(cost),
        usage,
        ..Ending::unused(status)
    };
    use UsageSource::{Hold, Provider};
    let ending = match random.below(100) {
        0..50 => {
            let usage = tokens(part(random, input), part(random, output));
            ending(Status::Ok, Provider, part(random, money), Some(usage))
        }
        50..65 => ending(Status::Ok, Provider, money, Some(tokens(input, output))),
        65..67 => ending(
            Status::Cut,
            Provider,
            money + 1 + random.sized(12),
            Some(tokens(input, output)),
        ),
        67..69 => ending(
            Status::Ok,
            Provider,
            money,
            Some(tokens(input + random.sized(8), output + 1 + random.sized(8))),
        ),
        69..75 => ending(Status::UpstreamError, Provider, 0, None),
        75..85 => Ending::unused(*random.pick(&[Status::NotForwarded, Status::Unreachable, Status::UpstreamError])),
        85..92 => Ending::unknown(Status::Indeterminate, held.amount),
        92..96 => ending(
            Status::Timeout,
            Hold,
            money,
            Some(tokens(part(random, input), output + 1)),
        ),
        _ => ending(Status::ClientGone, Hold, money, None),
    };
    Step::End(which, Box::new(ending))
}

fn denied(random: &mut Random, shape: Shape, oracle: &Oracle) -> Denied {
    let action = action(random, shape, oracle);
    let tenant = TenantName::default_tenant();
    Denied {
        ask: Ask { tenant, action },
        reason: Reason::PolicyDenied,
        why: None,
        input: None,
    }
}

/// Half the time one of a few, so that much happens to the same.
fn some_budget(random: &mut Random, oracle: &Oracle) -> BudgetName {
    if random.chance(1, 2) {
        return BudgetName::new(&format!("selecting-{}", random.below(EDITED))).unwrap();
    }
    let names: Vec<_> = oracle.budgets.keys().collect();
    BudgetName::new(names[random.below(names.len())]).unwrap()
}

fn edit(random: &mut Random, oracle: &Oracle) -> Step {
    // Often it is the one that refused last, and mostly that needs more.
    let refused = oracle.refused.clone().filter(|_| random.chance(1, 2));
    let name = refused.clone().unwrap_or_else(|| some_budget(random, oracle));
    let budget = &oracle.budgets[name.as_str()];
    let limit = i64::try_from(budget.limit()).unwrap();
    let order = match random.below(10) {
        _ if refused.is_some() && !budget.paused && random.chance(1, 2) => Edit::Limit {
            limit: Amount(limit + (1 << 18)),
        },
        0 | 1 => Edit::Limit {
            limit: cast::limit(random),
        },
        2 => Edit::Limit {
            limit: Amount(limit / 2),
        },
        3 => Edit::Limit {
            limit: Amount(limit + random.sized(16)),
        },
        4 => Edit::DeclaredLimit {},
        // A pause is soon over, or everything stands still.
        _ if budget.paused => Edit::Resumed {},
        5 => Edit::Paused {},
        _ => {
            let pots: Vec<_> = budget.pots.keys().collect();
            let of = if pots.is_empty() {
                Vec::new()
            } else {
                random.pick(&pots).to_vec()
            };
            let amount = Amount(random.sized(16));
            return Step::Edit(name, EditOrder::TopUp { amount, of });
        }
    };
    Step::Edit(name, EditOrder::Plain(order))
}

fn change(random: &mut Random, shape: Shape, oracle: &Oracle, hands: &Hands) -> Step {
    let agent = random.skewed(shape.agents);
    let agent_removed = |number| Event::AgentRemoved {
        agent: cast::agent_name(number),
        by: by(),
    };
    let events = match random.below(18) {
        0..3 | 16 | 17 => vec![redefined(random, shape, oracle)],
        3 => vec![budget_event(cast::own_budget(random, agent % OWN))],
        4 => vec![removed(some_budget(random, oracle))],
        5 => vec![agent_removed(agent)],
        6 => vec![cast::agent(random, agent)],
        7 => {
            let key = cast::key_name(agent, random.chance(1, 2));
            vec![Event::KeyRevoked {
                key,
                note: String::new(),
                by: by(),
            }]
        }
        8 => vec![cast::agent(random, agent), cast::key(random, agent, true)],
        9 => {
            let specs: Vec<_> = oracle.limits.all.values().map(|limit| limit.spec.clone()).collect();
            let number = random.below(LIMITS);
            let spec = cast::rate_limit(random, number, &specs, shape.agents);
            spec.into_iter()
                .map(|limit| Event::LimitLoaded { limit, by: by() })
                .collect()
        }
        10 if random.chance(1, 3) && !oracle.limits.all.is_empty() => {
            let names: Vec<_> = oracle.limits.all.keys().collect();
            let limit = LimitName::new(names[random.below(names.len())]).unwrap();
            vec![Event::LimitRemoved { limit, by: by() }]
        }
        // Whole or not at all: the last cannot be.
        11 => vec![
            agent_removed(agent),
            redefined(random, shape, oracle),
            agent_removed(shape.agents),
        ],
        12 if !hands.waiting.is_empty() => vec![refused(random, hands)],
        13 if !hands.waiting.is_empty() => vec![refused(random, hands)],
        _ => cleared(random, oracle).into_iter().collect(),
    };
    Step::Change(events)
}

/// A budget of a known name under new terms, or all but one as they were.
fn redefined(random: &mut Random, shape: Shape, oracle: &Oracle) -> Event {
    let among = if random.chance(1, 2) { EDITED } else { SELECTING };
    let number = random.below(among);
    let drawn = cast::selecting_budget(random, number, shape.agents);
    let Some(known) = oracle.budgets.get(drawn.name.as_str()) else {
        return budget_event(drawn);
    };
    let mut spec = known.spec.clone();
    match random.below(6) {
        0 => spec = drawn,
        1 => spec.limit = drawn.limit,
        // Often back to one that it had lately.
        2 | 5 => {
            spec.window = if random.chance(1, 2) {
                cast::common_window(random)
            } else {
                drawn.window
            }
        }
        3 => spec.select = drawn.select,
        _ => (spec.thresholds, spec.at_limit) = (drawn.thresholds, drawn.at_limit),
    }
    budget_event(spec)
}

fn removed(budget: BudgetName) -> Event {
    let note = String::new();
    Event::BudgetRemoved { budget, note, by: by() }
}

fn refused(random: &mut Random, hands: &Hands) -> Event {
    let name = random.pick(&hands.waiting).name();
    Event::AskRefused(AskRefused {
        action: name.action,
        attempt: name.number,
        note: "no".to_owned(),
        by: AdminName::new("ada").unwrap(),
    })
}

fn cleared(random: &mut Random, oracle: &Oracle) -> Option<Event> {
    let distrusted: Vec<_> = oracle.distrusted.iter().collect();
    let at = random.below(distrusted.len().max(1));
    let (upstream, model) = distrusted.get(at)?;
    Some(Event::OverrunCleared {
        upstream: cast::upstream(upstream),
        model: model.clone(),
        note: "accepted".to_owned(),
        by: by(),
    })
}

/// Time goes on: mostly a little, now and then far, and often to where a window ends or a clock is changed.
fn clock(random: &mut Random, shape: Shape, oracle: &Oracle, wall: Timestamp) -> Step {
    let to = |micros: i64| Step::Clock(wall.saturating_add_micros(micros));
    match random.below(if shape.leaps { 100 } else { 60 }) {
        0..40 => to(random.sized(22)),
        40..50 => to(-random.sized(32)),
        50..60 => to(random.sized(28)),
        60..70 => to(random.sized(34)),
        70 => to(random.from(0, 20) * DAY),
        71 => to(random.from(0, 100) * DAY),
        72..97 => Step::Clock(edge(random, oracle)),
        _ => Step::Clock(summer_time(random, oracle)),
    }
}

/// Just before, at or after the next end of some budget's window.
fn edge(random: &mut Random, oracle: &Oracle) -> Timestamp {
    let name = some_budget(random, oracle);
    let window = &oracle.budgets[name.as_str()].spec.window;
    let far = matches!(
        window,
        Window::Calendar {
            unit: Unit::Year | Unit::Month,
            ..
        }
    ) && random.chance(9, 10);
    let window = if far { cast::window(random) } else { window.clone() };
    let end = match window.period(oracle.now) {
        Ok(Period { end, .. }) if end != Timestamp::MAX && end.micros_since(oracle.now) < 40 * DAY => end,
        _ => oracle.now,
    };
    end.saturating_add_micros(random.from(-1, 1))
}

/// Near the next change of the clock of some zone.
fn summer_time(random: &mut Random, oracle: &Oracle) -> Timestamp {
    let now = jiff::Timestamp::from_microsecond(oracle.now.unix_micros()).unwrap();
    let zone = zone(ZONES[random.below(ZONES.len())]);
    let change = zone
        .following(now)
        .next()
        .map(|change| change.timestamp().as_microsecond());
    let change = change
        .filter(|_| random.chance(1, 4))
        .unwrap_or(oracle.now.unix_micros());
    let hours = random.from(-2, 2) * 1_800 * SECOND;
    Timestamp::from_unix_micros(change + hours + random.from(-1, 1))
}
