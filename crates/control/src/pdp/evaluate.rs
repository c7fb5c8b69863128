//! May this subject do this with this resource?

use std::sync::Arc;

use authzen::{Answer, Decision, Evaluation, Evaluations, Invalid, Semantic};
use entry::{Decided, DecidedCall, PepRight};
use policy::{Bundle, Party, Query, Verdict};

use super::{Grounds, PepAnswer, PepError, PepSession, recording::Room};
use crate::Control;

/// A batch of more items is decided beside the requests, which it would hold up.
const LONG: usize = 16;

impl Control {
    /// Answers one question.
    ///
    /// # Errors
    /// Why there is no answer. That it must not be is an answer.
    pub async fn evaluate(&self, session: &PepSession, evaluation: &Evaluation) -> Result<PepAnswer, PepError> {
        session.require(PepRight::Evaluate)?;
        let call = DecidedCall::Evaluation;
        self.answered(session, call, |grounds| {
            let answered = self.one(&grounds, evaluation, call);
            std::future::ready(Ok(answered))
        })
        .await
    }

    /// Answers many questions, in their order and each by itself.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn evaluate_all(&self, session: &PepSession, evaluations: Evaluations) -> Result<PepAnswer, PepError> {
        session.require(PepRight::Evaluate)?;
        let call = DecidedCall::Evaluations;
        match evaluations {
            Evaluations::One(evaluation) => {
                self.answered(session, call, |grounds| {
                    let answered = self.one(&grounds, &evaluation, call);
                    std::future::ready(Ok(answered))
                })
                .await
            }
            Evaluations::Many { items, semantic } => {
                let items = Arc::new(items);
                self.answered(session, call, |grounds| {
                    let (control, items) = (self.clone(), items.clone());
                    async move {
                        if items.len() <= LONG {
                            return Ok(control.many(&grounds, &items, semantic));
                        }
                        self.aside(move || control.many(&grounds, &items, semantic)).await
                    }
                })
                .await
            }
        }
    }

    fn one(&self, grounds: &Grounds, evaluation: &Evaluation, call: DecidedCall) -> (Decided, Answer) {
        let query = query(evaluation);
        let (verdict, decision) = grounds.verdict(&query);
        let mut decided = self.decided(grounds, call);
        let mut room = Room::new();
        decided.items.push(self.item(grounds, &query, &verdict, &mut room));
        decided.left_out = room.left_out();
        (decided, Answer::One(decision))
    }

    fn many(&self, grounds: &Grounds, items: &[Result<Evaluation, Invalid>], semantic: Semantic) -> (Decided, Answer) {
        let mut decided = self.decided(grounds, DecidedCall::Evaluations);
        let mut decisions = Vec::with_capacity(items.len());
        let mut room = Room::new();
        for item in items {
            let decision = match item {
                Ok(evaluation) => {
                    let query = query(evaluation);
                    let (verdict, decision) = grounds.verdict(&query);
                    decided.items.push(self.item(grounds, &query, &verdict, &mut room));
                    decision
                }
                Err(invalid) => {
                    decided.items.push(super::recording::incomplete());
                    grounds.incomplete(invalid)
                }
            };
            let ends = semantic.ends_with(decision.decision);
            decisions.push(decision);
            if ends {
                break;
            }
        }
        decided.left_out = room.left_out();
        (decided, Answer::Many(decisions))
    }
}

impl Grounds {
    pub(super) fn bundle(&self) -> &Bundle {
        &self.tenant.bundle
    }

    fn verdict(&self, query: &Query<'_>) -> (Verdict, Decision) {
        let verdict = self.bundle().evaluate(query);
        if !verdict.notes.is_empty() {
            // Not the notes themselves: they name what was asked about, and that may be people.
            let (code, notes) = (verdict.code.as_str(), verdict.notes.len());
            tracing::debug!(code, notes, policies = ?verdict.policies, "a question to the decision point left notes");
        }
        let decision = self.told(&verdict);
        (verdict, decision)
    }
}

/// The question as policies are asked. That somebody approved it is never the caller's word: approvals that are verified
/// here do not exist yet.
pub(super) fn query(evaluation: &Evaluation) -> Query<'_> {
    Query {
        subject: party(&evaluation.subject),
        action: &evaluation.action.name,
        action_properties: evaluation.action.properties.as_ref(),
        resource: party(&evaluation.resource),
        context: evaluation.context.as_deref(),
        approved: false,
    }
}

pub(super) fn party(entity: &authzen::Entity) -> Party<'_> {
    Party {
        kind: &entity.kind,
        id: &entity.id,
        properties: entity.properties.as_ref(),
    }
}
