//! Who is in a simulated world: agents and their credentials, users, models, budgets and rate limits.

use entry::{AgentRecord, Event, KeyRecord};
use ledger::{
    Amount, AtLimit, BudgetSpec, Label, Measure, Per, Rate, RateSpec, Selector, THRESHOLDS, Unit, Window, check_rates,
};
use model::{AgentName, BudgetName, Digest, KeyId, LimitName, Pseudonym, Tier, UpstreamName};

use super::{super::world::by, random::Random};

/// How many there are of what has no list of its own.
const USERS: usize = 60;
pub(super) const RUNS: usize = 200;
pub(super) const TASKS: usize = 12;
const TEAMS: usize = 30;
const PRODUCTS: usize = 14;
/// Budgets that agents name.
pub(super) const OWN: usize = 150;
/// Budgets that select.
pub(super) const SELECTING: usize = 32;
/// Rate limits.
pub(super) const LIMITS: usize = 12;

const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];
pub(super) const UPSTREAMS: [&str; 4] = ["openai", "anthropic", "azure-eu", "own"];
pub(super) const MODELS: [&str; 8] = [
    "gpt-4o",
    "gpt-4o-mini",
    "o4-mini",
    "claude-opus",
    "claude-sonnet",
    "claude-haiku",
    "llama-70b",
    "qwen",
];
pub(super) const TOOLS: [&str; 8] = [
    "search",
    "shell",
    "browser",
    "browser.click",
    "mail.send",
    "mail.read",
    "sql",
    "files",
];
pub(super) const TIERS: [Tier; 4] = [Tier::Interactive, Tier::Background, Tier::SubAgent, Tier::Api];
const UNITS: [Unit; 6] = [Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];
const MEASURES: [Measure; 5] = [
    Measure::Money,
    Measure::Tokens,
    Measure::InputTokens,
    Measure::OutputTokens,
    Measure::Calls,
];
/// With no, whole and half hours of summer time, changes at midnight, and offsets that are not whole hours.
pub(super) const ZONES: [&str; 13] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Chatham",
];

pub(super) fn agent_name(number: usize) -> AgentName {
    AgentName::new(&format!("agent-{number}")).unwrap()
}

/// Every agent has two credentials, of which the second is rarely used.
pub(super) fn key_name(number: usize, second: bool) -> KeyId {
    let letter = if second { "b" } else { "a" };
    KeyId::new(&format!("key-{number}{letter}")).unwrap()
}

fn user(number: usize) -> Pseudonym {
    Pseudonym(format!("user-{number}"))
}

/// On whose behalf an agent acts, if on anybody's.
pub(super) fn user_of(agent: usize) -> Option<Pseudonym> {
    (!agent.is_multiple_of(4)).then(|| user(agent % USERS))
}

pub(super) fn upstream(name: &str) -> UpstreamName {
    UpstreamName::new(name).unwrap()
}

fn own(number: usize) -> BudgetName {
    BudgetName::new(&format!("own-{number}")).unwrap()
}

/// An agent's manifest, drawn anew each time.
pub(super) fn agent(random: &mut Random, number: usize) -> Event {
    let first = own(number % OWN);
    let mut budgets = vec![first];
    if random.chance(1, 5) {
        let second = own(random.below(OWN));
        if !budgets.contains(&second) {
            budgets.push(second);
        }
    }
    let agent = AgentRecord {
        name: agent_name(number),
        owner: user(number % USERS),
        team: format!("team-{}", number % TEAMS),
        product: format!("product-{}", random.below(PRODUCTS)),
        environment: (*random.pick(&ENVIRONMENTS)).to_owned(),
        purpose: "Simulated".to_owned(),
        budgets,
        output_limit: None,
        allowance: None,
    };
    Event::AgentLoaded { agent, by: by() }
}

pub(super) fn key(random: &mut Random, number: usize, second: bool) -> Event {
    let key = KeyRecord {
        id: key_name(number, second),
        agent: agent_name(number),
        label: String::new(),
        verifier: Digest([7; 32]),
        tier: *random.pick(&TIERS),
        user: user_of(number),
        upstreams: Vec::new(),
        models: Vec::new(),
        expires: None,
    };
    Event::KeyIssued { key, by: by() }
}

pub(super) fn window(random: &mut Random) -> Window {
    match random.below(10) {
        0..6 => Window::Calendar {
            unit: *random.pick(&UNITS),
            zone: (*random.pick(&ZONES)).to_owned(),
        },
        6..9 => Window::Rolling {
            unit: *random.pick(&UNITS),
        },
        _ => Window::Total,
    }
}

/// One of few windows.
pub(super) fn common_window(random: &mut Random) -> Window {
    match random.below(4) {
        0 => Window::Rolling { unit: Unit::Minute },
        1 => Window::Rolling { unit: Unit::Hour },
        number => Window::Calendar {
            unit: if number == 2 { Unit::Hour } else { Unit::Day },
            zone: "Australia/Lord_Howe".to_owned(),
        },
    }
}

