//! The request of a test.

use model::{AgentName, IdError, NanoUsd, Pseudonym, Tier, UpstreamName};
use policy::{Action, Properties};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    asked::{AskedCall, AskedParty, AskedQuery, TestRequest},
    words,
};
use crate::{
    node::{Field, Placed, parse_text},
    problem::{Findings, Mark},
    quantity::Amount,
    suggest::{self, shown},
};

/// A request: of an enforcement point (`subject`, `action`, `resource`, `context`), or about a model call (`agent`,
/// `model`, ...).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TestRequest")]
pub(crate) struct RawRequest {
    /// Who.
    subject: Field<RawParty>,
    /// What: its name, or `name` and `properties`. Of a model call, `llm:generate` if absent.
    action: Field<RawAction>,
    /// With what.
    resource: Field<RawParty>,
    /// Everything else that the enforcement point says.
    context: Field<Object>,
    /// Whether somebody who may has approved exactly this.
    approved: Field<bool>,
    /// Who makes the model call: an agent's name.
    agent: Field<String>,
    /// The model, as policies name it: `openai/gpt-4o-mini`.
    model: Field<String>,
    /// The upstream, for `llm:list`, which is about no model.
    upstream: Field<String>,
    /// Whether the answer is streamed. `false` if absent.
    stream: Field<bool>,
    /// The output limit in tokens. 0 if absent.
    max_output_tokens: Field<u64>,
    /// The tools that the call offers the model. None if absent.
    tools: Field<Vec<String>>,
    /// What the call can cost at most. Nothing if absent.
    cost: Field<Amount>,
    /// What the credential is for. `api` if absent.
    tier: Field<AskedTier>,
    /// The kind of task, as the agent says.
    task: Field<String>,
    /// The run, as the agent says.
    run: Field<String>,
    /// The user on whose behalf the credential acts, as policies name users.
    user: Field<String>,
}

words! {
    /// A tier.
    AskedTier(Tier), "a tier such as `interactive`", Tier::ALL
}

/// Any mapping.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Object(pub(crate) Properties);

/// A subject or a resource.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Party", extend("required" = ["type", "id"]))]
pub(crate) struct RawParty {
    /// Its type.
    #[serde(rename = "type")]
    kind: Field<String>,
    /// Its id.
    id: Field<String>,
    /// What the request says of it.
    properties: Field<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawActionTable {
    name: Field<String>,
    properties: Field<Object>,
}

/// An action: its name, or name and properties.
#[derive(Debug)]
pub(crate) enum RawAction {
    Name(String),
    Table(RawActionTable),
}

impl<'de> Deserialize<'de> for RawAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActionVisitor;

        impl<'de> Visitor<'de> for ActionVisitor {
            type Value = RawAction;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an action's name, or `name` and `properties`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<RawAction, E> {
                Ok(RawAction::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawAction, A::Error> {
                RawActionTable::deserialize(MapAccessDeserializer::new(map)).map(RawAction::Table)
            }
        }

        deserializer.deserialize_any(ActionVisitor)
    }
}

impl JsonSchema for RawAction {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequestAction".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties = generator.subschema_for::<Object>();
        json_schema!({ "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "name": { "type": "string" }, "properties": properties },
                "required": ["name"],
                "additionalProperties": false,
            },
        ] })
    }
}

