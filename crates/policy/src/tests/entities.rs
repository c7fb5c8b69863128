//! Entities of files and of the API, over one another.

use serde_json::{Value, json};

use super::*;
use crate::{EntityChange, EntityName, EntityRecord};

const SCHEMA: &str = r#"
entity Group in [Group];
entity person in [Group, Team] { mail: String, level?: Long, boss?: person, price?: decimal };
action read appliesTo { principal: person, resource: Group };
"#;

const FILE: &str = r#"[
  {"uid": {"type": "person", "id": "ann"}, "attrs": {"mail": "a@b", "level": 1}, "parents": [{"type": "Group", "id": "g"}]},
  {"uid": {"__entity": {"type": "Group", "id": "g"}}, "attrs": {}, "parents": [{"type": "Group", "id": "h"}]},
  {"uid": {"type": "Team", "id": "data"}, "attrs": {}, "parents": [{"type": "Team", "id": "engineering"}]},
  {"uid": {"type": "User", "id": "u1"}, "attrs": {}, "parents": []}
]"#;

fn with(policies: &str) -> Bundle {
    let sources = Sources {
        schemas: vec![source("s", SCHEMA)],
        policies: vec![source("p", policies)],
        entities: vec![source("e", FILE)],
    };
    Bundle::compile(&sources, &agents()).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn name(text: &str) -> EntityName {
    let (kind, id) = text.split_once(' ').unwrap();
    EntityName {
        kind: kind.to_owned(),
        id: id.to_owned(),
    }
}

fn put(of: &str, attrs: Value, parents: &[&str]) -> EntityChange {
    let Value::Object(attrs) = attrs else { panic!("{attrs}") };
    EntityChange::Put(EntityRecord {
        name: name(of),
        attrs,
        parents: parents.iter().map(|parent| name(parent)).collect(),
    })
}

fn remove(of: &str) -> EntityChange {
    EntityChange::Remove(name(of))
}

fn shown(bundle: &Bundle, of: &str) -> String {
    let record = bundle.entity(&name(of)).map(|record| record.to_json());
    record.map_or("-".to_owned(), |record| {
        format!("{} {}", record["attrs"], record["parents"])
    })
}

#[test]
fn the_api_is_merged_over_files_attribute_by_attribute() {
    let files = with("");
    let before = shown(&files, "person ann");
    assert_eq!(
        before,
        r#"{"level":1,"mail":"a@b"} [{"id":"g","type":"Group"}]"#
            .replace(r#""id":"g","type":"Group""#, r#""type":"Group","id":"g""#)
    );
    let change = put(
        "person ann",
        json!({"level": 2, "boss": {"type": "person", "id": "bob"}, "price": "1.5"}),
        &["Team data", "Group g"],
    );
    let bundle = files.with_entities(std::slice::from_ref(&change)).unwrap();
    let merged = bundle.entity(&name("person ann")).unwrap();
    let attrs = json!({
        "level": 2, "mail": "a@b", "boss": {"__entity": {"type": "person", "id": "bob"}},
        "price": {"__extn": {"fn": "decimal", "arg": "1.5"}},
    });
    assert_eq!(Value::Object(merged.attrs.clone()), attrs);
    assert_eq!(merged.parents, [name("Group g"), name("Team data")]);
    assert_eq!(
        bundle.entity_of_files(&name("person ann")),
        files.entity(&name("person ann"))
    );
    assert_eq!(
        EntityChange::Put(bundle.entity_of_api(&name("person ann")).unwrap().clone()),
        change
    );
    // What it said before is no more, and the bundle is the files'.
    let again = bundle
        .with_entities(&[put("person ann", json!({"level": 3}), &[])])
        .unwrap();
    assert_eq!(
        shown(&again, "person ann"),
        before.replace("\"level\":1", "\"level\":3")
    );
    assert_eq!(again.digest(), files.digest());
    let back = again.with_entities(&[remove("person ann")]).unwrap();
    assert_eq!(shown(&back, "person ann"), before);
    assert!(back.entity_of_api(&name("person ann")).is_none());
    // And what files do not know.
    let more = back
        .with_entities(&[put("person zoe", json!({"mail": "z"}), &[])])
        .unwrap();
    let people: Vec<String> = more.entities_of("person").map(|name| name.id).collect();
    assert_eq!(people, ["ann", "zoe"]);
    assert!(more.entity_of_files(&name("person zoe")).is_none());
    assert_eq!(more.entities().count(), back.entities().count() + 1);
    assert!(more.entities().all(|name| name.kind != "Action"));
    assert_eq!(
        shown(&more.with_entities(&[remove("person zoe")]).unwrap(), "person zoe"),
        "-"
    );
}

#[test]
fn records_are_read_as_they_are_written() {
    let bundle = with("");
    for name in bundle.entities() {
        let record = bundle.entity(&name).unwrap();
        assert_eq!(EntityRecord::from_json(record.to_json()), Ok(record.clone()));
        if name.kind != "Agent" {
            let same = bundle.with_entities(&[EntityChange::Put(record.clone())]).unwrap();
            assert_eq!(same.entity(&name), Some(record));
        }
    }
    for (json, expected) in [
        (json!([]), "an entity is a JSON object"),
        (json!({}), "the entity has no `uid`"),
        (
            json!({"uid": {"type": "A", "id": "a"}, "attrs": 1}),
            "`attrs` is not an object",
        ),
        (
            json!({"uid": {"type": "A", "id": "a"}, "parents": {}}),
            "`parents` is not an array",
        ),
        (
            json!({"uid": {"type": "A", "id": "a"}, "tags": {}}),
            "an entity has `uid`, `attrs` and `parents`, and no `tags`",
        ),
    ] {
        assert_eq!(EntityRecord::from_json(json), Err(expected.to_owned()));
    }
    for json in [
        json!({"uid": 1}),
        json!({"uid": {"type": "a b", "id": "a"}}),
        json!({"uid": {"type": "A", "id": "a"}, "parents": [1]}),
    ] {
        assert!(EntityRecord::from_json(json).is_err());
    }
}

#[test]
fn what_does_not_fit_is_told_and_changes_nothing() {
    let bundle = with("");
    let told = |changes: &[EntityChange]| lines(&bundle.with_entities(changes).unwrap_err());
    for (change, expected) in [
        (
            put("person zoe", json!({"mail": "z", "size": 1}), &[]),
            "person::\"zoe\": error during entity deserialization: attribute `size` on `person::\"zoe\"` should not exist \
             according to the schema",
        ),
        (
            put("person zoe", json!({"level": 1}), &[]),
            "person::\"zoe\": entity does not conform to the schema: expected entity `person::\"zoe\"` to have attribute \
             `mail`, but it does not",
        ),
        (
            put("Agent crawler", json!({}), &[]),
            "Agent::\"crawler\": `Agent::\"crawler\"` cannot be declared here: agents come from their manifests",
        ),
        (
            put("Model openai/x", json!({}), &[]),
            "Model::\"openai/x\": `Model::\"openai/x\"` cannot be declared here: models come from the request",
        ),
        (
            put("Action read", json!({}), &[]),
            "Action::\"read\": `Action::\"read\"` cannot be declared here: actions come from the schema",
        ),
        (
            put("Persons zoe", json!({}), &[]),
            "Persons::\"zoe\": `Persons::\"zoe\"` cannot be declared here: the schema declares no such type",
        ),
        (
            put("a-b zoe", json!({}), &[]),
            "a-b::\"zoe\": \"a-b\" is not the name of an entity type",
        ),
        (
            put("Group h", json!({}), &["Group g"]),
            "Group::\"h\": `Group::\"h\"` would be in itself by way of `Group::\"g\"`\n  help: leave `Group::\"g\"` out of \
             its parents",
        ),
        (
            remove("person ann"),
            "person::\"ann\": the API does not say anything of `person::\"ann\"`",
        ),
    ] {
        assert_eq!(told(std::slice::from_ref(&change)), expected);
    }
    let wrong = told(&[
        put("person zoe", json!({"mail": 1}), &[]),
        put("Group x", json!({}), &["person ann"]),
    ]);
    assert!(wrong.contains("`mail`") && wrong.contains("Group::\"x\""), "{wrong}");
    // In the order of the changes, and all of them or none.
    let ok = bundle.with_entities(&[put("Group x", json!({}), &["Group y"]), put("Group y", json!({}), &[])]);
    assert!(ok.is_ok());
    assert!(
        told(&[
            put("Group x", json!({}), &["Group y"]),
            put("Group y", json!({}), &["Group x"])
        ])
        .contains("in itself")
    );
    let many: Vec<EntityChange> = (0..500).map(|_| remove("person ann")).collect();
    assert_eq!(bundle.with_entities(&many).unwrap_err().len(), 100);
}

/// A decision of the gateway after a change is that of a bundle compiled with it.
#[test]
fn agents_see_what_changed() {
    let policies = r#"
@id("team") permit (principal in Tenant::"acme", action, resource);
@id("named") forbid (principal, action, resource) when { Team::"blocked" in Tenant::"acme" };
@id("user") forbid (principal, action, resource) when { context has user && context.user in Team::"out" };
@id("far") forbid (principal, action == Action::"llm:embed", resource)
  when { person::"ann" in Team::"data" && person::"ann" has boss && person::"ann".boss.mail == "x" };"#;
    let files = with(policies);
    let check = |bundle: &Bundle, question: &str, expected: &str| {
        let decision = bundle.decide(&Asked::parse(question).question());
        assert_eq!(answer(&decision), expected, "{question}");
    };
    check(&files, "crawler openai/x", "no permit");
    let into = files
        .with_entities(&[put("Team engineering", json!({}), &["Tenant acme"])])
        .unwrap();
    check(&into, "crawler openai/x", "permit team");
    check(&into, "crawler openai/x user=u1", "permit team");
    check(&into, "reviewer openai/x", "no permit");
    check(&files, "crawler openai/x", "no permit");
    let blocked = into
        .with_entities(&[put("Team blocked", json!({}), &["Tenant acme"])])
        .unwrap();
    check(&blocked, "crawler openai/x", "forbid named");
    let back = blocked.with_entities(&[remove("Team blocked")]).unwrap();
    check(&back, "crawler openai/x", "permit team");
    let out = back.with_entities(&[put("User u1", json!({}), &["Team out"])]).unwrap();
    check(&out, "crawler openai/x user=u1", "forbid user");
    check(&out, "crawler openai/x user=u2", "permit team");
    // Over a reference, and to what that is.
    let boss = json!({"boss": {"type": "person", "id": "bob"}});
    let far = back.with_entities(&[put("person ann", boss, &["Team data"])]).unwrap();
    check(&far, "crawler openai/x do=embed", "error far");
    let bob = |mail: &str| put("person bob", json!({ "mail": mail }), &[]);
    check(
        &far.with_entities(&[bob("x")]).unwrap(),
        "crawler openai/x do=embed",
        "forbid far",
    );
    check(
        &far.with_entities(&[bob("y")]).unwrap(),
        "crawler openai/x do=embed",
        "permit team",
    );
    check(&far, "crawler openai/x", "permit team");
}

#[test]
fn only_agents_that_it_concerns_are_prepared_anew() {
    let files = with(r#"@id("a") permit (principal in Team::"data", action, resource);"#);
    let same = |one: &Bundle, other: &Bundle, agent: &str| {
        let name = AgentName::new(agent).unwrap();
        std::sync::Arc::ptr_eq(one.agents.get(&name).unwrap(), other.agents.get(&name).unwrap())
    };
    let elsewhere = files.with_entities(&[put("Group x", json!({}), &[])]).unwrap();
    assert!(same(&files, &elsewhere, "crawler") && same(&files, &elsewhere, "reviewer"));
    // It had no record, and is what the agent's team is in.
    let above = files
        .with_entities(&[put("Team engineering", json!({}), &["Tenant acme"])])
        .unwrap();
    assert!(!same(&files, &above, "crawler") && same(&files, &above, "reviewer"));
    // What it is in now matters as well.
    let tenant = above.with_entities(&[put("Tenant acme", json!({}), &[])]).unwrap();
    assert!(!same(&above, &tenant, "crawler") && same(&above, &tenant, "reviewer"));
}
