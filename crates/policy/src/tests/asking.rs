//! The decision point against plain Cedar: random policies, entities and questions about types of a user's own.
//!
//! The oracle shares no code with what it checks: it merges what is stored and what is asked as JSON, builds entities and
//! context against the schema, and lets Cedar evaluate every policy over every entity.

mod explaining;

use std::{collections::BTreeSet, sync::LazyLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Answer, Effect, Entities, EntityUid, PolicySet, Request,
    Schema,
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{ActionSearch, Code, Outcome, Page, Party, Properties, Query, ResourceSearch, SubjectSearch};

const SCHEMA: &str = r#"
@personal("no")
entity Group in [Group];
entity person in [Group] {
  level?: Long, @authoritative("store") trusted?: Bool, boss?: person, @personal mail?: String
};
entity Folder in [Folder];
entity Doc in [Folder] { owner?: person, rank?: Long, tags?: Set<String>, public?: Bool, @personal readers?: Set<String> };
action "any";
action "read" in ["any"] appliesTo {
  principal: [person, Group], resource: [Doc, Folder], context: { mfa?: Bool, limit?: Long, for?: person, action?: { why?: String } }
};
action "write" in ["any"] appliesTo { principal: [person], resource: [Doc], context: { mfa?: Bool, limit?: Long, for?: person } };
action "list" appliesTo { principal: [person], resource: [Folder], context: {} };
"#;

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is person",
    "principal is Group",
    r#"principal == person::"p1""#,
    r#"principal == Group::"g1""#,
    r#"principal in Group::"g1""#,
    r#"principal in Group::"g0""#,
    r#"principal is person in Group::"g2""#,
];
const ACTIONS: &[&str] = &[
    "action",
    r#"action == Action::"read""#,
    r#"action == Action::"list""#,
    r#"action in Action::"any""#,
    r#"action in [Action::"read", Action::"write"]"#,
];
const RESOURCES: &[&str] = &[
    "resource",
    "resource is Doc",
    "resource is Folder",
    r#"resource == Doc::"d1""#,
    r#"resource in Folder::"f1""#,
    r#"resource in Folder::"f0""#,
    r#"resource is Doc in Folder::"f2""#,
];
/// What a condition needs of its scope to pass validation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Needs {
    Nothing,
    Person,
    Doc,
    Both,
    Context,
}

