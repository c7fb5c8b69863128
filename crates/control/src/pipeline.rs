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
use entry::{Action, Why};
use llm::{Call, Edit, Endpoint};
use model::{ActionId, NanoUsd, Principal, Reason, UpstreamName};
use policy::{Decision, Permit, Question};
use pricing::{Allowances, Demand, ModelPrices, Region};
use store::{Ask as Who, Denied, Hold, HoldAnswer, HoldRequest};

use crate::{
    Control, Refusal, UpstreamSpec,
    meter::{Cleared, Tariff},
    snapshot::{Key, Snapshot, Tenant},
};

/// The action's name in policies.
pub(crate) const GENERATE: &str = "llm:generate";
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

/// A call read and priced: all that a decision needs.
struct Quoted {
    call: Call,
    body: Bytes,
    limit: u64,
    worst_case: NanoUsd,
    tariff: ModelPrices,
}

impl Control {
    /// Who presents this credential.
    pub fn authenticate(&self, credential: Option<&str>) -> Result<Session, Refusal> {
        let Some(text) = credential else {
            let message = "No credential was sent. Send a Bailiwick credential as `Authorization: Bearer bwk_...` or as \
                           `x-api-key`.";
            return Err(Refusal::anonymous(Reason::MissingCredential, message));
        };
        let Some(verifier) = crate::credential::recognise(crate::AGENT_PREFIX, text) else {
            let message = "This is not a Bailiwick credential, or it is misspelt: one starts with `bwk_`. An \
                           administrator issues one with `bailiwick key issue AGENT`.";
            return Err(Refusal::anonymous(Reason::InvalidCredential, message));
        };
        let key = self.snapshot().key(&verifier, self.now())?.clone();
        Ok(Session { verifier, key })
    }

    /// Takes one model call through the pipeline.
    pub async fn run<U: Upstream>(&self, session: &Session, ask: Ask, upstream: &U) -> Result<U::Reply, Refusal> {
        let (permit, hold, quoted) = self.clear(session, &ask).await?;
        let cleared = Cleared::new(self, permit, hold, ask.upstream, quoted.body, &quoted.call, session);
        let cleared = cleared.priced(Tariff {
            prices: quoted.tariff,
            tier: quoted.call.tier,
        });
        // Boxed: what an edge keeps while it forwards is large, and every future around it would be as large.
        Ok(Box::pin(upstream.forward(cleared)).await)
    }

