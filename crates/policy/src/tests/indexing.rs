//! How little a decision looks at: counts, which unlike times are the same on every machine.

use super::*;

/// How many policies and entities the decision of a question starts from.
fn looked_at(bundle: &Bundle, question: &str) -> (usize, usize) {
    let asked = Asked::parse(question);
    let known = &bundle.agents[&asked.agent];
    let model = bundle.vocabulary.model(&asked.upstream, &asked.model);
    let upstream = bundle.vocabulary.upstream(&asked.upstream);
    let shards = known.groups.iter().flat_map(|group| group.shards(&model, &upstream));
    (shards.map(|shard| shard.num_of_policies()).sum(), known.entities.len())
}

#[test]
fn only_policies_that_can_apply_are_evaluated() {
    let mut policies = String::from(
        r#"@id("everyone") forbid (principal, action, resource) when { context.stream && context.tool_count > 9 };
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
    let bundle = Bundle::compile(&[source("p.cedar", &format!("{named}{read}"))], &entities, &agents()).unwrap();
    // The action, the agent, its team and the team's two ancestors (the tenant has no record); for the data team also
    // the one whose record a policy reads. Its ancestor has no record.
    assert_eq!(looked_at(&bundle, "crawler openai/x").1, 5);
    assert_eq!(looked_at(&bundle, "reviewer openai/x").1, 2);
}
