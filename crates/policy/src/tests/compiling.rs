//! What compiling refuses, and how it says so.

use super::*;

const GOOD: &str = "@id(\"good\") permit (principal, action, resource);\n";

fn compiled(policies: &[Source], entities: &[Source]) -> String {
    match Bundle::compile(&sources(policies, entities), &agents()) {
        Ok(_) => "fine".to_owned(),
        Err(problems) => lines(&problems),
    }
}

/// Every problem of one policy file, as a person sees it.
#[track_caller]
fn check_policies(text: &str, expected: &str) {
    assert_eq!(compiled(&[source("p.cedar", text)], &[]), expected, "{text}");
}

/// Every problem of one entity file.
#[track_caller]
fn check_entities(text: &str, expected: &str) {
    assert_eq!(compiled(&[], &[source("e.json", text)]), expected, "{text}");
}

#[test]
fn syntax_errors_name_their_place() {
    check_policies(
        "permit (principal, action, resource)",
        "p.cedar:1:37: unexpected end of input: expected `;` or identifier",
    );
    check_policies(
        "// Größe 🦀\n/* no */ permit (principal, action, resource);",
        "p.cedar:2:1: unexpected token `/`: expected `@` or identifier",
    );
    check_policies(
        "@id(\"ä\") permit (principal, actio, resource);",
        "p.cedar:1:29: found an invalid variable in the policy scope: actio\n  help: policy scopes must contain a \
         `principal`, `action`, and `resource` element in that order",
    );
    check_policies(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal.team like principal.name };",
        "p.cedar:3:28: right hand side of a `like` expression must be a pattern literal, but got `principal.name`",
    );
    check_policies(
        "@id(\"a\") @id(\"b\") permit (principal, action, resource);",
        "p.cedar:1:10: duplicate annotation: @id",
    );
}

#[test]
fn what_is_quoted_cannot_move_the_cursor() {
    check_policies(
        "@id(\"a\\\u{1b}[2J\") permit (principal, action, resource);",
        "p.cedar:1:1: the input `\\\\u{1b}` is not a valid escape",
    );
}

#[test]
fn strict_validation_names_the_place() {
    for (condition, expected) in [
        (
            "principal.tema == \"data\"",
            "for policy `b`, attribute `tema` on entity type `Agent` not found\n  help: did you mean `team`?",
        ),
        (
            "context.max_output_tokens == \"many\"",
            "the types Long and String are not compatible\n  help: for policy `b`, both operands to a `==` expression must \
             have compatible types. Types must be exactly equal to be compatible",
        ),
        (
            "context.max_output_tokens < context.tier",
            "for policy `b`, unexpected type: expected Long but saw String",
        ),
        (
            "context.task == \"x\"",
            "for policy `b`, unable to guarantee safety of access to optional attribute `task` in context for \
             Action::\"llm:generate\"\n  help: try testing for the attribute's presence with `context has task && ..`",
        ),
        (
            "Modell::\"x\" in principal",
            "for policy `b`, unrecognized entity type `Modell`\n  help: did you mean `Model`?",
        ),
        (
            "decimal(resource.name).lessThan(decimal(\"1.0\"))",
            "for policy `b`, extension constructors may not be called with non-literal expressions\n  help: consider \
             applying extension constructors inside attribute values when constructing entity or context data",
        ),
    ] {
        let text =
            format!("{GOOD}\n@id(\"b\")\npermit (principal, action, resource is Model)\nwhen {{\n  {condition}\n}};");
        let problems = compiled(&[source("p.cedar", &text)], &[]);
        let (place, message) = problems.split_at(problems.find(": ").unwrap());
        assert_eq!(message.strip_prefix(": "), Some(expected));
        assert!(place.starts_with("p.cedar:6:"), "{place}");
    }
    check_policies(
        "@id(\"a\") permit (principal, action == Action::\"llm:generat\", resource);",
        "p.cedar:1:39: for policy `a`, unrecognized action `Action::\"llm:generat\"`\n  help: did you mean \
         `Action::\"llm:generate\"`?",
    );
    check_policies(
        "@id(\"a\") permit (principal == Agnt::\"x\", action, resource);",
        "p.cedar:1:31: for policy `a`, unrecognized entity type `Agnt`\n  help: did you mean `Agent`?",
    );
}

