use policy::EntityRecord;

use super::*;
use crate::testing::check_table;

/// The tests of a text, a line each, or what is wrong with it.
fn render(text: &str) -> String {
    let (tests, problems) = parse("t.yaml", text);
    let shown = |test: &PolicyTest| {
        let request = match &test.request {
            TestRequest::Query(query) => {
                let party =
                    |party: &AskedParty| format!("{}:{}{}", party.kind, party.id, json(party.properties.as_ref()));
                format!(
                    "{} {}{} {} {}{}",
                    party(&query.subject),
                    query.action,
                    json(query.action_properties.as_ref()),
                    party(&query.resource),
                    json(query.context.as_ref()),
                    if query.approved { " approved" } else { "" },
                )
            }
            TestRequest::Call(call) => format!(
                "{} {} {}/{} {} {} {:?}",
                call.agent,
                call.action,
                call.upstream,
                call.model.as_deref().unwrap_or("-"),
                call.tier,
                call.worst_case.0,
                call.tools
            ),
        };
        format!(
            "{}: {} -> {} {:?} {:?}",
            test.line,
            request.trim_end(),
            test.expect.as_str(),
            test.policies,
            test.code.map(Code::as_str)
        )
    };
    let tests: Vec<String> = tests.iter().map(shown).collect();
    let problems = problems.to_string();
    [tests.join("\n"), problems]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn json(given: Option<&policy::Properties>) -> String {
    given
        .map(|given| serde_json::to_string(given).unwrap())
        .unwrap_or_default()
}

#[test]
fn what_is_read_and_what_is_wrong() {
    check_table(
        r#"- name: a
  request:
    subject: { type: User, id: alice, properties: { level: 3 } }
    action: read
    resource: { type: "App::Doc", id: plan }
    context: { at: { x: true }, tags: [x, 1.5, null] }
  expect: permit
  policies: [b, a, b]
- name: b
  request: { agent: worker, model: openai/ft:gpt-4o/x, cost: 0.5 USD, tools: [ls], tier: background }
  expect: deny
  code: no_permit
~~~~
1: User:alice{"level":3} read App::Doc:plan {"at":{"x":true},"tags":["x",1.5,null]} -> permit Some(["a", "b"]) None
9: worker llm:generate openai/ft:gpt-4o/x background 500000000 ["ls"] -> deny None Some("no_permit")
====
kind: PolicyTest
name: a
request:
  subject: { type: User, id: alice }
  action: { name: pay, properties: { cents: 5 } }
  resource: { type: Order, id: "1" }
  approved: true
expect: approval_required
policies: []
---
name: b
request: { agent: worker, action: llm:list, upstream: openai }
expect: permit
~~~~
1: User:alice pay{"cents":5} Order:1  approved -> approval_required Some([]) None
11: worker llm:list openai/- api 0 [] -> permit None None
====
- nam: a
  request: { subject: { type: User, id: alice }, action: read, resource: { typ: Doc, id: plan } }
  expect: allow
~~~~
t.yaml:1:3: unknown key `nam`
  help: did you mean `name`?
t.yaml:1:3: the test has no `name`
  help: every test needs a name: reports call it by that
t.yaml:2:74: the resource has no `type`
  help: say its type and id: `resource: { type: User, id: alice }`
t.yaml:2:76: unknown key `typ`
  help: did you mean `type`?
t.yaml:3:11: unknown value `allow`
  help: known values: `permit`, `deny`, `approval_required`
====
- name: a
  request: { agent: worker, resource: { type: Doc, id: plan } }
  expect: deny
- name: b
  request: { agent: worker, model: gpt-4o }
  expect: approval_required
- name: c
  request: { agent: worker, action: llm:generat, model: openai/gpt-4o }
  code: forbiden
- name: d
  request: read
  expect: deny
~~~~
t.yaml:2:21: a request has `resource` or `agent`, not both
  help: `subject`, `action`, `resource` and `context` are what an enforcement point asks; `agent` and `model` are a model call
t.yaml:5:36: `gpt-4o` is no model as policies name it
  help: the upstream comes first: `openai/gpt-4o-mini`
t.yaml:7:3: the test `c` has no `expect`
  help: say what should be answered: `permit`, `deny` or `approval_required`
t.yaml:8:37: `llm:generat` is no action of a model call
  help: did you mean `llm:generate`?
t.yaml:9:9: unknown value `forbiden`
  help: did you mean `forbidden`?
t.yaml:11:12: expected a mapping, found text
====
kind: Agent
name: a
~~~~
t.yaml:1:1: the test `a` has no `request`
  help: say what is asked: `request: { subject: { type: User, id: alice }, action: read, resource: { type: Doc, id: plan } }`, or for a model call `request: { agent: assistant, model: openai/gpt-4o-mini }`
t.yaml:1:1: the test `a` has no `expect`
  help: say what should be answered: `permit`, `deny` or `approval_required`
t.yaml:1:7: unknown kind `Agent`
  help: the files in tests/ hold policy tests: `kind: PolicyTest`, or no kind; agents and rules stand in agents/ and rules/"#,
        |text| {
            let mut lines: Vec<String> = Vec::new();
            let rendered = render(text);
            // By place, as a person is told.
            let (_, problems) = parse("t.yaml", text);
            match problems.is_empty() {
                true => lines.push(rendered),
                false => lines.push(problems.sorted().to_string()),
            }
            lines.join("\n")
        },
    );
}

#[test]
fn entities_of_a_test() {
    let text = "name: a\nrequest: { agent: a, model: b/c }\nexpect: deny\nentities:\n  - uid: { type: Doc, id: d }\n    attrs: { \
                n: 1 }\n    parents: [{ type: Folder, id: f }]\n";
    let (tests, problems) = parse("t", text);
    assert!(problems.is_empty(), "{problems}");
    let name = |kind: &str, id: &str| policy::EntityName {
        kind: kind.to_owned(),
        id: id.to_owned(),
    };
    let expected = EntityChange::Put(EntityRecord {
        name: name("Doc", "d"),
        attrs: [("n".to_owned(), 1.into())].into_iter().collect(),
        parents: vec![name("Folder", "f")],
    });
    assert_eq!(tests[0].entities, [expected]);
}

#[test]
fn types_and_ids() {
    for (text, expected) in [
        ("User:alice", Some(("User", "alice"))),
        ("App::Doc:plan", Some(("App::Doc", "plan"))),
        ("A::B::C:a:b::c", Some(("A::B::C", "a:b::c"))),
        ("mcp-server:http://x", Some(("mcp-server", "http://x"))),
        ("User", None),
        ("App::Doc", None),
        ("User:", None),
        (":alice", None),
        ("", None),
    ] {
        let found = AskedParty::parse(text).ok().map(|party| (party.kind, party.id));
        let expected = expected.map(|(kind, id)| (kind.to_owned(), id.to_owned()));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_request_of_its_own() {
    let json = br#"{"subject": {"type": "User", "id": "a"}, "action": {"name": "read"}, "resource": {"type": "D", "id": "d"}}"#;
    assert!(matches!(
        parse_request("r.json", json.to_vec()),
        Ok(TestRequest::Query(_))
    ));
    let problems = parse_request("r.json", b"{\"subject\": 1}".to_vec())
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("r.json:1:13: expected a mapping, found the number 1"),
        "{problems}"
    );
    let problems = parse_request("-", b"".to_vec()).unwrap_err().to_string();
    assert!(problems.starts_with("-: there are 0 requests, not one"), "{problems}");
}
