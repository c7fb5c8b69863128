//! Which policies and clauses a set of questions exercises.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Bundle, Explanation,
    explain::{Applies, Effect, Truth},
};

/// Gathers from explanations what they exercise of a bundle.
#[derive(Clone, Debug)]
pub struct Coverage {
    policies: BTreeMap<Arc<str>, PolicyCoverage>,
}

/// What was seen of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCoverage {
    /// Its `@id`.
    pub id: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line it begins in, from 1.
    pub line: u32,
    /// How often it applied.
    pub applied: usize,
    /// How often it was among the policies that decided.
    pub decided: usize,
    /// Its clauses, in their order.
    pub clauses: Vec<ClauseCoverage>,
}

/// What was seen of one clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseCoverage {
    /// As it is written.
    pub text: String,
    /// The line it begins in, from 1.
    pub line: u32,
    /// Whether it was seen true.
    pub seen_true: bool,
    /// Whether it was seen false.
    pub seen_false: bool,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub covered: usize,
    /// Of how many.
    pub all: usize,
}

impl Share {
    /// In whole percent, rounded down, so that 100 means all; of nothing, 100.
    pub fn percent(self) -> u8 {
        let percent = self.covered.saturating_mul(100).checked_div(self.all).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }
}

impl Coverage {
    /// Nothing of the bundle is covered yet.
    pub fn new(bundle: &Bundle) -> Self {
        let policies = bundle.kept().map(|kept| {
            let clauses = kept.clauses().into_iter().map(|(text, line)| ClauseCoverage {
                text,
                line,
                seen_true: false,
                seen_false: false,
            });
            let (file, line) = kept.place();
            let policy = PolicyCoverage {
                id: kept.id.clone(),
                effect: kept.facts.effect.into(),
                file,
                line,
                applied: 0,
                decided: 0,
                clauses: clauses.collect(),
            };
            (kept.id.clone(), policy)
        });
        Self {
            policies: policies.collect(),
        }
    }

    /// Counts what an explanation of the same bundle shows. A clause counts where the scope matches and Cedar gets so far.
    pub fn add(&mut self, explanation: &Explanation) {
        for explained in explanation
            .policies
            .iter()
            .filter(|policy| policy.mismatches.is_empty())
        {
            let Some(policy) = self.policies.get_mut(&explained.id) else {
                continue;
            };
            policy.applied += usize::from(explained.result == Applies::Yes);
            policy.decided += usize::from(explained.decided);
            let seen = explained.conditions.iter().flat_map(|condition| &condition.clauses);
            for (clause, seen) in policy.clauses.iter_mut().zip(seen).filter(|(_, seen)| seen.reached) {
                clause.seen_true |= seen.truth == Truth::True;
                clause.seen_false |= seen.truth == Truth::False;
            }
        }
    }

    /// The policies by file and line.
    pub fn policies(&self) -> Vec<&PolicyCoverage> {
        let mut policies: Vec<&PolicyCoverage> = self.policies.values().collect();
        policies.sort_by_key(|policy| (policy.file.clone(), policy.line, policy.id.clone()));
        policies
    }

    /// The policies that decided at least one question, of all.
    pub fn of_policies(&self) -> Share {
        Share {
            covered: self.policies.values().filter(|policy| policy.decided > 0).count(),
            all: self.policies.len(),
        }
    }

    /// The values that clauses were seen to take, of all: each can be true and false.
    pub fn of_clauses(&self) -> Share {
        let clauses = || self.policies.values().flat_map(|policy| &policy.clauses);
        Share {
            covered: clauses()
                .map(|clause| usize::from(clause.seen_true) + usize::from(clause.seen_false))
                .sum(),
            all: clauses().count().saturating_mul(2),
        }
    }

    /// The ids of the policies that decided nothing, sorted.
    pub fn undecided(&self) -> BTreeSet<Arc<str>> {
        let undecided = self.policies.values().filter(|policy| policy.decided == 0);
        undecided.map(|policy| policy.id.clone()).collect()
    }
}