/// Cedar reports a mistake once for each action the policy covers.
#[test]
fn a_mistake_is_reported_once_whatever_the_actions() {
    for action in [
        "action",
        "action in Action::\"llm:use\"",
        "action in [Action::\"llm:list\", Action::\"llm:generate\"]",
    ] {
        let text =
            format!("@id(\"a\")\npermit (principal, {action}, resource)\nwhen {{ context.streem || context.teer }};");
        check_policies(
            &text,
            "p.cedar:3:8: for policy `a`, attribute `streem` in context for Action::\"llm:generate\" not found\n  help: \
             did you mean `stream`?\n\
             p.cedar:3:26: for policy `a`, attribute `teer` in context for Action::\"llm:generate\" not found\n  help: \
             did you mean `tier`?",
        );
    }
}

#[test]
fn conditions_about_models_do_not_fit_upstreams() {
    let help = "help: llm:list is about an upstream, and its context is smaller; if this policy is about models, write \
                `resource is Model` in its scope";
    for (scope, condition, expected) in [
        (
            "resource",
            "context.stream",
            "p.cedar:3:8: for policy `a`, attribute `stream` in context for Action::\"llm:list\" not found",
        ),
        (
            "resource in Upstream::\"openai\"",
            "resource.name like \"gpt-4o*\"",
            "p.cedar:3:8: for policy `a`, attribute `name` on entity type `Upstream` not found",
        ),
        (
            "resource",
            "[Model::\"openai/o3\"].contains(resource)",
            "p.cedar:3:8: the types Model and Upstream are not compatible",
        ),
    ] {
        let text = |scope: &str| format!("@id(\"a\")\nforbid (principal, action, {scope})\nwhen {{ {condition} }};");
        check_policies(&text(scope), &format!("{expected}\n  {help}"));
        let narrowed = match scope.split_once(" in ") {
            Some((_, upstream)) => format!("resource is Model in {upstream}"),
            None => "resource is Model".to_owned(),
        };
        check_policies(&text(&narrowed), "fine");
    }
    // One mistake is about that and the other is not.
    check_policies(
        "@id(\"a\") forbid (principal, action, resource) when { context.stream && context.tier == 3 };",
        &format!(
            "p.cedar:1:54: for policy `a`, attribute `stream` in context for Action::\"llm:list\" not found\n  {help}\n\
             p.cedar:1:72: the types Long and String are not compatible\n  help: for policy `a`, both operands to a `==` \
             expression must have compatible types. Types must be exactly equal to be compatible"
        ),
    );
}

#[test]
fn every_policy_has_an_id_of_its_own() {
    let missing = "the policy has no @id\n  help: write @id(\"a-unique-name\") before the policy";
    check_policies(
        "permit (principal, action, resource);",
        &format!("p.cedar:1:1: {missing}"),
    );
    check_policies(
        "@id(\"\") permit (principal, action, resource);",
        &format!("p.cedar:1:1: {missing}"),
    );
    // The text of a policy may stand in a comment before it.
    check_policies(
        &format!("{GOOD}// permit (principal, action, resource);\n\n  permit (principal, action, resource);"),
        &format!("p.cedar:4:3: {missing}"),
    );
    check_policies(
        "@id(\"a b\") permit (principal, action, resource);",
        "p.cedar:1:1: an @id has only letters, digits and '-', '_', '.', ':', '/'; found ' ' in \"a b\"\n  help: write \
         @id(\"a-unique-name\") before the policy",
    );
    check_policies(
        &format!("@id(\"{}\") permit (principal, action, resource);", "a".repeat(129)),
        "p.cedar:1:1: an @id has at most 128 characters\n  help: write @id(\"a-unique-name\") before the policy",
    );
    check_policies(
        &format!("{GOOD}\n  @tag(\"x\") @id(\"good\") forbid (principal, action, resource);"),
        "p.cedar:3:3: the @id \"good\" is already used at p.cedar:1:1",
    );
    assert_eq!(
        compiled(&[source("b.cedar", GOOD), source("a.cedar", &format!("\n{GOOD}"))], &[]),
        "b.cedar:1:1: the @id \"good\" is already used at a.cedar:2:1"
    );
}

