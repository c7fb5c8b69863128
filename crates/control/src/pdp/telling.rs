//! What an answer tells besides yes and no: nothing, unless the policies that decided ask something of the enforcement
//! point, or its manifest says that it is told reasons.

use authzen::{Decision, Invalid, Obligation, Reasons};
use policy::{Outcome, Verdict};

use super::Grounds;

impl Grounds {
    pub(super) fn told(&self, verdict: &Verdict) -> Decision {
        let mut decision = Decision::bare(verdict.is_permit());
        let (user, admin) = self.told_to();
        if user || admin {
            decision = decision.because(self.reasons(verdict, user, admin));
        }
        if verdict.policies.is_empty() {
            return decision;
        }
        let obligations = self.obligations(verdict);
        if !obligations.is_empty() {
            decision = decision.obliging(obligations);
        }
        if verdict.outcome == Outcome::ApprovalRequired {
            decision = decision.needs_approval(self.bundle().approval(verdict));
        }
        decision
    }

    /// An item of a batch that lacks something is denied, and whoever is told reasons is told which.
    pub(super) fn incomplete(&self, invalid: &Invalid) -> Decision {
        let decision = Decision::bare(false);
        match self.told_to() {
            (false, false) => decision,
            (_, admin) => decision.because(Reasons {
                code: Some(replay::INCOMPLETE),
                user: None,
                admin: admin.then(|| invalid.to_string()),
                policies: Vec::new(),
            }),
        }
    }

    /// Whether the enforcement point is told the reasons for users, and those for administrators.
    fn told_to(&self) -> (bool, bool) {
        let reasons = self.session.pep().map(|pep| &pep.reasons);
        reasons.map_or((false, false), |reasons| (reasons.user, reasons.admin))
    }

    fn reasons(&self, verdict: &Verdict, user: bool, admin: bool) -> Reasons {
        let found = self.bundle().reasons(verdict);
        let first = |texts: &[std::sync::Arc<str>]| texts.first().map(ToString::to_string);
        Reasons {
            code: Some(verdict.code.as_str()),
            user: first(&found.user).filter(|_| user),
            admin: first(&found.admin).filter(|_| admin),
            policies: verdict
                .policies
                .iter()
                .filter(|_| admin)
                .map(ToString::to_string)
                .collect(),
        }
    }

    /// Each has an id of its own within the answer: several of one policy are counted.
    fn obligations(&self, verdict: &Verdict) -> Vec<Obligation> {
        let found = self.bundle().obligations(verdict);
        let numbered = found.into_iter().enumerate().map(|(index, obligation)| Obligation {
            id: format!("{}-{}", obligation.id, index + 1),
            kind: obligation.kind.to_owned(),
            properties: obligation.properties,
        });
        numbered.collect()
    }
}
