//! Why a question is answered as it is: policy by policy and clause by clause, with the values that were read.
//!
//! The verdict is that of [`Bundle::evaluate`] and [`Bundle::decide`]. The rest is found by asking plain Cedar again, about
//! one policy at a time without the index, and about one clause at a time. It takes as long as there are policies, and
//! nothing is remembered: it is for people who ask why, not for each call.

mod ask;
mod clauses;
mod json;
mod parts;
mod reads;
mod scope;
mod words;

use std::{collections::HashSet, sync::Arc};

use cedar_policy::{
    AuthorizationError, Authorizer, Decision as Answer, Effect as CedarEffect, Entities, EntityUid, Policy, PolicySet,
    Request,
};

use crate::{Bundle, Code, Verdict, bundle::Facts, literals};

pub use self::parts::{
    Applies, Asked, Breadth, Clause, Condition, Effect, Explained, Explanation, Mismatch, Part, Read, Truth,
};
use self::{
    clauses::Conjunct,
    reads::World,
    scope::{Side, Sides},
};

/// The most policies that are listed of those that the question is about.
const MAX_LISTED: usize = 1_000;
/// The most policies that are listed where all are asked for.
const MAX_ALL: usize = 10_000;
/// The most `permit`s that nearly apply that are looked at, and listed.
const MAX_NEAR: usize = 1_000;
const MAX_NEAR_LISTED: usize = 10;

/// A policy of the bundle.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'b> {
    pub(crate) id: &'b Arc<str>,
    pub(crate) facts: &'b Facts,
}

impl Kept<'_> {
    pub(crate) fn policy(&self) -> &Policy {
        &self.facts.policy
    }

    /// Its file, and its line from 1.
    pub(crate) fn place(&self) -> (Arc<str>, u32) {
        let (file, line, _) = &self.facts.place;
        (Arc::from(file.as_str()), *line)
    }

    /// Its clauses and their lines from 1.
    pub(crate) fn clauses(&self) -> Vec<(String, u32)> {
        let (_, line) = self.place();
        let clauses = clauses::of(self.policy())
            .unwrap_or_default()
            .into_iter()
            .flat_map(|written| written.clauses);
        clauses
            .map(|clause| (clause.text, line.saturating_add(clause.line)))
            .collect()
    }
}

impl Bundle {
    /// Every policy, sorted by id.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Kept<'_>> {
        self.ids.iter().filter_map(|id| {
            Some(Kept {
                id,
                facts: self.rules.get(id)?,
            })
        })
    }
}

/// A question, ready to be put to one policy after the other.
struct Case<'a> {
    sides: Sides,
    request: Request,
    /// The entities that a decision can look at if its policies look into these by name, and follow references so often.
    entities: Box<dyn Fn(Vec<EntityUid>, usize) -> Result<Entities, String> + 'a>,
}

impl Bundle {
    /// Looks at every policy.
    fn look(&self, case: &Case<'_>, verdict: Verdict, breadth: Breadth) -> Explanation {
        let nothing_permits = verdict.code == Code::NoPermit;
        let (mut looked_at, mut near) = (Vec::new(), 0);
        for kept in self.kept() {
            let mismatches = scope::mismatches(kept.policy(), &case.sides);
            let may_be_near =
                nothing_permits && mismatches.len() == 1 && kept.facts.effect == CedarEffect::Permit && near < MAX_NEAR;
            near += usize::from(may_be_near);
            if mismatches.is_empty() || may_be_near || breadth == Breadth::All && looked_at.len() < MAX_ALL {
                looked_at.push((kept, mismatches));
            }
        }
        let mut entities = entities_for(case, &looked_at);
        if entities.is_err() {
            // Looking at fewer policies looks at fewer entities.
            looked_at.retain(|(_, mismatches)| mismatches.is_empty());
            entities = entities_for(case, &looked_at);
        }
        let (mut policies, mut verdict) = (Vec::new(), verdict);
        match entities {
            Ok(entities) => {
                let world = World {
                    request: &case.request,
                    entities: &entities,
                    sides: &case.sides,
                };
                policies.extend(
                    looked_at
                        .into_iter()
                        .map(|(kept, mismatches)| kept.explain(mismatches, &world)),
                );
            }
            Err(error) => verdict.notes.push(error),
        }
        for policy in &mut policies {
            policy.decided = verdict.policies.contains(&policy.id);
        }
        policies.sort_by_cached_key(Explained::rank);
        if breadth == Breadth::Concerned {
            let mut near = 0;
            policies.retain(|policy| {
                let far = !policy.mismatches.is_empty() && (policy.places() > 1 || near == MAX_NEAR_LISTED);
                near += usize::from(!far && !policy.mismatches.is_empty());
                !far
            });
            policies.truncate(MAX_LISTED);
        }
        Explanation {
            asked: Some(case.sides.asked()),
            left_out: self.ids.len().saturating_sub(policies.len()),
            help: nothing_permits.then(|| self.suggestion_for(&case.sides)).flatten(),
            verdict,
            policies,
        }
    }
}

/// The entities that these policies can look at.
fn entities_for(case: &Case<'_>, policies: &[(Kept<'_>, Vec<Mismatch>)]) -> Result<Entities, String> {
    let literals: HashSet<EntityUid> = policies
        .iter()
        .flat_map(|(kept, _)| literals::read_by(kept.policy()))
        .collect();
    let depth = policies.iter().map(|(kept, _)| literals::depth(kept.policy())).max();
    (case.entities)(literals.into_iter().collect(), depth.unwrap_or(0))
}

