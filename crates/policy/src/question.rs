//! What is asked.

use cedar_policy::EntityUid;
use model::{AgentName, NanoUsd, Pseudonym, Tier, UpstreamName};

use crate::{
    Action,
    vocabulary::{About, Vocabulary},
};

/// One action an agent wants to take, as policies see it. The agent's team, product and environment come from its
/// manifest.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub agent: &'a AgentName,
    /// The user on whose behalf the credential acts, if it is bound to one.
    pub user: Option<&'a Pseudonym>,
    /// What the credential is for.
    pub tier: Tier,
    /// What it wants to do.
    pub action: Action,
    /// What it wants to do it with: an upstream for [`Action::List`], a model for every other action. A question that
    /// mixes them up is denied ([`crate::DenialKind::NotApplicable`]).
    pub resource: Resource<'a>,
    /// Whether the answer is streamed. Like the next three, not seen by policies about [`Action::List`].
    pub stream: bool,
    /// The output limit, in tokens, as it will stand in the request that is forwarded; 0 for output that is not measured
    /// in tokens. Policies see at most `i64::MAX`.
    pub max_output_tokens: u64,
    /// The names of the tools the request offers.
    pub tools: &'a [String],
    /// The most the request can cost.
    pub worst_case: NanoUsd,
    /// The kind of task, if the agent said.
    pub task: Option<&'a str>,
    /// The run, if the agent said.
    pub run: Option<&'a str>,
}

/// What an action is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A model.
    Model {
        /// The upstream that is to be called.
        upstream: &'a UpstreamName,
        /// The model, as the request spells it: any text.
        model: &'a str,
    },
    /// An upstream as a whole.
    Upstream {
        /// The upstream that is to be called.
        upstream: &'a UpstreamName,
    },
}

impl<'a> Resource<'a> {
    /// The upstream that is to be called.
    pub fn upstream(&self) -> &'a UpstreamName {
        match *self {
            Self::Model { upstream, .. } | Self::Upstream { upstream } => upstream,
        }
    }

    /// The model, as the request spells it, if the resource is one.
    pub fn model(&self) -> Option<&'a str> {
        match *self {
            Self::Model { model, .. } => Some(model),
            Self::Upstream { .. } => None,
        }
    }
}

/// The entities a resource stands for.
pub(crate) struct Named {
    /// The resource itself, if it is a model.
    pub(crate) model: Option<EntityUid>,
    /// The resource itself or what the model is in.
    pub(crate) upstream: EntityUid,
}

impl Named {
    pub(crate) fn new(vocabulary: &Vocabulary, resource: Resource<'_>) -> Self {
        let upstream = resource.upstream();
        Self {
            model: resource.model().map(|model| vocabulary.model(upstream, model)),
            upstream: vocabulary.upstream(upstream),
        }
    }

    /// The resource itself.
    pub(crate) fn uid(&self) -> &EntityUid {
        self.model.as_ref().unwrap_or(&self.upstream)
    }

    pub(crate) fn about(&self) -> About {
        match self.model {
            Some(_) => About::Model,
            None => About::Upstream,
        }
    }

    /// The resource, then all that it is in.
    pub(crate) fn lineage(&self) -> impl Iterator<Item = &EntityUid> {
        self.model.iter().chain([&self.upstream])
    }
}
