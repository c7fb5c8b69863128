//! Replays over drawn logs, beside the questions themselves.

use std::{collections::BTreeMap, sync::Mutex};

use entry::{
    Action, AgentRecord, Decided, DecidedCall, DecidedItem, Denial, DenialInput, Intent, KeyRecord, PolicyFile,
    VERSION, Why, recorded_tools,
};
use model::{ActionId, AdminName, Digest, KeyId, NanoUsd, Pseudonym, Tier, UpstreamName, UsageSource};
use policy::{Outcome, Party, Properties, Query, Source};
use proptest::prelude::*;
use serde_json::json;

use super::{ask::Missing, *};
use crate::recorded as item_of;

const SCHEMA: &str = "\
    entity person { mail?: String };\n\
    entity ticket { @personal requester?: String, urgent?: Bool };\n\
    action \"ticket:read\" appliesTo { principal: [person], resource: [ticket], context: { hour?: Long } };\n";
const BASE: &str = "\
    @id(\"calls\") permit (principal, action == Action::\"llm:generate\", resource);\n\
    @id(\"not-m0\") forbid (principal, action, resource == Model::\"up/m0\");\n\
    @id(\"reads\") permit (principal is person, action == Action::\"ticket:read\", resource is ticket)\n\
    unless { resource has urgent && resource.urgent };\n";

/// A question with everything that is asked, before anything is recorded of it.
#[derive(Clone, Debug)]
enum Drawn {
    Call {
        agent: &'static str,
        model: &'static str,
        stream: bool,
        limit: u64,
        tools: Vec<String>,
        worst_case: i64,
        tier: Tier,
    },
    Ticket {
        person: &'static str,
        requester: Option<&'static str>,
        urgent: Option<bool>,
        hour: Option<i64>,
    },
}

