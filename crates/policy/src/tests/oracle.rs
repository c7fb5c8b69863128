//! The index and the slices against plain Cedar: every policy, every entity, one authorizer.
//!
//! The oracle shares no code with what it checks: it parses each policy by itself, builds entities and context from
//! JSON against the schema, and lets Cedar evaluate everything.

use std::{collections::BTreeSet, sync::LazyLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Answer, Effect, Entities, EntityUid, Policy, PolicyId,
    PolicySet, Request, Schema,
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::question::Named;

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is Agent",
    r#"principal == Agent::"crawler""#,
    r#"principal == Agent::"reviewer""#,
    r#"principal == Agent::"stranger""#,
    r#"principal == Team::"data""#,
    r#"principal in Agent::"crawler""#,
    r#"principal in Team::"data""#,
    r#"principal in Team::"engineering""#,
    r#"principal in Team::"platform""#,
    r#"principal in Tenant::"acme""#,
    r#"principal is Agent in Team::"data""#,
    r#"principal is Agent in Tenant::"acme""#,
    r#"principal is Team in Tenant::"acme""#,
];

const ACTIONS: &[&str] = &[
    "action",
    "action",
    r#"action in Action::"llm:use""#,
    r#"action in Action::"llm:use""#,
    r#"action in [Action::"llm:use"]"#,
    r#"action in [Action::"llm:embed", Action::"llm:use"]"#,
    // Nothing is the group itself.
    r#"action == Action::"llm:use""#,
    r#"action == Action::"llm:generate""#,
    r#"action == Action::"llm:list""#,
    r#"action in Action::"llm:generate""#,
    r#"action in Action::"llm:image""#,
    r#"action in [Action::"llm:generate"]"#,
    r#"action in [Action::"llm:count", Action::"llm:count"]"#,
    r#"action in [Action::"llm:generate", Action::"llm:list"]"#,
    r#"action in [Action::"llm:embed", Action::"llm:moderate", Action::"llm:speech", Action::"llm:transcribe"]"#,
];

const RESOURCES: &[&str] = &[
    "resource",
    "resource is Model",
    "resource is Upstream",
    r#"resource == Model::"openai/gpt-4o""#,
    r#"resource == Model::"openai/o3""#,
    r#"resource == Upstream::"openai""#,
    r#"resource in Model::"openai/gpt-4o""#,
    r#"resource in Upstream::"openai""#,
    r#"resource in Upstream::"anthropic""#,
    r#"resource is Model in Upstream::"anthropic""#,
    r#"resource is Upstream in Upstream::"openai""#,
];

/// Conditions that only fit the actions on models.
const OF_MODELS: &[&str] = &[
    "context.stream",
    "context.max_output_tokens > 500",
    r#"context.tools.contains("bash")"#,
    r#"resource.name like "gpt-*""#,
    // This one overflows unless the limit is zero.
    "context.max_output_tokens + 9223372036854775807 > 0",
    "context.stream && context.max_output_tokens * -9223372036854775807 < 0",
    r#"User::"u1" in Team::"support" && context.stream"#,
    r#"(if context.stream then Team::"engineering" else Team::"platform") in Tenant::"acme""#,
    r#"context.stream && Agent::"stranger".team == "data""#,
];

/// Conditions that fit every action.
const OF_ALL: &[&str] = &[
    "true",
    r#"principal.environment == "production" || principal.team == "platform""#,
    r#"context.tier == "interactive""#,
    r#"context has task && context.task == "audit""#,
    r#"context has user && context.user in Team::"support""#,
    r#"context has user && context.user in [Team::"data", Team::"support"]"#,
    r#"context has user && [User::"u1"].contains(context.user)"#,
    // These look into entities that no part of the request names.
    r#"Team::"data" in Tenant::"acme""#,
    r#"!(User::"u1" in Tenant::"acme")"#,
    r#"Agent::"reviewer".environment == "staging""#,
    r#"{ "in": Team::"data" }["in"] in Team::"engineering""#,
    r#"principal in [Team::"engineering", Team::"support"]"#,
    // Without the record, these are errors: a model that is not the request's, an agent no manifest declares.
    r#"Model::"openai/o3".name like "o*""#,
    r#"context.tier == "interactive" && Agent::"stranger".team == "data""#,
    r#"resource in Upstream::"openai""#,
    r#"resource is Upstream && [Upstream::"openai", Upstream::"local"].contains(resource)"#,
    r#"resource is Upstream"#,
    r#"action in Action::"llm:use""#,
    r#"action == Action::"llm:list" || action == Action::"llm:embed""#,
    r#"action in [Action::"llm:count", Action::"llm:image"]"#,
    r#"Action::"llm:embed" in Action::"llm:use""#,
    r#"Action::"llm:use" in action"#,
    r#"!(Action::"llm:list" in action)"#,
];

