//! From a question to a decision.

use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Context, Decision as Answer, Effect, Entities, Entity, EntityUid, PolicyId, Request, Response,
    RestrictedExpression,
};
use model::AgentName;

use crate::{
    Bundle, Decision, Denial, Permit, Question, Resource,
    bundle::Known,
    decision::Deed,
    entities::strings,
    memo::{Memo, Reads},
    question::Named,
    vocabulary::{About, Declared},
};

/// What the policies that can apply said.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) permits: Vec<Arc<str>>,
    pub(crate) forbids: Vec<Arc<str>>,
    /// The `forbid`s that could not be evaluated. Cedar passes over them; we deny.
    pub(crate) failed_forbids: Vec<Arc<str>>,
    /// A sentence for each policy that could not be evaluated.
    pub(crate) notes: Vec<String>,
}

impl Tally {
    /// Whether it is a permit and nothing spoke against it.
    pub(crate) fn permits_alone(&self) -> bool {
        !self.permits.is_empty() && self.speaks_not_against()
    }

    /// Whether no policy forbids, nor might.
    pub(crate) fn speaks_not_against(&self) -> bool {
        self.forbids.is_empty() && self.failed_forbids.is_empty()
    }

    /// The same in the order of the names.
    pub(crate) fn sorted(mut self) -> Self {
        for list in [&mut self.permits, &mut self.forbids, &mut self.failed_forbids] {
            list.sort();
        }
        self.notes.sort();
        self
    }
}