/// A `forbid`, and whether it speaks of a question.
type Forbid = (&'static str, fn(&Drawn) -> bool);

const FORBIDS: [Forbid; 10] = [
    ("(principal == Agent::\"a1\", action, resource)", |d| {
        matches!(d, Drawn::Call { agent: "a1", .. })
    }),
    ("(principal, action, resource == Model::\"up/m1\")", |d| {
        matches!(d, Drawn::Call { model: "m1", .. })
    }),
    (
        "(principal, action == Action::\"llm:generate\", resource) when { context.stream }",
        |d| matches!(d, Drawn::Call { stream: true, .. }),
    ),
    (
        "(principal, action == Action::\"llm:generate\", resource) when { context.max_output_tokens > 5 }",
        |d| matches!(d, Drawn::Call { limit, .. } if *limit > 5),
    ),
    (
        "(principal, action == Action::\"llm:generate\", resource) when { context.worst_case_cost_nano_usd > 5 }",
        |d| matches!(d, Drawn::Call { worst_case, .. } if *worst_case > 5),
    ),
    (
        "(principal, action == Action::\"llm:generate\", resource) when { context.tool_count > 1 }",
        |d| matches!(d, Drawn::Call { tools, .. } if tools.len() > 1),
    ),
    (
        "(principal, action == Action::\"llm:generate\", resource) when { context.tier == \"background\" }",
        |d| {
            matches!(
                d,
                Drawn::Call {
                    tier: Tier::Background,
                    ..
                }
            )
        },
    ),
    ("(principal == person::\"ann@acme.example\", action, resource)", |d| {
        matches!(
            d,
            Drawn::Ticket {
                person: "ann@acme.example",
                ..
            }
        )
    }),
    (
        "(principal, action == Action::\"ticket:read\", resource) when { resource has requester && resource.requester == \"bob@acme.example\" }",
        |d| {
            matches!(
                d,
                Drawn::Ticket {
                    requester: Some("bob@acme.example"),
                    ..
                }
            )
        },
    ),
    (
        "(principal, action == Action::\"ticket:read\", resource) when { context has hour && context.hour > 5 }",
        |d| matches!(d, Drawn::Ticket { hour: Some(hour), .. } if *hour > 5),
    ),
];
const TOOLS: &str = "(principal, action == Action::\"llm:generate\", resource) when { context.tools.contains(\"t1\") }";

fn drawn() -> impl Strategy<Value = Drawn> {
    let person = || prop::sample::select(vec!["ann@acme.example", "bob@acme.example", "eve@acme.example"]);
    let tools = prop::collection::btree_set("t[0-2]", 0..3).prop_map(|tools| tools.into_iter().collect());
    let call = (
        prop::sample::select(vec!["a0", "a1"]),
        prop::sample::select(vec!["m0", "m1", "m2"]),
        any::<bool>(),
        0..10u64,
        tools,
        0..10i64,
        prop::sample::select(vec![Tier::Api, Tier::Background]),
    );
    let ticket = (
        person(),
        prop::option::of(person()),
        prop::option::of(any::<bool>()),
        prop::option::of(0..10i64),
    );
    prop_oneof![
        call.prop_map(|(agent, model, stream, limit, tools, worst_case, tier)| Drawn::Call {
            agent,
            model,
            stream,
            limit,
            tools,
            worst_case,
            tier
        }),
        ticket.prop_map(|(person, requester, urgent, hour)| Drawn::Ticket {
            person,
            requester,
            urgent,
            hour
        }),
    ]
}

fn veil(text: &str) -> String {
    format!("~{text}")
}

fn source(file: &str, text: &str) -> Source {
    Source {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}

fn sources(policies: &str) -> Sources {
    Sources {
        schemas: vec![source("schemas/s.cedarschema", SCHEMA)],
        policies: vec![source("policies/p.cedar", policies)],
        entities: Vec::new(),
    }
}

fn agent(name: &str, environment: &str) -> AgentRecord {
    AgentRecord {
        name: AgentName::new(name).unwrap(),
        owner: Pseudonym("o".to_owned()),
        team: "t".to_owned(),
        product: "p".to_owned(),
        environment: environment.to_owned(),
        purpose: String::new(),
        budgets: Vec::new(),
        output_limit: None,
        allowance: None,
    }
}

/// The policies compiled; each set once, for that takes longer than all else.
fn bundle(policies: &str) -> Arc<Bundle> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Bundle>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let compiled = known.entry(policies.to_owned()).or_insert_with(|| {
        let agents = ["a0", "a1"].map(|name| past::facts(&agent(name, "test")));
        Arc::new(Bundle::compile(&sources(policies), &agents).unwrap())
    });
    compiled.clone()
}

/// A log that is written as the server does it.
struct Log {
    bundle: Arc<Bundle>,
    entries: Vec<Entry>,
}

impl Log {
    fn new(policies: &str) -> Self {
        let mut log = Self {
            bundle: bundle(policies),
            entries: Vec::new(),
        };
        let by = AdminName::new("root").unwrap();
        for name in ["a0", "a1"] {
            log.push(Event::AgentLoaded {
                agent: agent(name, "test"),
                by: by.clone(),
            });
            for tier in [Tier::Api, Tier::Background] {
                let key = KeyRecord {
                    id: key(name, tier),
                    agent: AgentName::new(name).unwrap(),
                    label: String::new(),
                    verifier: Digest([0; 32]),
                    tier,
                    user: None,
                    upstreams: Vec::new(),
                    models: Vec::new(),
                    expires: None,
                };
                log.push(Event::KeyIssued { key, by: by.clone() });
            }
        }
        let file = PolicyFile {
            file: "schemas/s.cedarschema".to_owned(),
            text: SCHEMA.to_owned(),
            sha256: None,
        };
        log.push(Event::PolicyFile(file));
        let files = vec![log.at() - 1];
        let digest = log.bundle.digest();
        log.push(Event::PolicyLoaded {
            bundle: digest,
            files,
            by,
        });
        log
    }

    fn at(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    fn push(&mut self, event: Event) {
        let index = self.at();
        self.entries.push(Entry {
            v: VERSION,
            tenant: TenantName::default_tenant(),
            index,
            time: Timestamp::from_unix_micros(i64::try_from(index).unwrap()),
            event,
        });
    }

    /// Records a question with its answer; whether it was permitted.
    fn ask(&mut self, drawn: &Drawn) -> bool {
        match drawn {
            Drawn::Call { .. } => self.call(drawn),
            Drawn::Ticket { .. } => self.ticket(drawn),
        }
    }

    fn call(&mut self, drawn: &Drawn) -> bool {
        let Drawn::Call {
            agent,
            model,
            stream,
            limit,
            tools,
            worst_case,
            tier,
        } = drawn
        else {
            return false;
        };
        let (name, upstream) = (AgentName::new(agent).unwrap(), UpstreamName::new("up").unwrap());
        let id = ActionId::new(Timestamp::default(), [u8::try_from(self.at() % 256).unwrap(); 10]);
        let action = Action {
            id,
            agent: name.clone(),
            seq: 0,
            key: key(agent, *tier),
            user: None,
            run: None,
            task: None,
            name: "llm:generate".to_owned(),
            upstream: upstream.clone(),
            model: (*model).to_owned(),
        };
        let decision = self.bundle.decide(&policy::Question {
            agent: &name,
            user: None,
            tier: *tier,
            action: policy::Action::Generate,
            resource: policy::Resource::Model {
                upstream: &upstream,
                model,
            },
            stream: *stream,
            max_output_tokens: *limit,
            tools,
            worst_case: NanoUsd(*worst_case),
            task: None,
            run: None,
        });
        let named = self
            .bundle
            .reads_tools()
            .then(|| recorded_tools(tools))
            .flatten()
            .unwrap_or_default();
        let tool_count = u64::try_from(tools.len()).unwrap();
        match decision {
            policy::Decision::Permit(permit) => {
                let policies = permit.policies().iter().map(ToString::to_string).collect();
                self.push(Event::Intent(Intent {
                    action,
                    attempt: 0,
                    why: Why { bundle: 7, policies },
                    prices: 0,
                    stream: *stream,
                    limit: *limit,
                    bound: None,
                    bytes: 1,
                    request: String::new(),
                    hold: NanoUsd(*worst_case),
                    tokens: None,
                    tools: named,
                    tool_count,
                    step: None,
                    result_step: None,
                    bookings: Vec::new(),
                    expires: Timestamp::default(),
                    boot: 1,
                    idempotency: None,
                    spooled: None,
                }));
                true
            }
            policy::Decision::Deny(denial) => {
                let policies = denial.policies.iter().map(ToString::to_string).collect();
                self.push(Event::Denial(Denial {
                    action,
                    reason: denial.reason(),
                    why: Some(Why { bundle: 7, policies }),
                    over: None,
                    limited: None,
                    breaker: None,
                    input: Some(Box::new(DenialInput {
                        stream: *stream,
                        limit: *limit,
                        worst_case: NanoUsd(*worst_case),
                        tool_count,
                        tools: named,
                    })),
                }));
                false
            }
        }
    }

    fn ticket(&mut self, drawn: &Drawn) -> bool {
        let Drawn::Ticket {
            person,
            requester,
            urgent,
            hour,
        } = drawn
        else {
            return false;
        };
        let properties = |pairs: Vec<(&str, Option<serde_json::Value>)>| -> Properties {
            let pairs = pairs
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)));
            pairs.collect()
        };
        let resource = properties(vec![
            ("requester", requester.map(|text| json!(text))),
            ("urgent", urgent.map(|is| json!(is))),
        ]);
        let context = properties(vec![("hour", hour.map(|hour| json!(hour)))]);
        let query = Query {
            subject: Party {
                kind: "person",
                id: person,
                properties: None,
            },
            action: "ticket:read",
            action_properties: None,
            resource: Party {
                kind: "ticket",
                id: "4711",
                properties: Some(&resource),
            },
            context: Some(&context),
            approved: false,
        };
        let verdict = self.bundle.evaluate(&query);
        let item = DecidedItem {
            outcome: match verdict.outcome {
                Outcome::Permit => entry::Decision::Permit,
                Outcome::Deny => entry::Decision::Deny,
                Outcome::ApprovalRequired => entry::Decision::ApprovalRequired,
            },
            code: verdict.code.to_string(),
            policies: verdict.policies.iter().map(ToString::to_string).collect(),
            ..item_of(self.bundle.recorded(&query, &veil))
        };
        self.decided(vec![item]);
        verdict.is_permit()
    }

    fn decided(&mut self, items: Vec<DecidedItem>) {
        self.push(Event::Decided(Decided {
            id: ActionId::new(Timestamp::default(), [1; 10]),
            pep: None,
            key: None,
            certificate: None,
            seq: 1,
            call: DecidedCall::Evaluation,
            bundle: 7,
            entities: 0,
            items,
            found: None,
            condensed: None,
            left_out: None,
            at: None,
        }));
    }

    /// The whole log put to other policies.
    fn put_to(&self, policies: &str) -> (Tally, [Vec<String>; 2]) {
        let order = ReplayOrder {
            tenant: TenantName::default_tenant(),
            since: Timestamp::default(),
            until: Timestamp::from_unix_micros(i64::MAX),
            agent: None,
            pep: None,
            action: None,
            candidate: sources(policies),
            against: None,
        };
        let agents = ["a0", "a1"].map(|name| past::facts(&agent(name, "test")));
        let veil: ask::Veil = Arc::new(veil);
        let mut replay = Replay {
            past: Past::new(&order.candidate.schemas, agents.into()),
            base: Side::new(self.bundle.clone(), veil.clone()),
            candidate: Side::new(bundle(policies), veil),
            tally: Tally::default(),
            in_effect: Some((7, 0)),
            order,
        };
        for entry in &self.entries {
            assert!(replay.take(entry).unwrap());
        }
        let peeking = [&replay.base, &replay.candidate].map(|side| side.bundle.peeking());
        (
            replay.tally,
            peeking.map(|ids| ids.iter().map(ToString::to_string).collect()),
        )
    }
}

