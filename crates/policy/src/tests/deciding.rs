//! Decisions, as tables.

use super::*;
use crate::Denial;
use model::Reason;

fn denial(bundle: &Bundle, asked: &Asked) -> Denial {
    match bundle.decide(&asked.question()) {
        Decision::Deny(denial) => denial,
        Decision::Permit(permit) => panic!("{permit:?}"),
    }
}

#[test]
fn nothing_is_allowed_unless_permitted() {
    check(
        "",
        &[
            ("nightly-report openai/gpt-4o-mini", "no permit"),
            ("stranger openai/gpt-4o", "unknown agent"),
        ],
    );
    check(
        r#"@id("all") permit (principal, action, resource);"#,
        &[
            ("nightly-report openai/gpt-4o-mini", "permit all"),
            ("stranger openai/gpt-4o", "unknown agent"),
        ],
    );
}

#[test]
fn scopes_select() {
    check(
        r#"@id("nightly-report-models")
permit (principal == Agent::"nightly-report", action == Action::"llm:generate", resource == Model::"openai/gpt-4o-mini");"#,
        &[
            ("nightly-report openai/gpt-4o-mini", "permit nightly-report-models"),
            ("nightly-report openai/gpt-4o", "no permit"),
            ("nightly-report azure/gpt-4o-mini", "no permit"),
            ("crawler openai/gpt-4o-mini", "no permit"),
        ],
    );
    check(
        r#"
@id("team") permit (principal in Team::"data", action, resource in Upstream::"openai");
@id("parent") permit (principal in Team::"engineering", action, resource in Upstream::"anthropic");
@id("tenant") permit (principal in Tenant::"acme", action, resource == Model::"local/llama");
@id("typed") permit (principal is Agent in Team::"platform", action, resource is Model in Upstream::"openai");
@id("no-opus") forbid (principal, action in [Action::"llm:generate"], resource == Model::"anthropic/opus");
"#,
        &[
            ("crawler openai/gpt-4o", "permit team"),
            ("crawler anthropic/haiku", "permit parent"),
            ("crawler anthropic/opus", "forbid no-opus"),
            ("crawler local/llama", "permit tenant"),
            ("crawler local/llama2", "no permit"),
            ("reviewer openai/gpt-4o", "permit typed"),
            ("reviewer anthropic/haiku", "no permit"),
            ("reviewer local/llama", "no permit"),
            ("reviewer anthropic/opus", "forbid no-opus"),
        ],
    );
}

#[test]
fn actions_select() {
    check(
        r#"
@id("data") permit (principal in Team::"data", action in Action::"llm:use", resource in Upstream::"openai");
@id("embed") permit (principal == Agent::"reviewer", action == Action::"llm:embed", resource == Model::"openai/embed-3");
@id("two") permit (principal, action in [Action::"llm:count", Action::"llm:list"], resource in Upstream::"anthropic");
@id("no-images") forbid (principal, action == Action::"llm:image", resource);
@id("no-free-work") forbid (principal, action, resource is Model) when { context.worst_case_cost_nano_usd == 0 };
"#,
        &[
            ("crawler openai/x do=generate", "permit data"),
            ("crawler openai/x do=moderate", "permit data"),
            ("crawler openai/x do=moderate cost=0", "forbid no-free-work"),
            ("crawler openai/x do=speech", "permit data"),
            ("crawler openai/x do=transcribe", "permit data"),
            ("crawler openai/x do=image", "forbid no-images"),
            ("crawler openai cost=0", "permit data"),
            ("crawler anthropic", "permit two"),
            ("crawler local", "no permit"),
            ("reviewer openai", "no permit"),
            ("reviewer openai/embed-3 do=embed", "permit embed"),
            ("reviewer openai/embed-3", "no permit"),
            ("reviewer openai/embed-4 do=embed", "no permit"),
            ("reviewer anthropic/x do=count", "permit two"),
            ("reviewer anthropic/x do=generate", "no permit"),
        ],
    );
}

