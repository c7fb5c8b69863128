//! What happens to an action, in order. Read this file first.
//!
//! ```text
//! authenticate -> decide -> hold + record intent -> forward -> meter -> settle + record outcome
//! ```
//!
//! Each `+` is one transaction. An action has one or more attempts (first try, retry, fallback), and each goes from `decide`
//! to the end on its own. Types keep the order: only `policy` makes a [`Permit`](policy::Permit), only the committer makes a
//! [`Hold`](store::Hold), and forwarding takes both by value inside [`Cleared`]. A refusal is a value: it is recorded, and told.

use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use entry::Why;
use llm::{Call, Endpoint, Target};
use model::{ActionId, Principal, Reason};
use policy::{Decision, Question, Resource, UnknownAction};
use route::{Failure, Fallback, Plan, Route, Step};
use store::{HoldAnswer, HoldRequest};
use tokio::time::Instant;

use crate::{
    Audience, Control, Refusal, Session, UpstreamSpec,
    asking::{Clearing, Wait},
    bound, fail_open,
    meter::Cleared,
    quote::Quote,
    record::{ids, told, who},
    repeat::RepeatKey,
    snapshot::{Key, Tenant},
};

/// What the caller of an agent without a manifest is told.
pub(crate) const REMOVED: &str = "This agent's manifest was removed.";
/// What the caller is told whose upstream is not what it was.
const CHANGED: &str = "This upstream was removed or changed while the request was arriving.";
/// How often an action is decided again because something changed under it.
const DECISIONS_MAX: usize = 8;
/// How long a hold outlives the longest call: then its owner is dead.
const HOLD_GRACE: Duration = Duration::from_secs(60);

/// What an agent asks for: a model call, as it arrived.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The action's id.
    pub id: ActionId,
    /// Where it wants to go.
    pub upstream: Arc<UpstreamSpec>,
    /// Which endpoint of it.
    pub endpoint: Endpoint,
    /// The model, where the path names it.
    pub target: Option<String>,
    /// The body's content type.
    pub content_type: Option<String>,
    /// The body, whole.
    pub body: Bytes,
    /// The run the agent names.
    pub run: Option<String>,
    /// The task type the agent names.
    pub task: Option<String>,
    /// The agent's idempotency key: a call that is sent again under it is not paid for again.
    pub idempotency: Option<RepeatKey>,
    /// Who wants the reply, where the call is made whether or not its caller stays. Only while it waits for an administrator
    /// must somebody be there.
    pub audience: Option<Audience>,
}

/// What carries a cleared action to its upstream and the reply back.
pub trait Upstream {
    /// The reply in the edge's own terms.
    type Reply: Send;

    /// Forwards one attempt. Whatever happens, the meter in `cleared` hears of it: dropped, it books the hold in full.
    fn forward(&self, cleared: Cleared) -> impl Future<Output = Forwarded<Self::Reply>> + Send;
}

/// How forwarding went.
#[derive(Debug)]
pub enum Forwarded<R> {
    /// The caller gets this.
    Reply(R),
    /// It failed before anything was delivered, and its meter has ended. The caller gets the reply unless another attempt
    /// goes better.
    Failed(Failure, R),
}

/// One attempt of an action: what is asked of whom.
pub(crate) struct Attempt<'a> {
    pub(crate) ask: &'a Ask,
    /// From 0.
    pub(crate) number: u16,
    pub(crate) upstream: Arc<UpstreamSpec>,
    pub(crate) route: Arc<Route>,
    pub(crate) call: Cow<'a, Call>,
    pub(crate) body: Bytes,
    /// When the whole action must be over.
    pub(crate) deadline: Instant,
}

