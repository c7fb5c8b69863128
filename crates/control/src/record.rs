//! What of an action is recorded: who it names, and that it was refused.

use std::sync::Arc;

use entry::{Action, DenialInput, Why, recorded_tools};
use model::{ActionId, Principal, Reason, UpstreamName};
use policy::Question;
use store::{Ask as Who, Denied};

use crate::{Ask, Control, Refusal, Session, pipeline::Attempt, snapshot::Tenant};

/// What stands in the entry of a refusal at the edge, where it is not known what was asked for: the group of all actions.
const ANY_USE: &str = "llm:use";
/// How many ids of deciding policies an entry names.
const POLICIES_MAX: usize = 32;

impl Control {
    /// Records that policy said no.
    pub(crate) async fn deny(
        &self,
        session: &Session,
        attempt: &Attempt<'_>,
        tenant: &Tenant,
        denial: policy::Denial,
        input: DenialInput,
    ) -> Refusal {
        if let Some(detail) = &denial.detail {
            tracing::warn!(action = %attempt.ask.id, agent = %session.principal().agent, detail, "a policy could not be evaluated");
        }
        let why = Why {
            bundle: tenant.bundle_entry,
            policies: ids(&denial.policies),
        };
        let who = who(session.principal(), attempt);
        let denied = Denied {
            ask: who,
            reason: denial.reason(),
            why: Some(why),
            input: Some(Box::new(input)),
        };
        self.record_as(denied, denial.message).await
    }

    /// Records that an action was refused before there was an attempt.
    pub(crate) async fn refuse(
        &self,
        session: &Session,
        ask: &Ask,
        model: &str,
        reason: Reason,
        message: String,
    ) -> Refusal {
        let who = of_ask(session.principal(), ask, &ask.upstream.name, model);
        self.record(who, reason, message).await
    }

    /// Records that an attempt was refused before policy was asked.
    pub(crate) async fn refuse_attempt(
        &self,
        session: &Session,
        attempt: &Attempt<'_>,
        reason: Reason,
        message: String,
    ) -> Refusal {
        let who = who(session.principal(), attempt);
        self.record(who, reason, message).await
    }

    /// Records that an identified agent was refused at the edge: no such endpoint, body too large, and the like.
    pub async fn refuse_at_edge(
        &self,
        session: &Session,
        id: ActionId,
        upstream: &UpstreamName,
        reason: Reason,
        message: String,
    ) -> Refusal {
        let principal = session.principal();
        let action = action(principal, id, ANY_USE, upstream, "", None, None);
        self.record(
            Who {
                tenant: principal.tenant.clone(),
                action,
            },
            reason,
            message,
        )
        .await
    }

    async fn record(&self, ask: Who, reason: Reason, message: String) -> Refusal {
        let denied = Denied {
            ask,
            reason,
            why: None,
            input: None,
        };
        self.record_as(denied, message).await
    }

    async fn record_as(&self, denied: Denied, message: String) -> Refusal {
        let Denied { ask, reason, .. } = &denied;
        let (id, reason) = (ask.action.id, *reason);
        let declared = self.upstream(ask.action.upstream.as_str());
        let upstream = declared.as_ref().map_or("", |upstream| upstream.name.as_str());
        self.metrics().denied(&ask.tenant, &ask.action.agent, upstream, reason);
        // Boxed, so that calls that are let through do not keep room for it.
        match Box::pin(self.committer().deny(denied)).await {
            Ok(_) => Refusal::new(id, reason, message),
            Err(store::Unavailable) => Refusal::unavailable(id),
        }
    }
}

/// Who wants what of which upstream and model, with this attempt.
pub(crate) fn who(principal: &Principal, attempt: &Attempt<'_>) -> Who {
    of_ask(principal, attempt.ask, &attempt.upstream.name, &attempt.call.model)
}

fn of_ask(principal: &Principal, ask: &Ask, upstream: &UpstreamName, model: &str) -> Who {
    let (run, task) = (ask.run.clone(), ask.task.clone());
    let action = action(principal, ask.id, ask.endpoint.action(), upstream, model, run, task);
    Who {
        tenant: principal.tenant.clone(),
        action,
    }
}

fn action(
    principal: &Principal,
    id: ActionId,
    name: &str,
    upstream: &UpstreamName,
    model: &str,
    run: Option<String>,
    task: Option<String>,
) -> Action {
    Action {
        id,
        agent: principal.agent.clone(),
        // The committer counts.
        seq: 0,
        key: principal.key.clone(),
        user: principal.user.clone(),
        run,
        task,
        name: name.to_owned(),
        upstream: upstream.clone(),
        model: model.to_owned(),
    }
}

/// The names of the policies that decided.
pub(crate) fn ids(policies: &[Arc<str>]) -> Vec<String> {
    policies.iter().take(POLICIES_MAX).map(ToString::to_string).collect()
}

/// What policies were told, as the denial's entry has it.
pub(crate) fn told(question: &Question<'_>, names: bool) -> DenialInput {
    let tools = names.then(|| recorded_tools(question.tools)).flatten();
    DenialInput {
        stream: question.stream,
        limit: question.max_output_tokens,
        worst_case: question.worst_case,
        tool_count: u64::try_from(question.tools.len()).unwrap_or(u64::MAX),
        tools: tools.unwrap_or_default(),
    }
}