impl Bundle {
    /// Decides one question: permitted only if a policy permits it, no policy forbids it, and every `forbid` that might
    /// could be evaluated.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let Some(known) = self.agents.get(question.agent) else {
            return Decision::Deny(Denial::unknown_agent(question.agent));
        };
        let action = self.vocabulary.actions.get(question.action);
        let key = self.memo_key(known, question, action);
        let remembered = key.as_ref().and_then(|key| self.memo.find(key));
        if let Some(tally) = &remembered
            && tally.permits_alone()
        {
            return Decision::Permit(self.permit(question, tally.permits.clone(), Vec::new()));
        }
        let resource = Named::new(&self.vocabulary, question.resource);
        let deed = Deed {
            agent: question.agent,
            action: question.action,
            resource: resource.uid(),
        };
        if resource.about() != action.about {
            return Decision::Deny(Denial::not_applicable(&deed));
        }
        let asked = || {
            let tally = self.ask(known, question, action, &resource)?;
            if let Some(key) = key {
                self.memo.remember(key, &tally);
            }
            Ok(tally)
        };
        let tally = match remembered.map_or_else(asked, Ok) {
            Ok(tally) => tally,
            Err(error) => return Decision::Deny(Denial::unevaluated(&deed, Vec::new(), vec![error])),
        };
        let Tally {
            permits: policies,
            forbids,
            failed_forbids,
            notes,
        } = tally;
        if !forbids.is_empty() {
            Decision::Deny(Denial::forbidden(&deed, forbids, notes))
        } else if !failed_forbids.is_empty() {
            Decision::Deny(Denial::unevaluated(&deed, failed_forbids, notes))
        } else if policies.is_empty() {
            let suggestion = self.suggestion(question.agent, [&known.uid, &action.uid, resource.uid()]);
            Decision::Deny(Denial::not_permitted(&deed, &suggestion, notes))
        } else {
            Decision::Permit(self.permit(question, policies, notes))
        }
    }

    fn permit(&self, question: &Question<'_>, policies: Vec<Arc<str>>, notes: Vec<String>) -> Permit {
        Permit {
            policies,
            bundle: self.digest(),
            agent: question.agent.clone(),
            action: question.action,
            upstream: question.resource.upstream().clone(),
            model: question.resource.model().unwrap_or_default().into(),
            notes,
        }
    }

    /// What a question is remembered under. One that mixes up action and resource is not: it never gets so far as to be
    /// evaluated.
    fn memo_key(&self, known: &Known, question: &Question<'_>, action: &Declared) -> Option<Vec<u8>> {
        let about = match question.resource {
            Resource::Model { .. } => About::Model,
            Resource::Upstream { .. } => About::Upstream,
        };
        let groups = known.groups.get(question.action).iter();
        let reads = groups.fold(Reads::default(), |reads, group| reads.and(group.reads));
        (about == action.about).then(|| Memo::key(question, reads)).flatten()
    }

    /// Evaluates every policy that can apply.
    fn ask(
        &self,
        known: &Known,
        question: &Question<'_>,
        action: &Declared,
        resource: &Named,
    ) -> Result<Tally, String> {
        let entities = self.slice(known, question, action, resource)?;
        let request = self.request(known, question, action, resource)?;
        let mut tally = Tally::default();
        let groups = known.groups.get(question.action).iter();
        let kind = resource.uid().type_name();
        for policies in groups.flat_map(|group| group.shards(kind, resource.lineage())) {
            let response = self.authorizer.is_authorized(&request, policies, &entities);
            self.count(&response, &mut tally);
        }
        Ok(tally.sorted())
    }

    /// Cedar's request. It is built to the schema by this code alone, so it is not validated again for each question; a
    /// test validates it.
    pub(crate) fn request(
        &self,
        known: &Known,
        question: &Question<'_>,
        action: &Declared,
        resource: &Named,
    ) -> Result<Request, String> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let user = |user| RestrictedExpression::new_entity_uid(self.vocabulary.user(user));
        let always = [
            ("environment", text(&known.environment)),
            ("tier", text(question.tier.as_str())),
        ];
        let optional = [
            ("task", question.task.map(text)),
            ("user", question.user.map(user)),
            ("run", question.run.map(text)),
        ];
        let of_models = match action.about {
            About::Model => Some(model_call(question)),
            About::Upstream => None,
        };
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = always
            .into_iter()
            .chain(optional)
            .chain(of_models.into_iter().flatten());
        let context =
            Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(|e| e.to_string())?;
        let (principal, action, resource) = (known.uid.clone(), action.uid.clone(), resource.uid().clone());
        Request::new(principal, action, resource, context, None).map_err(|e| e.to_string())
    }

    /// The entities that the decision can look at: those prepared for the agent, the action with its groups, the model,
    /// and the user with the teams the files put them in. An upstream needs no record: it has no attributes and is in
    /// nothing, and a model's record says that it is in it.
    fn slice(
        &self,
        known: &Known,
        question: &Question<'_>,
        action: &Declared,
        resource: &Named,
    ) -> Result<Entities, String> {
        let model = match (&resource.model, question.resource.model()) {
            (Some(uid), Some(name)) => {
                let upstream = question.resource.upstream().as_str();
                Some(model_entity(uid.clone(), upstream, name, resource.upstream.clone())?)
            }
            _ => None,
        };
        let user = question.user.map(|user| self.vocabulary.user(user));
        let groups = known.groups.get(question.action).iter();
        let depth = groups.map(|group| group.depth).max().unwrap_or_default();
        let stored = match user {
            Some(user) => self.store.slice(&[user], depth)?,
            None => Vec::new(),
        };
        let stored = stored.into_iter().chain([action.entity.clone()]);
        let stored = stored.filter(|entity| known.entities.get(&entity.uid()).is_none());
        known
            .entities
            .clone()
            .add_entities(stored.chain(model), None)
            .map_err(|e| e.to_string())
    }

    pub(crate) fn count(&self, response: &Response, tally: &mut Tally) {
        let reasons = match response.decision() {
            Answer::Allow => &mut tally.permits,
            // With no reasons it is the default, not a decision.
            Answer::Deny => &mut tally.forbids,
        };
        // Every id is ours; one that were not would count as a `forbid`, on the side of caution.
        let ours = |id: &PolicyId| match self.rules.get_key_value(AsRef::<str>::as_ref(id)) {
            Some((id, facts)) => (id.clone(), facts.effect),
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
    fn suggestion(&self, agent: &AgentName, [principal, action, resource]: [&EntityUid; 3]) -> String {
        let mut id = format!("allow-{agent}");
        let mut n = 1;
        while self.rules.contains_key(id.as_str()) {
            n += 1;
            id = format!("allow-{agent}-{n}");
        }
        format!("@id(\"{id}\") permit (principal == {principal}, action == {action}, resource == {resource});")
    }
}

/// The record of a model, which follows from its name.
pub(crate) fn model_entity(uid: EntityUid, upstream: &str, name: &str, inside: EntityUid) -> Result<Entity, String> {
    let attributes = strings([("upstream", upstream), ("name", name)]);
    Entity::new(uid, attributes, [inside].into()).map_err(|error| error.to_string())
}

/// What the context of a model call has more than that of a question to an upstream.
fn model_call(question: &Question<'_>) -> [(&'static str, RestrictedExpression); 5] {
    let long = RestrictedExpression::new_long;
    let tools = question.tools.iter().cloned().map(RestrictedExpression::new_string);
    let tool_count = i64::try_from(question.tools.len()).unwrap_or(i64::MAX);
    let output = i64::try_from(question.max_output_tokens).unwrap_or(i64::MAX);
    [
        ("stream", RestrictedExpression::new_bool(question.stream)),
        ("max_output_tokens", long(output)),
        ("tools", RestrictedExpression::new_set(tools)),
        ("tool_count", long(tool_count)),
        ("worst_case_cost_nano_usd", long(question.worst_case.0)),
    ]
}
