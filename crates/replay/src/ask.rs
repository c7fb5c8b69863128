//! From entries to questions, and to what a set of policies answers.

use std::{collections::BTreeMap, sync::Arc};

use entry::{Action, Decided, DecidedItem, Entry, Event, Value};
use ledger::Attempt;
use model::{AgentName, NanoUsd, Reason, Tier, Timestamp};
use policy::{AgentFacts, Bundle, Code, DenialKind, Outcome, Properties, Question, Recorded, Resource};
use serde_json::Value as Json;

use super::{ReplayOrder, past::Past};
use crate::INCOMPLETE;

/// The first version of entries that says how many tools a call offered.
const TOOLS_COUNTED: u32 = 4;
/// The type of agents, as enforcement points name it.
const AGENT: &str = "Agent";
/// The type of models.
const MODEL: &str = "Model";

/// How texts become pseudonyms.
pub type Veil = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Why something cannot be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Missing {
    /// Its entry was written before such things were recorded, or is a reply that was delivered again.
    NotRecorded,
    /// Its entry was too long to keep what it said.
    LeftOut,
    /// A policy looks at the tools, which were not recorded.
    Tools,
    /// The schema of the time did not know what it is about, so nothing of it was recorded.
    UnknownThen,
    /// It was a search.
    Search,
}

impl Missing {
    /// A stable word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotRecorded => "not_recorded",
            Self::LeftOut => "left_out",
            Self::Tools => "tools_not_recorded",
            Self::UnknownThen => "unknown_then",
            Self::Search => "search",
        }
    }

    /// For people.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::NotRecorded => "what policies were told was not recorded: older entries, and replies delivered again",
            Self::LeftOut => "what was asked did not fit its entry",
            Self::Tools => "a policy looks at tools, and the call's were not recorded",
            Self::UnknownThen => {
                "the schema of the time did not know the type or the action, so what was said of it is not recorded"
            }
            Self::Search => "searches are not asked again",
        }
    }
}

/// Where a decision stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) entry: u64,
    /// Which of several questions of one call, from 0.
    pub(crate) item: usize,
    pub(crate) at: Timestamp,
    pub(crate) subject: String,
    pub(crate) resource: String,
    pub(crate) pep: Option<String>,
}

/// A decision of the log.
pub(crate) struct Asked<'a> {
    pub(crate) spot: Spot,
    /// What decisions are told together by.
    pub(crate) subject: &'a str,
    pub(crate) action: &'a str,
    pub(crate) resource: String,
    pub(crate) question: Result<Put<'a>, Missing>,
    /// What was answered.
    pub(crate) outcome: Outcome,
    /// The entry that put the bundle in effect that answered, and the version of the stored entities then.
    pub(crate) by: (u64, u64),
    /// The call that was let through.
    pub(crate) attempt: Option<Attempt>,
    /// How many of them there are, where nothing is known of each.
    pub(crate) times: u64,
}

/// A question that can be asked again.
pub(crate) enum Put<'a> {
    /// Of the gateway.
    Call(Box<Call<'a>>),
    /// Of an enforcement point, with the code it was answered with.
    Query(Box<Recorded>, &'a str),
}

/// A call through the gateway.
pub(crate) struct Call<'a> {
    action: &'a Action,
    verb: policy::Action,
    tier: Tier,
    stream: bool,
    limit: u64,
    worst_case: NanoUsd,
    /// As many as there were; those whose names were not recorded are nameless.
    tools: Vec<String>,
    tools_named: bool,
    tools_counted: bool,
}

impl Put<'_> {
    pub(crate) fn is_of_pep(&self) -> bool {
        matches!(self, Self::Query(..))
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) code: Code,
    pub(crate) policies: Vec<Arc<str>>,
}

/// The decisions that an entry holds and an order asks for.
pub(crate) fn asked<'a>(entry: &'a Entry, order: &ReplayOrder, past: &Past) -> Vec<Asked<'a>> {
    match &entry.event {
        Event::Intent(intent) => {
            let told = Told {
                stream: intent.stream,
                limit: intent.limit,
                worst_case: intent.hold,
                tool_count: (entry.v >= TOOLS_COUNTED).then_some(intent.tool_count),
                tools: &intent.tools,
            };
            let question = call(&intent.action, Some(told), past);
            let asked = of_call(
                entry,
                &intent.action,
                question,
                Outcome::Permit,
                (intent.why.bundle, past.entities),
            );
            let attempt = Some(intent.attempt());
            of_agent(order, &intent.action)
                .then_some(Asked { attempt, ..asked })
                .into_iter()
                .collect()
        }
        Event::Denial(denial) if denial.input.is_some() || denial.reason == Reason::PolicyDenied => {
            let told = denial.input.as_ref().map(|input| Told {
                stream: input.stream,
                limit: input.limit,
                worst_case: input.worst_case,
                tool_count: Some(input.tool_count),
                tools: &input.tools,
            });
            let question = call(&denial.action, told, past);
            let bundle = denial.why.as_ref().map_or(0, |why| why.bundle);
            let asked = of_call(entry, &denial.action, question, Outcome::Deny, (bundle, past.entities));
            of_agent(order, &denial.action).then_some(asked).into_iter().collect()
        }
        Event::Replay(again) if of_agent(order, &again.action) => {
            let question = Err(Missing::NotRecorded);
            vec![of_call(
                entry,
                &again.action,
                question,
                Outcome::Permit,
                (again.why.bundle, past.entities),
            )]
        }
        Event::Decided(decided) if order.pep.is_none() || order.pep == decided.pep => of_pep(entry, decided, order),
        _ => Vec::new(),
    }
}

