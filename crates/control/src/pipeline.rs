//! What happens to an action, in order. Read this file first.
//!
//! ```text
//! authenticate -> decide -> hold + record intent -> forward -> meter -> settle + record outcome
//! ```
//!
//! Each `+` is one transaction. Types keep the order: only `policy` makes a [`Permit`], only the committer makes a
//! [`Hold`], and forwarding takes both by value inside [`Cleared`]. A refusal is a value: it is recorded, and told.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use entry::{Action, AgentRecord, Why};
use llm::{Call, Edit, Endpoint, Target};
use model::{ActionId, NanoUsd, Principal, Reason, UpstreamName, Work};
use policy::{Decision, Permit, Question, Resource, UnknownAction};
use pricing::{Allowances, Demand, ModelPrices};
use store::{Ask as Who, Denied, Hold, HoldAnswer, HoldRequest};

use crate::{
    Control, Refusal, UpstreamSpec,
    meter::{Cleared, Tariff},
    snapshot::{Key, Snapshot, Tenant},
};

/// What stands in the entry of a refusal at the edge, where it is not known what was asked for: the group of all actions.
const ANY_USE: &str = "llm:use";
/// What the caller of an agent without a manifest is told.
const REMOVED: &str = "This agent's manifest was removed.";
/// How often an action is decided again because something changed under it.
const DECISIONS_MAX: usize = 8;
/// How many ids of deciding policies an entry names.
const POLICIES_MAX: usize = 32;
/// How long a hold outlives the longest call: then its owner is dead.
const HOLD_GRACE: Duration = Duration::from_secs(60);

/// An authenticated caller. Made by [`Control::authenticate`] only.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) verifier: model::Digest,
    pub(crate) key: Arc<Key>,
}

impl Session {
    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.key.principal
    }
}

/// What an agent asks for: a model call, as it arrived.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The action's id.
    pub id: ActionId,
    /// Where it wants to go.
    pub upstream: Arc<UpstreamSpec>,
    /// Which endpoint of it.
    pub endpoint: Endpoint,
    /// What stands in the path for an id, where the endpoint has one.
    pub target: Option<String>,
    /// The body's content type.
    pub content_type: Option<String>,
    /// The body, whole.
    pub body: Bytes,
    /// The run the agent names.
    pub run: Option<String>,
    /// The task type the agent names.
    pub task: Option<String>,
}

/// What carries a cleared action to its upstream and the reply back.
pub trait Upstream {
    /// The reply in the edge's own terms.
    type Reply;

    /// Forwards. Whatever happens, the meter in `cleared` hears of it: dropped, it books the hold in full.
    fn forward(&self, cleared: Cleared) -> impl Future<Output = Self::Reply> + Send;
}

/// What a call can cost at most, and what of it is sent.
struct Quote {
    body: Bytes,
    limit: u64,
    worst_case: NanoUsd,
    /// `None` for what providers do for nothing.
    prices: Option<ModelPrices>,
    /// The upstream as it was when the call was decided.
    upstream: Arc<UpstreamSpec>,
}

/// A caller that may not act: who it is, where its credential says so, and what it is told.
#[derive(Debug)]
pub struct Unauthenticated {
    /// The holder of a credential that was revoked or has expired.
    pub known: Option<Session>,
    /// Why.
    pub refusal: Refusal,
}

