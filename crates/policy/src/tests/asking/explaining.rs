//! Explanations against plain Cedar: each policy by itself, over every entity.

use cedar_policy::Policy;

use super::*;
use crate::{Applies, Breadth, Coverage, Explanation};

/// Whether plain Cedar applies the policy.
fn applies(policy: Policy, request: &Request, entities: &Entities) -> &'static str {
    let set = PolicySet::from_policies([policy]).unwrap();
    let response = Authorizer::new().is_authorized(request, &set, entities);
    match (
        response.diagnostics().errors().next(),
        response.diagnostics().reason().next(),
    ) {
        (Some(_), _) => "error",
        (None, Some(_)) => "yes",
        (None, None) => "no",
    }
}

/// The same policy with its scope alone.
fn scope_of(policy: &Policy) -> Policy {
    let mut json = policy.to_json().unwrap();
    json["conditions"] = json!([]);
    Policy::from_json(None, json).unwrap()
}

fn check(parsed: &PolicySet, stored: &[Value], asked: &Asked, bundle: &Bundle) {
    let verdict = bundle.evaluate(&asked.query());
    let all = bundle.explain(&asked.query(), Breadth::All);
    assert_eq!(all.verdict, verdict);
    let some = bundle.explain(&asked.query(), Breadth::Concerned);
    assert_eq!(some.verdict, verdict);
    assert_eq!(some.policies.len() + some.left_out, bundle.policy_ids().len());
    assert_eq!(
        some.help.is_some(),
        verdict.code == Code::NoPermit || verdict.code == Code::NotApplicable
    );
    let Some((request, entities)) = plain(stored, asked) else {
        assert!(all.policies.is_empty());
        return;
    };
    assert_eq!(all.policies.len(), bundle.policy_ids().len());
    for policy in parsed.policies() {
        let id = policy.annotation("id").unwrap();
        let explained = all.policies.iter().find(|explained| &*explained.id == id).unwrap();
        let result = match explained.result {
            Applies::Yes => "yes",
            Applies::No => "no",
            Applies::Error(_) => "error",
        };
        assert_eq!(result, applies(policy.clone(), &request, &entities), "{explained}");
        let scope = applies(scope_of(policy), &request, &entities);
        assert_eq!(explained.mismatches.is_empty(), scope == "yes", "{explained}");
        // The clauses say the same as the policy, where Cedar gets to them.
        let hindrance = explained
            .conditions
            .iter()
            .find(|condition| condition.holds != Some(true));
        let by_clauses = match (scope, hindrance.map(|condition| condition.holds)) {
            ("yes", None) => "yes",
            ("yes", Some(None)) => "error",
            _ => "no",
        };
        assert_eq!(result, by_clauses, "{explained}");
        let listed = some.policies.iter().find(|other| other.id == explained.id);
        assert!(listed.is_none_or(|listed| listed == explained));
        assert!(listed.is_some() || !explained.mismatches.is_empty(), "{explained}");
        assert_eq!(explained.decided, verdict.policies.contains(&explained.id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn explanations_are_those_of_plain_cedar(
        policies in prop::collection::vec(policy(), 0..10),
        stored in stored(),
        questions in prop::collection::vec(asked(), 8),
    ) {
        let (policies, bundle) = world(&policies, &stored);
        let parsed = policies.parse().unwrap();
        for asked in questions {
            check(&parsed, &stored, &asked, &bundle);
        }
    }
}

const ENTITIES: &str = r#"[
  {"uid": {"type": "person", "id": "ann"}, "attrs": {"level": 1, "trusted": false}, "parents": [{"type": "Group", "id": "writers"}]},
  {"uid": {"type": "Group", "id": "writers"}, "attrs": {}, "parents": [{"type": "Group", "id": "staff"}]},
  {"uid": {"type": "person", "id": "bob"}, "attrs": {"level": 5}, "parents": []},
  {"uid": {"type": "Doc", "id": "plan"}, "attrs": {"owner": {"__entity": {"type": "person", "id": "bob"}}, "rank": 7}, "parents": [{"type": "Folder", "id": "f"}]}
]"#;

fn explained(policies: &str, subject: &str, action: &str, resource: (&str, &str)) -> (Explanation, Bundle) {
    let sources = Sources {
        schemas: vec![source("schemas/s.cedarschema", SCHEMA)],
        policies: vec![source("policies/p.cedar", policies)],
        entities: vec![source("entities/e.json", ENTITIES)],
    };
    let bundle = Bundle::compile(&sources, &[]).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    let party = |kind, id| Party {
        kind,
        id,
        properties: None,
    };
    let query = Query {
        subject: party("person", subject),
        action,
        action_properties: None,
        resource: party(resource.0, resource.1),
        context: None,
        approved: false,
    };
    (bundle.explain(&query, Breadth::Concerned), bundle)
}

const POLICIES: &str = r#"
@id("staff-reads")
permit (principal in Group::"staff", action == Action::"read", resource is Doc)
when {
  // Low ranks only.
  resource has rank && resource.rank < 5
}
unless { principal has trusted && !principal.trusted };

@id("owners-write")
permit (principal, action == Action::"write", resource)
when { resource has owner && resource.owner == principal };

@id("others-read")
permit (principal == person::"bob", action == Action::"read", resource in Folder::"f");

@id("no-lists")
forbid (principal, action == Action::"list", resource);
"#;

#[test]
fn a_refusal_in_words() {
    let (explanation, _) = explained(POLICIES, "ann", "read", ("Doc", "plan"));
    let expected = r#"deny (no_permit): nothing permits person::"ann" Action::"read" Doc::"plan"

permit others-read (policies/p.cedar:14) does not apply
  no   principal == person::"bob": it is person::"ann"

permit staff-reads (policies/p.cedar:2) does not apply
  yes  its scope matches
  yes  line 6, when resource has rank: true
         resource.rank is 7
  no   line 6, and resource.rank < 5: false
         resource.rank is 7
  -    line 8, unless principal has trusted: not reached
         principal.trusted is false
  -    line 8, and !principal.trusted: not reached
         principal.trusted is false

2 other policies are about something else.
  help: a policy that would permit it: @id("allow-ann") permit (principal == person::"ann", action == Action::"read", resource == Doc::"plan");"#;
    assert_eq!(explanation.to_string(), expected);
}

#[test]
fn a_permit_in_words() {
    let (explanation, bundle) = explained(POLICIES, "bob", "write", ("Doc", "plan"));
    let expected = r#"permit (permitted): person::"bob" Action::"write" Doc::"plan" is permitted by owners-write

permit owners-write (policies/p.cedar:10) applies and permits
  yes  its scope matches
  yes  line 12, when resource has owner: true
         resource.owner is person::"bob"
  yes  line 12, and resource.owner == principal: true
         resource.owner is person::"bob"
         principal is person::"bob"

3 other policies are about something else."#;
    assert_eq!(explanation.to_string(), expected);
    let mut coverage = Coverage::new(&bundle);
    coverage.add(&explanation);
    assert_eq!((coverage.of_policies().covered, coverage.of_policies().all), (1, 4));
    assert_eq!((coverage.of_clauses().covered, coverage.of_clauses().all), (2, 12));
    assert_eq!(
        (coverage.of_policies().percent(), coverage.of_clauses().percent()),
        (25, 16)
    );
    coverage.add(&explained(POLICIES, "ann", "write", ("Doc", "plan")).0);
    assert_eq!(coverage.of_clauses().covered, 3);
    assert_eq!(coverage.undecided().len(), 3);
}

#[test]
fn what_is_not_there_is_told() {
    for (condition, expected) in [
        (
            r#"resource.owner has boss && resource.owner.boss.level > 1"#,
            "resource.owner has no attribute boss",
        ),
        (r#"context has mfa && context.mfa"#, "context has no attribute mfa"),
        (
            r#"principal in Group::"top""#,
            r#"principal is person::"ann", which is in Group::"staff", Group::"writers""#,
        ),
        (r#"person::"eve" has level"#, r#"nothing is known of person::"eve""#),
    ] {
        let scope = r#"principal is person, action == Action::"write", resource"#;
        let condition = match condition.starts_with("resource") {
            true => format!(
                "resource has owner && {}",
                condition.replace(".level > 1", " has level")
            ),
            false => condition.to_owned(),
        };
        let policy = format!("@id(\"p\") permit ({scope}) when {{ {condition} }};");
        let (explanation, _) = explained(&policy, "ann", "write", ("Doc", "plan"));
        let words = explanation.to_string();
        assert!(words.contains(expected), "{condition}\n{words}");
    }
}

#[test]
fn names_that_are_not_known_are_offered() {
    for (action, resource, expected) in [
        (
            "raed",
            ("Doc", "plan"),
            "deny (unknown_action): there is no such action",
        ),
        ("raed", ("Doc", "plan"), "help: did you mean read?"),
        ("read", ("Dock", "plan"), "help: did you mean Doc?"),
        (
            "list",
            ("Doc", "plan"),
            "help: list is for subjects of the type person and resources of the type Folder",
        ),
        ("any", ("Doc", "plan"), "help: any is a group of actions"),
        (
            "list",
            ("Folder", "f"),
            "forbid no-lists (policies/p.cedar:17) applies and forbids",
        ),
    ] {
        let words = explained(POLICIES, "ann", action, resource).0.to_string();
        assert!(words.contains(expected), "{action} {resource:?}\n{words}");
    }
}

#[test]
fn the_same_for_programs() {
    let (explanation, _) = explained(POLICIES, "ann", "read", ("Doc", "plan"));
    let json = explanation.to_json();
    assert_eq!((&json["outcome"], &json["code"]), (&json!("deny"), &json!("no_permit")));
    assert_eq!(json["policies"][0]["scope_mismatches"][0]["part"], "principal");
    let clause = &json["policies"][1]["conditions"][0]["clauses"][1];
    assert_eq!(
        (&clause["text"], &clause["line"]),
        (&json!("resource.rank < 5"), &json!(6))
    );
    assert_eq!(
        (&clause["value"], &clause["reads"][0]["value"]),
        (&json!(false), &json!("7"))
    );
}
