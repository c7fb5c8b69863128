//! `bailiwick policy diff` and `bailiwick policy simulate`: recorded decisions, put to other policies.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    budgets::timeless,
    harness::{Agent, World, chat},
};

const SCHEMA: &str = "\
    entity person;\n\
    entity ticket { @personal requester?: String };\n\
    action \"ticket:read\" appliesTo { principal: [person], resource: [ticket], context: {} };\n";
const POLICIES: &str = "\
    @id(\"calls\") permit (principal, action == Action::\"llm:generate\", resource);\n\
    @id(\"reads\") permit (principal is person, action == Action::\"ticket:read\", resource is ticket);\n\
    @id(\"not-eve\") forbid (principal == person::\"eve@acme.example\", action, resource);\n";
const STRICTER: &str = "\
    @id(\"no-4o\") forbid (principal == Agent::\"worker\", action, resource == Model::\"openai/gpt-4o\");\n\
    @id(\"not-for-bob\") forbid (principal, action == Action::\"ticket:read\", resource)\n\
    when { resource has requester && resource.requester == \"bob@acme.example\" };\n";
const PEP: &str = "kind: Pep\nname: desk\nowner: tests@acme.example\npurpose: Asks\nmay: [evaluate]\n";
const SINCE: [&str; 2] = ["--since", "2020-01-01"];

/// A world in which agents called models and an enforcement point asked about tickets.
struct Lived {
    world: World,
    pep: String,
}

impl Lived {
    async fn new() -> Self {
        let agents = [Agent::new("worker", "1 USD"), Agent::new("batch", "1 USD")];
        let [worker, batch] = agents;
        let mut world = World::builder()
            .agent(worker)
            .agent(batch)
            .policies(POLICIES)
            .build()
            .await;
        world.write("governance/schemas/desk.cedarschema", SCHEMA);
        world.write("governance/rules/desk.yaml", PEP);
        world.start();
        let pep = world
            .run(&["key", "issue", "--pep", "desk"])
            .exits(0)
            .stdout
            .trim()
            .to_owned();
        Self { world, pep }
    }

    /// With calls of both agents and questions about tickets of both people; the entries of those that the stricter
    /// policies deny.
    async fn with_history() -> (Self, [u64; 2]) {
        let lived = Self::new().await;
        let (worker, batch) = (lived.world.key("worker"), lived.world.key("batch"));
        for (key, model) in [
            (&worker, "gpt-4o-mini"),
            (&batch, "gpt-4o"),
            (&worker, "gpt-4o"),
            (&worker, "gpt-4o-mini"),
        ] {
            lived.world.chat(key, &chat(model)).await.is(200);
        }
        for (person, requester, permitted) in [
            ("ann@acme.example", "ann@acme.example", true),
            ("ann@acme.example", "bob@acme.example", true),
            ("eve@acme.example", "bob@acme.example", false),
        ] {
            assert_eq!(lived.ask(person, requester).await, permitted);
        }
        lived.world.settled().await;
        let entries = lived.world.entries("default");
        let call = entries.iter().find(|entry| match &entry.event {
            entry::Event::Intent(intent) => intent.action.model == "gpt-4o" && intent.action.agent.as_str() == "worker",
            _ => false,
        });
        let asked = entries
            .iter()
            .filter(|entry| matches!(entry.event, entry::Event::Decided(_)));
        let found = [call.unwrap().index, asked.map(|entry| entry.index).nth(1).unwrap()];
        (lived, found)
    }

    async fn ask(&self, person: &str, requester: &str) -> bool {
        let body = json!({
            "subject": { "type": "person", "id": person },
            "action": { "name": "ticket:read" },
            "resource": { "type": "ticket", "id": "4711", "properties": { "requester": requester } },
        });
        let request = Request::post(format!("{}/access/v1/evaluation", self.world.agents_url()))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.pep))
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let reply = self.world.http().send(request).await.unwrap().is(200);
        reply.json()["decision"].as_bool().unwrap()
    }

    /// A governance directory with other policies.
    fn proposal(&self, policies: &str) -> String {
        for agent in ["worker", "batch"] {
            let manifest = Agent::new(agent, "1 USD").manifest();
            self.world.write(&format!("proposal/agents/{agent}.yaml"), &manifest);
        }
        self.world.write("proposal/schemas/desk.cedarschema", SCHEMA);
        self.world.write("proposal/policies/policies.cedar", policies);
        "proposal".to_owned()
    }

    fn diff(&self, arguments: &[&str]) -> Value {
        self.world.json(&[&["policy", "diff"], arguments, &SINCE].concat())
    }

    fn story(&self, arguments: &[&str]) -> String {
        hashless(&timeless(&self.world.run(arguments).story(self.world.path())))
    }
}

