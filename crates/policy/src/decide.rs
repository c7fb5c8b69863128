//! From a question to a decision.

use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Context, Decision as Answer, Effect, Entities, Entity, EntityUid, PolicyId, Request, Response,
    RestrictedExpression,
};
use model::{AgentName, NanoUsd, Pseudonym, Tier, UpstreamName};

use crate::{
    Bundle, Decision, Denial, Permit,
    bundle::Known,
    entities::{reach, strings},
};

/// One model call, as policies see it. The agent's team, product and environment come from its manifest.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub agent: &'a AgentName,
    /// The user on whose behalf the credential acts, if it is bound to one.
    pub user: Option<&'a Pseudonym>,
    /// What the credential is for.
    pub tier: Tier,
    /// The upstream that is to be called.
    pub upstream: &'a UpstreamName,
    /// The model, as the request spells it: any text.
    pub model: &'a str,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The output limit, in tokens, as it will stand in the request that is forwarded. Policies see at most `i64::MAX`.
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

/// What the policies that can apply said.
#[derive(Default)]
struct Tally {
    permits: Vec<Arc<str>>,
    forbids: Vec<Arc<str>>,
    /// The `forbid`s that could not be evaluated. Cedar passes over them; we deny.
    failed_forbids: Vec<Arc<str>>,
    /// A sentence for each policy that could not be evaluated.
    notes: Vec<String>,
}

impl Bundle {
    /// Decides one question: permitted only if a policy permits it, no policy forbids it, and every `forbid` that might
    /// could be evaluated.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let Some(known) = self.agents.get(question.agent) else {
            return Decision::Deny(Denial::unknown_agent(question.agent));
        };
        let model = self.vocabulary.model(question.upstream, question.model);
        let tally = match self.ask(known, question, &model) {
            Ok(tally) => tally,
            Err(error) => return Decision::Deny(Denial::unevaluated(&model, Vec::new(), vec![error])),
        };
        let Tally {
            permits: policies,
            forbids,
            failed_forbids,
            notes,
        } = tally;
        if !forbids.is_empty() {
            Decision::Deny(Denial::forbidden(question.agent, &model, forbids, notes))
        } else if !failed_forbids.is_empty() {
            Decision::Deny(Denial::unevaluated(&model, failed_forbids, notes))
        } else if policies.is_empty() {
            let suggestion = self.suggestion(question.agent, &known.uid, &model);
            Decision::Deny(Denial::not_permitted(question.agent, &model, &suggestion, notes))
        } else {
            Decision::Permit(Permit {
                policies,
                bundle: self.digest(),
                agent: question.agent.clone(),
                upstream: question.upstream.clone(),
                model: question.model.into(),
                notes,
            })
        }
    }

    /// Evaluates every policy that can apply.
    fn ask(&self, known: &Known, question: &Question<'_>, model: &EntityUid) -> Result<Tally, String> {
        let upstream = self.vocabulary.upstream(question.upstream);
        let entities = self.entities(known, question, model, &upstream)?;
        let request = self.request(known, question, model)?;
        let mut tally = Tally::default();
        for policies in known.groups.iter().flat_map(|group| group.shards(model, &upstream)) {
            let response = self.authorizer.is_authorized(&request, policies, &entities);
            self.count(&response, &mut tally);
        }
        tally.permits.sort();
        tally.forbids.sort();
        tally.failed_forbids.sort();
        tally.notes.sort();
        Ok(tally)
    }

    /// Cedar's request. It is built to the schema by this code alone, so it is not validated again for each question; a
    /// test validates it.
    pub(crate) fn request(&self, known: &Known, question: &Question<'_>, model: &EntityUid) -> Result<Request, String> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let long = RestrictedExpression::new_long;
        let user = |user| RestrictedExpression::new_entity_uid(self.vocabulary.user(user));
        let tools = question.tools.iter().map(|tool| text(tool));
        let tool_count = i64::try_from(question.tools.len()).unwrap_or(i64::MAX);
        let output = i64::try_from(question.max_output_tokens).unwrap_or(i64::MAX);
        let optional = [
            ("task", question.task.map(text)),
            ("user", question.user.map(user)),
            ("run", question.run.map(text)),
        ];
        let context = [
            ("stream", RestrictedExpression::new_bool(question.stream)),
            ("max_output_tokens", long(output)),
            ("tools", RestrictedExpression::new_set(tools)),
            ("tool_count", long(tool_count)),
            ("worst_case_cost_nano_usd", long(question.worst_case.0)),
            ("environment", text(&known.environment)),
            ("tier", text(question.tier.as_str())),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = context.into_iter().chain(optional);
        let context =
            Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(|e| e.to_string())?;
        let action = self.vocabulary.generate.clone();
        Request::new(known.uid.clone(), action, model.clone(), context, None).map_err(|e| e.to_string())
    }

    /// The entities that the decision can look at: those prepared for the agent, the model, and the user with the teams
    /// the files put them in. The upstream needs no record, since the model's says that it is in it.
    fn entities(
        &self,
        known: &Known,
        question: &Question<'_>,
        model: &EntityUid,
        upstream: &EntityUid,
    ) -> Result<Entities, String> {
        let attributes = strings([("upstream", question.upstream.as_str()), ("name", question.model)]);
        let model = Entity::new(model.clone(), attributes, [upstream.clone()].into()).map_err(|e| e.to_string())?;
        let user = question.user.map(|user| self.vocabulary.user(user));
        let user = reach(&self.store, &user).into_iter();
        let added = user.filter(|entity| known.entities.get(&entity.uid()).is_none());
        known
            .entities
            .clone()
            .add_entities(added.chain([model]), None)
            .map_err(|e| e.to_string())
    }

    fn count(&self, response: &Response, tally: &mut Tally) {
        let reasons = match response.decision() {
            Answer::Allow => &mut tally.permits,
            // With no reasons it is the default, not a decision.
            Answer::Deny => &mut tally.forbids,
        };
        // Every id is ours; one that were not would count as a `forbid`, on the side of caution.
        let ours = |id: &PolicyId| match self.effects.get_key_value(AsRef::<str>::as_ref(id)) {
            Some((id, effect)) => (id.clone(), *effect),
            None => (Arc::from(AsRef::<str>::as_ref(id)), Effect::Forbid),
        };
        reasons.extend(response.diagnostics().reason().map(|id| ours(id).0));
        for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
            tally.notes.push(error.to_string());
            if let (id, Effect::Forbid) = ours(error.policy_id()) {
                tally.failed_forbids.push(id);
            }
        }
    }

    /// A policy that would permit what was just refused, under an id that is still free.
    fn suggestion(&self, agent: &AgentName, uid: &EntityUid, model: &EntityUid) -> String {
        let mut id = format!("allow-{agent}");
        let mut n = 1;
        while self.effects.contains_key(id.as_str()) {
            n += 1;
            id = format!("allow-{agent}-{n}");
        }
        let action = &self.vocabulary.generate;
        format!("@id(\"{id}\") permit (principal == {uid}, action == {action}, resource == {model});")
    }
}