impl Control {
    /// Who presents this credential.
    pub fn authenticate(&self, credential: Option<&str>) -> Result<Session, Unauthenticated> {
        let anonymous = |reason, message| Unauthenticated {
            known: None,
            refusal: Refusal::anonymous(reason, message),
        };
        let Some(text) = credential else {
            let message = "No credential was sent. Send a Bailiwick credential as `Authorization: Bearer bwk_...` or as \
                           `x-api-key`.";
            return Err(anonymous(Reason::MissingCredential, message));
        };
        let Some(verifier) = crate::credential::recognise(crate::AGENT_PREFIX, text) else {
            let message = "This is not a Bailiwick credential, or it is misspelt: one starts with `bwk_`. An \
                           administrator issues one with `bailiwick key issue AGENT`.";
            return Err(anonymous(Reason::InvalidCredential, message));
        };
        let snapshot = self.snapshot();
        let Some(key) = snapshot.keys.get(&verifier) else {
            let message =
                "This credential is not known here. An administrator issues one with `bailiwick key issue AGENT`.";
            return Err(anonymous(Reason::InvalidCredential, message));
        };
        let session = Session {
            verifier,
            key: key.clone(),
        };
        match key.usable(self.now()) {
            Ok(()) => Ok(session),
            Err((reason, message)) => Err(Unauthenticated {
                known: Some(session),
                refusal: Refusal::anonymous(reason, message),
            }),
        }
    }

    /// Takes one model call through the pipeline.
    pub async fn run<U: Upstream>(&self, session: &Session, ask: Ask, upstream: &U) -> Result<U::Reply, Refusal> {
        let target = Target {
            endpoint: ask.endpoint,
            id: ask.target.as_deref(),
        };
        let call = match Call::read(target, ask.content_type.as_deref(), &ask.body) {
            Ok(call) => call,
            Err(error) => {
                return Err(self
                    .refuse(session, &ask, "", Reason::InvalidRequest, error.to_string())
                    .await);
            }
        };
        let (permit, hold, quote) = self.clear(session, &ask, &call).await?;
        let tariff = Tariff {
            prices: quote.prices,
            tier: call.tier,
        };
        let cleared = Cleared::new(self, permit, hold, quote.upstream, quote.body, &call, session, tariff);
        // Boxed: what an edge keeps while it forwards is large, and every future around it would be as large.
        Ok(Box::pin(upstream.forward(cleared)).await)
    }

    /// Decide, hold and record the intent. Returns once the intent is durable.
    async fn clear(&self, session: &Session, ask: &Ask, call: &Call) -> Result<(Permit, Hold, Quote), Refusal> {
        let request = self.privacy().commit(&ask.body);
        for _ in 0..DECISIONS_MAX {
            let snapshot = self.snapshot();
            // The credential may have been revoked since the last round.
            let key = snapshot.keys.get(&session.verifier).unwrap_or(&session.key);
            if let Err((reason, message)) = key.usable(self.now()) {
                return Err(self.refuse(session, ask, &call.model, reason, message.to_owned()).await);
            }
            // So may the upstream have been changed: what leaves must be what the log says is in effect.
            let Some(upstream) = snapshot
                .upstreams
                .get(&ask.upstream.name)
                .filter(|now| now.kind == ask.upstream.kind)
            else {
                let message = "This upstream was removed or changed while the request was arriving.".to_owned();
                return Err(self
                    .refuse(session, ask, &call.model, Reason::UnknownUpstream, message)
                    .await);
            };
            let Some(tenant) = snapshot.tenants.get(&key.principal.tenant) else {
                break;
            };
            let quote = match self.quote(&snapshot, tenant, key, ask, call, upstream) {
                Ok(quote) => quote,
                Err((reason, message)) => return Err(self.refuse(session, ask, &call.model, reason, message).await),
            };
            // The codecs and the policies name the same actions; a test compares them.
            let Ok(question) = question(key, ask, call, &quote) else {
                break;
            };
            let permit = match tenant.bundle.decide(&question) {
                Decision::Permit(permit) => permit,
                Decision::Deny(denial) => return Err(self.deny(session, ask, call, tenant, denial).await),
            };
            let why = Why {
                bundle: tenant.bundle_entry,
                policies: ids(permit.policies()),
            };
            let wanted = self.hold_request(key, ask, call, tenant, &quote, why, &request);
            match self.committer().hold(wanted).await {
                HoldAnswer::Held(hold) => return Ok((permit, hold, quote)),
                HoldAnswer::Stale(epoch) => self.await_epoch(&key.principal.tenant, epoch).await,
                HoldAnswer::Refused(over, resets_at) => {
                    let principal = &key.principal;
                    let upstream = ask.upstream.name.as_str();
                    self.metrics()
                        .denied(&principal.tenant, &principal.agent, upstream, Reason::BudgetExhausted);
                    return Err(Refusal::over_budget(ask.id, &over, resets_at));
                }
                HoldAnswer::UnknownAgent => {
                    return Err(self
                        .refuse(session, ask, &call.model, Reason::UnknownAgent, REMOVED.to_owned())
                        .await);
                }
                HoldAnswer::Overloaded => {
                    let Refusal {
                        message, retry_after, ..
                    } = Refusal::overloaded(ask.id);
                    let refusal = self
                        .refuse(session, ask, &call.model, Reason::Overloaded, message)
                        .await;
                    return Err(Refusal { retry_after, ..refusal });
                }
                HoldAnswer::Unavailable => return Err(Refusal::unavailable(ask.id)),
            }
        }
        Err(Refusal::unavailable(ask.id))
    }

