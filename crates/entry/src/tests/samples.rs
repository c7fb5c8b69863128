//! A sample of every event.

use std::collections::BTreeMap;

use ledger::{Amount, Booking, BudgetSpec, Edit, Measure, Reached, Unit, Window};
use model::{
    ActionId, AdminName, AgentName, BudgetName, Digest, KeyId, NanoUsd, Pseudonym, Reason, Tier, Timestamp,
    UpstreamName, Usage, UsageSource,
};

use super::{decisions::decision_events, evidence::evidence_events, more::over, rules::rule_events};
use crate::{
    Action, AdminRecord, AgentRecord, Allowance, AskEnd, AskEnded, AskRefused, Asked, Declared, Denial, Event, Intent,
    KeyRecord, Outcome, Over, Overrun, PolicyFile, PriceRecord, Replay, Role, SpoolApplied, Status, ThresholdReached,
    UpstreamRecord, Why,
};

/// 2026-09-21T12:00:00Z.
pub(super) const NOON: i64 = 1_789_992_000_000_000;

pub(super) fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

pub(super) fn by() -> AdminName {
    AdminName::new("ada").unwrap()
}

pub(super) fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

pub(super) fn budget(name: &str) -> BudgetName {
    BudgetName::new(name).unwrap()
}

pub(super) fn key(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(super) fn action_id(number: u8) -> ActionId {
    ActionId::new(at(NOON), [number; 10])
}

pub(super) fn budget_spec(name: &str, limit: i64) -> BudgetSpec {
    BudgetSpec::money(budget(name), NanoUsd(limit), calendar(Unit::Day))
}

pub(super) fn calendar(unit: Unit) -> Window {
    Window::Calendar {
        unit,
        zone: "Europe/Berlin".to_owned(),
    }
}

pub(super) fn budget_loaded(name: &str, limit: i64) -> Event {
    loaded(budget_spec(name, limit))
}

pub(super) fn loaded(budget: BudgetSpec) -> Event {
    let declared = Declared::Files;
    Event::BudgetLoaded {
        budget,
        declared,
        note: String::new(),
        by: by(),
    }
}

pub(super) fn agent_loaded(name: &str, budgets: &[&str]) -> Event {
    let agent = AgentRecord {
        name: agent(name),
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        team: "data".to_owned(),
        product: "reports".to_owned(),
        environment: "production".to_owned(),
        purpose: "Writes the nightly sales report".to_owned(),
        budgets: budgets.iter().map(|name| budget(name)).collect(),
        output_limit: None,
        allowance: None,
    };
    Event::AgentLoaded { agent, by: by() }
}

pub(super) fn key_issued(id: &str, owner: &str) -> Event {
    key_of(id, owner, None)
}

/// A credential that acts for a user.
pub(super) fn key_of(id: &str, owner: &str, user: Option<&str>) -> Event {
    let key = KeyRecord {
        id: key(id),
        agent: agent(owner),
        label: "laptop".to_owned(),
        verifier: Digest([7; 32]),
        tier: Tier::Background,
        user: user.map(|user| Pseudonym(user.to_owned())),
        upstreams: Vec::new(),
        models: Vec::new(),
        expires: None,
    };
    Event::KeyIssued { key, by: by() }
}

/// An action as a busy deployment has it: a credential bound to a user, a run and a task named.
pub(super) fn action(id: ActionId, seq: u64) -> Action {
    Action {
        id,
        agent: agent("nightly-report"),
        seq,
        key: key("k7f3a9c2e1b4d"),
        user: Some(Pseudonym("4e07408562bedb8b60ce05c1decfe3ad".to_owned())),
        run: Some("2026-09-21-nightly".to_owned()),
        task: Some("summarise".to_owned()),
        name: "llm:generate".to_owned(),
        upstream: UpstreamName::new("anthropic").unwrap(),
        model: "claude-sonnet-4-5-20250929".to_owned(),
    }
}

pub(super) fn why() -> Why {
    Why {
        bundle: 41,
        policies: vec!["nightly-report-models".to_owned()],
    }
}

/// An intent in one budget; its booking is that of a day in Berlin.
pub(super) fn intent() -> Intent {
    let budget = budget_spec("nightly-report", 5_000_000_000);
    Intent {
        action: action(action_id(1), 18_204),
        attempt: 0,
        why: why(),
        prices: 39,
        stream: true,
        limit: 4_096,
        bound: None,
        bytes: 28_411,
        request: "q1Wl8jvU0mZf0Qx9g2cT3r5k7pNn4bYyHs6aDdEeFfG".to_owned(),
        hold: NanoUsd(146_673_000),
        tokens: None,
        tools: Vec::new(),
        tool_count: 0,
        step: None,
        result_step: None,
        bookings: vec![Booking {
            period: budget.window.period(at(NOON)).unwrap(),
            of: Vec::new(),
            used: Amount(1_204_300_500),
            limit: budget.limit,
            budget: budget.name,
        }],
        expires: at(NOON + 960_000_000),
        boot: 12,
        idempotency: None,
        spooled: None,
    }
}

/// An outcome with the figures providers give today.
pub(super) fn outcome() -> Outcome {
    Outcome {
        action: action_id(1),
        attempt: 0,
        intent: 184_467,
        status: Status::Ok,
        http: Some(200),
        usage: Some(Usage {
            input: 7_102,
            cache_read: 5_120,
            cache_write: 0,
            cache_write_1h: 0,
            output: 1_822,
            reasoning: 640,
            ..Usage::default()
        }),
        source: UsageSource::Provider,
        cost: NanoUsd(50_172_000),
        overrun: NanoUsd::ZERO,
        duration_us: 18_422_113,
        bytes: 41_870,
        reply: "q1Wl8jvU0mZf0Qx9g2cT3r5k7pNn4bYyHs6aDdEeFfG".to_owned(),
        provider_id: Some("msg_01XFDUDYJgAACzvnptvVoYEL".to_owned()),
        spooled: None,
    }
}

pub(super) fn denial() -> Denial {
    Denial {
        action: action(action_id(2), 18_205),
        reason: Reason::BudgetExhausted,
        why: Some(why()),
        over: Some(Over {
            budget: budget("nightly-report"),
            of: Vec::new(),
            unit: Measure::Money,
            limit: Amount(5_000_000_000),
            spent: Amount(4_870_112_500),
            held: Amount(101_000_000),
            asked: Amount(146_673_000),
            closed: None,
        }),
        limited: None,
        breaker: None,
        input: None,
    }
}

pub(super) fn overrun() -> Overrun {
    Overrun {
        action: action_id(1),
        attempt: 0,
        outcome: 184_466,
        agent: agent("nightly-report"),
        upstream: UpstreamName::new("anthropic").unwrap(),
        model: "claude-sonnet-4-5-20250929".to_owned(),
        held: NanoUsd(146_673_000),
        booked: NanoUsd(150_000_000),
        limit: 4_096,
        bound: None,
        tokens_held: None,
        tokens: None,
    }
}

/// What lets the model of the samples be trusted again.
pub(super) fn overrun_cleared() -> Event {
    let Overrun { upstream, model, .. } = overrun();
    Event::OverrunCleared {
        upstream,
        model,
        note: "the provider refunded it".to_owned(),
        by: by(),
    }
}

/// An upstream of which nothing special was configured.
pub(super) fn upstream_record() -> UpstreamRecord {
    UpstreamRecord {
        name: UpstreamName::new("anthropic").unwrap(),
        kind: "anthropic".to_owned(),
        base_url: "https://api.anthropic.com".to_owned(),
        prices: "anthropic".to_owned(),
        honours_output_limit: true,
        path: None,
        paths: BTreeMap::new(),
        query: String::new(),
        headers: BTreeMap::new(),
        models: BTreeMap::new(),
        azure_paths: false,
        private_network: false,
        proxy: None,
        http2: None,
        ca: None,
        client_certificate: None,
    }
}

/// One event of every kind.
pub(super) fn every_event() -> Vec<Event> {
    let admin = AdminRecord {
        name: AdminName::new("grace").unwrap(),
        role: Role::Approver,
        verifier: Digest([9; 32]),
    };
    vec![
        Event::Intent(intent()),
        Event::Outcome(outcome()),
        Event::Denial(denial()),
        Event::Replay(Replay {
            action: action(action_id(3), 18_206),
            why: why(),
            of: action_id(1),
        }),
        agent_loaded("nightly-report", &["nightly-report", "data-team"]),
        Event::AgentRemoved {
            agent: agent("nightly-report"),
            by: by(),
        },
        budget_loaded("nightly-report", 5_000_000_000),
        Event::PolicyFile(PolicyFile {
            file: "policies/nightly.cedar".to_owned(),
            text: "@id(\"all\")\npermit (principal, action, resource);\n".to_owned(),
            sha256: None,
        }),
        Event::PolicyLoaded {
            bundle: Digest([1; 32]),
            files: vec![39, 40],
            by: by(),
        },
        Event::PricesLoaded {
            book: Digest([2; 32]),
            overrides: vec![PriceRecord {
                provider: "local".to_owned(),
                model: "llama".to_owned(),
                prices: [("input".to_owned(), "0.1".to_owned())].into(),
            }],
            by: by(),
        },
        Event::UpstreamsLoaded {
            upstreams: vec![upstream_record()],
            by: by(),
        },
        key_issued("k7f3a9c2e1b4d", "nightly-report"),
        Event::KeyRevoked {
            key: key("k7f3a9c2e1b4d"),
            note: "laptop lost".to_owned(),
            by: by(),
        },
        Event::AdminAdded { admin, by: by() },
        Event::AdminRemoved {
            admin: AdminName::new("grace").unwrap(),
            by: by(),
        },
        Event::Started {
            node: "n5c1e".to_owned(),
            boot: 12,
            version: "0.1.0".to_owned(),
            heartbeat_s: None,
        },
        Event::Stopped {
            node: "n5c1e".to_owned(),
            boot: 12,
            why: "signal".to_owned(),
        },
        Event::Overrun(overrun()),
        overrun_cleared(),
        Event::AllowanceHeld(Allowance {
            agent: agent("nightly-report"),
            amount: NanoUsd(500_000_000),
            bookings: intent().bookings,
        }),
        Event::AllowanceReleased {
            agent: agent("nightly-report"),
        },
        Event::SpoolApplied(SpoolApplied {
            spool: "0707070707070707070707-12-1".to_owned(),
            records: 5,
            calls: 3,
            held: NanoUsd(440_019_000),
            from: at(NOON),
            to: at(NOON + 90_000_000),
        }),
        Event::BudgetRemoved {
            budget: budget("data-team"),
            note: String::new(),
            by: by(),
        },
        edited(
            "nightly-report",
            Edit::Limit {
                limit: Amount(8_000_000_000),
            },
        ),
        Event::ThresholdReached(ThresholdReached {
            outcome: 184_466,
            reached: Reached {
                budget: budget("nightly-report"),
                of: Vec::new(),
                unit: Measure::Money,
                percent: 95,
                spent: Amount(4_870_112_500),
                limit: Amount(5_000_000_000),
            },
        }),
        Event::Asked(asked()),
        Event::AskRefused(AskRefused {
            action: action_id(4),
            attempt: 0,
            note: "not before the quarter ends".to_owned(),
            by: by(),
        }),
        Event::AskEnded(AskEnded {
            action: action_id(4),
            attempt: 0,
            end: AskEnd::Withdrawn,
        }),
    ]
    .into_iter()
    .chain(rule_events())
    .chain(decision_events())
    .chain(evidence_events())
    .collect()
}

pub(super) fn asked() -> Asked {
    Asked {
        action: action(action_id(4), 18_207),
        attempt: 0,
        why: why(),
        over: over(None),
        until: at(NOON + 600_000_000),
        boot: 12,
    }
}

/// A change of a budget of money.
pub(super) fn edited(name: &str, edit: Edit) -> Event {
    Event::BudgetEdited {
        budget: budget(name),
        unit: Measure::Money,
        edit,
        note: "the quarter's report needs more".to_owned(),
        by: by(),
    }
}