#[test]
fn templates_are_refused() {
    check_policies(
        &format!("{GOOD}@id(\"t\") permit (principal == ?principal, action, resource);\n{GOOD}"),
        "p.cedar:2:1: policy templates are not supported\n  help: write the principal or resource instead of ?principal \
         and ?resource\np.cedar:3:1: the @id \"good\" is already used at p.cedar:1:1",
    );
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    assert_eq!(
        compiled(
            &[
                source("c.cedar", "perm"),
                source(
                    "b.cedar",
                    "permit (principal, action, resource) when { context.streem };"
                ),
                source("a.cedar", GOOD),
            ],
            &[source("e.json", "[")],
        ),
        "b.cedar:1:1: the policy has no @id\n  help: write @id(\"a-unique-name\") before the policy\n\
         b.cedar:1:45: for policy `(b.cedar:1:1)`, attribute `streem` in context for Action::\"llm:generate\" not found\n  \
         help: did you mean `stream`?\n\
         c.cedar:1:5: unexpected end of input: expected `(`\n\
         e.json:1:1: not a JSON array of entities: EOF while parsing a list"
    );
}

#[test]
fn entities_fit_the_schema_and_are_declared_once() {
    let team = |id: &str, parent: &str| {
        format!("{{\"uid\": {{\"type\": \"Team\", \"id\": \"{id}\"}}, \"attrs\": {{}}, \"parents\": [{parent}]}}")
    };
    let named = |kind: &str, attributes: &str| {
        format!(
            "[\n  {{\"uid\": {{\"type\": \"{kind}\", \"id\": \"x\"}}, \"attrs\": {{{attributes}}}, \"parents\": []}}]"
        )
    };
    check_entities(&format!("[{}]", team("x", "")), "fine");
    check_entities(&named("Tenant", ""), "fine");
    check_entities(&named("User", ""), "fine");
    check_entities(&named("Upstream", ""), "fine");
    check_entities(
        "{}",
        "e.json:1:1: not a JSON array of entities: invalid type: map, expected a sequence",
    );
    check_entities(
        "[\n {}]",
        "e.json:2:2: error during entity deserialization: missing field `uid`",
    );
    check_entities(
        &named("Team", "\"size\": 3"),
        "e.json:2:3: error during entity deserialization: attribute `size` on `Team::\"x\"` should not exist according \
         to the schema",
    );
    check_entities(
        &named("Robot", ""),
        "e.json:2:3: error during entity deserialization: entity `Robot::\"x\"` has type `Robot` which is not declared in \
         the schema",
    );
    check_entities(
        &named(
            "Agent",
            r#""name": "x", "team": "x", "product": "x", "environment": "x""#,
        ),
        "e.json:2:3: `Agent::\"x\"` cannot be declared here: agents come from their manifests",
    );
    check_entities(
        &named("Model", r#""name": "x", "upstream": "x""#),
        "e.json:2:3: `Model::\"x\"` cannot be declared here: models come from the request",
    );
    check_entities(
        "[{\"uid\": {\"type\": \"Action\", \"id\": \"llm:generate\"}, \"attrs\": {}, \"parents\": []}]",
        "e.json:1:2: entity does not conform to the schema: definition of action `Action::\"llm:generate\"` does not match \
         its schema declaration",
    );
    check_entities(
        "[{\"uid\": {\"type\": \"Action\", \"id\": \"llm:generate\"}, \"attrs\": {}, \"parents\": [{\"type\": \"Action\", \"id\": \"llm:use\"}]}]",
        "e.json:1:2: `Action::\"llm:generate\"` cannot be declared here: actions come from the schema",
    );
    check_entities(
        &format!("[{}]", team("x", r#"{"type": "User", "id": "u"}"#)),
        "e.json:1:2: entity does not conform to the schema: `Team::\"x\"` is not allowed to have an ancestor of type \
         `User` according to the schema",
    );
    check_entities(&format!("[{}]", team("", "")), "e.json:1:2: `Team::\"\"` has no id");
    check_entities(
        &format!("[{},\n {}]", team("x", ""), team("x", "")),
        "e.json:2:2: `Team::\"x\"` is already declared at e.json:1:2",
    );
    check_entities(
        &format!("[{},\n{}]", team("x", r#"{"type": "Team", "id": "x"}"#), team("y", "")),
        "e.json:1:2: `Team::\"x\"` is in itself\n  help: take `Team::\"x\"` out of the `parents` of `Team::\"x\"`",
    );
    check_entities(
        "[\n{\"uid\": 1, \"uid\": 2}]",
        "e.json:2:1: error during entity deserialization: duplicate field `uid`",
    );
}

#[test]
fn an_agent_is_declared_once() {
    let twice: Vec<AgentFacts> = agents().into_iter().chain(agents().pop()).collect();
    let problems = Bundle::compile(&Sources::default(), &twice).unwrap_err();
    assert_eq!(lines(&problems), "agents: the agent reviewer is declared twice");
}

#[test]
fn what_looks_like_a_mistake_is_a_warning() {
    let bundle = bundle(
        "@id(\"a\") permit (principal == Agent::\"crawlr\", action, resource);\n\
         @id(\"b\") permit (principal == Team::\"data\", action, resource);\n\
         @id(\"c\") permit (principal, action, resource is Model) when { resource.name == \"gpt-\u{430}\" };",
    );
    assert_eq!(
        lines(bundle.warnings()),
        "p.cedar:1:1: for policy `a`, no manifest declares the agent `Agent::\"crawlr\"`\n\
         p.cedar:2:1: for policy `b`, policy is impossible: the policy expression evaluates to false for all valid \
         requests\n\
         p.cedar:2:1: for policy `b`, unable to find an applicable action given the policy scope constraints\n  help: \
         try replacing `==` with `in` in the principal clause\n\
         p.cedar:3:80: for policy `c`, string `\"gpt-а\"` contains mixed scripts"
    );
}

#[test]
fn the_digest_depends_on_every_text_and_not_on_their_order() {
    let digest = |policies: &[Source], entities: &[Source]| {
        let bundle = Bundle::compile(&sources(policies, entities), &agents()).unwrap();
        bundle.digest()
    };
    let (a, b) = (
        source("a", GOOD),
        source("b", "@id(\"b\") permit (principal, action, resource);"),
    );
    let same = digest(&[a.clone(), b.clone()], &[]);
    assert_eq!(same, digest(&[b.clone(), a.clone()], &[]));
    let digests = [
        same,
        digest(&[], &[]),
        digest(std::slice::from_ref(&a), &[]),
        digest(&[source("a", &format!("{}{}", a.text, b.text))], &[]),
        digest(&[source("ab", GOOD)], &[]),
        digest(&[a.clone(), source("c", &b.text)], &[]),
        digest(std::slice::from_ref(&a), &[source("e", "[]")]),
        digest(&[a, source("e", "")], &[]),
    ];
    let distinct: std::collections::HashSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}

#[test]
fn ids_are_listed_in_order() {
    let bundle =
        bundle("@id(\"b\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);");
    assert_eq!(
        bundle.policy_ids().iter().map(|id| &**id).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert!(Bundle::schema_text().contains("\"llm:generate\""));
}