fn of_agent(order: &ReplayOrder, action: &Action) -> bool {
    order.pep.is_none()
        && order.agent.as_ref().is_none_or(|agent| *agent == action.agent)
        && order.action.as_ref().is_none_or(|wanted| *wanted == action.name)
}

/// What policies were told of a call.
struct Told<'a> {
    stream: bool,
    limit: u64,
    worst_case: NanoUsd,
    tool_count: Option<u64>,
    tools: &'a [String],
}

fn call<'a>(action: &'a Action, told: Option<Told<'a>>, past: &Past) -> Result<Put<'a>, Missing> {
    let told = told.ok_or(Missing::NotRecorded)?;
    let tier = past.tier(&action.key).ok_or(Missing::NotRecorded)?;
    let verb = action.name.parse().map_err(|_| Missing::NotRecorded)?;
    let named = told.tools.len();
    let count = told.tool_count.and_then(|count| usize::try_from(count).ok());
    let mut tools = told.tools.to_vec();
    tools.resize(count.unwrap_or(named).max(named), String::new());
    Ok(Put::Call(Box::new(Call {
        action,
        verb,
        tier,
        stream: told.stream,
        limit: told.limit,
        worst_case: told.worst_case,
        tools_named: count == Some(named),
        tools_counted: count.is_some(),
        tools,
    })))
}

fn of_call<'a>(
    entry: &Entry,
    action: &'a Action,
    question: Result<Put<'a>, Missing>,
    outcome: Outcome,
    by: (u64, u64),
) -> Asked<'a> {
    let resource = match action.model.as_str() {
        "" => action.upstream.to_string(),
        model => format!("{}/{model}", action.upstream),
    };
    Asked {
        spot: Spot {
            entry: entry.index,
            item: 0,
            at: entry.time,
            subject: action.agent.to_string(),
            resource: resource.clone(),
            pep: None,
        },
        subject: action.agent.as_str(),
        action: &action.name,
        resource,
        question,
        outcome,
        by,
        attempt: None,
        times: 1,
    }
}

fn of_pep<'a>(entry: &Entry, decided: &'a Decided, order: &ReplayOrder) -> Vec<Asked<'a>> {
    let by = (decided.bundle, decided.entities);
    let bare = |item: usize, outcome: entry::Decision| Asked {
        spot: Spot {
            entry: entry.index,
            item,
            at: entry.time,
            subject: String::new(),
            resource: String::new(),
            pep: decided.pep.as_ref().map(ToString::to_string),
        },
        subject: "",
        action: "",
        resource: String::new(),
        question: Err(Missing::LeftOut),
        outcome: outcome_of(outcome),
        by,
        attempt: None,
        times: 1,
    };
    if let Some(condensed) = &decided.condensed {
        let times = condensed
            .permitted
            .saturating_add(condensed.denied)
            .saturating_add(condensed.approval_required);
        let asked = bare(0, entry::Decision::Deny);
        return vec![Asked { times, ..asked }];
    }
    let mut found = Vec::new();
    for (n, item) in decided.items.iter().enumerate() {
        // There was no question: it lacked something.
        if item.code == INCOMPLETE || !selected(order, item) {
            continue;
        }
        let (subject, resource) = (item.subject.as_ref(), item.resource.as_ref());
        let name = |party: Option<&'a entry::Party>, own: &str| match party {
            Some(party) if party.kind == own => party.id.as_deref().unwrap_or(&party.kind),
            Some(party) => &party.kind,
            None => "",
        };
        let id = |party: Option<&entry::Party>| party.and_then(|party| party.id.clone()).unwrap_or_default();
        let question = match (decided.call.is_search(), item.digest) {
            (true, _) => Err(Missing::Search),
            (_, Some(_)) => Err(Missing::LeftOut),
            _ => recorded(item).ok_or(Missing::LeftOut),
        };
        let mut asked = bare(n, item.outcome);
        asked.spot.subject = id(subject);
        asked.spot.resource = id(resource);
        found.push(Asked {
            subject: name(subject, AGENT),
            action: item.action.as_deref().unwrap_or_default(),
            resource: name(resource, MODEL).to_owned(),
            question: question.map(|recorded| Put::Query(Box::new(recorded), &item.code)),
            ..asked
        });
    }
    found
}

