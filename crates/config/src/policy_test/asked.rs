//! What is asked, with its parts owned.

use model::{AgentName, NanoUsd, Pseudonym, Tier, UpstreamName};
use policy::{Action, Party, Properties, Query, Question, Resource};

use crate::suggest::shown;

/// What is asked.
#[derive(Clone, Debug)]
pub enum TestRequest {
    /// What an enforcement point asks.
    Query(Box<AskedQuery>),
    /// What the gateway asks about a model call.
    Call(Box<AskedCall>),
}

/// A subject or a resource.
#[derive(Clone, Debug)]
pub struct AskedParty {
    /// Its type.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What the request says of it.
    pub properties: Option<Properties>,
}

impl AskedParty {
    /// Reads `type:id`, such as `User:alice` or `App::Doc:plan`: the first single colon ends the type.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let single = |&at: &usize| {
            let beside = [at.checked_sub(1), Some(at + 1)];
            !beside.into_iter().flatten().any(|at| bytes.get(at) == Some(&b':'))
        };
        let colon = text.match_indices(':').map(|(at, _)| at).find(single);
        match colon.and_then(|at| text.get(..at).zip(text.get(at + 1..))) {
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok(Self {
                kind: kind.to_owned(),
                id: id.to_owned(),
                properties: None,
            }),
            _ => Err(format!(
                "`{}` is not a type and an id: write them as `User:alice`",
                shown(text)
            )),
        }
    }

    fn party(&self) -> Party<'_> {
        Party {
            kind: &self.kind,
            id: &self.id,
            properties: self.properties.as_ref(),
        }
    }
}

/// What an enforcement point asks.
#[derive(Clone, Debug)]
pub struct AskedQuery {
    /// Who.
    pub subject: AskedParty,
    /// What.
    pub action: String,
    /// What the request says of the action.
    pub action_properties: Option<Properties>,
    /// With what.
    pub resource: AskedParty,
    /// Everything else.
    pub context: Option<Properties>,
    /// Whether it was approved.
    pub approved: bool,
}

impl AskedQuery {
    /// As the policies are asked.
    pub fn query(&self) -> Query<'_> {
        Query {
            subject: self.subject.party(),
            action: &self.action,
            action_properties: self.action_properties.as_ref(),
            resource: self.resource.party(),
            context: self.context.as_ref(),
            approved: self.approved,
        }
    }
}

/// A model call, or the question which models there are.
#[derive(Clone, Debug)]
pub struct AskedCall {
    /// Who.
    pub agent: AgentName,
    /// On whose behalf, as policies name users.
    pub user: Option<Pseudonym>,
    /// What the credential is for.
    pub tier: Tier,
    /// What.
    pub action: Action,
    /// Where.
    pub upstream: UpstreamName,
    /// With which model; none for [`Action::List`].
    pub model: Option<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The output limit in tokens.
    pub max_output_tokens: u64,
    /// The tools that the request offers.
    pub tools: Vec<String>,
    /// What it can cost at most.
    pub worst_case: NanoUsd,
    /// The kind of task.
    pub task: Option<String>,
    /// The run.
    pub run: Option<String>,
}

impl AskedCall {
    /// As the policies are asked.
    pub fn question(&self) -> Question<'_> {
        let upstream = &self.upstream;
        Question {
            agent: &self.agent,
            user: self.user.as_ref(),
            tier: self.tier,
            action: self.action,
            resource: match &self.model {
                Some(model) => Resource::Model { upstream, model },
                None => Resource::Upstream { upstream },
            },
            stream: self.stream,
            max_output_tokens: self.max_output_tokens,
            tools: &self.tools,
            worst_case: self.worst_case,
            task: self.task.as_deref(),
            run: self.run.as_deref(),
        }
    }
}
