//! How little a decision looks at: counts, which unlike times are the same on every machine.

use std::sync::Arc;

use super::*;
use crate::question::Named;

/// How many policies and entities the decision of a question starts from.
fn looked_at(bundle: &Bundle, question: &str) -> (usize, usize) {
    let asked = Asked::parse(question);
    let known = bundle.agents.get(&asked.agent).unwrap();
    let resource = Named::new(&bundle.vocabulary, asked.question().resource);
    let groups = known.groups.get(asked.action);
    let shards = groups
        .iter()
        .flat_map(|group| group.shards(resource.uid().type_name(), resource.lineage()));
    (shards.map(|shard| shard.num_of_policies()).sum(), known.entities.len())
}

#[test]
fn only_policies_that_can_apply_are_evaluated() {
    let mut policies = String::from(
        r#"@id("everyone") forbid (principal, action, resource is Model) when { context.stream && context.tool_count > 9 };
@id("typed") forbid (principal is Agent, action, resource is Model) when { context.tool_count > 99 };
@id("team") permit (principal in Team::"data", action, resource in Upstream::"openai");
@id("mine") permit (principal == Agent::"crawler", action, resource);"#,
    );
    for n in 0..100 {
        policies.push_str(&format!(
            "@id(\"p{n}\") permit (principal == Agent::\"agent-{n}\", action, resource);
             @id(\"m{n}\") permit (principal, action, resource == Model::\"openai/m{n}\");
             @id(\"t{n}\") permit (principal in Team::\"team-{n}\", action, resource in Upstream::\"openai\");
             @id(\"i{n}\") permit (principal == Team::\"data\", action, resource);"
        ));
    }
    let bundle = bundle(&policies);
    assert_eq!(bundle.policy_ids().len(), 404);
    for (question, expected) in [
        ("crawler openai/m7", 5),
        ("crawler openai/other", 4),
        ("crawler anthropic/other", 3),
        ("nightly-report openai/m7", 4),
        ("reviewer openai/m7", 3),
        ("reviewer anthropic/m7", 2),
        ("crawler openai/m7 do=embed", 5),
        ("crawler openai", 2),
        ("reviewer openai", 0),
    ] {
        assert_eq!(looked_at(&bundle, question).0, expected, "{question}");
    }
}

#[test]
fn only_entities_that_can_matter_are_in_the_slice() {
    let teams: Vec<String> = (0..1000)
        .map(|n| {
            format!(r#"{{"uid": {{"type": "Team", "id": "t{n}"}}, "attrs": {{}}, "parents": [{{"type": "Team", "id": "top"}}]}}"#)
        })
        .collect();
    let entities = [
        source("e.json", ENTITIES),
        source("t.json", &format!("[{}]", teams.join(","))),
    ];
    let named: String = (0..100)
        .map(|n| {
            format!(
                "@id(\"p{n}\") permit (principal, action, resource) when {{
                   principal in Team::\"t{n}\" || (context has user && context.user in [Team::\"t{n}\", Team::\"data\"])
                 }};"
            )
        })
        .collect();
    let read =
        r#"@id("read") permit (principal in Team::"data", action, resource) when { Team::"t7" in Team::"top" };"#;
    let bundle = Bundle::compile(
        &sources(&[source("p.cedar", &format!("{named}{read}"))], &entities),
        &agents(),
    )
    .unwrap();
    // The agent, its team and the team's two ancestors (the tenant has no record); for the data team also
    // the one whose record a policy reads. Its ancestor has no record.
    assert_eq!(looked_at(&bundle, "crawler openai/x").1, 4);
    assert_eq!(looked_at(&bundle, "reviewer openai/x").1, 1);
}

#[test]
fn each_action_has_its_own_policies() {
    let policies = r#"
@id("all") permit (principal, action, resource);
@id("use") permit (principal, action in Action::"llm:use", resource);
@id("models") permit (principal, action in [Action::"llm:use"], resource is Model);
@id("upstreams") permit (principal, action in Action::"llm:use", resource is Upstream in Upstream::"openai");
@id("embed") permit (principal, action == Action::"llm:embed", resource);
@id("some") permit (principal, action in [Action::"llm:embed", Action::"llm:list"], resource in Upstream::"openai");
@id("none") permit (principal, action == Action::"llm:use", resource);
"#;
    let bundle = bundle(policies);
    for (question, expected) in [
        ("crawler openai/x do=generate", 3),
        ("crawler openai/x do=embed", 5),
        ("crawler anthropic/x do=embed", 4),
        ("crawler openai/x do=count", 3),
        ("crawler openai", 4),
        ("crawler anthropic", 2),
    ] {
        assert_eq!(looked_at(&bundle, question).0, expected, "{question}");
    }
}

/// Most policies cover many actions, and a large bundle must not be kept once for each.
#[test]
fn actions_with_the_same_policies_share_them() {
    let bundle = bundle(
        r#"@id("a") permit (principal, action, resource); @id("b") forbid (principal, action == Action::"llm:embed", resource);"#,
    );
    let groups = &bundle.agents.get(&agents()[0].name).unwrap().groups;
    let group = |action| groups.get(action).first().unwrap();
    for action in Action::ALL {
        let shared = Arc::ptr_eq(group(action), group(Action::Generate));
        assert_eq!(shared, action != Action::Embed, "{action}");
    }
}