impl Control {
    /// Takes one model call through the pipeline, in as many attempts as its route allows.
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
        let mut attempt = self.first(session, &ask, &call).await?;
        let route = attempt.route.clone();
        let mut plan = Plan::new(&route.spec);
        let mut failed = None;
        loop {
            let mut step = match (self.attempt(session, &mut attempt, upstream).await, failed.is_some()) {
                (Ok(Forwarded::Reply(reply)), _) => return Ok(reply),
                (Ok(Forwarded::Failed(failure, reply)), _) => {
                    failed = Some(reply);
                    plan.after(failure, self.jitter())
                }
                (Err(refusal), false) => return Err(refusal),
                // What may not be tried leaves what the caller is told as it was.
                (Err(_), true) => plan.elsewhere(),
            };
            while let Step::Elsewhere(fallback) = step {
                match self.elsewhere(&attempt, &call, fallback) {
                    Some(next) => {
                        attempt = next;
                        break;
                    }
                    None => step = plan.elsewhere(),
                }
            }
            let goes_on = match step {
                Step::Again(wait) => self.pause(session, wait, attempt.deadline).await,
                Step::Elsewhere(_) => Instant::now() < attempt.deadline,
                Step::Stop => false,
            };
            if !goes_on {
                return failed.ok_or_else(|| Refusal::unavailable(ask.id));
            }
            attempt.number += 1;
            self.metrics().attempted_again(&attempt.upstream.name);
        }
    }

    /// The first attempt of an action: where it asked to go.
    pub(crate) async fn first<'a>(
        &self,
        session: &Session,
        ask: &'a Ask,
        call: &'a Call,
    ) -> Result<Attempt<'a>, Refusal> {
        let route = self.snapshot().routes.find(&ask.upstream.name, &call.model);
        let Some(route) = route else {
            let refusal = self.refuse(session, ask, &call.model, Reason::UnknownUpstream, CHANGED.to_owned());
            return Err(refusal.await);
        };
        let most = route.bounds.request_bytes;
        if ask.body.len() > most {
            let message = format!(
                "The request body has more than the {most} bytes that route \"{}\" allows (request_size).",
                route.spec.name
            );
            let refusal = self.refuse(session, ask, &call.model, Reason::RequestTooLarge, message);
            return Err(refusal.await);
        }
        Ok(Attempt {
            ask,
            number: 0,
            upstream: ask.upstream.clone(),
            deadline: Instant::now() + route.bounds.total,
            route,
            call: Cow::Borrowed(call),
            body: ask.body.clone(),
        })
    }

    /// The same action at a fallback; `None` if it cannot be asked for there.
    fn elsewhere<'a>(&self, attempt: &Attempt<'a>, asked: &'a Call, fallback: &Fallback) -> Option<Attempt<'a>> {
        let ask = attempt.ask;
        let snapshot = self.snapshot();
        let upstream = snapshot.upstreams.get(&fallback.upstream)?;
        if upstream.kind != ask.upstream.kind {
            return None;
        }
        // An id in the path of a list belongs to the upstream it came from. A model in that of a call is the call's.
        let target = Target {
            endpoint: ask.endpoint,
            id: None,
        };
        if ask.target.is_some() && !ask.endpoint.has_body() {
            return None;
        }
        let (call, body) = match &fallback.model {
            // What the caller asked for, whatever an earlier fallback made of it.
            None => (Cow::Borrowed(asked), ask.body.clone()),
            Some(model) => {
                let body = asked.with_model(&ask.body, model)?;
                let call = Call::read(target, ask.content_type.as_deref(), &body).ok()?;
                (Cow::Owned(call), body)
            }
        };
        let route = snapshot.routes.find(&fallback.upstream, &call.model)?;
        if body.len() > route.bounds.request_bytes {
            return None;
        }
        Some(Attempt {
            ask,
            number: attempt.number,
            upstream: upstream.clone(),
            route,
            call,
            body,
            deadline: attempt.deadline,
        })
    }

    /// Waits before an attempt is made again. `false` if there is no time for that, or nobody to do it for.
    async fn pause(&self, session: &Session, wait: Duration, deadline: Instant) -> bool {
        let until = Instant::now() + wait;
        if until >= deadline {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep_until(until) => true,
            () = session.key.cancel.cancelled() => false,
        }
    }

    /// One attempt, with its own place, decision, hold and intent.
    async fn attempt<U: Upstream>(
        &self,
        session: &Session,
        attempt: &mut Attempt<'_>,
        upstream: &U,
    ) -> Result<Forwarded<U::Reply>, Refusal> {
        let mut wait = self.wait_of(attempt);
        let (cleared, place) = loop {
            let place = match self.enter(session, attempt).await {
                Ok(place) => place,
                // Who waits for an administrator is not turned away because the route is busy just now.
                Err(_) if wait.is_on() && !wait.is_late(self.now_of(&session.principal().tenant)) => {
                    Box::pin(self.await_room(session, attempt, &wait, true)).await?;
                    continue;
                }
                Err(busy) => {
                    let refusal = self.too_busy(session, attempt, busy).await;
                    wait.refused(&refusal);
                    return Err(refusal);
                }
            };
            // Before the decision: what is recorded while it is made may have changed it.
            let (size, now) = self.standing_of(session);
            wait.looks(size, now);
            let cleared = self.clear(session, attempt, &wait).await;
            match cleared.inspect_err(|refusal| wait.refused(refusal))? {
                Clearing::Cleared(cleared) => break (*cleared, place),
                // Who waits takes nobody's place.
                Clearing::Asked(pending) => wait.asked(pending),
            }
            drop(place);
            Box::pin(self.await_room(session, attempt, &wait, false)).await?;
        };
        wait.over();
        let cleared = Cleared::new(self, cleared, attempt, session, place);
        // Boxed: what an edge keeps while it forwards is large, and every future around it would be as large.
        Ok(Box::pin(upstream.forward(cleared)).await)
    }

    /// Decide, hold and record the intent. Returns once the intent is durable.
    async fn clear(&self, session: &Session, attempt: &Attempt<'_>, wait: &Wait) -> Result<Clearing, Refusal> {
        let ask = attempt.ask;
        let request = self.privacy().commit(&ask.body);
        for _ in 0..DECISIONS_MAX {
            let snapshot = self.snapshot();
            // The credential may have been revoked since the last round.
            let key = snapshot.keys.get(&session.verifier).unwrap_or(&session.key);
            if let Err((reason, message)) = key.usable(self.now_of(&key.principal.tenant)) {
                return Err(self.refuse_attempt(session, attempt, reason, message.to_owned()).await);
            }
            // So may the upstream have been changed: what leaves must be what the log says is in effect.
            let declared = snapshot.upstreams.get(&attempt.upstream.name);
            let Some(upstream) = declared.filter(|now| now.kind == attempt.upstream.kind) else {
                let refusal = self.refuse_attempt(session, attempt, Reason::UnknownUpstream, CHANGED.to_owned());
                return Err(refusal.await);
            };
            let Some(tenant) = snapshot.tenants.get(&key.principal.tenant) else {
                break;
            };
            let quote = match self.quote(&snapshot, tenant, key, attempt, upstream) {
                Ok(quote) => quote,
                Err((reason, message)) => return Err(self.refuse_attempt(session, attempt, reason, message).await),
            };
            // The codecs and the policies name the same actions; a test compares them.
            let Ok(question) = question(key, attempt, &quote) else {
                break;
            };
            let permit = match tenant.bundle.decide(&question) {
                Decision::Permit(permit) => permit,
                Decision::Deny(denial) => {
                    let input = told(&question, tenant.bundle.reads_tools());
                    return Err(self.deny(session, attempt, tenant, denial, input).await);
                }
            };
            let why = Why {
                bundle: tenant.bundle_entry,
                policies: ids(permit.policies()),
            };
            let wanted = HoldRequest {
                may_wait: wait.may(),
                ..self.hold_request(key, attempt, tenant, &quote, why, &request)
            };
            // Only who has an allowance may need it once more.
            let spare = fail_open::candidate(tenant, &wanted);
            match self.committer().hold(wanted).await {
                HoldAnswer::Held(hold) => return Ok(Clearing::Cleared(Box::new((permit, hold, quote)))),
                HoldAnswer::Asked(pending) => return Ok(Clearing::Asked(Some(pending))),
                HoldAnswer::Waiting if wait.is_on() => return Ok(Clearing::Asked(None)),
                HoldAnswer::Stale(epoch) => self.await_epoch(&key.principal.tenant, epoch).await,
                HoldAnswer::Unavailable => {
                    // Boxed: it is rare, and every future around it would be as large.
                    let hold = Box::pin(self.fail_open(spare)).await;
                    return hold
                        .map(|hold| Clearing::Cleared(Box::new((permit, hold, quote))))
                        .ok_or_else(|| Refusal::unavailable(ask.id));
                }
                answer => {
                    let refusal = self.not_held(session, attempt, answer).await;
                    return Err(bound::explain(refusal, &quote, &attempt.call.model));
                }
            }
        }
        Err(Refusal::unavailable(ask.id))
    }

    /// What the caller is told whose attempt got no hold.
    async fn not_held(&self, session: &Session, attempt: &Attempt<'_>, answer: HoldAnswer) -> Refusal {
        let id = attempt.ask.id;
        match answer {
            HoldAnswer::Refused(over, resets_at) => {
                let Principal { tenant, agent, .. } = session.principal();
                let upstream = attempt.upstream.name.as_str();
                self.metrics().denied(tenant, agent, upstream, Reason::BudgetExhausted);
                Refusal::over_budget(id, &over, resets_at)
            }
            HoldAnswer::Broken(stop) => {
                let Principal { tenant, agent, .. } = session.principal();
                let upstream = attempt.upstream.name.as_str();
                self.metrics().denied(tenant, agent, upstream, Reason::BreakerOpen);
                Refusal::broken(id, &stop, self.now_of(tenant))
            }
            HoldAnswer::RateLimited(limited) => {
                let Principal { tenant, agent, .. } = session.principal();
                let upstream = attempt.upstream.name.as_str();
                self.metrics().denied(tenant, agent, upstream, Reason::RateLimited);
                Refusal::rate_limited(id, &limited)
            }
            HoldAnswer::Repeated(of) => {
                let Principal { tenant, agent, .. } = session.principal();
                let (upstream, reason) = (attempt.upstream.name.as_str(), Reason::IdempotencyKeyUsed);
                self.metrics().denied(tenant, agent, upstream, reason);
                Refusal::repeated(id, of)
            }
            HoldAnswer::UnknownAgent => {
                self.refuse_attempt(session, attempt, Reason::UnknownAgent, REMOVED.to_owned())
                    .await
            }
            HoldAnswer::Overloaded => {
                let Refusal {
                    message, retry_after, ..
                } = Refusal::overloaded(id);
                let refusal = self.refuse_attempt(session, attempt, Reason::Overloaded, message).await;
                Refusal { retry_after, ..refusal }
            }
            HoldAnswer::AskRefused(over, answer) => {
                let Principal { tenant, agent, .. } = session.principal();
                let upstream = attempt.upstream.name.as_str();
                self.metrics().denied(tenant, agent, upstream, Reason::BudgetExhausted);
                let (by, note) = *answer;
                Refusal::not_topped_up(id, &over, &by, &note)
            }
            HoldAnswer::Unavailable
            | HoldAnswer::Held(_)
            | HoldAnswer::Stale(_)
            | HoldAnswer::Asked(_)
            | HoldAnswer::Waiting => Refusal::unavailable(id),
        }
    }

    fn hold_request(
        &self,
        key: &Key,
        attempt: &Attempt<'_>,
        tenant: &Tenant,
        quote: &Quote,
        why: Why,
        request: &str,
    ) -> HoldRequest {
        let left = attempt.deadline.saturating_duration_since(Instant::now());
        let lifetime = left.saturating_add(HOLD_GRACE);
        HoldRequest {
            ask: who(&key.principal, attempt),
            attempt: attempt.number,
            epoch: tenant.epoch,
            why,
            prices: tenant.prices_entry,
            stream: attempt.call.stream,
            limit: quote.limit,
            bound: quote.bound,
            bytes: u64::try_from(quote.body.len()).unwrap_or(u64::MAX),
            request: request.to_owned(),
            amount: quote.worst_case,
            tokens: quote.tokens,
            tools: attempt.call.tools.clone(),
            all_tools: tenant.bundle.reads_tools(),
            next: self.next_step(key, attempt, tenant.steps),
            may_wait: true,
            lifetime_us: i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX),
            idempotency: attempt.ask.idempotency.as_ref().map(RepeatKey::to_string),
        }
    }
}

pub(crate) fn question<'a>(
    key: &'a Key,
    attempt: &'a Attempt<'_>,
    quote: &Quote,
) -> Result<Question<'a>, UnknownAction> {
    let (call, upstream) = (&*attempt.call, &attempt.upstream.name);
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
        task: attempt.ask.task.as_deref(),
        run: attempt.ask.run.as_deref(),
    })
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