    /// Decide, hold and record the intent. Returns once the intent is durable.
    async fn clear(&self, session: &Session, ask: &Ask) -> Result<(Permit, Hold, Quoted), Refusal> {
        let call = match Call::parse(ask.endpoint, &ask.body) {
            Ok(call) => call,
            Err(error) => {
                return Err(self
                    .refuse(session, ask, "", Reason::InvalidRequest, error.to_string())
                    .await);
            }
        };
        let request = self.privacy().commit(&ask.body);
        let mut quoted = None;
        for _ in 0..DECISIONS_MAX {
            let snapshot = self.snapshot();
            // The credential may have been revoked since the last round.
            let key = snapshot.key(&session.verifier, self.now())?.clone();
            let Some(tenant) = snapshot.tenants.get(&key.principal.tenant) else {
                break;
            };
            let quote = match quoted
                .take()
                .map_or_else(|| self.quote(&snapshot, tenant, &key, ask, &call), Ok)
            {
                Ok(quote) => quote,
                Err((reason, message)) => return Err(self.refuse(session, ask, &call.model, reason, message).await),
            };
            let permit = match tenant.bundle.decide(&question(&key, ask, &quote)) {
                Decision::Permit(permit) => permit,
                Decision::Deny(denial) => return Err(self.deny(session, ask, &quote, tenant, denial).await),
            };
            let why = Why {
                bundle: tenant.bundle_entry,
                policies: ids(permit.policies()),
            };
            let wanted = self.hold_request(&key, ask, tenant, &quote, why, request.clone());
            match self.committer().hold(wanted).await {
                HoldAnswer::Held(hold) => return Ok((permit, hold, quote)),
                HoldAnswer::Stale(epoch) => self.await_epoch(&key.principal.tenant, epoch).await,
                HoldAnswer::Refused(over, resets_at) => {
                    self.metrics()
                        .denied(&key.principal, &ask.upstream.name, Reason::BudgetExhausted);
                    return Err(Refusal::over_budget(ask.id, &over, resets_at));
                }
                HoldAnswer::UnknownAgent => {
                    let message = "This agent's manifest was removed.".to_owned();
                    return Err(self
                        .refuse(session, ask, &call.model, Reason::UnknownAgent, message)
                        .await);
                }
                HoldAnswer::Overloaded => return Err(Refusal::overloaded(ask.id)),
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
    ) -> Result<Quoted, (Reason, String)> {
        let upstream = &ask.upstream;
        let Some(agent) = tenant.agents.get(&key.principal.agent) else {
            return Err((Reason::UnknownAgent, "This agent's manifest was removed.".to_owned()));
        };
        if !key.allows(&upstream.name, &call.model) {
            let message = format!(
                "This credential is narrowed to other upstreams or models; {}/{} is not among them.",
                upstream.name, call.model
            );
            return Err((Reason::CredentialScope, message));
        }
        let unpriced = |error: pricing::PriceError| (reason_of(&error), error.to_string());
        let tariff = snapshot
            .prices
            .require(&upstream.prices, &call.model)
            .map_err(unpriced)?;
        let tariff = tariff.in_region(Region::of_host(upstream.host()));
        let default = agent.output_limit.unwrap_or(self.limits().output_limit);
        let default = default.min(tariff.max_output_tokens().unwrap_or(u64::MAX));
        let limit = call.output_limit.unwrap_or(default);
        let edit = Edit {
            output_limit: call.output_limit.is_none().then_some(limit),
            legacy_output_limit: upstream.legacy_output_limit,
            include_usage: call.stream && ask.endpoint == Endpoint::ChatCompletions,
        };
        let body = call.rewrite(&ask.body, edit);
        let demand = Demand {
            request_bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
            output_limit: limit,
            choices: call.choices,
            features: &call.features,
            tier: call.tier,
        };
        let allowances = Allowances::for_provider(&upstream.prices);
        let worst_case = tariff.worst_case(&demand, &allowances).map_err(unpriced)?;
        Ok(Quoted {
            call: call.clone(),
            body,
            limit,
            worst_case,
            tariff,
        })
    }

    fn hold_request(
        &self,
        key: &Key,
        ask: &Ask,
        tenant: &Tenant,
        quote: &Quoted,
        why: Why,
        request: String,
    ) -> HoldRequest {
        let lifetime = self.limits().total_timeout.saturating_add(HOLD_GRACE);
        HoldRequest {
            ask: who(&key.principal, ask.id, &ask.upstream.name, &quote.call.model, ask),
            attempt: 0,
            epoch: tenant.epoch,
            why,
            prices: tenant.prices_entry,
            stream: quote.call.stream,
            limit: quote.limit,
            bytes: u64::try_from(quote.body.len()).unwrap_or(u64::MAX),
            request,
            amount: quote.worst_case,
            lifetime_us: i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Records that policy said no.
    async fn deny(
        &self,
        session: &Session,
        ask: &Ask,
        quote: &Quoted,
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
        let who = who(session.principal(), ask.id, &ask.upstream.name, &quote.call.model, ask);
        self.record(who, denial.reason(), Some(why), denial.message).await
    }

    /// Records that an action was refused before policy was asked.
    async fn refuse(&self, session: &Session, ask: &Ask, model: &str, reason: Reason, message: String) -> Refusal {
        let who = who(session.principal(), ask.id, &ask.upstream.name, model, ask);
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
        let action = action(principal, id, upstream, "", None, None);
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
        self.metrics().denied_action(&ask, reason);
        match self.committer().deny(Denied { ask, reason, why }).await {
            Ok(_) => Refusal::new(id, reason, message),
            Err(store::Unavailable) => Refusal::unavailable(id),
        }
    }
}

fn question<'a>(key: &'a Key, ask: &'a Ask, quote: &'a Quoted) -> Question<'a> {
    Question {
        agent: &key.principal.agent,
        user: key.principal.user.as_ref(),
        tier: key.principal.tier,
        upstream: &ask.upstream.name,
        model: &quote.call.model,
        stream: quote.call.stream,
        max_output_tokens: quote.limit,
        tools: &quote.call.tools,
        worst_case: quote.worst_case,
        task: ask.task.as_deref(),
        run: ask.run.as_deref(),
    }
}

fn who(principal: &Principal, id: ActionId, upstream: &UpstreamName, model: &str, ask: &Ask) -> Who {
    let action = action(principal, id, upstream, model, ask.run.clone(), ask.task.clone());
    Who {
        tenant: principal.tenant.clone(),
        action,
    }
}

fn action(
    principal: &Principal,
    id: ActionId,
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
        name: GENERATE.to_owned(),
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