    /// Reads what the call can cost at most, and writes into it what bounds that.
    fn quote(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        key: &Key,
        ask: &Ask,
        call: &Call,
        upstream: &Arc<UpstreamSpec>,
    ) -> Result<Quote, (Reason, String)> {
        let Some(agent) = tenant.agents.get(&key.principal.agent) else {
            return Err((Reason::UnknownAgent, REMOVED.to_owned()));
        };
        if !key.allows(&upstream.name, &call.model) {
            let message = format!(
                "This credential is narrowed to other upstreams or models; {}/{} is not among them.",
                upstream.name, call.model
            );
            return Err((Reason::CredentialScope, message));
        }
        if call.work == Work::Free {
            let body = ask.body.clone();
            return Ok(Quote {
                body,
                limit: 0,
                worst_case: NanoUsd::ZERO,
                prices: None,
                upstream: upstream.clone(),
            });
        }
        let unpriced = |error: pricing::PriceError| (reason_of(&error), error.to_string());
        let prices = snapshot.tariffs.of(upstream, &call.model).map_err(unpriced)?;
        let limit = self.output_limit(agent, call, &prices);
        let edit = Edit {
            output_limit: call.output_limit.is_none().then_some(limit),
            legacy_output_limit: upstream.legacy_output_limit,
            include_usage: call.stream,
        };
        let body = call.rewrite(&ask.body, edit);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let demand = Demand {
            work: &call.work,
            // Tools that search are refused, so nothing is searched.
            searches: 0,
            // Files are bounded by the work they ask for, not by the tokens of a text of their length.
            request_bytes: length.saturating_sub(call.file_bytes),
            output_limit: limit,
            choices: call.choices,
            features: &call.features,
            tier: call.tier,
        };
        let allowances = Allowances::for_provider(&upstream.prices);
        let prices = prices.for_call(&demand);
        let worst_case = prices.worst_case(&demand, &allowances).map_err(unpriced)?;
        Ok(Quote {
            body,
            limit,
            worst_case,
            prices: Some(prices),
            upstream: upstream.clone(),
        })
    }

