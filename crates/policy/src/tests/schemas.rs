//! Schema fragments: what they add, and what of them is refused.

use super::*;
use crate::{schema::Terms, shape::Type};

const GOOD: &str = r#"
entity Group in [Group, Team];
entity person in [Group] { @personal mail: String, level?: Long, @authoritative("store") role: String };
entity _x_mcp_2dserver { owner: person, home: App::Place };
namespace App {
  type Place = { city: String, at?: ipaddr };
  entity Doc in [Doc] { size?: decimal, by?: Set<person>, place: Place };
  @personal("no") entity Bot;
  entity State enum ["on", "off"];
}
action reading;
action "can read", can_write in [reading] appliesTo {
  principal: [person, App::Bot, Agent], resource: [App::Doc, _x_mcp_2dserver], context: { reason?: String, for?: person }
};
"#;

fn read(sources: &[Source]) -> (Option<Terms>, String, String) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let sources: Vec<&Source> = sources.iter().collect();
    let terms = Terms::read(&sources, &mut problems, &mut warnings);
    assert_eq!(terms.is_none(), !problems.is_empty());
    problems.sort();
    (terms, lines(&problems), lines(&warnings))
}

#[test]
fn fragments_add_types_and_actions() {
    let (terms, problems, warnings) = read(&[source("s.cedarschema", GOOD)]);
    assert_eq!((problems.as_str(), warnings.as_str()), ("", ""));
    let terms = terms.unwrap();
    let mut kinds: Vec<String> = terms
        .kinds
        .values()
        .filter(|kind| !kind.builtin)
        .map(|kind| format!("{} {} {:?}", kind.name, kind.personal, kind.ids))
        .collect();
    kinds.sort();
    let expected = [
        "App::Bot false None",
        "App::Doc false None",
        r#"App::State false Some({"off", "on"})"#,
        "Group false None",
        "_x_mcp_2dserver false None",
        "person true None",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(terms.kinds.values().filter(|kind| kind.builtin).count(), 6);
    let ours = terms.kinds.values().filter(|kind| kind.builtin && kind.personal);
    assert_eq!(ours.map(|kind| kind.name.to_string()).collect::<Vec<_>>(), ["User"]);
    let shape = |kind: &str| &terms.kind(kind).unwrap().shape;
    let shown = |kind: &str| -> Vec<String> {
        let attributes = shape(kind).0.iter();
        let attributes = attributes.map(|(name, attribute)| {
            let flags = [
                (attribute.required, "required"),
                (attribute.authoritative, "authoritative"),
                (attribute.personal, "personal"),
            ];
            let flags = flags
                .into_iter()
                .filter(|(on, _)| *on)
                .map(|(_, flag)| format!(" {flag}"));
            format!("{name}: {}{}", attribute.of, flags.collect::<String>())
        });
        attributes.collect()
    };
    let person = [
        "level: Long",
        "mail: String required personal",
        "role: String required authoritative",
    ];
    assert_eq!(shown("person"), person);
    // A reference to somebody is as personal as they are.
    assert_eq!(
        shown("mcp-server"),
        ["home: a record required", "owner: person required personal"]
    );
    assert_eq!(
        shown("App::Doc"),
        ["by: Set<person> personal", "place: a record required", "size: decimal"]
    );
    match &shape("mcp-server").get("home").unwrap().of {
        Type::Record(home) => assert_eq!(home.0.keys().collect::<Vec<_>>(), ["at", "city"]),
        other => panic!("{other:?}"),
    }
    let deed = &terms.actions["can read"];
    let mut types: Vec<String> = deed
        .principals
        .iter()
        .chain(&deed.resources)
        .map(ToString::to_string)
        .collect();
    types.sort();
    assert_eq!(types, ["Agent", "App::Bot", "App::Doc", "_x_mcp_2dserver", "person"]);
    assert!(deed.context.get("for").unwrap().personal && !deed.context.get("reason").unwrap().personal);
    assert_eq!((deed.lineage.len(), deed.builtin), (2, false));
    assert!(terms.actions["reading"].principals.is_empty() && terms.actions["llm:list"].builtin);
}

/// Every problem of one fragment.
#[track_caller]
fn check(text: &str, expected: &str) {
    let (_, problems, _) = read(&[source("s.cedarschema", text)]);
    assert_eq!(problems, expected, "{text}");
}

#[test]
fn what_cannot_be_added() {
    let again = |what: &str, name: &str| {
        format!(
            "the {what} `{name}` is Bailiwick's own and cannot be declared again\n  help: give it another name, or use \
             `{name}` as it is: without declaring it"
        )
    };
    check(
        "\nentity A, Team;",
        &format!("s.cedarschema:2:11: {}", again("entity type", "Team")),
    );
    check(
        "type ModelCall = { a: Long };",
        &format!("s.cedarschema:1:6: {}", again("common type", "ModelCall")),
    );
    check(
        "action \"llm:use\";",
        &format!("s.cedarschema:1:8: {}", again("action", "llm:use")),
    );
    check(
        "namespace A { action b; }",
        "s.cedarschema:1:22: the action `b` is in a namespace, where callers cannot name it\n  help: move it out of \
         `namespace { .. }`; what it applies to may stay there",
    );
    check(
        "action mine in [\"llm:use\"] appliesTo { principal: Agent, resource: Model };",
        "s.cedarschema:1:8: the action `mine` is in `llm:use`, which is Bailiwick's own\n  help: policies about our group \
         would cover it; declare a group of your own",
    );
    check(
        "entity _x_doc;",
        "s.cedarschema:1:8: callers cannot name the entity type `_x_doc`\n  help: names that begin with `_x_` are those of \
         types that Cedar has no name for; for the type \"doc\" write `doc`",
    );
    check(
        "entity A tags String;",
        "s.cedarschema:1:8: the entity type `A` has tags, which are not supported\n  help: declare attributes instead of `tags`",
    );
    check(
        "external entity A;",
        "s.cedarschema:1:17: the entity type `A` is external, and nothing else declares it\n  help: declare it without \
         `external`",
    );
}

#[test]
fn mistakes_are_told_with_their_place() {
    let language = "help: the language of schemas is described at \
                    https://docs.cedarpolicy.com/schema/human-readable-schema.html";
    for (text, place) in [
        ("entity A {", "s.cedarschema:1:11: "),
        ("entity A { a: Lon };", "s.cedarschema:1:15: "),
        ("// ü\nentity A; entity A;", "s.cedarschema:2:"),
        ("entity A in [B];", "s.cedarschema:1:14: "),
        (
            "action a appliesTo { principal: A, resource: Team };",
            "s.cedarschema:1:33: ",
        ),
        ("type A = B; type B = A;", "s.cedarschema"),
        ("action a in [b]; action b in [a];", "s.cedarschema"),
        ("action a in [b];", "s.cedarschema"),
    ] {
        let (_, problems, _) = read(&[source("s.cedarschema", text)]);
        assert!(
            problems.starts_with(place) && problems.contains("\n  help: "),
            "{text}\n{problems}"
        );
    }
    check(
        "entity A @",
        &format!(
            "s.cedarschema:1:10: error parsing schema: unexpected token `@`: expected `,`, `;`, `=`, `{{`, `enum`, `in`, or `tags`\n  {language}"
        ),
    );
}

#[test]
fn annotations_stand_where_they_mean_something() {
    let attribute = "an attribute can be authoritative only for the store\n  help: write @authoritative(\"store\")";
    check(
        "entity A { @authoritative a: Long };",
        &format!("s.cedarschema:1:12: {attribute}"),
    );
    check(
        "entity A { @authoritative(\"me\") a: Long };",
        &format!("s.cedarschema:1:12: {attribute}"),
    );
    check(
        "@authoritative(\"store\") entity A;",
        "s.cedarschema:1:1: only an attribute can be authoritative\n  help: write @authoritative(\"store\") before the \
         attributes that requests may not set",
    );
    check(
        "@personal(\"yes\") entity A;",
        "s.cedarschema:1:1: @personal has no value \"yes\"\n  help: write @personal, or @personal(\"no\") for what is not \
         personal",
    );
    check(
        "@personal action a;",
        "s.cedarschema:1:1: only an entity type or an attribute can be personal\n  help: write @personal before the entity \
         type or the attribute",
    );
    check(
        "entity A { b: { @personal year: Long } };",
        "s.cedarschema:1:27: the attribute `year` is personal, but no pseudonym can stand for Long\n  help: declare it as \
         String, or drop @personal",
    );
}

#[test]
fn what_looks_personal_is_a_warning() {
    let text = "entity A { name: String, email: String, \"work phone\"?: String, @personal(\"no\") mail: String };\n\
                entity B { name: String, @personal email: String, phones: Long };\n\
                action a appliesTo { principal: A, resource: B, context: { user_name: String } };";
    let (_, problems, warnings) = read(&[source("s", text)]);
    assert_eq!(problems, "");
    let places: Vec<&str> = warnings
        .lines()
        .filter(|line| !line.starts_with("  help"))
        .map(|line| line.split_once(" looks").unwrap().0)
        .collect();
    let expected = [
        "s:1:26: the attribute `email`",
        "s:1:41: the attribute `work phone`",
        "s:3:60: the attribute `user_name`",
        "s:1:12: the attribute `name`",
    ];
    assert_eq!(places, expected);
}

#[test]
fn files_see_each_other_and_problems_find_theirs() {
    let a = source("a", "entity A in [B] { t: T };");
    let b = source(
        "b",
        "entity B; type T = Long;\naction x appliesTo { principal: A, resource: B };",
    );
    let (terms, problems, _) = read(&[a.clone(), b.clone()]);
    assert_eq!(problems, "");
    assert!(terms.is_some());
    let (_, problems, _) = read(&[
        a.clone(),
        source("b", "entity B;\ntype U = Lang;"),
        source("c", "entity C;"),
    ]);
    assert!(
        problems.starts_with("a:1:22: ") || problems.starts_with("b:2:10: "),
        "{problems}"
    );
    let (_, problems, _) = read(&[a, source("c", "entity C; entity D in [C, E];")]);
    assert!(
        problems.starts_with("a:1:14: ") || problems.starts_with("c:1:"),
        "{problems}"
    );
    let (_, problems, _) = read(&[b.clone(), source("c", "\nentity B;"), source("d", "entity A;")]);
    assert!(
        problems.starts_with("c:2:") || problems.starts_with("b:1:"),
        "{problems}"
    );
}

#[test]
fn policies_are_checked_against_them() {
    let sources = |policy: &str| Sources {
        schemas: vec![source("s", GOOD)],
        policies: vec![source("p", policy)],
        entities: Vec::new(),
    };
    let compile = |policy: &str| match Bundle::compile(&sources(policy), &agents()) {
        Ok(bundle) => lines(bundle.warnings()),
        Err(problems) => lines(&problems),
    };
    let good = r#"@id("a") permit (principal is person, action in Action::"reading", resource is App::Doc)
        when { resource has by && resource.by.contains(principal) && principal.role == "reader" };"#;
    assert_eq!(compile(good), "");
    let bad = compile(&good.replace("role", "rolle"));
    assert!(
        bad.starts_with("p:2:70: for policy `a`, attribute `rolle` on entity type `person` not found"),
        "{bad}"
    );
    let digest = |schemas: &[Source]| {
        let schemas = schemas.to_vec();
        Bundle::compile(
            &Sources {
                schemas,
                ..Sources::default()
            },
            &[],
        )
        .unwrap()
        .digest()
    };
    let [a, b] = [source("a", "entity A;"), source("b", "entity B;")];
    let all = [
        digest(&[]),
        digest(std::slice::from_ref(&a)),
        digest(std::slice::from_ref(&b)),
        digest(&[a.clone(), b.clone()]),
    ];
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    assert_eq!(all[3], digest(&[b, a]));
}