fn key(agent: &str, tier: Tier) -> KeyId {
    KeyId::new(&format!("{agent}-{}", tier.as_str())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn one_more_forbid_changes_what_it_speaks_of(
        questions in prop::collection::vec(drawn(), 1..40),
        (which, tools_too) in (0..FORBIDS.len(), any::<bool>()),
    ) {
        let base = match tools_too {
            true => format!("{BASE}@id(\"no-t1\") forbid {TOOLS};\n"),
            false => BASE.to_owned(),
        };
        let mut log = Log::new(&base);
        let permitted: Vec<bool> = questions.iter().map(|drawn| log.ask(drawn)).collect();
        // Under the same policies nothing changes, and everything is as it was.
        let (same, _) = log.put_to(&base);
        prop_assert_eq!((same.all.replayed, same.all.changed()), (u64::try_from(questions.len()).unwrap(), 0));
        prop_assert_eq!((same.unlike, same.by_others, same.other_schema, same.missing.len()), (0, 0, 0, 0));
        // Under one more `forbid` what it speaks of, and nothing else.
        let (forbid, speaks_of) = FORBIDS[which];
        let (tally, peeking) = log.put_to(&format!("{base}@id(\"more\") forbid {forbid};\n"));
        let expected: Vec<u64> = questions
            .iter()
            .zip(&permitted)
            .zip(log.at() - u64::try_from(questions.len()).unwrap()..)
            .filter(|((drawn, permitted), _)| **permitted && speaks_of(drawn))
            .map(|(_, index)| index)
            .collect();
        let changes = (tally.all.replayed, tally.all.denied, tally.all.permitted, tally.all.approval);
        let count = u64::try_from(expected.len()).unwrap();
        prop_assert_eq!(changes, (u64::try_from(questions.len()).unwrap(), count, 0, 0), "{}", forbid);
        let grouped: u64 = tally.groups.iter().map(|group| group.count).sum();
        prop_assert_eq!((grouped, tally.unlike, tally.missing.len()), (count, 0, 0));
        let mut told: Vec<u64> = tally.groups.iter().flat_map(|group| &group.examples).map(|spot| spot.entry).collect();
        told.sort_unstable();
        prop_assert!(told.iter().all(|entry| expected.contains(entry)));
        prop_assert_eq!(peeking, [Vec::<String>::new(), Vec::new()]);
        let policies: std::collections::BTreeSet<_> = tally.groups.iter().flat_map(|group| &group.policies[1]).collect();
        prop_assert!(policies.iter().all(|id| ***id == *"more"));
        prop_assert_eq!(tally.used[1].contains("more"), !expected.is_empty() || questions.iter().any(speaks_of));
    }
}

fn call(tools: &[&str]) -> Drawn {
    Drawn::Call {
        agent: "a0",
        model: "m1",
        stream: false,
        limit: 1,
        tools: tools.iter().map(ToString::to_string).collect(),
        worst_case: 1,
        tier: Tier::Api,
    }
}

fn ticket(requester: &'static str) -> Drawn {
    Drawn::Ticket {
        person: "ann@acme.example",
        requester: Some(requester),
        urgent: None,
        hour: None,
    }
}

#[test]
fn what_was_not_recorded_is_counted_and_not_guessed() {
    let mut log = Log::new(BASE);
    log.ask(&call(&[]));
    log.ask(&call(&["t1"]));
    let (tally, _) = log.put_to(&format!("{BASE}@id(\"more\") forbid {TOOLS};"));
    assert_eq!((tally.all.replayed, tally.all.changed()), (1, 0));
    assert_eq!(tally.missing.get(&Missing::Tools), Some(&(1, log.at() - 1)));
    // An entry of an earlier version does not say how many tools there were.
    log.entries.last_mut().unwrap().v = 3;
    let counting = "(principal, action == Action::\"llm:generate\", resource) when { context.tool_count > 5 }";
    let (tally, _) = log.put_to(&format!("{BASE}@id(\"more\") forbid {counting};"));
    assert_eq!(tally.missing.get(&Missing::Tools), Some(&(1, log.at() - 1)));

    let mut log = Log::new(BASE);
    log.ask(&ticket("bob@acme.example"));
    let Event::Decided(decided) = &log.entries.last().unwrap().event else {
        panic!()
    };
    let mut item = decided.items[0].clone();
    item.input = None;
    log.decided(vec![item.clone(), item.clone()]);
    item.code = "unknown_type".to_owned();
    item.input = Some(entry::Input::default());
    log.decided(vec![item.clone()]);
    item.code = crate::INCOMPLETE.to_owned();
    log.decided(vec![item]);
    let (tally, _) = log.put_to(BASE);
    let missing: Vec<_> = tally
        .missing
        .iter()
        .map(|(missing, (count, _))| (*missing, *count))
        .collect();
    assert_eq!(
        (tally.all.replayed, missing),
        (1, vec![(Missing::LeftOut, 2), (Missing::UnknownThen, 1)])
    );
}

#[test]
fn who_looks_into_personal_texts_is_named() {
    let log = Log::new(BASE);
    let check = |condition: &str, expected: bool| {
        let forbid = format!(
            "@id(\"more\") forbid (principal is person, action == Action::\"ticket:read\", resource is ticket) {condition};"
        );
        let (_, [_, peeking]) = log.put_to(&format!("{BASE}{forbid}"));
        assert_eq!(!peeking.is_empty(), expected, "{condition}: {peeking:?}");
    };
    check("when { resource has requester }", false);
    check(
        "when { resource has requester && resource.requester == \"bob@acme.example\" }",
        false,
    );
    check(
        "when { resource has requester && [\"a\", \"b\"].contains(resource.requester) }",
        false,
    );
    check(
        "when { resource has requester && resource.requester like \"*@acme.example\" }",
        true,
    );
    check(
        "when { resource has requester && principal has mail && resource.requester == principal.mail }",
        true,
    );
    check("when { resource has urgent && resource.urgent }", false);
}

#[test]
fn manifests_are_those_of_the_time() {
    let forbid =
        "forbid (principal, action == Action::\"llm:generate\", resource) when { context.environment == \"staging\" };";
    let candidate = format!("{BASE}@id(\"more\") {forbid}");
    let mut log = Log::new(BASE);
    log.ask(&call(&[]));
    log.push(Event::AgentLoaded {
        agent: agent("a0", "staging"),
        by: AdminName::new("root").unwrap(),
    });
    log.ask(&call(&[]));
    log.ask(&call(&[]));
    log.push(Event::AgentLoaded {
        agent: agent("a0", "test"),
        by: AdminName::new("root").unwrap(),
    });
    log.ask(&call(&[]));
    let (tally, _) = log.put_to(&candidate);
    assert_eq!((tally.all.replayed, tally.all.denied), (4, 2));
}

#[test]
fn the_cost_of_denied_calls_is_that_of_their_outcomes() {
    let mut log = Log::new(BASE);
    log.ask(&call(&[]));
    let Event::Intent(intent) = &log.entries.last().unwrap().event else {
        panic!()
    };
    let attempt = intent.attempt();
    let candidate = format!("{BASE}@id(\"more\") forbid (principal, action, resource == Model::\"up/m1\");");
    let (tally, _) = log.put_to(&candidate);
    assert_eq!((tally.denied_calls, tally.open()), (1, 1));
    log.push(Event::Outcome(entry::Outcome {
        action: attempt.action,
        attempt: attempt.number,
        intent: log.at() - 1,
        status: entry::Status::Ok,
        http: Some(200),
        usage: None,
        source: UsageSource::Provider,
        cost: NanoUsd(7),
        overrun: NanoUsd::ZERO,
        duration_us: 1,
        bytes: 1,
        reply: String::new(),
        provider_id: None,
        spooled: None,
    }));
    let (tally, _) = log.put_to(&candidate);
    assert_eq!(
        (tally.denied_calls, tally.open(), tally.all.denied_cost),
        (1, 0, NanoUsd(7))
    );
    assert_eq!(
        (tally.groups[0].cost, tally.days[&0].denied_cost),
        (NanoUsd(7), NanoUsd(7))
    );
}