/// Whether a question is one that is asked for. Of what is not known it cannot be said that it is not.
fn selected(order: &ReplayOrder, item: &DecidedItem) -> bool {
    if item.digest.is_some() {
        return true;
    }
    let of_agent = |agent: &AgentName| {
        let subject = item.subject.as_ref();
        subject.is_some_and(|subject| subject.kind == AGENT && subject.id.as_deref() == Some(agent.as_str()))
    };
    order.agent.as_ref().is_none_or(of_agent)
        && order
            .action
            .as_ref()
            .is_none_or(|action| item.action.as_ref() == Some(action))
}

/// The question of an item, if it has all of it.
fn recorded(item: &DecidedItem) -> Option<Recorded> {
    let (subject, resource) = (item.subject.as_ref()?, item.resource.as_ref()?);
    let input = item.input.as_ref()?;
    Some(Recorded {
        subject_kind: subject.kind.clone(),
        subject_id: subject.id.clone()?,
        subject_properties: json(&input.subject),
        action: item.action.clone()?,
        action_properties: json(&input.action),
        resource_kind: resource.kind.clone(),
        resource_id: resource.id.clone()?,
        resource_properties: json(&input.resource),
        context: json(&input.context),
        approved: input.approved,
    })
}

fn json(members: &BTreeMap<String, Value>) -> Properties {
    members
        .iter()
        .map(|(name, value)| (name.clone(), json_of(value)))
        .collect()
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::Integer(value) => Json::from(*value),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Record(members) => Json::Object(json(members)),
    }
}

fn outcome_of(decision: entry::Decision) -> Outcome {
    match decision {
        entry::Decision::Permit => Outcome::Permit,
        entry::Decision::Deny => Outcome::Deny,
        entry::Decision::ApprovalRequired => Outcome::ApprovalRequired,
    }
}

/// One of the two sets of policies.
pub(crate) struct Side {
    pub(crate) bundle: Arc<Bundle>,
    veil: Veil,
    /// The same that knows people by pseudonyms: made when it is needed, for that takes long where there are many.
    veiled: Option<Bundle>,
}

impl Side {
    pub(crate) fn new(bundle: Arc<Bundle>, veil: Veil) -> Self {
        Self {
            bundle,
            veil,
            veiled: None,
        }
    }

    /// From here on these agents have these manifests, and those have none.
    pub(crate) fn set_agents(&mut self, put: &[AgentFacts], removed: &[AgentName]) -> Result<(), String> {
        self.bundle = Arc::new(self.bundle.with_agents(put, removed)?);
        if let Some(veiled) = &self.veiled {
            self.veiled = Some(veiled.with_agents(put, removed)?);
        }
        Ok(())
    }

    /// What these policies answer; why that cannot be said, if it cannot.
    pub(crate) fn answer(&mut self, put: &Put<'_>) -> Result<Result<Answer, Missing>, String> {
        match put {
            Put::Call(call) => Ok(self.decide(call)),
            Put::Query(recorded, code) => {
                let verdict = match &mut self.veiled {
                    Some(veiled) => veiled.evaluate(&recorded.query()),
                    none => none
                        .insert(self.bundle.pseudonymised(&*self.veil)?)
                        .evaluate(&recorded.query()),
                };
                let unknown = |code: &str| {
                    [Code::UnknownType, Code::UnknownAction]
                        .iter()
                        .any(|one| one.as_str() == code)
                };
                if unknown(code) && !unknown(verdict.code.as_str()) {
                    return Ok(Err(Missing::UnknownThen));
                }
                Ok(Ok(Answer {
                    outcome: verdict.outcome,
                    code: verdict.code,
                    policies: verdict.policies,
                }))
            }
        }
    }

    fn decide(&self, call: &Call<'_>) -> Result<Answer, Missing> {
        let action = call.action;
        let read = self.bundle.tools_read(&action.agent, call.verb);
        if (read.names && !call.tools_named) || (read.count && !call.tools_counted) {
            return Err(Missing::Tools);
        }
        let upstream = &action.upstream;
        let resource = match call.verb {
            policy::Action::List => Resource::Upstream { upstream },
            _ => Resource::Model {
                upstream,
                model: &action.model,
            },
        };
        let decision = self.bundle.decide(&Question {
            agent: &action.agent,
            user: action.user.as_ref(),
            tier: call.tier,
            action: call.verb,
            resource,
            stream: call.stream,
            max_output_tokens: call.limit,
            tools: &call.tools,
            worst_case: call.worst_case,
            task: action.task.as_deref(),
            run: action.run.as_deref(),
        });
        Ok(match decision {
            policy::Decision::Permit(permit) => Answer {
                outcome: Outcome::Permit,
                code: Code::Permitted,
                policies: permit.policies().to_vec(),
            },
            policy::Decision::Deny(denial) => Answer {
                outcome: Outcome::Deny,
                code: match denial.kind {
                    DenialKind::NoPermit => Code::NoPermit,
                    DenialKind::Forbidden => Code::Forbidden,
                    DenialKind::EvaluationError => Code::EvaluationError,
                    DenialKind::UnknownAgent => Code::UnknownAgent,
                    DenialKind::NotApplicable => Code::NotApplicable,
                },
                policies: denial.policies,
            },
        })
    }
}