    /// The output limit that the request is forwarded with: its own, or a configured one that the model can reach. Zero
    /// where output is not bounded in tokens.
    fn output_limit(&self, agent: &AgentRecord, call: &Call, prices: &ModelPrices) -> u64 {
        if !call.endpoint.has_output_limit() {
            return 0;
        }
        let default = agent.output_limit.unwrap_or(self.limits().output_limit);
        call.output_limit
            .unwrap_or(default.min(prices.max_output_tokens().unwrap_or(u64::MAX)))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an intent names all that led to it, and this is where it comes together"
    )]
    fn hold_request(
        &self,
        key: &Key,
        ask: &Ask,
        call: &Call,
        tenant: &Tenant,
        quote: &Quote,
        why: Why,
        request: &str,
    ) -> HoldRequest {
        let lifetime = self.limits().total_timeout.saturating_add(HOLD_GRACE);
        HoldRequest {
            ask: who(&key.principal, ask, &call.model),
            attempt: 0,
            epoch: tenant.epoch,
            why,
            prices: tenant.prices_entry,
            stream: call.stream,
            limit: quote.limit,
            bytes: u64::try_from(quote.body.len()).unwrap_or(u64::MAX),
            request: request.to_owned(),
            amount: quote.worst_case,
            lifetime_us: i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Records that policy said no.
    async fn deny(
        &self,
        session: &Session,
        ask: &Ask,
        call: &Call,
        tenant: &Tenant,
        denial: policy::Denial,
    ) -> Refusal {
        if let Some(detail) = &denial.detail {
            tracing::warn!(action = %ask.id, agent = %session.principal().agent, detail, "a policy could not be evaluated");
        }
        let why = Why {
            bundle: tenant.bundle_entry,
            policies: ids(&denial.policies),
        };
        let who = who(session.principal(), ask, &call.model);
        self.record(who, denial.reason(), Some(why), denial.message).await
    }

    /// Records that an action was refused before policy was asked.
    async fn refuse(&self, session: &Session, ask: &Ask, model: &str, reason: Reason, message: String) -> Refusal {
        let who = who(session.principal(), ask, model);
        self.record(who, reason, None, message).await
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
            None,
            message,
        )
        .await
    }

    async fn record(&self, ask: Who, reason: Reason, why: Option<Why>, message: String) -> Refusal {
        let id = ask.action.id;
        let declared = self.upstream(ask.action.upstream.as_str());
        let upstream = declared.as_ref().map_or("", |upstream| upstream.name.as_str());
        self.metrics().denied(&ask.tenant, &ask.action.agent, upstream, reason);
        match self.committer().deny(Denied { ask, reason, why }).await {
            Ok(_) => Refusal::new(id, reason, message),
            Err(store::Unavailable) => Refusal::unavailable(id),
        }
    }
}

fn question<'a>(key: &'a Key, ask: &'a Ask, call: &'a Call, quote: &Quote) -> Result<Question<'a>, UnknownAction> {
    let upstream = &ask.upstream.name;
    let action: policy::Action = call.endpoint.action().parse()?;
    let resource = match action {
        policy::Action::List => Resource::Upstream { upstream },
        _ => Resource::Model {
            upstream,
            model: &call.model,
        },
    };
    Ok(Question {
        action,
        resource,
        agent: &key.principal.agent,
        user: key.principal.user.as_ref(),
        tier: key.principal.tier,
        stream: call.stream,
        max_output_tokens: quote.limit,
        tools: &call.tools,
        worst_case: quote.worst_case,
        task: ask.task.as_deref(),
        run: ask.run.as_deref(),
    })
}

fn who(principal: &Principal, ask: &Ask, model: &str) -> Who {
    let (run, task) = (ask.run.clone(), ask.task.clone());
    let action = action(
        principal,
        ask.id,
        ask.endpoint.action(),
        &ask.upstream.name,
        model,
        run,
        task,
    );
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

fn ids(policies: &[Arc<str>]) -> Vec<String> {
    policies.iter().take(POLICIES_MAX).map(ToString::to_string).collect()
}

fn reason_of(error: &pricing::PriceError) -> Reason {
    match error {
        pricing::PriceError::Feature { .. } => Reason::UnboundedFeature,
        _ => Reason::UnpricedModel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_an_action_of_the_policies() {
        for endpoint in Endpoint::ALL {
            let action: policy::Action = endpoint.action().parse().unwrap();
            assert!(endpoint.has_model() || action == policy::Action::List, "{endpoint}");
        }
    }
}
