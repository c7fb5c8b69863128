//! The answers.

use std::{fmt, sync::Arc};

use cedar_policy::EntityUid;
use model::{AgentName, Digest, Reason, UpstreamName};

use crate::Action;

/// The answer to a question. A denial is a value, not an error.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// A policy permits the action and none forbids it.
    Permit(Permit),
    /// The action must not happen.
    Deny(Denial),
}

/// Proof that a policy allowed one action. Only [`crate::Bundle::decide`] makes one, and it cannot be copied: what needs
/// a permit takes it by value, so one decision allows one action.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    pub(crate) policies: Vec<Arc<str>>,
    pub(crate) bundle: Digest,
    pub(crate) agent: AgentName,
    pub(crate) action: Action,
    pub(crate) upstream: UpstreamName,
    pub(crate) model: Box<str>,
    pub(crate) notes: Vec<String>,
}

impl Permit {
    /// The ids of the policies that permitted it, sorted; never empty.
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// The bundle that decided.
    pub fn bundle(&self) -> Digest {
        self.bundle
    }

    /// Who may act.
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// What may be done.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The upstream that may be called.
    pub fn upstream(&self) -> &UpstreamName {
        &self.upstream
    }

    /// The model that may be used, as the request spells it; empty for [`Action::List`], which uses none.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// For the operator: one sentence for each `permit` policy that could not be evaluated and so did not count. May
    /// show values of the request.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Why the answer is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenialKind {
    /// No policy permits it: the default.
    NoPermit,
    /// A policy forbids it.
    Forbidden,
    /// A `forbid` policy could not be evaluated, so it may have meant this.
    EvaluationError,
    /// The bundle has no such agent.
    UnknownAgent,
    /// The action is not one that can be taken on such a resource: the asking code mixed them up.
    NotApplicable,
}

/// A refusal.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The ids of the `forbid` policies that decided, sorted: those satisfied, or with
    /// [`DenialKind::EvaluationError`] those that could not be evaluated. Empty when nothing permitted it.
    pub policies: Vec<Arc<str>>,
    /// Why.
    pub kind: DenialKind,
    /// For the caller: what was refused and how an administrator can change that.
    pub message: String,
    /// For the operator: which policies could not be evaluated and why. May show values of the request.
    pub detail: Option<String>,
}

impl Denial {
    /// The stable code the caller is given.
    pub fn reason(&self) -> Reason {
        match self.kind {
            DenialKind::UnknownAgent => Reason::UnknownAgent,
            DenialKind::NoPermit | DenialKind::Forbidden | DenialKind::EvaluationError | DenialKind::NotApplicable => {
                Reason::PolicyDenied
            }
        }
    }
}

/// A model's id in a message is cut here: ids are the caller's text, of any length.
const MAX_SHOWN: usize = 200;

/// What was asked, for messages.
pub(crate) struct Deed<'a> {
    pub(crate) agent: &'a AgentName,
    pub(crate) action: Action,
    pub(crate) resource: &'a EntityUid,
}

/// Without the agent: `generate with the model "openai/gpt-4o" (llm:generate)`.
impl fmt::Display for Deed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.action.phrase(), shown(self.resource), self.action)
    }
}

impl Denial {
    pub(crate) fn unknown_agent(agent: &AgentName) -> Self {
        let message = format!(
            "The agent \"{agent}\" is not declared, so nothing permits it to act. An administrator can declare it with an agent manifest."
        );
        Self::new(DenialKind::UnknownAgent, message, Vec::new(), Vec::new())
    }

    pub(crate) fn not_applicable(deed: &Deed<'_>) -> Self {
        let (action, kind) = (deed.action, deed.resource.type_name());
        let message = format!("The action {action} does not apply to a resource of the kind {kind}.");
        Self::new(DenialKind::NotApplicable, message, Vec::new(), Vec::new())
    }

    pub(crate) fn not_permitted(deed: &Deed<'_>, suggestion: &str, notes: Vec<String>) -> Self {
        let agent = deed.agent;
        let how = if deed.resource.id().unescaped().len() <= MAX_SHOWN {
            format!(" with a policy such as: {suggestion}")
        } else {
            " with a policy.".to_owned()
        };
        let message = format!("No policy permits the agent \"{agent}\" to {deed}. An administrator can allow it{how}");
        Self::new(DenialKind::NoPermit, message, Vec::new(), notes)
    }

    pub(crate) fn forbidden(deed: &Deed<'_>, policies: Vec<Arc<str>>, notes: Vec<String>) -> Self {
        let (agent, ids) = (deed.agent, policies.join(", "));
        let message = format!(
            "Policy forbids the agent \"{agent}\" to {deed} in this way: {ids}. An administrator can change or remove what forbids it."
        );
        Self::new(DenialKind::Forbidden, message, policies, notes)
    }

    pub(crate) fn unevaluated(deed: &Deed<'_>, policies: Vec<Arc<str>>, notes: Vec<String>) -> Self {
        let which = match policies.join(", ") {
            ids if ids.is_empty() => "The policies".to_owned(),
            ids => format!("A policy that may forbid it ({ids})"),
        };
        let message = format!(
            "{which} could not be evaluated for a request to {deed}, so the request is refused. An administrator has to repair that; the server's log says what failed."
        );
        Self::new(DenialKind::EvaluationError, message, policies, notes)
    }

    fn new(kind: DenialKind, message: String, policies: Vec<Arc<str>>, notes: Vec<String>) -> Self {
        let detail = (!notes.is_empty()).then(|| notes.join("; "));
        Self {
            policies,
            kind,
            message,
            detail,
        }
    }
}

/// The resource's id, quoted and escaped.
fn shown(resource: &EntityUid) -> String {
    let id = resource.id().unescaped();
    if id.len() <= MAX_SHOWN {
        return format!("{id:?}");
    }
    let head: String = id.chars().take(MAX_SHOWN / 4).collect();
    format!("{head:?}...")
}