/// A caller that mixes up an action and a resource gets no decision about either.
#[test]
fn an_action_is_about_its_own_kind_of_resource() {
    let mut table = vec![
        ("crawler openai/x do=list", "not applicable"),
        ("stranger openai/x do=list", "unknown agent"),
    ];
    let mixed: Vec<String> = Action::ALL
        .into_iter()
        .filter(|action| *action != Action::List)
        .map(|action| format!("crawler openai do={}", action.as_str().trim_start_matches("llm:")))
        .collect();
    table.extend(mixed.iter().map(|question| (question.as_str(), "not applicable")));
    check(r#"@id("all") permit (principal, action, resource);"#, &table);
}

#[test]
fn actions_have_names() {
    for action in Action::ALL {
        assert_eq!(action.to_string().parse(), Ok(action));
    }
    assert_eq!(
        "llm:use".parse::<Action>().unwrap_err().to_string(),
        "\"llm:use\" is not an action; the actions are llm:generate, llm:embed, llm:moderate, llm:image, llm:speech, \
         llm:transcribe, llm:count, llm:list"
    );
}

#[test]
fn every_deciding_policy_is_named() {
    check(
        r#"
@id("b") permit (principal, action, resource);
@id("a") permit (principal == Agent::"crawler", action, resource in Upstream::"openai");
@id("z") forbid (principal in Team::"data", action, resource == Model::"openai/gpt-4o");
@id("y") forbid (principal, action, resource is Model) when { resource.name like "gpt-4o" };
"#,
        &[
            ("crawler openai/gpt-4o-mini", "permit a b"),
            ("reviewer openai/gpt-4o-mini", "permit b"),
            ("crawler openai/gpt-4o", "forbid y z"),
            ("reviewer openai/gpt-4o", "forbid y"),
        ],
    );
}

#[test]
fn conditions_see_agent_model_and_request() {
    for (condition, yes, no) in [
        (
            r#"resource.name like "gpt-4o*""#,
            "crawler openai/gpt-4o-mini",
            "crawler openai/o3",
        ),
        (
            r#"resource.upstream == "openai""#,
            "crawler openai/o3",
            "crawler azure/o3",
        ),
        (r#"principal.name == "crawler""#, "crawler a/b", "reviewer a/b"),
        (r#"principal.team == "platform""#, "reviewer a/b", "crawler a/b"),
        (r#"principal.product == "reports""#, "nightly-report a/b", "crawler a/b"),
        (
            r#"principal.environment == context.environment && context.environment == "test""#,
            "crawler a/b",
            "reviewer a/b",
        ),
        ("context.stream", "crawler a/b stream=true", "crawler a/b"),
        (
            "context.max_output_tokens <= 500",
            "crawler a/b max=500",
            "crawler a/b max=501",
        ),
        (
            "context.max_output_tokens <= 500",
            "crawler a/b max=0",
            "crawler a/b max=18446744073709551615",
        ),
        (
            r#"context.tools.contains("bash")"#,
            "crawler a/b tools=ls,bash",
            "crawler a/b tools=ls",
        ),
        (
            r#"["ls", "cat"].containsAll(context.tools)"#,
            "crawler a/b tools=ls,ls",
            "crawler a/b tools=ls,bash",
        ),
        (
            "context.tool_count < 3",
            "crawler a/b tools=a,a",
            "crawler a/b tools=a,a,a",
        ),
        (
            "context.worst_case_cost_nano_usd <= 20000000",
            "crawler a/b cost=20000000",
            "crawler a/b cost=20000001",
        ),
        (
            r#"context.tier == "sub-agent""#,
            "crawler a/b tier=sub-agent",
            "crawler a/b tier=background",
        ),
        (
            r#"context has task && context.task == "audit""#,
            "crawler a/b task=audit",
            "crawler a/b",
        ),
        (
            r#"context has run && context.run like "r-*""#,
            "crawler a/b run=r-7",
            "crawler a/b",
        ),
        (
            r#"context has user && context.user == User::"u9""#,
            "crawler a/b user=u9",
            "crawler a/b user=u1",
        ),
        (
            r#"context has user && context.user in Team::"support""#,
            "crawler a/b user=u1",
            "crawler a/b user=u9",
        ),
        (
            r#"context has user && context.user in Tenant::"acme""#,
            "crawler a/b user=u1",
            "crawler a/b",
        ),
    ] {
        let policy = format!(r#"@id("p") permit (principal, action, resource is Model) when {{ {condition} }};"#);
        check(&policy, &[(yes, "permit p"), (no, "no permit")]);
    }
}

#[test]
fn conditions_see_who_asks_for_a_list() {
    for (condition, yes, no) in [
        (r#"principal.team == "platform""#, "reviewer a", "crawler a"),
        (r#"context.environment == "test""#, "crawler a", "reviewer a"),
        (
            r#"context.tier == "sub-agent""#,
            "crawler a tier=sub-agent",
            "crawler a tier=background",
        ),
        (
            r#"context has task && context.task == "audit""#,
            "crawler a task=audit",
            "crawler a",
        ),
        (
            r#"context has run && context.run like "r-*""#,
            "crawler a run=r-7",
            "crawler a",
        ),
        (
            r#"context has user && context.user in Team::"support""#,
            "crawler a user=u1",
            "crawler a user=u9",
        ),
        (
            r#"resource in [Upstream::"a", Upstream::"b"]"#,
            "crawler b",
            "crawler c",
        ),
        (
            r#"action in Action::"llm:use" && action != Action::"llm:count""#,
            "crawler b",
            "crawler b/x do=count",
        ),
    ] {
        let policy = format!(r#"@id("p") permit (principal, action, resource) when {{ {condition} }};"#);
        check(&policy, &[(yes, "permit p"), (no, "no permit")]);
    }
}

/// Strict validation excludes most errors at evaluation; arithmetic that overflows is the one left.
#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    let policies = r#"
@id("all") permit (principal, action, resource);
@id("broken-permit") permit (principal, action, resource is Model) when { context.max_output_tokens * 9223372036854775807 > 0 };
@id("broken-forbid") forbid (principal == Agent::"crawler", action, resource is Model)
  when { context.max_output_tokens * 9223372036854775807 > 0 };
@id("no-opus") forbid (principal, action, resource == Model::"anthropic/opus");
"#;
    check(
        policies,
        &[
            ("crawler openai/gpt-4o max=1", "forbid broken-forbid"),
            ("crawler openai/gpt-4o max=2", "error broken-forbid"),
            ("crawler anthropic/opus max=2", "forbid no-opus"),
            ("reviewer openai/gpt-4o max=1", "permit all broken-permit"),
            ("reviewer openai/gpt-4o max=2", "permit all"),
        ],
    );
    let bundle = bundle(policies);
    let Decision::Permit(permit) = bundle.decide(&Asked::parse("reviewer openai/gpt-4o max=2").question()) else {
        panic!();
    };
    assert_eq!(
        permit.notes(),
        [
            "error while evaluating policy `broken-permit`: integer overflow while attempting to multiply the values `2` and `9223372036854775807`"
        ]
    );
    let denial = denial(&bundle, &Asked::parse("crawler openai/gpt-4o max=2"));
    assert_eq!(
        denial.message,
        "A policy that may forbid it (broken-forbid) could not be evaluated for a request to generate with the model \
         \"openai/gpt-4o\" (llm:generate), so the request is refused. An administrator has to repair that; the server's log says what failed."
    );
    assert!(denial.detail.unwrap().contains("`broken-forbid`: integer overflow"));
}

#[test]
fn a_permit_says_what_it_is_for() {
    let bundle = bundle(r#"@id("all") permit (principal, action, resource);"#);
    let Decision::Permit(permit) = bundle.decide(&Asked::parse("crawler openai/gpt-4o").question()) else {
        panic!();
    };
    assert_eq!(permit.policies().iter().map(|id| &**id).collect::<Vec<_>>(), ["all"]);
    assert_eq!(
        (
            permit.agent().as_str(),
            permit.action(),
            permit.upstream().as_str(),
            permit.model()
        ),
        ("crawler", Action::Generate, "openai", "gpt-4o")
    );
    assert_eq!(permit.bundle(), bundle.digest());
    assert_eq!(permit.notes(), [] as [String; 0]);
    let Decision::Permit(permit) = bundle.decide(&Asked::parse("crawler openai").question()) else {
        panic!();
    };
    assert_eq!(
        (permit.action(), permit.upstream().as_str(), permit.model()),
        (Action::List, "openai", "")
    );
}

#[test]
fn denials_say_what_to_do() {
    let bundle = bundle(
        r#"@id("allow-crawler") permit (principal, action, resource == Model::"a/b");
@id("no-opus") forbid (principal, action, resource == Model::"anthropic/opus");
@id("no-claude") forbid (principal, action, resource in Upstream::"anthropic");"#,
    );
    for (question, reason, message) in [
        (
            "crawler openai/gpt-4o",
            Reason::PolicyDenied,
            "No policy permits the agent \"crawler\" to generate with the model \"openai/gpt-4o\" (llm:generate). An \
             administrator can allow it with a policy such as: @id(\"allow-crawler-2\") permit (principal == Agent::\"crawler\", action == \
             Action::\"llm:generate\", resource == Model::\"openai/gpt-4o\");",
        ),
        (
            "crawler anthropic/opus",
            Reason::PolicyDenied,
            "Policy forbids the agent \"crawler\" to generate with the model \"anthropic/opus\" (llm:generate) in this \
             way: no-claude, no-opus. An administrator can change or remove what forbids it.",
        ),
        (
            "crawler openai/whisper-1 do=transcribe",
            Reason::PolicyDenied,
            "No policy permits the agent \"crawler\" to transcribe with the model \"openai/whisper-1\" (llm:transcribe). An \
             administrator can allow it with a policy such as: @id(\"allow-crawler-2\") permit (principal == \
             Agent::\"crawler\", action == Action::\"llm:transcribe\", resource == Model::\"openai/whisper-1\");",
        ),
        (
            "crawler openai",
            Reason::PolicyDenied,
            "No policy permits the agent \"crawler\" to list the models of the upstream \"openai\" (llm:list). An \
             administrator can allow it with a policy such as: @id(\"allow-crawler-2\") permit (principal == \
             Agent::\"crawler\", action == Action::\"llm:list\", resource == Upstream::\"openai\");",
        ),
        (
            "crawler anthropic",
            Reason::PolicyDenied,
            "Policy forbids the agent \"crawler\" to list the models of the upstream \"anthropic\" (llm:list) in this way: \
             no-claude. An administrator can change or remove what forbids it.",
        ),
        (
            "crawler openai do=embed",
            Reason::PolicyDenied,
            "The action llm:embed does not apply to a resource of the kind Upstream.",
        ),
        (
            "stranger openai/gpt-4o",
            Reason::UnknownAgent,
            "The agent \"stranger\" is not declared, so nothing permits it to act. An administrator can declare it with \
             an agent manifest.",
        ),
    ] {
        let denial = denial(&bundle, &Asked::parse(question));
        assert_eq!(
            (denial.message.as_str(), denial.reason(), denial.detail.as_deref()),
            (message, reason, None)
        );
    }
}

/// A model's name is the caller's text. Whatever it holds, it stays one id: it matches no policy written for another
/// model, and the policy that the denial suggests permits exactly it.
#[test]
fn hostile_model_names_stay_names() {
    let one = r#"@id("one") permit (principal, action, resource == Model::"openai/gpt-4o-mini");"#;
    let only_one = bundle(one);
    for name in [
        "",
        "/",
        "*",
        "gpt-4o-mini\"",
        "gpt-4o-mini\" || true || \"",
        "gpt-4o-mini\"); permit (principal, action, resource); //",
        "\\",
        "\\\"",
        "gpt-4o-mini\0",
        "gpt-4o-mini\n@id(\"x\") permit (principal, action, resource);",
        "gpt\u{2011}4o\u{2011}mini",
        "gpt-4o-mini\u{202e}",
        "модель-🦀",
        "{\"__entity\":{\"type\":\"Model\",\"id\":\"openai/gpt-4o-mini\"}}",
        "../openai/gpt-4o-mini",
        "GPT-4o-mini",
        " gpt-4o-mini",
    ] {
        let asked = Asked {
            model: Some(name.to_owned()),
            ..Asked::parse("crawler openai/x")
        };
        let denial = denial(&only_one, &asked);
        assert_eq!(denial.kind, DenialKind::NoPermit, "{name:?}");
        assert!(
            !denial.message.contains(|c: char| c.is_control()),
            "{:?}",
            denial.message
        );
        let (_, suggested) = denial.message.split_once("such as: ").unwrap();
        let repaired = bundle(&format!("{one}\n{suggested}"));
        assert_eq!(
            answer(&repaired.decide(&asked.question())),
            "permit allow-crawler",
            "{name:?}"
        );
        let other = Asked {
            model: Some(format!("{name}x")),
            ..asked
        };
        assert_eq!(answer(&repaired.decide(&other.question())), "no permit", "{name:?}");
    }
}

#[test]
fn a_huge_model_name_does_not_make_a_huge_message() {
    let asked = Asked {
        model: Some("\u{1f980}\"".repeat(100_000)),
        ..Asked::parse("crawler openai/x")
    };
    let message = denial(&bundle(""), &asked).message;
    assert!(message.len() < 1000, "{}", message.len());
    assert!(message.ends_with("with a policy."), "{message}");
}

#[test]
fn hostile_tools_tasks_and_runs_stay_strings() {
    let policies = r#"@id("p") permit (principal, action, resource is Model) when { context.tools == ["ls"] && context has task && context.task == "audit" };"#;
    let bundle = bundle(policies);
    let hostile = "{\"__extn\":{\"fn\":\"ip\",\"arg\":\"::1\"}}\"\\\n";
    let asked = Asked {
        tools: vec!["ls".to_owned(), hostile.to_owned()],
        task: Some(hostile.to_owned()),
        run: Some(hostile.to_owned()),
        user: Some(Pseudonym(hostile.to_owned())),
        ..Asked::parse("crawler openai/x")
    };
    assert_eq!(answer(&bundle.decide(&asked.question())), "no permit");
}

#[test]
fn bundles_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Bundle>();
    shared::<Decision>();
}

#[test]
fn what_is_remembered_is_bounded_and_no_more_than_it_depends_on() {
    let bundle = bundle(
        r#"@id("short") permit (principal, action, resource is Model) when { context.max_output_tokens < 100 };"#,
    );
    let mut asked = Asked::parse("nightly-report openai/gpt-4o-mini");
    for tokens in [50, 200, 50, 200] {
        asked.max_output_tokens = tokens;
        let permitted = matches!(bundle.decide(&asked.question()), Decision::Permit(_));
        assert_eq!(permitted, tokens < 100, "{tokens}");
    }
    assert_eq!(bundle.memo.len(), 2);
    // What no policy looks at makes no difference.
    asked.worst_case = model::NanoUsd(7);
    asked.run = Some("other".to_owned());
    drop(bundle.decide(&asked.question()));
    assert_eq!(bundle.memo.len(), 2);
    for number in 0..5_000 {
        asked.model = Some(format!("made-up-{number}"));
        drop(bundle.decide(&asked.question()));
    }
    assert!(bundle.memo.len() <= 4_096);
}