/// A value of a label as some request has it, or some with one beginning.
fn value(random: &mut Random, label: Label, agents: usize) -> String {
    let numbered = |name: &str, number: usize| format!("{name}-{number}");
    let value = match label {
        Label::Tenant => "default".to_owned(),
        Label::Environment => (*random.pick(&ENVIRONMENTS)).to_owned(),
        Label::Product => numbered("product", random.below(PRODUCTS)),
        Label::Team => numbered("team", random.below(TEAMS)),
        Label::Tier => random.pick(&TIERS).as_str().to_owned(),
        Label::Upstream => (*random.pick(&UPSTREAMS)).to_owned(),
        Label::Model => (*random.pick(&MODELS)).to_owned(),
        Label::Tool => (*random.pick(&TOOLS)).to_owned(),
        Label::Task => numbered("task", random.below(TASKS)),
        Label::Agent => numbered("agent", random.skewed(agents)),
        Label::Run => numbered("run", random.below(RUNS)),
        Label::User => numbered("user", random.below(USERS)),
    };
    if random.chance(1, 5) {
        // With the name of the label, or all of it but the last letter.
        let kept = if random.chance(1, 8) {
            value.len() / 2
        } else {
            value.len() - 1
        };
        return format!("{}*", &value[..kept]);
    }
    value
}

fn selector(random: &mut Random, most: usize, agents: usize) -> Selector {
    let mut selector = Selector::default();
    let count = if random.chance(1, 12) {
        0
    } else {
        1 + random.below(most)
    };
    for _ in 0..count {
        let label = *random.pick(&Label::ALL);
        let count = 1 + random.below(3);
        let values = (0..count).map(|_| value(random, label, agents)).collect();
        selector.set(label, values);
    }
    selector
}

fn each(random: &mut Random) -> Vec<Label> {
    const EACH: [Label; 9] = [
        Label::User,
        Label::Agent,
        Label::Team,
        Label::Model,
        Label::Tier,
        Label::Run,
        Label::Task,
        Label::Product,
        Label::Upstream,
    ];
    let mut each = Vec::new();
    for _ in 0..*random.pick(&[0, 0, 0, 1, 1, 2]) {
        let label = *random.pick(&EACH);
        if !each.contains(&label) {
            each.push(label);
        }
    }
    each
}

fn spec(random: &mut Random, name: BudgetName, select: Option<Selector>, each: Vec<Label>) -> BudgetSpec {
    let thresholds = *random.pick(&[&THRESHOLDS[..], &THRESHOLDS[..], &[], &[1, 100], &[33, 66, 100]]);
    BudgetSpec {
        name,
        limit: limit(random),
        window: window(random),
        unit: *random.pick(&MEASURES),
        select,
        each,
        thresholds: thresholds.to_vec(),
        at_limit: match random.below(2) {
            0 => AtLimit::Ask {
                wait_s: u32::try_from(random.from(1, 900)).unwrap(),
            },
            _ => AtLimit::Deny,
        },
    }
}

/// What a budget allows: anything from nothing to more than is ever asked for. Few are so small that nothing gets through.
pub(super) fn limit(random: &mut Random) -> Amount {
    let least = if random.chance(19, 20) { 20_000 } else { 0 };
    Amount(least + random.sized(24))
}

pub(super) fn own_budget(random: &mut Random, number: usize) -> BudgetSpec {
    let each = if random.chance(1, 8) {
        vec![Label::Agent]
    } else {
        Vec::new()
    };
    spec(random, own(number), None, each)
}

pub(super) fn selecting_budget(random: &mut Random, number: usize, agents: usize) -> BudgetSpec {
    let name = BudgetName::new(&format!("selecting-{number}")).unwrap();
    let selector = selector(random, 3, agents);
    let each = each(random);
    spec(random, name, Some(selector), each)
}

/// A rate limit that can stand beside these; `None` if what was drawn cannot.
pub(super) fn rate_limit(random: &mut Random, number: usize, others: &[RateSpec], agents: usize) -> Option<RateSpec> {
    let rate = |random: &mut Random| Rate {
        measure: *random.pick(&MEASURES),
        limit: Amount(1 + random.sized(24)),
        per: *random.pick(&[Per::Second, Per::Minute, Per::Hour]),
        burst: Amount(if random.chance(9, 10) { 1_000 } else { 1 } + random.sized(20)),
    };
    let name = LimitName::new(&format!("limit-{number}")).unwrap();
    let spec = RateSpec {
        name: name.clone(),
        group: (*random.pick(&["", "", "second"])).to_owned(),
        select: selector(random, 2, agents),
        each: each(random),
        rates: (0..=random.below(2)).map(|_| rate(random)).collect(),
    };
    let mut all: Vec<_> = others.iter().filter(|other| other.name != name).cloned().collect();
    all.push(spec.clone());
    check_rates(&all).is_ok().then_some(spec)
}
