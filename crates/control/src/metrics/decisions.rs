//! What the decision point was asked, and how that ended.

use std::time::Duration;

use entry::{Decided, DecidedCall, Decision};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::Metrics;
use crate::PepError;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
}

/// The metrics of the decision point.
#[derive(Debug)]
pub(super) struct Decisions {
    outcomes: Family<OutcomeLabels, Counter>,
    seconds: Family<CallLabels, Histogram, fn() -> Histogram>,
}

/// How the items of a call were decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    permits: u64,
    denials: u64,
    approvals: u64,
}

impl Outcomes {
    /// Those of an entry. A search has one, which says whether something was found.
    pub(crate) fn of(decided: &Decided) -> Self {
        let mut outcomes = Self::default();
        for item in &decided.items {
            let count = match item.outcome {
                Decision::Permit => &mut outcomes.permits,
                Decision::Deny => &mut outcomes.denials,
                Decision::ApprovalRequired => &mut outcomes.approvals,
            };
            *count = count.saturating_add(1);
        }
        outcomes
    }
}

/// Deciding takes microseconds and recording a write of the disk.
fn seconds() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
    ])
}

impl Decisions {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let outcomes: Family<OutcomeLabels, Counter> = Family::default();
        let seconds: Family<CallLabels, Histogram, fn() -> Histogram> = Family::new_with_constructor(seconds);
        registry.register(
            "decisions",
            "Answers to enforcement points, each item of a batch by itself, and calls that got none",
            outcomes.clone(),
        );
        registry.register(
            "decision_seconds",
            "From a question of an enforcement point, read, to its answer, recorded",
            seconds.clone(),
        );
        Self { outcomes, seconds }
    }
}

impl Metrics {
    /// Counts a call of an enforcement point that ended after so long. What is wrong with the question or with who asks it is
    /// no decision.
    pub(crate) fn decided(&self, call: DecidedCall, ended: Result<Outcomes, &PepError>, elapsed: Duration) {
        let call = named(call);
        let count = |outcome, times: u64| {
            if times > 0 {
                let labels = OutcomeLabels { call, outcome };
                self.decisions.outcomes.get_or_create(&labels).inc_by(times);
            }
        };
        match ended {
            Ok(outcomes) => {
                count("permit", outcomes.permits);
                count("deny", outcomes.denials);
                count("approval_required", outcomes.approvals);
                let seconds = self.decisions.seconds.get_or_create(&CallLabels { call });
                seconds.observe(elapsed.as_secs_f64());
            }
            Err(PepError::Overloaded) => count("overloaded", 1),
            Err(PepError::Unavailable) => count("unavailable", 1),
            Err(PepError::Unauthenticated(_) | PepError::Forbidden(_) | PepError::Invalid(_)) => {}
        }
    }
}

/// As entries name it.
fn named(call: DecidedCall) -> &'static str {
    match call {
        DecidedCall::Evaluation => "evaluation",
        DecidedCall::Evaluations => "evaluations",
        DecidedCall::SearchSubject => "search_subject",
        DecidedCall::SearchResource => "search_resource",
        DecidedCall::SearchAction => "search_action",
    }
}