/// A text without the hashes of bundles, which depend on the schema that we ship, and without days.
fn hashless(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words = Vec::new();
        for word in line.split(' ') {
            let digits = word.chars().filter(|c| c.is_ascii_hexdigit()).count();
            words.push(if digits == 12 && word.len() <= 13 { "HASH" } else { word });
        }
        let line = words.join(" ");
        let is_day =
            line.len() > 10 && line.starts_with("20") && line.as_bytes()[4] == b'-' && line.as_bytes()[10] == b' ';
        out.push_str(if is_day { "2026-11-23" } else { "" });
        out.push_str(if is_day { &line[10..] } else { &line });
        out.push('\n');
    }
    out
}

/// The entries of all examples.
fn examples(report: &Value) -> Vec<u64> {
    let changes = report["changes"].as_array().unwrap().iter();
    let examples = changes.flat_map(|change| change["examples"].as_array().unwrap().clone());
    let mut entries: Vec<u64> = examples.map(|example| example["entry"].as_u64().unwrap()).collect();
    entries.sort_unstable();
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_what_stricter_policies_deny_would_change() {
    let (lived, denied) = Lived::with_history().await;
    let size = lived.world.entries("default").len();
    // What is in effect changes nothing, and answers as it did.
    let same = lived.diff(&[]);
    assert_eq!((&same["replayed"], &same["changed"]), (&7.into(), &0.into()), "{same}");
    assert_eq!(
        (&same["unlike_recorded"]["decisions"], &same["not_replayed"]),
        (&0.into(), &json!([]))
    );
    assert_eq!(
        (&same["under_other_schemas"], &same["candidate"]["unused"]),
        (&0.into(), &0.into())
    );
    lived.world.run(&["policy", "diff", "--exit-code"]).exits(0);

    let proposal = lived.proposal(&format!("{POLICIES}{STRICTER}"));
    let report = lived.diff(&[&proposal]);
    assert_eq!(
        (&report["replayed"], &report["changed"], &report["newly_denied"]),
        (&7.into(), &2.into(), &2.into())
    );
    assert_eq!(examples(&report), denied, "{report}");
    let of = |report: &Value, subject: &str| {
        let changes = report["changes"].as_array().unwrap();
        changes
            .iter()
            .find(|change| change["subject"] == subject)
            .cloned()
            .unwrap()
    };
    let call = of(&report, "worker");
    assert_eq!(
        (&call["action"], &call["resource"]),
        (&"llm:generate".into(), &"openai/gpt-4o".into())
    );
    assert_eq!(
        call["before"],
        json!({ "outcome": "permit", "codes": ["permitted"], "policies": ["calls"] })
    );
    assert_eq!(
        call["after"],
        json!({ "outcome": "deny", "codes": ["forbidden"], "policies": ["no-4o"] })
    );
    let asked = of(&report, "person");
    assert_eq!(
        (&asked["resource"], &asked["after"]["policies"]),
        (&"ticket".into(), &json!(["not-for-bob"]))
    );
    let example = &asked["examples"][0];
    assert_eq!(
        (&example["pep"], example["subject"].as_str().unwrap().len()),
        (&"desk".into(), 32)
    );
    assert!(
        !report.to_string().contains("acme.example"),
        "the log knows nobody's name"
    );
    // What the refused call cost is what its outcome says.
    let cost = lived
        .world
        .entries("default")
        .iter()
        .find_map(|entry| match &entry.event {
            entry::Event::Outcome(outcome) if outcome.intent == denied[0] => Some(outcome.cost.to_string()),
            _ => None,
        });
    assert_eq!(
        (&report["denied_calls"], report["denied_cost_usd"].as_str()),
        (&1.into(), cost.as_deref())
    );
    lived.world.run(&["policy", "diff", &proposal, "--exit-code"]).exits(1);

    // Filters, and another period.
    assert_eq!(examples(&lived.diff(&[&proposal, "--agent", "worker"])), denied[..1]);
    assert_eq!(examples(&lived.diff(&[&proposal, "--pep", "desk"])), denied[1..]);
    assert_eq!(lived.diff(&[&proposal, "--action", "ticket:read"])["replayed"], 3);
    assert_eq!(lived.diff(&[&proposal, "--until", "2020-01-02"])["replayed"], 0);
    // The other way round: a looser set, compared with a stricter one.
    let looser = lived.diff(&["--against", &proposal]);
    assert_eq!(
        (&looser["newly_permitted"], &looser["newly_denied"]),
        (&2.into(), &0.into())
    );
    assert_eq!(looser["unlike_recorded"]["decisions"], 2);

    insta::assert_snapshot!(
        "diff",
        lived.story(&[&["policy", "diff", &proposal], &SINCE[..]].concat())
    );
    insta::assert_snapshot!(
        "simulate_policies",
        lived.story(&[&["policy", "simulate", &proposal], &SINCE[..]].concat())
    );
    // Nothing took effect.
    assert_eq!(lived.world.entries("default").len(), size);
    let worker = lived.world.key("worker");
    lived.world.chat(&worker, &chat("gpt-4o")).await.is(200);
    lived.world.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_known_is_said() {
    let (lived, _) = Lived::with_history().await;
    let worker = lived.world.key("worker");
    let mut call = chat("gpt-4o-mini");
    call["tools"] = json!([{ "type": "function", "function": { "name": "shell" } }]);
    lived.world.chat(&worker, &call).await.is(200);
    lived.world.settled().await;
    let tools = "@id(\"no-shell\") forbid (principal, action == Action::\"llm:generate\", resource)\n\
        when { context.tools.contains(\"shell\") };\n";
    let peeking = "@id(\"peeks\") forbid (principal, action == Action::\"ticket:read\", resource)\n\
        when { resource has requester && resource.requester like \"bob@*\" };\n";
    lived.proposal(&format!("{POLICIES}{tools}{peeking}"));
    let other = SCHEMA.replace("requester?: String", "requester?: String, urgent?: Bool");
    lived.world.write("proposal/schemas/desk.cedarschema", &other);
    let story = lived.story(&[&["policy", "diff", "proposal"], &SINCE[..]].concat());
    insta::assert_snapshot!("diff_notes", story);
    // Once it is in effect tools are recorded, and what was decided is decided again alike; the older calls are not.
    lived
        .world
        .write("governance/policies/policies.cedar", &format!("{POLICIES}{tools}"));
    lived.world.run(&["apply"]).exits(0);
    lived.world.chat(&worker, &call).await.is(403);
    let report = lived.diff(&[]);
    assert_eq!(
        (&report["changed"], &report["unlike_recorded"]["decisions"]),
        (&0.into(), &0.into()),
        "{report}"
    );
    assert_eq!(report["not_replayed"][0]["reason"], "tools_not_recorded");
    // Without the policies that refused it.
    lived.proposal(POLICIES);
    let report = lived.diff(&["proposal", "--agent", "worker"]);
    assert_eq!(
        (&report["newly_permitted"], &report["changes"][0]["before"]["policies"]),
        (&1.into(), &json!(["no-shell"]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told() {
    let lived = Lived::new().await;
    lived.world.write(
        "wrong.cedar",
        "@id(\"x\") permit (principal, action, resource) when { context.nothing };\n",
    );
    lived.world.write("notes.txt", "");
    for (name, arguments) in [
        ("diff_wrong", &["policy", "diff", "wrong.cedar"][..]),
        ("diff_ending", &["policy", "diff", "notes.txt"]),
        ("diff_both", &["policy", "diff", "governance", "wrong.cedar"]),
        ("diff_nowhere", &["policy", "diff", "nowhere.cedar"]),
        ("diff_tenant", &["policy", "diff", "--tenant", "acme"]),
        ("diff_pep", &["policy", "diff", "governance", "--pep", "nope"]),
        ("diff_agent", &["policy", "diff", "governance", "--agent", "nope"]),
        ("diff_action", &["policy", "diff", "governance", "--action", "redd"]),
        (
            "diff_period",
            &["policy", "diff", "--since", "2026-01-02", "--until", "2026-01-01"],
        ),
        ("simulate_since", &["policy", "simulate", "governance"]),
    ] {
        insta::assert_snapshot!(name, lived.story(arguments));
    }
}