const TOOLS: &[&[&str]] = &[&[], &["bash"], &["ls", "bash", "ls"]];

fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        select(OF_ALL).prop_map(str::to_owned),
        select(OF_MODELS).prop_map(|condition| format!("resource is Model && ({condition})")),
    ]
}

fn policy() -> impl Strategy<Value = String> {
    let parts = (
        select(&["permit", "permit", "forbid"][..]),
        select(PRINCIPALS),
        select(ACTIONS),
        select(RESOURCES),
        condition(),
    );
    parts.prop_map(|(effect, principal, action, resource, condition)| {
        format!("{effect} ({principal}, {action}, {resource}) when {{ {condition} }};")
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let who = (
        select(&["nightly-report", "crawler", "reviewer"][..]),
        select(&["openai", "anthropic"][..]),
        select(&["gpt-4o", "o3", "gpt-4o/x", "\"\n"][..]),
        select(&[None, Some("u1"), Some("u9")][..]),
        select(&Tier::ALL[..]),
    );
    let what = (
        select(&Action::ALL[..]),
        any::<bool>(),
        select(&[0, 1, 1000, u64::MAX][..]),
        select(TOOLS),
        select(&[None, Some("audit")][..]),
    );
    (who, what).prop_map(
        |((agent, upstream, model, user, tier), (action, stream, max, tools, task))| Asked {
            agent: AgentName::new(agent).unwrap(),
            user: user.map(|user| Pseudonym(user.to_owned())),
            tier,
            upstream: UpstreamName::new(upstream).unwrap(),
            action,
            model: (action != Action::List).then(|| model.to_owned()),
            stream,
            max_output_tokens: max,
            tools: tools.iter().map(|&tool| tool.to_owned()).collect(),
            worst_case: NanoUsd(1),
            task: task.map(str::to_owned),
            run: task.map(str::to_owned),
        },
    )
}

/// What plain Cedar answers, in the words of [`answer`].
fn oracle(schema: &Schema, policies: &[String], asked: &Asked) -> String {
    let policies = policies.iter().enumerate();
    let policies = policies.map(|(n, text)| Policy::parse(Some(PolicyId::new(format!("p{n}"))), text).unwrap());
    let set = PolicySet::from_policies(policies).unwrap();
    let uid = |kind: &str, id: &str| EntityUid::from_json(json!({"type": kind, "id": id})).unwrap();
    let action = uid("Action", asked.action.as_str());
    let principal = uid("Agent", asked.agent.as_str());
    let resource = match &asked.model {
        Some(model) => uid("Model", &format!("{}/{model}", asked.upstream)),
        None => uid("Upstream", asked.upstream.as_str()),
    };
    let context = Context::from_json_value(context(asked), Some((schema, &action))).unwrap();
    let request = Request::new(principal, action, resource, context, Some(schema)).unwrap();
    let response = Authorizer::new().is_authorized(&request, &set, &entities(schema, asked));
    let mut reasons: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
    let word = match response.decision() {
        Answer::Deny if !reasons.is_empty() => "forbid",
        other => {
            let errors = response.diagnostics().errors();
            let failed = errors.map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id());
            let forbids: BTreeSet<&str> = failed
                .filter(|id| set.policy(id).unwrap().effect() == Effect::Forbid)
                .map(AsRef::as_ref)
                .collect();
            if !forbids.is_empty() {
                reasons = forbids;
                "error"
            } else if other == Answer::Allow {
                "permit"
            } else {
                "no permit"
            }
        }
    };
    let reasons: Vec<&str> = reasons.into_iter().collect();
    format!("{word} {}", reasons.join(" ")).trim_end().to_owned()
}

fn context(asked: &Asked) -> Value {
    let agents = agents();
    let facts = agents.iter().find(|facts| facts.name == asked.agent).unwrap();
    let mut context = json!({"environment": facts.environment, "tier": asked.tier.as_str()});
    if asked.action != Action::List {
        context["stream"] = json!(asked.stream);
        context["max_output_tokens"] = json!(asked.max_output_tokens.min(i64::MAX as u64));
        context["tools"] = json!(asked.tools);
        context["tool_count"] = json!(asked.tools.len());
        context["worst_case_cost_nano_usd"] = json!(asked.worst_case.0);
    }
    for (name, text) in [("task", &asked.task), ("run", &asked.run)] {
        if let Some(text) = text {
            context[name] = json!(text);
        }
    }
    if let Some(user) = &asked.user {
        context["user"] = json!({"type": "User", "id": user.0});
    }
    context
}

fn entities(schema: &Schema, asked: &Asked) -> Entities {
    let mut entities: Vec<Value> = serde_json::from_str(ENTITIES).unwrap();
    for facts in agents() {
        entities.push(json!({
            "uid": {"type": "Agent", "id": facts.name},
            "attrs": {
                "name": facts.name, "team": facts.team, "product": facts.product, "environment": facts.environment
            },
            "parents": [{"type": "Team", "id": facts.team}],
        }));
    }
    if let Some(model) = &asked.model {
        entities.push(json!({
            "uid": {"type": "Model", "id": format!("{}/{model}", asked.upstream)},
            "attrs": {"upstream": asked.upstream, "name": model},
            "parents": [{"type": "Upstream", "id": asked.upstream}],
        }));
    }
    entities.push(json!({"uid": {"type": "Upstream", "id": asked.upstream}, "attrs": {}, "parents": []}));
    Entities::from_json_value(Value::Array(entities), Some(schema)).unwrap()
}

// Reading the schema takes much longer than a decision.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::from_cedarschema_str(Bundle::schema_text()).unwrap().0);
static EMPTY: LazyLock<Bundle> = LazyLock::new(|| bundle(""));

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn index_and_plain_cedar_agree(
        policies in prop::collection::vec(policy(), 0..12),
        asked in prop::collection::vec(asked(), 1..12),
    ) {
        let text: String = policies.iter().enumerate().map(|(n, p)| format!("@id(\"p{n}\") {p}\n")).collect();
        let bundle = bundle(&text);
        // Twice: what was decided before is remembered, under what it depends on and nothing less.
        for asked in asked.iter().chain(&asked) {
            let decision = bundle.decide(&asked.question());
            prop_assert_eq!(answer(&decision), oracle(&SCHEMA, &policies, asked), "{:?}", asked);
        }
        for asked in asked.iter().take(2) {
            // An explanation asks each policy by itself, and comes to the same.
            let explanation = bundle.explain_question(&asked.question(), crate::Breadth::All);
            let applying = explanation.policies.iter().filter(|policy| policy.result != crate::Applies::No);
            let decided = applying.filter(|policy| policy.decided).count();
            prop_assert_eq!(decided, explanation.verdict.policies.len(), "{}", explanation);
        }
    }

    #[test]
    fn requests_fit_the_schema(asked in asked()) {
        let bundle = &*EMPTY;
        let known = bundle.agents.get(&asked.agent).unwrap();
        let action = bundle.vocabulary.actions.get(asked.action);
        let resource = Named::new(&bundle.vocabulary, asked.question().resource);
        let request = bundle.request(known, &asked.question(), action, &resource).unwrap();
        let context = request.context().unwrap().clone();
        let schema = Some(&bundle.terms.schema);
        let request = Request::new(known.uid.clone(), action.uid.clone(), resource.uid().clone(), context, schema);
        prop_assert!(request.is_ok());
    }
}
