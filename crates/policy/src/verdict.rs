//! The answer to a policy enforcement point.

use std::{fmt, sync::Arc};

/// What the policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A policy permits it and nothing speaks against it.
    Permit,
    /// It must not happen.
    Deny,
    /// It must not happen unless somebody approves: the policies that forbid it all say `@approval`.
    ApprovalRequired,
}

impl Outcome {
    /// The word for it in the log and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::ApprovalRequired => "approval_required",
        }
    }
}

/// Why, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A policy permits it.
    Permitted,
    /// No policy permits it: the default.
    NoPermit,
    /// A policy forbids it.
    Forbidden,
    /// A policy forbids it until somebody approves.
    ApprovalRequired,
    /// A `forbid` policy could not be evaluated, so it may have meant this.
    EvaluationError,
    /// The schema has no such type of subject or resource.
    UnknownType,
    /// The schema has no such action.
    UnknownAction,
    /// The action is not one of such a subject on such a resource.
    NotApplicable,
    /// The subject is an agent that no manifest declares.
    UnknownAgent,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::Permitted,
        Self::NoPermit,
        Self::Forbidden,
        Self::ApprovalRequired,
        Self::EvaluationError,
        Self::UnknownType,
        Self::UnknownAction,
        Self::NotApplicable,
        Self::UnknownAgent,
    ];

    /// The code as callers and the log have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::NoPermit => "no_permit",
            Self::Forbidden => "forbidden",
            Self::ApprovalRequired => "approval_required",
            Self::EvaluationError => "evaluation_error",
            Self::UnknownType => "unknown_type",
            Self::UnknownAction => "unknown_action",
            Self::NotApplicable => "not_applicable",
            Self::UnknownAgent => "unknown_agent",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to a [`crate::Query`]. It lets nothing happen by itself: only [`crate::Permit`] does, and the gateway alone
/// asks for one.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the policies say.
    pub outcome: Outcome,
    /// Why.
    pub code: Code,
    /// The ids of the policies that decided, sorted: those that permit, those that forbid, or those that might and could
    /// not be evaluated. Empty where none decided.
    pub policies: Vec<Arc<str>>,
    /// For the operator: what of the request did not count and why, and which policies could not be evaluated. May show
    /// values of the request.
    pub notes: Vec<String>,
}

impl Verdict {
    /// A refusal that no policy decided.
    pub(crate) fn refused(code: Code, note: String) -> Self {
        Self {
            outcome: Outcome::Deny,
            code,
            policies: Vec::new(),
            notes: vec![note],
        }
    }

    /// Whether the answer is yes.
    pub fn is_permit(&self) -> bool {
        self.outcome == Outcome::Permit
    }
}