impl Kept<'_> {
    fn explain(&self, mismatches: Vec<Mismatch>, world: &World<'_>) -> Explained {
        let result = answer(self.policy(), world);
        let (conditions, result) = match clauses::of(self.policy()) {
            Ok(written) => {
                let mut reached = true;
                let conditions = written.into_iter().map(|written| {
                    let clauses = written.clauses.iter();
                    let clauses = clauses.scan(reached, |reached, clause| {
                        let clause = self.clause(clause, *reached, world);
                        *reached &= clause.truth == Truth::True;
                        Some(clause)
                    });
                    let clauses: Vec<Clause> = clauses.collect();
                    let holds = holds(written.when, &clauses).filter(|_| reached);
                    reached &= holds == Some(true);
                    Condition {
                        when: written.when,
                        holds,
                        clauses,
                    }
                });
                (conditions.collect(), result)
            }
            // Cedar wrote the policy's JSON form itself; it reads it, too.
            Err(error) => (Vec::new(), Applies::Error(error)),
        };
        let (file, line) = self.place();
        Explained {
            id: self.id.clone(),
            effect: self.facts.effect.into(),
            file,
            line,
            result,
            decided: false,
            mismatches,
            conditions,
        }
    }

    fn clause(&self, clause: &Conjunct, reached: bool, world: &World<'_>) -> Clause {
        let truth = match clause.alone().map(|policy| answer(&policy, world)) {
            Ok(Applies::Yes) => Truth::True,
            Ok(Applies::No) => Truth::False,
            Ok(Applies::Error(error)) | Err(error) => Truth::Error(error),
        };
        Clause {
            text: clause.text.clone(),
            line: self.facts.place.1.saturating_add(clause.line),
            truth,
            reached,
            reads: reads::of(&clause.body, world),
        }
    }
}

/// Whether the clauses let the policy apply; `None` if one could not be evaluated before that was clear.
fn holds(when: bool, clauses: &[Clause]) -> Option<bool> {
    match clauses
        .iter()
        .find(|clause| clause.truth != Truth::True)
        .map(|clause| &clause.truth)
    {
        None | Some(Truth::True) => Some(when),
        Some(Truth::False) => Some(!when),
        Some(Truth::Error(_)) => None,
    }
}

/// Puts the question to one policy.
fn answer(policy: &Policy, world: &World<'_>) -> Applies {
    let set = match PolicySet::from_policies([policy.clone()]) {
        Ok(set) => set,
        Err(error) => return Applies::Error(error.to_string()),
    };
    let response = Authorizer::new().is_authorized(world.request, &set, world.entities);
    let mut errors = response.diagnostics().errors();
    match (
        errors.next(),
        response.decision(),
        response.diagnostics().reason().next(),
    ) {
        (Some(AuthorizationError::PolicyEvaluationError(error)), ..) => {
            Applies::Error(clauses::shortened(&error.inner().to_string()))
        }
        (None, Answer::Allow, _) | (None, Answer::Deny, Some(_)) => Applies::Yes,
        (None, Answer::Deny, None) => Applies::No,
    }
}

impl Explained {
    /// In how many places it would have to be otherwise for the policy to apply.
    fn places(&self) -> usize {
        let of_condition = |condition: &Condition| match (condition.when, holds(condition.when, &condition.clauses)) {
            (_, Some(true)) => 0,
            // Everything in it is true.
            (false, Some(false)) => 1,
            _ => {
                let counts = |clause: &&Clause| match clause.truth {
                    Truth::True => false,
                    Truth::False => condition.when,
                    // Behind a clause that is not true it may mean nothing.
                    Truth::Error(_) => clause.reached,
                };
                condition.clauses.iter().filter(counts).count()
            }
        };
        self.mismatches.len() + self.conditions.iter().map(of_condition).sum::<usize>()
    }

    /// Those that decided, the others that apply, then the `permit`s by how near they come, then the `forbid`s.
    fn rank(&self) -> (bool, bool, bool, usize, usize, Arc<str>) {
        let applies = self.result != Applies::No;
        (
            !self.decided,
            !applies,
            self.effect == Effect::Forbid,
            self.places(),
            self.mismatches.len(),
            self.id.clone(),
        )
    }
}

impl Bundle {
    /// A policy that would permit what was just refused, under an id that is still free. None for names so long that
    /// nobody would write them.
    fn suggestion_for(&self, sides: &Sides) -> Option<String> {
        const MOST: usize = 200;
        let [principal, action, resource] = [&sides.principal, &sides.action, &sides.resource].map(|side| &side.uid);
        if [principal, action, resource]
            .iter()
            .any(|uid| uid.to_string().len() > MOST)
        {
            return None;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = principal
            .id()
            .unescaped()
            .chars()
            .filter(|&c| plain(c))
            .take(64)
            .collect();
        let stem = format!("allow-{name}");
        let mut ids = std::iter::once(stem.clone()).chain((2..).map(|n: usize| format!("{stem}-{n}")));
        let id = ids.find(|id| !self.rules.contains_key(id.as_str()))?;
        Some(format!(
            "a policy that would permit it: @id(\"{id}\") permit (principal == {principal}, action == {action}, resource == \
             {resource});"
        ))
    }
}