/// Which of the two kinds of requests it is, and whether it is complete.
pub(super) fn read_request(
    Placed { mark, value: raw }: Placed<RawRequest>,
    findings: &mut Findings,
) -> Option<TestRequest> {
    let of_call: [(&str, Option<Mark>); 11] = [
        ("agent", raw.agent.mark()),
        ("model", raw.model.mark()),
        ("upstream", raw.upstream.mark()),
        ("stream", raw.stream.mark()),
        ("max_output_tokens", raw.max_output_tokens.mark()),
        ("tools", raw.tools.mark()),
        ("cost", raw.cost.mark()),
        ("tier", raw.tier.mark()),
        ("task", raw.task.mark()),
        ("run", raw.run.mark()),
        ("user", raw.user.mark()),
    ];
    let of_query = [
        ("subject", raw.subject.mark()),
        ("resource", raw.resource.mark()),
        ("context", raw.context.mark()),
        ("approved", raw.approved.mark()),
    ];
    let present = |keys: &[(&'static str, Option<Mark>)]| keys.iter().find_map(|(key, mark)| Some((*key, (*mark)?)));
    match (present(&of_call), present(&of_query)) {
        (Some((call, at)), Some((query, _))) => {
            let message = format!("a request has `{query}` or `{call}`, not both");
            let help = "`subject`, `action`, `resource` and `context` are what an enforcement point asks; `agent` and `model` \
                        are a model call";
            findings.add_with_help(at, message, help);
            None
        }
        (Some(_), None) => call(raw, mark, findings).map(|call| TestRequest::Call(Box::new(call))),
        (None, _) => query(raw, mark, findings).map(|query| TestRequest::Query(Box::new(query))),
    }
}

fn query(raw: RawRequest, mark: Mark, findings: &mut Findings) -> Option<AskedQuery> {
    let (subject, resource) = (
        party("subject", raw.subject, mark, findings),
        party("resource", raw.resource, mark, findings),
    );
    let help = "say what would be done: `action: read`, or `action: { name: read, properties: { .. } }`";
    let action = raw
        .action
        .required(Some(mark), "the request has no `action`", help, findings);
    let (action, action_properties) = match action?.value {
        RawAction::Name(name) => (Some(name), None),
        RawAction::Table(RawActionTable { name, properties }) => {
            let name = name.required(Some(mark), "the action has no `name`", help, findings);
            (name.map(|name| name.value), properties.value())
        }
    };
    Some(AskedQuery {
        subject: subject?,
        action: action?,
        action_properties: action_properties.map(|Object(properties)| properties),
        resource: resource?,
        context: raw.context.value().map(|Object(context)| context),
        approved: raw.approved.value().unwrap_or(false),
    })
}

fn party(role: &str, raw: Field<RawParty>, mark: Mark, findings: &mut Findings) -> Option<AskedParty> {
    let help = format!("say its type and id: `{role}: {{ type: User, id: alice }}`");
    let raw = raw.required(Some(mark), format!("the request has no `{role}`"), &help, findings)?;
    let mark = Some(raw.mark);
    let kind = raw
        .value
        .kind
        .required(mark, format!("the {role} has no `type`"), &help, findings);
    let id = raw
        .value
        .id
        .required(mark, format!("the {role} has no `id`"), &help, findings);
    Some(AskedParty {
        kind: kind?.value,
        id: id?.value,
        properties: raw.value.properties.value().map(|Object(properties)| properties),
    })
}

fn call(raw: RawRequest, mark: Mark, findings: &mut Findings) -> Option<AskedCall> {
    let help = "say who makes the call: `agent: assistant`";
    let agent = raw
        .agent
        .required(Some(mark), "the request has no `agent`", help, findings);
    let agent = agent.and_then(|agent| {
        let wrong = |error: IdError| {
            findings.add(
                agent.mark,
                format!("`{}` is no agent's name: {error}", shown(&agent.value)),
            )
        };
        AgentName::new(&agent.value).map_err(wrong).ok()
    });
    let action = match raw.action {
        Field::Absent => Some(Action::Generate),
        given => given.given().and_then(|action| call_action(action, findings)),
    }?;
    let (upstream, model) = match action {
        Action::List => {
            let help = "it is about an upstream and no model: `upstream: openai`";
            let upstream = raw
                .upstream
                .required(Some(mark), "llm:list has no `upstream`", help, findings)?;
            (upstream, None)
        }
        _ => {
            let help = "say which model, as policies name it: `model: openai/gpt-4o-mini`";
            let model = raw
                .model
                .required(Some(mark), "the request has no `model`", help, findings)?;
            let Some((upstream, name)) = model.value.split_once('/') else {
                let message = format!("`{}` is no model as policies name it", shown(&model.value));
                findings.add_with_help(model.mark, message, "the upstream comes first: `openai/gpt-4o-mini`");
                return None;
            };
            let upstream = Placed {
                mark: model.mark,
                value: upstream.to_owned(),
            };
            (upstream, Some(name.to_owned()))
        }
    };
    let wrong = |error: IdError| {
        findings.add(
            upstream.mark,
            format!("`{}` is no upstream's name: {error}", shown(&upstream.value)),
        )
    };
    let upstream = UpstreamName::new(&upstream.value).map_err(wrong).ok();
    Some(AskedCall {
        agent: agent?,
        user: raw.user.value().map(Pseudonym),
        tier: raw.tier.value().map(|tier| tier.0).unwrap_or_default(),
        action,
        upstream: upstream?,
        model,
        stream: raw.stream.value().unwrap_or(false),
        max_output_tokens: raw.max_output_tokens.value().unwrap_or(0),
        tools: raw.tools.value().unwrap_or_default(),
        worst_case: raw.cost.value().map_or(NanoUsd::ZERO, |Amount(cost)| cost),
        task: raw.task.value(),
        run: raw.run.value(),
    })
}

fn call_action(action: Placed<RawAction>, findings: &mut Findings) -> Option<Action> {
    let name = match action.value {
        RawAction::Name(name) => name,
        RawAction::Table(table) => table.name.value().unwrap_or_default(),
    };
    let found = name.parse().ok();
    if found.is_none() {
        let message = format!("`{}` is no action of a model call", shown(&name));
        findings.add_with_help(
            action.mark,
            message,
            suggest::help(&name, "actions", &Action::ALL.map(Action::as_str)),
        );
    }
    found
}
