//! The two doors: questions of enforcement points, and those of the gateway.

use cedar_policy::{Entities, EntityTypeName, EntityUid};

use super::{Asked, Breadth, Case, Explanation, Side, Sides};
use crate::{
    Bundle, Code, Decision, DenialKind, Outcome, Query, Question, Verdict, decide::model_entity, evaluate::Prepared,
    names, question::Named,
};

/// The most names that are offered for one that is not known.
const MAX_OFFERED: usize = 12;

impl Bundle {
    /// Why [`Bundle::evaluate`] answers as it does.
    pub fn explain(&self, query: &Query<'_>, breadth: Breadth) -> Explanation {
        let verdict = self.evaluate(query);
        let prepared = match self.prepare_query(query) {
            Ok(prepared) => prepared,
            Err(_) => {
                let help = self.help_with_names(query, verdict.code);
                return bare(verdict, None, self.ids.len(), help);
            }
        };
        let request = match prepared.request() {
            Ok(request) => request,
            Err(_) => return bare(verdict, Some(prepared.asked()), self.ids.len(), None),
        };
        let case = Case {
            sides: prepared.sides(),
            request,
            entities: Box::new(|literals, depth| self.entities_around(&prepared, literals, depth)),
        };
        self.look(&case, verdict, breadth)
    }

    /// Why [`Bundle::decide`] answers as it does. The policies that permit a call, and the codes of denials, are told in the
    /// words of verdicts.
    pub fn explain_question(&self, question: &Question<'_>, breadth: Breadth) -> Explanation {
        let verdict = verdict(self.decide(question));
        let action = self.vocabulary.actions.get(question.action);
        let resource = Named::new(&self.vocabulary, question.resource);
        let Some(known) = self.agents.get(question.agent) else {
            let help = "declare it with a manifest in governance/agents".to_owned();
            return bare(verdict, None, self.ids.len(), Some(help));
        };
        let groups = self.terms.action(question.action.as_str()).map(|deed| &deed.lineage);
        let sides = Sides {
            principal: Side::new(known.uid.clone(), self.store.lineage(&known.uid)),
            action: Side::new(action.uid.clone(), groups.into_iter().flatten().cloned()),
            resource: Side::new(resource.uid().clone(), resource.lineage().cloned()),
        };
        let asked = sides.asked();
        let request = match self.request(known, question, action, &resource) {
            Ok(request) if resource.about() == action.about => request,
            _ => return bare(verdict, Some(asked), self.ids.len(), None),
        };
        let entities = |mut roots: Vec<EntityUid>, depth: usize| {
            roots.push(known.uid.clone());
            roots.extend(question.user.map(|user| self.vocabulary.user(user)));
            let mut slice = self.store.slice(&roots, depth)?;
            slice.retain(|entity| entity.uid() != action.uid && entity.uid() != *resource.uid());
            slice.push(action.entity.clone());
            if let (Some(uid), Some(name)) = (&resource.model, question.resource.model()) {
                let upstream = question.resource.upstream().as_str();
                slice.push(model_entity(uid.clone(), upstream, name, resource.upstream.clone())?);
            }
            Entities::from_entities(slice, None).map_err(|error| error.to_string())
        };
        let case = Case {
            sides,
            request,
            entities: Box::new(entities),
        };
        self.look(&case, verdict, breadth)
    }

    /// What may have been meant by a name that is not known, or what the action is for.
    fn help_with_names(&self, query: &Query<'_>, code: Code) -> Option<String> {
        match code {
            Code::UnknownType => {
                let kinds: Vec<String> = self.terms.kinds.keys().map(names::from_cedar_type).collect();
                let wrong = [query.subject.kind, query.resource.kind];
                let wrong = wrong.into_iter().find(|kind| self.terms.kind(kind).is_none())?;
                Some(offer("types", wrong, kinds))
            }
            Code::UnknownAction => {
                let actions = self.terms.actions.values().filter(|deed| !deed.principals.is_empty());
                let actions = actions.map(|deed| deed.uid.id().unescaped().to_owned());
                Some(offer("actions", query.action, actions.collect()))
            }
            Code::NotApplicable => {
                let deed = self.terms.action(query.action)?;
                let list = |kinds: &mut dyn Iterator<Item = &EntityTypeName>| {
                    let mut kinds: Vec<String> = kinds.map(names::from_cedar_type).collect();
                    kinds.sort();
                    kinds.truncate(MAX_OFFERED);
                    kinds.join(" or ")
                };
                match (deed.principals.is_empty(), deed.resources.is_empty()) {
                    (false, false) => Some(format!(
                        "{} is for subjects of the type {} and resources of the type {}",
                        query.action,
                        list(&mut deed.principals.iter()),
                        list(&mut deed.resources.iter())
                    )),
                    _ => Some(format!("{} is a group of actions; ask about one of them", query.action)),
                }
            }
            Code::UnknownAgent => Some("declare it with a manifest in governance/agents".to_owned()),
            _ => None,
        }
    }
}

fn offer(what: &str, word: &str, mut known: Vec<String>) -> String {
    known.sort();
    let words: Vec<&str> = known.iter().map(String::as_str).collect();
    match model::nearest(word, &words) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let more = if words.len() > MAX_OFFERED { ", ..." } else { "" };
            let offered: Vec<&str> = words.into_iter().take(MAX_OFFERED).collect();
            format!("known {what}: {}{more}", offered.join(", "))
        }
    }
}

/// An explanation that did not get so far as to ask the policies.
fn bare(verdict: Verdict, asked: Option<Asked>, left_out: usize, help: Option<String>) -> Explanation {
    Explanation {
        verdict,
        asked,
        policies: Vec::new(),
        left_out,
        help,
    }
}

fn verdict(decision: Decision) -> Verdict {
    match decision {
        Decision::Permit(permit) => Verdict {
            outcome: Outcome::Permit,
            code: Code::Permitted,
            policies: permit.policies,
            notes: permit.notes,
        },
        Decision::Deny(denial) => Verdict {
            outcome: Outcome::Deny,
            code: match denial.kind {
                DenialKind::NoPermit => Code::NoPermit,
                DenialKind::Forbidden => Code::Forbidden,
                DenialKind::EvaluationError => Code::EvaluationError,
                DenialKind::UnknownAgent => Code::UnknownAgent,
                DenialKind::NotApplicable => Code::NotApplicable,
            },
            policies: denial.policies,
            notes: denial.detail.into_iter().collect(),
        },
    }
}

impl Sides {
    pub(super) fn asked(&self) -> Asked {
        Asked {
            principal: self.principal.uid.to_string(),
            action: self.action.uid.to_string(),
            resource: self.resource.uid.to_string(),
        }
    }
}

impl Prepared<'_> {
    fn sides(&self) -> Sides {
        Sides {
            principal: Side::new(self.subject.uid(), self.subject.lineage.iter().cloned()),
            action: Side::new(self.deed.uid.clone(), self.deed.lineage.iter().cloned()),
            resource: Side::new(self.resource.uid(), self.resource.lineage.iter().cloned()),
        }
    }

    fn asked(&self) -> Asked {
        self.sides().asked()
    }
}