const CONDITIONS: &[(Needs, &str)] = &[
    (Needs::Nothing, "true"),
    (Needs::Nothing, "true"),
    (Needs::Nothing, r#"Group::"g2" in Group::"g0""#),
    (Needs::Nothing, r#"Group::"g3" in Group::"g0""#),
    (Needs::Person, "principal has level && principal.level > 2"),
    (Needs::Person, "principal has trusted && principal.trusted"),
    (
        Needs::Person,
        "principal has boss && principal.boss has level && principal.boss.level > 2",
    ),
    (Needs::Person, r#"principal has boss && principal.boss in Group::"g1""#),
    (Needs::Both, "resource has owner && resource.owner == principal"),
    (
        Needs::Doc,
        "resource has owner && resource.owner has boss && resource.owner.boss has level && resource.owner.boss.level > 1",
    ),
    (Needs::Doc, r#"resource has tags && resource.tags.contains("red")"#),
    (Needs::Doc, "resource has public && resource.public"),
    // This one overflows where there is a rank above one.
    (
        Needs::Doc,
        "resource has rank && resource.rank + 9223372036854775806 > 0",
    ),
    (Needs::Context, "context has mfa && context.mfa"),
    // These look into an entity that only the context names.
    (Needs::Context, r#"context has for && context.for in Group::"g1""#),
    (
        Needs::Context,
        "context has for && context.for has level && context.for.level > 1",
    ),
    (
        Needs::Context,
        "context has for && context.for has boss && context.for.boss has level && context.for.boss.level > 1",
    ),
    (
        Needs::Context,
        "context has limit && context.limit + 9223372036854775806 > 0",
    ),
];

fn among(all: &'static [&'static str], fits: impl Fn(&str) -> bool) -> impl Strategy<Value = &'static str> {
    select(all.iter().copied().filter(|text| fits(text)).collect::<Vec<_>>())
}

/// A policy without its id.
fn policy() -> impl Strategy<Value = String> {
    let scoped = select(CONDITIONS).prop_flat_map(|(needs, condition)| {
        let person = matches!(needs, Needs::Person | Needs::Both);
        let doc = matches!(needs, Needs::Doc | Needs::Both);
        (
            among(PRINCIPALS, move |text| !person || text.contains("person")),
            among(ACTIONS, move |text| {
                needs != Needs::Context || text.contains("any") || text.contains("write")
            }),
            among(RESOURCES, move |text| !doc || text.contains("Doc")),
            Just(condition),
        )
    });
    let policy = (prop::bool::weighted(0.7), scoped, prop::bool::weighted(0.85));
    policy.prop_map(|(permit, (principal, action, resource, condition), when)| {
        let effect = if permit { "permit" } else { "forbid" };
        let word = if when { "when" } else { "unless" };
        format!("{effect} ({principal}, {action}, {resource}) {word} {{ {condition} }};")
    })
}

fn reference(kind: &str, id: &str) -> Value {
    json!({"type": kind, "id": id})
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(0.4, value)
}

fn members(pairs: Vec<(&'static str, Option<Value>)>) -> Properties {
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn of_person() -> impl Strategy<Value = Properties> {
    let boss = select(vec!["p0", "p1", "p9"]).prop_map(|id| reference("person", id));
    let attributes = (
        maybe((0..4i64).prop_map(Value::from)),
        maybe(any::<bool>().prop_map(Value::from)),
        maybe(boss),
        maybe(select(vec![json!("a@b"), json!("c@d")])),
    );
    attributes.prop_map(|(level, trusted, boss, mail)| {
        members(vec![
            ("level", level),
            ("trusted", trusted),
            ("boss", boss),
            ("mail", mail),
        ])
    })
}

fn of_doc() -> impl Strategy<Value = Properties> {
    let owner = select(vec!["p0", "p1", "p2"]).prop_map(|id| reference("person", id));
    let tags = select(vec![json!([]), json!(["red"]), json!(["blue", "red"])]);
    let readers = select(vec![json!(["a@b"]), json!(["c@d", "e@f"])]);
    let (rank, public) = ((0..3i64).prop_map(Value::from), any::<bool>().prop_map(Value::from));
    let attributes = (maybe(owner), maybe(rank), maybe(tags), maybe(public), maybe(readers));
    attributes.prop_map(|(owner, rank, tags, public, readers)| {
        let attributes = [
            ("owner", owner),
            ("rank", rank),
            ("tags", tags),
            ("public", public),
            ("readers", readers),
        ];
        members(attributes.into())
    })
}

/// Some of the groups or folders that come before it, so that there is no circle.
fn parents(kind: &'static str, letter: char, below: usize) -> impl Strategy<Value = Vec<Value>> {
    let names: Vec<String> = (0..below).map(|n| format!("{letter}{n}")).collect();
    prop::sample::subsequence(names, 0..=below.min(2))
        .prop_map(move |ids| ids.iter().map(|id| reference(kind, id)).collect())
}

fn entity(kind: &'static str, id: String, attrs: Properties, parents: Vec<Value>) -> Value {
    json!({"uid": {"type": kind, "id": id}, "attrs": attrs, "parents": parents})
}

/// What is stored: groups and folders 0 to 3, people and documents 0 to 3.
fn stored() -> impl Strategy<Value = Vec<Value>> {
    let each: Vec<BoxedStrategy<Value>> = (0..4usize)
        .flat_map(|n| {
            let group =
                parents("Group", 'g', n).prop_map(move |up| entity("Group", format!("g{n}"), Properties::new(), up));
            let folder =
                parents("Folder", 'f', n).prop_map(move |up| entity("Folder", format!("f{n}"), Properties::new(), up));
            let person = (of_person(), parents("Group", 'g', 4))
                .prop_map(move |(attrs, up)| entity("person", format!("p{n}"), attrs, up));
            let doc = (of_doc(), parents("Folder", 'f', 4))
                .prop_map(move |(attrs, up)| entity("Doc", format!("d{n}"), attrs, up));
            [group.boxed(), folder.boxed(), person.boxed(), doc.boxed()]
        })
        .collect();
    each
}

/// A question that owns its parts.
#[derive(Clone, Debug)]
struct Asked {
    subject: (&'static str, String, Properties),
    action: &'static str,
    resource: (&'static str, String, Properties),
    context: Properties,
}

impl Asked {
    fn query(&self) -> Query<'_> {
        fn party<'a>((kind, id, properties): &'a (&'static str, String, Properties)) -> Party<'a> {
            Party {
                kind,
                id,
                properties: Some(properties),
            }
        }
        Query {
            subject: party(&self.subject),
            action: self.action,
            action_properties: None,
            resource: party(&self.resource),
            context: Some(&self.context),
            approved: false,
        }
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let person = (0..5usize, of_person()).prop_map(|(n, given)| ("person", format!("p{n}"), given));
    let group = (0..5usize).prop_map(|n| ("Group", format!("g{n}"), Properties::new()));
    let doc = (0..5usize, of_doc()).prop_map(|(n, given)| ("Doc", format!("d{n}"), given));
    let folder = (0..5usize).prop_map(|n| ("Folder", format!("f{n}"), Properties::new()));
    let context = (
        maybe(any::<bool>().prop_map(Value::from)),
        maybe((0..4i64).prop_map(Value::from)),
        maybe((0..5usize).prop_map(|n| reference("person", &format!("p{n}")))),
    );
    let context = context.prop_map(|(mfa, limit, of)| members(vec![("mfa", mfa), ("limit", limit), ("for", of)]));
    (
        prop_oneof![4 => person, 1 => group],
        select(vec!["read", "read", "read", "write", "write", "list"]),
        prop_oneof![3 => doc, 1 => folder],
        context,
    )
        .prop_map(|(subject, action, resource, context)| Asked {
            subject,
            action,
            resource,
            context,
        })
}

/// The request and all entities for plain Cedar; none if the action is not one of such a subject on such a resource.
fn plain(stored: &[Value], asked: &Asked) -> Option<(Request, Entities)> {
    static READ: LazyLock<Schema> = LazyLock::new(|| Schema::from_cedarschema_str(SCHEMA).unwrap().0);
    let schema: &Schema = &READ;
    let mut entities = stored.to_vec();
    for (kind, id, given) in [&asked.subject, &asked.resource] {
        let uid = json!({"type": kind, "id": id});
        let mut known = match entities.iter().position(|entity| entity["uid"] == uid) {
            Some(at) => entities.remove(at),
            None => json!({"uid": uid, "attrs": {}, "parents": []}),
        };
        for (name, value) in given.iter().filter(|(name, _)| *name != "trusted") {
            known["attrs"][name] = value.clone();
        }
        entities.push(known);
    }
    let uid = |kind: &str, id: &str| EntityUid::from_json(reference(kind, id)).unwrap();
    let action = uid("Action", asked.action);
    let declared = if asked.action == "list" {
        Properties::new()
    } else {
        asked.context.clone()
    };
    let context = Context::from_json_value(Value::Object(declared), Some((schema, &action))).unwrap();
    let (principal, resource) = (
        uid(asked.subject.0, &asked.subject.1),
        uid(asked.resource.0, &asked.resource.1),
    );
    let request = Request::new(principal, action, resource, context, Some(schema)).ok()?;
    let entities = Entities::from_json_value(Value::Array(entities), Some(schema)).unwrap();
    Some((request, entities))
}

/// What plain Cedar makes of it: the outcome, and the policies that decided.
fn oracle(parsed: &PolicySet, stored: &[Value], asked: &Asked) -> (Outcome, Code, BTreeSet<String>) {
    let Some((request, entities)) = plain(stored, asked) else {
        return (Outcome::Deny, Code::NotApplicable, BTreeSet::new());
    };
    let name = |id: &cedar_policy::PolicyId| parsed.annotation(id, "id").unwrap().to_owned();
    let response = Authorizer::new().is_authorized(&request, parsed, &entities);
    let reasons: BTreeSet<String> = response.diagnostics().reason().map(name).collect();
    let failed = response
        .diagnostics()
        .errors()
        .filter_map(|AuthorizationError::PolicyEvaluationError(error)| {
            let policy = parsed.policy(error.policy_id()).unwrap();
            (policy.effect() == Effect::Forbid).then(|| name(error.policy_id()))
        });
    let failed: BTreeSet<String> = failed.collect();
    match response.decision() {
        Answer::Deny if !reasons.is_empty() => (Outcome::Deny, Code::Forbidden, reasons),
        _ if !failed.is_empty() => (Outcome::Deny, Code::EvaluationError, failed),
        Answer::Allow => (Outcome::Permit, Code::Permitted, reasons),
        Answer::Deny => (Outcome::Deny, Code::NoPermit, reasons),
    }
}

fn world(policies: &[String], stored: &[Value]) -> (String, Bundle) {
    let numbered = policies.iter().enumerate();
    let policies: String = numbered
        .map(|(n, policy)| format!("@id(\"p{n}\") {policy}\n"))
        .collect();
    let sources = Sources {
        schemas: vec![source("schemas/s.cedarschema", SCHEMA)],
        policies: vec![source("policies/p.cedar", &policies)],
        entities: vec![source("entities/e.json", &Value::Array(stored.to_vec()).to_string())],
    };
    let bundle = Bundle::compile(&sources, &agents());
    let bundle = bundle.unwrap_or_else(|problems| panic!("{policies}\n{}", lines(&problems)));
    (policies, bundle)
}

fn veil(text: &str) -> String {
    format!("~{text}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_those_of_plain_cedar(
        policies in prop::collection::vec(policy(), 0..12),
        stored in stored(),
        questions in prop::collection::vec(asked(), 24),
    ) {
        let (policies, bundle) = world(&policies, &stored);
        let parsed = policies.parse().unwrap();
        let veiled = bundle.pseudonymised(&veil).unwrap();
        for asked in questions {
            let verdict = bundle.evaluate(&asked.query());
            let found = verdict.policies.iter().map(ToString::to_string).collect();
            let found = (verdict.outcome, verdict.code, found);
            prop_assert_eq!(found, oracle(&parsed, &stored, &asked), "{}\n{:?}\n{:?}", policies, asked, verdict.notes);
            // Asked again as the log has it, the answer is the same.
            let recorded = bundle.recorded(&asked.query(), &veil);
            let (kind, name, _) = &asked.subject;
            let expected = if *kind == "person" { veil(name) } else { name.clone() };
            prop_assert_eq!(&recorded.subject_id, &expected);
            prop_assert_eq!(&recorded.resource_id, &asked.resource.1);
            let again = veiled.evaluate(&recorded.query());
            let found = (again.outcome, again.code, again.policies);
            prop_assert_eq!(found, (verdict.outcome, verdict.code, verdict.policies), "{}\n{:?}", policies, recorded);
        }
    }

    #[test]
    fn searches_are_questions_about_each(
        policies in prop::collection::vec(policy(), 0..12),
        stored in stored(),
        questions in prop::collection::vec(asked(), 6),
        (limit, candidates) in (1..6usize, 1..6usize),
    ) {
        let (policies, bundle) = world(&policies, &stored);
        let ids = |letter: char| (0..4).map(move |n| format!("{letter}{n}"));
        for mut asked in questions {
            let before = asked.clone();
            let letter = if asked.subject.0 == "person" { 'p' } else { 'g' };
            let subjects = all_pages(limit, candidates, |page| bundle.search_subject(&SubjectSearch {
                kind: before.subject.0,
                properties: Some(&before.subject.2),
                action: before.action,
                action_properties: None,
                resource: before.query().resource,
                context: Some(&before.context),
            }, page));
            let expected: Vec<String> = ids(letter).filter(|id| {
                asked.subject.1.clone_from(id);
                bundle.evaluate(&asked.query()).is_permit()
            }).collect();
            prop_assert_eq!(subjects, expected, "subjects of {:?}\n{}", before, policies);
            asked = before.clone();
            let letter = if asked.resource.0 == "Doc" { 'd' } else { 'f' };
            let resources = all_pages(limit, candidates, |page| bundle.search_resource(&ResourceSearch {
                subject: before.query().subject,
                action: before.action,
                action_properties: None,
                kind: before.resource.0,
                properties: Some(&before.resource.2),
                context: Some(&before.context),
            }, page));
            let expected: Vec<String> = ids(letter).filter(|id| {
                asked.resource.1.clone_from(id);
                bundle.evaluate(&asked.query()).is_permit()
            }).collect();
            prop_assert_eq!(resources, expected, "resources of {:?}\n{}", before, policies);
            asked = before.clone();
            let query = before.query();
            let actions = all_pages(limit, candidates, |page| bundle.search_action(&ActionSearch {
                subject: query.subject,
                resource: query.resource,
                context: query.context,
            }, page));
            let expected: Vec<String> = ["list", "read", "write"].into_iter().filter(|action| {
                asked.action = action;
                bundle.evaluate(&asked.query()).is_permit()
            }).map(str::to_owned).collect();
            prop_assert_eq!(actions, expected, "actions of {:?}\n{}", before, policies);
        }
    }
}

/// The condition does not say `principal`, and yet it looks at the candidate: the document names him, and the request says
/// something of whoever is looked for.
#[test]
fn what_a_search_says_of_candidates_is_seen_by_way_of_what_names_them() {
    let policy = r#"permit (principal, action == Action::"read", resource is Doc)
        unless { resource has owner && resource.owner has level && resource.owner.level > 1 };"#;
    let entity = |kind, id: &str| entity(kind, id.to_owned(), Properties::new(), Vec::new());
    let (_, bundle) = world(&[policy.to_owned()], &[entity("person", "p0"), entity("person", "p1")]);
    let properties = members(vec![("level", Some(json!(3)))]);
    let owned = members(vec![("owner", Some(reference("person", "p1")))]);
    let search = SubjectSearch {
        kind: "person",
        properties: Some(&properties),
        action: "read",
        action_properties: None,
        resource: Party {
            kind: "Doc",
            id: "d",
            properties: Some(&owned),
        },
        context: None,
    };
    assert_eq!(all_pages(9, 9, |page| bundle.search_subject(&search, page)), ["p0"]);
}

/// A `forbid` that cannot be evaluated denies, and says nothing of itself: its reasons need not be true of the question.
#[test]
fn a_policy_that_fails_gives_no_reasons() {
    let schema = r#"entity person; entity doc { rank: Long };
        action "read" appliesTo { principal: [person], resource: [doc], context: {} };"#;
    let policies = r#"@id("secret") @reason_user("It is secret.") @obligation_notification("security")
        forbid (principal, action == Action::"read", resource) when { resource.rank > 5 };"#;
    let sources = Sources {
        schemas: vec![source("s", schema)],
        policies: vec![source("p", policies)],
        entities: Vec::new(),
    };
    let bundle = Bundle::compile(&sources, &[]).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    let ranked = members(vec![("rank", Some(json!(9)))]);
    for (properties, code, reasons) in [(None, Code::EvaluationError, 0), (Some(&ranked), Code::Forbidden, 1)] {
        let verdict = bundle.evaluate(&Query {
            subject: Party {
                kind: "person",
                id: "ann",
                properties: None,
            },
            action: "read",
            action_properties: None,
            resource: Party {
                kind: "doc",
                id: "d",
                properties,
            },
            context: None,
            approved: false,
        });
        assert_eq!((verdict.code, verdict.policies.len()), (code, 1));
        assert_eq!(bundle.reasons(&verdict).user.len(), reasons);
        assert_eq!(bundle.obligations(&verdict).len(), reasons);
    }
}

/// What is said of the resource counts too where it is the subject, and a search sees it as a question does.
#[test]
fn who_is_subject_and_resource_at_once_is_one_entity() {
    let schema = r#"entity person { locked?: Bool, nick?: String };
        action "edit" appliesTo { principal: [person], resource: [person], context: {} };"#;
    let policies = r#"@id("all") permit (principal, action == Action::"edit", resource);
        @id("locked") forbid (principal, action == Action::"edit", resource) when { resource has locked && resource.locked };"#;
    let sources = Sources {
        schemas: vec![source("s", schema)],
        policies: vec![source("p", policies)],
        entities: vec![source(
            "e",
            &json!([entity("person", "ann".to_owned(), Properties::new(), Vec::new())]).to_string(),
        )],
    };
    let bundle = Bundle::compile(&sources, &[]).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    let locked = members(vec![("locked", Some(json!(true)))]);
    let free = members(vec![("locked", Some(json!(false)))]);
    let nick = members(vec![("nick", Some(json!("a")))]);
    for (subject, resource, expected) in [
        (None, None, Code::Permitted),
        (None, Some(&locked), Code::Forbidden),
        (Some(&locked), None, Code::Forbidden),
        (Some(&nick), Some(&locked), Code::Forbidden),
        (Some(&locked), Some(&locked), Code::Forbidden),
        (Some(&free), Some(&locked), Code::EvaluationError),
    ] {
        let party = |properties| Party {
            kind: "person",
            id: "ann",
            properties,
        };
        let query = Query {
            subject: party(subject),
            action: "edit",
            action_properties: None,
            resource: party(resource),
            context: None,
            approved: false,
        };
        assert_eq!(bundle.evaluate(&query).code, expected, "{subject:?} {resource:?}");
        let search = SubjectSearch {
            kind: "person",
            properties: subject,
            action: "edit",
            action_properties: None,
            resource: query.resource,
            context: None,
        };
        let found = all_pages(9, 9, |page| bundle.search_subject(&search, page));
        assert_eq!(
            !found.is_empty(),
            expected == Code::Permitted,
            "{subject:?} {resource:?}"
        );
    }
}

/// All results of a search, page by page.
fn all_pages(limit: usize, candidates: usize, search: impl Fn(Page<'_>) -> crate::Found) -> Vec<String> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let found = search(Page {
            after: after.as_deref(),
            limit,
            candidates,
        });
        assert!(found.names.len() <= limit);
        all.extend(found.names);
        match found.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}
